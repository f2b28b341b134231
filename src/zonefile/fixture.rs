//! Zone files of one record, for tests of what a record's data may be.

use hickory_proto::rr::Name;

use super::{Problem, Zone, parse};
use crate::hash::encode_hex;

/// The zone with the record `x DATA`.
pub(super) fn zone(origin: &str, data: &str) -> Zone {
    let origin = Name::from_ascii(origin).expect("a name");
    parse(&origin, format!("x {data}\n").as_bytes()).expect("not too long")
}

/// The record's data in hex, or what is wrong with it.
pub(super) fn wire(origin: &str, data: &str) -> Result<String, Problem> {
    let zone = zone(origin, data);
    match (zone.records().next(), zone.ignored().first()) {
        (Some(record), None) => Ok(encode_hex(record.rdata)),
        (None, Some(ignored)) => Err(ignored.problem),
        other => panic!("{data}: {other:?}"),
    }
}
