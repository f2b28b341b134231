//! Bytes of a query, judged: what is asked, or how to turn it down (RFC 8906 lists what a server must survive).

use hickory_proto::op::{Edns, Message, Query as WireQuestion, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use super::cookie::ClientCookie;
use crate::resolver::Question;
use crate::wire::edns::option;
use crate::wire::header::bit_if;
use crate::wire::{Header, flag};

/// What came in.
#[derive(Debug)]
pub enum Decoded {
    /// Not a query: no answer, because an answer could start a loop.
    Silence,
    /// A query that gets a response code alone, whatever it asks.
    Rejected(Query, ResponseCode),
    /// A question.
    Asked(Query, Question),
}

/// What an answer needs to know of its query.
#[derive(Debug, Clone)]
pub struct Query {
    /// ID, echoed.
    pub id: u16,
    /// OPCODE, echoed.
    pub opcode: u8,
    /// RD and CD, which are echoed, and AD: the client understands that bit (RFC 6840 §5.7).
    pub flags: u16,
    /// The question in the client's own letters; absent where none could be read.
    pub question: Option<WireQuestion>,
    /// What the client's OPT record says, if it sent one.
    pub edns: Option<ClientEdns>,
}

/// The client's side of EDNS. Options other than these are ignored, and none is ever echoed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientEdns {
    /// Largest UDP answer it takes, at least 512.
    pub payload: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// Its cookie, if it sent one that is well formed.
    pub cookie: Option<ClientCookie>,
    /// Whether it wants to know how long a connection may idle.
    pub keepalive: bool,
    /// Whether it hides the length of what it sends.
    pub padding: bool,
}

