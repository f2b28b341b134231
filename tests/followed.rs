//! A daemon without a node: it follows a log in a directory, says what that rests on, publishes the same bytes again, and
//! survives every kill.

/// Whole old blocks.
mod audited;
/// What derives names again.
mod mended;
/// A log over TLS.
mod secure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bitcoin::ScriptBuf;
use bnsd::bns::{Bns, Params};
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::wallet::registrar::Registrar;

use crate::common::chain_log::{History, Place};
use crate::common::form::form;
use crate::common::home::{Home, ended};
use crate::common::process::{Process, status, until};
use crate::common::scratch::scratch;
use crate::common::written;
use crate::exported::{TIME, export, indexed};

/// The last block of the log.
const TIP: u32 = 2_016 + 120;

/// A log of two segments, and a home that follows it.
struct Scene {
    _source: Home,
    log: PathBuf,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let source = indexed();
        let log = source.path().join("log");
        assert_eq!(export(&source, &log).code, 0);
        Self {
            log,
            home: Home::new(),
            _source: source,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.bnsd(arguments);
        command
            .env("BNSD_CHAIN_SOURCE", "log")
            .env("BNSD_CHAIN_NETWORK", "regtest")
            .env("BNSD_CHAIN_LOGS", &self.log);
        command
    }

    /// The command of a daemon.
    fn serving(&self) -> Command {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("BNSD_API_LISTEN", "none")
            .env("BNSD_ATLAS_LISTEN", "none");
        command
    }

    fn serve(&self, publish: Option<&Path>) -> Process {
        let mut command = self.serving();
        if let Some(to) = publish {
            command.env("BNSD_CHAIN_PUBLISH", to);
        }
        Process::start(&self.home, command)
    }

    fn socket(&self) -> PathBuf {
        self.home.state().join("control.sock")
    }

    fn wait(&self) {
        until("the last block of the log", || {
            (status(&self.socket())?.height? == TIP).then_some(())
        });
    }

    fn dump(&self) -> String {
        let chain = ChainIdentity::new("regtest", &Params::regtest());
        let store = Store::open(&self.home.state(), &chain, StoreOptions::default());
        let store = store.expect("a database that is whole");
        bnsd::indexer::verify(&store, &Bns::new(Params::regtest()), |_| ())
            .expect("what its operations make it");
        store.snapshot().dump().expect("a dump")
    }
}

#[test]
fn a_daemon_follows_a_log_says_so_and_publishes_it_again() {
    let scene = Scene::new();
    let again = scene.home.folder("again");
    let mut daemon = scene.serve(Some(&again));
    scene.wait();
    let seen = status(&scene.socket()).expect("a status");
    let known = seen.known.expect("what it rests on");
    assert_eq!((known.sources, known.held, known.alarm), (1, None, None));
    let ran = |arguments: &[&str]| ended(&mut scene.command(arguments));
    let page = ran(&["status"]);
    let words = "proved by work; complete as far as 1 log and 0 audited blocks tell";
    assert!(page.stdout.contains(words), "{page:?}");
    let explained = ran(&["explain", "one.id"]);
    assert!(explained.stdout.contains(words), "{explained:?}");
    assert!(explained.stdout.contains("registered"), "{explained:?}");
    until("the same log again", || {
        (written::files(&again) == written::files(&scene.log)).then_some(())
    });
    assert!(daemon.terminate().success(), "{}", daemon.stderr());
    let exported = scene.home.path().join("exported");
    let export = ran(&["chain", "export", &exported.display().to_string()]);
    assert_eq!(export.code, 0, "{export:?}");
    assert!(written::files(&exported) == written::files(&scene.log));
    assert_eq!(ran(&["chain", "verify"]).code, 0);
}

#[test]
fn whenever_it_is_killed_the_next_start_goes_on() {
    let scene = Scene::new();
    let mut daemon = scene.serve(None);
    scene.wait();
    daemon.terminate();
    let undisturbed = scene.dump();
    let data = scene.home.state();
    let (mut killed, mut wait) = (0, Duration::ZERO);
    while killed < form(20, 100) {
        fs::remove_dir_all(&data).expect("a data directory");
        // Each life is a little longer than the one before, until one gets to the end.
        wait = Duration::ZERO;
        loop {
            let mut daemon = scene.serve(None);
            std::thread::sleep(wait);
            daemon.kill();
            killed += 1;
            wait += Duration::from_millis(7);
            let log = daemon.stderr();
            assert!(!log.contains("damaged") && !log.contains("ERROR"), "{log}");
            if killed >= form(20, 100) || is_done(&data) {
                break;
            }
        }
    }
    let mut daemon = scene.serve(None);
    scene.wait();
    daemon.terminate();
    assert_eq!(scene.dump(), undisturbed, "after lives of up to {wait:?}");
    println!("{killed} kills while a log was followed left no trace");
}

/// Whether the first sync has finished.
fn is_done(data: &Path) -> bool {
    data.join("synced").exists()
}

/// A chain of a sealed segment and an open one, with an operation in each that changes no consensus hash: they are refused.
fn with_refused_operations(directory: &Path) -> (History, Vec<Place>) {
    let chain = DevChain::open(directory).expect("a chain");
    let mut registrar = Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("keys");
    let name = ("one.id".parse().expect("a name"), ZonefileHash::of(b"text"));
    registrar.publish(&[name], TIME).expect("operations");
    let refused = ScriptBuf::new_op_return(*b"id?refused");
    let mine = |reward: &ScriptBuf, to: u32| {
        let left = to - chain.tip().height;
        let mined = chain.mine_empty(reward, left, TIME).expect("blocks");
        (mined.height, 0)
    };
    let nobody = ScriptBuf::from(vec![0x51]);
    let start = mine(&nobody, 200).0;
    let early = mine(&refused, start + 1);
    mine(&nobody, TIP - 20);
    let late = mine(&refused, TIP - 19);
    mine(&nobody, TIP);
    (History::read(&chain), vec![early, late])
}

#[test]
fn a_published_log_gets_what_was_left_out_though_nothing_else_changes() {
    let directory = scratch();
    let (history, hidden) = with_refused_operations(&directory.path().join("chain"));
    let tip = |hidden: &[Place]| history.consensus_hashes(hidden)[&TIP];
    assert_eq!(tip(&hidden), tip(&[]), "they change nothing");
    let home = Home::new();
    let [liar, later] = ["liar", "later"].map(|name| directory.path().join(name));
    history.write(&liar, &hidden);
    fs::create_dir(&later).expect("a directory"); // the daemon may read what is there when it starts
    let again = home.folder("again");
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("BNSD_CHAIN_SOURCE", "log")
        .env("BNSD_CHAIN_NETWORK", "regtest")
        .env(
            "BNSD_CHAIN_LOGS",
            format!("{},{}", liar.display(), later.display()),
        )
        .env("BNSD_CHAIN_PUBLISH", &again)
        .env("BNSD_API_LISTEN", "none")
        .env("BNSD_ATLAS_LISTEN", "none");
    let mut daemon = Process::start(&home, command);
    until("what the first log says", || {
        (written::files(&again) == written::files(&liar)).then_some(())
    });
    history.write(&later, &[]);
    until("what the other one says", || {
        (written::files(&again) == written::files(&later)).then_some(())
    });
    let seen = status(&home.state().join("control.sock")).expect("a status");
    assert_eq!(seen.height, Some(TIP));
    let log = daemon.stderr();
    assert!(log.contains("block 201 has an operation that"), "{log}");
    assert!(daemon.terminate().success(), "{}", daemon.stderr());
}
