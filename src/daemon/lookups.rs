//! Hosts that the daemon itself looks up, as a client of it would.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;

use super::service::Service;
use crate::api::control::Control as _;
use crate::api::lookup::LookupRequest;
use crate::api::message::{Reply, Request};
use crate::chain::p2p::Resolve;

/// Who looks up the names of seeds and peers: the daemon itself, as soon as it answers.
#[derive(Clone, Default)]
pub(super) struct Lookups {
    service: Arc<OnceLock<Weak<Service>>>,
}

impl Lookups {
    /// From now on names are looked up by `service`.
    pub(super) fn begin(&self, service: &Arc<Service>) {
        let _ = self.service.set(Arc::downgrade(service)); // it is called once
    }

    /// Looks up hosts for threads that may block: each name as a client of the daemon would; none before it began.
    pub(super) fn resolve(&self) -> Box<Resolve> {
        let (lookups, runtime) = (self.clone(), Handle::current());
        Box::new(move |host: &str| lookups.addresses(host, &runtime))
    }

    fn addresses(&self, host: &str, runtime: &Handle) -> Vec<IpAddr> {
        let Some(service) = self.service.get().and_then(Weak::upgrade) else {
            return Vec::new();
        };
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        runtime.block_on(addresses(&service, host))
    }
}

/// The addresses of a host, as a client of the daemon would get them.
pub(super) async fn addresses(service: &Arc<Service>, host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for rtype in ["A", "AAAA"] {
        let request = LookupRequest {
            name: host.to_owned(),
            record_type: rtype.to_owned(),
            at: None,
        };
        if let Reply::Lookup(reply) = service.handle(Request::Lookup(request)).await {
            found.extend(reply.addresses());
        }
    }
    found
}
