//! Copied replies are those of the long way, byte for byte.
//!
//! Two handlers have the same names and policy. One logs its queries, so it decodes and decides every one of them; the other
//! forgets its replies before each, so it copies from compiled zones wherever it can.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::Name as DnsName;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::{Handled, Handler, QueryLog};
use crate::clock::SystemClock;
use crate::dns::{Client, Counters, Transport};
use crate::hash::ZonefileHash;
use crate::resolver::fixture::Names;
use crate::resolver::{
    Mode, NameStatus, Outcome, Policy, Preference, RegisteredName, SyncState, ZoneStatus,
};
use crate::upstream::{ForwardOptions, Forwarder};

/// How many questions are asked; more with `BNSD_TEST_FORM=release`.
fn questions() -> u32 {
    match std::env::var("BNSD_TEST_FORM").as_deref() {
        Ok("release") => 1_000_000,
        _ => 20_000,
    }
}

/// How many of a hundred must be copied, for the comparison to be worth something.
const LEAST_SHARE: u64 = 15;

/// Labels below names that have something, are something else, or do not exist; `@` for none.
const BELOW: &str = "@ @ @ @ @ www sub er.sub deep.er.sub private mixed out t short x.short leave target nx a.nx host.ent \
    ent exact x.exact own www.own unread _tlskey _443._tcp * many x.bnsd-loop";
const NAMES: &str = "plain.id plain.id plain.id plain.id data.podcast data.podcast data.podcast big.podcast \
    keyed.podcast wild.podcast hub.podcast soon.podcast ending.id good.id nozf.podcast missing.podcast badhash.podcast \
    expired.podcast revoked.podcast nosuch.podcast co.id in-addr.arpa podcast example.com";
const TYPES: [u16; 29] = [
    1, 1, 1, 1, 28, 28, 16, 16, 6, 2, 15, 5, 39, 43, 256, 255, 65_280, 65_281, 52, 64, 65, 12, 33,
    0, 41, 249, 251, 252, 99,
];

/// Many records, a private address, data of no bytes, hints: whatever decides how a reply is written.
const PLAIN: &str = "$TTL 900
@ A 192.0.2.1
@ A 192.0.2.2
@ AAAA 2001:db8::1
@ MX 10 mail
@ 30 TXT \"v=spf1 mx -all\"
@ NS ns
@ TYPE65280 \\# 0
@ HTTPS 1 . alpn=h2
www HTTPS 1 . ipv4hint=10.0.0.1
www A 198.51.100.1
mail A 192.0.2.3
mixed A 10.0.0.1
mixed A 192.0.2.4
private AAAA fd00::1
_443._tcp TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
deep.er.sub TXT \"below\"
own TXT \"own\"
t TYPE65281 \\# 4 DEADBEEF
";

fn names() -> Names {
    let mut names = Names::new();
    let many: String = (0..100)
        .map(|n| format!("many A 198.51.100.{n}\n"))
        .collect();
    names.register("plain.id", loaded("plain.id", &format!("{PLAIN}{many}")));
    names.register("data.podcast", loaded("data.podcast", PLAIN));
    names.register("in-addr.arpa", loaded("in-addr.arpa", PLAIN));
    for (name, last_resolves) in [("ending.id", 100), ("soon.podcast", 101)] {
        names.register(name, loaded(name, PLAIN));
        let registered = RegisteredName {
            last_change_height: 99,
            last_resolves: Some(last_resolves),
            zonefile_hash: Some(ZonefileHash::of(name.as_bytes())),
        };
        names.set(name, NameStatus::Registered(registered));
    }
    names
}

fn loaded(name: &str, text: &str) -> ZoneStatus {
    let origin = dns(name);
    let zone = crate::zonefile::parse(&origin, text.as_bytes()).expect("a zone file");
    assert_eq!(zone.ignored(), []);
    ZoneStatus::Loaded(Arc::new(zone))
}

fn dns(text: &str) -> DnsName {
    let mut name = DnsName::from_ascii(text).expect("a domain name");
    name.set_fqdn(true);
    name
}

/// Policies that differ in whatever an answer from the chain depends on.
fn policies() -> Vec<Policy> {
    let mut policies = vec![Policy::default(); 6];
    policies[1].max_ttl = 45;
    policies[1].ad_for_bns = false;
    policies[2].allow_private = vec![dns("plain.id"), dns("mixed.data.podcast")];
    policies[2].gateway = Some([127, 0, 62, 70].into());
    let modes = &mut policies[3].modes;
    modes.insert("id".parse().expect("an id"), Mode::Only);
    modes.insert("podcast".parse().expect("an id"), Mode::LegacyFirst);
    modes.insert("arpa".parse().expect("an id"), Mode::Only);
    for (name, preference) in [
        ("good.id", Preference::Legacy),
        ("plain.id", Preference::Bns),
    ] {
        let name = name.parse().expect("a name");
        policies[4].preferences.insert(name, preference);
    }
    policies[4].gateway = Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    policies[5].max_ttl = 0;
    policies
}

struct Pair {
    copying: Handler<Names>,
    deciding: Handler<Names>,
}

