//! What somebody sees who starts `bnsd demo` and nothing else: every name under `zonefiles/` answers, as a DNS
//! implementation that is not ours reads it; what is not there, or not yet, is said so; nobody is asked for other names
//! unless an upstream is named, and then all of them come from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::demo::Demo;
use crate::common::dns::{self, query, see, tcp, udp};
use crate::common::home::{Ended, Home, ended};
use crate::common::ports::free_address;
use crate::common::process::{Process, until};
use crate::common::python;
use crate::common::unbound::Unbound;

/// The goal for the first answer; a test asserts ten times as much.
const START_GOAL: Duration = Duration::from_secs(1);
/// The same for a name of one's own, from a new key to the first answer.
const OWN_NAME_GOAL: Duration = Duration::from_secs(2);
/// The extended error of what is not ready (RFC 8914 §4.15), and of what nobody could be asked for (§4.23).
const NOT_READY: u16 = 14;
const NOBODY_ASKED: u16 = 22;

/// Compares every zone file of the project with what is served.
fn compare_zones(demo: &Demo) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zonefiles");
    let (ip, port) = (demo.server.ip().to_string(), demo.server.port().to_string());
    let ended = python::run(&demo.home, "compare_zones.py", &[&ip, &port, folder]);
    println!("{}", ended.stdout);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(count(&ended.stdout, "zones") >= 22);
    assert!(count(&ended.stdout, "rrsets") > 100);
    assert!(count(&ended.stdout, "absent") > 1000);
}

fn count(stdout: &str, what: &str) -> u32 {
    let line = stdout.lines().find_map(|line| line.strip_prefix(what));
    line.expect("a count").trim().parse().expect("a number")
}

#[test]
fn every_record_of_every_zone_file_comes_back() {
    let demo = Demo::start(&[]);
    let first = see(demo.server, "werner.id", RecordType::A);
    let elapsed = demo.started.elapsed();
    println!("the demo answered {elapsed:.2?} after its start, the goal is {START_GOAL:?}");
    assert!(first.has_address("192.0.2.10"), "{first:?}");
    assert!(elapsed < START_GOAL * 10);
    compare_zones(&demo);
}

/// Without the project's directory, and killed in between: it goes on where it was.
#[test]
fn the_names_come_with_the_program() {
    let home = Home::new();
    let elsewhere = home.folder("elsewhere");
    let mut demo = Demo::start_in(&elsewhere, home, &[]);
    compare_zones(&demo);
    let blocks = demo.process.stdout();
    demo.process.kill();
    let Demo { home, .. } = demo;
    let mut demo = Demo::start_in(&elsewhere, home, &[]);
    let height = |text: &str| text.split(" chain of ").nth(1).map(str::to_owned);
    let shown = demo.process.stdout();
    assert_eq!(
        height(&shown).and_then(|rest| rest.lines().next().map(str::to_owned)),
        height(&blocks).and_then(|rest| rest.lines().next().map(str::to_owned)),
        "nothing new had to be mined"
    );
    assert!(see(demo.server, "werner.id", RecordType::A).has_address("192.0.2.10"));
    assert!(demo.process.terminate().success());
}

/// In a shell, and each shows records. The path of the data needs quotes.
#[test]
fn its_hints_work_when_they_are_typed() {
    let home = Home::new();
    let data = home.path().join("it's my data").display().to_string();
    let mut demo = Demo::start_in(project(), home, &["--data-dir", &data]);
    let hints = hints(&demo);
    assert!(hints.len() >= 4, "{hints:?}");
    for hint in &hints {
        shows_records(&demo, hint);
    }
    assert!(demo.process.terminate().success());
}

/// The lines that the demo says to try.
fn hints(demo: &Demo) -> Vec<String> {
    let shown = demo.process.stdout();
    let lines = shown.lines().filter_map(|line| line.strip_prefix("  "));
    lines.map(str::to_owned).collect()
}

