//! Agents and the databases of browsers, changed by the real `certutil`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Scene;
use crate::common::home::{Home, ended};
use crate::common::process::{PATIENCE, Process, serve, until};

/// What an answer waits for at most, with room for a busy machine.
const WAIT: Duration = Duration::from_millis(300);
const CHROMIUM: &str = ".pki/nssdb";
const FIREFOX: &str = ".config/mozilla/firefox/x.default-esr";

/// Makes an empty database, as a browser does.
fn make(home: &Home, inside: &str) -> PathBuf {
    let directory = home.folder(inside);
    certutil(home, inside, &["-N", "--empty-password"]);
    directory
}

/// Runs certutil on a database; what it prints.
fn certutil(home: &Home, inside: &str, words: &[&str]) -> String {
    let database = format!("sql:{}", home.path().join(inside).display());
    let words = [words, &["-d", &database]].concat();
    let ended = ended(&mut home.command("certutil", &words));
    assert_eq!(
        ended.code, 0,
        "certutil of the Debian package `libnss3-tools`: {ended:?}"
    );
    ended.stdout
}

/// The mark of the certificate whose nickname begins with `nickname`.
fn mark(home: &Home, inside: &str, nickname: &str) -> Option<String> {
    let database = format!("sql:{}", home.path().join(inside).display());
    // It fails while an agent changes the database.
    let listed = until("certutil to list a database", || {
        let ended = ended(&mut home.command("certutil", &["-L", "-d", &database]));
        (ended.code == 0).then_some(ended.stdout)
    });
    let line = listed.lines().find(|line| line.starts_with(nickname))?;
    line.split_whitespace().last().map(str::to_owned)
}

/// Everything below a directory: mode and bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut contents = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let is_output = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("output-"));
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let bytes = if metadata.is_dir() {
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        if !is_output {
            contents.insert(path, (metadata.mode(), bytes));
        }
    }
    contents
}

