//! `bnsd registrar`: publishes the records of subdomains that appear in a directory, in a process of its own.
//!
//! It holds the key of the carrier, which the daemon never sees. At most one zone file is announced in the time that it is
//! told, over all its runs. Where everything stands is in the directory and in the journal of the keys, so that it can be
//! killed at any moment and goes on when it is started again. While zone files of a name are missing, new subdomains of it
//! wait, and so does what would be refused: what is missing could decide otherwise.

mod pauses;
mod round;
mod sift;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::own::{FeeOptions, KeyOptions, agree, name, open};
use super::{CliError, Context, Exit, Result};
use crate::bns::Name;
use crate::wallet::harden;
use crate::wallet::spool::{Spool, SpoolError};
use crate::wallet::task::TaskError;
use crate::wallet::task::Wallet;
use crate::wallet::task::consent::Consent;
use crate::wallet::task::wallet::{Means, Signer, Unanswered, Until};
use crate::wallet::vault::Reference;
use crate::wallet::words;
use pauses::Pauses;
use round::{Round, Went};

/// Arguments of `bnsd registrar`.
#[derive(Debug, Args)]
pub struct Registrar {
    /// The name that carries the records
    name: String,
    /// Announce a zone file at most once in so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Directory in which records appear; it gets folders for those that are published, in force and refused
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Announce nothing that costs more than so many satoshi; the records wait until it costs less
    #[arg(long, value_name = "SATOSHI", env = "BNSD_MAX_FEE")]
    max_fee: Option<u64>,
    /// Address that pays and gets the change; by default the owner's
    #[arg(long, value_name = "KEY", env = "BNSD_PAYER")]
    payer: Option<Reference>,
    #[command(flatten)]
    fees: FeeOptions,
    /// Agree to what the updates cost; asked at a terminal otherwise
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    keys: KeyOptions,
}

impl Registrar {
    /// Works until a signal ends it.
    pub fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        let carrier = name(&self.name)?;
        let spool = Spool::open(&self.dir)?;
        let wallet = self.wallet(context)?;
        let owner = wallet.owner(&carrier, None)?;
        self.agree(context, &carrier)?;
        // Nobody is there to type a passphrase later.
        let mut locks = vec![owner];
        if let Some(payer) = &self.payer {
            locks.push(wallet.keyring.sender(Some(payer))?);
        }
        wallet.keyring.signing_keys(&locks)?;
        let mut pauses = Pauses::new()?;
        let round = Round {
            context,
            wallet,
            carrier,
            spool,
            means: self.means(),
        };
        let every = Duration::from_secs(self.every);
        // What is under way is brought to its end at once.
        let rest = match round.spool.zonefile()? {
            Some(_) => Duration::ZERO,
            None => round.spool.rest(every),
        };
        if !rest.is_zero() && pauses.interrupted_within(rest) {
            return Ok(Exit::Success);
        }
        loop {
            match round.run(&mut pauses) {
                Ok(Went::Interrupted) => return Ok(Exit::Success),
                Ok(Went::Through) => {}
                Err(error @ CliError::Output(_)) => return Err(error),
                Err(error) => tracing::warn!("the records wait: {error}"),
            }
            if pauses.interrupted_within(every) {
                return Ok(Exit::Success);
            }
        }
    }

    fn wallet<'c>(&'c self, context: &'c Context) -> Result<Wallet<'c>> {
        let most = self.max_fee;
        Ok(Wallet {
            consent: Box::new(move |consent| affordable(consent, most)),
            ..open(context, &self.keys)?
        })
    }

    fn means(&self) -> Means {
        Means {
            key: None,
            payer: self.payer.clone(),
            coins: Vec::new(),
            fees: self.fees.policy(),
            unanswered: Unanswered::Announced, // what is announced already, and records
            signer: Signer::Here,
            until: Until::Sent,
        }
    }

    fn agree(&self, context: &Context, carrier: &Name) -> Result<()> {
        if !self.yes {
            let most = match self.max_fee {
                Some(most) => format!("at most {}", words::gain(most.into())),
                None => "whatever miners take".to_owned(),
            };
            let every = self.every;
            eprintln!(
                "Each update of {carrier} pays {most}; there is one in {every} seconds at most, if there are records."
            );
        }
        Ok(agree(context, self.yes.into())?)
    }
}

/// Agrees to what costs no more than a sum of satoshi.
fn affordable(consent: &Consent<'_>, most: Option<u64>) -> Result<(), TaskError> {
    let total = consent.bill.total();
    match most {
        Some(most) if u64::try_from(total).is_ok_and(|total| total > most) => {
            Err(TaskError::No(format!(
                "an update costs {}, which is more than --max-fee {most}. Nothing was sent",
                words::gain(total.into())
            )))
        }
        _ => Ok(()),
    }
}

impl From<SpoolError> for CliError {
    fn from(error: SpoolError) -> Self {
        Self::Trouble(anyhow::Error::msg(error.to_string())) // it says its cause itself
    }
}
