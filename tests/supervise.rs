//! A daemon that is whole or ends: signals, and workers that fail.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bitcoin::{OutPoint, TxOut};
use bnsd::chain::{Block, BlockRef, ChainSource, Event, SourceError};
use bnsd::daemon::Daemon;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::dns::see;
use crate::common::fault;
use crate::common::home::Home;
use crate::common::process::{Process, listener, until};
use crate::common::world::config;

/// A demo on a free port.
fn demo(home: &Home, environment: &[(&str, &str)]) -> Process {
    let mut command = home.bnsd(&["demo", "--listen", "127.0.0.1:0"]);
    command.envs(environment.iter().copied());
    Process::start(home, command)
}

#[test]
fn a_hangup_is_logged_and_ends_nothing() {
    let home = Home::new();
    let mut daemon = demo(&home, &[]);
    let status = daemon.ready(&home.state().join("demo/control.sock"));
    until("the examples", || {
        daemon.stdout().contains("Try:").then_some(())
    });
    let id = daemon.id().to_string();
    for count in 1..=2 {
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.expect("kill can be started").success());
        until("the signal to be logged", || {
            let log = daemon.stderr();
            (log.matches("SIGHUP changes nothing").count() == count).then_some(())
        });
        let seen = see(listener(&status), "werner.id", RecordType::A);
        assert_eq!(seen.rcode, ResponseCode::NoError);
    }
    assert!(daemon.terminate().success());
}

// ---- a worker that ends ---------------------------------------------------------------------------------

/// A chain that makes its reader fail.
struct Trap;

impl ChainSource for Trap {
    fn next(&mut self, _: Option<BlockRef>, _: u32) -> Result<Event, SourceError> {
        panic!("on purpose")
    }

    fn prevouts(&mut self, _: &Block, _: &[OutPoint]) -> Result<Vec<TxOut>, SourceError> {
        Ok(Vec::new())
    }

    fn best_height(&mut self) -> Result<u32, SourceError> {
        Ok(0)
    }

    fn holds(&mut self, _: BlockRef) -> Result<bool, SourceError> {
        Ok(true)
    }

    fn wait(&mut self, _: Duration) {}

    fn describe(&self) -> String {
        "a trap".to_owned()
    }
}

#[test]
fn a_worker_that_fails_is_reported_by_name() {
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let config = config(home.path(), &[]);
        let mut daemon = Daemon::start(&config, Some(Box::new(Trap))).expect("a daemon");
        let ended = tokio::time::timeout(Duration::from_secs(60), daemon.ended()).await;
        let ended = ended.expect("a report");
        assert_eq!((ended.name.as_str(), ended.panicked), ("indexer", true));
        daemon.stop().await.expect("the others stop");
    });
}

/// Whichever thread it is, the process ends by itself with an error that a service manager acts on and a person
/// understands; the panic is one line in the log, without a trace of the program's inside.
#[test]
fn a_thread_that_fails_ends_the_process() {
    let home = Home::new();
    let fault = fault::library(&home);
    for thread in ["indexer", "folders"] {
        let trigger = home.path().join(thread);
        let mut daemon = demo(
            &home,
            &[
                ("LD_PRELOAD", &fault.display().to_string()),
                ("FAULT_THREAD", thread),
                ("FAULT_FILE", &trigger.display().to_string()),
            ],
        );
        daemon.ready(&home.state().join("demo/control.sock"));
        until("the examples", || {
            daemon.stdout().contains("Try:").then_some(())
        });
        fs::write(&trigger, "now").expect("a file");
        // A mined block wakes every thread.
        let demo = home.state().join("demo").display().to_string();
        until("the daemon to end", || {
            let _ = home.run(&["tx", "mine", "--data-dir", &demo]);
            daemon.has_ended().then_some(())
        });
        let log = daemon.stderr();
        assert_eq!(daemon.code(), Some(3), "{log}");
        let error = format!("error: the worker \"{thread}\" failed, and bnsd cannot do without it");
        assert!(log.lines().any(|line| line.starts_with(&error)), "{log}");
        let place = format!("the thread \"{thread}\" failed at ");
        assert!(log.contains(&place) && !log.contains("panicked"), "{log}");
    }
}

// ---- nobody on the side ---------------------------------------------------------------------------------

/// Whoever starts a thread or task outside of `worker.rs` has one that nobody owns.
#[test]
fn threads_and_tasks_are_started_in_one_place() {
    let starts = [
        "thread::spawn",
        "thread::Builder",
        "tokio::spawn",
        "TokioExecutor",
        "runtime.spawn",
    ];
    let mut wrong = Vec::new();
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("worker.rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let product = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let found = starts.iter().any(|start| product.contains(start));
                wrong.extend(found.then_some(path));
            }
        }
    }
    wrong.retain(|path| !path.ends_with("dns/fixture.rs") && !path.ends_with("dev/tests.rs"));
    assert!(wrong.is_empty(), "{wrong:?} start workers of their own");
}
