//! `bnsd tls pins`: what a TLS server of a name has to show.

use clap::Args;

use crate::api::explain::Side;
use crate::api::keys::{KeysReply, KeysRequest, PORT};
use crate::cli::output::Page;
use crate::cli::{Context, Exit, Result};

/// Arguments of `bnsd tls pins`.
#[derive(Debug, Args)]
pub struct Pins {
    /// The domain name of the server.
    name: String,
    /// Its TCP port.
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

impl Pins {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(KeysRequest {
            name: self.name,
            port: Some(self.port),
            delegation: None,
            history: false,
        })?;
        context.output.show(&reply, |page| write(&reply, page))?;
        Ok(Exit::success_if(!reply.pins.is_empty()))
    }
}

/// TLSA records as a zone file has them, then what they rest on.
fn write(reply: &KeysReply, page: &mut Page) {
    let owner = format!("_{}._tcp.{}.", reply.port, reply.host);
    for pin in &reply.pins {
        page.row([
            owner.clone(),
            "TLSA".to_owned(),
            format!(
                "{} {} {} {}",
                pin.usage, pin.selector, pin.matching, pin.data
            ),
            format!("; {}", pin.rule),
        ]);
    }
    if reply.side == Side::Legacy {
        page.note("The name is no name of the chain: it has no pins here.");
    } else if reply.pins.is_empty() {
        page.note("Nothing is pinned: programs that check pins refuse the server.");
    }
    for problem in &reply.keys.key_problems {
        page.note(format!("Left out: {problem}"));
    }
    if let (Some(block), Some(txid)) = (reply.block, &reply.txid) {
        page.note(format!("Since block {block} by transaction {txid}."));
    }
    if let Some(hash) = &reply.zonefile_hash {
        page.note(format!("Zone file {hash}."));
    }
}
