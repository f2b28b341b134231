//! A chain without a node: what logs show makes the database that a node would have made, whoever lies.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bitcoin::ScriptBuf;
use bnsd::bns::Name;
use bnsd::chain::SourceError;
use bnsd::chain::light::AuditHole;
use bnsd::hash::ConsensusHash;
use bnsd::indexer::{IndexError, Turn};
use bnsd::store::{StoreSnapshot, StoredDecision};
use bnsd::worker::Crew;

use crate::common::bitcoind::Node;
use crate::common::chain_log::{History, Place};
use crate::common::follow::{Index, submit};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{serve, status, until};
use crate::common::scratch::scratch;
use crate::reorg::script::{Base, NOW, Script};

/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(300);

/// A chain with operations, and its log in some directories.
struct Stage {
    script: Script,
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut script = Script::new(&Base::mine(), seed);
        script.mine(60);
        script.settle();
        Self {
            script,
            directory: scratch(),
        }
    }

    fn history(&self) -> History {
        History::read(self.script.chain())
    }

    /// Writes the log as somebody does who leaves these out; gives its place.
    fn log(&self, name: &str, hidden: &[Place]) -> String {
        let place = self.directory.path().join(name);
        self.history().write(&place, hidden);
        place.display().to_string()
    }

    fn index(&self, name: &str, logs: &[&str]) -> Index {
        let logs: Vec<String> = logs.iter().map(|log| (*log).to_owned()).collect();
        Index::of_logs(&self.directory.path().join(name), &logs, 100)
    }

    fn truth(&self) -> std::sync::Arc<StoreSnapshot> {
        self.script.index.store.snapshot()
    }

    fn assert_true(&self, index: &Index) {
        let (ours, truth) = (index.store.snapshot(), self.truth());
        assert_eq!(ours.tip(), truth.tip());
        let (ours, truth) = (rows(&ours), rows(&truth));
        let differing = ours.iter().zip(&truth).find(|(a, b)| a != b);
        assert!(ours == truth, "first difference: {differing:?}");
    }

    /// An accepted operation with this opcode, as deep in the chain as there is one above `above`.
    fn accepted(&self, opcode: u8, above: u32) -> Place {
        let truth = self.truth();
        let places = self.history().places().into_iter();
        let mut places = places.filter(|(height, _)| *height > above);
        let found = places.find(|(height, vtxindex)| {
            let operations = truth.operations_at(*height).unwrap();
            operations.iter().any(|operation| {
                let StoredDecision::Accepted { .. } = &operation.decision else {
                    return false;
                };
                let output = &operation.candidate.transaction.output[0];
                operation.candidate.vtxindex == *vtxindex
                    && output.script_pubkey.as_bytes().get(4) == Some(&opcode)
            })
        });
        found.unwrap_or_else(|| panic!("no {} above {above}", opcode as char))
    }
}

/// All rows but those that say what the database is.
fn rows(snapshot: &StoreSnapshot) -> Vec<String> {
    let dump = snapshot.dump().unwrap();
    let rows = dump.lines().filter(|row| !row.starts_with("meta "));
    rows.map(str::to_owned).collect()
}

/// Turns until the index is where the source is, through whatever it says on the way.
fn settle(index: &mut Index) {
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn().unwrap() {
            Turn::Idle => return,
            other => assert!(Instant::now() < end, "{other:?}"),
        }
    }
}

/// Turns until the index is where the chain is, whose log was just written.
fn follow(index: &mut Index, stage: &Stage) {
    let end = Instant::now() + PATIENCE;
    while index.tip() != stage.script.chain().tip() {
        settle(index);
        assert!(Instant::now() < end, "{:?}", index.tip());
    }
}

/// Turns until the index went below a block that has a hole, and from there to the end; gives the tip it went to.
fn mend(index: &mut Index) -> u32 {
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn().unwrap() {
            Turn::WentBelow(height) => {
                settle(index);
                return height;
            }
            other => assert!(Instant::now() < end, "{other:?}"),
        }
    }
}

/// Turns until the index waits for something that it says in words with `text` in them.
fn wait_for(index: &mut Index, text: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn().unwrap() {
            Turn::Waiting(missing) if missing.contains(text) => return,
            other => assert!(Instant::now() < end, "{other:?}"),
        }
    }
}

#[test]
fn a_log_makes_the_database_that_blocks_make_and_is_followed() {
    let mut stage = Stage::new(3);
    let log = stage.log("log", &[]);
    let mut index = stage.index("index", &[&log]);
    settle(&mut index);
    stage.assert_true(&index);
    // A longer chain, and one that left it.
    stage.script.mine(12);
    stage.script.settle();
    stage.log("log", &[]);
    follow(&mut index, &stage);
    stage.assert_true(&index);
    // Only a branch of more work makes headers go back, unlike the word of a node.
    stage.script.replace(10);
    stage.log("log", &[]);
    follow(&mut index, &stage);
    stage.assert_true(&index);
}

