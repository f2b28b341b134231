//! A running daemon with a new configuration: by `bnsd reload`, by SIGHUP, or because the file changed. A wrong one
//! changes nothing, and no query is lost or answered by settings that are gone.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bnsd::config::key::{Effect, KEYS, Shape};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::dns::{Seen, query, see, try_udp};
use crate::common::home::{Ended, Home, is_one_sentence};
use crate::common::person;
use crate::common::ports::free_address;
use crate::common::process::{Process, status, until};
use crate::common::unbound::Unbound;
use crate::common::upstream::{ASKED, Upstream, response};

/// A daemon whose configuration stands at the platform's place.
struct Bench {
    home: Home,
    daemon: Process,
    address: SocketAddr,
}

impl Bench {
    /// Its file has these lines, and before them a line about where it listens.
    fn start(lines: &str) -> Self {
        let home = Home::new();
        let address = free_address();
        home.folder(".config/bnsd");
        fs::write(file(&home), listening(address, lines)).expect("a file");
        let mut command = home.bnsd(&["serve"]);
        command.env("BNSD_SANDBOX", "false"); // files are named that were not there at the start
        let mut daemon = Process::start(&home, command);
        daemon.ready(&home.state().join("control.sock"));
        Self {
            home,
            daemon,
            address,
        }
    }

    /// Changes the file behind the back of the daemon, so that only who asks for it has it read again.
    fn write(&self, lines: &str) {
        let file = file(&self.home);
        let before = fs::metadata(&file).expect("a file");
        fs::write(&file, listening(self.address, lines)).expect("a file");
        let opened = fs::File::options().write(true).open(&file).expect("a file");
        opened
            .set_modified(before.modified().expect("a time"))
            .expect("our own file");
    }

    /// Puts another file in the place of the one before, as editors do.
    fn replace(&self, lines: &str) {
        let new = self.home.path().join("new.toml");
        fs::write(&new, listening(self.address, lines)).expect("a file");
        fs::rename(new, file(&self.home)).expect("a file");
    }

    fn reload(&self) -> Ended {
        self.home.run(&["reload"])
    }

    /// Writes and reloads; gives the reply as JSON.
    fn change(&self, lines: &str) -> Value {
        self.write(lines);
        let reply = self.home.run(&["--json", "reload"]);
        serde_json::from_str(&reply.stdout).expect("JSON")
    }

    fn warnings(&self) -> String {
        let status = status(&self.home.state().join("control.sock")).expect("a status");
        status.warnings.join("\n")
    }

    /// What a name is; an upstream that is slow on a busy machine is asked again.
    fn asks(&self, name: &str) -> Seen {
        until("an answer", || {
            let seen = see(self.address, name, RecordType::A);
            (seen.rcode != ResponseCode::ServFail).then_some(seen)
        })
    }

    fn hang_up(&self) {
        let id = self.daemon.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.expect("kill can be started").success());
    }
}

fn file(home: &Home) -> PathBuf {
    home.path().join(".config/bnsd/bnsd.toml")
}

/// Always of the same length.
fn listening(address: SocketAddr, lines: &str) -> String {
    let level = match lines.contains("log.level") {
        true => "",
        false => "log.level = \"debug\"",
    };
    let text = format!("listen = [\"{address}\"]\n{level}\n{lines}\n");
    format!("{text:<2000}")
}

/// An upstream that gives this address to every name.
fn saying(address: [u8; 4]) -> Upstream {
    Upstream::start(move |seen| {
        let answer = response(&seen.bytes, 0, &[(ASKED, 1, 300, &address)], &[]);
        vec![crate::common::upstream::Send::Reply(answer)]
    })
}

fn asking(upstream: &Upstream) -> String {
    format!("[dns]\nupstreams = [\"{}\"]", upstream.address)
}

fn keys(reply: &Value, list: &str) -> Vec<String> {
    let rows = reply[list].as_array().expect("a list").iter();
    let keys = rows.map(|row| row["key"].as_str().expect("a key").to_owned());
    keys.collect()
}

// ---- what a reload does -----------------------------------------------------------------------------------

