//! Opens the way through a captive portal, and says how it stands.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::{Answered, Service, trouble, usage};
use crate::api::portal::{PortalReply, PortalRequest, TIME_MAX};
use crate::upstream::{self, UpstreamConfig, system_upstreams};

/// Where the resolvers stand that the network gave, the first that names any first: as the system uses them, and
/// as NetworkManager and systemd-resolved keep them when the system asks bnsd.
const GIVEN: [&str; 3] = [
    "/etc/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
];

impl Service {
    pub(super) fn portal(&self, request: &PortalRequest) -> Answered<PortalReply> {
        let forwarder = &self.handler.forwarder;
        match request {
            PortalRequest::Open { seconds, resolvers } => {
                let resolvers = self.resolvers(resolvers)?;
                let time = Duration::from_secs((*seconds).min(TIME_MAX).into());
                forwarder.open_portal(&resolvers, time).map_err(trouble)?;
                tracing::info!("a captive portal is let through for {} s", time.as_secs());
            }
            PortalRequest::Close {} => {
                forwarder.close_portal();
            }
            PortalRequest::Show {} => {}
        }
        let report = forwarder.portal();
        Ok(
            report.map_or_else(PortalReply::default, |open| PortalReply {
                open: true,
                remaining: open.remaining.as_secs(),
                resolvers: open.resolvers.iter().map(ToString::to_string).collect(),
            }),
        )
    }

    /// Who was named, or else whom the network gave.
    fn resolvers(&self, named: &[String]) -> Answered<Vec<SocketAddr>> {
        let named = named.iter().map(|text| self.resolver(text));
        let named = named.collect::<Answered<Vec<_>>>()?;
        if !named.is_empty() {
            return Ok(named);
        }
        let given = GIVEN.iter().find_map(|path| {
            let found = system_upstreams(Path::new(path), &self.listeners).ok()?;
            let found: Vec<_> = found.iter().filter_map(UpstreamConfig::address).collect();
            (!found.is_empty()).then_some(found)
        });
        given.ok_or_else(|| {
            usage("nobody says which resolvers this network has: name one with --resolver, often the router")
        })
    }

    fn resolver(&self, text: &str) -> Answered<SocketAddr> {
        match text.parse() {
            Ok(UpstreamConfig::Plain(address))
                if upstream::is_own_listener(address, &self.listeners) =>
            {
                Err(usage(format!(
                    "{address} is where bnsd itself listens: name another resolver"
                )))
            }
            Ok(UpstreamConfig::Plain(address)) => Ok(address),
            _ => Err(usage(format!(
                "{text:?} is no address of a resolver: write for example 192.168.1.1"
            ))),
        }
    }
}
