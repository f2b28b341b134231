//! The log in each of its formats: names that are asked for stay out of it, and a fault that repeats is said once a minute.

use std::fs;
use std::process::Command;

use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::dns::see;
use crate::common::home::{Home, ended, is_one_sentence};
use crate::common::process::{Process, listener, serve, until};

/// A part of a name that nobody else has.
const CANARY: &str = "canary-name-5d2e";

/// Asks so that much is decided: forwarded to nobody, of the chain, special, and garbage.
fn ask_for_canaries(daemon: &mut Process, home: &Home) {
    let status = daemon.ready(&home.state().join("control.sock"));
    for parent in ["example", "id", "podcast", "id.bns.alt", "local", "onion"] {
        see(
            listener(&status),
            &format!("{CANARY}.{parent}"),
            RecordType::A,
        );
    }
    let name = format!("{CANARY}.example");
    let _ = home.run(&["lookup", &name]); // nobody answers
    let _ = home.run(&["explain", &name]);
}

#[test]
fn names_stay_out_of_the_log_in_every_format() {
    for format in ["text", "json"] {
        let home = Home::new();
        let environment = [
            ("BNSD_LOG", "trace"),
            ("BNSD_LOG_FORMAT", format),
            ("BNSD_DNS_UPSTREAMS", "127.0.0.1:9"),
        ];
        let mut daemon = serve(&home, &environment);
        ask_for_canaries(&mut daemon, &home);
        assert!(daemon.terminate().success());
        let log = daemon.stderr();
        assert!(!log.contains(CANARY), "{log}");
        for line in log.lines().filter(|_| format == "json") {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            assert!(
                line["level"].is_string() && line["message"].is_string(),
                "{line}"
            );
        }
        assert!(log.contains("answering DNS on"), "{log}");
    }
    let home = Home::new();
    let chosen = [
        ("BNSD_LOG_QUERIES", "true"),
        ("BNSD_DNS_UPSTREAMS", "127.0.0.1:9"),
    ];
    let mut daemon = serve(&home, &chosen);
    ask_for_canaries(&mut daemon, &home);
    assert!(daemon.stderr().contains(CANARY), "by choice alone");
}

/// As many warnings as files are written, if nobody counted.
#[test]
fn a_fault_that_repeats_is_said_once() {
    let home = Home::new();
    let (gone, there) = (home.folder("gone"), home.folder("there"));
    let folders = format!("{},{}", gone.display(), there.display());
    let mut daemon = serve(&home, &[("BNSD_ZONEFILES_FOLDERS", &folders)]);
    let socket = home.state().join("control.sock");
    daemon.ready(&socket);
    fs::remove_dir(&gone).expect("an empty directory");
    for number in 1..=5 {
        fs::write(there.join("x.zone"), format!("$ORIGIN x.id\n; {number}\n")).expect("a file");
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    until("the fault", || {
        daemon.stderr().contains("cannot be read").then_some(())
    });
    let log = daemon.stderr();
    assert_eq!(
        log.matches("a watched folder cannot be read").count(),
        1,
        "{log}"
    );
}

// ---- the journal ------------------------------------------------------------------------------------------

/// Runs a daemon where `/run` is empty but for what `prepare` puts there, in a mount namespace of its own.
fn beside_a_journal(home: &Home, prepare: &str) -> Command {
    let script = format!("mount -t tmpfs none /run && {prepare} exec \"$@\"");
    let program = env!("CARGO_BIN_EXE_bnsd");
    let inside = [
        "sh",
        "-c",
        &script,
        "sh",
        program,
        "serve",
        "--listen",
        "127.0.0.1:0",
    ];
    let arguments = [&["--mount", "--user", "--map-root-user"][..], &inside[..]].concat();
    let mut command = home.command("unshare", &arguments);
    command.envs([
        ("BNSD_LOG", "trace"),
        ("BNSD_LOG_FORMAT", "journald"),
        ("BNSD_DNS_UPSTREAMS", "127.0.0.1:9"),
    ]);
    command
}

/// Stands for systemd-journald: writes what arrives at its socket to a file.
const JOURNAL: &str = "
import os, socket, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
os.makedirs('/run/systemd/journal')
journal.bind('/run/systemd/journal/socket')
with open(sys.argv[1], 'wb', buffering=0) as entries:
    while True:
        entries.write(journal.recv(65536) + b'\\n')
";

#[test]
fn the_journal_gets_fields_and_its_absence_is_said() {
    let home = Home::new();
    let without = ended(&mut beside_a_journal(&home, ""));
    let parts = [
        "cannot log to the journal",
        "set `log.format` to text or json",
    ];
    is_one_sentence(&without, 3, &parts);

    let (script, entries) = (home.path().join("journal.py"), home.path().join("entries"));
    fs::write(&script, JOURNAL).expect("a file");
    let listener = format!(
        "(python3 {} {} &) && while ! [ -S /run/systemd/journal/socket ]; do sleep 0.05; done &&",
        script.display(),
        entries.display()
    );
    let mut daemon = Process::start(&home, beside_a_journal(&home, &listener));
    ask_for_canaries(&mut daemon, &home);
    let log = until("the entries", || {
        let log = String::from_utf8_lossy(&fs::read(&entries).ok()?).into_owned();
        log.contains("answering DNS on").then_some(log)
    });
    for field in [
        "SYSLOG_IDENTIFIER\n",
        "PRIORITY\n",
        "CODE_LINE=",
        "no chain source is configured",
    ] {
        assert!(log.contains(field), "{field:?} is not in {log}");
    }
    assert!(!log.contains(CANARY), "{log}");
    assert_eq!(daemon.stderr(), "", "nothing is written twice");
}
