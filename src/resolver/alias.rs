//! `bns.alt` (RFC 9476): the domain below which every name of the chain answers too, whatever its mode.

use hickory_proto::rr::Name as DnsName;

/// The domain, without the last dot.
pub const ALIAS: &str = "bns.alt";
/// Its labels.
const LABELS: [&[u8]; 2] = [b"bns", b"alt"];

/// A host below the alias without it: `www.me.id` for `www.me.id.bns.alt`; `None` for any other. Hosts are in lower case
/// and have no last dot.
pub fn strip_alias(host: &str) -> Option<&str> {
    host.strip_suffix(ALIAS)?.strip_suffix('.')
}

/// Whether a host in lower case is the alias, or below it.
pub fn is_alias(host: &DnsName) -> bool {
    let labels: Vec<&[u8]> = host.iter().collect();
    below_alias(&labels).is_some()
}

/// What [`strip_alias`] gives, of labels; the alias itself leaves none.
pub(super) fn below_alias<'l, 'n>(labels: &'l [&'n [u8]]) -> Option<&'l [&'n [u8]]> {
    labels.strip_suffix(&LABELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_is_stripped_where_it_is_a_domain() {
        assert_eq!(strip_alias("www.me.id.bns.alt"), Some("www.me.id"));
        for other in ["me.id", "bns.alt", "xbns.alt", "me.bns.alt.id"] {
            assert_eq!(strip_alias(other), None, "{other}");
        }
    }
}
