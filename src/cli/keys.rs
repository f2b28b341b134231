//! `bnsd keys`: make, import, list and export the keys that own names. Needs no daemon.

use std::io::Read;
use std::path::{Path, PathBuf};

use bitcoin::{NetworkKind, PrivateKey, PublicKey};
use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::Page;
use super::own::{KeyOptions, vault_without_daemon};
use super::{CliError, Context, Exit, Result};
use crate::bns::address::AddressVersions;
use crate::wallet::harden;
use crate::wallet::keys::SigningKey;
use crate::wallet::lock::Lock;
use crate::wallet::phrase::{Phrase, Purpose};
use crate::wallet::vault::{KeyFile, Public, Secret, Vault};

/// Longest file with a phrase or key, in bytes.
const SECRET_MAX: u64 = 4_096;

/// Subcommands of `bnsd keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key from a new phrase of words, and print the words once: write them down.
    New(New),
    /// Take in a phrase, a single private key (WIF), or the address of several keys.
    Import(Import),
    /// List the keys and their addresses.
    List(List),
    /// Print the phrase or private key of a key.
    Export(Export),
}

/// Arguments of `bnsd keys new`.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the key.
    name: String,
    /// How many words: 12 or 24.
    #[arg(long, default_value_t = 12)]
    words: usize,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd keys import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Name of the key.
    name: String,
    /// File with the phrase or the WIF key; `-` for the standard input
    #[arg(long, value_name = "FILE", required_unless_present = "multisig")]
    file: Option<PathBuf>,
    /// Make an address that takes so many signatures of the members
    #[arg(
        long,
        value_name = "REQUIRED",
        conflicts_with = "file",
        requires = "member"
    )]
    multisig: Option<usize>,
    /// A member: a public key in hex, or the name of a key here; in the order of the script
    #[arg(long, value_name = "KEY")]
    member: Vec<String>,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd keys list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many addresses of each phrase are shown
    #[arg(long, default_value_t = 1)]
    addresses: u32,
    #[command(flatten)]
    keys: KeyOptions,
}

/// Arguments of `bnsd keys export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Name of the key.
    name: String,
    /// Print the output descriptor of its first address, which is public, instead
    #[arg(long)]
    descriptor: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

/// A key as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    kind: &'static str,
    network: &'static str,
    addresses: Vec<ShownAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// An address of a key.
#[derive(Debug, Serialize)]
struct ShownAddress {
    key: String,
    address: String,
    use_for: &'static str,
    public_keys: Vec<String>,
    descriptor: String,
}

impl KeysCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        match self {
            Self::New(new) => new.run(context),
            Self::Import(import) => import.run(context),
            Self::List(list) => list.run(context),
            Self::Export(export) => export.run(context),
        }
    }
}

impl New {
    fn run(self, context: &Context) -> Result<Exit> {
        let vault = vault_without_daemon(context, &self.keys)?;
        let phrase = Phrase::generate(self.words)?;
        let words = phrase.text();
        let passphrases = self.keys.passphrase();
        let passphrase = passphrases.choose("Passphrase for the new key: ")?;
        let file = vault.create(&self.name, &Secret::Phrase(phrase), &passphrase)?;
        let shown = shown(&file, 1, Some(words.to_string()));
        context.output.show(&shown, |page| {
            shown.write(page);
            page.note("Write the words down on paper: whoever has them has your names, and without them a lost file is lost for ever.");
        })
    }
}

impl Import {
    fn run(self, context: &Context) -> Result<Exit> {
        let vault = vault_without_daemon(context, &self.keys)?;
        let file = match (self.multisig, &self.file) {
            (Some(required), _) => {
                let members = self.member.iter().map(|it| public_key(&vault, it));
                let members = members.collect::<Result<Vec<_>, _>>()?;
                vault.create_multisig(&self.name, required, members)
            }
            (None, Some(path)) => {
                let secret = read_secret(path, vault.network())?;
                let passphrase = self.keys.passphrase().choose("Passphrase for the key: ");
                vault.create(&self.name, &secret, &passphrase?)
            }
            (None, None) => return Err(usage("name a file with --file")),
        };
        let shown = shown(&file?, 1, None);
        context.output.show(&shown, |page| shown.write(page))
    }
}

