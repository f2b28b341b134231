//! How an upstream is written and what that means.
//!
//! ```text
//! 192.0.2.53                              plain DNS, port 53
//! 192.0.2.53:5353  [2001:db8::1]:53       another port; more in `address`
//! tls://dns.example@192.0.2.53            DoT; the certificate must be for dns.example
//! tls://sha256:BASE64@192.0.2.53:853      DoT; the certificate must have this key (RFC 7858 §4.2)
//! tls://dns.example                       DoT; the address is asked of `dns.bootstrap`
//! https://dns.example@192.0.2.53/dns-query         DoH with POST
//! https://dns.example:8443/dns-query{?dns}         DoH with GET (RFC 8484 §4.1), another port
//! ```
//!
//! What stands before `@` must be proved by the certificate, what stands behind it is where to connect. There is
//! no way to write an encrypted upstream that is not authenticated.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use bitcoin::base64::Engine as _;
use bitcoin::base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{DnsName, ServerName};

use super::address;

/// The port of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;
/// The port of DNS over TLS (RFC 7858 §3.1).
const TLS_PORT: u16 = 853;
/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;
/// What marks a URI template for GET (RFC 8484 §4.1).
const TEMPLATE: &str = "{?dns}";
/// What marks a pin.
const PIN: &str = "sha256:";

/// Somebody who answers for names that are not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamConfig {
    /// Plain DNS.
    Plain(SocketAddr),
    /// DNS over TLS.
    Tls(Secured),
    /// DNS over HTTPS.
    Https {
        /// The server.
        server: Secured,
        /// The path of its resource, with a leading slash.
        path: String,
        /// How it is asked.
        method: Method,
    },
}

/// A server that has to prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// What it has to prove.
    pub identity: Identity,
    /// Where it is.
    pub place: Place,
}

/// What a certificate has to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It is for this name and from an authority that the system trusts.
    Name(ServerName<'static>),
    /// Its key's SubjectPublicKeyInfo has this SHA-256.
    Pin([u8; 32]),
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Here.
    Address(SocketAddr),
    /// Wherever this name points, at this port.
    Host(String, u16),
}

/// How a DoH server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Caches on the way can help.
    Get,
    /// No name in a log of URLs.
    Post,
}

impl UpstreamConfig {
    /// Whether what is asked can be read on the way.
    pub fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Where it listens, if that is said.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) => Some(*address),
            Self::Tls(server) | Self::Https { server, .. } => match server.place {
                Place::Address(address) => Some(address),
                Place::Host(..) => None,
            },
        }
    }
}

impl FromStr for UpstreamConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("tls://") {
            return Ok(Self::Tls(secured(text, rest, TLS_PORT)?));
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return https(text, rest);
        }
        let address = address::read(text, DNS_PORT).ok_or_else(|| {
            format!(
                "{text:?} is no resolver; write for example 9.9.9.9, 127.0.0.1:5353 or \
                 tls://dns.quad9.net@9.9.9.9"
            )
        })?;
        Ok(Self::Plain(usable(text, address)?))
    }
}

impl fmt::Display for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => write!(f, "{address}"),
            Self::Tls(server) => write!(f, "tls://{server}"),
            Self::Https {
                server,
                path,
                method,
            } => {
                let template = match method {
                    Method::Get => TEMPLATE,
                    Method::Post => "",
                };
                write!(f, "https://{server}{path}{template}")
            }
        }
    }
}

impl fmt::Display for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.identity, &self.place) {
            (Identity::Name(name), Place::Address(at)) => write!(f, "{}@{at}", name.to_str()),
            (Identity::Name(_), Place::Host(name, port)) => write!(f, "{name}:{port}"),
            (Identity::Pin(pin), Place::Address(at)) => {
                write!(f, "{PIN}{}@{at}", BASE64_STANDARD.encode(pin))
            }
            (Identity::Pin(pin), Place::Host(name, port)) => {
                write!(f, "{PIN}{}@{name}:{port}", BASE64_STANDARD.encode(pin))
            }
        }
    }
}

