//! How fast operations are decided: in memory over a whole chain and one kind at a time at 10,000 and at 1,000,000 names,
//! and into a database. `cargo bench --bench engine`; with `-- small` at a hundredth of the size, with `-- database` only
//! into a database, with a number for so many names, with a second one only with so many blocks a commit.

#![allow(missing_docs, reason = "a program that prints a table")]

#[path = "engine/database.rs"]
mod database;
mod generated;
mod processor;

use std::time::Duration;

use bnsd::bns::Name;
use bnsd::virtualchain::VirtualTransaction;
use database::Database;
use generated::{Generated, NAMES_PER_OWNER, Owner};
use processor::processor_time;

/// Operations of a block: about what fits if a block holds little else.
const PER_BLOCK: usize = 1_000;
/// Operations measured of each kind.
const SAMPLE: usize = 10_000;

fn main() {
    let small = std::env::args().any(|argument| argument == "small");
    let scale = if small { 100 } else { 1 };
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let names = numbers.next().unwrap_or(100_000 / scale);
    match numbers.next() {
        Some(run) => into_a_database(names, &[run]),
        None => into_a_database(names, &[1, 4, 16]),
    }
    if std::env::args().any(|argument| argument == "database") {
        return;
    }
    whole_chain(100_000 / scale);
    let few = costs(10_000 / scale.min(10));
    let many = costs(1_000_000 / scale);
    println!(
        "\n{:<14}{:>14}{:>14}{:>8}",
        "operation", "few names", "many names", "ratio"
    );
    for ((kind, few), (_, many)) in few.iter().zip(&many) {
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{kind:<14}{few:>14.2?}{many:>14.2?}{ratio:>8.2}");
    }
    println!("\npeak memory {}", peak_memory());
}

/// A chain with four operations a name, committed block by block and in runs, as while an index is far behind.
fn into_a_database(names: usize, runs: &[usize]) {
    println!("processor time of an operation, us, {names} names, {PER_BLOCK} operations a block");
    for &run in runs {
        let mut owned = Owned {
            database: Some(Database::new(run)),
            ..Owned::new()
        };
        owned.register(names);
        owned.each(names, Generated::update);
        owned.each(names, Generated::renewal);
        if let Some(database) = owned.database {
            let (spent, sizes) = database.finish();
            println!("    {run:>2} blocks a commit: {spent}");
            println!("       {sizes}");
        }
    }
}

/// A chain with ten operations a name: how many a second.
fn whole_chain(names: usize) {
    let mut owned = Owned::new();
    let mut time = owned.register(names);
    for round in 0..8 {
        let make = match round % 4 {
            0 | 2 => Generated::update,
            _ => Generated::renewal,
        };
        time += owned.each(names, make);
    }
    let count = names * 10;
    let rate = count as f64 / time.as_secs_f64();
    println!("{names} names, {count} operations: {time:.2?}, {rate:.0} operations/s");
}

/// Processor time of one operation of each kind once there are `names` names.
fn costs(names: usize) -> Vec<(&'static str, Duration)> {
    let mut owned = Owned::new();
    owned.register(names);
    let sample = SAMPLE.min(names);
    let mut table = vec![
        ("update", owned.each(sample, Generated::update)),
        ("renewal", owned.each(sample, Generated::renewal)),
    ];
    table.push(("transfer", owned.transfer(sample)));
    let (preorder, registration) = owned.register_more(sample);
    table.push(("preorder", preorder));
    table.push(("registration", registration));
    let each = |(kind, time): (&'static str, Duration)| (kind, time / sample as u32);
    table.into_iter().map(each).collect()
}

/// A chain whose owners hold [`NAMES_PER_OWNER`] names each.
struct Owned {
    chain: Generated,
    owners: Vec<Owner>,
    names: Vec<Name>,
    /// Where the blocks go besides.
    database: Option<Database>,
}

impl Owned {
    fn new() -> Self {
        Self {
            chain: Generated::new(),
            owners: Vec::new(),
            names: Vec::new(),
            database: None,
        }
    }

    fn register(&mut self, count: usize) -> Duration {
        let (preorders, registrations) = self.register_more(count);
        preorders + registrations
    }

    /// Preorders and registers the next names; the time that each took.
    fn register_more(&mut self, count: usize) -> (Duration, Duration) {
        let first = self.names.len();
        for number in first..first + count {
            let name = format!("name{number}.test");
            self.names.push(name.parse().expect("a name"));
            if number / NAMES_PER_OWNER >= self.owners.len() {
                self.owners.push(Owner::new(self.owners.len()));
            }
        }
        let numbers: Vec<usize> = (first..first + count).collect();
        let (mut preorders, mut registrations) = (Duration::ZERO, Duration::ZERO);
        for numbers in numbers.chunks(PER_BLOCK) {
            preorders += self.block(numbers, Generated::preorder);
            registrations += self.block(numbers, Generated::registration);
        }
        (preorders, registrations)
    }

    /// An operation on each of `count` names that lie evenly among all.
    fn each(&mut self, count: usize, make: Make) -> Duration {
        let step = self.names.len() / count;
        let numbers: Vec<usize> = (0..count).map(|number| number * step).collect();
        let blocks = numbers.chunks(PER_BLOCK);
        blocks.map(|numbers| self.block(numbers, make)).sum()
    }

    fn block(&mut self, numbers: &[usize], make: Make) -> Duration {
        let mut candidates = Vec::new();
        for &number in numbers {
            let owner = &self.owners[number / NAMES_PER_OWNER];
            candidates.push(make(&mut self.chain, &self.names[number], owner));
        }
        self.connect(candidates)
    }

    /// Moves names to new owners, which then own nothing else; they are not used afterwards.
    fn transfer(&mut self, count: usize) -> Duration {
        let step = self.names.len() / count;
        let mut time = Duration::ZERO;
        for block in 0..count.div_ceil(PER_BLOCK) {
            let mut candidates = Vec::new();
            let numbers = block * PER_BLOCK..count.min((block + 1) * PER_BLOCK);
            for number in numbers.map(|number| number * step) {
                let owner = &self.owners[number / NAMES_PER_OWNER];
                let to = Owner::new(10_000_000 + number);
                candidates.push(self.chain.transfer(&self.names[number], owner, &to));
            }
            time += self.connect(candidates);
        }
        time
    }

    fn connect(&mut self, mut candidates: Vec<VirtualTransaction>) -> Duration {
        for (vtxindex, candidate) in (1..).zip(&mut candidates) {
            candidate.vtxindex = vtxindex;
        }
        let start = processor_time();
        self.chain.connect(&candidates);
        let time = processor_time() - start;
        if let Some(database) = &mut self.database {
            database.push(candidates);
        }
        time
    }
}

type Make = fn(&mut Generated, &Name, &Owner) -> VirtualTransaction;

/// The most memory that this process held, as the kernel says.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}
