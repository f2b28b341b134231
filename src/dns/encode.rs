//! An answer as bytes: header, the client's own question, whole RRsets, and OPT (conformance rows 1, 20, 44).
//!
//! The space of OPT is set aside first, so that a truncated answer keeps it. What does not fit is left out by
//! whole RRsets: missing answers or authorities set TC, missing additionals do not (RFC 2181 §9). The text of an
//! extended error is the first to go.

use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::client::Transport;
use super::cookie::{COOKIE, FullCookie};
use super::query::{ClientEdns, KEEPALIVE, PADDING, Query};
use crate::resolver::{Answer, ExtendedError, Provenance};
use crate::upstream::{Response, Stamp};
use crate::wire::HEADER;

/// Largest UDP answer, whatever the client takes: fits into every path (DNS flag day 2020).
pub const UDP_MAX: u16 = 1232;
/// Largest UDP answer to a client without EDNS (RFC 1035 §4.2.1).
const UDP_PLAIN: u16 = 512;
/// Length of an OPT record without options.
const OPT: u16 = 11;
/// Length of an option without data.
const OPTION: usize = 4;
/// Padded answers have a multiple of this length (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 468;

/// What an answer has to respect, beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Longest answer, in bytes.
    pub limit: u16,
    /// The cookie that the client gets.
    pub cookie: Option<FullCookie>,
    /// How long a connection may idle, in units of 100 ms (RFC 7828 §3.1).
    pub keepalive: Option<u16>,
    /// Whether the length is hidden.
    pub padding: bool,
}

impl Frame {
    /// Nothing but a limit.
    pub fn plain(limit: u16) -> Self {
        Self {
            limit,
            cookie: None,
            keepalive: None,
            padding: false,
        }
    }

    /// Options that every answer has room for.
    fn options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(cookie) = &self.cookie {
            write_option(&mut options, COOKIE, &cookie.0);
        }
        if let Some(timeout) = self.keepalive {
            write_option(&mut options, KEEPALIVE, &timeout.to_be_bytes());
        }
        options
    }
}

fn write_option(options: &mut Vec<u8>, code: u16, data: &[u8]) {
    options.extend(code.to_be_bytes());
    options.extend((data.len() as u16).to_be_bytes());
    options.extend(data);
}

/// An answer with everything that a message has room for.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Response code, extended ones included.
    pub rcode: ResponseCode,
    /// AA.
    pub authoritative: bool,
    /// Whether the data is verified; AD is set for clients that ask.
    pub verified: bool,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section without OPT.
    pub additionals: Vec<Record>,
    /// Extended error, for clients with EDNS.
    pub ede: Option<ExtendedError>,
}

impl Reply {
    /// A response code and nothing else.
    pub fn bare(rcode: ResponseCode) -> Self {
        Self {
            rcode,
            authoritative: false,
            verified: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            ede: None,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        let found = matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain);
        Self {
            rcode: answer.rcode,
            authoritative: found && answer.provenance != Provenance::Upstream,
            verified: found && answer.provenance == Provenance::Chain,
            answers: answer.answers,
            authorities: answer.authorities,
            additionals: Vec::new(),
            ede: answer.ede,
        }
    }
}

/// The longest answer that a client gets. `payload` is what its OPT record says, if it sent one.
pub fn longest(transport: Transport, payload: Option<u16>) -> u16 {
    match (transport, payload) {
        (Transport::Udp, None) => UDP_PLAIN,
        (Transport::Udp, Some(payload)) => payload.clamp(UDP_PLAIN, UDP_MAX),
        _ => u16::MAX,
    }
}

/// Whether a message holds all that there was to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It does.
    Whole,
    /// Something had no room.
    Cut,
}

/// Writes `reply` into `out`, within its frame.
pub fn encode(query: &Query, reply: &Reply, frame: &Frame, out: &mut Vec<u8>) -> Extent {
    if let Ok(extent) = try_encode(query, reply, frame, out) {
        return extent;
    }
    // Only a record that no message can hold gets here; the client is told that we failed.
    let failure = Reply::bare(ResponseCode::ServFail);
    if try_encode(query, &failure, frame, out).is_err() {
        out.clear();
    }
    Extent::Cut
}

