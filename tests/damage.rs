//! A database that changed on the disk: whatever is asked, the answer is right, or SERVFAIL with the reason. No name of the
//! chain is forwarded or denied because of it, other names and `localhost` never notice, and nothing is printed that a
//! person cannot read.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Crc;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::dns::see;
use crate::common::fault;
use crate::common::form::form;
use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::process::{Process, ended_by_itself, listener, serve, status, until};
use crate::common::random::Random;
use crate::common::upstream::{Send, Upstream, good};
use crate::common::world::{World, zonefile};

mod clock;
mod faults;

/// Names in a namespace that is also a TLD, where a stranger answers for what is not registered, and in one that is none.
const NAMES: [&str; 4] = ["werner.id", "anna.id", "maria.podcast", "otto.podcast"];
/// What the upstream says of every name.
const STRANGER: &str = "198.51.100.5";
/// INFO-CODE of RFC 8914.
const INVALID_DATA: u16 = 24;
const NOT_READY: u16 = 14;
/// Bytes of a page of redb, and of its header.
const PAGE: usize = 4_096;
const HEADER: usize = 320;

/// How many bytes are flipped, one at a time; more with `BNSD_TEST_FORM=release`.
fn flips() -> usize {
    form(60, 10_000)
}

/// A data directory with names, and the database as it was written.
struct Ground {
    home: Home,
    upstream: Upstream,
    pages: Vec<u8>,
    sums: Vec<u8>,
}

impl Ground {
    fn new() -> Self {
        let home = Home::new();
        let mut world = World::start(&home.folder("data"), &[]);
        let address = |number| format!("192.0.2.{number}");
        let files: Vec<Vec<u8>> = (1..)
            .zip(NAMES)
            .map(|(number, name)| zonefile(name, &address(number)))
            .collect();
        let hashes = files.iter().map(|file| world.archive(file));
        let named: Vec<_> = NAMES.into_iter().zip(hashes).collect();
        world.publish(&named);
        world.stop_daemon();
        drop(world);
        let read = |file: &str| fs::read(home.path().join("data").join(file)).expect("a file");
        let (pages, sums) = (read("names.redb"), read("names.sums"));
        let upstream = Upstream::start(|query| vec![Send::Reply(good(&query.bytes))]);
        Self {
            home,
            upstream,
            pages,
            sums,
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.data().join("names.redb")
    }

    /// Puts a database in place.
    fn put(&self, pages: &[u8], sums: &[u8]) {
        fs::write(self.file(), pages).expect("the database can be written");
        fs::write(self.data().join("names.sums"), sums).expect("the sums can be written");
    }

    fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let data = self.data().display().to_string();
        let upstream = self.upstream.address.to_string();
        let socket = self.home.path().join("socket").display().to_string();
        let settings = [
            ("BNSD_DATA_DIR", &*data),
            ("BNSD_CHAIN_SOURCE", "dev"),
            ("BNSD_CONTROL_SOCKET", &socket),
            ("BNSD_DNS_UPSTREAMS", &upstream),
        ];
        let mut process = serve(&self.home, &[&settings[..], environment].concat());
        let address = listener(&process.ready(Path::new(&socket)));
        until("the index to be at the tip", || {
            let ede = see(address, NAMES[0], RecordType::A).ede;
            ede.is_none_or(|(code, _)| code != NOT_READY).then_some(())
        });
        Daemon {
            address,
            process,
            socket: socket.into(),
        }
    }

    fn verify(&self, arguments: &[&str]) -> Ended {
        let mut command = self.home.bnsd(&["chain", "verify"]);
        let command = command.args(arguments).arg("--data-dir").arg(self.data());
        ended(command.env("BNSD_CHAIN_SOURCE", "dev"))
    }

    /// All places of the file at which a registered name stands.
    fn places_of_names(&self) -> Vec<usize> {
        let holds = |place: &usize| {
            let rest = &self.pages[*place..];
            NAMES.iter().any(|name| rest.starts_with(name.as_bytes()))
        };
        (0..self.pages.len()).filter(holds).collect()
    }
}

/// A `bnsd serve` over the ground.
struct Daemon {
    process: Process,
    address: SocketAddr,
    socket: PathBuf,
}

