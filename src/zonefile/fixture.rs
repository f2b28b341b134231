//! Zone files for tests: of one record, for what a record's data may be; and the historical ones.

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

/// The historical zone files, if they are at hand: they are not ours to commit. Lines alternate between hash and zone file,
/// whose line feeds are written `\n`.
pub(super) fn historical() -> Option<Vec<Vec<u8>>> {
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("BNSD_VECTORS").map(std::path::PathBuf::from);
    let folder = folder.unwrap_or_else(|| project.join("../shared/vectors"));
    let file = std::fs::File::open(folder.join("zonefiles-real.txt.gz")).ok()?;
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file));
    let text = text.expect("a compressed text");
    let files = text.lines().skip(1).step_by(2);
    Some(
        files
            .map(|line| line.replace("\\n", "\n").into_bytes())
            .collect(),
    )
}