#[test]
fn a_reload_says_what_changed_and_what_needs_a_restart() {
    let (one, two) = (saying([198, 51, 100, 1]), saying([198, 51, 100, 2]));
    let bench = Bench::start(&asking(&one));
    assert!(bench.asks("www.example").has_address("198.51.100.1"));
    let nothing = bench.reload();
    assert_eq!(nothing.code, 0, "{nothing:?}");
    let path = file(&bench.home).display().to_string();
    let (read, since) = nothing.stdout.split_once('\n').expect("two lines");
    assert_eq!(read, format!("read {path}"));
    assert!(
        since.starts_with("nothing changed since ") && since.ends_with("bnsd was started\n"),
        "{nothing:?}"
    );

    bench.write(&format!(
        "{}\nmax-ttl = 60\ntls.listen = [\"127.0.0.1:0\"]",
        asking(&two)
    ));
    let changed = bench.reload();
    let upstreams = format!("dns.upstreams  {} -> {}\n", one.address, two.address);
    for line in [
        upstreams.as_str(),
        "600 -> 60\n",
        "needs a restart: dns.tls.listen\n",
    ] {
        assert!(changed.stdout.contains(line), "{line:?}: {changed:?}");
    }
    assert_eq!(changed.code, 0);
    assert!(
        bench.asks("www.example").has_address("198.51.100.2"),
        "nothing is kept of before"
    );
    let warnings = bench.warnings();
    assert!(
        warnings.contains("needs a restart: dns.tls.listen"),
        "{warnings}"
    );
    let again = bench.reload();
    assert_eq!(
        again.stdout,
        format!("read {path}\nneeds a restart: dns.tls.listen\n"),
        "until there is one"
    );
    let back = bench.change(&asking(&two));
    assert_eq!(
        (keys(&back, "applied"), keys(&back, "needs_restart")),
        (vec!["dns.max-ttl".to_owned()], vec![])
    );
    assert!(!bench.warnings().contains("restart"));
    let log = bench.daemon.stderr();
    assert!(
        log.contains("the configuration was read again: dns.upstreams, dns.max-ttl"),
        "{log}"
    );
}

/// The options of the command are not the daemon's, and what a watched file changed before is said.
#[test]
fn a_reload_says_which_file_it_was_and_what_was_done_before() {
    let bench = Bench::start("[dns]\nmax-ttl = 600");
    for (arguments, said) in [
        (["--log", "debug"], "log.level"),
        (["--config", "/nonexistent"], ".config/bnsd/bnsd.toml"),
    ] {
        let refused = bench.home.run(&[&["reload"][..], &arguments].concat());
        is_one_sentence(&refused, 2, &[said]);
    }
    bench.write("[dns]\nmax-ttl = 60");
    bench.reload();
    let again = bench.reload();
    let (read, rest) = again.stdout.split_once('\n').expect("lines");
    assert!(read.ends_with(".config/bnsd/bnsd.toml"), "{again:?}");
    assert!(
        rest.starts_with("nothing changed since ") && rest.contains("dns.max-ttl  600 -> 60"),
        "{again:?}"
    );
}

/// What was asked of upstreams that did not change is not asked again.
#[test]
fn what_is_kept_stays_where_the_upstreams_stay() {
    let (one, two) = (saying([198, 51, 100, 1]), saying([198, 51, 100, 2]));
    let routed = |all: &Upstream, extra: &str| {
        format!(
            "{}\nroutes.\"corp.example\" = [\"{}\"]\n{extra}",
            asking(all),
            one.address
        )
    };
    let bench = Bench::start(&routed(&one, ""));
    let both = ["www.example", "www.corp.example"];
    assert!(
        both.iter()
            .all(|name| bench.asks(name).has_address("198.51.100.1"))
    );
    let asked = one.count();
    bench.change(&routed(&one, "max-ttl = 60"));
    both.iter().for_each(|name| drop(bench.asks(name)));
    assert_eq!(one.count(), asked, "another setting costs no question");
    bench.change(&routed(&two, ""));
    assert!(bench.asks("www.corp.example").has_address("198.51.100.1"));
    assert!(bench.asks("www.example").has_address("198.51.100.2"));
    assert_eq!((one.count(), two.count()), (asked, 1));
}