impl Daemon {
    /// How many of the registered names are answered; the others are refused in the right way. Nothing else may be seen.
    fn is_right_or_refuses(&self, what: &str) -> usize {
        let mut answered = 0;
        for (number, name) in (1..).zip(NAMES) {
            let seen = see(self.address, name, RecordType::A);
            if seen.rcode == ResponseCode::NoError {
                assert!(
                    seen.has_address(&format!("192.0.2.{number}")),
                    "{what}: {name}: {seen:?}"
                );
                answered += 1;
            } else {
                let code = seen.ede.as_ref().map(|(code, _)| *code);
                let expected = (ResponseCode::ServFail, Some(INVALID_DATA));
                assert_eq!((seen.rcode, code), expected, "{what}: {name}: {seen:?}");
            }
        }
        let free = see(self.address, "nobody-has-this.podcast", RecordType::A);
        let denied = free.is_negative(ResponseCode::NXDomain);
        assert!(
            denied || free.rcode == ResponseCode::ServFail,
            "{what}: {free:?}"
        );
        let others = [("www.example.com", STRANGER), ("localhost", "127.0.0.1")];
        for (name, address) in others {
            let seen = see(self.address, name, RecordType::A);
            assert!(seen.has_address(address), "{what}: {name}: {seen:?}");
        }
        answered
    }

    /// Ends it; what it printed is for people.
    fn end(mut self, what: &str) {
        self.process.kill();
        let log = self.process.stderr();
        assert!(
            !log.contains("panicked") && !log.contains("failed at"),
            "{what}: {log}"
        );
    }
}

/// Gives pages that were changed sums that fit, as if the disk had changed them before they were written.
fn fitting_sums(pages: &mut [u8]) -> Vec<u8> {
    let sum = |parts: &[&[u8]]| {
        let mut crc = Crc::new();
        parts.iter().for_each(|part| crc.update(part));
        crc.sum()
    };
    let header = sum(&[b"bnsdsum1", &pages[..HEADER]]).to_be_bytes();
    pages[HEADER..HEADER + 4].copy_from_slice(&header);
    let mut sums = b"bnsdsum1".to_vec();
    for (number, page) in (0u64..).zip(pages.chunks(PAGE)) {
        let sum = sum(&[&number.to_be_bytes(), page]).max(1);
        sums.extend(sum.to_be_bytes());
    }
    sums
}

#[test]
fn a_flipped_byte_is_never_an_answer() {
    let ground = Ground::new();
    let names = ground.places_of_names();
    assert!(names.len() >= 10 * NAMES.len(), "{} places", names.len());
    let written = |place: &usize| ground.pages[*place] != 0;
    let all: Vec<usize> = (0..ground.pages.len()).filter(written).collect();
    let mut random = Random::new(15);
    let (mut refused, mut asked) = (0, 0);
    for flip in 0..flips() {
        let (mut pages, mut sums) = (ground.pages.clone(), ground.sums.clone());
        let mask = 1 + random.below(255) as u8;
        let what = match flip % 6 {
            0..=3 => {
                let place = *random.pick(&names) + random.below(4);
                pages[place] ^= mask;
                format!("byte {place}, in a name")
            }
            4 => {
                let place = *random.pick(&all);
                pages[place] ^= mask;
                format!("byte {place}")
            }
            _ => {
                let place = random.below(sums.len());
                sums[place] ^= mask;
                format!("byte {place} of the sums")
            }
        };
        ground.put(&pages, &sums);
        let daemon = ground.start();
        asked += NAMES.len();
        refused += NAMES.len() - daemon.is_right_or_refuses(&what);
        daemon.end(&what);
    }
    assert!(refused > 0 && refused < asked, "{refused} of {asked}");
}

/// Here the pages have sums that fit, so that redb sees them: it stops with panics.
#[test]
fn a_panic_of_redb_ends_no_thread() {
    let ground = Ground::new();
    let mut random = Random::new(7);
    for _ in 0..flips() / 6 {
        let mut pages = ground.pages.clone();
        let used = |page: &usize| ground.pages[page * PAGE] != 0;
        for page in (1..pages.len() / PAGE).filter(used) {
            // The kind of a page, and how many entries it has, stand at its beginning.
            if random.below(2) == 0 {
                pages[page * PAGE + random.below(4)] ^= 1 + random.below(255) as u8;
            }
        }
        let sums = fitting_sums(&mut pages);
        ground.put(&pages, &sums);
        let daemon = ground.start();
        for _ in 0..3 {
            for name in NAMES {
                see(daemon.address, name, RecordType::A); // whatever redb made of such pages
            }
            for (name, address) in [("www.example.com", STRANGER), ("localhost", "127.0.0.1")] {
                let seen = see(daemon.address, name, RecordType::A);
                assert!(seen.has_address(address), "{name}: {seen:?}");
            }
        }
        daemon.end("a damaged page");
    }
}

