//! `bnsd completions`: what a shell has to know to complete our commands.

use clap::Args;
use clap_complete::Shell;

use super::definitions::definitions;
use super::output::print_bytes;
use super::{Exit, Result};

/// Arguments of `bnsd completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definitions(), "bnsd", &mut script);
        print_bytes(&script)?;
        Ok(Exit::Success)
    }
}
