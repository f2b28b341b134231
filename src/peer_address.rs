//! Where a peer is, of Atlas or of Bitcoin: a host and a port.
//!
//! Peers of Atlas name each other as `host:port` (ap §2). An IPv6 address has no form there, since a host has no
//! colon: it is written `[address]:port` in configurations and shown so, and is left out of what peers are told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Bytes of a DNS name (RFC 1035 §2.3.4), without the dot at its end.
const NAME_MAX: usize = 253;
/// Bytes of a label.
const LABEL_MAX: usize = 63;
/// Digits of a port between peers, at least: `[1-9][0-9]{1,4}`.
const PORT_DIGITS_MIN: usize = 2;
/// Names that mean a machine of this network or nothing at all (RFC 6761, RFC 6762, RFC 9476).
const LOCAL_SUFFIXES: [&str; 6] = ["localhost", "local", "internal", "invalid", "test", "alt"];

/// A peer's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    host: Host,
    port: u16,
}

/// The host of a peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address; never one of IPv4 in the form of IPv6.
    Ip(IpAddr),
    /// A DNS name in lower case, without a dot at its end.
    Name(String),
}

/// What peers that one operator can easily have many of have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// The first 16 bits of an address of IPv4.
    V4([u8; 2]),
    /// The first 32 bits of an address of IPv6.
    V6([u8; 4]),
    /// Any name: whoever has a domain has as many names as he likes.
    Name,
}

/// A text that is no address of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a peer: write HOST:PORT, 192.0.2.1:6264, or [2001:db8::1]:6264")]
pub struct ParseAddressError(String);

impl PeerAddress {
    /// The peer at a port of an address.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            host: Host::Ip(ip.to_canonical()),
            port,
        }
    }

    /// The peer that a text names, at `port` where it names none.
    pub fn parse_with_port(text: &str, port: u16) -> Result<Self, ParseAddressError> {
        if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
            return Ok(Self::new(ip, port));
        }
        let has_port = text.contains(':');
        let whole = if has_port {
            text.to_owned()
        } else {
            format!("{text}:{port}")
        };
        whole
            .parse()
            .map_err(|_| ParseAddressError(text.to_owned()))
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How peers tell each other of it; `None` if they have no form for it.
    pub fn to_wire(&self) -> Option<String> {
        let has_form = !matches!(self.host, Host::Ip(IpAddr::V6(_))) && self.port >= 10;
        has_form.then(|| self.to_string())
    }

    /// What a peer said, `^([^:]+):([1-9][0-9]{1,4})$` (ap §2) with a host that can be one.
    pub fn from_wire(text: &str) -> Result<Self, ParseAddressError> {
        let address: Self = text.parse()?;
        let port = text.rsplit(':').next().unwrap_or_default();
        let has_form = port.len() >= PORT_DIGITS_MIN && !text.starts_with('[');
        let error = || ParseAddressError(text.to_owned());
        has_form.then_some(address).ok_or_else(error)
    }

    /// Whether strangers may send us there: not to machines of our own network, nor to us.
    pub fn is_public(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => is_public(*ip),
            Host::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or_default();
                name.contains('.') && !LOCAL_SUFFIXES.contains(&last)
            }
        }
    }

    /// What it shares with others of the same operator.
    pub fn prefix(&self) -> Prefix {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => {
                let [first, second, ..] = ip.octets();
                Prefix::V4([first, second])
            }
            Host::Ip(IpAddr::V6(ip)) => {
                let [first, second, third, fourth, ..] = ip.octets();
                Prefix::V6([first, second, third, fourth])
            }
            Host::Name(_) => Prefix::Name,
        }
    }
}

/// Whether an address is one of the whole Internet (IANA's registries of special addresses).
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    let is_shared = first == 100 && second & 0xc0 == 64; // RFC 6598
    let is_benchmark = first == 198 && second & 0xfe == 18; // RFC 2544
    let is_protocol = (first, second, third) == (192, 0, 0); // RFC 6890
    let is_reserved = first == 0 || first >= 240; // RFC 1112, broadcast
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || is_shared
        || is_benchmark
        || is_protocol
        || is_reserved)
}

/// Global unicast is 2000::/3; what embeds an address of IPv4 is judged by that.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, third, ..] = ip.segments();
    let octets = ip.octets();
    let embedded = |at: usize| {
        let bytes: Option<[u8; 4]> = octets.get(at..at + 4).and_then(|it| it.try_into().ok());
        bytes.is_some_and(|bytes| is_public_v4(bytes.into()))
    };
    match (first, second) {
        (0x64, 0xff9b) => third == 0 && embedded(12), // RFC 6052
        (0x2002, _) => embedded(2),                   // RFC 3056
        (0x2001, 0xdb8) | (0x2001, 0..0x200) => false, // RFC 3849; protocol assignments, RFC 2928
        (0x3fff, 0..0x1000) => false,                 // RFC 9637
        _ => first & 0xe000 == 0x2000,
    }
}

