//! How a server is called over HTTP, so that web pages cannot reach the servers of this machine.
//!
//! Every page that a browser shows can send requests to loopback, and a name that its owner points at 127.0.0.1 afterwards
//! (DNS rebinding) makes it the page's own origin. So a request has to name the server in `Host` as it is really called: by
//! an address of loopback, by the address at which it arrived, by `localhost`, or by a name of the configuration. A foreign
//! `Origin` is turned away, and no server here ever sends a header that invites one.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

/// How a listener is called.
#[derive(Debug, Clone)]
pub struct ServerNames {
    /// Names from the configuration, lower case.
    hosts: Arc<Vec<String>>,
    /// The address at which the connection arrived.
    address: IpAddr,
}

/// Whom a request is not from, or not for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It is for a server of another name.
    Host,
    /// It is from somebody else's page.
    Origin,
}

impl Stranger {
    /// The status that says so (RFC 9110 §15.5.20, §15.5.4).
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
        }
    }

    /// The same in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "this server has another name",
            Self::Origin => "not for web pages",
        }
    }
}

impl ServerNames {
    /// Those of a listener at which a connection arrived at `address`; one for both families shows IPv4 as IPv6.
    pub fn new(hosts: Arc<Vec<String>>, address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { hosts, address }
    }

    /// Whether a request means this server, and comes from no stranger's page; pages of our own begin with `scheme`, as in
    /// `https://`.
    pub fn check(&self, scheme: &str, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        let mut hosts = headers.get_all(HOST).into_iter();
        let (first, second) = (hosts.next(), hosts.next());
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => first.and_then(|host| host.to_str().ok()),
        };
        if second.is_some() || !host.is_some_and(|host| self.is_known(host)) {
            return Err(Stranger::Host);
        }
        let is_ours = |origin: &HeaderValue| {
            let origin = origin.to_str().ok();
            let origin = origin.and_then(|origin| origin.strip_prefix(scheme));
            origin.is_some_and(|origin| self.is_known(origin))
        };
        match headers.get_all(ORIGIN).iter().all(is_ours) {
            true => Ok(()),
            false => Err(Stranger::Origin),
        }
    }

    fn is_known(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.to_canonical() == self.address,
            Err(_) => host == "localhost" || self.hosts.contains(&host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ServerNames {
        let hosts = Arc::new(vec!["dns.lan".to_owned()]);
        ServerNames::new(hosts, "::ffff:10.0.0.1".parse().expect("an address"))
    }

    #[test]
    fn only_requests_that_mean_this_server_are_answered() {
        for known in [
            "localhost:853",
            "127.0.0.1",
            "[::1]:443",
            "10.0.0.1",
            "DNS.lan",
        ] {
            assert!(names().is_known(known), "{known}");
        }
        for stranger in ["evil.example", "10.0.0.2", "localhost.evil.example", ""] {
            assert!(!names().is_known(stranger), "{stranger}");
        }
    }

    #[test]
    fn a_second_host_or_origin_lets_nobody_in() {
        let check = |uri: &'static str, headers: &[(hyper::header::HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, HeaderValue::from_static(value));
            }
            names().check("http://", &Uri::from_static(uri), &map)
        };
        assert_eq!(check("/", &[(HOST, "localhost")]), Ok(()));
        assert_eq!(check("/", &[]), Err(Stranger::Host));
        let two = [(HOST, "localhost"), (HOST, "evil.example")];
        assert_eq!(check("/", &two), Err(Stranger::Host));
        // The target of the request counts more than Host (RFC 9112 §3.2.2).
        let target = check("http://evil.example/", &[(HOST, "localhost")]);
        assert_eq!(target, Err(Stranger::Host));
        let own = [(HOST, "localhost"), (ORIGIN, "http://localhost")];
        assert_eq!(check("/", &own), Ok(()));
        for foreign in ["http://evil.example", "https://localhost", "null"] {
            let page = [
                (HOST, "localhost"),
                (ORIGIN, "http://localhost"),
                (ORIGIN, foreign),
            ];
            assert_eq!(check("/", &page), Err(Stranger::Origin), "{foreign}");
        }
    }
}
