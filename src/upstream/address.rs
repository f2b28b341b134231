//! Addresses of resolvers as people and networks write them.
//!
//! ```text
//! 192.0.2.53    2001:db8::53          the usual port
//! 192.0.2.53:5353    [::1]:5353       another one
//! fe80::1%wlan0    [fe80::1%2]:53     on one link, by the interface's name or number (RFC 4007 §11)
//! ```
//!
//! Home routers announce themselves in the last form. The name of an interface means the one that is there now.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs as _};

/// The address in `text`, at `port` unless it says another one.
pub fn read(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    text.parse().ok().or_else(|| read_scoped(text, port))
}

fn read_scoped(text: &str, port: u16) -> Option<SocketAddr> {
    let (inside, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        None => (text, port),
        Some(Some((inside, ""))) => (inside, port),
        Some(Some((inside, behind))) => (inside, behind.strip_prefix(':')?.parse().ok()?),
        Some(None) => return None,
    };
    let (ip, zone) = inside.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = zone.parse().ok().or_else(|| interface(zone))?;
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

/// The number of an interface. The system reads it out of an address, and asks nobody.
fn interface(name: &str) -> Option<u32> {
    let mut addresses = (format!("fe80::1%{name}"), 0).to_socket_addrs().ok()?;
    addresses.find_map(|address| match address {
        SocketAddr::V6(address) => Some(address.scope_id()).filter(|number| *number > 0),
        SocketAddr::V4(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        read(text, 53).map(|address| address.to_string())
    }

    #[test]
    fn every_way_of_writing_is_understood() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:54", "192.0.2.1:54"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]:54", "[2001:db8::1]:54"),
            ("fe80::1%7", "[fe80::1%7]:53"),
            ("[fe80::1%7]", "[fe80::1%7]:53"),
            ("[fe80::1%7]:54", "[fe80::1%7]:54"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "fe80::1%",
            "fe80::1%no-such-link",
            "192.0.2.1%7",
            "[fe80::1%7",
            "[fe80::1%7]x",
            "%7",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_interface_has_a_number() {
        let named = read("fe80::1%lo", 53).expect("every Linux has lo");
        assert!(matches!(named, SocketAddr::V6(v6) if v6.scope_id() > 0));
    }
}