fn start_agent(scene: &Scene) -> Process {
    let words = scene.words(&["tls", "agent"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut agent = Process::start(&scene.home, scene.home.bnsd(&words));
    until("the agent to follow", || {
        assert!(!agent.has_ended(), "{}", agent.stderr());
        agent.stderr().contains("follows bnsd").then_some(())
    });
    agent
}

#[test]
fn browsers_have_the_certificate_when_the_answer_comes_and_lose_it_with_the_name() {
    let scene = Scene::new();
    let home = &scene.home;
    for name in ["me.id", "you.id"] {
        scene.make_keys(name);
        scene.register(name);
    }
    for inside in [CHROMIUM, FIREFOX] {
        make(home, inside);
    }
    scene.root();
    let before = contents(home.path());
    let installed = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    let agent = start_agent(&scene);
    for name in ["me.id", "you.id"] {
        let start = Instant::now();
        assert_eq!(scene.world.dig(name, 1), (0, 1));
        let after = start.elapsed();
        println!("the first answer about {name} took {after:?}");
        let nickname = format!("bnsd authority of {name}");
        for inside in [CHROMIUM, FIREFOX] {
            if after < WAIT {
                assert_eq!(
                    mark(home, inside, &nickname).as_deref(),
                    Some(",,"),
                    "{}",
                    agent.stderr()
                );
            }
            let found = until("the certificate", || mark(home, inside, &nickname));
            assert_eq!(found, ",,");
            assert_eq!(mark(home, inside, "bnsd root").as_deref(), Some("C,,"));
        }
    }
    // A profile that comes later has everything after a moment.
    const LATER: &str = ".mozilla/firefox/y.default";
    make(home, LATER);
    until("the new profile", || {
        mark(home, LATER, "bnsd authority of me.id")
    });
    assert_eq!(mark(home, LATER, "bnsd root").as_deref(), Some("C,,"));
    scene.owner().does(&["name", "revoke", "me.id"]);
    for inside in [CHROMIUM, FIREFOX, LATER] {
        until("the certificate to go", || {
            let found = mark(home, inside, "bnsd authority of me.id");
            found.is_none().then_some(())
        });
        assert!(mark(home, inside, "bnsd authority of you.id").is_some());
    }
    drop(agent);
    fs::remove_dir_all(home.path().join(".mozilla")).unwrap();
    let undone = scene.run(&["tls", "uninstall-ca", "--user"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(contents(home.path()), before);
}

/// Its form below `bns.alt` is the chain's in any case, but a certificate would be for the legacy name too.
#[test]
fn a_name_that_is_the_legacy_trees_here_gets_no_certificate_by_its_alias() {
    let scene = Scene::in_mode("exact");
    for name in ["me.id", "you.id"] {
        scene.make_keys(name);
        scene.register(name);
    }
    make(&scene.home, CHROMIUM);
    let installed = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    let preferred = scene.world.run(&["prefer", "me.id", "legacy"]);
    assert_eq!(preferred.code, 0, "{preferred:?}");
    let _agent = start_agent(&scene);
    for name in ["me.id", "you.id"] {
        assert_eq!(scene.world.dig(&format!("{name}.bns.alt"), 1), (0, 1));
    }
    let has = |name: &str| {
        let nickname = format!("bnsd authority of {name}");
        mark(&scene.home, CHROMIUM, &nickname).is_some()
    };
    until("the certificate", || has("you.id").then_some(()));
    assert!(!has("me.id"));
}

#[test]
fn a_damaged_profile_keeps_no_certificate_from_the_others() {
    let scene = Scene::new();
    scene.make_keys("me.id");
    scene.register("me.id");
    make(&scene.home, CHROMIUM);
    let installed = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    fs::write(scene.home.folder(FIREFOX).join("cert9.db"), "text").unwrap();
    let agent = start_agent(&scene);
    const LATER: &str = ".mozilla/firefox/y.default";
    make(&scene.home, LATER);
    assert_eq!(scene.world.dig("me.id", 1), (0, 1));
    for inside in [CHROMIUM, LATER] {
        until("the certificate", || {
            mark(&scene.home, inside, "bnsd authority of me.id")
        });
    }
    until("the root", || mark(&scene.home, LATER, "bnsd root"));
    assert!(agent.stderr().contains(FIREFOX), "{}", agent.stderr());
}

/// What an earlier agent put there is known to the next one, and goes if the name was revoked meanwhile.
#[test]
fn an_agent_that_was_away_catches_up() {
    let scene = Scene::new();
    scene.make_keys("me.id");
    scene.register("me.id");
    make(&scene.home, CHROMIUM);
    let installed = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    let certificate = || mark(&scene.home, CHROMIUM, "bnsd authority of me.id");
    let agent = start_agent(&scene);
    assert_eq!(scene.world.dig("me.id", 1), (0, 1));
    until("the certificate", certificate);
    drop(agent);
    scene.owner().does(&["name", "revoke", "me.id"]);
    assert!(certificate().is_some(), "nobody was there");
    let _agent = start_agent(&scene);
    until("the certificate to go", || {
        certificate().is_none().then_some(())
    });
}

#[test]
fn a_home_without_browsers_has_nothing_left_of_it() {
    let scene = Scene::new();
    scene.root();
    let before = contents(scene.home.path());
    let installed = scene.run(&["--json", "tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    assert_eq!(
        mark(&scene.home, CHROMIUM, "bnsd root").as_deref(),
        Some("C,,")
    );
    let mode = scene.home.path().join(CHROMIUM).metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
    let again = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(again.code, 0, "{again:?}");
    let undone = scene.run(&["tls", "uninstall-ca", "--user"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(contents(scene.home.path()), before);
    let undone = scene.run(&["tls", "uninstall-ca", "--user"]);
    assert!(
        undone.code == 0 && undone.stdout.contains("nothing was installed"),
        "{undone:?}"
    );
}

#[test]
fn what_somebody_else_put_into_a_database_stays_there() {
    let scene = Scene::new();
    let home = &scene.home;
    make(home, CHROMIUM);
    let installed = scene.run(&["tls", "install-ca", "--user"]);
    assert_eq!(installed.code, 0, "{installed:?}");
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=other -out \"$HOME/other.pem\"";
    assert_eq!(ended(&mut home.command("sh", &["-ec", make])).code, 0);
    let other = home.path().join("other.pem").display().to_string();
    certutil(
        home,
        CHROMIUM,
        &["-A", "-n", "other", "-t", "CT,,", "-i", &other],
    );
    let undone = scene.run(&["tls", "uninstall-ca", "--user"]);
    assert!(
        undone.code == 0 && undone.stdout.contains("taken out of"),
        "{undone:?}"
    );
    assert_eq!(mark(home, CHROMIUM, "other").as_deref(), Some("CT,,"));
    assert_eq!(mark(home, CHROMIUM, "bnsd"), None);
}

#[test]
fn an_agent_without_the_root_or_certutil_says_what_to_do() {
    let scene = Scene::new();
    let refused = scene.run(&["tls", "agent"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("run `bnsd tls install-ca --user` first"),
        "{refused:?}"
    );
    let words = scene.words(&["tls", "install-ca", "--user"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = ended(scene.home.bnsd(&words).env("PATH", "/nonexistent"));
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.stderr.contains("apt install libnss3-tools"),
        "{refused:?}"
    );
}

/// The kernel says who asks; the file's mode lets everybody knock.
#[test]
fn only_listed_users_and_root_are_told_of_certificates() {
    const LISTED: u32 = 4_242;
    let home = Home::new();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
    open(home.path());
    let directory = home.folder("run");
    open(&directory);
    let control = directory.join("control.sock");
    let listed = LISTED.to_string();
    let mut daemon = serve(
        &home,
        &[
            ("BNSD_CONTROL_SOCKET", control.to_str().unwrap()),
            ("BNSD_TLS_USERS", &listed),
        ],
    );
    daemon.ready(&control);
    let socket = directory.join("trust.sock");
    let greeting = |user: u32| {
        let line = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))";
        let mut python = home.command("python3", &["-c", line, socket.to_str().unwrap()]);
        python.uid(user).gid(user);
        ended(&mut python).stdout
    };
    assert_eq!(greeting(LISTED).trim(), "b'{\"root\":\"'");
    assert_eq!(greeting(0).trim(), "b'{\"root\":\"'");
    assert_eq!(greeting(LISTED + 1).trim(), "b''");
    // Nonsense ends a conversation, and nothing else.
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"{\"ready\":{}}\nnonsense\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(greeting(LISTED).trim(), "b'{\"root\":\"'");
}
