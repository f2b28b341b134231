//! systemd-resolved before version 258: a drop-in with a server and the domains that belong to it (resolved.conf(5)).
//!
//! A server of the drop-in is one for all names where no interface has servers of its own: then nothing but `Domains=`
//! tells them apart, and questions for other names come to bnsd beside those who are asked already. Since resolved takes
//! the first answer, they do not fail while bnsd is down.
//!
//! The domains are negative trust anchors too (dnssec-trust-anchors.d(5)): the signed tree proves that they do not exist,
//! or are somebody else's, and a resolved that validates would take bnsd's answers for forged. As soon as there is one
//! such file, resolved's own list does not count any more, so the file repeats it unless somebody else has done so.

use super::{Mechanism, RESOLV_CONF, resolv_conf_is, server_with_port};
use crate::system::error::Result;
use crate::system::machine::Machine;
use crate::system::{BY_US, Changes, Content, Scope, Wish, command};

/// The drop-in.
const DROP_IN: &str = "etc/systemd/resolved.conf.d/bnsd.conf";
/// The domains that are not validated.
const ANCHORS: &str = "etc/dnssec-trust-anchors.d/bnsd.negative";
/// Where such files are, with their ending.
const ANCHOR_DIRECTORIES: [&str; 3] = [
    "etc/dnssec-trust-anchors.d",
    "run/dnssec-trust-anchors.d",
    "usr/lib/dnssec-trust-anchors.d",
];
/// Resolved's own list (dnssec-trust-anchors.d(5)), without the sixteen networks of 172.16.0.0/12.
const BUILT_IN: [&str; 15] = [
    "home.arpa",
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    "170.0.0.192.in-addr.arpa",
    "171.0.0.192.in-addr.arpa",
    "d.f.ip6.arpa",
    "ipv4only.arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "lan",
    "local",
    "private",
    "test",
];
/// What reads all of it again; nothing where resolved does not run.
const RESTART: [&str; 3] = ["systemctl", "try-restart", "systemd-resolved.service"];

/// systemd-resolved with a drop-in.
pub struct Resolved;

impl Mechanism for Resolved {
    fn name(&self) -> &'static str {
        "resolved"
    }

    fn is_in_charge(&self, machine: &Machine) -> bool {
        is_running(machine)
    }

    fn changes(&self, wish: &Wish, machine: &Machine) -> Result<Changes> {
        let (server, domains) = (server_with_port(wish), domains(wish));
        let mut changes = Changes::default();
        changes.file(
            DROP_IN,
            &format!("[Resolve]\nDNS={server}\nDomains={domains}\n"),
        );
        add_anchors(wish, machine, &mut changes);
        Ok(changes)
    }
}

/// Whether systemd-resolved is in charge.
pub(super) fn is_running(machine: &Machine) -> bool {
    let stub = "nameserver 127.0.0.53";
    resolv_conf_is(machine, stub, "run/systemd/resolve")
        || machine.link(RESOLV_CONF).starts_with("usr/lib/systemd")
}

/// The domains as resolved is told of them: they only say where questions go, and complete no short names.
pub(super) fn domains(wish: &Wish) -> String {
    match wish.scope {
        Scope::All => "~.".to_owned(),
        Scope::Domains => {
            let domains: Vec<String> = wish.domains.iter().map(|name| format!("~{name}")).collect();
            domains.join(" ")
        }
    }
}

/// Adds the negative trust anchors, and the restart that makes resolved read them.
pub(super) fn add_anchors(wish: &Wish, machine: &Machine, changes: &mut Changes) {
    let comment = BY_US.replace('#', ";"); // the only mark of a comment in such a file
    let mut domains = wish.domains.clone();
    if !has_other_anchors(machine) {
        domains.extend(BUILT_IN.map(str::to_owned));
        domains.extend((16..32).map(|second| format!("{second}.172.in-addr.arpa")));
    }
    let lines = domains.iter().map(|name| format!("{name}\n"));
    let text = comment + &lines.collect::<String>();
    changes.put(ANCHORS, Content::Text(text));
    changes.then.push(command(&RESTART));
    changes.after_undoing.push(command(&RESTART));
}

/// Whether somebody else has such a file, and so replaced resolved's own list.
fn has_other_anchors(machine: &Machine) -> bool {
    ANCHOR_DIRECTORIES.iter().any(|directory| {
        let files = std::fs::read_dir(machine.path(directory));
        let mut names = files
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path());
        names.any(|path| {
            path.extension().is_some_and(|ending| ending == "negative")
                && path != machine.path(ANCHORS)
        })
    })
}
