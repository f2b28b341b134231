//! Who asks, and over what.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How long a connection may stay open without work. Clients are told (RFC 7828 §3.1).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Answers are short, or say that they were cut.
    Udp,
    /// Answers may take what a length prefix can say.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// A person at the control socket; neither logged nor counted as a client.
    Control,
    /// The daemon itself, which sees whether it answers; neither logged nor counted.
    Daemon,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Where the answer goes.
    pub address: IpAddr,
    /// How it goes there.
    pub transport: Transport,
}

impl fmt::Display for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Https => "HTTPS",
            Transport::Control => "the control socket",
            Transport::Daemon => "nothing",
        };
        write!(formatter, "{} over {transport}", self.address)
    }
}