fn shows_records(demo: &Demo, hint: &str) {
    assert!(!hint.contains("ANY"), "{hint}");
    let ended = ended(&mut demo.home.command("sh", &["-c", hint]));
    assert_eq!(ended.code, 0, "{hint}: {}", ended.stderr);
    let is_there = match hint.starts_with("dig") {
        true => ended.stdout.contains("status: NOERROR") && !ended.stdout.contains("ANSWER: 0"),
        false => ended.stdout.contains("registered name") && ended.stdout.contains(";; NOERROR"),
    };
    assert!(is_there, "{hint}: {}", ended.stdout);
}

/// A hint for each name that has something to show, whatever its type; none for the others.
#[test]
fn hints_are_for_what_is_there() {
    let home = Home::new();
    let folder = home.folder("mine");
    write(&folder, "empty.id", "");
    write(&folder, "news.club", "@ TXT \"hello\"\n");
    write(
        &folder,
        "deep.club",
        "_x._tcp.a SRV 1 2 3 host.example.com.\n",
    );
    let demo = start_with(home, &folder, &[]);
    let hints = hints(&demo);
    for part in ["news.club TXT", "_x._tcp.a.deep.club SRV"] {
        assert!(hints.iter().any(|hint| hint.contains(part)), "{hints:?}");
    }
    assert!(
        !hints.iter().any(|hint| hint.contains("empty")),
        "{hints:?}"
    );
    for hint in &hints {
        shows_records(&demo, hint);
    }
    let Demo { home, .. } = demo;
    let folder = home.folder("nothing");
    write(&folder, "empty.id", "");
    let other = Home::new();
    let demo = Demo::start_in(project(), other, &["--zonefiles", &text(&folder)]);
    assert!(!demo.process.stdout().contains("Try"));
}

/// The project's directory.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Writes the zone file of a name.
fn write(folder: &Path, name: &str, records: &str) {
    let zone = format!("$ORIGIN {name}\n$TTL 600\n{records}");
    fs::write(folder.join(format!("{name}.zone")), zone).expect("our own folder");
}

fn start_with(home: Home, folder: &Path, more: &[&str]) -> Demo {
    let folder = text(folder);
    let arguments = [&["--zonefiles", folder.as_str()], more].concat();
    Demo::start_in(project(), home, &arguments)
}

/// Writes zone files for so many names of three namespaces; gives names and addresses.
fn write_many(folder: &Path, count: usize) -> Vec<(String, String)> {
    let names = (0..count).map(|number| {
        let namespace = ["id", "helloworld", "club"][number % 3];
        let name = format!("name{number}.{namespace}");
        let address = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        write(folder, &name, &format!("@ A {address}\n"));
        (name, address)
    });
    names.collect()
}

/// More than fit into a block, in three namespaces.
#[test]
fn three_thousand_zone_files_are_registered() {
    let home = Home::new();
    let folder = home.folder("many");
    let names = write_many(&folder, 3_000);
    let demo = start_with(home, &folder, &[]);
    println!(
        "3,000 names are registered after {:.1?}",
        demo.started.elapsed()
    );
    assert!(demo.process.stdout().contains("answers 3000 names"));
    for (name, address) in names.iter().step_by(7) {
        let seen = see(demo.server, name, RecordType::A);
        assert!(seen.has_address(address), "{name}: {seen:?}");
    }
    let said = demo.process.stderr();
    let is_progress = |line: &str| line.contains(" of 3000 names are registered, ");
    let is_known = |line: &str| is_progress(line) && line.contains("names/s, ");
    assert!(said.lines().all(is_known), "{said}");
}

