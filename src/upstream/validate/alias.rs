//! Responses that begin with aliases, as far as hickory 0.26 does not judge them as a whole.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::resolver::{MAX_ALIASES, Question};
use crate::wire::alias::alias_at;
use crate::wire::{self, Header, flag};

/// Where aliases lead that do not end in what was asked for. hickory wants the denial for the first name of such an
/// response, and none at all if nothing but aliases came.
pub fn denied_target(response: &Message, question: &Question) -> Option<Name> {
    if question.rtype == RecordType::CNAME {
        return None;
    }
    let mut name = question.name.clone();
    for _ in 0..=MAX_ALIASES {
        match alias_at(&response.answers, &name) {
            Some((_, target)) => name = target,
            None => break,
        }
    }
    let is_asked = |record: &&Record| record.record_type() == question.rtype && record.name == name;
    let is_there = response.answers.iter().any(|record| is_asked(&record));
    (name != question.name && !is_there).then_some(name)
}

/// Whether a message denies, and in the same way.
pub fn is_denial(bytes: &[u8], rcode: ResponseCode) -> bool {
    let has_answers = Header::read(bytes).is_none_or(|header| header.counts[1] > 0);
    !has_answers && wire::flags(bytes) & flag::RCODE == u16::from(rcode)
}

/// Without the CNAMEs that a DNAME makes: they have no signatures, and follow from it (RFC 6672 §5.3.1).
pub fn without_made_aliases(records: &[Record]) -> Vec<Record> {
    let is_made = |record: &Record| match &record.data {
        RData::CNAME(target) => records
            .iter()
            .any(|dname| redirected(&record.name, dname).is_some_and(|name| name == target.0)),
        _ => false,
    };
    let kept = records.iter().filter(|record| !is_made(record));
    kept.cloned().collect()
}

/// Where a DNAME leads a name below it.
fn redirected(name: &Name, dname: &Record) -> Option<Name> {
    let RData::Unknown { code, rdata } = &dname.data else {
        return None;
    };
    let labels = name.num_labels().checked_sub(dname.name.num_labels())?;
    if *code != RecordType::DNAME || labels == 0 || !dname.name.zone_of(name) {
        return None;
    }
    let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
    let prefix = Name::from_labels(name.iter().take(labels.into())).ok()?;
    prefix.append_domain(&target).ok()
}
