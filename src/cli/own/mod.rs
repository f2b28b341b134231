//! What commands that own names share: keys, coins, the state to check against, and the way from an operation
//! to a block.
//!
//! ```text
//! draft: operation + coins -> unsigned, judged by the rules     run: signed, noted on disk, sent, awaited
//! ```
//!
//! The state comes from the running daemon over its control socket, always: there is one index and one truth.
//! Keys are opened here, in the process of the command, and never leave it.

mod draft;
mod error;
mod node;
mod options;
mod run;

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;

use bitcoin::{NetworkKind, OutPoint, PublicKey, ScriptBuf};

pub use draft::{Draft, Sender, judged};
pub use error::OwnError;
pub use options::{KeyOptions, SendOptions};
pub use run::{Done, MARGIN, PATIENCE, Plan, Progress, RESEND};

use super::{CliError, Context, log};
use crate::api::message::{Reply, Request};
use crate::api::names::{NameReply, NameRequest, NamespaceReply, NamespaceRequest};
use crate::api::owner::{ChainReply, ChainRequest};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::{Name, NamespaceId};
use crate::config::{Config, Network, Profile};
use crate::hash::decode_hex;
use crate::wallet::coins::is_spendable;
use crate::wallet::journal::Journal;
use crate::wallet::keys::SigningKey;
use crate::wallet::lock::Lock;
use crate::wallet::node::Node;
use crate::wallet::passphrase::PassphraseSource;
use crate::wallet::vault::{Public, Reference, SEARCHED, Secret, Vault};

/// How long the index may take to reach the tip.
const INDEX_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a command works: the running daemon, the keys, the node.
pub struct Desk<'c> {
    pub context: &'c Context,
    pub vault: Vault,
    pub journal: Journal,
    pub versions: AddressVersions,
    pub magic: [u8; 2],
    config: Config,
    passphrase: PassphraseSource,
    opened: RefCell<Vec<(String, Secret)>>,
}

impl<'c> Desk<'c> {
    /// Everything that a command with keys needs.
    pub fn open(context: &'c Context, keys: &KeyOptions) -> Result<Self, CliError> {
        let config = context.load(Profile::Serve, Vec::new())?;
        log::start(config.log);
        let Reply::Chain(chain) = context.ask(&Request::Chain(ChainRequest {}))? else {
            return Err(CliError::Unexpected);
        };
        let magic = decode_hex(&chain.magic).and_then(|bytes| bytes.try_into().ok());
        let vault = vault(keys, network_kind(chain.p2pkh_version == 0))?;
        Ok(Self {
            journal: Journal::new(vault.directory(), &chain.network),
            vault,
            versions: AddressVersions {
                p2pkh: chain.p2pkh_version,
                p2sh: chain.p2sh_version,
            },
            magic: magic.ok_or(CliError::Unexpected)?,
            context,
            config,
            passphrase: keys.passphrase(),
            opened: RefCell::default(),
        })
    }

    /// Constants and tip of the followed chain, as they are now.
    pub fn chain(&self) -> Result<ChainReply, CliError> {
        match self.context.ask(&Request::Chain(ChainRequest {}))? {
            Reply::Chain(chain) => Ok(*chain),
            _ => Err(CliError::Unexpected),
        }
    }