/// Asked from the first moment on: an answer, or "not ready"; never "no such name".
#[test]
fn until_they_are_registered_names_are_not_ready() {
    let unbound = Unbound::start();
    for upstream in [None, Some(unbound.address.to_string())] {
        let home = Home::new();
        let folder = home.folder("some");
        let names = write_many(&folder, 60);
        let listen = free_address().to_string();
        let (folder, mut arguments) = (text(&folder), vec!["demo", "--listen", &listen]);
        arguments.extend(["--zonefiles", &folder]);
        if let Some(upstream) = &upstream {
            arguments.extend(["--upstream", upstream]);
        }
        let process = Process::start(&home, home.bnsd(&arguments));
        let server = listen.parse().expect("an address");
        until("the port", || std::net::TcpStream::connect(server).ok());
        let mut waited = 0;
        for (name, address) in &names {
            until("the name", || {
                let seen = see(server, name, RecordType::A);
                if seen.has_address(address) {
                    return Some(());
                }
                let code = seen.ede.as_ref().map(|(code, _)| *code);
                assert_eq!(
                    (seen.rcode, code),
                    (ResponseCode::ServFail, Some(NOT_READY)),
                    "{name}: {seen:?}"
                );
                waited += 1;
                None
            });
            assert!(!unbound.was_asked(name), "{name} left the machine");
        }
        assert!(waited > 0, "it was ready before it was asked");
        drop(process);
    }
}

/// Whatever step it was at.
#[test]
fn a_demo_that_was_killed_while_registering_goes_on() {
    let home = Home::new();
    let folder = home.folder("some");
    let names = write_many(&folder, 60);
    let socket = home.state().join("demo/control.sock");
    for pause in [50, 100, 150, 200, 250, 300, 350, 400, 500, 600] {
        let mut command = home.bnsd(&["demo", "--listen", "127.0.0.1:0", "--zonefiles"]);
        command.arg(&folder);
        let mut process = Process::start(&home, command);
        until("the database", || socket.exists().then_some(()));
        std::thread::sleep(Duration::from_millis(pause));
        assert!(!process.has_ended(), "{}", process.stderr());
        process.kill();
    }
    let demo = start_with(home, &folder, &[]);
    for (name, address) in names {
        let seen = see(demo.server, &name, RecordType::A);
        assert!(seen.has_address(&address), "{name}: {seen:?}");
    }
}

/// Nobody is asked whom nobody named, whatever resolvers the system has.
#[test]
fn nobody_is_asked_for_other_names_unless_told() {
    let mut demo = Demo::start(&[]);
    let seen = see(demo.server, "www.example.com", RecordType::A);
    let (code, text) = seen.ede.expect("an explanation");
    assert_eq!((seen.rcode, code), (ResponseCode::ServFail, NOBODY_ASKED));
    assert!(text.contains("--upstream"), "{text}");
    let shown = demo.process.stdout();
    assert!(
        shown.contains("All other names are SERVFAIL") && shown.contains("--upstream"),
        "{shown}"
    );
    let socket = demo.home.state().join("demo/control.sock");
    let status = demo.process.ready(&socket);
    assert!(status.upstreams.is_empty(), "{:?}", status.upstreams);
}

/// `.id` is Indonesia's too: with an upstream its other names come from there.
#[test]
fn with_an_upstream_the_names_of_id_are_shared() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    assert!(
        demo.process
            .stdout()
            .contains("All other names are asked of")
    );
    assert!(see(demo.server, "werner.id", RecordType::A).has_address("192.0.2.10"));
    see(demo.server, "nosuch.id", RecordType::A);
    see(demo.server, "nosuch.helloworld", RecordType::A);
    assert!(unbound.was_asked("nosuch.id"));
    assert!(!unbound.was_asked("werner.id") && !unbound.was_asked("nosuch.helloworld"));
}

fn bnsd(demo: &Demo, arguments: &[&str]) -> Ended {
    let keys = text(&demo.home.path().join("keys"));
    let passphrase = demo.home.path().join("passphrase");
    fs::write(&passphrase, "a passphrase of its own").expect("our own file");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut command = demo.home.bnsd(arguments);
    command.env("BNSD_KEYS_DIR", keys);
    command.env("BNSD_PASSPHRASE_FILE", passphrase);
    ended(&mut command)
}