impl FromStr for PeerAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let error = || ParseAddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = read_port(port).ok_or_else(error)?;
        let inside = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if let Some(inside) = inside {
            let ip: Ipv6Addr = inside.parse().map_err(|_| error())?;
            return Ok(Self::new(ip.into(), port));
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Ok(Self::new(ip.into(), port));
        }
        let name = read_name(host).ok_or_else(error)?;
        Ok(Self {
            host: Host::Name(name),
            port,
        })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Decimal digits without a sign or a zero before them.
fn read_port(text: &str) -> Option<u16> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_decimal)
}

/// A DNS name of a host in lower case. One whose last label is a number would be an address to some programs.
fn read_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = name.rsplit('.').next()?;
    let is_name = name.len() <= NAME_MAX
        && name.split('.').all(is_label)
        && last.bytes().any(|byte| !byte.is_ascii_digit());
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(text: &str) -> PeerAddress {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn addresses_and_names_are_read() {
        for (text, shown) in [
            ("192.0.2.1:6264", "192.0.2.1:6264"),
            ("Node.Example.COM:6264", "node.example.com:6264"),
            ("node.example.:80", "node.example:80"),
            ("[2001:DB8::1]:6264", "[2001:db8::1]:6264"),
            ("[::ffff:10.0.0.1]:6264", "10.0.0.1:6264"),
        ] {
            assert_eq!(peer(text).to_string(), shown);
        }
        for wrong in [
            "",
            "a",
            ":6264",
            "a:",
            "a:0",
            "a:065",
            "a:+80",
            "a:65536",
            "::1:6264",
            "[::1]",
            "[a]:6264",
            "1.2.3:80",
            "256.1.1.1:80",
            "a b:80",
            "a..b:80",
            "-a:80",
            "a/b:80",
            "é:80",
        ] {
            let error = wrong.parse::<PeerAddress>().expect_err(wrong).to_string();
            assert!(error.contains("is no address of a peer"), "{error}");
        }
    }

    #[test]
    fn a_port_may_be_left_out_where_there_is_a_usual_one() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1:8333"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("2001:db8::1", "[2001:db8::1]:8333"),
            ("[2001:db8::1]", "[2001:db8::1]:8333"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("Node.example", "node.example:8333"),
        ] {
            let read = PeerAddress::parse_with_port(text, 8333);
            assert_eq!(read.map(|peer| peer.to_string()), Ok(shown.to_owned()));
        }
        for wrong in ["", ":", "a:", "a:0", "a b"] {
            let error = PeerAddress::parse_with_port(wrong, 8333).expect_err(wrong);
            assert_eq!(error, ParseAddressError(wrong.to_owned()));
        }
    }

    #[test]
    fn peers_tell_each_other_only_what_has_a_form() {
        let read = |text| PeerAddress::from_wire(text).is_ok();
        assert!(read("1.2.3.4:6264") && read("a.example:10"));
        assert!(!read("1.2.3.4:9") && !read("[2001:db8::1]:6264") && !read("a:b:80"));
        let told = ["1.2.3.4:6264", "1.2.3.4:9", "[2606::1]:6264"].map(|text| peer(text).to_wire());
        assert_eq!(told, [Some("1.2.3.4:6264".to_owned()), None, None]);
    }

    #[test]
    fn only_addresses_of_the_whole_internet_are_public() {
        for text in [
            "8.8.8.8:6264",
            "172.32.0.1:6264",
            "[2606:4700::1]:6264",
            "[2002:808:808::1]:6264",
            "[64:ff9b::808:808]:6264",
            "node.example.com:6264",
        ] {
            assert!(peer(text).is_public(), "{text}");
        }
        for text in [
            "127.0.0.1:80",
            "10.1.2.3:80",
            "172.16.0.1:80",
            "192.168.1.1:80",
            "169.254.169.254:80",
            "100.64.0.1:80",
            "0.0.0.0:80",
            "224.0.0.1:80",
            "240.0.0.1:80",
            "255.255.255.255:80",
            "192.0.2.1:80",
            "198.18.0.1:80",
            "[::]:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[fe80::1]:80",
            "[fd00::1]:80",
            "[ff02::1]:80",
            "[2001:db8::1]:80",
            "[2002:7f00:1::1]:80",
            "[64:ff9b::a00:1]:80",
            "[64:ff9b:1::808:808]:80",
            "localhost:80",
            "printer:80",
            "a.local:80",
            "a.localhost:80",
        ] {
            assert!(!peer(text).is_public(), "{text}");
        }
    }

    #[test]
    fn neighbours_share_a_prefix() {
        assert_eq!(peer("8.8.1.1:1").prefix(), peer("8.8.2.2:2").prefix());
        assert_ne!(peer("8.8.1.1:1").prefix(), peer("8.9.1.1:1").prefix());
        let v6 = peer("[2606:4700:1::1]:1").prefix();
        assert_eq!(v6, peer("[2606:4700:2::1]:1").prefix());
        assert_eq!(peer("a.example:1").prefix(), peer("b.example:1").prefix());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(ip in any::<IpAddr>(), port in 1u16.., text in "\\PC{0,40}") {
            let address = PeerAddress::new(ip, port);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            if let Ok(address) = text.parse::<PeerAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