/// A question that is out when the upstreams change gets its answer, which nobody gets who asks later.
#[test]
fn what_comes_late_from_an_old_upstream_is_not_kept() {
    let slow = Upstream::start(|seen| {
        let answer = response(&seen.bytes, 0, &[(ASKED, 1, 300, &[198, 51, 100, 1])], &[]);
        let send = crate::common::upstream::Send::Reply(answer);
        vec![crate::common::upstream::Send::Wait(600), send]
    });
    let two = saying([198, 51, 100, 2]);
    let bench = Bench::start(&asking(&slow));
    let server = bench.address;
    let early = thread::spawn(move || see(server, "www.example", RecordType::A));
    until("the question to be out", || {
        (slow.count() > 0).then_some(())
    });
    bench.change(&asking(&two));
    assert!(bench.asks("www.example").has_address("198.51.100.2"));
    assert!(early.join().expect("an answer").has_address("198.51.100.1"));
    assert!(bench.asks("www.example").has_address("198.51.100.2"));
}

#[test]
fn a_hangup_and_a_changed_file_do_the_same() {
    let (one, two) = (saying([198, 51, 100, 1]), saying([198, 51, 100, 2]));
    let bench = Bench::start(&asking(&one));
    let answers = |address: &str| {
        until("the new settings", || {
            bench.asks("www.example").has_address(address).then_some(())
        });
    };
    bench.replace(&asking(&two));
    answers("198.51.100.2");
    // Written in place, as a shell does.
    fs::write(file(&bench.home), listening(bench.address, &asking(&one))).expect("a file");
    answers("198.51.100.1");
    bench.write(&asking(&two));
    bench.hang_up();
    answers("198.51.100.2");
}

#[test]
fn folders_and_the_log_follow_too() {
    let bench = Bench::start("");
    let folder = bench.home.folder("drop");
    fs::write(folder.join("x.zone"), "$ORIGIN x.id\n").expect("a file");
    let reply = bench.change(&format!(
        "zonefiles.folders = [\"{}\"]\nlog.format = \"json\"\nlog.queries = true",
        folder.display()
    ));
    let expected = ["zonefiles.folders", "log.format", "log.queries"];
    assert_eq!(keys(&reply, "applied"), expected);
    let socket = bench.home.state().join("control.sock");
    let waiting = || status(&socket).expect("a status").zonefiles.waiting_count;
    until("the file to be seen", || (waiting() == 1).then_some(()));
    bench.asks("logged.example");
    let last = bench
        .daemon
        .stderr()
        .lines()
        .last()
        .expect("a line")
        .to_owned();
    let line: Value = serde_json::from_str(&last).expect("a line of JSON");
    let message = line["message"].as_str().expect("a message");
    assert!(message.contains("for logged.example. A"), "{line}");
    bench.change("log.format = \"text\"");
    until("the folder to be left", || (waiting() == 0).then_some(()));
    let before = bench.daemon.stderr();
    bench.asks("silent.example");
    assert_eq!(bench.daemon.stderr(), before);
    bench.change("log.level = \"off\"");
    let before = bench.daemon.stderr();
    let refused = bench.change("log.level = \"of\"");
    assert!(refused["error"].is_string(), "{refused}");
    assert_eq!(bench.daemon.stderr(), before);
}

// ---- wrong configurations ---------------------------------------------------------------------------------

#[test]
fn a_wrong_file_changes_nothing_and_is_said_until_it_is_right() {
    let one = saying([198, 51, 100, 1]);
    let bench = Bench::start(&asking(&one));
    let good = fs::read_to_string(file(&bench.home)).expect("a file");
    let place = file(&bench.home);
    let own = format!("[dns]\nupstreams = [\"{}\"]", bench.address);
    let nowhere = bench.home.path().join("nowhere").display().to_string();
    let folder = format!("zonefiles.folders = [\"{nowhere}\"]\nlog.level = \"off\"");
    let ca = format!("dns.ca-file = \"{nowhere}\"\ndns.max-ttl = 1");
    let cases = [
        ("dns.max-tll = 5", "unknown key `dns.max-tll`"),
        ("dns.max-ttl = \"long\"", "expected a whole number"),
        ("dns.max-ttl", "not valid TOML"),
        (own.as_str(), "is where bnsd itself listens"),
        (folder.as_str(), "cannot watch the zone file folder"),
        (ca.as_str(), "name a PEM file in `dns.ca-file`"),
    ];
    for (lines, problem) in cases {
        bench.write(lines);
        let refused = bench.reload();
        is_one_sentence(&refused, 1, &[problem, "goes on with the settings before"]);
        let warnings = bench.warnings();
        let sentence = "the configuration is wrong, so the settings before it stay in force";
        assert!(
            warnings.contains(sentence) && warnings.contains(problem),
            "{warnings}"
        );
        assert!(bench.asks("www.example").has_address("198.51.100.1"));
        let page = bench.home.run(&["status"]);
        assert!(page.code == 0 && page.stdout.contains(problem), "{page:?}");
    }
    fs::remove_file(&place).expect("a file");
    is_one_sentence(&bench.reload(), 1, &["is gone", "put it back"]);
    // Whoever may not read it gets another error of the system; as root there is no such file.
    fs::create_dir(&place).expect("a directory");
    is_one_sentence(&bench.reload(), 1, &["cannot read the configuration file"]);
    assert!(bench.asks("www.example").has_address("198.51.100.1"));
    let json = bench.home.run(&["--json", "reload"]);
    let reply: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert!(json.code == 1 && reply["error"].is_string(), "{json:?}");
    fs::remove_dir(&place).expect("a directory");
    fs::write(&place, good).expect("a file");
    assert_eq!(bench.reload().code, 0);
    assert!(!bench.warnings().contains("configuration"));
    let log = bench.daemon.stderr();
    assert!(log.contains("the settings before stay in force: "), "{log}");
}

