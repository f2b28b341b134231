//! systemd-resolved from version 258 on: a file that delegates domains to a server (systemd.dns-delegate(5)). The server
//! is asked for these domains and for nothing else.

use std::fs;

use super::resolved::{add_anchors, domains, is_running};
use super::{Mechanism, server_with_port};
use crate::system::error::Result;
use crate::system::machine::Machine;
use crate::system::{Changes, Scope, Wish};

/// The file.
const DELEGATE: &str = "etc/systemd/dns-delegate.d/bnsd.dns-delegate";
/// The first version of systemd that reads it.
const VERSION: u32 = 258;
/// Where systemd keeps the library that is named after its version.
const LIBRARIES: [&str; 4] = [
    "usr/lib/systemd",
    "usr/lib64/systemd",
    "usr/lib/x86_64-linux-gnu/systemd",
    "usr/lib/aarch64-linux-gnu/systemd",
];
/// What stands before the version in its name.
const LIBRARY: &str = "libsystemd-shared-";

/// systemd-resolved with a delegate.
pub struct DnsDelegate;

impl Mechanism for DnsDelegate {
    fn name(&self) -> &'static str {
        "dns-delegate"
    }

    fn is_in_charge(&self, machine: &Machine) -> bool {
        is_running(machine) && version(machine).is_some_and(|version| version >= VERSION)
    }

    fn changes(&self, wish: &Wish, machine: &Machine) -> Result<Changes> {
        let (server, domains) = (server_with_port(wish), domains(wish));
        let default = match wish.scope {
            Scope::All => "DefaultRoute=yes\n",
            Scope::Domains => "",
        };
        let mut changes = Changes::default();
        changes.file(
            DELEGATE,
            &format!("[Delegate]\nDNS={server}\nDomains={domains}\n{default}"),
        );
        add_anchors(wish, machine, &mut changes);
        Ok(changes)
    }
}

/// The version of systemd, from the name of its library: an image's programs cannot be asked.
fn version(machine: &Machine) -> Option<u32> {
    let directories = LIBRARIES.iter().map(|directory| machine.path(directory));
    let files = directories.filter_map(|directory| fs::read_dir(directory).ok());
    let mut names = files.flatten().flatten().map(|file| file.file_name());
    names.find_map(|name| {
        let version = name.to_str()?.strip_prefix(LIBRARY)?;
        let end = version.find(|c: char| !c.is_ascii_digit());
        version.get(..end?)?.parse().ok()
    })
}
