//! `bnsd tls`: the keys that names bind, and what programs and browsers make of them.

mod pins;

use clap::Subcommand;

use super::{Context, Exit, Result};

/// Subcommands of `bnsd tls`.
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Say what a TLS server of a name has to show, and what proves it.
    Pins(pins::Pins),
}

impl TlsCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Pins(pins) => pins.run(context),
        }
    }
}
