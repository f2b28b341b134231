//! A zone as canonical text: `parse(origin, render(zone))` gives the same zone.
//!
//! It is meant to be announced on the chain and read by historical clients as well: `$ORIGIN` without its
//! final dot, owners relative to it, strings in quotes with `;` escaped (zonefiles-and-atlas.md §1).

use hickory_proto::rr::Name;

use super::name::write_label;
use super::zone::Zone;
use super::{ZoneRecord, mnemonic, rdata};

/// Writes the zone as text, one record on a line, in canonical order.
pub fn render(zone: &Zone) -> String {
    let mut text = String::from("$ORIGIN ");
    write_labels(&mut text, zone.origin.iter());
    text.push_str(&format!("\n$TTL {}\n", zone.default_ttl));
    for record in zone.records() {
        write_record(&mut text, zone, record);
    }
    text
}

fn write_record(text: &mut String, zone: &Zone, record: ZoneRecord<'_>) {
    write_owner(text, &zone.origin, record.owner);
    if record.ttl != zone.default_ttl {
        text.push_str(&format!(" {}", record.ttl));
    }
    text.push_str(&format!(" {} ", mnemonic(record.rtype)));
    rdata::write(text, record.rtype.into(), record.rdata);
    text.push('\n');
}

fn write_owner(text: &mut String, origin: &Name, owner: &Name) {
    let below = owner.iter().len().saturating_sub(origin.iter().len());
    if below == 0 {
        text.push('@');
    } else {
        write_labels(text, owner.iter().take(below));
    }
}

fn write_labels<'n>(text: &mut String, labels: impl Iterator<Item = &'n [u8]>) {
    for (index, label) in labels.enumerate() {
        if index > 0 {
            text.push('.');
        }
        write_label(text, label);
    }
}
