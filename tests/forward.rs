//! Names that are not ours, through the running daemon: who is believed, what is passed on, what is kept, and what
//! happens when upstreams misbehave. `BNSD_TEST_FORM=release` runs the long forms. Tests that stand for a row of the
//! conformance checklist are called after it.

use crate::common::form::form;
use crate::common::resolver::Resolver;
use crate::common::upstream::{Certificate, Seen, Send, Upstream, good};

/// Who is believed: forgeries, ports, letters.
mod believed;

/// What goes through untouched, and what is left out.
mod passed;

/// The cache.
mod kept;

/// Upstreams that are dead, lossy, restarted, far away or ourselves.
mod trouble;

/// Silent upstreams under load.
mod outage;

/// DNS over TLS and over HTTPS, routes.
mod encrypted;

/// DNSSEC validation by choice.
mod validated;

const GOOD: &str = "198.51.100.5";

fn answers(seen: &Seen) -> Vec<Send> {
    vec![Send::Reply(good(&seen.bytes))]
}

fn asking(upstream: &Upstream) -> Resolver {
    Resolver::asking(&[&upstream.address.to_string()])
}

fn pinned(certificate: &Certificate, upstream: &Upstream) -> String {
    format!("tls://sha256:{}@{}", certificate.pin, upstream.address)
}
