//! `bnsd key`: every key that is bound to a name, with its history.

use clap::Args;

use super::output::Page;
use super::term::write_past;
use super::{Context, Exit, Result};
use crate::api::explain::Side;
use crate::api::keys::{KeySet, KeysReply, KeysRequest, PastKeys};

/// Arguments of `bnsd key`.
#[derive(Debug, Args)]
pub struct Key {
    /// The name.
    name: String,
}

impl Key {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(KeysRequest {
            name: self.name,
            port: None,
            delegation: None,
            history: true,
        })?;
        context.output.show(&reply, |page| write(&reply, page))?;
        Ok(Exit::success_if(reply.block.is_some()))
    }
}

fn write(reply: &KeysReply, page: &mut Page) {
    page.heading(&reply.host);
    if reply.side == Side::Legacy {
        page.note("The name is no name of the chain: it binds no keys here.");
    }
    page.entry_if("owner", reply.owner.as_ref());
    page.entry_if("since block", reply.block);
    page.entry_if("transaction", reply.txid.as_ref());
    page.entry_if("zone file hash", reply.zonefile_hash.as_ref());
    write_keys(&reply.keys, page);
    if !reply.history.is_empty() {
        page.heading("history");
    }
    for past in &reply.history {
        write_event(past, page);
    }
}

fn write_event(past: &PastKeys, page: &mut Page) {
    write_past(page, &past.operation, Some(past.height), past.time.as_ref());
    page.entry_if("  owner", past.owner.as_ref());
    if past.zonefile_hash.is_some() && !past.zonefile_present {
        page.entry("  keys", "not known, the zone file is not here");
    }
    write_keys(&past.keys, page);
}

fn write_keys(keys: &KeySet, page: &mut Page) {
    for key in &keys.tls_keys {
        let ports: Vec<String> = key.ports.iter().map(u16::to_string).collect();
        let what = match key.usage.as_str() {
            "ta" => "authority",
            _ => "server",
        };
        let (host, ports, rule) = (&key.host, ports.join(","), &key.rule);
        let text = format!("{} {host}:{ports} {rule}", key.spki_sha256);
        page.entry(&format!("  TLS {what}"), &text);
    }
    page.entry_if("  data key", keys.data_key.as_ref());
    for host in &keys.separate {
        page.entry("  own owner", host);
    }
    for problem in &keys.key_problems {
        page.entry("  left out", problem);
    }
}