impl ClientEdns {
    /// Fails with the response code for a cookie that cannot be read (RFC 7873 §5.2.2).
    fn read(edns: &Edns) -> Result<Self, ResponseCode> {
        let mut found = Self {
            payload: edns.max_payload(),
            dnssec_ok: edns.flags().dnssec_ok,
            ..Self::default()
        };
        for (_, option) in edns.options().as_ref() {
            match option {
                // The first cookie counts (RFC 7873 §5.2).
                EdnsOption::Unknown(option::COOKIE, data) if found.cookie.is_none() => {
                    found.cookie = Some(ClientCookie::parse(data).ok_or(ResponseCode::FormErr)?);
                }
                EdnsOption::Unknown(option::KEEPALIVE, _) => found.keepalive = true,
                EdnsOption::Unknown(option::PADDING, _) => found.padding = true,
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Query {
    /// A query of which only the header is known.
    fn bare(header: Header) -> Self {
        Self {
            id: header.id,
            opcode: header.opcode(),
            flags: header.flags & (flag::RD | flag::AD | flag::CD),
            question: None,
            edns: None,
        }
    }

    /// Whether the client wants to know if data is verified.
    pub fn wants_authentic_data(&self) -> bool {
        self.flags & flag::AD != 0 || self.dnssec_ok()
    }

    /// Whether the client wants DNSSEC records.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}

/// Judges a packet.
pub fn decode(bytes: &[u8]) -> Decoded {
    let is_query = |header: &Header| header.flags & flag::QR == 0;
    let Some(header) = Header::read(bytes).filter(is_query) else {
        return Decoded::Silence;
    };
    let query = Query::bare(header);
    if query.opcode != 0 {
        return reject_bare(query, ResponseCode::NotImp);
    }
    if header.flags & flag::TC != 0 || header.counts[0] > 1 {
        return reject_bare(query, ResponseCode::FormErr);
    }
    match Message::from_vec(bytes) {
        Ok(message) => judge(query, &message),
        Err(_) => reject_bare(query, ResponseCode::FormErr),
    }
}

/// RFC 8906 §3.1.4: an unknown opcode gives nothing of the header a meaning, so nothing is copied.
fn reject_bare(query: Query, rcode: ResponseCode) -> Decoded {
    let flags = query.flags & bit_if(query.opcode == 0, flag::RD);
    Decoded::Rejected(Query { flags, ..query }, rcode)
}

fn judge(mut query: Query, message: &Message) -> Decoded {
    query.question = message.queries.first().cloned();
    match message.edns.as_ref().map(ClientEdns::read).transpose() {
        Ok(edns) => query.edns = edns,
        Err(rcode) => return Decoded::Rejected(query, rcode),
    }
    if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Decoded::Rejected(query, ResponseCode::BADVERS);
    }
    let Some(asked) = &query.question else {
        return match query.edns.and_then(|edns| edns.cookie) {
            // Only the wish for a server cookie (RFC 7873 §5.4).
            Some(_) => Decoded::Rejected(query, ResponseCode::NoError),
            None => reject_bare(query, ResponseCode::FormErr),
        };
    };
    if is_meta(asked.query_type()) {
        return Decoded::Rejected(query, ResponseCode::FormErr);
    }
    let question = Question::new(asked.name(), asked.query_type(), asked.query_class());
    Decoded::Asked(query, question)
}

/// Types that are parts of a message and never the question (RFC 6895 §3.1).
fn is_meta(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::OPT | RecordType::TSIG | RecordType::ZERO)
        || u16::from(rtype) == 249
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::fixture::query_bytes;

    /// TC in the third byte of a header, and QR.
    const TC: u8 = 0x02;
    const QR: u8 = 0x80;

    fn rcode(bytes: &[u8]) -> ResponseCode {
        match decode(bytes) {
            Decoded::Rejected(_, rcode) => rcode,
            other => panic!("expected a rejection, got {other:?}"),
        }
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        assert!(matches!(decode(&[0; 11]), Decoded::Silence));
        let mut response = query_bytes("good.id.", RecordType::A);
        response[2] |= QR;
        assert!(matches!(decode(&response), Decoded::Silence));
    }

    #[test]
    fn malformed_queries_are_turned_down() {
        let good = query_bytes("good.id.", RecordType::A);
        let with = |index: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[index] = value;
            bytes
        };
        assert_eq!(rcode(&with(2, TC)), ResponseCode::FormErr);
        assert_eq!(rcode(&with(5, 0)), ResponseCode::FormErr);
        assert_eq!(rcode(&with(5, 2)), ResponseCode::FormErr);
        assert_eq!(rcode(&with(12, 0x44)), ResponseCode::FormErr);
        assert_eq!(rcode(&with(12, 0x84)), ResponseCode::FormErr);
        assert_eq!(rcode(&with(2, 2 << 3)), ResponseCode::NotImp);
        assert_eq!(rcode(&good[..good.len() - 1]), ResponseCode::FormErr);
        // A pointer to itself.
        let mut pointer = good[..12].to_vec();
        pointer.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(rcode(&pointer), ResponseCode::FormErr);
        assert_eq!(
            rcode(&query_bytes("good.id.", RecordType::OPT)),
            ResponseCode::FormErr
        );
    }

    #[test]
    fn a_foreign_opcode_is_echoed_without_the_rest() {
        let mut bytes = query_bytes("good.id.", RecordType::A);
        bytes[2] = 15 << 3 | 1;
        let Decoded::Rejected(query, ResponseCode::NotImp) = decode(&bytes) else {
            panic!("expected NOTIMP");
        };
        assert_eq!((query.opcode, query.flags & flag::RD), (15, 0));
    }

    #[test]
    fn edns_is_read_and_two_of_it_are_refused() {
        let mut bytes = query_bytes("good.id.", RecordType::A);
        let opt = [0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0];
        bytes.extend(opt);
        bytes[11] = 1;
        let Decoded::Asked(query, _) = decode(&bytes) else {
            panic!("expected a question");
        };
        let expected = ClientEdns {
            payload: 4096,
            dnssec_ok: true,
            cookie: None,
            keepalive: false,
            padding: false,
        };
        assert_eq!(query.edns, Some(expected));
        let version = bytes.len() - 5; // the second byte of the TTL field
        bytes[version] = 100;
        assert_eq!(rcode(&bytes), ResponseCode::BADVERS);
        bytes[version] = 0;
        bytes.extend(opt);
        bytes[11] = 2;
        assert_eq!(rcode(&bytes), ResponseCode::FormErr);
    }
}
