//! The query that goes to an upstream, and the judgement of what comes back.
//!
//! The same rules hold on every transport, because a connection only says who speaks and not what the response is
//! about: QR, ID and the question must be ours, letter by letter (draft-vixie-dnsext-dns0x20), a cookie that
//! comes back must be the one that was sent (RFC 7873 §5.3), the message must be whole, and its answer section
//! must be about the name that was asked for. What fails is dropped, and the wait goes on.
//!
//! Of the client's query only the question, DO and CD go along. Client subnet and all other options stay here
//! (RFC 7871 §12).

use super::ask::Ask;
use super::random;
use crate::resolver::MAX_ALIASES;
use crate::wire::alias::{aliases, are_endless};
use crate::wire::edns::{self, CLIENT_COOKIE, OPT, Opt, option, write_option};
use crate::wire::header::bit_if;
use crate::wire::writer::count_additional;
use crate::wire::{self, HEADER, Header, Section, Walk, flag, rtype};

/// Queries on encrypted transports are padded to a multiple of this (RFC 8467 §4.1).
const BLOCK: usize = 128;

/// How the letters of the question are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// At random.
    Mixed,
    /// In lower case, for an upstream that changes them.
    Lower,
}

/// What OPT carries besides DO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options<'a> {
    /// No OPT at all, for an upstream that does not know it.
    NoEdns,
    /// Our cookie, with the server's behind it if we know it.
    Cookie(&'a [u8]),
    /// Padding, for encrypted transports.
    Padded,
}

/// A query as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message.
    pub bytes: Vec<u8>,
    /// Where its question ends.
    question_end: usize,
    /// The name asked for, in lower case.
    name: Vec<u8>,
    /// The client cookie in it.
    cookie: Option<[u8; CLIENT_COOKIE]>,
}

impl Sent {
    /// Builds the query for a question, with an ID of its own.
    pub fn new(ask: &Ask, letters: Letters, options: Options<'_>) -> Self {
        let name = ask.wire_name();
        let mut bytes = vec![0; HEADER];
        bytes.reserve(name.len() + 64);
        let header = Header {
            id: random::number(),
            // AD asks to be told about it (RFC 6840 §5.7).
            flags: flag::RD | flag::AD | bit_if(ask.checking_disabled, flag::CD),
            counts: [1, 0, 0, 0],
        };
        header.put(&mut bytes);
        bytes.extend(&name);
        if letters == Letters::Mixed {
            random::mix_case(bytes.split_at_mut(HEADER).1);
        }
        bytes.extend(u16::from(ask.question.rtype).to_be_bytes());
        bytes.extend(u16::from(ask.question.class).to_be_bytes());
        let mut sent = Self {
            question_end: bytes.len(),
            bytes,
            name,
            cookie: None,
        };
        sent.add_opt(ask.dnssec_ok, options);
        sent
    }

    /// The question as it was sent.
    pub fn question(&self) -> &[u8] {
        self.bytes
            .get(HEADER..self.question_end)
            .unwrap_or_default()
    }

    /// The ID.
    pub fn id(&self) -> u16 {
        Header::read(&self.bytes).map_or(0, |header| header.id)
    }

    /// Puts another ID in: connections give out their own, DoH has 0 (RFC 8484 §4.1).
    pub fn set_id(&mut self, id: u16) {
        Header::edit(&mut self.bytes, |header| header.id = id);
    }

    fn add_opt(&mut self, dnssec_ok: bool, options: Options<'_>) {
        let mut data = Vec::new();
        match options {
            Options::NoEdns => return,
            Options::Cookie(cookie) => {
                self.cookie = cookie.first_chunk().copied();
                write_option(option::COOKIE, cookie, &mut data);
            }
            Options::Padded => edns::pad(&mut data, self.bytes.len() + OPT, BLOCK, usize::MAX),
        }
        count_additional(&mut self.bytes);
        Opt::ours(0, dnssec_ok).write(&data, &mut self.bytes);
    }
}

/// What a packet from an upstream is.
#[derive(Debug)]
pub enum Verdict {
    /// The response.
    Accepted(Box<Judged>),
    /// The response, cut short: ask over TCP.
    Truncated,
    /// Not ours, or not sound: dropped, and the wait goes on.
    Foreign,
    /// Ours but for the case of its letters: never accepted; TCP will tell.
    WrongCase,
    /// A refusal without a question, from a server that may not know EDNS; never accepted.
    Headless,
}

/// A response that passed.
#[derive(Debug)]
pub struct Judged {
    /// The message.
    pub bytes: Vec<u8>,
    /// Its parts.
    pub walk: Walk,
    /// Its response code, the bits in OPT included.
    pub rcode: u16,
    /// The whole cookie, if one came back.
    pub cookie: Option<Vec<u8>>,
}

impl Judged {
    /// Whether its aliases lead in a circle or too far, unless an alias is what was asked for.
    pub fn has_endless_aliases(&self) -> bool {
        let Some((asked, end)) = wire::read_name(&self.bytes, HEADER) else {
            return false;
        };
        let rtype = self.bytes.get(end..).and_then(<[u8]>::first_chunk);
        let names = aliases(&self.walk, &self.bytes, &asked);
        rtype.copied().map(u16::from_be_bytes) != Some(rtype::CNAME)
            && are_endless(&self.walk, &self.bytes, &names, MAX_ALIASES)
    }
}