impl Pair {
    fn new(policy: &Policy, sync: SyncState) -> Self {
        let handler = || {
            let clock = Arc::new(SystemClock::start());
            let forwarder = Forwarder::new(ForwardOptions::default(), clock);
            let mut names = names();
            names.sync = sync;
            let forwarder = Arc::new(forwarder.expect("no upstreams"));
            Handler::new(names, policy.clone(), forwarder)
        };
        Self {
            copying: handler(),
            deciding: handler().with_log(QueryLog::On),
        }
    }

    /// Asks both, and whether a reply was copied; they must agree.
    fn ask(&self, query: &[u8], transport: Transport) -> bool {
        let client = Client {
            address: [127, 0, 0, 1].into(),
            transport,
        };
        let (mut copied, mut decided) = (vec![1; 7], vec![2; 9]);
        let plain = self.copying.plain(query);
        let was_copied = plain.is_some_and(|plain| {
            let arrival = (client, self.copying.forwarder.now());
            (self.copying).reply_compiled(&plain, arrival, &mut None, &mut copied)
        });
        match was_copied {
            true => {
                let handled = self.deciding.handle(query, client, &mut decided);
                assert!(matches!(handled, Handled::Ready), "{query:x?} would wait");
                assert_eq!(copied, decided, "{query:x?}");
                // Now it comes from memory.
                let handled = self.copying.handle(query, client, &mut copied);
                assert!(matches!(handled, Handled::Ready));
                assert_eq!(copied, decided, "{query:x?} from memory");
                self.deciding.handle(query, client, &mut decided); // so that the counters agree
            }
            false => {
                let one = self.copying.handle(query, client, &mut copied);
                let other = self.deciding.handle(query, client, &mut decided);
                let waits = |handled| matches!(handled, Handled::Pending(_));
                assert_eq!(waits(one), waits(other), "{query:x?}");
            }
        }
        assert_eq!(
            ends(&self.copying.counters),
            ends(&self.deciding.counters),
            "{query:x?}"
        );
        self.copying.replies.forget_replies_alone();
        was_copied
    }
}

fn ends(counters: &Counters) -> [u64; Outcome::ALL.len()] {
    Outcome::ALL.map(|outcome| counters.get(outcome))
}

#[derive(Debug, Clone)]
struct Asked {
    below: &'static str,
    name: &'static str,
    alias: bool,
    rtype: u16,
    letters: u64,
    flags: u16,
    edns: Option<(u16, u8)>,
    transport: Transport,
    handlers: Index,
}

fn asked() -> impl Strategy<Value = Asked> {
    let words = |text: &'static str| select(text.split_whitespace().collect::<Vec<_>>());
    let name = (words(BELOW), words(NAMES), prop::bool::weighted(0.2));
    let flags = select(vec![0x0100, 0x0100, 0x0120, 0x0110, 0, 0x0030]);
    let payload = select(vec![0, 512, 513, 600, 900, 1232, 4096]);
    let edns = prop::option::of((payload, select(vec![0, 0x80])));
    let transport = prop_oneof![
        8 => Just(Transport::Udp),
        6 => select(vec![Transport::Tcp, Transport::Tls, Transport::Https]),
        1 => select(vec![Transport::Control, Transport::Daemon]),
    ];
    let rest = (select(&TYPES[..]), any::<u64>(), flags, edns, transport);
    (name, rest, any::<Index>()).prop_map(|(name, rest, handlers)| Asked {
        below: name.0,
        name: name.1,
        alias: name.2,
        rtype: rest.0,
        letters: rest.1,
        flags: rest.2,
        edns: rest.3,
        transport: rest.4,
        handlers,
    })
}

impl Asked {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        let alias = if self.alias { "bns.alt" } else { "" };
        let labels = [self.below, self.name, alias];
        let labels = labels.iter().flat_map(|part| part.split('.'));
        for label in labels.filter(|label| !["", "@"].contains(label)) {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes().zip(0..).map(|(byte, at)| {
                match self.letters >> (at % 64) & 1 {
                    1 => byte.to_ascii_uppercase(),
                    _ => byte,
                }
            }));
        }
        bytes.push(0);
        bytes.extend(self.rtype.to_be_bytes());
        bytes.extend([0, 1]);
        if let Some((payload, dnssec_ok)) = self.edns {
            bytes.extend([0, 0, 41]);
            bytes.extend(payload.to_be_bytes());
            bytes.extend([0, 0, dnssec_ok, 0, 0, 0]);
        }
        bytes
    }
}

#[test]
fn copied_replies_are_those_of_a_decision() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let behind = |seconds| SyncState::Behind {
        indexed: 100,
        tip: 200,
        lag: std::time::Duration::from_secs(seconds),
        held: false,
    };
    let mut pairs: Vec<Pair> = policies()
        .iter()
        .map(|policy| Pair::new(policy, SyncState::Synced))
        .collect();
    for sync in [behind(60), behind(7_201), SyncState::Damaged] {
        pairs.push(Pair::new(&Policy::default(), sync));
    }
    let copied = std::cell::Cell::new(0);
    let config = Config {
        cases: questions(),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&asked(), |asked| {
            let pair = asked.handlers.get(&pairs);
            let was_copied = pair.ask(&asked.bytes(), asked.transport);
            copied.set(copied.get() + u64::from(was_copied));
            Ok(())
        })
        .expect("the same bytes");
    let share = copied.get() * 100 / u64::from(questions());
    println!("{} questions, {share} % copied", questions());
    assert!(share >= LEAST_SHARE, "{share} % were copied");
}