    /// The same once the index is at the tip: on an older state, rules would be judged wrongly, and a consensus
    /// hash that is quoted would be too old.
    pub fn synced_chain(&self) -> Result<ChainReply, CliError> {
        let end = std::time::Instant::now() + INDEX_PATIENCE;
        loop {
            let chain = self.chain()?;
            if chain.synced && chain.height.is_some() {
                return Ok(chain);
            }
            if std::time::Instant::now() > end {
                let Some(height) = chain.height else {
                    let text = "there is no block yet: mine one with `bnsd tx mine` on the embedded chain, or wait for the node. Nothing was sent";
                    return Err(OwnError::Trouble(text.to_owned()).into());
                };
                return Err(OwnError::Trouble(format!(
                    "the index is at block {height} of {}: wait until `bnsd status` shows that it is synced. Nothing was sent",
                    chain.best_height
                ))
                .into());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// How a name stands.
    pub fn name(&self, name: &Name) -> Result<NameReply, CliError> {
        name_of(self.context, name)
    }

    /// How a namespace stands.
    pub fn namespace(&self, id: &NamespaceId) -> Result<NamespaceReply, CliError> {
        let id = id.to_string();
        match self
            .context
            .ask(&Request::Namespace(NamespaceRequest { id }))?
        {
            Reply::Namespace(namespace) => Ok(*namespace),
            _ => Err(CliError::Unexpected),
        }
    }

    /// The node that the configuration names, or the embedded chain of the daemon.
    pub fn node(&self) -> Result<Box<dyn Node + '_>, CliError> {
        node::connect(self.context, &self.config, &self.chain()?.source)
    }

    /// The address that a text spells on this network. A native segwit address is refused with its reason.
    pub fn address(&self, text: &str) -> Result<Address, CliError> {
        Address::decode(text, self.versions).ok_or_else(|| {
            let lower = text.to_ascii_lowercase();
            let native = ["bc1", "tb1", "bcrt1"]
                .iter()
                .any(|prefix| lower.starts_with(prefix));
            CliError::from(if native {
                OwnError::NativeSegwit(text.to_owned())
            } else {
                OwnError::Usage(format!("{text:?} is no address of this network"))
            })
        })
    }

    /// An address as text.
    pub fn text(&self, address: Address) -> String {
        address.encode(self.versions)
    }

    /// Who sends: the named key, or the one that owns `script`, or the only one that there is.
    pub fn sender(
        &self,
        named: Option<&Reference>,
        script: Option<&str>,
    ) -> Result<Sender, CliError> {
        if let Some(reference) = named {
            let lock = self.vault.lock(reference).map_err(OwnError::from)?;
            return Ok(Sender { lock });
        }
        if let Some(script) = script.and_then(decode_hex) {
            let script = ScriptBuf::from_bytes(script);
            let found = self.vault.find(&script).map_err(OwnError::from)?;
            let owner = Address::of_script(script.as_bytes()).map(|owner| self.text(owner));
            let (_, lock) = found.ok_or_else(|| OwnError::NotOurs(owner.unwrap_or_default()))?;
            return Ok(Sender { lock });
        }
        let files = self.vault.list().map_err(OwnError::from)?;
        let [file] = files.as_slice() else {
            return Err(OwnError::WhichKey(files.len()).into());
        };
        let reference: Reference = file.name().parse().map_err(OwnError::from)?;
        self.sender(Some(&reference), None)
    }

    /// Coins that other unfinished tasks spend.
    fn reserved(&self, subject: &str) -> Result<HashSet<OutPoint>, CliError> {
        let tasks = self.journal.list().map_err(OwnError::from)?;
        let others = tasks.iter().filter(|task| task.subject != subject);
        Ok(others.flat_map(|task| task.spent()).collect())
    }

    /// The keys here that can sign for these locks; asks for passphrases as needed.
    pub fn signing_keys(&self, locks: &[Lock]) -> Result<Vec<SigningKey>, CliError> {
        let wanted: Vec<PublicKey> = locks.iter().flat_map(Lock::keys).copied().collect();
        let mut found = Vec::new();
        for file in self.vault.list().map_err(OwnError::from)? {
            if file.has_secret() && holds_any(&file, &wanted) {
                self.unlock(file.name())?;
                let opened = self.opened.borrow();
                let secrets = opened.iter().filter(|(name, _)| name == file.name());
                found
                    .extend(secrets.flat_map(|(_, secret)| {
                        secret.signing_keys(self.vault.network(), &wanted)
                    }));
            }
        }
        Ok(found)
    }

    fn unlock(&self, name: &str) -> Result<(), CliError> {
        if self.opened.borrow().iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let passphrase = self
            .passphrase
            .read(&format!("Passphrase of {name}: "))
            .map_err(OwnError::from)?;
        let secret = self.vault.open(name, &passphrase).map_err(OwnError::from)?;
        self.opened.borrow_mut().push((name.to_owned(), secret));
        Ok(())
    }

    /// The `dig` line that asks this daemon.
    pub fn dig(&self, name: &str, record_type: &str) -> Result<Option<String>, CliError> {
        let listeners = self.chain()?.listeners;
        let listener = listeners
            .first()
            .and_then(|text| text.parse::<std::net::SocketAddr>().ok());
        Ok(listener.map(|at| {
            let port = if at.port() == 53 {
                String::new()
            } else {
                format!(" -p {}", at.port())
            };
            format!("dig @{}{port} {name} {record_type}", at.ip())
        }))
    }
}

/// How a name stands; needs no keys.
pub fn name_of(context: &Context, name: &Name) -> Result<NameReply, CliError> {
    let name = name.to_string();
    match context.ask(&Request::Name(NameRequest { name }))? {
        Reply::Name(name) => Ok(*name),
        _ => Err(CliError::Unexpected),
    }
}

/// The vault without a daemon, for the network that the configuration names.
pub fn vault_without_daemon(context: &Context, keys: &KeyOptions) -> Result<Vault, CliError> {
    let network = match &keys.network {
        Some(network) => network == "mainnet",
        None => match context.ask(&Request::Chain(ChainRequest {})) {
            Ok(Reply::Chain(chain)) => chain.p2pkh_version == 0,
            _ => context.load(Profile::Serve, Vec::new())?.chain.network == Network::Mainnet,
        },
    };
    vault(keys, network_kind(network))
}

fn vault(keys: &KeyOptions, network: NetworkKind) -> Result<Vault, CliError> {
    let directory: PathBuf = keys.directory()?;
    Ok(Vault::new(directory, network))
}

fn network_kind(mainnet: bool) -> NetworkKind {
    if mainnet {
        NetworkKind::Main
    } else {
        NetworkKind::Test
    }
}

fn holds_any(file: &crate::wallet::vault::KeyFile, wanted: &[PublicKey]) -> bool {
    use crate::wallet::phrase::Purpose;
    let count = match file.public() {
        Public::Phrase { .. } => SEARCHED,
        Public::Key { .. } | Public::Multisig { .. } => 1,
    };
    (0..count).any(|index| {
        [Purpose::Owner, Purpose::Payer].iter().any(|purpose| {
            let lock = file.lock(*purpose, index);
            lock.is_ok_and(|lock| lock.keys().iter().any(|key| wanted.contains(key)))
        })
    })
}

/// Refuses a coin that would void an operation.
fn check_coin(outpoint: OutPoint, script: &bitcoin::Script) -> Result<(), OwnError> {
    if is_spendable(script) {
        return Ok(());
    }
    Err(OwnError::NativeSegwit(outpoint.to_string()))
}
