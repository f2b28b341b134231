//! A disk that refuses a call of a command that pays, each in turn: nothing is paid twice, and the command goes on when
//! it is run again.

use std::path::PathBuf;

use super::{Person, World, opens};
use crate::common::fault::{self, Disk, Refusal};
use crate::common::form::form;
use crate::common::home::Home;

/// By how much a registration may cost more than another, in satoshi: signatures differ in length. A second preorder of one
/// of them would cost 2,500 and more.
const TOLERANCE: u64 = 40;
/// What the import of a name costs at most: a transaction, and its part of the one that pays for a batch.
const IMPORT_COST: u64 = 9_000;
/// Names that an address can hold.
const NAMES_MAX: u32 = 25;
/// What an address gets, in satoshi.
const GIFT: u64 = 1_000_000;

/// Of so many calls one is refused; every one with `BNSD_TEST_FORM=release`.
fn stride() -> usize {
    form(4, 1)
}

/// A person whose keys and journal lie on a disk that refuses.
struct Victim<'w> {
    person: &'w Person<'w>,
    library: PathBuf,
    disk: Disk,
}

impl Victim<'_> {
    /// Runs a command with one call refused; whether there were as many.
    fn is_refused(&self, call: usize, arguments: &[&str]) -> bool {
        let Person { world, name } = self.person;
        let told = world.path("told");
        let _ = std::fs::remove_file(&told);
        let refusal = Refusal {
            library: &self.library,
            below: &world.path(name),
            call,
            disk: self.disk,
            told: &told,
        };
        let mut command = world.command(name, arguments);
        let output = command.envs(refusal.environment()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            matches!(output.status.code(), Some(0 | 3)) && !stderr.contains("panicked"),
            "call {call}: {} {stderr}",
            output.status
        );
        told.exists()
    }
}

#[test]
fn a_disk_that_refuses_costs_no_registration_twice() {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let home = Home::new();
    let mut refused = 0;
    for (name, disk) in [("alice", Disk::Bad), ("bob", Disk::Full)] {
        let person = &world.person(name);
        let victim = Victim {
            person,
            library: fault::library(&home),
            disk,
        };
        let keys = person.does(&["keys", "list", "--addresses", "9"]);
        let mut addresses = Vec::new();
        let (mut names, mut cost) = (0, 0);
        for call in (0..).step_by(stride()) {
            let index = names / NAMES_MAX;
            if names % NAMES_MAX == 0 {
                let address = keys[0]["addresses"][index as usize]["address"].as_str();
                addresses.push(address.unwrap().to_owned());
                let gift = GIFT.to_string();
                person.does(&["tx", "faucet", &addresses[index as usize], &gift]);
            }
            let (wanted, key) = (format!("{name}-{call:02}.id"), format!("me/{index}"));
            let register = ["name", "register", &wanted, "--key", &key];
            let is_refused = victim.is_refused(call, &register);
            names += 1;
            if call == 0 {
                cost = GIFT - world.worth(&addresses); // nothing was refused
                continue;
            }
            let again = person.tries(&register);
            let is_finished = again.stderr.contains("is yours already");
            assert!(again.code == 0 || is_finished, "call {call}: {again:?}");
            let shown = world.name(&wanted);
            assert_eq!(shown["history"].as_array().unwrap().len(), 1, "{wanted}");
            if !is_refused {
                break;
            }
            refused += 1;
        }
        let spent = GIFT * addresses.len() as u64 - world.worth(&addresses);
        let most = (cost + TOLERANCE) * u64::from(names);
        assert!(spent < most, "{spent} satoshi for {names} names");
        assert_eq!(person.does(&["name", "pending"]), serde_json::json!([]));
    }
    let status = world.run(&["--json", "status"]).json();
    assert_eq!(status["preorders"], 0, "a preorder was paid twice");
    println!("{refused} calls refused: nothing paid twice");
    assert!(refused * stride() >= 50, "{refused}");
}

#[test]
fn a_disk_that_refuses_costs_no_import_twice() {
    let world = World::embedded();
    let registry = &world.person("registry");
    registry.gets(20_000_000_000);
    registry.does(&["namespace", "preorder", "town"]);
    registry.does(&["namespace", "reveal", "town"]);
    let owner = registry.address();
    let home = Home::new();
    let victim = Victim {
        person: registry,
        library: fault::library(&home),
        disk: Disk::Bad,
    };
    let before = world.worth(std::slice::from_ref(&owner));
    let mut names = 0;
    for call in (1..).step_by(stride()) {
        let wanted = [1, 2, 3].map(|number| format!("house-{call}-{number}.town"));
        let lines = wanted
            .each_ref()
            .map(|name| format!("{name},{owner},{names:040x}\n"));
        let list = registry.writes(&format!("{call}.csv"), &lines.concat());
        let import = ["namespace", "import", "town", &list];
        let is_refused = victim.is_refused(call, &import);
        registry.does(&import);
        for name in &wanted {
            let shown = world.name(name);
            assert_eq!(shown["history"].as_array().unwrap().len(), 1, "{name}");
        }
        names += wanted.len() as u64;
        if !is_refused {
            println!("{call} calls, some refused: nothing imported twice");
            assert!(call > 10);
            break;
        }
    }
    let spent = before - world.worth(&[owner]);
    assert!(spent < IMPORT_COST * names, "{spent} satoshi");
}
