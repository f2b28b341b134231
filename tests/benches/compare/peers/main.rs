//! The parts of the comparison that no package brings: two bare servers as a floor and a ceiling, and a
//! generator of data directories. `tests/benches/compare/run` starts them; see the README beside it.
//!
//! ```text
//! compare echo ADDRESS WORKERS                 every query comes back with one fixed record
//! compare hickory ADDRESS WORKERS TABLE...     hickory-server answers from a map in memory
//! compare fill DIRECTORY NAMES                 a data directory of bnsd with that many names, and their table
//! ```

#![allow(missing_docs, reason = "a program")]

mod echo;
mod fill;
mod hickory;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use table::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "a part of tests/benches/compare/run, which see:\n  \
    compare echo ADDRESS WORKERS\n  \
    compare hickory ADDRESS WORKERS TABLE...\n  \
    compare fill DIRECTORY NAMES";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["echo", address, workers] => echo::serve(address.parse()?, workers.parse()?),
        ["hickory", address, workers, tables @ ..] => {
            let address: SocketAddr = address.parse()?;
            let tables: Vec<PathBuf> = tables.iter().map(PathBuf::from).collect();
            hickory::serve(address, workers.parse()?, &tables)
        }
        ["fill", directory, names] => {
            fill::fill(Path::new(directory), names.parse()?, Row::zonefile)
        }
        // `cargo bench` runs every bench without such words.
        _ => {
            println!("{USAGE}");
            Ok(())
        }
    }
}

/// A UDP socket that shares its port with those of the other workers.
fn shared_socket(address: SocketAddr) -> std::io::Result<socket2::Socket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
