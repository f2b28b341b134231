//! `bnsd chain`: the chain that names rest on, derived again.

use clap::Subcommand;

use super::{CliError, Context, Exit};

mod progress;
mod replay;
mod rewind;
mod verify;

/// Subcommands of `bnsd chain`.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Derive the consensus hash of every block in memory and print it; nothing is written.
    Replay(replay::Replay),
    /// Go back to an earlier block and list what that undoes; the daemon must not run.
    Rewind(rewind::Rewind),
    /// Derive everything that is stored again from the stored operations, and compare.
    Verify(verify::Verify),
}

impl ChainCommand {
    /// Does what the subcommand is for.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        match self {
            Self::Replay(replay) => replay.run(context),
            Self::Rewind(rewind) => rewind.run(context),
            Self::Verify(verify) => verify.run(context),
        }
    }
}
