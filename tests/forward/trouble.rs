//! Rows 34, 37 and 46, and upstreams that are dead, lossy, restarted or in another network.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bnsd::clock::{ManualClock, SystemClock};
use bnsd::resolver::Question;
use bnsd::upstream::{Ask, NxdomainCut, SystemResolvers, Watch};
use bnsd::upstream::{ForwardOptions, Forwarder};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};

use super::{GOOD, answers, asking, form, pinned};
use crate::common::ports::free_address;
use crate::common::resolver::{Resolver, query, with_edns};
use crate::common::unbound::Unbound;
use crate::common::upstream::{
    ASKED, COM, Certificate, Seen, Send, Upstream, asked, response, soa,
};

#[test]
fn row_37_rfc9520_failures_are_kept_and_cost_few_packets() {
    let upstream = Upstream::start(|_| Vec::new());
    let resolver = asking(&upstream);
    let seconds = form(6, 10);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bytes = with_edns(query("dead.example.com.", RecordType::A))
        .to_vec()
        .unwrap();
    for _ in 0..seconds * 100 {
        socket.send_to(&bytes, resolver.address).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let named = |seen: &&Seen| asked(&seen.bytes) == "dead.example.com.";
    let packets = upstream.seen().iter().filter(named).count();
    assert!((1..=10).contains(&packets), "{packets}");
    let refusing = Upstream::start(|seen| vec![Send::Reply(response(&seen.bytes, 5, &[], &[]))]);
    let resolver = asking(&refusing);
    let first = resolver.ask_edns("no.example.com.", RecordType::A);
    let again = resolver.ask_edns("no.example.com.", RecordType::A);
    assert_eq!((first.ede(), again.ede()), (Some(23), Some(13)));
    assert_eq!(
        (again.rcode(), refusing.count()),
        (ResponseCode::Refused, 1)
    );
}

#[test]
fn row_34_rfc8767_what_is_out_of_date_serves_while_upstreams_fail() {
    let fails = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    let upstream = Upstream::start(move |seen| match flag.load(Ordering::SeqCst) {
        true => Vec::new(),
        false => vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 1, &[198, 51, 100, 5])],
            &[],
        ))],
    });
    let resolver = asking(&upstream);
    resolver.ask("www.example.com.", RecordType::A);
    fails.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1300));
    let stale = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!((stale.ttl(), stale.ede()), (30, Some(3)));
    let patience = Duration::from_millis(1700)..Duration::from_millis(2800);
    assert!(patience.contains(&stale.after), "{:?}", stale.after);
    fails.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(5));
    resolver.ask("www.example.com.", RecordType::A);
    std::thread::sleep(Duration::from_millis(300));
    let fresh = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!((fresh.ttl() <= 1, fresh.ede()), (true, None));
}

#[test]
fn row_34_rfc8767_nothing_out_of_date_serves_if_that_is_not_wanted() {
    let upstream = Upstream::start(|seen| match seen.before {
        0 => vec![Send::Reply(response(
            &seen.bytes,
            0,
            &[(ASKED, 1, 1, &[198, 51, 100, 5])],
            &[],
        ))],
        _ => Vec::new(),
    });
    let resolver = Resolver::start(&format!(
        "upstreams = [\"{}\"]\nstale-max = 0",
        upstream.address
    ));
    resolver.ask("www.example.com.", RecordType::A);
    std::thread::sleep(Duration::from_millis(1300));
    let answer = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(22))
    );
}

#[test]
fn row_34_rfc8767_a_missing_name_may_be_out_of_date_too() {
    let fails = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    let upstream = Upstream::start(move |seen| match flag.load(Ordering::SeqCst) {
        true => Vec::new(),
        false => {
            let soa = [(COM, 6, 900, &soa(1)[..])];
            vec![Send::Reply(response(&seen.bytes, 3, &[], &soa))]
        }
    });
    let resolver = asking(&upstream);
    resolver.ask("nx.example.com.", RecordType::A);
    fails.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1300));
    let stale = resolver.ask_edns("nx.example.com.", RecordType::A);
    assert_eq!(
        (stale.rcode(), stale.ede()),
        (ResponseCode::NXDomain, Some(19))
    );
    assert_eq!(stale.message.authorities[0].ttl, 30);
}

#[test]
fn row_35_rfc8914_the_upstreams_own_reason_is_passed_on() {
    let upstream = Upstream::start(|seen| {
        let mut bytes = response(&seen.bytes, 2, &[], &[]);
        bytes[11] = 1;
        bytes.extend([
            0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 15, 0, 4, 0, 7, b'o', b'k',
        ]);
        vec![Send::Reply(bytes)]
    });
    let answer = asking(&upstream).ask_edns("old.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(7)),
        "signature expired"
    );
}

