//! `register`, killed at random moments until it has done its work: 50 times in every run of the tests, 1,000 times
//! by `tests/release/kills.rs`.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Person, World, opens};

/// Names of one address; it could hold 25.
const NAMES: u32 = 20;
/// Addresses of one key; 40 are searched.
const ADDRESSES: u32 = 20;
/// What an address gets for each name, in satoshi.
const GIFT: u64 = 100_000;
/// What a name costs at most: 625 satoshi are burnt for it, and two transactions cost less than 3,000 together. A
/// third, or another burn, would show.
const COST: u64 = 4_000;

/// Kills `register` so often, at moments that follow from `seed`, and panics if anything was lost or paid twice.
pub fn campaign(kills: u32, seed: u64) {
    let world = World::embedded();
    opens(&world.person("registry"), "id", 52_595);
    let alice = world.person("alice");
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut run = Run {
        world: &world,
        alice: &alice,
        names: 0,
        addresses: BTreeSet::new(),
        whole: Duration::ZERO,
    };
    let mut killed = 0;
    while killed < kills {
        if run.names.is_multiple_of(10) {
            run.undisturbed();
        }
        killed += run.next(&mut random);
        if run.names.is_multiple_of(50) {
            eprintln!("{killed} kills, {} names", run.names);
        }
    }
    run.check();
}

struct Random(u64);

impl Random {
    /// A time below `most` (xorshift, Marsaglia 2003).
    fn below(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let most = u64::try_from(most.as_micros()).unwrap().max(1);
        Duration::from_micros(self.0 % most)
    }
}

struct Run<'w> {
    world: &'w World,
    alice: &'w Person<'w>,
    names: u32,
    addresses: BTreeSet<String>,
    /// How long a registration takes, as of late: on a machine with other work that changes.
    whole: Duration,
}

impl Run<'_> {
    /// A registration that nobody kills, to see how long it takes.
    fn undisturbed(&mut self) {
        let (name, key) = self.prepare();
        let start = Instant::now();
        let ended = self.start(&name, &key).wait().unwrap();
        assert!(ended.success());
        self.whole = start.elapsed();
    }

    /// Registers one more name, killing the program at a random moment each time; how often it was killed.
    fn next(&mut self, random: &mut Random) -> u32 {
        let (name, key) = self.prepare();
        // A little more than it takes: opening the key takes most of the time, and what matters comes after it.
        let most = self.whole + self.whole / 4;
        let mut kills = 0;
        while !self.ends_within(&name, &key, random.below(most)) {
            kills += 1;
        }
        let shown = self.world.name(&name);
        assert_eq!(shown["history"].as_array().unwrap().len(), 1, "{name}");
        assert_eq!(shown["owner"], self.address(&key), "{name}");
        kills
    }

    /// A name and the key for it, with some coins.
    fn prepare(&mut self) -> (String, String) {
        let number = self.names;
        self.names += 1;
        let (file, index) = (number / (NAMES * ADDRESSES), number / NAMES % ADDRESSES);
        if number.is_multiple_of(NAMES * ADDRESSES) {
            self.alice.does(&["keys", "new", &format!("k{file}")]);
        }
        let key = format!("k{file}/{index}");
        let address = self.address(&key);
        self.alice
            .does(&["tx", "faucet", &address, &GIFT.to_string()]);
        self.addresses.insert(address);
        (format!("nameno{number}.id"), key)
    }

    /// The address of a key like `k0/7`.
    fn address(&self, key: &str) -> String {
        let (file, index) = key.split_once('/').unwrap();
        let index: usize = index.parse().unwrap();
        let most = ADDRESSES.to_string();
        let keys = self.alice.does(&["keys", "list", "--addresses", &most]);
        let mut files = keys.as_array().unwrap().iter();
        let file = files.find(|known| known["name"] == file).unwrap();
        file["addresses"][index]["address"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn start(&self, name: &str, key: &str) -> Child {
        self.world
            .command("alice", &["name", "register", name, "--key", key])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Whether the program ends by itself before it is killed. If it had done its work by then, the next one finds
    /// nothing left to do but to say so.
    fn ends_within(&self, name: &str, key: &str, patience: Duration) -> bool {
        let mut running = self.start(name, key);
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = running.try_wait().unwrap() {
                assert!(status.success(), "{name}: {status}");
                return true;
            }
            if Instant::now() > end {
                running.kill().unwrap();
                running.wait().unwrap();
                return self.is_finished(name);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// It was killed between the end of its work and its own.
    fn is_finished(&self, name: &str) -> bool {
        let pending = self.alice.does(&["name", "pending"]);
        let is_pending = |task: &serde_json::Value| task["subject"] == name;
        self.world.name(name)["state"] == "registered"
            && !pending.as_array().unwrap().iter().any(is_pending)
    }

    fn check(&self) {
        let names = u64::from(self.names);
        let addresses: Vec<String> = self.addresses.iter().cloned().collect();
        let spent = GIFT * names - self.world.worth(&addresses);
        assert!(
            spent < COST * names,
            "{spent} satoshi for {names} names: something was paid twice"
        );
        let status = self.world.run(&["--json", "status"]).json();
        assert_eq!(status["preorders"], 0, "a preorder was lost or paid twice");
        assert_eq!(status["names"], names);
        assert_eq!(self.alice.does(&["name", "pending"]), serde_json::json!([]));
    }
}
