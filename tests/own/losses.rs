//! The ways to lose coins, each tried through the binary: what the program says, and what it cost.
//!
//! `cargo test --test main losses -- --nocapture` prints the table.

mod names;
mod namespaces;
mod sales;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Person, World};
use crate::common::person::Ran;

/// How few ways would be too few.
const LEAST: usize = 30;

/// A way to lose coins that was tried.
struct Row {
    way: &'static str,
    command: String,
    code: i32,
    said: String,
    cost: u64,
    /// What should have been otherwise.
    wrong: Vec<String>,
}

/// What was tried in one world.
struct Losses<'w> {
    world: &'w World,
    rows: Vec<Row>,
}

#[test]
fn nobody_pays_for_what_cannot_work() {
    let parts = [
        names::rows as fn() -> Vec<Row>,
        namespaces::rows,
        sales::rows,
    ];
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running = parts.map(|part| scope.spawn(part));
        let done = running
            .into_iter()
            .map(|part| part.join().unwrap_or_default());
        done.flatten().collect()
    });
    for row in &rows {
        let Row {
            way,
            command,
            code,
            said,
            cost,
            wrong: _,
        } = row;
        let said = said.replace('\n', " ");
        println!("| {way} | `bnsd {command}` | {said} | {code} | {cost} |");
    }
    let wrong: Vec<_> = rows.iter().flat_map(|row| &row.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rows.len() >= LEAST, "{} ways", rows.len());
}

impl<'w> Losses<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            world,
            rows: Vec::new(),
        }
    }

    /// Tries something that is agreed to and refused all the same: with this exit code, for this reason, at no cost.
    fn refused(
        &mut self,
        way: &'static str,
        person: &Person<'_>,
        arguments: &[&str],
        code: i32,
        why: &str,
    ) {
        let before = wealth(self.world);
        let ran = person.tries(arguments);
        self.take(way, arguments, &ran, (code, why), &before, 0);
    }

    /// Tries something that is a question: nobody answers it, so it costs nothing.
    fn asked(&mut self, way: &'static str, person: &Person<'_>, arguments: &[&str], why: &str) {
        let before = wealth(self.world);
        let ran = person.asks(arguments);
        self.take(way, arguments, &ran, (2, why), &before, 0);
        if let (false, Some(row)) = (ran.stderr.contains("add --yes"), self.rows.last_mut()) {
            row.wrong.push(format!("{way} is no question: {ran:?}"));
        }
    }

    /// Does something that costs so many satoshi at most, once.
    fn costs(&mut self, way: &'static str, person: &Person<'_>, arguments: &[&str], most: u64) {
        let before = wealth(self.world);
        let ran = person.tries(arguments);
        self.take(way, arguments, &ran, (0, ""), &before, most);
    }

    fn take(
        &mut self,
        way: &'static str,
        arguments: &[&str],
        ran: &Ran,
        (code, why): (i32, &str),
        before: &BTreeMap<String, u64>,
        most: u64,
    ) {
        let mut wrong = Vec::new();
        if ran.code != code || !ran.stderr.contains(why) {
            wrong.push(format!("{way}: not {code} with {why:?}: {ran:?}"));
        }
        let after = wealth(self.world);
        let total = |wealth: &BTreeMap<String, u64>| wealth.values().sum::<u64>();
        let cost = total(before).abs_diff(total(&after));
        if cost > most || most == 0 && *before != after {
            wrong.push(format!("{way} cost {cost}: {ran:?}"));
        }
        let said = match code {
            0 => ran.stdout.lines().next(),
            _ => ran.stderr.split_once("error: ").map(|(_, said)| said),
        };
        let said = match why {
            "" => said.unwrap_or_default(),
            why => ran
                .stderr
                .lines()
                .find(|line| line.contains(why))
                .unwrap_or(why),
        };
        self.rows.push(Row {
            way,
            command: self.shown(arguments),
            code,
            said: self.readable(said.trim()),
            cost,
            wrong,
        });
    }

    /// The command with files as their names.
    fn shown(&self, arguments: &[&str]) -> String {
        self.readable(&arguments.join(" "))
    }

    fn readable(&self, text: &str) -> String {
        let directory = format!("{}/", self.world.directory.path().display());
        text.replace(&directory, "")
    }
}

/// What everybody has, by address.
fn wealth(world: &World) -> BTreeMap<String, u64> {
    let mut wealth = BTreeMap::new();
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let entry = entry.unwrap();
        if !entry.path().join("me.json").exists() {
            continue;
        }
        let person = Person {
            world,
            name: entry.file_name().into_string().unwrap(),
        };
        for address in addresses(&person) {
            let worth = world.worth(std::slice::from_ref(&address));
            wealth.insert(address, worth);
        }
    }
    wealth
}

/// The first addresses of all keys of somebody.
fn addresses(person: &Person<'_>) -> Vec<String> {
    let keys = person.does(&["keys", "list", "--addresses", "2"]);
    let keys = keys.as_array().unwrap().iter();
    let listed = keys.flat_map(|key| key["addresses"].as_array().unwrap());
    let text = |address: &Value| address["address"].as_str().unwrap().to_owned();
    listed.map(text).collect()
}
