//! Upstreams: who answers what is not ours.
//!
//! hickory-resolver's `NameServerPool` sends, retries over TCP, fails over and joins identical queries in
//! flight; message ids and ports are random per query and the case of letters too (0x20). The pool's own
//! timeouts leave no time for a second server after a silent first one, so connections are made here, with a
//! shorter patience per server.
//!
//! The pool reports a response without answers as an error that keeps only rcode and authorities: the
//! message is put together again from these. DO, CD and RD go upstream as the client sent them; client
//! subnet and all other options stay here (RFC 7871 §12). hickory logs the names it asks for: the log filter
//! of the daemon has to keep its crates silent.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{DnsExchange, DnsHandle as _};
use hickory_net::{DnsError, NetError};
use hickory_proto::op::{
    DnsRequest, DnsRequestOptions, Edns, Message, Query as WireQuestion, ResponseCode,
};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::{ConnectionProvider, NameServerPool, PoolContext, TlsConfig};

use super::encode::UDP_MAX;
use super::query::Query;
use crate::resolver::{ExtendedError, Question};

/// Patience with one server over UDP; a second try goes out after a third of a second.
const UDP_TIMEOUT: Duration = Duration::from_millis(1500);
/// Packets per server and query.
const UDP_TRIES: u8 = 2;
/// Patience with one server over TCP.
const TCP_TIMEOUT: Duration = Duration::from_secs(3);
/// Patience with all servers together; stub resolvers give up after five seconds.
const TOTAL_TIMEOUT: Duration = Duration::from_millis(4800);
/// How many upstreams are asked again, one by one, after one has refused.
const OPINIONS: usize = 2;
/// Queries in flight on one TCP connection to an upstream.
const TCP_IN_FLIGHT: usize = 100;

/// One upstream, asked over UDP and, where an answer is cut short, over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Where it listens.
    pub address: SocketAddr,
}

/// Why no upstream answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// There is none.
    #[error("no upstream configured; set upstreams in bnsd.toml or --upstream")]
    NoUpstream,
    /// All were silent.
    #[error("no upstream answered in time")]
    Timeout,
    /// One said no.
    #[error("upstream answered {0}")]
    Rejected(ResponseCode),
    /// None could be reached, or what they said could not be read.
    #[error("upstreams cannot be reached or gave no usable answer")]
    Unusable,
}

impl ForwardError {
    /// What the client is told beside SERVFAIL.
    pub fn extended(&self) -> ExtendedError {
        let code = match self {
            Self::NoUpstream | Self::Timeout => ExtendedError::NO_REACHABLE_AUTHORITY,
            Self::Rejected(_) | Self::Unusable => ExtendedError::NETWORK_ERROR,
        };
        ExtendedError::new(code, self.to_string())
    }
}

/// All upstreams.
pub struct Upstreams {
    /// All of them, in an order that follows their speed.
    all: Option<Pool>,
    /// Each alone, for a second opinion: the pool takes SERVFAIL and REFUSED for the last word.
    each: Vec<Pool>,
}

type Pool = NameServerPool<Connections>;

impl Upstreams {
    /// Upstreams in the order of preference; none is possible, and then every question fails with a hint.
    pub fn new(configs: &[UpstreamConfig]) -> Self {
        let alone = |config| pool(std::slice::from_ref(config));
        Self {
            all: pool(configs),
            each: match configs.len() {
                0 | 1 => Vec::new(),
                _ => configs.iter().filter_map(alone).take(OPINIONS).collect(),
            },
        }
    }

    /// Asks for `question` with the flags of `query`.
    pub async fn ask(&self, query: &Query, question: &Question) -> Result<Message, ForwardError> {
        let all = self.all.as_ref().ok_or(ForwardError::NoUpstream)?;
        let mut answer = send(all, query, question).await;
        for one in &self.each {
            if !matches!(answer, Err(ForwardError::Rejected(_))) {
                break;
            }
            answer = send(one, query, question).await;
        }
        answer
    }
}

/// A pool of `configs`; `None` if there are none.
fn pool(configs: &[UpstreamConfig]) -> Option<Pool> {
    if configs.is_empty() {
        return None;
    }
    // Without TLS features there is nothing in it that could fail.
    let tls = TlsConfig::new().ok()?;
    let context = Arc::new(PoolContext::new(options(), tls));
    let servers = configs.iter().map(name_server);
    let connections = Connections(TokioRuntimeProvider::default());
    Some(NameServerPool::from_config(servers, context, connections))
}

async fn send(pool: &Pool, query: &Query, question: &Question) -> Result<Message, ForwardError> {
    match pool.send(request(query, question)).next().await {
        Some(Ok(response)) => Ok(response.into_message()),
        Some(Err(error)) => without_answers(error),
        None => Err(ForwardError::Unusable),
    }
}

