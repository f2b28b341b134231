//! Whether the daemon works, for those who watch over it, in one word and in one line.

use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RecordType};

use super::Service;
use crate::dns::{Client, Handled, Transport};
use crate::resolver::Snapshots as _;

/// A name that is looked for on the chain and never asked of an upstream.
const NAME: &str = "watchdog.id.bns.alt.";
/// An option for local use (RFC 6891 §9): replies to queries with options are not kept, so each of ours takes the whole way.
const OPTION: u16 = 65_001;

impl Service {
    /// Whether a question of our own gets a reply. It takes as long as a client's, so it never returns where a client would
    /// wait for ever.
    pub(in crate::daemon) fn answers(&self) -> bool {
        let client = Client {
            address: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Daemon,
        };
        let mut reply = Vec::new();
        let query = query().and_then(|query| query.to_vec().ok());
        let handled = query.map(|query| self.handler.handle(&query, client, &mut reply));
        matches!(handled, Some(Handled::Ready)) && !reply.is_empty()
    }

    /// The state in one line.
    pub(in crate::daemon) fn summary(&self) -> String {
        let names = self.names.snapshot();
        let snapshot = names.snapshot();
        let upstreams = self.handler.forwarder.upstreams().len();
        match (snapshot.tip(), snapshot.counts()) {
            (Some(tip), Ok(counts)) => format!(
                "block {}, {} names, {upstreams} upstreams",
                tip.height, counts.names
            ),
            (None, _) => format!("no block yet, {upstreams} upstreams"),
            (_, Err(error)) => format!("the database cannot be read ({error}): bnsd status"),
        }
    }
}

fn query() -> Option<Message> {
    let mut edns = Edns::new();
    let option = EdnsOption::Unknown(OPTION, Vec::new());
    edns.options_mut().insert(option);
    let mut query = Message::query();
    query.set_edns(edns);
    let name = Name::from_ascii(NAME).ok()?;
    query.add_query(Query::query(name, RecordType::A));
    Some(query)
}