/// The certificates count, not the name of their file.
#[test]
fn a_file_of_authorities_is_read_again() {
    let bench = Bench::start("");
    let authorities = bench.home.path().join("ca.pem");
    fs::copy("/etc/ssl/certs/ca-certificates.crt", &authorities).expect("ca-certificates");
    let line = format!("dns.ca-file = \"{}\"", authorities.display());
    assert_eq!(keys(&bench.change(&line), "applied"), ["dns.ca-file"]);
    fs::write(&authorities, "of nobody").expect("a file");
    let problem = "there is no certificate in it";
    is_one_sentence(&bench.reload(), 1, &[problem, "goes on with"]);
    assert!(bench.warnings().contains(problem));
}

#[test]
fn whoever_has_nothing_to_reload_is_told() {
    let home = Home::new();
    is_one_sentence(&home.run(&["reload"]), 3, &["bnsd serve"]);
    let mut demo = Process::start(&home, home.bnsd(&["demo", "--listen", "127.0.0.1:0"]));
    demo.ready(&home.state().join("demo/control.sock"));
    is_one_sentence(&home.run(&["reload"]), 2, &["the demo"]);
}

// ---- every key --------------------------------------------------------------------------------------------

/// Another value of each key that a reload obeys. A key that is missing here is a key whose reload nobody tried.
fn other_values(folder: &str) -> Vec<(&'static str, String)> {
    let text = |key, value: &str| (key, value.to_owned());
    vec![
        text("dns.upstreams", "[\"127.0.0.1:9\"]"),
        text("dns.routes", "{ \"corp.example\" = [\"127.0.0.1:9\"] }"),
        text("dns.bootstrap", "[\"127.0.0.1:9\"]"),
        text("dns.ca-file", "\"/etc/ssl/certs/ca-certificates.crt\""),
        text("dns.trust-ad", "true"),
        text("dns.validate", "true"),
        ("dns.trust-anchor", format!("\"{folder}/anchor\"")),
        text("dns.cache-size", "8"),
        text("dns.keep-cache", "false"),
        text("dns.stale-max", "0"),
        text("dns.hosts", "false"),
        text("dns.max-ttl", "5"),
        text("dns.max-lag", "5"),
        text("dns.allow-private", "[\"corp.example\"]"),
        text("dns.ad-for-bns", "false"),
        text("dns.access", "[\"192.0.2.0/24\"]"),
        text("dns.rate-limit", "5"),
        text("namespaces", "{ id = \"only\" }"),
        ("zonefiles.folders", format!("[\"{folder}\"]")),
        text("log.level", "\"warn\""),
        text("log.format", "\"json\""),
        text("log.queries", "true"),
    ]
}

