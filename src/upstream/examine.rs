//! How each upstream does, found out by asking it now.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use hickory_proto::rr::{Name as DnsName, RecordType};
use tokio::time::Instant;

use super::ask::Ask;
use super::attempt::{Budget, Failed};
use super::config::UpstreamConfig;
use super::forwarder::Forwarder;
use super::group::{TRIES, is_answer};
use super::link::Upstream;

/// How an upstream does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The upstream.
    pub upstream: UpstreamConfig,
    /// Why it did not answer, in a few words; `None` if it did.
    pub failure: Option<String>,
    /// The domains whose questions it sends back to us.
    pub leads_back: Vec<DnsName>,
}

impl Forwarder {
    /// Asks every upstream for the name servers of the root, all at once, and those that could lead back to us whether
    /// they do for `domains`. Takes little longer than `patience`.
    pub async fn examine(&self, domains: &[DnsName], patience: Duration) -> Vec<Examined> {
        let group = Arc::clone(&self.terms().table.all);
        let suspects: Vec<_> = group.suspects().map(|suspect| &suspect.config).collect();
        let upstreams = group.upstreams.iter().map(|upstream| {
            let is_suspect = suspects.contains(&&upstream.config);
            let domains = if is_suspect { domains } else { &[] };
            self.examine_one(upstream, domains, patience)
        });
        join_all(upstreams).await
    }

    async fn examine_one(
        &self,
        upstream: &Upstream,
        domains: &[DnsName],
        patience: Duration,
    ) -> Examined {
        let ask = Ask::own(&DnsName::root(), RecordType::NS);
        let mut budget = Budget(TRIES);
        let asked = upstream.ask(&ask, &mut budget, Instant::now() + patience);
        let circles = domains
            .iter()
            .map(|domain| self.look_for_circle(upstream, domain));
        let (asked, _) = join(asked, join_all(circles)).await;
        let leads_back = domains
            .iter()
            .filter(|domain| upstream.health.is_looping(domain));
        Examined {
            upstream: upstream.config.clone(),
            failure: match asked {
                Ok(received) if is_answer(received.judged.rcode) => None,
                Ok(received) => Some(format!("it answers with code {}", received.judged.rcode)),
                Err(failed) => Some(reason(&failed)),
            },
            leads_back: leads_back.cloned().collect(),
        }
    }
}

fn reason(failed: &Failed) -> String {
    match failed {
        Failed::Timeout => "it is silent".to_owned(),
        Failed::Unreachable(reason) => format!("it is not reached ({reason})"),
        Failed::Untrusted(reason) => format!("it cannot prove who it is ({reason})"),
        Failed::Closed => "it closes the connection".to_owned(),
        Failed::Truncated | Failed::WrongCase | Failed::Headless => {
            "it does not answer properly".to_owned()
        }
        Failed::Loop => "it leads back to bnsd".to_owned(),
    }
}