fn public_key(vault: &Vault, member: &str) -> Result<PublicKey> {
    if let Ok(key) = member.parse() {
        return Ok(key);
    }
    match vault.lock(&member.parse()?)? {
        Lock::KeyHash(key) => Ok(key),
        _ => Err(usage(
            "a member is a public key or a key with a single signature",
        )),
    }
}

impl List {
    fn run(self, context: &Context) -> Result<Exit> {
        let vault = vault_without_daemon(context, &self.keys)?;
        let files = vault.list()?;
        let shown = files.iter().map(|file| shown(file, self.addresses, None));
        let keys: Vec<Shown> = shown.collect();
        context.output.show(&keys, |page| {
            if keys.is_empty() {
                page.note("There is no key yet: make one with `bnsd keys new me`.");
            }
            keys.iter().for_each(|key| key.write(page));
        })
    }
}

impl Export {
    fn run(self, context: &Context) -> Result<Exit> {
        let vault = vault_without_daemon(context, &self.keys)?;
        let file = vault.load(&self.name)?;
        let mut shown = shown(&file, 1, None);
        if file.has_secret() && !self.descriptor {
            let passphrase = self.keys.passphrase().read("Passphrase: ")?;
            let opened = vault.open(&self.name, &passphrase)?;
            shown.secret = Some(text_of(&opened, vault.network()));
        }
        context.output.show(&shown, |page| shown.write(page))
    }
}

fn text_of(secret: &Secret, network: NetworkKind) -> String {
    match secret {
        Secret::Phrase(phrase) => phrase.text().to_string(),
        Secret::Key(key) => {
            let bytes = key.to_bytes();
            let key = PrivateKey::from_slice(&*bytes, network);
            key.expect("a signing key is a key").to_wif()
        }
    }
}

/// A phrase or a WIF key from a file.
fn read_secret(path: &Path, network: NetworkKind) -> Result<Secret> {
    let failed = CliError::file(path);
    let mut text = Zeroizing::new(String::new());
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let read = source.take(SECRET_MAX).read_to_string(&mut text);
    read.map_err(failed)?;
    if let Ok(key) = PrivateKey::from_wif(text.trim()) {
        if key.network != network {
            return Err(usage(
                "the key is for another network: choose it with --network",
            ));
        }
        if !key.compressed {
            return Err(usage(
                "keys with uncompressed public keys are not supported: transfer their names with the wallet that made them",
            ));
        }
        let bytes = Zeroizing::new(key.inner.secret_bytes());
        let key = SigningKey::from_bytes(&bytes).map_err(|error| usage(&error.to_string()))?;
        return Ok(Secret::Key(key));
    }
    Ok(Secret::Phrase(Phrase::parse(&text)?))
}

fn usage(text: &str) -> CliError {
    CliError::Usage(text.to_owned())
}

fn shown(file: &KeyFile, count: u32, secret: Option<String>) -> Shown {
    let versions = if file.is_mainnet() {
        AddressVersions::MAINNET
    } else {
        AddressVersions::TESTNET
    };
    let addresses = file.locks(count).map(|(reference, lock)| ShownAddress {
        key: reference.to_string(),
        address: lock.address().encode(versions),
        use_for: match reference.purpose {
            Purpose::Owner => "owning and paying",
            Purpose::Payer => "paying",
        },
        public_keys: lock.keys().iter().map(ToString::to_string).collect(),
        descriptor: lock.descriptor(),
    });
    Shown {
        name: file.name().to_owned(),
        kind: match file.public() {
            Public::Phrase { .. } => "phrase",
            Public::Key { .. } => "key",
            Public::Multisig { .. } => "multisig",
        },
        network: if file.is_mainnet() { "mainnet" } else { "test" },
        addresses: addresses.collect(),
        secret,
    }
}

impl Shown {
    fn write(&self, page: &mut Page) {
        page.heading(format!("{} ({}, {})", self.name, self.kind, self.network));
        for address in &self.addresses {
            page.row([
                format!("  {}", address.key),
                address.address.clone(),
                format!("for {}", address.use_for),
            ]);
        }
        for address in self.addresses.iter().filter(|_| self.kind == "multisig") {
            page.row([format!("  {}", address.descriptor)]);
        }
        page.entry_if("secret", self.secret.as_ref());
    }
}