#[test]
fn what_one_of_three_logs_shows_is_there() {
    let stage = Stage::new(4);
    let hidden = [b'?', b':', b'>'].map(|opcode| stage.accepted(opcode, 100));
    let (one, two) = (stage.log("one", &hidden), stage.log("two", &hidden));
    let truth = stage.log("truth", &[]);
    for (name, logs) in [
        ("first", [&*truth, &*one, &*two]),
        ("last", [&*one, &*two, &*truth]),
    ] {
        let mut index = stage.index(name, &logs);
        settle(&mut index);
        stage.assert_true(&index);
    }
    // Each leaves out something else: together they leave out nothing.
    let parts = [0, 1, 2].map(|at| stage.log(&format!("part{at}"), &hidden[at..=at]));
    let mut index = stage.index("parts", &[&*parts[0], &*parts[1], &*parts[2]]);
    settle(&mut index);
    stage.assert_true(&index);
}

#[test]
fn a_registration_that_two_of_three_logs_hide_still_collides() {
    let mut script = Script::new(&Base::mine(), 10);
    let name: Name = "fought.reorg".parse().unwrap();
    let height = script.collide(&name);
    script.mine(30);
    script.settle();
    let stage = Stage {
        script,
        directory: scratch(),
    };
    let places = stage.history().places().into_iter();
    let colliding: Vec<Place> = places.filter(|(at, _)| *at == height).collect();
    assert_eq!(colliding.len(), 2);
    let one = stage.log("one", &colliding[..1]);
    let two = stage.log("two", &colliding[..1]);
    // Who sees the other one alone gives its owner the name.
    let mut fooled = stage.index("fooled", &[&one, &two]);
    settle(&mut fooled);
    let history = |snapshot: &StoreSnapshot| snapshot.name_history(&name).unwrap().len();
    assert_eq!(history(&fooled.store.snapshot()), 1);
    let truth = stage.log("truth", &[]);
    let mut index = stage.index("index", &[&one, &truth, &two]);
    settle(&mut index);
    stage.assert_true(&index);
    assert_eq!(history(&index.store.snapshot()), 0);
}

#[test]
fn a_hole_is_closed_when_somebody_shows_what_was_left_out() {
    let stage = Stage::new(5);
    for (undo_depth, name) in [(100, "near"), (5, "far")] {
        let hidden = [stage.accepted(b'?', 100)];
        let liar = stage.log(&format!("liar-{name}"), &hidden);
        let place = stage.directory.path().join(name);
        let mut index = Index::of_logs(&place, std::slice::from_ref(&liar), undo_depth);
        settle(&mut index);
        assert_ne!(rows(&index.store.snapshot()), rows(&stage.truth()));
        drop(index);
        let truth = stage.log("truth", &[]);
        let mut index = Index::of_logs(&place, &[liar, truth], undo_depth);
        assert_eq!(mend(&mut index), hidden[0].0 - 1, "{name}");
        // How many blocks can be undone is a matter of the index, and not of the chain.
        let mut fresh = Index::of_logs(
            &stage.directory.path().join(format!("fresh-{name}")),
            &[stage.log("truth", &[])],
            undo_depth,
        );
        settle(&mut fresh);
        assert_eq!(index.tip(), fresh.tip());
        let (ours, theirs) = (index.store.snapshot(), fresh.store.snapshot());
        assert_eq!(ours.dump().unwrap(), theirs.dump().unwrap(), "{name}");
    }
}

#[test]
fn a_wrong_log_is_named_and_left_out_and_the_others_go_on() {
    let stage = Stage::new(6);
    let truth = stage.log("truth", &[]);
    let damaged = |name: &str, damage: &dyn Fn(&Path)| {
        let log = stage.log(name, &[]);
        damage(Path::new(&log));
        log
    };
    let flipped = |file: &'static str, at: usize| {
        move |log: &Path| {
            let mut bytes = fs::read(log.join(file)).unwrap();
            bytes[at] ^= 1;
            fs::write(log.join(file), bytes).unwrap();
        }
    };
    let wrong = [
        damaged("header", &flipped("headers", 80 * 50 + 40)),
        damaged("list", &flipped("log.json", 3)),
        damaged("other-hash", &|log| {
            let list = fs::read_to_string(log.join("log.json")).unwrap();
            let at = list.rfind("consensus_hash").unwrap();
            let (start, end) = list.split_at(at + 20);
            let digit = if end.starts_with('0') { "1" } else { "0" };
            fs::write(log.join("log.json"), format!("{start}{digit}{}", &end[1..])).unwrap();
        }),
    ];
    for (number, log) in wrong.iter().enumerate() {
        let mut alone = stage.index(&format!("alone{number}"), &[log]);
        wait_for(&mut alone, &format!("{log} is left out for an hour"));
        let mut index = stage.index(&format!("both{number}"), &[log, &truth]);
        settle(&mut index);
        stage.assert_true(&index);
    }
}