/// Writes an upstream's response into `out` as it came, within its frame: what does not fit is left out whole,
/// with TC.
pub fn encode_raw(query: &Query, response: &Response, frame: &Frame, out: &mut Vec<u8>) {
    let question = query.question.as_ref();
    let question = question.and_then(|question| question.to_bytes().ok());
    let set = |condition: bool, bit: u16| if condition { bit } else { 0 };
    let stamp = Stamp {
        id: query.id,
        flags: set(query.recursion_desired, 0x0100)
            | set(query.wants_authentic_data(), 0x0020)
            | set(query.checking_disabled, 0x0010),
        question: question.as_deref().unwrap_or_default(),
    };
    response.write(stamp, out);
    let options = frame.options();
    let opt = query.edns.map_or(0, |_| OPT + options.len() as u16);
    if out.len() + usize::from(opt) > usize::from(frame.limit) {
        cut_to_question(out, stamp.question.len());
    }
    if let Some(edns) = query.edns {
        let mut reply = Reply::bare(response.rcode());
        reply.ede = response.extended_error().cloned();
        add_to_count(out, 1);
        write_opt(out, edns, &reply, options, frame);
    }
}

/// Leaves header and question, with TC.
fn cut_to_question(out: &mut Vec<u8>, question: usize) {
    out.truncate(HEADER + question);
    if let Some(flags) = out.get_mut(2) {
        *flags |= 0x02;
    }
    if let Some(counts) = out.get_mut(6..12) {
        counts.fill(0);
    }
}

/// Counts more additional records.
pub fn add_to_count(out: &mut [u8], more: u16) {
    if let Some(count) = out.get_mut(10..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *count = u16::from_be_bytes(*count)
            .saturating_add(more)
            .to_be_bytes();
    }
}

fn try_encode(
    query: &Query,
    reply: &Reply,
    frame: &Frame,
    out: &mut Vec<u8>,
) -> Result<Extent, ProtoError> {
    out.clear();
    let options = frame.options();
    let opt = query.edns.map_or(0, |_| OPT + options.len() as u16);
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(frame.limit.saturating_sub(opt));
    encoder.emit_vec(&[0; HEADER])?;
    if let Some(question) = &query.question {
        // In lower case, so that the owners below are the same name to compression.
        let mut lower = question.clone();
        lower.name = question.name.to_lowercase();
        lower.emit(&mut encoder)?;
    }
    let emitted = emit_sections(&mut encoder, reply)?;
    write_header(out, query, reply, &emitted);
    if let Some(question) = &query.question {
        spell(out, &question.to_bytes()?);
    }
    let mut extent = emitted.extent;
    if let Some(edns) = query.edns
        && write_opt(out, edns, reply, options, frame) == Extent::Cut
    {
        extent = Extent::Cut;
    }
    Ok(extent)
}

/// Puts the client's own letters over the question.
pub fn spell(out: &mut [u8], question: &[u8]) {
    let place = out.get_mut(HEADER..HEADER + question.len());
    if let Some(place) = place {
        place.copy_from_slice(question);
    }
}

/// What of a reply is in the message.
struct Emitted {
    /// Records per section.
    counts: [u16; 3],
    /// An answer or an authority is missing.
    truncated: bool,
    extent: Extent,
}

/// Emits the three sections until one does not fit.
fn emit_sections(encoder: &mut BinEncoder<'_>, reply: &Reply) -> Result<Emitted, ProtoError> {
    let sections = [&reply.answers, &reply.authorities, &reply.additionals];
    let mut emitted = Emitted {
        counts: [0; 3],
        truncated: false,
        extent: Extent::Whole,
    };
    for (index, records) in sections.into_iter().enumerate() {
        let count = emit_records(encoder, records)?;
        emitted.counts[index] = count as u16;
        if count < records.len() {
            emitted.truncated = index < 2;
            emitted.extent = Extent::Cut;
            break;
        }
    }
    Ok(emitted)
}