#[test]
fn every_key_is_obeyed_at_a_reload_or_named() {
    let bench = Bench::start("");
    let folder = bench.home.folder("drop").display().to_string();
    let anchor = ". 1 IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n";
    fs::write(format!("{folder}/anchor"), anchor).expect("a file");
    let obeyed = other_values(&folder);
    for key in KEYS.iter().filter(|key| key.effect == Effect::Reload) {
        let value = obeyed.iter().find(|(name, _)| *name == key.name);
        let (name, value) = value.unwrap_or_else(|| panic!("nobody tried {}", key.name));
        let reply = bench.change(&format!("{name} = {value}"));
        assert_eq!(reply["error"], Value::Null, "{name}");
        // Whoever watches the file may have been first.
        let applied = [keys(&reply, "applied"), keys(&reply, "applied_then")].concat();
        let is_free = matches!(key.shape, Shape::Map | Shape::ListMap);
        let named = |it: &String| it == name || is_free && it.starts_with(name);
        assert!(applied.iter().any(named), "{name}: {reply}");
        assert!(keys(&reply, "needs_restart").is_empty(), "{name}: {reply}");
    }
    let fixed = "chain.undo-depth = 50\ndns.https.hosts = [\"dns.lan\"]\nchain.confirmations = 3";
    let reply = bench.change(fixed);
    let expected = ["chain.confirmations", "chain.undo-depth", "dns.https.hosts"];
    assert_eq!(keys(&reply, "needs_restart"), expected);
}

// ---- no query is lost -------------------------------------------------------------------------------------

/// How often settings flip.
const RELOADS: usize = 50;

/// What is asked, and what it is under the one and the other settings.
const QUESTIONS: [(&str, [&str; 2]); 2] = [
    ("me.id", ["192.0.2.77", "198.51.100.77"]),
    ("www.example.com", ["93.184.215.14", "198.51.100.5"]),
];

/// A name of the chain that changes sides, and a legacy name whose upstream changes, asked by four clients without a pause.
#[test]
fn under_load_no_query_is_lost_and_none_is_answered_by_settings_that_are_gone() {
    let internet = Unbound::start();
    let other = Unbound::saying(&[
        "me.id. 300 A 198.51.100.77",
        "www.example.com. 300 A 198.51.100.5",
    ]);
    let world = person::World::embedded();
    let alice = world.person("alice");
    alice.does(&["namespace", "open", "id"]);
    let zone = alice.writes("me.zone", "$ORIGIN me.id\n$TTL 600\n@ A 192.0.2.77\n");
    alice.does(&["name", "register", "me.id", "--zonefile", &zone]);
    let server = SocketAddr::from(([127, 0, 0, 1], world.port));
    let root = world.path("");
    let configure = |side: usize| {
        let (mode, upstream) = [("only", internet.address), ("off", other.address)][side];
        let text = format!(
            "data-dir = \"{0}/data\"\nlisten = [\"{server}\"]\n[chain]\nsource = \"dev\"\n[namespaces]\nid = \"{mode}\"\n[dns]\nupstreams = [\"{upstream}\"]\n",
            root.display()
        );
        let new = world.path("new.toml");
        fs::write(&new, text).unwrap();
        fs::rename(new, world.path("bnsd.toml")).unwrap();
        let reply = world.run(&["reload"]);
        assert_eq!(reply.code, 0, "{reply:?}");
    };
    configure(0);
    // Even while settings are in force for sure, and their parity says which.
    let phase = Arc::new(AtomicUsize::new(0));
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (phase, stop, asked) = (Arc::clone(&phase), Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    let before = phase.load(Ordering::SeqCst);
                    let (name, answers) = QUESTIONS[number % 2];
                    let seen = Seen::of(&must_answer(server, name));
                    let is_settled = before % 2 == 0 && phase.load(Ordering::SeqCst) == before;
                    let fits = |side: usize| seen.has_address(answers[side]);
                    let is_right = if is_settled {
                        fits(before / 2 % 2)
                    } else {
                        fits(0) || fits(1)
                    };
                    assert!(is_right, "{name} in phase {before}: {seen:?}");
                    if client == 0 {
                        let cold = format!("no{number}.example.com");
                        let seen = Seen::of(&must_answer(server, &cold));
                        assert_eq!(seen.rcode, ResponseCode::NXDomain, "{cold}: {seen:?}");
                    }
                }
            })
        })
        .collect();
    for round in 1..=RELOADS {
        phase.fetch_add(1, Ordering::SeqCst);
        configure(round % 2);
        phase.fetch_add(1, Ordering::SeqCst);
        for (name, answers) in QUESTIONS {
            let seen = see(server, name, RecordType::A);
            assert!(
                seen.has_address(answers[round % 2]),
                "{name} after reload {round}: {seen:?}"
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("every question was answered");
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 500, "only {asked} questions");
}

/// The answer, which has to come at the first try.
fn must_answer(server: SocketAddr, name: &str) -> Message {
    let answer = try_udp(server, &query(name, RecordType::A), Duration::from_secs(10));
    answer.unwrap_or_else(|error| panic!("{name} was not answered: {error}"))
}
