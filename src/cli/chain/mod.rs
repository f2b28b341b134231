//! `bnsd chain`: the chain that names rest on, derived again.

use anyhow::anyhow;
use clap::Subcommand;

use super::{CliError, Context, Exit, Result, log};
use crate::bns::Bns;
use crate::chain::SourceKind;
use crate::config::{Config, Profile};
use crate::daemon;
use crate::store::{Store, StoreError};

mod audit;
mod check_proof;
mod export;
mod import_final;
mod new_network;
mod progress;
mod prove;
mod replay;
mod rewind;
pub mod vectorfile;
mod verify;

/// Subcommands of `bnsd chain`.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Have the daemon look at random old blocks whole, to find what logs left out.
    Audit(audit::Audit),
    /// Derive the consensus hash of every block in memory and print it; nothing is written.
    Replay(replay::Replay),
    /// Write the log of the chain, from which others follow it without a node.
    ///
    /// The running daemon is asked; where none runs, its database and its node are. Equal chains give equal bytes. What an
    /// earlier run wrote stays, so that a run that was ended goes on. The newest blocks are in the log as soon as they are
    /// indexed; run it again for those that follow, or set `chain.publish`.
    Export(export::Export),
    /// Write the file of a network of one's own, and say what to configure.
    NewNetwork(new_network::NewNetwork),
    /// Go back to an earlier block and list what that undoes; the daemon must not run.
    Rewind(rewind::Rewind),
    /// Write a proof of what a name was, for whoever trusts the consensus hash of one block.
    Prove(prove::Prove),
    /// Bring in the names of the historical network from the files of its last state; the daemon must not run.
    ImportFinal(import_final::ImportFinal),
    /// Say what a proof shows; needs no database and no daemon.
    CheckProof(check_proof::CheckProof),
    /// Derive everything that is stored again from the stored operations, and what is compiled from zone files, and compare.
    Verify(verify::Verify),
}

impl ChainCommand {
    /// Does what the subcommand is for.
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Audit(audit) => audit.run(context),
            Self::Replay(replay) => replay.run(context),
            Self::Export(export) => export.run(context),
            Self::NewNetwork(network) => network.run(context),
            Self::Rewind(rewind) => rewind.run(context),
            Self::Prove(prove) => prove.run(context),
            Self::ImportFinal(import) => import.run(context),
            Self::CheckProof(check) => check.run(context),
            Self::Verify(verify) => verify.run(context),
        }
    }
}

/// The database that the configuration names, which has to be there, and the rules that it was made with.
fn open_database(context: &Context) -> Result<(Store, Bns)> {
    let (store, bns, _) = open_even_damaged(context)?;
    match store.damage() {
        None => Ok((store, bns)),
        Some(detail) => {
            let error = StoreError::Damaged(detail.to_owned());
            Err(CliError::Trouble(error.into()))
        }
    }
}

/// The same, whether it is damaged or not, and the configuration.
fn open_even_damaged(context: &Context) -> Result<(Store, Bns, Config)> {
    let config = context.load(Profile::Serve, Vec::new())?;
    log::start(config.log)?;
    if config.chain.source == SourceKind::Final {
        return Err(CliError::Trouble(anyhow!(
            "the names of `chain.source = \"final\"` come from published files: there is no chain to work on"
        )));
    }
    if !Store::exists(&config.data_dir) {
        let directory = config.data_dir.display();
        return Err(CliError::Trouble(anyhow!(
            "there is no database in {directory}: name the right one with --data-dir"
        )));
    }
    let params = daemon::params(&config.chain);
    let store = daemon::open_store(&config, &params).map_err(CliError::Trouble)?;
    Ok((store, Bns::new(params), config))
}
