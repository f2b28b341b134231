//! Addresses that a name on the network must not point to, because a web page could then reach into this
//! machine or its network (DNS rebinding).
//!
//! One predicate over record data serves zone files and upstreams' responses alike. Besides A and AAAA it looks into the
//! hints of SVCB and HTTPS, to which browsers connect too (RFC 9460 §7.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncodable;

use super::record::{Walk, rtype};

/// SvcParamKey `ipv4hint` (RFC 9460 §14.3.2).
const IPV4_HINT: u16 = 4;
/// SvcParamKey `ipv6hint`.
const IPV6_HINT: u16 = 6;

/// Whether record data in wire form carries a private address, or could hide one.
pub fn carries_private(rtype: u16, rdata: &[u8]) -> bool {
    match rtype {
        rtype::A => rdata.len() == 4 && any_private::<4>(rdata),
        rtype::AAAA => rdata.len() == 16 && any_private::<16>(rdata),
        rtype::SVCB | rtype::HTTPS => service_is_private(rdata),
        _ => false,
    }
}

/// Whether a message that was walked carries a private address anywhere, or something that could hide one.
pub fn has_private(walk: &Walk, bytes: &[u8]) -> bool {
    let mut records = walk.records.iter();
    records.any(|record| carries_private(record.rtype, record.data(bytes)))
}

/// The same for a decoded record.
pub fn is_private_record(record: &Record) -> bool {
    let rtype = u16::from(record.record_type());
    matches!(rtype, rtype::A | rtype::AAAA | rtype::SVCB | rtype::HTTPS)
        && record
            .data
            .to_bytes()
            .is_ok_and(|rdata| carries_private(rtype, &rdata))
}

/// Whether `address` is private, loopback, link-local, unspecified or broadcast, directly or inside of a
/// v4-mapped, v4-compatible, NAT64 or 6to4 address.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.segments()[0] & 0xffc0 == 0xfec0 // site-local (RFC 3879); some systems still route it
        || embedded_v4(address).is_some_and(is_private_v4)
}

/// The IPv4 address that a translation prefix carries.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match [a, b, c, d, e, f] {
        // ::/96 and ::ffff:0:0/96 (RFC 4291 §2.5.5), ::ffff:0:0:0/96 (RFC 2765)
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] => Some(join(g, h)),
        // 64:ff9b::/96 and 64:ff9b:1::/48 with a /96 inside (RFC 6052, RFC 8215)
        [0x64, 0xff9b, 0 | 1, _, _, _] => Some(join(g, h)),
        // 2002::/16 (RFC 3056)
        [0x2002, ..] => Some(join(b, c)),
        _ => None,
    }
}

/// The same for a service binding, whose parameters follow its target name (RFC 9460 §2.2).
fn service_is_private(rdata: &[u8]) -> bool {
    let mut rest = rdata.get(2..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        match (length, after.get(usize::from(length)..)) {
            (0, _) => return hints(after).unwrap_or(false),
            (1..=63, Some(next)) => rest = next,
            // A pointer, which is forbidden, or a label beyond the data. Hints behind it are not found by those who
            // obey, and may be by those who do not.
            _ => return true,
        }
    }
    false
}

/// Whether a hint is private; `None` where the parameters break off before one is.
fn hints(mut rest: &[u8]) -> Option<bool> {
    while !rest.is_empty() {
        let (key, after) = take_u16(rest)?;
        let (length, after) = take_u16(after)?;
        let (value, after) = after.split_at_checked(length.into())?;
        let is_private = match key {
            IPV4_HINT => any_private::<4>(value),
            IPV6_HINT => any_private::<16>(value),
            _ => false,
        };
        if is_private {
            return Some(true);
        }
        rest = after;
    }
    Some(false)
}

fn any_private<const N: usize>(value: &[u8]) -> bool
where
    IpAddr: From<[u8; N]>,
{
    let (addresses, _) = value.as_chunks::<N>();
    addresses.iter().any(|&bytes| is_private(bytes.into()))
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_found_in_every_disguise() {
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.168.1.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(text.parse().expect("an address")), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "192.0.2.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(!is_private(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn hints_of_https_records_count() {
        // priority 1, target ".", ipv4hint=10.0.0.1
        let private = [0, 1, 0, 0, 4, 0, 4, 10, 0, 0, 1];
        let public = [0, 1, 0, 0, 4, 0, 4, 1, 1, 1, 1];
        assert!(carries_private(rtype::HTTPS, &private));
        assert!(!carries_private(rtype::HTTPS, &public));
        assert!(!carries_private(rtype::HTTPS, &private[..9]));
        assert!(!carries_private(rtype::A, &[10, 0, 0]));
        // A target behind a pointer, and one that goes beyond the data.
        assert!(carries_private(rtype::HTTPS, &[0, 1, 0xc0, 12]));
        assert!(carries_private(rtype::SVCB, &[0, 1, 3, b'a']));
    }
}
