//! A message from records, within a limit: header, the client's own question, whole RRsets.
//!
//! What does not fit is left out by whole RRsets: a missing answer or authority sets TC, a missing additional does not
//! (RFC 2181 §9). The caller sets room aside for OPT, so that a cut message keeps it.

use hickory_proto::ProtoError;
use hickory_proto::op::Query;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::header::{HEADER, Header, flag};

/// Writes a message of at most `limit` bytes into `out`. The header's counts, and TC where it is due, are filled in.
/// Gives whether all
/// records had room; fails if one cannot be written at all.
pub fn write(
    mut header: Header,
    question: Option<&Query>,
    sections: [&[Record]; 3],
    limit: u16,
    out: &mut Vec<u8>,
) -> Result<bool, ProtoError> {
    out.clear();
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(limit);
    encoder.emit_vec(&[0; HEADER])?;
    // In lower case, so that the owners below are the same name to compression.
    if let Some(mut question) = question.cloned() {
        question.name = question.name.to_lowercase();
        question.emit(&mut encoder)?;
    }
    header.counts = [u16::from(question.is_some()), 0, 0, 0];
    let is_whole = emit_sections(&mut encoder, sections, &mut header);
    header.put(out);
    if let Some(question) = question {
        put_question(out, &question.to_bytes()?);
    }
    Ok(is_whole)
}

/// Puts the client's own letters over the question.
#[inline]
pub fn put_question(out: &mut [u8], question: &[u8]) {
    if let Some(place) = out.get_mut(HEADER..HEADER + question.len()) {
        place.copy_from_slice(question);
    }
}

/// Leaves header and question of a message, with TC.
pub fn cut_to_question(out: &mut Vec<u8>, question: usize) {
    out.truncate(HEADER + question);
    Header::edit(out, |header| {
        header.flags |= flag::TC;
        header.counts = [header.counts[0], 0, 0, 0];
    });
}

/// Counts one more additional record.
#[inline]
pub fn count_additional(out: &mut [u8]) {
    Header::edit(out, |header| {
        header.counts[3] = header.counts[3].saturating_add(1);
    });
}

/// Emits the three sections until one does not fit; whether all did.
fn emit_sections(
    encoder: &mut BinEncoder<'_>,
    sections: [&[Record]; 3],
    header: &mut Header,
) -> bool {
    for (index, records) in sections.into_iter().enumerate() {
        let count = emit_records(encoder, records);
        header.counts[index + 1] = count as u16;
        if count < records.len() {
            header.flags |= if index < 2 { flag::TC } else { 0 };
            return false;
        }
    }
    true
}

/// Emits whole RRsets as long as they fit; returns the number of records.
fn emit_records(encoder: &mut BinEncoder<'_>, records: &[Record]) -> usize {
    let mut emitted = 0;
    for set in records.chunk_by(same_rrset) {
        let start = encoder.offset();
        if set.iter().any(|record| record.emit(encoder).is_err()) {
            encoder.set_offset(start);
            encoder.trim();
            break;
        }
        emitted += set.len();
    }
    emitted
}

fn same_rrset(a: &Record, b: &Record) -> bool {
    a.record_type() == b.record_type() && a.name == b.name
}
