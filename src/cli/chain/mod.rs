//! `bnsd chain`: the chain that names rest on, derived again.

use clap::Subcommand;

use super::{CliError, Context, Exit};

mod progress;
mod replay;
mod verify;

/// Subcommands of `bnsd chain`.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Derive the consensus hash of every block in memory and print it; nothing is written.
    Replay(replay::Replay),
    /// Derive everything that is stored again from the stored operations, and compare.
    Verify(verify::Verify),
}

impl ChainCommand {
    /// Does what the subcommand is for.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        match self {
            Self::Replay(replay) => replay.run(context),
            Self::Verify(verify) => verify.run(context),
        }
    }
}