#[test]
fn the_rules_arrive_at_a_pin_or_names_are_withheld() {
    let stage = Stage::new(7);
    let log = stage.log("log", &[]);
    let hashes = stage.history().consensus_hashes(&[]);
    let place = |name: &str| stage.directory.path().join(name);
    let logs = [log.clone()];
    let mut index = Index::of_pinned_logs(&place("right"), &logs, 100, &[(120, hashes[&120])]);
    settle(&mut index);
    stage.assert_true(&index);
    let other = ConsensusHash([7; 16]);
    let mut index = Index::of_pinned_logs(&place("wrong"), &logs, 100, &[(120, other)]);
    let end = Instant::now() + PATIENCE;
    let refused = loop {
        match index.turn() {
            Err(refused) => break refused,
            Ok(turn) => assert!(Instant::now() < end, "{turn:?}"),
        }
    };
    let IndexError::Source(SourceError::Pinned {
        height: 120,
        source_names,
        ..
    }) = refused
    else {
        panic!("{refused}");
    };
    assert_eq!(source_names, log);
    assert_eq!(index.tip().height, 120);
}

#[test]
fn those_who_write_operations_tell_that_every_log_leaves_something_out() {
    let stage = Stage::new(10);
    let hidden = [stage.accepted(b'?', 100)];
    let liars = ["one", "two"].map(|name| stage.log(name, &hidden));
    let home = Home::new();
    let environment = [
        ("BNSD_CHAIN_SOURCE", "log"),
        ("BNSD_CHAIN_NETWORK", "regtest"),
        ("BNSD_CHAIN_LOGS", &liars.join(",")),
        ("BNSD_CHAIN_PEERS", "none"),
    ];
    let _daemon = serve(&home, &environment);
    let socket = home.state().join("control.sock");
    let known = until("an alarm", || {
        let known = status(&socket)?.known?;
        known.alarm.is_some().then_some(known)
    });
    let (alarm, vouched) = (known.alarm.unwrap(), known.vouched.unwrap());
    assert!(vouched < hidden[0].0 + 24, "{alarm}");
    for part in [format!("above block {vouched}"), liars.join(", ")] {
        assert!(alarm.contains(&part), "{alarm}");
    }
    let page = home.run(&["status"]).stdout;
    assert!(page.contains(&alarm), "{page}");
}

#[test]
fn an_audit_finds_what_every_log_left_out() {
    let mut stage = Stage::new(9);
    let chain = stage.script.chain();
    chain.mine_empty(&ScriptBuf::new(), 150, NOW).unwrap();
    stage.script.settle();
    let hidden = [stage.accepted(b'?', 100)];
    let liar = stage.log("liar", &hidden);
    let address = free_address();
    let arguments = [
        &*format!("-bind={address}"),
        "-listen=1",
        "-maxtipage=2000000000",
    ];
    let node = Node::start(&stage.directory.path().join("bitcoin"), &arguments);
    submit(stage.script.chain(), &node);
    let mut crew = Crew::default();
    let place = stage.directory.path().join("index");
    let mut index = Index::with_peers(&place, std::slice::from_ref(&liar), &[address], &mut crew);
    let end = Instant::now() + PATIENCE;
    while index.store.snapshot().tip().map(|tip| tip.height) != Some(stage.history().height()) {
        let turn = index.turn().unwrap();
        assert!(Instant::now() < end, "{turn:?}");
    }
    assert_ne!(rows(&index.store.snapshot()), rows(&stage.truth()));
    let audits = index.audits.clone().unwrap();
    audits.ask(2_000);
    let end = Instant::now() + PATIENCE;
    let went = loop {
        match index.turn().unwrap() {
            Turn::WentBelow(height) => break height,
            other => assert!(Instant::now() < end, "{other:?} {:?}", audits.status()),
        }
    };
    assert_eq!(went, hidden[0].0 - 1);
    let hole = AuditHole {
        height: hidden[0].0,
        sources: liar.clone(),
    };
    assert_eq!(audits.status().holes, [hole]);
    // Nobody says what the operation spends: nothing is guessed. Or it is known already, and the truth results.
    loop {
        match index.turn().unwrap() {
            Turn::Idle => break stage.assert_true(&index),
            Turn::Waiting(why) if why.contains("waits for transaction") => break,
            other => assert!(Instant::now() < end, "{other:?}"),
        }
    }
}

#[test]
fn a_log_on_a_web_server_is_read_and_followed() {
    let mut stage = Stage::new(8);
    let log = stage.log("log", &[]);
    let server = WebServer::start(Path::new(&log));
    let mut index = stage.index("index", &[&server.url]);
    settle(&mut index);
    stage.assert_true(&index);
    drop(index);
    // What was fetched is not fetched again.
    let kept = stage.directory.path().join("index/log/segments");
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
    stage.script.mine(5);
    stage.script.settle();
    stage.log("log", &[]);
    let mut index = stage.index("index", &[&server.url]);
    follow(&mut index, &stage);
    stage.assert_true(&index);
}

/// Python's web server on a directory.
struct WebServer {
    process: std::process::Child,
    url: String,
}

impl WebServer {
    fn start(directory: &Path) -> Self {
        let port = free_address().port();
        let mut command = std::process::Command::new("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
        command.arg(directory).arg(port.to_string());
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let process = command.spawn().expect("python3");
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the web server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let url = format!("http://127.0.0.1:{port}/");
        Self { process, url }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