/// What changes while the daemon runs is found though nobody reads it, and said.
#[test]
fn damage_is_found_while_the_daemon_runs() {
    let ground = Ground::new();
    let daemon = ground.start();
    assert_eq!(daemon.is_right_or_refuses("before"), NAMES.len());
    let mut pages = fs::read(ground.file()).expect("readable");
    pages[ground.places_of_names()[0]] ^= 1;
    fs::write(ground.file(), &pages).expect("writable");
    let warning = until("the damage to be found", || {
        let warnings = status(&daemon.socket)?.warnings;
        warnings
            .into_iter()
            .find(|warning| warning.contains("the database is damaged"))
    });
    assert!(
        warning.contains("`bnsd chain verify --repair`"),
        "{warning}"
    );
    assert_eq!(daemon.is_right_or_refuses("found"), 0);
    let log = until("the log to say it", || {
        let log = daemon.process.stderr();
        log.contains("ERROR").then_some(log)
    });
    assert!(log.contains("the database is damaged"), "{log}");
    daemon.end("found");
}

/// Everything is there again, whatever was damaged: from the stored operations, or from the chain.
#[test]
fn a_damaged_database_is_derived_anew() {
    let ground = Ground::new();
    let operations = |pages: &[u8], from: usize| {
        let at = |place: &usize| pages[*place..].starts_with(b"werner.id");
        (from..pages.len()).filter(at).collect::<Vec<usize>>()
    };
    let places = operations(&ground.pages, 0);
    let cuts = [0, PAGE, ground.pages.len() / 2];
    let flipped = places.iter().map(|place| {
        let mut pages = ground.pages.clone();
        pages[*place] ^= 1;
        pages
    });
    let cut = cuts.iter().map(|length| ground.pages[..*length].to_vec());
    let mut unused = 0;
    for (number, pages) in flipped.chain(cut).enumerate() {
        ground.put(&pages, &ground.sums);
        let found = ground.verify(&[]);
        if pages.is_empty() {
            assert_eq!(found.code, 0, "{number}: {found:?}");
            continue; // an empty file is a database that was never begun
        }
        if found.code == 0 && number < places.len() {
            unused += 1; // a page that nothing refers to any more
            continue;
        }
        assert_eq!(found.code, 1, "{number}: {found:?}");
        assert!(found.stderr.contains("chain verify --repair"), "{found:?}");
        let repaired = ground.verify(&["--repair"]);
        assert_eq!(repaired.code, 0, "{number}: {repaired:?}");
        assert!(repaired.stdout.starts_with("REPAIRED"), "{repaired:?}");
        assert!(!ground.data().join("repair").exists());
        let sound = ground.verify(&[]);
        assert_eq!(sound.code, 0, "{number}: {sound:?}");
        if number % 8 == 0 {
            let daemon = ground.start();
            let what = format!("repaired {number}");
            assert_eq!(daemon.is_right_or_refuses(&what), NAMES.len());
            daemon.end(&what);
        }
    }
    assert!(unused < places.len() / 2, "{unused} of {}", places.len());
}

/// A full disk is said as what it is, whichever file it stops, and nobody is told to remove anything.
#[test]
fn a_full_disk_costs_nothing() {
    let ground = Ground::new();
    let library = fault::library(&ground.home).display().to_string();
    let start = |home: &Home, data: &Path, full: &str| {
        let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        let command = command
            .env("BNSD_DATA_DIR", data)
            .env("BNSD_CHAIN_SOURCE", "dev")
            .env("LD_PRELOAD", &library)
            .env("FAULT_FULL", full);
        let ended = ended(command);
        is_one_sentence(&ended, 3, &["No space left on device", "nothing is lost"]);
        assert!(!ended.stderr.contains("remov"), "{full}: {ended:?}");
    };
    for full in ["/lock", "names.redb"] {
        start(&ground.home, &ground.data(), full);
    }
    let sums = ground.data().join("names.sums");
    fs::remove_file(&sums).expect("the sums were there");
    start(&ground.home, &ground.data(), "names.sums");
    let daemon = ground.start();
    assert_eq!(daemon.is_right_or_refuses("space again"), NAMES.len());
    daemon.end("space again");
    for full in ["/chain/", "names.", "data"] {
        let home = Home::new();
        start(&home, &home.path().join("data"), full);
    }
}

