//! From a zone to its compiled form.

use hickory_proto::rr::Name;

use super::super::types::code;
use super::super::{RrSet, Zone};
use super::{DNAME, HEADER, NAME, SET, VERSION, WILDCARD};

/// The compiled form; `None` for a zone that its tables have no room for.
pub(super) fn bytes_of(zone: &Zone) -> Option<Vec<u8>> {
    let origin = wire(zone.origin());
    let sets = || zone.nodes().flat_map(|node| node.rrsets());
    let (name_count, set_count) = (zone.nodes().count(), sets().count());
    let tables = name_count * NAME + set_count * SET;
    let mut bytes = Vec::with_capacity(HEADER + origin.len() + tables + size(zone));
    bytes.extend([VERSION, flags(zone), u8::try_from(origin.len()).ok()?]);
    bytes.extend(u16::try_from(name_count).ok()?.to_be_bytes());
    bytes.extend(u16::try_from(set_count).ok()?.to_be_bytes());
    bytes.extend(origin);
    let (mut keys, mut last) = (0, 0);
    for (key, node) in &zone.nodes {
        keys += key.as_bytes().len();
        last += node.rrsets().len();
        bytes.extend(u32::try_from(keys).ok()?.to_be_bytes());
        bytes.extend((last as u16).to_be_bytes()); // as many as were counted above
    }
    let mut records = 0;
    for set in sets() {
        records += length(set);
        bytes.extend(u16::from(set.rtype()).to_be_bytes());
        bytes.extend(set.ttl().to_be_bytes());
        bytes.extend(u32::try_from(records).ok()?.to_be_bytes());
    }
    for key in zone.nodes.keys() {
        bytes.extend(key.as_bytes());
    }
    for rdata in sets().flat_map(RrSet::rdata) {
        bytes.extend(u16::try_from(rdata.len()).ok()?.to_be_bytes());
        bytes.extend(rdata);
    }
    Some(bytes)
}

/// Bytes of all keys and records.
fn size(zone: &Zone) -> usize {
    let node = |(key, node): (&super::super::key::OwnerKey, &super::super::Node)| {
        key.as_bytes().len() + node.rrsets().iter().map(length).sum::<usize>()
    };
    zone.nodes.iter().map(node).sum()
}

/// Bytes of the records of an RRset.
fn length(set: &RrSet) -> usize {
    set.rdata().map(|rdata| 2 + rdata.len()).sum()
}

fn flags(zone: &Zone) -> u8 {
    let is_wildcard = |name: &Name| name.iter().any(|label| label == b"*");
    let mut flags = 0;
    for node in zone.nodes() {
        if is_wildcard(node.name()) {
            flags |= WILDCARD;
        }
        if node.rrset(code::DNAME.into()).is_some() {
            flags |= DNAME;
        }
    }
    flags
}

fn wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        wire.push(label.len() as u8); // a label has at most 63 bytes
        wire.extend(label);
    }
    wire.push(0);
    wire
}
