//! What a daemon may still do once it runs: root is no root any more, and files that it does not need are out of reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use crate::common::fault;
use crate::common::home::{Home, ended, is_one_sentence};
use crate::common::process::{Process, status, until};

/// Number of the user and of its group, and of another group.
const USER: u32 = 54_321;
const OTHER_GROUP: u32 = 54_322;

/// A `bnsd serve` that root starts on port 53, with a network of its own, on a machine with these users.
fn as_root(home: &Home, users: &str, arguments: &[&str]) -> Command {
    let data = home.path().join("data").display().to_string();
    let directory = ["--data-dir", &data];
    as_root_in(home, users, &[&directory[..], arguments].concat())
}

/// The same, with a data directory among its arguments.
fn as_root_in(home: &Home, users: &str, arguments: &[&str]) -> Command {
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let own = format!("bitcoin:x:{OTHER_GROUP}:alice,bnsd\n");
    for (file, more) in [("passwd", users), ("group", &own)] {
        let text = fs::read_to_string(format!("/etc/{file}")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("bnsd:"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(home.path().join(file), text + more).unwrap();
    }
    let script = "set -e; ip link set lo up; mount --bind \"$0/passwd\" /etc/passwd; mount --bind \"$0/group\" /etc/group; exec \"$@\"";
    let path = home.path().display().to_string();
    let program = env!("CARGO_BIN_EXE_bnsd");
    let serve = [program, "serve", "--listen", "127.0.0.1:53"];
    let words = ["--net", "--mount", "sh", "-c", script, &path];
    home.command("unshare", &[&words[..], &serve, arguments].concat())
}

fn user() -> String {
    format!("bnsd:x:{USER}:{USER}::/nonexistent:/usr/sbin/nologin\n")
}

/// The numbers of a line in a thread's status (proc(5)).
fn numbers(status: &str, name: &str) -> Vec<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {status}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn root_becomes_a_user_when_it_has_port_53_and_there_is_no_way_back() {
    let home = Home::new();
    let data = home.folder("data");
    fs::write(data.join("lock"), "").unwrap(); // an earlier daemon of root was here
    let mut daemon = Process::start(&home, as_root(&home, &user(), &[]));
    daemon.ready(&data.join("control.sock"));
    let process = format!("/proc/{}/task", daemon.id());
    let threads: Vec<_> = fs::read_dir(process).unwrap().flatten().collect();
    assert!(threads.len() > 3, "the threads are there");
    for thread in threads {
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else {
            continue; // it has ended since
        };
        let user = vec![USER.to_string(); 4]; // real, effective, saved, of the file system
        assert_eq!(numbers(&status, "Uid:"), user);
        assert_eq!(numbers(&status, "Gid:"), user);
        assert_eq!(numbers(&status, "Groups:"), [OTHER_GROUP.to_string()]);
        for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
            assert_eq!(numbers(&status, set), ["0000000000000000"], "{set}");
        }
    }
    for file in ["", "lock", "names.redb", "control.sock"] {
        assert_eq!(data.join(file).metadata().unwrap().uid(), USER, "{file}");
    }
    let id = daemon.id().to_string();
    let words = [
        "-t",
        &id,
        "-n",
        "dig",
        "+short",
        "@127.0.0.1",
        "localhost",
        "A",
    ];
    let answer = ended(&mut home.command("nsenter", &words));
    assert_eq!(answer.stdout.trim(), "127.0.0.1", "{answer:?}");
    assert!(daemon.terminate().success(), "{}", daemon.stderr());
}

/// What the first start made is the user's, its certificate too, and the second goes on with it.
#[test]
fn root_starts_again_where_it_started_before() {
    let home = Home::new();
    let data = home.path().join("data");
    for start in ["first", "second"] {
        let mut command = as_root(&home, &user(), &[]);
        command.env("BNSD_DNS_TLS_LISTEN", "127.0.0.1:853");
        let mut daemon = Process::start(&home, command);
        daemon.ready(&data.join("control.sock"));
        let owners =
            ["", "names.redb", "tls"].map(|file| data.join(file).metadata().unwrap().uid());
        assert_eq!(owners, [USER; 3], "{start}");
        assert!(daemon.terminate().success(), "{}", daemon.stderr());
    }
}

#[test]
fn root_that_nobody_relieves_is_told_how() {
    let home = Home::new();
    let mut daemon = Process::start(&home, as_root(&home, "", &[]));
    daemon.ready(&home.path().join("data/control.sock"));
    let log = daemon.stderr();
    let warning = log.lines().find(|line| line.contains("all rights of root"));
    assert!(warning.is_some_and(|line| line.contains("--user")), "{log}");
}

/// In root's home: nothing may be given to a user that cannot get there, so that root goes on when that user is gone. What
/// root's demo has is root's in any case.
#[test]
fn what_the_user_cannot_reach_stays_roots() {
    let home = Home::new();
    let root = home.folder("root");
    let data = home.folder("root/data");
    fs::set_permissions(&root, Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(data.join("demo")).unwrap();
    fs::write(data.join("lock"), "").unwrap();
    let directory = ["--data-dir", data.to_str().unwrap()];
    let refused = ended(&mut as_root_in(&home, &user(), &directory));
    is_one_sentence(
        &refused,
        3,
        &["the user bnsd cannot reach", "--data-dir /var/lib/bnsd"],
    );
    for file in ["", "lock", "demo"] {
        assert_eq!(data.join(file).metadata().unwrap().uid(), 0, "{file}");
    }

    fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    let mut daemon = Process::start(&home, as_root_in(&home, &user(), &directory));
    daemon.ready(&data.join("control.sock"));
    let owner = |file: &str| data.join(file).metadata().unwrap().uid();
    assert_eq!(["", "lock", "demo"].map(owner), [USER, USER, 0]);
    assert!(daemon.terminate().success());

    // Directories above that are made now lead there.
    let new = home.path().join("new/state/bnsd");
    let directory = ["--data-dir", new.to_str().unwrap()];
    let mut daemon = Process::start(&home, as_root_in(&home, &user(), &directory));
    daemon.ready(&new.join("control.sock"));
    assert_eq!(new.metadata().unwrap().uid(), USER);
    assert_eq!(new.parent().unwrap().metadata().unwrap().uid(), 0);
}

#[test]
fn a_user_or_directory_that_cannot_be_is_refused() {
    let home = Home::new();
    let unknown = ended(&mut as_root(&home, "", &["--user", "bnsd"]));
    is_one_sentence(&unknown, 3, &["no user bnsd", "useradd --system bnsd"]);
    let data = home.folder("data");
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    fs::write(data.join("letter"), "of somebody").unwrap();
    let foreign = ended(&mut as_root(&home, &user(), &[]));
    is_one_sentence(
        &foreign,
        3,
        &["does not belong to the user bnsd", "--data-dir"],
    );
    for path in [data.clone(), data.join("letter")] {
        assert_eq!(path.metadata().unwrap().uid(), 0);
    }
}

/// A stranger's code in a thread of the daemon finds neither a place to write to nor a file of others to read.
#[test]
fn files_that_the_daemon_does_not_need_are_out_of_reach() {
    let home = Home::new();
    let library = fault::library(&home).display().to_string();
    let elsewhere = home.folder("elsewhere");
    fs::write(elsewhere.join("secret"), "of somebody").unwrap();
    let denied = libc::EACCES;
    let cases = [
        (
            "true",
            "enforced",
            format!("tried: write {denied}, read {denied}"),
        ),
        ("false", "off", "tried: write 0, read 0".to_owned()),
    ];
    for (sandbox, state, tried) in cases {
        let data = home.folder(&format!("data-{sandbox}"));
        let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(&data).env("BNSD_SANDBOX", sandbox);
        command
            .env("LD_PRELOAD", &library)
            .env("FAULT_TRY", &elsewhere);
        let mut daemon = Process::start(&home, command);
        let status = daemon.ready(&data.join("control.sock"));
        assert_eq!(
            status.sandbox.as_deref(),
            Some(state),
            "Landlock of Linux 5.13 or later"
        );
        until("the stranger", || {
            let log = daemon.stderr();
            let line = log.lines().find(|line| line.starts_with("tried: "));
            line.map(|line| assert_eq!(line, tried))
        });
        assert_eq!(elsewhere.join("new").exists(), sandbox == "false");
    }
}

/// What the configuration names at the start is read, and what it names later is said to need another start.
#[test]
fn a_folder_that_is_named_later_needs_a_restart() {
    let home = Home::new();
    let (first, later) = (home.folder("first"), home.folder("later"));
    for folder in [&first, &later] {
        fs::write(folder.join("x.zone"), "$ORIGIN x.id\n").unwrap();
    }
    let file = home.folder(".config/bnsd").join("bnsd.toml");
    let write = |folders: &[&std::path::PathBuf]| {
        let folders: Vec<String> = folders
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let seconds = folders.len();
        let text = format!("zonefiles.folders = {folders:?}\ndns.max-ttl = {seconds}\n");
        fs::write(&file, text).unwrap();
    };
    let start = || {
        let command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
        let mut daemon = Process::start(&home, command);
        let status = daemon.ready(&home.state().join("control.sock"));
        assert_eq!(status.sandbox.as_deref(), Some("enforced"));
        daemon
    };
    let wait_for = |count| {
        until("the zone files to be seen", || {
            let status = status(&home.state().join("control.sock"))?;
            (status.zonefiles.waiting_count == count).then_some(())
        });
    };
    write(&[&first]);
    let mut daemon = start();
    wait_for(1);
    write(&[&first, &later]);
    let reloaded = home.run(&["reload"]);
    let said = format!("{}{}", reloaded.stdout, reloaded.stderr);
    let folder = later.display().to_string();
    for part in [
        "1 -> 2", // the rest of the file is obeyed
        "needs a restart: zonefiles.folders",
        &folder,
        "start bnsd again",
    ] {
        assert!(said.contains(part), "{part}: {reloaded:?}");
    }
    let again = home.run(&["reload"]);
    assert!(
        again.stdout.contains("needs a restart: zonefiles.folders"),
        "{again:?}"
    );
    assert!(daemon.terminate().success());
    fs::write(later.join("x.zone"), "$ORIGIN y.id\n").unwrap();
    let _daemon = start();
    wait_for(2);
}
