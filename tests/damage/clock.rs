//! The time of day jumps, at the start and while the daemon runs: nothing wedges, no answer is wrong, and no TTL grows.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::{Ground, NAMES, NOT_READY};
use crate::common::dns::{Seen, see};
use crate::common::fault;
use crate::common::home::ended;
use crate::common::process::{listener, serve, status, until};
use crate::common::unbound::Unbound;

const HOUR: i64 = 3_600;
const YEAR: i64 = 366 * 24 * HOUR;
/// By how many seconds the time of day is off. Every second jump leads home.
const JUMPS: [i64; 8] = [YEAR, 0, -YEAR, 0, HOUR, 0, -HOUR, 0];
/// A signed name and an unsigned one, with what is right.
const OTHERS: [(&str, &str); 2] = [
    ("www.example.org", "198.51.100.9"),
    ("www.example.com", "93.184.215.14"),
];
/// What the zone files and the upstream's zones say at most, in seconds.
const TTL_MAX: u32 = 3_600;

#[test]
fn a_clock_that_jumps_wedges_nothing() {
    let ground = Ground::new();
    let (unbound, anchor) = Unbound::start_signed();
    let library = fault::library(&ground.home).display().to_string();
    let shift = ground.data().join("shift"); // where the sandbox lets it be read
    let place = |name: &str| ground.home.path().join(name).display().to_string();
    let settings = [
        ("BNSD_DATA_DIR", place("data")),
        ("BNSD_CHAIN_SOURCE", "dev".to_owned()),
        ("BNSD_CONTROL_SOCKET", place("socket")),
        ("BNSD_DNS_UPSTREAMS", unbound.address.to_string()),
        ("BNSD_DNS_VALIDATE", "true".to_owned()),
        ("BNSD_DNS_TRUST_ANCHOR", anchor.display().to_string()),
        ("BNSD_DNS_KEEP_CACHE", "true".to_owned()),
        ("LD_PRELOAD", library),
        ("FAULT_SHIFT", shift.display().to_string()),
    ];
    let settings = settings.each_ref().map(|(key, value)| (*key, &**value));
    let socket = Path::new(settings[2].1);
    for at_start in [0, YEAR, -YEAR, HOUR, -HOUR] {
        let set = |seconds: i64| fs::write(&shift, seconds.to_string()).expect("writable");
        set(at_start);
        let mut daemon = serve(&ground.home, &settings);
        let server = listener(&daemon.ready(socket));
        for jump in std::iter::once(at_start).chain(JUMPS) {
            set(jump);
            let what = format!("started at {at_start}, now {jump}");
            if jump == 0 {
                until(&what, || (right_answers(server, &what) == 6).then_some(()));
            }
            if (at_start, jump) == (0, YEAR) {
                let age = status(socket).and_then(|status| status.tip_age_seconds);
                assert!(
                    age.is_some_and(|age| age as i64 > YEAR / 2),
                    "no jump: {age:?}"
                );
            }
            right_answers(server, &what);
            is_followed(&ground, socket, &what);
        }
        assert!(daemon.terminate().success(), "{}", daemon.stderr());
        let log = daemon.stderr();
        assert!(
            !log.contains("panicked") && !log.contains("overflow"),
            "{log}"
        );
    }
}

/// How many questions get the right answer. Names of the chain may be withheld as too old, others because their
/// signatures do not hold at that time, and nothing else is seen.
fn right_answers(server: SocketAddr, what: &str) -> usize {
    let named = (1..).zip(NAMES).filter(|(number, name)| {
        let seen = see(server, name, RecordType::A);
        let is_withheld = seen
            .ede
            .as_ref()
            .is_some_and(|(code, _)| *code == NOT_READY);
        is_right(&seen, &format!("192.0.2.{number}"), what)
            || refused(&seen, is_withheld, what, name)
    });
    let named = named.count();
    let others = OTHERS.iter().filter(|(name, address)| {
        let seen = see(server, name, RecordType::A);
        is_right(&seen, address, what) || refused(&seen, true, what, name)
    });
    let others = others.count();
    assert!(
        see(server, "localhost", RecordType::A).has_address("127.0.0.1"),
        "{what}"
    );
    named + others
}

fn is_right(seen: &Seen, address: &str, what: &str) -> bool {
    for answer in &seen.answers {
        let ttl = answer
            .split_whitespace()
            .nth(1)
            .and_then(|ttl| ttl.parse().ok());
        assert!(
            ttl.is_some_and(|ttl: u32| ttl <= TTL_MAX),
            "{what}: {answer}"
        );
    }
    seen.rcode == ResponseCode::NoError && seen.has_address(address)
}

/// Never counts.
fn refused(seen: &Seen, is_for_a_reason: bool, what: &str, name: &str) -> bool {
    let is_refused = seen.rcode == ResponseCode::ServFail && is_for_a_reason;
    assert!(is_refused, "{what}: {name}: {seen:?}");
    false
}

/// A block that is mined meanwhile is indexed.
fn is_followed(ground: &Ground, socket: &Path, what: &str) {
    let height = || status(socket).and_then(|status| status.height);
    let before = height();
    let mut mine = ground.home.bnsd(&["tx", "mine", "1"]);
    let mined = ended(mine.env("BNSD_CONTROL_SOCKET", socket));
    assert_eq!(mined.code, 0, "{what}: {mined:?}");
    until(what, || {
        (height() == before.map(|height| height + 1)).then_some(())
    });
}
