//! openresolv (resolvconf.conf(5)): a local name server in its configuration comes first, and those of the interfaces are
//! left out behind it.

use super::resolv_conf::OPTIONS;
use super::{Mechanism, needs_all, needs_port_53, resolv_conf_is};
use crate::system::error::Result;
use crate::system::machine::Machine;
use crate::system::{BY_US, Changes, Content, Wish, command};

/// Its configuration, a part of a shell script.
const CONFIGURATION: &str = "etc/resolvconf.conf";
/// What writes the file anew.
const UPDATE: [&str; 2] = ["resolvconf", "-u"];

/// openresolv.
pub struct Openresolv;

impl Mechanism for Openresolv {
    fn name(&self) -> &'static str {
        "openresolv"
    }

    fn is_in_charge(&self, machine: &Machine) -> bool {
        machine.has(CONFIGURATION)
            && resolv_conf_is(machine, "enerated by resolvconf", "run/resolvconf")
    }

    fn changes(&self, wish: &Wish, machine: &Machine) -> Result<Changes> {
        needs_all(self, wish)?;
        needs_port_53(wish)?;
        let mut text = machine.text(CONFIGURATION);
        if let Some((before, _)) = text.split_once(BY_US) {
            text = before.to_owned();
        }
        let ip = wish.server.ip();
        let ours = format!("{BY_US}name_servers={ip}\nresolv_conf_options=\"{OPTIONS}\"\n");
        let mut changes = Changes::default();
        changes.put(CONFIGURATION, Content::Text(text + &ours));
        changes.then.push(command(&UPDATE));
        changes.after_undoing.push(command(&UPDATE));
        Ok(changes)
    }
}
