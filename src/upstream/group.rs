//! Upstreams that stand for each other: the fastest that is in service is asked, the others when it fails.
//!
//! No question costs more than [`TRIES`] packets, all upstreams together. All tries together take less time than a stub
//! resolver waits.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name as DnsName;
use tokio::time::{Instant, sleep};

use super::ask::Ask;
use super::attempt::{Budget, Failed, Received};
use super::config::UpstreamConfig;
use super::error::ForwardError;
use super::link::Upstream;
use super::tls::{Tls, TlsError};
use crate::wire::ExtendedError;
use crate::wire::private::is_private;

/// Packets that one question may cost when upstreams fail.
pub const TRIES: u8 = 3;
/// Patience with each try over UDP; together less than the five seconds of stub resolvers.
const PLAIN: [Duration; 3] = [
    Duration::from_millis(800),
    Duration::from_millis(1500),
    Duration::from_millis(2300),
];
/// The same over TLS, where a try can include a handshake.
const ENCRYPTED: [Duration; 3] = [Duration::from_millis(1550); 3];
/// Pause before the same upstream is asked again that could not be reached: it may be restarting.
const PAUSE: Duration = Duration::from_millis(200);

/// Some upstreams.
#[derive(Default)]
pub struct Group {
    /// All of them, in the order of preference.
    pub upstreams: Vec<Upstream>,
}

impl Group {
    /// A group in the order of preference; each is connected to when it is first asked.
    pub fn new(
        configs: &[UpstreamConfig],
        tls: &Tls,
        bootstrap: &[SocketAddr],
    ) -> Result<Self, TlsError> {
        let make = |config| Upstream::new(config, tls, bootstrap);
        let upstreams = configs.iter().map(make).collect::<Result<_, _>>()?;
        Ok(Self { upstreams })
    }

    /// Whether it consists of these, in this order.
    pub fn is_of(&self, configs: &[UpstreamConfig]) -> bool {
        let own = self.upstreams.iter().map(|upstream| &upstream.config);
        own.eq(configs)
    }

    /// Whether the same are asked as in another group, in the same order.
    pub fn has_upstreams_of(&self, other: &Self) -> bool {
        let configs = |group: &Self| -> Vec<UpstreamConfig> {
            let upstreams = group.upstreams.iter();
            upstreams.map(|upstream| upstream.config.clone()).collect()
        };
        configs(self) == configs(other)
    }

    /// Those that could lead back to us: a forwarder on this machine or in its network can be configured to ask us.
    pub fn suspects(&self) -> impl Iterator<Item = &Upstream> {
        self.upstreams.iter().filter(|upstream| {
            let address = upstream.config.address();
            address.is_some_and(|address| is_private(address.ip()))
        })
    }

    /// Asks one after the other until a response says something about the name.
    pub async fn ask(&self, ask: &Ask, budget: &mut Budget) -> Result<Received, ForwardError> {
        let name = &ask.question.name;
        let mut order = self.order(name);
        let mut failure = match (order.is_empty(), self.upstreams.is_empty()) {
            (_, true) => return Err(ForwardError::NoUpstream),
            (true, false) => return Err(ForwardError::Loop),
            (false, false) => ForwardError::Timeout,
        };
        let (mut next, mut round) = (0, 0);
        while budget.0 > 0 && round < PLAIN.len() && !order.is_empty() {
            next %= order.len();
            let upstream = order[next];
            let deadline = Instant::now() + patience(&upstream.config, round);
            round += 1;
            let asked = tokio::select! {
                asked = upstream.ask(ask, budget, deadline) => asked,
                () = upstream.health.looping(name) => Err(Failed::Loop),
            };
            match asked {
                Ok(received) if is_answer(received.judged.rcode) => return Ok(received),
                Ok(received) => {
                    failure = rejection(&received);
                    // It has spoken; another one may know better.
                    order.remove(next);
                }
                Err(Failed::Loop) => {
                    failure = failure.or(Failed::Loop);
                    order.remove(next);
                }
                Err(failed) => {
                    let unreachable = matches!(failed, Failed::Unreachable(_));
                    failure = failure.or(failed);
                    if unreachable && order.len() == 1 {
                        sleep(PAUSE).await;
                    }
                    next += 1;
                }
            }
        }
        Err(failure)
    }

    /// Forgets what belongs to the network that was.
    pub fn reset(&self) {
        self.upstreams.iter().for_each(Upstream::reset);
    }

    /// Those that do not lead back to us for this name, best first.
    fn order(&self, name: &DnsName) -> Vec<&Upstream> {
        let mut order: Vec<&Upstream> = self
            .upstreams
            .iter()
            .filter(|upstream| !upstream.health.is_looping(name))
            .collect();
        order.sort_by_key(|upstream| upstream.health.rank());
        order
    }
}

fn patience(config: &UpstreamConfig, round: usize) -> Duration {
    let is_encrypted = config.is_encrypted();
    let all = if is_encrypted { ENCRYPTED } else { PLAIN };
    all.get(round).copied().unwrap_or_default()
}

/// NOERROR, NXDOMAIN and YXDOMAIN say something about the name, everything else about the upstream.
pub fn is_answer(rcode: u16) -> bool {
    matches!(rcode, 0 | 3 | 6)
}

fn rejection(received: &Received) -> ForwardError {
    let judged = &received.judged;
    let low = (judged.rcode & 15) as u8;
    let high = (judged.rcode >> 4) as u8;
    ForwardError::Rejected {
        rcode: ResponseCode::from(high, low),
        ede: ExtendedError::find(&judged.walk, &judged.bytes),
    }
}