fn name_server(config: &UpstreamConfig) -> NameServerConfig {
    let connection = |protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = config.address.port();
        connection
    };
    let connections = vec![
        connection(ProtocolConfig::Udp),
        connection(ProtocolConfig::Tcp),
    ];
    NameServerConfig::new(config.address.ip(), true, connections)
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TOTAL_TIMEOUT;
    // One at a time: no upstream learns what another one is asked.
    options.num_concurrent_reqs = 1;
    options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
    options.max_active_requests = TCP_IN_FLIGHT;
    options.case_randomization = true;
    options
}

fn request(query: &Query, question: &Question) -> DnsRequest {
    let mut asked = WireQuestion::query(question.name.clone(), question.rtype);
    asked.set_query_class(question.class);
    let original = asked.clone();
    asked.name.randomize_label_case();
    let mut message = Message::query();
    message.metadata.recursion_desired = query.recursion_desired;
    message.metadata.checking_disabled = query.checking_disabled;
    message.add_query(asked);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_MAX);
    edns.set_dnssec_ok(query.dnssec_ok());
    message.set_edns(edns);
    let mut options = DnsRequestOptions::default();
    options.case_randomization = true;
    options.recursion_desired = query.recursion_desired;
    DnsRequest::new(message, options).with_original_query(Some(original))
}

/// A response without answers comes as an error from the pool.
fn without_answers(error: NetError) -> Result<Message, ForwardError> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(found)) => {
            let mut message = Message::query().into_response();
            message.metadata.response_code = found.response_code;
            message.authorities = found
                .authorities
                .map(|all| all.to_vec())
                .unwrap_or_default();
            Ok(message)
        }
        NetError::Dns(DnsError::ResponseCode(rcode)) => Err(ForwardError::Rejected(rcode)),
        NetError::Timeout => Err(ForwardError::Timeout),
        _ => Err(ForwardError::Unusable),
    }
}

/// Makes connections with our own patience; see the head of the module.
#[derive(Clone)]
struct Connections(TokioRuntimeProvider);

impl ConnectionProvider for Connections {
    type Conn = DnsExchange<TokioRuntimeProvider>;
    type FutureConn = futures_util::future::BoxFuture<'static, Result<Self::Conn, NetError>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        _: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let address = SocketAddr::new(ip, config.port);
        let provider = self.0.clone();
        match config.protocol {
            ProtocolConfig::Udp => Ok(Box::pin(async move {
                Ok(UdpClientStream::builder(address, provider)
                    .with_timeout(Some(UDP_TIMEOUT))
                    .with_max_retries(UDP_TRIES)
                    .exchange())
            })),
            ProtocolConfig::Tcp => Ok(Box::pin(TcpClientStream::exchange(
                address,
                None,
                TCP_TIMEOUT,
                Some(TCP_IN_FLIGHT),
                provider,
            ))),
            #[allow(unreachable_patterns)]
            _ => Err(NetError::NoConnections),
        }
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.0
    }
}

/// The upstreams in `resolv_conf` (usually `/etc/resolv.conf`), without those that are our own `listeners`:
/// asking ourselves would never end.
pub fn system_upstreams(
    resolv_conf: &Path,
    listeners: &[SocketAddr],
) -> std::io::Result<Vec<UpstreamConfig>> {
    let text = std::fs::read_to_string(resolv_conf)?;
    Ok(parse_resolv_conf(&text, listeners))
}

fn parse_resolv_conf(text: &str, listeners: &[SocketAddr]) -> Vec<UpstreamConfig> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .map(|ip| SocketAddr::new(ip, 53))
        .filter(|&address| !is_ours(address, listeners))
        .map(|address| UpstreamConfig { address })
        .collect()
}

fn is_ours(address: SocketAddr, listeners: &[SocketAddr]) -> bool {
    listeners.iter().any(|listener| {
        listener.port() == address.port()
            && (listener.ip() == address.ip()
                || listener.ip().is_unspecified() && address.ip().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_upstreams_are_read_without_ourselves() {
        let text = "# by hand\nnameserver 127.0.0.1\nnameserver\t192.0.2.53\nnameservers 1.2.3.4\n\
                    search lan\n  nameserver ::1 # loopback\noptions edns0\n";
        let ours = ["127.0.0.1:53".parse().expect("an address")];
        let found: Vec<String> = parse_resolv_conf(text, &ours)
            .iter()
            .map(|upstream| upstream.address.to_string())
            .collect();
        assert_eq!(found, ["192.0.2.53:53", "[::1]:53"]);
    }
}
