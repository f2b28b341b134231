//! A disk that refuses a call, each in turn: once (a bad sector, EIO), or from then on (a full disk, ENOSPC).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::{Ground, NAMES, STRANGER};
use crate::common::dns::{Seen, query, see, try_udp};
use crate::common::fault::{self, Disk, Refusal};
use crate::common::form::form;
use crate::common::home::{Home, ended};
use crate::common::process::{PATIENCE, Process, ended_by_itself, listener, serve, status, until};

/// How long a daemon has for what it does in spite of a fault.
const AFTER: Duration = Duration::from_millis(800);

/// Of so many calls one is refused; every one with `BNSD_TEST_FORM=release`.
fn stride() -> usize {
    form(29, 1)
}

/// A sync from nothing, of which one call fails: names are answered or refused, never wrong, and the next start goes on
/// from there.
#[test]
fn no_refused_call_is_an_answer_or_a_loss() {
    let ground = Ground::new();
    let library = fault::library(&ground.home);
    let mut refused = 0;
    for disk in [Disk::Bad, Disk::Full] {
        for call in (1..).step_by(stride()) {
            let sync = Sync::new(&ground);
            if !sync.is_refused(&library, call, disk) {
                break;
            }
            refused += 1;
            sync.goes_on();
        }
    }
    println!("{refused} calls refused: nothing wrong, nothing lost");
    assert!(refused * stride() > 100, "{refused}");
}

/// A data directory that holds a chain and nothing else, and the zone files in a folder beside it.
struct Sync<'g> {
    ground: &'g Ground,
    home: Home,
}

impl<'g> Sync<'g> {
    fn new(ground: &'g Ground) -> Self {
        let home = Home::new();
        let (data, folder) = (home.folder("data"), home.folder("zones"));
        let copied = ended(
            home.command("cp", &["-r"])
                .arg(ground.data().join("chain"))
                .arg(data),
        );
        assert_eq!(copied.code, 0, "{copied:?}");
        for (number, name) in (1..).zip(NAMES) {
            let file = super::zonefile(name, &format!("192.0.2.{number}"));
            fs::write(folder.join(format!("{name}.zone")), file).expect("a zone file");
        }
        Self { ground, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn start(&self, faults: &[(&str, &str)]) -> Process {
        let place = |name| self.path(name).display().to_string();
        let upstream = self.ground.upstream.address.to_string();
        let settings = [
            ("BNSD_DATA_DIR", &*place("data")),
            ("BNSD_CHAIN_SOURCE", "dev"),
            ("BNSD_CONTROL_SOCKET", &place("socket")),
            ("BNSD_DNS_UPSTREAMS", &upstream),
            ("BNSD_DNS_KEEP_CACHE", "true"),
            ("BNSD_ZONEFILES_FOLDERS", &place("zones")),
            ("BNSD_NAMESPACES", "id=only"),
        ];
        serve(&self.home, &[&settings[..], faults].concat())
    }

    /// Syncs, and refuses one call on the way; whether there were as many.
    fn is_refused(&self, library: &Path, call: usize, disk: Disk) -> bool {
        let what = format!("call {call}, {disk:?} disk");
        let told = self.path("data/told");
        let refusal = Refusal {
            library,
            below: &self.path("data"),
            call,
            disk,
            told: &told,
        };
        let faults = refusal.environment();
        let faults: Vec<_> = faults.iter().map(|(key, value)| (*key, &**value)).collect();
        let mut daemon = self.start(&faults);
        self.watch(&mut daemon, &told, &what);
        if !daemon.has_ended() {
            let status = daemon.terminate();
            assert!(ended_by_itself(status), "{what}: {status}");
        }
        let log = daemon.stderr();
        assert!(!log.contains("panicked"), "{what}: {log}");
        told.exists()
    }

    /// Asks until everything is answered, or some time has passed since the fault.
    fn watch(&self, daemon: &mut Process, told: &Path, what: &str) {
        let address = until("the control socket to answer", || {
            match status(&self.path("socket")) {
                Some(status) => Some(Some(listener(&status))),
                None => daemon.has_ended().then_some(None),
            }
        });
        let Some(address) = address else {
            assert_eq!(daemon.code(), Some(3), "{what}: {}", daemon.stderr());
            return;
        };
        let mut end = None;
        until("answers or a fault", || {
            if daemon.has_ended() {
                return Some(());
            }
            if told.exists() {
                end.get_or_insert(Instant::now() + AFTER);
            }
            let answered = right_answers(address, what);
            let is_over = end.is_some_and(|end| Instant::now() > end);
            (answered == NAMES.len() || is_over).then_some(())
        });
        if daemon.has_ended() {
            assert_eq!(daemon.code(), Some(3), "{what}: {}", daemon.stderr());
            return;
        }
        let other = see(address, "www.example.com", RecordType::A);
        assert!(other.has_address(STRANGER), "{what}: {other:?}");
    }

    /// The next start has everything.
    fn goes_on(&self) {
        let mut daemon = self.start(&[]);
        let address = listener(&daemon.ready(&self.path("socket")));
        until("all names to be answered", || {
            (right_answers(address, "the next start") == NAMES.len()).then_some(())
        });
        daemon.terminate();
        let log = daemon.stderr();
        assert!(!log.contains("damaged"), "{log}");
    }
}

/// How many names are answered; none of them with anything else than its own address.
fn right_answers(server: std::net::SocketAddr, what: &str) -> usize {
    let mut answered = 0;
    for (number, name) in (1..).zip(NAMES) {
        // Nobody replies where the daemon has just ended; its exit code is looked at then.
        let Ok(reply) = try_udp(server, &query(name, RecordType::A), PATIENCE) else {
            continue;
        };
        let seen = Seen::of(&reply);
        match seen.rcode {
            ResponseCode::NoError => {
                let address = format!("192.0.2.{number}");
                assert!(seen.has_address(&address), "{what}: {name}: {seen:?}");
                answered += 1;
            }
            rcode => assert_eq!(rcode, ResponseCode::ServFail, "{what}: {name}: {seen:?}"),
        }
    }
    answered
}