fn does(demo: &Demo, arguments: &[&str]) -> serde_json::Value {
    let ended = bnsd(demo, &[&["--json"], arguments].concat());
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_default()
}

/// From a new key to the first answer; and what belongs to somebody else is left alone by the demo.
#[test]
fn an_own_name_takes_a_moment_and_is_not_taken_over() {
    let demo = Demo::start(&[]);
    let zone = |address: &str| format!("$ORIGIN me.id\n$TTL 600\n@ A {address}\n");
    let file = demo.home.path().join("me.zone");
    fs::write(&file, zone("192.0.2.77")).expect("our own file");
    let begun = Instant::now();
    let key = does(&demo, &["keys", "new", "me"]);
    let address = key["addresses"][0]["address"].as_str().expect("an address");
    does(&demo, &["tx", "faucet", address, "100000000"]);
    let file = text(&file);
    let register = ["name", "register", "me.id", "--yes", "--zonefile", &file];
    let effect = does(&demo, &register);
    assert!(see(demo.server, "me.id", RecordType::A).has_address("192.0.2.77"));
    let elapsed = begun.elapsed();
    println!("an own name answered after {elapsed:.2?}, the goal is {OWN_NAME_GOAL:?}");
    assert!(elapsed < OWN_NAME_GOAL * 10);
    let dig = effect["dig"].as_str().expect("a line to type");
    assert!(dig.ends_with(" me.id A"), "{dig}");

    let folder = demo.home.folder("mine");
    fs::write(folder.join("me.id.zone"), zone("192.0.2.78")).expect("our own file");
    let Demo {
        home, mut process, ..
    } = demo;
    assert!(process.terminate().success());
    let demo = start_with(home, &folder, &[]);
    assert!(see(demo.server, "me.id", RecordType::A).has_address("192.0.2.77"));
    let said = demo.process.stderr();
    assert!(
        said.contains("me.id is left out: it belongs to somebody else"),
        "{said}"
    );
    let effect = does(&demo, &["name", "revoke", "me.id", "--yes"]);
    assert!(effect["dig"].is_null(), "nothing is left to see: {effect}");
}

/// What is there where the type that was asked for is not, and all that is there.
#[test]
fn absent_types_and_whole_zones_are_shown() {
    let demo = Demo::start(&[]);
    let absent = bnsd(&demo, &["lookup", "werner.id", "SRV"]);
    assert_eq!(absent.code, 1);
    let has = "werner.id has no record of type SRV, it has A, MX, TXT";
    assert!(absent.stdout.contains(has), "{}", absent.stdout);
    let explained = bnsd(&demo, &["explain", "werner.id", "SRV"]);
    assert!(explained.stdout.contains(has), "{}", explained.stdout);
    let json = bnsd(&demo, &["--json", "lookup", "anything.at.wild.id", "MX"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert!(
        json["types"]
            .as_array()
            .is_some_and(|types| types.contains(&"A".into())),
        "{json}"
    );

    let all = does(&demo, &["lookup", "werner.id", "any"]);
    let records = all["records"].as_array().expect("records");
    let owners = |owner: &str| {
        records
            .iter()
            .filter(|record| record["owner"] == owner)
            .count()
    };
    assert!(
        owners("werner.id.") >= 4 && owners("mail.werner.id.") >= 1,
        "{all}"
    );
    assert_eq!(
        records.first().map(|first| &first["type"]),
        Some(&"A".into())
    );
    let below = does(&demo, &["lookup", "mail.werner.id.bns.alt", "ANY"]);
    let below = below["records"].as_array().expect("records");
    assert!(!below.is_empty() && below.len() < records.len());
    assert!(
        below
            .iter()
            .all(|record| record["owner"] == "mail.werner.id.bns.alt."),
        "{below:?}"
    );
    // DNS itself answers ANY with one RRset (RFC 8482).
    let any = see(demo.server, "werner.id", RecordType::ANY);
    assert!(any.answers.len() < records.len(), "{any:?}");
}

#[test]
fn what_is_not_there_is_said_with_a_soa() {
    let demo = Demo::start(&[]);
    let see = |name, rtype| see(demo.server, name, rtype);
    for name in [
        "nosuch.id",
        "a.b.nosuch.helloworld",
        "nosuch.werner.id",
        "nosuch.id.bns.alt",
    ] {
        let seen = see(name, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NXDomain), "{name}: {seen:?}");
    }
    // Another type, an empty non-terminal (RFC 4592), and a namespace.
    for name in ["profile.id", "b.c.wild.id", "_tcp.werner.id", "id"] {
        let seen = see(name, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NoError), "{name}: {seen:?}");
    }
    let wildcard = see("anything.at.wild.id", RecordType::A);
    assert!(wildcard.has_address("198.51.100.61"), "{wildcard:?}");
}

