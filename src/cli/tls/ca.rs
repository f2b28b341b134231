//! `bnsd tls ca`: this machine's authority.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::api::trust::RootRequest;
use crate::cli::output::{Page, print_bytes};
use crate::cli::{CliError, Context, Exit, Result};
use crate::trust::{RootCertificate, root_at};

/// Arguments of `bnsd tls ca`.
#[derive(Debug, Args)]
pub struct Ca {}

impl Ca {
    /// Asks and prints: the certificate alone goes to the standard output.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(RootRequest {})?;
        if context.output.is_json() {
            return context.output.show(&reply, |_| {});
        }
        print_bytes(reply.pem.as_bytes())?;
        let mut page = Page::default();
        page.entry("SHA-256", &reply.fingerprint);
        page.entry("for names of", &reply.permitted.join(", "));
        page.entry("never for", &(reply.excluded.join(", ") + ", any address"));
        if !reply.missing.is_empty() {
            page.caution(format!(
                "It is older than these namespaces, whose names get no certificate: {}. Remove the directory `trust` of the data, start bnsd again, and install the new one.",
                reply.missing.join(", ")
            ));
        }
        page.say();
        Ok(Exit::Success)
    }
}

/// The authority to install: that of a file, of the daemon that can be asked, or of one that serves this user's agent.
pub fn root(file: Option<&Path>, context: &Context) -> Result<RootCertificate> {
    if let Some(path) = file {
        let pem = std::fs::read(path).map_err(CliError::file(path))?;
        let read = RootCertificate::from_pem(&pem);
        return read.map_err(|error| {
            let path = path.display();
            CliError::No(format!(
                "{path} is no authority of bnsd: {error}; `bnsd tls ca` prints it"
            ))
        });
    }
    let refused = match context.answer(RootRequest {}) {
        Ok(reply) => {
            let read = RootCertificate::from_pem(reply.pem.as_bytes());
            return read.map_err(|error| CliError::Trouble(anyhow::Error::new(error)));
        }
        Err(error) => error,
    };
    let sockets = sockets(context)?;
    let mut found = sockets.iter().filter_map(|socket| root_at(socket).ok());
    found.next().ok_or_else(|| {
        let hint = "name this user in `tls.users` of bnsd.toml, or give the file that `sudo bnsd tls ca` prints with --ca";
        CliError::Trouble(anyhow::anyhow!("{refused}; {hint}"))
    })
}

/// Where a daemon may serve agents: beside its control socket.
pub fn sockets(context: &Context) -> Result<Vec<PathBuf>> {
    let control = context.control_candidates()?;
    Ok(control
        .iter()
        .map(|path| path.with_file_name("trust.sock"))
        .collect())
}