/// Emits whole RRsets as long as they fit; returns the number of records.
fn emit_records(encoder: &mut BinEncoder<'_>, records: &[Record]) -> Result<usize, ProtoError> {
    let mut emitted = 0;
    for set in records.chunk_by(same_rrset) {
        let start = encoder.offset();
        let fits = set.iter().all(|record| record.emit(encoder).is_ok());
        if !fits {
            encoder.set_offset(start);
            encoder.trim();
            break;
        }
        emitted += set.len();
    }
    Ok(emitted)
}

fn same_rrset(a: &Record, b: &Record) -> bool {
    a.record_type() == b.record_type() && a.name == b.name
}

fn write_header(out: &mut [u8], query: &Query, reply: &Reply, emitted: &Emitted) {
    let set = |condition: bool, bit: u16| if condition { bit } else { 0 };
    let flags = 0x8000
        | u16::from(query.opcode) << 11
        | set(reply.authoritative, 0x0400)
        | set(emitted.truncated, 0x0200)
        | set(query.recursion_desired, 0x0100)
        | set(query.opcode == 0, 0x0080)
        | set(reply.verified && query.wants_authentic_data(), 0x0020)
        | set(query.checking_disabled, 0x0010)
        | u16::from(reply.rcode) & 0x000f;
    let questions = u16::from(query.question.is_some());
    let [answers, authorities, additionals] = emitted.counts;
    let additionals = additionals + u16::from(query.edns.is_some());
    let fields = [
        query.id,
        flags,
        questions,
        answers,
        authorities,
        additionals,
    ];
    for (place, field) in out.chunks_exact_mut(2).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
}

/// The OPT record (RFC 6891 §6.1), with the extended error if there is room for it.
fn write_opt(
    out: &mut Vec<u8>,
    edns: ClientEdns,
    reply: &Reply,
    mut options: Vec<u8>,
    frame: &Frame,
) -> Extent {
    write_opt_head(out, (u16::from(reply.rcode) >> 4) as u8, edns.dnssec_ok);
    let room = usize::from(frame.limit).saturating_sub(out.len() + 2);
    let explanation = reply.ede.as_ref().map(ede_option).unwrap_or_default();
    let fits = options.len() + explanation.len() <= room;
    if fits {
        options.extend(explanation);
    }
    if frame.padding {
        pad(&mut options, out.len() + 2, room);
    }
    out.extend((options.len() as u16).to_be_bytes());
    out.extend(options);
    if fits { Extent::Whole } else { Extent::Cut }
}

/// An OPT record up to the length of its options.
pub fn write_opt_head(out: &mut Vec<u8>, extended_rcode: u8, dnssec_ok: bool) {
    let dnssec_ok = if dnssec_ok { 0x80 } else { 0 };
    out.extend([0, 0, 41]);
    out.extend(UDP_MAX.to_be_bytes());
    out.extend([extended_rcode, 0, dnssec_ok, 0]);
}

/// Appends a padding option that makes the message, `before` bytes so far, a multiple of the block long.
fn pad(options: &mut Vec<u8>, before: usize, room: usize) {
    let length = before + options.len() + OPTION;
    let padding = length.next_multiple_of(PADDING_BLOCK) - length;
    if options.len() + OPTION + padding <= room {
        write_option(options, PADDING, &vec![0; padding]);
    }
}

/// Option 15 (RFC 8914 §2), its text cut to ASCII of bounded length.
fn ede_option(ede: &ExtendedError) -> Vec<u8> {
    let text: Vec<u8> = ede
        .text
        .bytes()
        .filter(|byte| (0x20..0x7f).contains(byte))
        .take(ExtendedError::TEXT_MAX)
        .collect();
    let mut option = vec![0, 15];
    option.extend((text.len() as u16 + 2).to_be_bytes());
    option.extend(ede.code.to_be_bytes());
    option.extend(text);
    option
}
