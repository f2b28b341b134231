//! A registrar: records appear in its directory and get into force, whatever happens to the process.

use std::fs;
use std::process::{Child, Stdio};

use super::{A, NOERROR, carrier, files, place, until, zone};
use crate::common::person::{Person, World};

/// A registrar of `foo.id`, ended at the latest when the test is.
struct Registrar<'w> {
    world: &'w World,
    process: Child,
}

impl<'w> Registrar<'w> {
    fn start(world: &'w World, more: &[&str]) -> Self {
        Self::start_every(world, "1", more)
    }

    fn start_every(world: &'w World, seconds: &str, more: &[&str]) -> Self {
        let (dir, log) = (place(world, "records"), world.path("registrar.log"));
        let line = [
            "registrar",
            "foo.id",
            "--every",
            seconds,
            "--dir",
            &dir,
            "--yes",
        ];
        let said = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let process = world
            .question("alice", &[&line[..], more].concat())
            .stdout(said)
            .stderr(Stdio::from(
                fs::File::create(world.path("registrar.err")).unwrap(),
            ))
            .spawn()
            .unwrap();
        Self { world, process }
    }

    /// What it printed, over all runs.
    fn said(&self) -> String {
        fs::read_to_string(self.world.path("registrar.log")).unwrap()
    }

    fn logged(&self) -> String {
        fs::read_to_string(self.world.path("registrar.err")).unwrap()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Ends it by SIGTERM; it has to end well.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status();
        assert!(sent.unwrap().success());
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.logged());
    }
}

impl Drop for Registrar<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

/// Puts the record of a new subdomain where the registrar looks.
fn wishes(person: &Person<'_>, label: &str) {
    let name = format!("{label}.foo.id");
    let zone = zone(person, &name, "one");
    let file = place(person.world, &format!("records/{label}"));
    let new = [
        "subdomain",
        "new",
        &name,
        "--zonefile",
        &zone,
        "--offline",
        "--out",
        &file,
    ];
    person.does(&[&new[..], &["--owner", &person.address()]].concat());
}

fn in_force(world: &World) -> Vec<String> {
    files(world.path("records/done"))
}

fn operations(world: &World) -> usize {
    world.name("foo.id")["history"].as_array().unwrap().len()
}

#[test]
fn batches_are_published_and_a_kill_loses_nothing() {
    let world = World::embedded();
    let alice = carrier(&world);
    let registrar = Registrar::start(&world, &[]);
    until("it has its folders", || {
        world.path("records/refused").exists()
    });
    for label in ["a", "b"] {
        wishes(&alice, label);
    }
    until("the first are in force", || in_force(&world).len() == 2);
    assert_eq!(world.dig("b.foo.id", A), (NOERROR, 1));

    // Killed when the update is sent and in no block.
    world.run(&["tx", "mine", "0", "--manual"]);
    let waiting = || world.run(&["--json", "tx", "mine", "0"]).json()["waiting"].as_u64();
    for label in ["c", "d", "e"] {
        wishes(&alice, label);
    }
    until("an update waits", || waiting() == Some(1));
    registrar.kill();
    let before = files(world.path("records/publishing"));
    assert!(!before.is_empty());

    // It goes on with the same update, and the block may come while nobody runs.
    let registrar = Registrar::start(&world, &[]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    registrar.kill();
    assert_eq!(waiting(), Some(1), "the update was sent twice");
    world.run(&["tx", "mine", "1", "--automatic"]);
    let registrar = Registrar::start(&world, &["--json"]);
    until("all are in force", || in_force(&world).len() == 5);
    assert_eq!(in_force(&world), ["a", "b", "c", "d", "e"]);
    assert_eq!(world.dig("e.foo.id", A), (NOERROR, 1));
    until("all is told", || registrar.said().contains("\"satoshi\":"));
    registrar.stop();

    // Each record was announced once.
    let hashes = world.name("foo.id")["history"].clone();
    let updates = hashes.as_array().unwrap().iter().skip(1);
    let mut hashes: Vec<_> = updates
        .map(|event| event["zonefile_hash"].clone())
        .collect();
    let count = hashes.len();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
    assert!(count <= 5, "{count} updates for five records");
    assert_eq!(files(world.path("records/publishing")), [""; 0]);
    for label in ["a", "b", "c", "d", "e"] {
        let shown = super::shown(&world, &format!("{label}.foo.id"));
        assert_eq!(shown["record_count"], 1, "{label} was announced twice");
    }
    let said = fs::read_to_string(world.path("registrar.log")).unwrap();
    assert!(
        said.contains("in force since block") && said.contains("satoshi)"),
        "{said}"
    );
}

#[test]
fn what_the_rules_refuse_is_put_aside_with_its_reason() {
    let world = World::embedded();
    let alice = carrier(&world);
    fs::create_dir(world.path("records")).unwrap();
    wishes(&alice, "a");
    let text = fs::read_to_string(world.path("records/a")).unwrap();
    let other = text.replace("$ORIGIN foo.id", "$ORIGIN bar.id");
    fs::write(world.path("records/other"), other).unwrap();
    fs::write(world.path("records/letter"), "Dear registrar\n").unwrap();
    fs::write(world.path("records/large"), "x".repeat(50_000)).unwrap();
    let changed = text.replace("seqn=0", "seqn=4");
    fs::write(world.path("records/changed"), changed).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.path("records/link")).unwrap();
    let registrar = Registrar::start(&world, &[]);
    until("the good one is in force", || in_force(&world) == ["a"]);
    until("the others are refused", || {
        files(world.path("records/refused")).len() == 8
    });
    registrar.stop();
    for (name, reason) in [
        ("other", "it has to say \"$ORIGIN foo.id\""),
        ("letter", "no record"),
        ("large", "more than 40960 bytes"),
        ("changed", "seqn"),
    ] {
        let path = world.path("records/refused").join(format!("{name}.reason"));
        let said = fs::read_to_string(&path).unwrap();
        assert!(said.contains(reason), "{name}: {said}");
    }
    assert!(world.path("records/link").is_symlink());
    assert_eq!(operations(&world), 2);
}

