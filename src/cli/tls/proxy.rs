//! `bnsd tls proxy`: what browsers need to use the proxy of the daemon.

use clap::Args;
use serde::Serialize;

use crate::cli::output::print_bytes;
use crate::cli::{CliError, Context, Exit, Result};
use crate::trust::proxy::{ProxyError, access};

/// Arguments of `bnsd tls proxy`.
#[derive(Debug, Args)]
pub struct Proxy {
    /// Print the certificate that browsers have to trust, and nothing else.
    #[arg(long)]
    ca: bool,
}

/// What it says.
#[derive(Debug, Serialize)]
struct Report {
    /// The address of the file that browsers configure themselves with.
    pac: String,
    /// The proxy itself, for programs that are given it.
    proxy: String,
    /// What they send as the password, with any user.
    token: String,
    /// The certificate that they have to trust, PEM.
    root: String,
}

impl Proxy {
    /// Reads and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let Some(address) = config.tls.proxy else {
            let text = "there is no proxy: set `tls.proxy = \"127.0.0.1:6271\"` in bnsd.toml and start bnsd again";
            return Err(CliError::No(text.to_owned()));
        };
        let access = access(&config.data_dir).map_err(|error| match error {
            ProxyError::File { path, source } => CliError::file(&path)(source),
            error => CliError::Trouble(error.into()),
        })?;
        if self.ca {
            print_bytes(access.root.as_bytes())?;
            return Ok(Exit::Success);
        }
        let report = Report {
            pac: format!("http://{address}/{}/proxy.pac", access.token),
            proxy: format!("http://{address}"),
            token: access.token,
            root: access.root,
        };
        context.output.show(&report, |page| {
            page.entry("automatic configuration", &report.pac);
            page.entry("proxy", &report.proxy);
            page.entry("password", &report.token);
            page.note("Browsers have to trust the certificate that `bnsd tls proxy --ca` prints; any user will do.");
        })
    }
}
