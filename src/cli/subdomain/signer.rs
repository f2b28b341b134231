//! The keys that sign records. They are opened in this process, and no daemon is needed.

use anyhow::anyhow;

use crate::bns::address::{Address, AddressVersions};
use crate::bns::subdomain::Record;
use crate::cli::own::{KeyOptions, vault_without_daemon};
use crate::cli::{CliError, Context, Result};
use crate::wallet::lock::Lock;
use crate::wallet::subdomain::{self, SignError};
use crate::wallet::task::keyring::Keyring;

/// The keys here, and how addresses are written.
pub struct Signer<'k> {
    /// The keys.
    pub keyring: Keyring<'k>,
    /// The version bytes of addresses.
    pub versions: AddressVersions,
}

impl<'k> Signer<'k> {
    /// The keys of this machine.
    pub fn open(context: &Context, keys: &'k KeyOptions) -> Result<Self> {
        let vault = vault_without_daemon(context, keys)?;
        let versions = match vault.network().is_mainnet() {
            true => AddressVersions::MAINNET,
            false => AddressVersions::TESTNET,
        };
        Ok(Self {
            keyring: Keyring::new(vault, keys.asking()),
            versions,
        })
    }

    /// The address that a text spells, or that of the key here that it names, for whoever is to own a subdomain. One of ours
    /// that can sign no record is refused: nothing could be changed any more.
    pub fn owner(&self, text: &str) -> Result<Address> {
        let address = self.keyring.address(text, self.versions)?;
        let script = bitcoin::ScriptBuf::from_bytes(address.script());
        match self.keyring.owner(&script)? {
            Some(Lock::WrappedWitness(_)) => Err(CliError::No(format!(
                "{text}: {}. Nothing was written",
                SignError::Witness
            ))),
            _ => Ok(address),
        }
    }

    /// The lock behind an address.
    pub fn lock(&self, address: Address) -> Result<Lock> {
        let script = bitcoin::ScriptBuf::from_bytes(address.script());
        let lock = self.keyring.owner(&script)?;
        lock.ok_or_else(|| {
            CliError::No(format!(
                "no key here is the owner {}: add it with `bnsd keys import`. Nothing was written",
                address.encode(self.versions)
            ))
        })
    }

    /// Signs a record by the keys of a lock.
    pub fn sign(&self, record: &mut Record, lock: &Lock) -> Result<()> {
        let keys = self.keyring.signing_keys(std::slice::from_ref(lock))?;
        let signed = subdomain::sign(record, lock, &keys, self.versions);
        signed.map_err(|error| match error {
            SignError::Witness => CliError::No(error.to_string()),
            SignError::Missing { .. } => CliError::Trouble(anyhow!(error)),
        })
    }
}
