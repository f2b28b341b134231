//! `bnsd tls`: the keys that names bind, and what programs and browsers make of them.

mod agent;
mod ca;
mod check;
mod choice;
mod delegate;
mod init;
mod install;
mod issue;
mod pins;
mod proxy;

use clap::Subcommand;

use super::{Context, Exit, Result};

pub use choice::{TlsChoice, add_zonefile, is_bound, save, say_place};

/// Subcommands of `bnsd tls`.
#[derive(Debug, Subcommand)]
pub enum TlsCommand {
    /// Make the key that a name's zone file binds, certificates that its server shows, and lines for the server.
    Init(init::Init),
    /// Renew the certificate that the server shows. The chain is not needed for it.
    Issue(issue::Issue),
    /// Let the key that owns a name sign for its servers, without an operation on the chain.
    Delegate(Box<delegate::Delegate>),
    /// Connect to the server of a name, and say whether it is the one that the name binds.
    Check(check::Check),
    /// Say what a TLS server of a name has to show, and what proves it.
    Pins(pins::Pins),
    /// Tell what browsers need to use the proxy of the daemon, which checks servers for them.
    Proxy(proxy::Proxy),
    /// Print this machine's authority, which browsers have to trust.
    Ca(ca::Ca),
    /// Let programs and browsers trust this machine's authority.
    InstallCa(install::InstallCa),
    /// Take that back without a trace.
    UninstallCa(install::UninstallCa),
    /// Put certificates of names where the browsers of this user look, as long as it runs.
    Agent(agent::Agent),
}

impl TlsCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Init(init) => init.run(context),
            Self::Issue(issue) => issue.run(context),
            Self::Delegate(delegate) => delegate.run(context),
            Self::Check(check) => check.run(context),
            Self::Pins(pins) => pins.run(context),
            Self::Proxy(proxy) => proxy.run(context),
            Self::Ca(ca) => ca.run(context),
            Self::InstallCa(install) => install.run(context),
            Self::UninstallCa(uninstall) => uninstall.run(context),
            Self::Agent(agent) => agent.run(context),
        }
    }
}
