//! What a response says, and for how long it holds (RFC 2181 §5.2, RFC 2308).

use rustc_hash::FxHashMap;

use crate::wire::record::change_ttl;
use crate::wire::{self, Section, Walk, WireRecord, flag, rtype};

/// Longest that a response is kept, in seconds.
const TTL_MAX: u32 = 86_400;
/// Longest that a missing name is kept, in seconds (RFC 2308 §5 suggests one to three hours).
const NEGATIVE_TTL_MAX: u32 = 3_600;

/// What a response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There are records.
    Positive,
    /// The name is there, the type is not.
    NoData,
    /// The name is missing.
    NoSuchName,
    /// Anything else; it is not kept.
    Other,
}

/// RFC 2308 §2: a missing name or type is one only with a SOA of a zone that the name is in.
pub fn kind(walk: &Walk, last: &[u8], bytes: &[u8]) -> Kind {
    let soa = soa_bound(walk, bytes, last).is_some();
    let about_last = |record: &WireRecord| {
        record.owner == last && !matches!(record.rtype, rtype::CNAME | rtype::RRSIG)
    };
    match wire::flags(bytes) & flag::RCODE {
        3 if soa => Kind::NoSuchName,
        0 if walk.section(Section::Answer).any(about_last) => Kind::Positive,
        // Asked for the alias itself, or for its signature.
        0 if !soa && walk.section(Section::Answer).next().is_some() => Kind::Positive,
        0 if soa => Kind::NoData,
        _ => Kind::Other,
    }
}

/// Seconds for which the SOA in the authority section lets a negative answer be kept.
fn soa_bound(walk: &Walk, bytes: &[u8], name: &[u8]) -> Option<u32> {
    let soa = walk
        .section(Section::Authority)
        .find(|record| record.rtype == rtype::SOA && wire::is_within(name, &record.owner))?;
    Some(soa.ttl.min(soa.soa_minimum(bytes)?))
}

/// One TTL for the records of a set (RFC 2181 §5.2), none above the cap, less what caches on the way used up.
/// The SOA of a negative answer says how long that answer holds (RFC 2308 §5).
pub fn level_ttls(bytes: &mut [u8], walk: &Walk, kind: Kind, age: u32) {
    let mut least: FxHashMap<(&[u8], u16, u16), u32> = FxHashMap::default();
    for record in &walk.records {
        let key = (record.owner.as_slice(), record.rtype, record.class);
        let ttl = least.entry(key).or_insert(TTL_MAX);
        *ttl = record.ttl.min(*ttl);
    }
    let negative = matches!(kind, Kind::NoData | Kind::NoSuchName);
    for record in &walk.records {
        let key = (record.owner.as_slice(), record.rtype, record.class);
        let mut ttl = least.get(&key).copied().unwrap_or_default();
        if negative && record.section == Section::Authority && record.rtype == rtype::SOA {
            let minimum = record.soa_minimum(bytes).unwrap_or(0);
            ttl = ttl.min(minimum).min(NEGATIVE_TTL_MAX);
        }
        change_ttl(bytes, record.ttl_at, |_| ttl.saturating_sub(age));
    }
}

/// The least TTL of the whole message, as it stands there now.
pub fn lifetime(bytes: &[u8], walk: &Walk, kind: Kind, last: &[u8]) -> u32 {
    let cap = match kind {
        Kind::Positive => TTL_MAX,
        Kind::NoData | Kind::NoSuchName => match soa_bound(walk, bytes, last) {
            Some(_) => NEGATIVE_TTL_MAX,
            None => return 0,
        },
        Kind::Other => return 0,
    };
    let ttls = walk.records.iter().filter_map(|record| {
        let ttl: &[u8; 4] = bytes.get(record.ttl_at..)?.first_chunk()?;
        Some(u32::from_be_bytes(*ttl))
    });
    ttls.min().unwrap_or_default().min(cap)
}