/// Judges a packet that came where the response to `sent` is expected.
pub fn judge(sent: &Sent, bytes: &[u8]) -> Verdict {
    let is_ours = |header: &Header| {
        header.id == sent.id() && header.flags & (flag::QR | flag::OPCODE) == flag::QR
    };
    let Some(header) = Header::read(bytes).filter(is_ours) else {
        return Verdict::Foreign;
    };
    if bytes.len() == HEADER && matches!(header.flags & flag::RCODE, 1 | 4) {
        return Verdict::Headless;
    }
    if header.counts[0] != 1 {
        return Verdict::Foreign;
    }
    if let Some(verdict) = judge_question(sent, bytes) {
        return verdict;
    }
    if header.flags & flag::TC != 0 {
        return Verdict::Truncated;
    }
    read(sent, bytes).map_or(Verdict::Foreign, |judged| {
        Verdict::Accepted(Box::new(judged))
    })
}

/// What is wrong with the question of a packet; `None` if it is the one that was sent, letter by letter.
fn judge_question(sent: &Sent, bytes: &[u8]) -> Option<Verdict> {
    let ours = sent.question();
    let theirs = bytes.get(HEADER..sent.question_end).unwrap_or_default();
    if theirs == ours {
        return None;
    }
    // Type and class hold no letters by chance alone: they are compared as they are.
    let is_same =
        theirs.eq_ignore_ascii_case(ours) && theirs.last_chunk::<4>() == ours.last_chunk();
    Some(if is_same {
        Verdict::WrongCase
    } else {
        Verdict::Foreign
    })
}

fn read(sent: &Sent, bytes: &[u8]) -> Option<Judged> {
    let walk = wire::walk(bytes)?;
    let cookie = walk.option(bytes, option::COOKIE);
    let same_cookie = match (sent.cookie, cookie) {
        (Some(ours), Some(theirs)) => theirs.starts_with(&ours),
        _ => true,
    };
    let cookie = cookie
        .filter(|cookie| (16..=40).contains(&cookie.len()))
        .map(<[u8]>::to_vec);
    (same_cookie && is_about(&walk, &sent.name)).then(|| Judged {
        rcode: walk.rcode(bytes),
        bytes: bytes.to_vec(),
        walk,
        cookie,
    })
}

/// Whether the answer section, if there is one, says something about the name that was asked for. Records of
/// others may come along; they are strays ([`wire::alias::strays`]) and never passed on.
fn is_about(walk: &Walk, asked: &[u8]) -> bool {
    let mut answers = walk.section(Section::Answer).peekable();
    answers.peek().is_none() || answers.any(|record| record.owner == asked)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{DNSClass, Name, RecordType};

    use super::*;
    use crate::resolver::Question;
    use crate::upstream::ask::NxdomainCut;

    fn ask() -> Ask {
        let name = Name::from_ascii("www.example.com.").expect("a name");
        Ask {
            question: Question::new(&name, RecordType::A, DNSClass::IN),
            dnssec_ok: true,
            checking_disabled: false,
            nxdomain_cut: NxdomainCut::Allowed,
        }
    }

    /// The response to `sent` with one address.
    fn answer(sent: &Sent) -> Vec<u8> {
        let mut bytes = sent.bytes[..sent.question_end].to_vec();
        bytes[2] |= 0x80;
        bytes[7] = 1;
        bytes[11] = 0;
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        bytes
    }

    fn is_answer(sent: &Sent, bytes: &[u8]) -> bool {
        matches!(judge(sent, bytes), Verdict::Accepted(_))
    }

    #[test]
    fn only_the_answer_to_the_question_is_accepted() {
        let sent = Sent::new(&ask(), Letters::Mixed, Options::Cookie(b"8 bytes."));
        let good = answer(&sent);
        assert!(is_answer(&sent, &good));
        let with = |at: usize, bits: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= bits;
            bytes
        };
        for (at, bits) in [
            (0, 1),    // ID
            (2, 0x80), // QR
            (2, 0x08), // opcode
            (5, 1),    // no question
            (14, 1),   // name
            (30, 1),   // type
            (32, 2),   // class
            (7, 2),    // more records than there are
        ] {
            assert!(!is_answer(&sent, &with(at, bits)), "{at}");
        }
        assert!(matches!(judge(&sent, &with(13, 0x20)), Verdict::WrongCase));
        assert!(matches!(judge(&sent, &with(2, 2)), Verdict::Truncated));
        assert!(matches!(judge(&sent, &good[..40]), Verdict::Foreign));
    }

    #[test]
    fn records_of_other_names_and_foreign_cookies_are_refused() {
        let sent = Sent::new(&ask(), Letters::Mixed, Options::Cookie(b"8 bytes."));
        let mut other = answer(&sent);
        let owner = sent.question_end + 1;
        other[owner] = 12 + 4; // `example.com` instead of `www.example.com`
        assert!(!is_answer(&sent, &other));
        let mut cookie = answer(&sent);
        cookie[11] = 1;
        cookie.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 20, 0, 10, 0, 16]);
        cookie.extend(b"8 bytes?of one..");
        assert!(!is_answer(&sent, &cookie));
        let ours = cookie.len() - 9;
        cookie[ours] = b'.';
        assert!(is_answer(&sent, &cookie));
    }

    #[test]
    fn encrypted_queries_are_padded_to_blocks() {
        let sent = Sent::new(&ask(), Letters::Mixed, Options::Padded);
        assert_eq!(sent.bytes.len() % BLOCK, 0);
        assert!(wire::walk(&sent.bytes).is_some());
    }
}
