//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018: a client that comes back with the cookie that it
//! was given has shown that it can receive at its address.
//!
//! Cookies are handed out to those who ask and never required: a stub resolver on this machine must not fail
//! for want of one. The secret lives as long as the process; a client with an older cookie gets a new one.

use std::net::IpAddr;

use bitcoin::hashes::siphash24;

use crate::upstream::random;
use crate::wire::edns::CLIENT_COOKIE as CLIENT;

/// Length of a server cookie of version 1 (RFC 9018 §4).
const SERVER: usize = 16;
/// Version, then three reserved bytes.
const VERSION: u64 = 0x0100_0000;
/// How old a server cookie may be, in seconds (RFC 9018 §4.3).
const AGE_MAX: u32 = 3600;
/// How far its clock may be ahead, in seconds (same place).
const AHEAD_MAX: u32 = 300;
/// From this age on a new one is made, in seconds (same place).
const RENEW: u32 = 1800;

/// The cookie option of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCookie {
    client: [u8; CLIENT],
    /// Absent, or of a length that is not ours.
    server: Option<[u8; SERVER]>,
}

impl ClientCookie {
    /// Reads the option; `None` if its length is one that RFC 7873 §5.2.2 calls malformed.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<CLIENT>()?;
        matches!(server.len(), 0 | 8..=32).then(|| Self {
            client: *client,
            server: server.try_into().ok(),
        })
    }
}

/// The cookie option of an answer: the client's own part, then ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullCookie(pub [u8; CLIENT + SERVER]);

/// Makes and recognises server cookies.
pub struct Cookies {
    secret: (u64, u64),
}

impl Cookies {
    /// With a secret of the system's randomness.
    pub fn new() -> Self {
        let random = || u64::from_be_bytes(random::bytes());
        Self {
            secret: (random(), random()),
        }
    }

    /// The cookie for an answer to `from`, `now` in seconds since 1970.
    pub fn answer(&self, cookie: &ClientCookie, from: IpAddr, now: u64) -> FullCookie {
        let now = now as u32; // serial number arithmetic (RFC 9018 §4.3)
        let is_young = |age: Option<u32>| age.is_some_and(|age| age < RENEW);
        let kept = cookie
            .server
            .filter(|server| is_young(self.age(cookie, server, from, now)));
        let server = kept.unwrap_or_else(|| self.make(&cookie.client, now, from));
        let mut full = [0; CLIENT + SERVER];
        let (first, second) = full.split_at_mut(CLIENT);
        first.copy_from_slice(&cookie.client);
        second.copy_from_slice(&server);
        FullCookie(full)
    }

    /// Whether the client has shown that it receives at its address.
    #[cfg(test)]
    fn is_valid(&self, cookie: &ClientCookie, from: IpAddr, now: u64) -> bool {
        cookie
            .server
            .is_some_and(|server| self.age(cookie, &server, from, now as u32).is_some())
    }

    /// The age of a genuine cookie in seconds; `None` for all others.
    fn age(
        &self,
        cookie: &ClientCookie,
        server: &[u8; SERVER],
        from: IpAddr,
        now: u32,
    ) -> Option<u32> {
        let [_, _, _, _, a, b, c, d, ..] = *server;
        let made = u32::from_be_bytes([a, b, c, d]);
        if self.make(&cookie.client, made, from) != *server {
            return None;
        }
        match now.wrapping_sub(made) {
            age if age <= AGE_MAX => Some(age),
            _ if made.wrapping_sub(now) <= AHEAD_MAX => Some(0),
            _ => None,
        }
    }

    /// RFC 9018 §4.2: hash(client cookie | version | reserved | timestamp | client address).
    fn make(&self, client: &[u8; CLIENT], made: u32, from: IpAddr) -> [u8; SERVER] {
        let head = VERSION << 32 | u64::from(made);
        let mut text = [&client[..], &head.to_be_bytes()].concat();
        match from {
            IpAddr::V4(v4) => text.extend(v4.octets()),
            IpAddr::V6(v6) => text.extend(v6.octets()),
        }
        let (k0, k1) = self.secret;
        let hash = siphash24::Hash::hash_to_u64_with_keys(k0, k1, &text);
        (u128::from(head) << 64 | u128::from(hash.swap_bytes())).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] * 16 + pair[1]) as u8)
            .collect()
    }

    /// RFC 9018, appendix A: secret e5e973e5a6b2a43f48e7dc849e37bfcf.
    fn cookies() -> Cookies {
        Cookies {
            secret: (0x3fa4_b2a6_e573_e9e5, 0xcfbf_379e_84dc_e748),
        }
    }

    #[test]
    fn the_cookies_are_those_of_rfc_9018() {
        let from = "198.51.100.100".parse().expect("an address");
        let asked = ClientCookie::parse(&hex("2464c4abcf10c957")).expect("a client cookie");
        let expected = hex("2464c4abcf10c957 010000005cf79f111f8130c3eee29480");
        assert_eq!(
            cookies().answer(&asked, from, 1_559_731_985).0[..],
            expected
        );
    }

    #[test]
    fn a_cookie_is_kept_while_it_is_young_and_only_at_its_address() {
        let (cookies, now) = (Cookies::new(), 1_800_000_000);
        let home = "192.0.2.1".parse().expect("an address");
        let first = ClientCookie::parse(b"abcdefgh").expect("a client cookie");
        assert!(!cookies.is_valid(&first, home, now));
        let given = cookies.answer(&first, home, now);
        let back = ClientCookie::parse(&given.0).expect("a cookie");
        assert!(cookies.is_valid(&back, home, now + 3600));
        assert_eq!(cookies.answer(&back, home, now + 1799), given);
        assert_ne!(cookies.answer(&back, home, now + 1800), given);
        assert!(!cookies.is_valid(&back, home, now + 3601));
        assert!(cookies.is_valid(&back, home, now - 300));
        assert!(!cookies.is_valid(&back, home, now - 301));
        let elsewhere = "192.0.2.2".parse().expect("an address");
        assert!(!cookies.is_valid(&back, elsewhere, now));
    }

    #[test]
    fn lengths_of_rfc_7873_are_told_from_others() {
        for (length, fine) in [
            (0, false),
            (7, false),
            (8, true),
            (9, false),
            (15, false),
            (16, true),
            (40, true),
            (41, false),
        ] {
            assert_eq!(
                ClientCookie::parse(&vec![0; length]).is_some(),
                fine,
                "{length}"
            );
        }
    }
}