fn usable(text: &str, address: SocketAddr) -> Result<SocketAddr, String> {
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!(
            "{text:?} is no address that can be asked; name one resolver"
        ));
    }
    Ok(address)
}

fn https(text: &str, rest: &str) -> Result<UpstreamConfig, String> {
    // A pin can hold slashes, so the path begins behind what stands before `@`.
    let who = rest.rfind('@').map_or(0, |at| at + 1);
    let behind = rest.get(who..).unwrap_or_default();
    let path_at = who + behind.find('/').unwrap_or(behind.len());
    let (server, path) = rest.split_at(path_at);
    let (path, method) = match path.strip_suffix(TEMPLATE) {
        Some(path) => (path, Method::Get),
        None => (path, Method::Post),
    };
    let is_plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"{}?#<>\"\\^`|".contains(&byte));
    if path.is_empty() || !is_plain {
        return Err(format!(
            "{text:?} has no usable path; write for example https://dns.quad9.net/dns-query"
        ));
    }
    Ok(UpstreamConfig::Https {
        server: secured(text, server, HTTPS_PORT)?,
        path: path.to_owned(),
        method,
    })
}

fn secured(text: &str, rest: &str, port: u16) -> Result<Secured, String> {
    let (who, at) = rest.rsplit_once('@').unwrap_or(("", rest));
    let place = match address::read(at, port) {
        Some(address) => Place::Address(usable(text, address)?),
        None => host(at, port).ok_or_else(|| {
            format!("{text:?} names no server; write for example tls://dns.quad9.net@9.9.9.9")
        })?,
    };
    let identity = match (who, &place) {
        ("", Place::Host(name, _)) => identity(name),
        ("", Place::Address(address)) => Some(Identity::Name(address.ip().into())),
        (who, _) => identity(who),
    };
    let identity = identity.ok_or_else(|| {
        format!(
            "{text:?}: {who:?} is neither a name that a certificate can have nor sha256:BASE64 of a key"
        )
    })?;
    Ok(Secured { identity, place })
}

fn identity(who: &str) -> Option<Identity> {
    if let Some(pin) = who.strip_prefix(PIN) {
        let digest = BASE64_STANDARD.decode(pin).ok()?;
        return Some(Identity::Pin(digest.try_into().ok()?));
    }
    Some(Identity::Name(
        ServerName::try_from(who.to_owned()).ok()?.to_owned(),
    ))
}

fn host(text: &str, port: u16) -> Option<Place> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, digits)) => (name, digits.parse().ok().filter(|&port| port > 0)?),
        None => (text, port),
    };
    DnsName::try_from(name.to_owned()).ok()?;
    Some(Place::Host(name.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<UpstreamConfig>() {
            Ok(config) => config.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn every_way_of_writing_is_understood() {
        let pin = "sha256:R9CCx2oXeDb/bYl1S0qYkzdVdXoXNEdFbTVlWWJF+D8=";
        for (text, expected) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("[::1]:5353", "[::1]:5353"),
            (
                "tls://dns.example@192.0.2.1",
                "tls://dns.example@192.0.2.1:853",
            ),
            ("tls://192.0.2.1", "tls://192.0.2.1@192.0.2.1:853"),
            ("tls://dns.example:8853", "tls://dns.example:8853"),
            (
                "https://dns.example@192.0.2.1/dns-query{?dns}",
                "https://dns.example@192.0.2.1:443/dns-query{?dns}",
            ),
            ("https://dns.example/q", "https://dns.example:443/q"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let pinned = format!("https://{pin}@[::1]:8443/q");
        assert_eq!(shown(&pinned), pinned);
    }

    #[test]
    fn what_cannot_be_asked_or_authenticated_is_refused() {
        for text in [
            "",
            "dns.example",
            "0.0.0.0",
            "9.9.9.9:0",
            "tls://",
            "tls://@192.0.2.1:x",
            "tls://sha256:AAAA@192.0.2.1",
            "https://dns.example",
            "https://dns.example/q?x=1",
            "udp://192.0.2.1",
        ] {
            assert!(shown(text).starts_with("error: "), "{text}");
        }
    }
}