/// What nobody has may hold another first record, so that none is made and none refused.
#[test]
fn while_a_zone_file_of_the_name_is_missing_records_wait() {
    let world = World::embedded();
    let alice = carrier(&world);
    alice.does(&["name", "update", "foo.id", "--hash", &"5a".repeat(20)]);
    let text = "$ORIGIN foo.id\n$TTL 3600\n@ A 192.0.2.1\n";
    let base = alice.writes("again.zone", text);
    alice.does(&["name", "update", "foo.id", "--zonefile", &base]);
    let missing = || {
        let shown = world.run(&["--json", "subdomain", "show", "a.foo.id"]);
        shown.json()["missing"].clone()
    };
    until("it is missing", || missing().as_array().unwrap().len() == 1);
    let row = missing()[0].to_string();
    let lost = format!("_missing TXT \"{row}\"");
    fs::create_dir(world.path("records")).unwrap();
    wishes(&alice, "a");
    let (file, zone) = (place(&world, "records/a"), zone(&alice, "a.foo.id", "one"));
    alice.cannot(
        &["subdomain", "new", "a.foo.id", "--zonefile", &zone],
        &lost,
    );
    let out = place(&world, "packed.zone");
    let pack = ["subdomain", "pack", "foo.id", &file, "--out", &out];
    alice.cannot(&pack, &lost);
    let first = fs::read_to_string(&file).unwrap();
    fs::write(
        world.path("records/late"),
        first.replace("seqn=0", "seqn=4"),
    )
    .unwrap();

    let registrar = Registrar::start(&world, &[]);
    until("it says so", || registrar.logged().contains(&lost));
    registrar.stop();
    assert_eq!(files(world.path("records/refused")), [""; 0]);
    assert_eq!(operations(&world), 3);

    let declared = alice.writes("declared.zone", &format!("{text}{lost}\n"));
    alice.does(&["name", "update", "foo.id", "--zonefile", &declared]);
    let registrar = Registrar::start(&world, &[]);
    until("the new one is in force", || in_force(&world) == ["a"]);
    until("the other is refused", || {
        files(world.path("records/refused")) == ["late", "late.reason"]
    });
    registrar.stop();
}

/// A pause between updates is not cut short by a restart.
#[test]
fn a_registrar_that_starts_again_waits_for_the_rest_of_the_pause() {
    let world = World::embedded();
    let alice = carrier(&world);
    fs::create_dir(world.path("records")).unwrap();
    wishes(&alice, "a");
    let registrar = Registrar::start(&world, &[]);
    until("the first is in force", || in_force(&world) == ["a"]);
    until("it is told", || registrar.said().contains("in force"));
    registrar.kill();
    wishes(&alice, "b");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let registrar = Registrar::start_every(&world, "3600", &[]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    registrar.stop();
    assert_eq!((in_force(&world).len(), operations(&world)), (1, 2));
}

#[test]
fn an_update_that_costs_too_much_waits() {
    let world = World::embedded();
    let alice = carrier(&world);
    fs::create_dir(world.path("records")).unwrap();
    wishes(&alice, "a");
    let registrar = Registrar::start(&world, &["--max-fee", "10"]);
    until("it says so", || {
        registrar
            .logged()
            .contains("which is more than --max-fee 10")
    });
    let second = world.question("alice", &["registrar", "foo.id", "--every", "1", "--yes"]);
    let mut second = second;
    let output = second
        .arg("--dir")
        .arg(world.path("records"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another registrar works on"), "{said}");
    registrar.stop();
    assert_eq!(operations(&world), 1);
    let bob = world.person("bob");
    let dir = place(&world, "bobs");
    bob.cannot(
        &[
            "registrar",
            "foo.id",
            "--every",
            "1",
            "--dir",
            &dir,
            "--yes",
        ],
        "no key here is the owner",
    );
    let agreed = alice.asks(&["registrar", "foo.id", "--every", "1", "--dir", &dir]);
    assert_eq!(agreed.code, 2, "{agreed:?}");

    // When it is paid for, the same record is published.
    let registrar = Registrar::start(&world, &["--max-fee", "20000"]);
    until("it is in force", || in_force(&world) == ["a"]);
    registrar.stop();
    assert_eq!(operations(&world), 2);
}
