//! A reply as bytes: header, the client's own question, whole RRsets, and OPT.
//!
//! The space of OPT is set aside first, so that a cut reply keeps it (RFC 6891 §7). The text of an extended error is the
//! first to go when there is no room. An upstream's response is copied instead of being written anew.

use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncodable as _;

use super::client::Transport;
use super::cookie::FullCookie;
use super::query::{ClientEdns, Query};
use crate::resolver::{Answer, Provenance};
use crate::upstream::{Response, Stamp};
use crate::wire::edns::{self, OPT, Opt, option, write_option};
use crate::wire::header::bit_if;
use crate::wire::writer::{self, count_additional, cut_to_question};
use crate::wire::{ExtendedError, Header, UDP_MAX, UDP_PLAIN, flag};

/// Padded replies have a multiple of this length (RFC 8467 §4.1).
const PADDING_BLOCK: usize = 468;

/// What a reply has to respect, beside its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frame {
    /// Longest reply, in bytes.
    pub limit: u16,
    /// The cookie that the client gets.
    pub cookie: Option<FullCookie>,
    /// How long a connection may idle, in units of 100 ms (RFC 7828 §3.1).
    pub keepalive: Option<u16>,
    /// Whether the length is hidden.
    pub padding: bool,
}

impl Frame {
    /// Options that every reply has room for.
    fn options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(cookie) = &self.cookie {
            write_option(option::COOKIE, &cookie.0, &mut options);
        }
        if let Some(timeout) = self.keepalive {
            write_option(option::KEEPALIVE, &timeout.to_be_bytes(), &mut options);
        }
        options
    }
}

/// What is sent to a client, with everything that a message has room for.
#[derive(Debug, Clone, Default)]
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
            ..Self::default()
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
            ede: answer.ede,
            ..Self::default()
        }
    }
}

/// The longest reply that a client gets. `payload` is what its OPT record says, if it sent one.
pub fn longest(transport: Transport, payload: Option<u16>) -> u16 {
    match (transport, payload) {
        (Transport::Udp, None) => UDP_PLAIN,
        (Transport::Udp, Some(payload)) => payload.clamp(UDP_PLAIN, UDP_MAX),
        _ => u16::MAX,
    }
}

/// Writes `reply` into `out`, within its frame; whether all of it had room.
pub fn encode(query: &Query, reply: &Reply, frame: &Frame, out: &mut Vec<u8>) -> bool {
    if let Ok(is_whole) = try_encode(query, reply, frame, out) {
        return is_whole;
    }
    // Only a record that no message can hold gets here; the client is told that we failed.
    let failure = Reply::bare(ResponseCode::ServFail);
    if try_encode(query, &failure, frame, out).is_err() {
        out.clear();
    }
    false
}

/// Writes an upstream's response into `out` as it came, within its frame: what does not fit is left out whole,
/// with TC.
pub fn encode_raw(query: &Query, response: &Response, frame: &Frame, out: &mut Vec<u8>) {
    let question = query.question.as_ref();
    let question = question.and_then(|question| question.to_bytes().ok());
    let stamp = Stamp {
        id: query.id,
        flags: query.flags & (flag::RD | flag::CD) | bit_if(query.wants_authentic_data(), flag::AD),
        question: question.as_deref().unwrap_or_default(),
    };
    response.write(stamp, out);
    let options = frame.options();
    let opt = query.edns.map_or(0, |_| OPT + options.len());
    if out.len() + opt > usize::from(frame.limit) {
        cut_to_question(out, stamp.question.len());
    }
    if let Some(edns) = query.edns {
        let (rcode, ede) = (response.rcode().into(), response.ede.as_ref());
        write_opt(edns, (rcode, ede), options, frame, out);
    }
}

fn try_encode(
    query: &Query,
    reply: &Reply,
    frame: &Frame,
    out: &mut Vec<u8>,
) -> Result<bool, ProtoError> {
    let options = frame.options();
    let opt = query.edns.map_or(0, |_| OPT + options.len());
    let header = Header {
        id: query.id,
        flags: flags(query, reply),
        counts: [0; 4],
    };
    let sections = [&reply.answers, &reply.authorities, &reply.additionals];
    let sections = sections.map(Vec::as_slice);
    let limit = frame.limit.saturating_sub(opt as u16);
    let written = writer::write(header, query.question.as_ref(), sections, limit, out)?;
    let explained = query.edns.is_none_or(|edns| {
        let rcode = reply.rcode.into();
        write_opt(edns, (rcode, reply.ede.as_ref()), options, frame, out)
    });
    Ok(written && explained)
}

fn flags(query: &Query, reply: &Reply) -> u16 {
    flag::QR
        | u16::from(query.opcode) << 11
        | query.flags & (flag::RD | flag::CD)
        | bit_if(reply.authoritative, flag::AA)
        | bit_if(query.opcode == 0, flag::RA)
        | bit_if(reply.verified && query.wants_authentic_data(), flag::AD)
        | u16::from(reply.rcode) & flag::RCODE
}

/// Appends the OPT record (RFC 6891 §6.1), with the extended error if there is room for it; whether there was.
fn write_opt(
    edns: ClientEdns,
    (rcode, ede): (u16, Option<&ExtendedError>),
    mut options: Vec<u8>,
    frame: &Frame,
    out: &mut Vec<u8>,
) -> bool {
    let before = out.len() + OPT;
    let room = usize::from(frame.limit).saturating_sub(before);
    let explanation = ede.map(ExtendedError::to_option).unwrap_or_default();
    let fits = options.len() + explanation.len() <= room;
    if fits {
        options.extend(explanation);
    }
    if frame.padding {
        edns::pad(&mut options, before, PADDING_BLOCK, room);
    }
    count_additional(out);
    Opt::ours(rcode, edns.dnssec_ok).write(&options, out);
    fits
}
