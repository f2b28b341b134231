//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use std::time::Duration;

use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::ask::{Ask, NxdomainCut};
use super::entry::{Channel, Entry, Stamp};
use super::message::{Judged, Letters, Options, Sent, Verdict, judge};
use crate::resolver::Question;
use crate::wire::{self, HEADER, Header, flag};

const HOUR: Duration = Duration::from_secs(3600);

/// Takes a packet as the response to a question: it is dropped, or kept and served as a whole message.
///
/// # Panics
///
/// If what is served is not whole.
pub fn message_of_upstream(bytes: &[u8]) {
    let name = Name::from_ascii("www.example.com.").expect("a name");
    let ask = Ask {
        question: Question::new(&name, RecordType::A, DNSClass::IN),
        dnssec_ok: true,
        checking_disabled: false,
        nxdomain_cut: NxdomainCut::Allowed,
    };
    let sent = Sent::new(&ask, Letters::Lower, Options::Cookie(b"8 bytes."));
    take(&sent, bytes);
    if let Some(addressed) = addressed(&sent, bytes) {
        take(&sent, &addressed);
    }
}

/// The packet with the ID and the question that are expected, so that it gets past the first look.
fn addressed(sent: &Sent, bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = bytes.split_at_checked(HEADER)?;
    let mut message = [head, sent.question(), rest].concat();
    Header::edit(&mut message, |header| {
        header.id = sent.id();
        header.flags = (header.flags | flag::QR) & !flag::OPCODE;
        header.counts[0] = 1;
    });
    Some(message)
}

fn take(sent: &Sent, bytes: &[u8]) {
    if let Verdict::Accepted(judged) = judge(sent, bytes) {
        let _ = judged.has_endless_aliases();
        for channel in [Channel::Plain, Channel::Validated, Channel::Portal] {
            serve(sent, &judged, channel);
        }
    }
}

fn serve(sent: &Sent, judged: &Judged, channel: Channel) {
    let Some(entry) = Entry::new(judged, HOUR, 0, channel) else {
        return;
    };
    let _ = (entry.strays(), entry.denies_its_name(), entry.weight());
    let stamp = Stamp {
        id: 1,
        flags: flag::RD,
        question: sent.question(),
    };
    let mut out = Vec::new();
    for now in [HOUR, 2 * HOUR, 1000 * HOUR] {
        entry.write(stamp, now, &mut out);
        wire::walk(&out).expect("a whole message");
        let kept = entry.aged(now);
        let _ = Entry::restore(kept, now, (1, 60), channel).map(|entry| entry.remaining(now));
    }
}
