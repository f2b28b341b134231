//! Options that commands with keys share.

use std::path::{Path, PathBuf};

use bitcoin::{FeeRate, OutPoint};
use clap::Args;

use crate::cli::passphrase::PassphraseSource;
use crate::cli::{CliError, Result};
use crate::wallet::fee::{CAP, FeePolicy, HighFee};
use crate::wallet::task::keyring::AskPassphrase;
use crate::wallet::task::wallet::{Means, Signer, Unanswered, Until};
use crate::wallet::vault::Reference;

/// Where keys are and what opens them.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyOptions {
    /// Directory of the keys, by default `keys` in the platform's data directory
    #[arg(long, value_name = "DIR", env = "BNSD_KEYS_DIR")]
    keys_dir: Option<PathBuf>,
    /// File whose first line is the passphrase; otherwise it is asked for at the terminal
    #[arg(long, value_name = "FILE", env = "BNSD_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Network of new keys, or the chain of Bitcoin that carries it; by default that of the running daemon
    #[arg(
        long,
        value_name = "NETWORK",
        env = "BNSD_NETWORK",
        value_parser = ["mainnet", "mainnet-continued", "main", "testnet4", "signet", "regtest", "dev"]
    )]
    pub network: Option<String>,
}

/// How an operation is paid for and sent.
#[derive(Debug, Clone, Default, Args)]
pub struct SendOptions {
    #[command(flatten)]
    pub keys: KeyOptions,
    /// Address that sends: NAME, NAME/INDEX or NAME/p2sh/INDEX; by default the owner's, or the only key
    #[arg(long, value_name = "KEY", env = "BNSD_KEY")]
    pub key: Option<Reference>,
    /// Address that pays and gets the change; by default the sender's
    #[arg(long, value_name = "KEY", env = "BNSD_PAYER")]
    pub payer: Option<Reference>,
    /// Spend only these outputs; can be repeated
    #[arg(long, value_name = "TXID:VOUT")]
    pub coin: Vec<OutPoint>,
    #[command(flatten)]
    pub fees: FeeOptions,
    /// Show the operation, its inputs, outputs, burn and fee, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write an unsigned PSBT to this file instead of signing and sending
    #[arg(long, value_name = "FILE")]
    pub psbt: Option<PathBuf>,
    /// Agree to what it costs; asked at a terminal otherwise
    #[arg(long, short)]
    pub yes: bool,
    /// Announce a zone file although resolvers would leave parts of it out
    #[arg(long, alias = "with-problems")]
    anyway: bool,
    /// Return as soon as the transaction is sent
    #[arg(long)]
    pub no_wait: bool,
}

/// What miners get.
#[derive(Debug, Clone, Default, Args)]
pub struct FeeOptions {
    /// Fee in satoshi per virtual byte, instead of the node's estimate
    #[arg(long, value_name = "RATE", env = "BNSD_FEE_RATE")]
    fee_rate: Option<u32>,
    /// Highest estimate that is followed, in satoshi per virtual byte
    #[arg(
        long,
        value_name = "RATE",
        env = "BNSD_MAX_FEE_RATE",
        default_value_t = 200
    )]
    max_fee_rate: u32,
    /// Pay a fee of more than a tenth of what is spent
    #[arg(long)]
    allow_high_fee: bool,
}

impl KeyOptions {
    /// Where passphrases come from.
    pub fn passphrase(&self) -> PassphraseSource {
        PassphraseSource {
            file: self.passphrase_file.clone(),
        }
    }

    /// Asks for the passphrase of a key when it has to sign.
    pub fn asking(&self) -> Box<AskPassphrase<'_>> {
        Box::new(|name| {
            let passphrase = self.passphrase().read(&format!("Passphrase of {name}: "));
            passphrase.map_err(|error| error.to_string())
        })
    }

    /// The directory of the keys.
    pub fn directory(&self) -> Result<PathBuf> {
        directory_of_keys(self.keys_dir.as_deref())
    }
}

/// The directory of the keys: the one that was named, or that of the platform.
pub fn directory_of_keys(given: Option<&Path>) -> Result<PathBuf> {
    let project = directories::ProjectDirs::from("org", "bnsd", "bnsd");
    let ours = || Some(project?.data_local_dir().join("keys"));
    let place = given.map(Path::to_owned).or_else(ours);
    place.ok_or_else(|| {
        CliError::Usage("there is no home directory: name one with --keys-dir".to_owned())
    })
}

impl SendOptions {
    /// The same for the engine.
    pub fn means(&self) -> Means {
        Means {
            key: self.key.clone(),
            payer: self.payer.clone(),
            coins: self.coin.clone(),
            fees: self.fees.policy(),
            unanswered: match self.anyway {
                true => Unanswered::Announced,
                false => Unanswered::Refused,
            },
            signer: match self.psbt {
                Some(_) => Signer::Elsewhere,
                None => Signer::Here,
            },
            until: match (self.dry_run, self.no_wait) {
                (true, _) => Until::Drafted,
                (false, true) => Until::Sent,
                (false, false) => Until::InBlock,
            },
        }
    }
}

impl FeeOptions {
    /// The same for the engine.
    pub fn policy(&self) -> FeePolicy {
        let rate = |rate: u32| FeeRate::from_sat_per_vb(u64::from(rate));
        FeePolicy {
            fixed: self.fee_rate.and_then(rate),
            cap: rate(self.max_fee_rate).unwrap_or(CAP),
            high: if self.allow_high_fee {
                HighFee::Pay
            } else {
                HighFee::Refuse
            },
        }
    }
}