#[test]
fn dead_and_lossy_upstreams_are_got_over() {
    let dead = Upstream::start(|_| Vec::new());
    let alive = Upstream::start(answers);
    let resolver = Resolver::asking(&[&dead.address.to_string(), &alive.address.to_string()]);
    for number in 0..20 {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    assert!(dead.count() < 6, "{}", dead.count());
    let lossy = Upstream::start(|seen| match seen.before % 2 {
        0 => Vec::new(),
        _ => answers(seen),
    });
    let resolver = asking(&lossy);
    for number in 0..5 {
        let answer = resolver.ask(&format!("n{number}.example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    // Nobody listens there at all.
    let resolver = Resolver::asking(&[&free_address().to_string()]);
    let answer = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(23))
    );
}

#[test]
fn an_upstream_may_restart_under_load() {
    let address = free_address();
    let certificate = Certificate::new("dns.example");
    drop(certificate);
    let resolver = Resolver::asking(&[&address.to_string()]);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (resolver, failed) = (&resolver, &failed);
            scope.spawn(move || {
                for number in 0..20 {
                    let name = format!("w{worker}n{number}.example.com.");
                    if resolver.ask(&name, RecordType::A).addresses() != [GOOD] {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(250));
        Upstream::start_at(address, answers);
    });
    let failed = failed.load(Ordering::SeqCst);
    assert!(failed <= 8, "{failed} of 160 failed");
    let answer = resolver.ask("after.example.com.", RecordType::A);
    assert_eq!(answer.addresses(), [GOOD]);
}

#[test]
fn row_46_a_circle_is_found_and_costs_few_packets() {
    let target = free_address();
    // A forwarder that asks whoever listens at `target`.
    let upstream = Upstream::start(move |seen| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let timeout = Some(Duration::from_secs(6));
        socket.set_read_timeout(timeout).unwrap();
        socket.send_to(&seen.bytes, target).unwrap();
        let mut buffer = [0; 4096];
        match socket.recv(&mut buffer) {
            Ok(length) => vec![Send::Reply(buffer[..length].to_vec())],
            Err(_) => Vec::new(),
        }
    });
    let resolver = Resolver::start_at(target, &format!("upstreams = [\"{}\"]", upstream.address));
    let start = Instant::now();
    let answer = resolver.ask_edns("www.example.com.", RecordType::A);
    assert_eq!(answer.rcode(), ResponseCode::ServFail);
    assert!(start.elapsed() < Duration::from_secs(5));
    let answer = resolver.ask_edns("other.example.com.", RecordType::A);
    assert_eq!(
        (answer.rcode(), answer.ede()),
        (ResponseCode::ServFail, Some(0))
    );
    assert!(answer.after < Duration::from_millis(500));
    assert!(upstream.count() <= 4, "{} packets", upstream.count());
}

/// A stub of this machine that sends `.id` to bnsd, and asks somebody else for the rest.
#[test]
fn row_46_a_circle_for_one_domain_is_found_at_once_and_the_others_are_asked() {
    let (target, elsewhere) = (free_address(), Upstream::start(answers));
    let stub = Unbound::stub(&[("id.", target), (".", elsewhere.address)]);
    let resolver = Resolver::start_at(target, &format!("upstreams = [\"{}\"]", stub.address));
    for name in [
        "nosuch.id.",
        "other.id.",
        "www.deep.third.id.",
        "nosuch.id.",
    ] {
        let answer = resolver.ask_edns(name, RecordType::A);
        assert_eq!(answer.rcode(), ResponseCode::ServFail, "{name}");
        assert!(matches!(answer.ede(), Some(0 | 13)), "{name}");
        assert!(
            answer.after < Duration::from_secs(1),
            "{name}: {:?}",
            answer.after
        );
        let answer = resolver.ask(&format!("www.{name}example.com."), RecordType::A);
        assert_eq!(answer.addresses(), [GOOD]);
    }
    let status = resolver.run(&["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("leads back to bnsd for id."), "{status}");
}

#[test]
fn row_46_asking_ourselves_is_refused_at_start() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("bnsd.toml");
    let check = |config: &str, arguments: &[&str]| {
        std::fs::write(&file, config).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bnsd"))
            .args(["serve", "--check-config", "--config"])
            .arg(&file)
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), error)
    };
    let routes = "listen = [\"127.0.0.1:5399\"]\n[dns.routes]\n\"lan\" = [\"127.0.0.1:5399\"]\n";
    for (config, arguments) in [
        (
            "listen = [\"0.0.0.0:5399\"]\n[dns]\nupstreams = [\"127.0.0.1:5399\"]\n",
            &[][..],
        ),
        (
            "",
            &["--listen", "0.0.0.0:5399", "--upstream", "127.0.0.1:5399"],
        ),
        (
            "",
            &["--listen", "[::]:5399", "--upstream", "127.0.0.1:5399"],
        ),
        ("", &["--listen", "[::1]:5399", "--upstream", "[::1]:5399"]),
        ("", &["--upstream", "127.0.0.1"]),
        (routes, &[]),
    ] {
        let (code, error) = check(config, arguments);
        assert_eq!(code, Some(2), "{config} {arguments:?}: {error}");
        assert!(error.contains("is where bnsd itself listens"), "{error}");
    }
    let (code, error) = check(
        "",
        &["--listen", "0.0.0.0:5399", "--upstream", "127.0.0.1:5398"],
    );
    assert_eq!(code, Some(0), "{error}");
}

/// A clock goes on while the machine sleeps, the other does not: only such a clock can be put forward here.
#[test]
fn a_night_in_suspension_is_noticed_and_upstreams_are_asked_afresh() {
    let certificate = Certificate::new("dns.example");
    let upstream = Upstream::start_tls(&certificate, answers);
    let clock = Arc::new(ManualClock::at(1_800_000_000));
    let options = ForwardOptions {
        upstreams: vec![pinned(&certificate, &upstream).parse().unwrap()],
        ..Default::default()
    };
    let forwarder = Arc::new(Forwarder::new(options, clock.clone()).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let watch = Watch {
        resolvers: None,
        listeners: Vec::new(),
    };
    let ask = |name: &str| {
        let ask = Ask {
            question: Question::new(&name.parse().unwrap(), RecordType::A, DNSClass::IN),
            dnssec_ok: false,
            checking_disabled: false,
            nxdomain_cut: NxdomainCut::Allowed,
        };
        let answered = runtime.block_on(forwarder.ask(&forwarder.terms(), &ask, &mut 3));
        answered.expect("an answer");
    };
    ask("a.example.com.");
    ask("b.example.com.");
    let connections = || {
        let seen = upstream.seen();
        seen.iter()
            .map(|seen| seen.from)
            .collect::<HashSet<_>>()
            .len()
    };
    assert_eq!(connections(), 1);
    runtime.spawn(watch.run(Arc::clone(&forwarder)));
    std::thread::sleep(Duration::from_millis(100));
    forwarder
        .open_portal(
            &["192.0.2.1:53".parse().unwrap()],
            Duration::from_secs(100_000),
        )
        .unwrap();
    clock.advance(28_800);
    let end = Instant::now() + Duration::from_secs(30);
    while forwarder.portal().is_some() {
        assert!(Instant::now() < end, "nobody notices");
        std::thread::sleep(Duration::from_millis(20));
    }
    ask("c.example.com.");
    assert_eq!(
        connections(),
        2,
        "the old connection led into another network"
    );
}

#[test]
fn another_network_is_noticed_and_its_answers_are_its_own() {
    let root = tempfile::tempdir().unwrap();
    let resolv_conf = root.path().join("etc/resolv.conf");
    std::fs::create_dir(root.path().join("etc")).unwrap();
    std::fs::write(&resolv_conf, "nameserver 192.0.2.1\n").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = ForwardOptions {
        follows_system: true,
        upstreams: vec!["192.0.2.1".parse().unwrap()],
        ..Default::default()
    };
    let clock = Arc::new(SystemClock::start());
    let forwarder = Arc::new(Forwarder::new(options, clock).unwrap());
    let watch = Watch {
        resolvers: Some(SystemResolvers::under(root.path())),
        listeners: vec!["127.0.0.1:53".parse().unwrap()],
    };
    runtime.spawn(watch.run(Arc::clone(&forwarder)));
    std::thread::sleep(Duration::from_millis(200));
    let text = "search lan\nnameserver 127.0.0.1\nnameserver 198.51.100.7\n";
    std::fs::write(&resolv_conf, text).unwrap();
    let end = Instant::now() + Duration::from_secs(7);
    while forwarder.describe() != ["198.51.100.7:53"] {
        assert!(Instant::now() < end, "{:?}", forwarder.describe());
        std::thread::sleep(Duration::from_millis(20));
    }
}
