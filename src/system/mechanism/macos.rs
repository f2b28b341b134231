//! macOS: a file for each domain in `/etc/resolver` (resolver(5)). All names are the business of its settings.
//!
//! Nobody has run this on a Mac: the text is compared with a golden file.

use super::Mechanism;
use crate::system::error::{Result, SystemError};
use crate::system::machine::Machine;
use crate::system::{Changes, Scope, Wish, command};

/// What every macOS has.
const VERSION: &str = "System/Library/CoreServices/SystemVersion.plist";
/// What makes it forget what it knew.
const FLUSH: [&str; 2] = ["dscacheutil", "-flushcache"];

/// macOS.
pub struct MacOs;

impl Mechanism for MacOs {
    fn name(&self) -> &'static str {
        "macos"
    }

    fn is_in_charge(&self, machine: &Machine) -> bool {
        machine.has(VERSION)
    }

    fn changes(&self, wish: &Wish, _: &Machine) -> Result<Changes> {
        if wish.scope == Scope::All {
            let text = "on macOS, give bnsd's address as the DNS server in the settings of the network, or leave out --all";
            return Err(SystemError::Refused(text.to_owned()));
        }
        let (ip, port) = (wish.server.ip(), wish.server.port());
        let mut changes = Changes::default();
        for domain in &wish.domains {
            let text = format!("nameserver {ip}\nport {port}\n");
            changes.file(&format!("etc/resolver/{domain}"), &text);
        }
        changes.then.push(command(&FLUSH));
        changes.after_undoing.push(command(&FLUSH));
        Ok(changes)
    }
}
