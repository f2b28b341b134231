//! `bnsd status` while the index is behind, and `--watch` at a terminal.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bitcoin::{OutPoint, ScriptBuf, TxOut};
use bnsd::chain::dev::{DevChain, DevSource};
use bnsd::chain::{Block, BlockRef, ChainSource, Event, SourceError};
use bnsd::daemon::Daemon;
use serde_json::Value;

use crate::common::home::Home;
use crate::common::process::{serve, until};
use crate::common::world::config;

/// How long each block of [`Slow`] takes.
const BLOCK: Duration = Duration::from_millis(15);
/// Blocks of its chain.
const BLOCKS: u32 = 400;

/// The embedded chain at the pace of a big one.
struct Slow(DevSource);

impl ChainSource for Slow {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> Result<Event, SourceError> {
        std::thread::sleep(BLOCK);
        self.0.next(tip, first_block)
    }

    fn prevouts(&mut self, block: &Block, spent: &[OutPoint]) -> Result<Vec<TxOut>, SourceError> {
        self.0.prevouts(block, spent)
    }

    fn best_height(&mut self) -> Result<u32, SourceError> {
        self.0.best_height()
    }

    fn holds(&mut self, at: BlockRef) -> Result<bool, SourceError> {
        self.0.holds(at)
    }

    fn wait(&mut self, patience: Duration) {
        self.0.wait(patience);
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

#[test]
fn a_sync_is_shown_with_its_rate_and_the_time_left() {
    let home = Home::new();
    let chain = DevChain::open(&home.path().join("chain")).expect("a chain");
    let reward = ScriptBuf::from_bytes(b"somebody".to_vec());
    chain
        .mine_empty(&reward, BLOCKS, 1_700_000_000)
        .expect("blocks");
    let config = config(home.path(), &[]);
    let socket = config.control_socket.display().to_string();
    let status = |more: &[&str]| {
        let ran = home.run(&[&["status", "--control-socket", &socket], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let json = || -> Value { serde_json::from_str(&status(&["--json"])).expect("JSON") };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let daemon = runtime.block_on(async {
        Daemon::start(&config, Some(Box::new(Slow(chain.source(0))))).expect("a daemon")
    });
    let sync = until("the pace to be known", || {
        let sync = json()["sync"].clone();
        sync["seconds_left"].is_u64().then_some(sync)
    });
    let of = |key: &str| sync[key].as_u64().expect("a number");
    assert!(
        (1..u64::from(BLOCKS)).contains(&of("blocks_left")),
        "{sync}"
    );
    let fastest = 60_000 / BLOCK.as_millis() as u64;
    assert!(
        (fastest / 50..=fastest).contains(&of("blocks_per_minute")),
        "{sync}"
    );
    assert_eq!(
        of("seconds_left"),
        of("blocks_left") * 60 / of("blocks_per_minute")
    );
    let page = status(&[]);
    let line = page.lines().find(|line| line.starts_with("  sync "));
    let line = line.expect("a line about the sync");
    for part in [" left, ", " blocks/", ", done in about "] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    until("the sync to end", || json()["sync"].is_null().then_some(()));
    let page = status(&[]);
    assert!(
        !page.contains("\n  sync ") && !page.contains("\n  behind "),
        "{page}"
    );
    // The test chain's blocks are of 2023, and nobody expects others.
    assert!(json()["tip_age_seconds"].as_u64().expect("an age") > 1_000_000);
    assert!(!page.contains("cut off"), "{page}");
    runtime.block_on(daemon.stop()).expect("a stop");
}

/// What a terminal shows while somebody presses `keys`, and after that the exit code and the terminal's settings.
fn watched(home: &Home, socket: &Path, keys: &[&str]) -> String {
    let binary = env!("CARGO_BIN_EXE_bnsd");
    let socket = socket.display();
    let line =
        format!("'{binary}' status --watch --control-socket '{socket}'; echo code $?; stty -a");
    let mut script: Command = home.command("script", &["-qec", &line, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().expect("script, of bsdutils");
    let mut shown = String::new();
    let mut screen = script.stdout.take().expect("a pipe");
    let mut keyboard = script.stdin.take().expect("a pipe");
    let mut read = |until: &str, shown: &mut String| {
        let mut bytes = [0; 4096];
        while !shown.contains(until) {
            let length = screen.read(&mut bytes).expect("the terminal's output");
            assert_ne!(length, 0, "{until:?} did not come: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    for key in keys {
        read("q ends this", &mut shown);
        keyboard.write_all(key.as_bytes()).expect("a pressed key");
    }
    read("extproc", &mut shown); // the last setting
    drop(keyboard);
    let _ = script.wait();
    shown
}

#[test]
fn a_watched_status_is_left_by_a_key_and_the_terminal_is_as_before() {
    let home = Home::new();
    let socket = home.state().join("control.sock");
    let mut daemon = serve(&home, &[]);
    daemon.ready(&socket);
    for (keys, pages) in [(vec!["q"], 2), (vec!["\u{3}"], 2), (vec!["x", "y", "Q"], 3)] {
        let shown = watched(&home, &socket, &keys);
        assert!(shown.contains("\ncode 0\r\n"), "{keys:?}: {shown}");
        let (page, settings) = shown.split_once("code 0").expect("a code");
        assert!(!page.contains("xyQ"), "keys are not shown: {page}");
        for setting in ["icanon", "isig", "echo"] {
            let is_on = settings.split_whitespace().any(|word| word == setting);
            assert!(is_on, "{keys:?}: {setting} is not in {settings}");
        }
        // Keys do not make it look more often.
        assert!(
            page.matches("\u{1b}[H").count() <= pages,
            "{keys:?}: {page}"
        );
    }
}
