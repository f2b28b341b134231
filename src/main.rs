//! The program `bnsd`: arguments, run, exit code. Everything else is in the library.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use bnsd::cli::Cli;

fn main() -> ExitCode {
    match Cli::of_process().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}"); // a closed terminal changes no exit code
            error.exit().into()
        }
    }
}
