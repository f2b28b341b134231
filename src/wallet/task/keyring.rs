//! Which key sends, and the signatures that it gives. Keys are opened here and never leave the process.

use std::cell::RefCell;

use bitcoin::{PublicKey, Script, TxOut};
use zeroize::Zeroizing;

use super::error::{Result, TaskError, native_segwit};
use crate::bns::address::{Address, AddressVersions};
use crate::wallet::keys::SigningKey;
use crate::wallet::lock::Lock;
use crate::wallet::phrase::Purpose;
use crate::wallet::vault::{Reference, SEARCHED, Secret, Vault};

/// What opens a key file; wiped when dropped.
pub type Passphrase = Zeroizing<Vec<u8>>;

/// Finds the passphrase of the key with this name, or says why there is none.
pub type AskPassphrase<'a> = dyn Fn(&str) -> Result<Passphrase, String> + 'a;

/// The keys, each opened at most once.
pub struct Keyring<'a> {
    vault: Vault,
    ask: Box<AskPassphrase<'a>>,
    opened: RefCell<Vec<(String, Secret)>>,
}

impl<'a> Keyring<'a> {
    /// The keys of a vault; `ask` is called when one has to sign.
    pub fn new(vault: Vault, ask: Box<AskPassphrase<'a>>) -> Self {
        Self {
            vault,
            ask,
            opened: RefCell::default(),
        }
    }

    /// Where the keys are.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The lock of the named key, or of the only key that there is.
    pub fn sender(&self, named: Option<&Reference>) -> Result<Lock> {
        if let Some(reference) = named {
            return Ok(self.vault.lock(reference)?);
        }
        let files = self.vault.list()?;
        let [file] = files.as_slice() else {
            return Err(which_key(files.len()));
        };
        Ok(self.vault.lock(&file.name().parse()?)?)
    }

    /// The address that a text spells on a network, or that of the key here that it names. A native segwit address is refused
    /// with its reason.
    pub fn address(&self, text: &str, versions: AddressVersions) -> Result<Address> {
        if let Some(address) = Address::decode(text, versions) {
            return Ok(address);
        }
        let lower = text.to_ascii_lowercase();
        let native = ["bc1", "tb1", "bcrt1"];
        if native.iter().any(|start| lower.starts_with(start)) {
            return Err(native_segwit(text));
        }
        let key = text.parse::<Reference>().ok();
        let lock = key.and_then(|key| self.sender(Some(&key)).ok());
        lock.map(|lock| lock.address()).ok_or_else(|| {
            TaskError::Usage(format!(
                "{text:?} is no address of this network, and no key here"
            ))
        })
    }

    /// The lock of the key that owns `script`.
    pub fn owner(&self, script: &Script) -> Result<Option<Lock>> {
        Ok(self.vault.find(script)?.map(|(_, lock)| lock))
    }

    /// The locks behind outputs that are ours; members of a shared address are found by its file.
    pub fn locks(&self, outputs: &[TxOut]) -> Result<Vec<Lock>> {
        let mut locks = Vec::new();
        for output in outputs {
            locks.extend(self.owner(&output.script_pubkey)?);
        }
        Ok(locks)
    }

    /// The addresses that can own names.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let files = self.vault.list()?;
        let locks = files.iter().flat_map(|file| file.locks(SEARCHED));
        let owning = locks.filter(|(reference, _)| reference.purpose == Purpose::Owner);
        let addresses: Vec<_> = owning.map(|(_, lock)| lock.address()).collect();
        if addresses.is_empty() {
            return Err(which_key(0));
        }
        Ok(addresses)
    }

    /// The keys that can sign for these locks; asks for passphrases as needed.
    pub fn signing_keys(&self, locks: &[Lock]) -> Result<Vec<SigningKey>> {
        let wanted: Vec<PublicKey> = locks.iter().flat_map(Lock::keys).copied().collect();
        let is_wanted = |lock: Lock| lock.keys().iter().any(|key| wanted.contains(key));
        let mut found = Vec::new();
        for file in self.vault.list()?.iter().filter(|file| file.has_secret()) {
            if file.locks(SEARCHED).any(|(_, lock)| is_wanted(lock)) {
                self.unlock(file.name())?;
                let opened = self.opened.borrow();
                let secrets = opened.iter().filter(|(name, _)| name == file.name());
                let network = self.vault.network();
                found.extend(secrets.flat_map(|(_, it)| it.signing_keys(network, &wanted)));
            }
        }
        Ok(found)
    }

    fn unlock(&self, name: &str) -> Result<()> {
        if self.opened.borrow().iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let passphrase = (self.ask)(name).map_err(TaskError::Trouble)?;
        let secret = self.vault.open(name, &passphrase)?;
        self.opened.borrow_mut().push((name.to_owned(), secret));
        Ok(())
    }
}

fn which_key(count: usize) -> TaskError {
    TaskError::Usage(match count {
        0 => "there is no key yet: make one with `bnsd keys new me`".to_owned(),
        count => format!("there are {count} keys: say which one with --key"),
    })
}
