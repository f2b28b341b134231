//! The file that tells a browser which connections go to the proxy (proxy auto-config).
//!
//! It is read in the browser, which knows nothing of the chain. So it sends what is the chain's by its ending: names below
//! `bns.alt`, and those of namespaces that nobody else has. Of a namespace that is also a top-level domain it sends a name
//! only if the name below `bns.alt` resolves, which it does for names of the chain alone. Everything else, and everything that
//! is not TLS, goes where it went before.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Surroundings;
use crate::bns::NamespaceId;
use crate::resolver::{Mode, Preference};

/// What follows the tables.
const RULES: &str = r#"
function has(table, key) {
  return Object.prototype.hasOwnProperty.call(table, key);
}

function FindProxyForURL(url, host) {
  if (url.substring(0, 6) !== "https:" && url.substring(0, 4) !== "wss:") return "DIRECT";
  host = host.toLowerCase().replace(/\.$/, "");
  var labels = host.split(".");
  if (labels.length < 2) return "DIRECT";
  var name = labels.slice(-2).join(".");
  var namespace = labels[labels.length - 1];
  if (name === "bns.alt") return proxy;
  if (has(legacy, name)) return "DIRECT";
  if (has(only, namespace)) return proxy;
  if (has(exact, namespace) && isResolvable(host + ".bns.alt")) return proxy;
  return "DIRECT";
}
"#;

/// The file of a proxy at an address.
pub fn render(address: SocketAddr, surroundings: &dyn Surroundings) -> String {
    let (policy, constraints) = (surroundings.policy(), surroundings.constraints());
    let with = |mode: Mode| {
        let ids = constraints.namespaces.iter().filter(|id| {
            let id: Option<NamespaceId> = id.parse().ok();
            id.is_some_and(|id| policy.mode(&id).mode() == mode)
        });
        table(ids.cloned())
    };
    let preferred = policy.preferences.iter();
    let preferred = preferred.filter(|(_, side)| **side == Preference::Legacy);
    let legacy = preferred.map(|(name, _)| name.to_string());
    let legacy = table(legacy.chain(constraints.protected.iter().cloned()));
    let proxy = json!(format!("PROXY {address}"));
    let (only, exact) = (with(Mode::Only), with(Mode::Exact));
    format!(
        "var proxy = {proxy};\nvar only = {only};\nvar exact = {exact};\nvar legacy = {legacy};\n{RULES}"
    )
}

fn table(keys: impl Iterator<Item = String>) -> Value {
    keys.map(|key| (key, json!(1))).collect()
}