/// Killed at any call that changes a file, the first start leaves nothing that the next one does not go on with.
#[test]
fn a_kill_of_the_first_start_damages_nothing() {
    let library = Home::new();
    let fault = fault::library(&library).display().to_string();
    let mut kills = 0;
    for call in (1..).step_by(calls_between_kills()) {
        let home = Home::new();
        let data = home.path().join("data").display().to_string();
        let socket = home.path().join("socket").display().to_string();
        let settings = [
            ("BNSD_DATA_DIR", &*data),
            ("BNSD_CHAIN_SOURCE", "dev"),
            ("BNSD_CONTROL_SOCKET", &socket),
        ];
        let call = call.to_string();
        let faults = [
            ("LD_PRELOAD", &*fault),
            ("FAULT_AT", "names."),
            ("FAULT_KILL", &call),
        ];
        let mut first = serve(&home, &[&settings[..], &faults].concat());
        let is_killed = until("the first start", || {
            let is_killed = first.has_ended();
            (is_killed || status(Path::new(&socket)).is_some()).then_some(is_killed)
        });
        if !is_killed {
            break;
        }
        kills += 1;
        let mut second = serve(&home, &settings);
        let warnings = second.ready(Path::new(&socket)).warnings;
        let is_sound = |warning: &String| !warning.contains("damaged");
        assert!(warnings.iter().all(is_sound), "call {call}: {warnings:?}");
        let left = ["names.new.redb", "names.new.sums"];
        let left = left.map(|file| Path::new(&data).join(file).exists());
        assert_eq!(left, [false; 2], "call {call}");
        second.kill();
        assert!(!second.stderr().contains("ERROR"), "{}", second.stderr());
    }
    assert!(kills * calls_between_kills() > 20, "{kills} kills");
}

/// Every call is tried with `BNSD_TEST_FORM=release`.
fn calls_between_kills() -> usize {
    form(3, 1)
}

/// A disk that fills up while the daemon runs stops the index and nothing else, and that only for as long.
#[test]
fn a_disk_that_is_full_for_a_while_stops_nothing_for_longer() {
    let ground = Ground::new();
    let fault = fault::library(&ground.home).display().to_string();
    let full = ground.home.path().join("full");
    let mut daemon = ground.start_with(&[
        ("LD_PRELOAD", &fault),
        ("FAULT_FULL", "names."),
        ("FAULT_WHILE", &full.display().to_string()),
    ]);
    assert_eq!(daemon.is_right_or_refuses("before"), NAMES.len());
    let height = status(&daemon.socket).and_then(|status| status.height);
    fs::write(&full, "").expect("writable");
    let mut mine = ground.home.bnsd(&["tx", "mine", "3"]);
    let mined = ended(mine.env("BNSD_CONTROL_SOCKET", &daemon.socket));
    assert_eq!(mined.code, 0, "{mined:?}");
    let is_said = |warnings: &[String]| warnings.iter().any(|w| w.contains("cannot be written"));
    until("the full disk to be said", || {
        is_said(&status(&daemon.socket)?.warnings).then_some(())
    });
    thread::sleep(Duration::from_secs(3)); // it is tried again meanwhile, in vain
    for (name, address) in [("www.example.com", STRANGER), ("localhost", "127.0.0.1")] {
        let seen = see(daemon.address, name, RecordType::A);
        assert!(seen.has_address(address), "{name}: {seen:?}");
    }
    fs::remove_file(&full).expect("it is there");
    let freed = Instant::now();
    let status = until("the index to go on", || {
        status(&daemon.socket).filter(|status| status.height == height.map(|height| height + 3))
    });
    assert!(
        freed.elapsed() < Duration::from_secs(10),
        "{:?}",
        freed.elapsed()
    );
    assert!(!is_said(&status.warnings), "{:?}", status.warnings);
    assert_eq!(daemon.is_right_or_refuses("space again"), NAMES.len());
    assert!(ended_by_itself(daemon.process.terminate()));
    let log = daemon.process.stderr();
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
    daemon.end("space again");
    let verified = ground.verify(&[]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// Without a chain only what is stored can be used, and a database is replaced by a whole one or by none.
#[test]
fn nothing_is_replaced_by_less() {
    let ground = Ground::new();
    ground.put(&ground.pages[..ground.pages.len() / 2], &ground.sums);
    let mut command = ground.home.bnsd(&["chain", "verify", "--repair"]);
    let command = command.arg("--data-dir").arg(ground.data());
    let command = command.env("BNSD_CHAIN_NETWORK", "dev");
    let ended = ended(command);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("nothing was replaced"), "{ended:?}");
    let kept = fs::read(ground.file()).expect("readable");
    assert_eq!(kept.len(), ground.pages.len() / 2);
}