#[test]
fn apex_questions_and_the_alias_are_answered() {
    let demo = Demo::start(&[]);
    let see = |name, rtype| see(demo.server, name, rtype);
    for name in ["werner.id", "id", "helloworld", "werner.id.bns.alt"] {
        for rtype in [RecordType::SOA, RecordType::NS] {
            let seen = see(name, rtype);
            assert_eq!(seen.rcode, ResponseCode::NoError, "{name} {rtype}");
            assert!(!seen.answers.is_empty(), "{name} {rtype}");
        }
        assert!(
            see(name, RecordType::DS).is_negative(ResponseCode::NoError),
            "{name}"
        );
    }
    assert!(see("mail.werner.id.bns.alt", RecordType::A).has_address("192.0.2.11"));
    let alias = see("alias.id", RecordType::A);
    assert!(
        alias.has_address("192.0.2.10") && alias.answers.len() == 2,
        "{alias:?}"
    );
    let moved = see("www.old.moved.id", RecordType::A);
    assert!(moved.has_address("198.51.100.100"), "{moved:?}");
}

#[test]
fn ad_is_for_those_who_ask() {
    let demo = Demo::start(&[]);
    let mut question = query("werner.id", RecordType::A);
    assert!(!udp(demo.server, &question).metadata.authentic_data);
    question.metadata.authentic_data = true;
    let answer = udp(demo.server, &question);
    assert!(answer.metadata.authentic_data && answer.metadata.authoritative);
}

#[test]
fn what_does_not_fit_is_cut_and_comes_over_tcp() {
    let demo = Demo::start(&[]);
    // 60 addresses take 28 + 60 * 16 bytes and fit into 1232, not into 512.
    let full = udp(demo.server, &query("big.id", RecordType::A));
    assert!(!full.metadata.truncation && full.answers.len() == 60);
    let plain = udp(demo.server, &dns::plain_query("big.id", RecordType::A));
    assert!(plain.metadata.truncation && plain.edns.is_none());
    let mut small = query("big.id", RecordType::A);
    for payload in [0, 512, 700, 900] {
        let mut edns = small.edns.take().expect("EDNS");
        edns.set_max_payload(payload);
        small.set_edns(edns);
        let cut = udp(demo.server, &small);
        assert!(cut.metadata.truncation, "{payload}");
        assert!(cut.edns.is_some(), "OPT is kept at {payload}");
        assert_eq!(tcp(demo.server, &small).answers.len(), 60);
    }
}

