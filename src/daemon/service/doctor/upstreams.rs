//! Who answers for other names: whether they do, and whether one sends questions back to bnsd.

use std::time::Duration;

use hickory_proto::rr::Name as DnsName;

use super::own::Own;
use crate::api::doctor::Finding;
use crate::config::Origin;
use crate::daemon::service::Service;
use crate::resolver::Snapshots as _;
use crate::upstream::{Examined, SystemResolvers, UpstreamConfig};

const CHECK: &str = "upstreams";
/// How long an upstream may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Resolvers that anybody may ask, for somebody who knows none.
const SOMEBODY: &str = "9.9.9.9";

impl Service {
    pub(super) async fn upstream_findings(&self, own: &Own) -> Vec<Finding> {
        let served = self.served(&self.names.snapshot());
        let domains = served.iter().filter_map(|id| DnsName::from_ascii(id).ok());
        let domains: Vec<DnsName> = domains
            .map(|mut domain| {
                domain.set_fqdn(true);
                domain
            })
            .collect();
        let examined = self.handler.forwarder.examine(&domains, PATIENCE).await;
        let mut findings: Vec<Finding> = examined
            .iter()
            .filter(|one| !one.leads_back.is_empty())
            .map(|one| self.circle(one, own))
            .collect();
        if findings.is_empty() {
            findings.push(self.reached(&examined, own));
        }
        findings
    }

    /// An upstream that sends questions back.
    fn circle(&self, one: &Examined, own: &Own) -> Finding {
        let domains: Vec<String> = one.leads_back.iter().map(ToString::to_string).collect();
        let text = format!(
            "the upstream {} leads back to bnsd for {}, so such names are not found: name another one",
            one.upstream,
            domains.join(", ")
        );
        let reload = self.reload.as_ref();
        let command = match reload.and_then(|reload| reload.origin("dns.upstreams")) {
            Some(Origin::File { path, line }) => own.without_line(&path, line),
            Some(Origin::Environment { .. } | Origin::Flag { .. }) => None,
            Some(Origin::Default) | None => Some(own.system("bnsd system uninstall")),
        };
        with(Finding::failure(CHECK, text, ""), command)
    }

    fn reached(&self, examined: &[Examined], own: &Own) -> Finding {
        let silent: Vec<String> = examined
            .iter()
            .filter_map(|one| {
                let failure = one.failure.as_ref()?;
                Some(format!("{}: {failure}", one.upstream))
            })
            .collect();
        let names: Vec<String> = examined
            .iter()
            .filter(|one| one.failure.is_none())
            .map(|one| one.upstream.to_string())
            .collect();
        match (names.is_empty(), silent.is_empty()) {
            (true, true) => self.nobody(own),
            (true, false) => self.all_silent(&silent, examined),
            (false, true) => Finding::ok(CHECK, format!("answered: {}", names.join(", "))),
            (false, false) => Finding::ok(
                CHECK,
                format!(
                    "answered: {}; passed over: {}",
                    names.join(", "),
                    silent.join(", ")
                ),
            ),
        }
    }

    fn nobody(&self, own: &Own) -> Finding {
        let text =
            "no upstream is known, so other names are not found: name a resolver that you trust";
        let tee = own.system("tee -a /etc/resolv.conf");
        let command = self
            .setup
            .follows_system
            .then(|| format!("echo 'nameserver {SOMEBODY}' | {tee}"));
        match self.setup.follows_system {
            true => with(Finding::failure(CHECK, text, ""), command),
            // The demo asks nobody whom it was not told to ask.
            false => Finding::ok(
                CHECK,
                "the demo asks nobody, since --upstream was not given",
            ),
        }
    }

    /// The network's own resolvers can take their place for a while, if those are others.
    fn all_silent(&self, silent: &[String], examined: &[Examined]) -> Finding {
        let text = format!("no upstream answers ({})", silent.join(", "));
        if self.handler.forwarder.portal().is_some() {
            return Finding::warning(
                CHECK,
                format!(
                    "{text}; the network's own resolvers are asked in the clear until the portal is closed"
                ),
                "bnsd portal close",
            );
        }
        let known = self.handler.forwarder.upstreams();
        let given = SystemResolvers::of_machine().upstreams(&self.listeners);
        let given: Vec<UpstreamConfig> = given.unwrap_or_default();
        let has_others = given.iter().any(|resolver| !known.contains(resolver));
        // A portal swallows questions; one that refuses them is a server that does not run.
        let is_swallowed = |one: &Examined| {
            let failure = one.failure.as_deref();
            failure.is_some_and(|failure| !failure.contains("refused"))
        };
        let is_portal = has_others && examined.iter().any(is_swallowed);
        let command = is_portal.then(|| "bnsd portal open".to_owned());
        let reload = self.reload.as_ref();
        let origin = reload.and_then(|reload| reload.origin("dns.upstreams"));
        let hint = match (is_portal, origin) {
            (true, _) => "the network may want a login first, through its own resolvers",
            (false, None | Some(Origin::Default)) => "check the network",
            (false, Some(_)) => "correct `dns.upstreams`, which names them, or check the network",
        };
        with(
            Finding::failure(CHECK, format!("{text}: {hint}"), ""),
            command,
        )
    }
}

/// The finding with its command, if there is one.
fn with(finding: Finding, command: Option<String>) -> Finding {
    Finding { command, ..finding }
}
