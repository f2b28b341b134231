//! The program `bnsd`: arguments, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use bnsd::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().into()
        }
    }
}
