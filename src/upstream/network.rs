//! The network that upstreams are reached through: other upstreams, a captive portal, a machine that was suspended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;

use super::ask::wire_name;
use super::forwarder::Forwarder;
use super::group::Group;
use super::link::Upstream;
use super::portal::PortalReport;
use super::table::Table;
use super::tls::TlsError;
use super::upstream::UpstreamConfig;

impl Forwarder {
    /// Puts other upstreams in force. What was kept belongs to the network that was, and goes.
    pub fn set_upstreams(&self, upstreams: &[UpstreamConfig]) -> Result<(), TlsError> {
        let table = Table::new(&self.options, upstreams, &self.tls)?;
        self.table.store(Arc::new(table));
        self.cache.flush(None);
        self.failures.clear();
        self.close_portal();
        Ok(())
    }

    /// Lets the network's own `resolvers` answer for `time`, so that its login page can be reached.
    pub fn open_portal(&self, resolvers: &[SocketAddr], time: Duration) -> Result<(), TlsError> {
        let configs: Vec<_> = resolvers
            .iter()
            .map(|&at| UpstreamConfig::Plain(at))
            .collect();
        let group = Group::new(&configs, &self.tls, &self.options.bootstrap)?;
        self.portal
            .open(group, resolvers.to_vec(), self.now() + time);
        Ok(())
    }

    /// Closes the way through the portal; whether it was open.
    pub fn close_portal(&self) -> bool {
        self.portal.close(self.now())
    }

    /// Who answers while a portal is let through, and for how long; `None` while none is.
    pub fn portal(&self) -> Option<PortalReport> {
        self.portal.report(self.now())
    }

    /// The network may be another one, as after a suspension: connections, health and failures are forgotten.
    pub async fn reset(&self) {
        self.failures.clear();
        self.close_portal();
        let table = self.table.load_full();
        for group in table.groups() {
            group.reset().await;
        }
    }

    /// The upstreams that are asked where no route says otherwise.
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        let table = self.table.load();
        let all = table.all.upstreams().iter();
        all.map(|upstream| upstream.config().clone()).collect()
    }

    /// One line about each upstream, for people.
    pub fn describe(&self) -> Vec<String> {
        let table = self.table.load();
        let all = table.all.upstreams().iter();
        all.map(describe).collect()
    }

    /// Whether a route of the configuration covers a name. Such a name is forwarded even if it is special-use.
    pub fn has_route(&self, name: &DnsName) -> bool {
        self.table.load().has_route(name)
    }

    /// Forgets all responses, or those at and below a name; gives their number.
    pub fn flush(&self, name: Option<&DnsName>) -> usize {
        self.failures.clear();
        let wire = name.map(wire_name);
        self.cache.flush(wire.as_deref())
    }
}

fn describe(upstream: &Upstream) -> String {
    let report = upstream.health.report();
    let mut text = upstream.config().to_string();
    if let Some(latency) = report.latency {
        text.push_str(&format!(", {} ms", latency.as_millis()));
    }
    if upstream.health.is_looping() {
        text.push_str(", leads back to bnsd");
    } else if report.failures > 0 {
        text.push_str(&format!(", failed {} times in a row", report.failures));
    }
    text
}
