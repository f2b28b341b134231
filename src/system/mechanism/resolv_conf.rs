//! The plain file `/etc/resolv.conf` (resolv.conf(5)), also where it is a link: the C library asks its servers one after
//! the other, whatever the name.
//!
//! The servers that stood there are noted in a comment, where bnsd finds whom it can ask. They do not stand behind bnsd as
//! servers: the C library would ask them whenever bnsd answers that it cannot vouch for a name.

use super::{Mechanism, RESOLV_CONF, needs_all, needs_port_53};
use crate::system::error::Result;
use crate::system::machine::Machine;
use crate::system::{Changes, Wish};
use crate::upstream::ASKED_BY_US;

/// What clients may do with answers: large ones come over UDP, and AD is believed, because it comes from this machine.
pub(super) const OPTIONS: &str = "edns0 trust-ad";

/// The plain file.
pub struct ResolvConf;

impl Mechanism for ResolvConf {
    fn name(&self) -> &'static str {
        "resolv.conf"
    }

    fn is_in_charge(&self, machine: &Machine) -> bool {
        machine.has(RESOLV_CONF)
    }

    fn changes(&self, wish: &Wish, machine: &Machine) -> Result<Changes> {
        needs_all(self, wish)?;
        needs_port_53(wish)?;
        let mut changes = Changes::default();
        add(wish, machine, &mut changes);
        Ok(changes)
    }
}

/// Adds the file that names bnsd alone. What it said about short names stays.
pub(super) fn add(wish: &Wish, machine: &Machine, changes: &mut Changes) {
    let ip = wish.server.ip();
    let mut text = format!("nameserver {ip}\noptions {OPTIONS}\n");
    let mut asked = String::new();
    for line in machine.text(RESOLV_CONF).lines().map(str::trim) {
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match word {
            "search" | "domain" => text += &format!("{line}\n"),
            "nameserver" if rest.trim() != ip.to_string() => {
                asked += &format!("{ASKED_BY_US}{}\n", rest.trim());
            }
            _ if line.starts_with(ASKED_BY_US) => asked += &format!("{line}\n"),
            _ => {}
        }
    }
    if !asked.is_empty() {
        text += &format!("# Unless its `dns.upstreams` says otherwise:\n{asked}");
    }
    changes.file(RESOLV_CONF, &text);
}
