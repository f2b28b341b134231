//! The running daemon: assembles the adapters and stops them in order.
//!
//! ```text
//! threads:  indexer (chain source -> rules -> store), folders (watched folders -> archive), udp (one a socket),
//!           sweep (reads the database again), archive (counts its files and notices lost ones), archive settle (moves files
//!           of its earlier form, takes the rights of others), publish (keeps the log of the chain current)
//! tasks:    tcp, tls, https (accept connections), control socket, HTTP API, network watch, configuration
//!           (the file that changes), memory, samples, log (faults that repeat)
//! ```
//!
//! These workers belong to one crew, which the supervisor watches. DNS sockets are bound first, so that a taken port
//! is reported before anything is created, or are handed over by the service manager. They answer legacy names from the
//! first moment, whatever the chain does. An index that cannot go on is logged and shown by `bnsd status`; it never takes the resolver with it.

mod atlas;
mod demo;
mod descriptors;
mod dns;
mod http;
mod index;
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "a descriptor that was passed is only a number, and no library vouches for it"
)]
mod inherited;
#[cfg(target_os = "macos")]
#[allow(unsafe_code, reason = "launchd hands over descriptors by a call of C")]
mod launchd;
mod light;
mod log_desk;
mod lookups;
#[allow(unsafe_code, reason = "malloc_trim(3) is in no library but libc")]
mod memory;
#[cfg(target_os = "linux")]
mod notify;
mod preferences;
#[cfg(target_os = "linux")]
mod privileges;
mod proxy;
mod reload;
mod running;
mod samples;
#[cfg(target_os = "linux")]
mod sandbox;
mod service;
mod source;
mod supervisor;
mod trust;

pub use demo::run_demo;
pub use index::{archive, open_store, params, require_end};
pub use running::Daemon;
pub use service::Offline;
pub use source::{credentials as node_credentials, open_existing as open_source};
pub use supervisor::EndSignals;

use std::path::PathBuf;

use crate::config::{Config, Profile, Sources};
use crate::dns::Identity;
use crate::folder::FolderError;
use crate::log::Log;
#[cfg(target_os = "macos")]
use launchd as inherited;
use reload::Reload;
use running::Sockets;

/// Other systems have no manager that hands over sockets.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod inherited {
    pub(super) fn take() -> anyhow::Result<Option<crate::dns::Inherited>> {
        Ok(None)
    }
}

/// systemd is on Linux.
#[cfg(not(target_os = "linux"))]
mod notify {
    pub(super) fn ready() {}

    pub(super) fn stopping() {}

    pub(super) fn is_wanted() -> bool {
        false
    }

    pub(super) fn reloading() {}

    pub(super) async fn keep_telling(_: impl Fn() -> bool, _: impl Fn() -> String) {}
}

/// Elsewhere the service manager starts us as the right user.
#[cfg(not(target_os = "linux"))]
mod privileges {
    use crate::config::Config;

    pub(super) fn give_up(config: &Config) -> anyhow::Result<()> {
        check(config)
    }

    pub(super) fn warn(_: &Config) {}

    pub(super) fn check(config: &Config) -> anyhow::Result<()> {
        let text = "`user` is for Linux: let the service manager start bnsd as that user";
        anyhow::ensure!(config.user.is_none(), text);
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod sandbox {
    use std::path::Path;

    use crate::config::{Config, Sources};

    pub(super) fn state() -> Option<&'static str> {
        None
    }

    pub(super) fn reaches<'a>(_: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
        Ok(())
    }

    pub(super) fn enter(_: &Config, _: &Sources) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Runs the daemon until a signal ends it. `config` was read from `sources`, from which it is read again at a reload.
/// Rights are given up while there is one thread, with the sockets in hand.
pub fn run_serve(config: &Config, sources: Sources, log: Log) -> anyhow::Result<()> {
    let reload = Reload::new(config.clone(), sources, log); // before the file can change
    let ports = dns::take_ports(config)?;
    let api = http::bind(config)?;
    let peers = atlas::bind(config)?;
    privileges::give_up(config)?;
    sandbox::enter(config, &reload.sources)?;
    let server = dns::server(ports, config)?; // with keys that it can read again
    supervisor::run(async {
        let hangups = supervisor::hangups()?;
        let opened = source::open(config)?;
        // Before anybody can see that the daemon is there and ask it to end.
        let signals = EndSignals::register()?;
        let sockets = Sockets {
            dns: server,
            api,
            atlas: peers,
        };
        let mut daemon = Daemon::start_on(sockets, config, Profile::Serve, opened, Some(reload))?;
        daemon.log_start();
        privileges::warn(config);
        if notify::is_wanted() {
            daemon.tell_manager();
        }
        notify::ready();
        supervisor::serve(daemon, signals, hangups).await
    })
}

/// Looks for what the configuration names and a start would miss. Nothing is started or created.
pub fn check(config: &Config) -> anyhow::Result<()> {
    check_folders(&config.zonefiles.folders)?;
    dns::identities(config).try_for_each(Identity::check)?;
    privileges::check(config)?;
    source::credentials(&config.chain.node)?;
    Ok(())
}

/// Looks whether folders are there and can be read.
fn check_folders<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), FolderError> {
    for path in folders {
        std::fs::read_dir(path).map_err(|error| FolderError::Watch {
            path: path.clone(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}
