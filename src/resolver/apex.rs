//! Records of a zone's top that nobody wrote: SOA and NS of names, namespaces and local zones.
//!
//! The server of all of them is this machine, so NS and MNAME say `localhost.`. RNAME is the root, which stands for no
//! mailbox and keeps every negative answer within three times its question. The SOA in the authority section lets a
//! client keep "not found" for [`NEGATIVE_TTL`] (RFC 2308 §5).

use hickory_proto::rr::rdata::{HINFO, NS, SOA};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::answer::{Answer, Heights, Provenance};

/// SOA MINIMUM in seconds: how long "not found" may be believed (RFC 2308 §5).
pub const NEGATIVE_TTL: u32 = 60;
/// SOA REFRESH and RETRY in seconds; only a secondary would use them.
const REFRESH: i32 = 3600;
const RETRY: i32 = 600;
/// SOA EXPIRE in seconds: one week.
const EXPIRE: i32 = 604_800;

/// The data of a synthesised NS record: `localhost.` in wire form.
pub(super) const NS_DATA: &[u8; 11] = b"\x09localhost\0";
/// Bytes of the data of a synthesised SOA record: MNAME, the root as RNAME, five numbers.
pub(super) const SOA_DATA: usize = NS_DATA.len() + 1 + 5 * 4;

/// The data of a synthesised SOA record in wire form.
pub(super) fn soa_data(serial: u32) -> [u8; SOA_DATA] {
    let mut data = [0; SOA_DATA];
    let (names, numbers) = data.split_at_mut(NS_DATA.len() + 1);
    if let Some(name) = names.first_chunk_mut() {
        *name = *NS_DATA;
    }
    let fields = [
        serial,
        REFRESH as u32,
        RETRY as u32,
        EXPIRE as u32,
        NEGATIVE_TTL,
    ];
    for (place, field) in numbers.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    data
}

/// A zone whose apex records are synthesised.
#[derive(Debug, Clone)]
pub struct Apex {
    /// The owner of SOA and NS.
    pub name: DnsName,
    /// SOA SERIAL.
    pub serial: u32,
    /// TTL of the apex records in seconds.
    pub ttl: u32,
    /// Where the zone comes from.
    pub provenance: Provenance,
    /// The heights at which serial and TTL are these.
    pub heights: Heights,
}

impl Apex {
    /// The SOA record as an answer.
    pub fn soa(&self) -> Record {
        let soa = SOA::new(
            localhost(),
            DnsName::root(),
            self.serial,
            REFRESH,
            RETRY,
            EXPIRE,
            NEGATIVE_TTL,
        );
        Record::from_rdata(self.name.clone(), self.ttl, RData::SOA(soa))
    }

    /// The SOA record for the authority section of a negative answer (RFC 2308 §3).
    pub fn negative_soa(&self) -> Record {
        let mut soa = self.soa();
        soa.ttl = self.ttl.min(NEGATIVE_TTL);
        soa
    }

    /// The NS record.
    pub fn ns(&self) -> Record {
        Record::from_rdata(self.name.clone(), self.ttl, RData::NS(NS(localhost())))
    }

    /// The answer to a question at the apex of a zone that has nothing else.
    pub fn answer(&self, rtype: RecordType) -> Answer {
        match rtype {
            // One RRset is enough for ANY (RFC 8482 §4.1).
            RecordType::SOA | RecordType::ANY => {
                Answer::records(self.provenance, vec![self.soa()]).at(self.heights)
            }
            RecordType::NS => Answer::records(self.provenance, vec![self.ns()]).at(self.heights),
            _ => self.no_data(),
        }
    }

    /// NODATA in this zone.
    pub fn no_data(&self) -> Answer {
        Answer::no_data(self.provenance, self.negative_soa()).at(self.heights)
    }

    /// NXDOMAIN in this zone.
    pub fn no_such_name(&self) -> Answer {
        Answer::no_such_name(self.provenance, self.negative_soa()).at(self.heights)
    }
}

/// The only record of a minimal answer to ANY (RFC 8482 §4.2), in its wording and with its TTL.
pub fn hinfo(name: &DnsName) -> Record {
    const HINFO_TTL: u32 = 3789;
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Record::from_rdata(name.clone(), HINFO_TTL, data)
}

fn localhost() -> DnsName {
    DnsName::from_labels([&b"localhost"[..]]).expect("one short label")
}

#[cfg(test)]
mod tests {
    use hickory_proto::serialize::binary::BinEncodable as _;

    use super::*;

    #[test]
    fn both_forms_of_the_synthesised_records_are_the_same() {
        let apex = Apex {
            name: localhost(),
            serial: 0x0102_0304,
            ttl: 600,
            provenance: Provenance::Chain,
            heights: Heights::ALL,
        };
        let data = |record: Record| record.data.to_bytes().expect("a short record");
        assert_eq!(data(apex.soa()), soa_data(apex.serial));
        assert_eq!(data(apex.ns()), NS_DATA);
    }
}