#[test]
fn dig_shows_it() {
    let demo = Demo::start(&[]);
    let dig = |arguments: &[&str]| {
        let (ip, port) = (
            format!("@{}", demo.server.ip()),
            demo.server.port().to_string(),
        );
        let mut command = Command::new("dig");
        command.args([ip.as_str(), "-p", &port]).args(arguments);
        let ended = ended(&mut command);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    let shown = dig(&["werner.id", "MX"]);
    for part in [
        "status: NOERROR",
        "flags: qr aa rd ra",
        "EDNS: version: 0",
        "werner.id.\t\t600\tIN\tMX\t10 mail.werner.id.",
        "werner.id.\t\t600\tIN\tMX\t20 backup.mail.example.com.",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert_eq!(dig(&["+short", "+tcp", "big.id"]).lines().count(), 60);
    let uri = dig(&["+short", "_https._tcp.judecn.id", "URI"]);
    assert_eq!(
        uri.trim(),
        "10 1 \"https://blockstack.s3.amazonaws.com/judecn.id\""
    );
    assert!(dig(&["nosuch.id"]).contains("status: NXDOMAIN"));
}

#[test]
fn legacy_names_come_from_the_upstream() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let see = |name, rtype| see(demo.server, name, rtype);
    let web = see("www.example.com", RecordType::A);
    assert!(web.has_address("93.184.215.14"), "{web:?}");
    assert!(
        !udp(demo.server, &query("www.example.com", RecordType::A))
            .metadata
            .authoritative
    );
    assert_eq!(see("example.com", RecordType::MX).answers.len(), 1);
    assert_eq!(
        see("nosuch.example.com", RecordType::A).rcode,
        ResponseCode::NXDomain
    );
    let none = see("www.example.com", RecordType::TXT);
    assert!(
        none.rcode == ResponseCode::NoError && none.answers.is_empty(),
        "{none:?}"
    );
    assert_eq!(
        tcp(demo.server, &query("www.example.com", RecordType::AAAA))
            .answers
            .len(),
        1
    );
    // From a BNS name to a legacy name, by CNAME and by DNAME.
    let chased = see("legacy.moved.id", RecordType::A);
    assert!(
        chased.has_address("93.184.215.14") && chased.answers.len() == 2,
        "{chased:?}"
    );
    let chased = see("www.out.moved.id", RecordType::A);
    assert!(chased.has_address("93.184.215.14"), "{chased:?}");
}

#[test]
fn private_addresses_do_not_come_from_outside() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let both = see(demo.server, "both.example.com", RecordType::A);
    assert!(
        both.answers.len() == 1 && both.has_address("93.184.215.15"),
        "{both:?}"
    );
    for (name, rtype) in [
        ("router.example.com", RecordType::A),
        ("here.example.com", RecordType::AAAA),
    ] {
        let seen = see(demo.server, name, rtype);
        assert!(seen.answers.is_empty(), "{seen:?}");
        assert!(unbound.was_asked(name));
    }
}

#[test]
fn names_of_the_chain_and_special_names_stay_here() {
    let unbound = Unbound::start();
    let demo = Demo::start(&["--upstream", &unbound.address.to_string()]);
    let names = [
        "werner.id",
        "nosuch.werner.id",
        "nosuch.id.bns.alt",
        "nosuch.helloworld",
        "werner.id.bns.alt",
        "nosuch.alt",
        "localhost",
        "printer.local",
        "x.test",
        "x.invalid",
        "x.onion",
        "home.arpa",
        "x.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "1.1.168.192.in-addr.arpa",
    ];
    for name in names {
        let answer = udp(demo.server, &query(name, RecordType::A));
        assert!(answer.metadata.authoritative, "{name}");
        let rcode = answer.metadata.response_code;
        assert!(
            matches!(rcode, ResponseCode::NoError | ResponseCode::NXDomain),
            "{name}: {rcode}"
        );
    }
    see(demo.server, "www.example.com", RecordType::A);
    assert!(unbound.was_asked("www.example.com"));
    for name in names {
        assert!(!unbound.was_asked(name), "{name} left the machine");
    }
    assert!(see(demo.server, "localhost", RecordType::A).has_address("127.0.0.1"));
}
