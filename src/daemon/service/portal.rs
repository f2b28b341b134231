//! Opens the way through a captive portal, and says how it stands.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Answered, Service, trouble, usage};
use crate::api::portal::{PortalReply, PortalRequest, TIME_MAX};
use crate::upstream::{self, SystemResolvers, UpstreamConfig};

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
        let given = SystemResolvers::of_machine().upstreams(&self.listeners);
        let given = given.unwrap_or_default();
        let given: Vec<_> = given.iter().filter_map(UpstreamConfig::address).collect();
        if given.is_empty() {
            let text = "nobody says which resolvers this network has: name one with --resolver, often the router";
            return Err(usage(text));
        }
        Ok(given)
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
