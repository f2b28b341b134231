//! The networks, the daemons and the liars.
//!
//! The owner's daemon runs beside the bridge, with Bitcoin Core; the nine others and the liars each have a network of their
//! own, whose only way out leads over the bridge. Each has an address of another /16.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bnsd::hash::ZonefileHash;

use crate::common::home::{Home, ended};
use crate::common::person::{Person, World};
use crate::common::ports::free_address;
use crate::common::process::{Process, until};
use crate::common::regtest::Regtest;
use crate::common::segments;

/// Daemons, the owner's included, which has number 0.
pub const MEMBERS: usize = 10;
/// The first liar's number.
const FIRST_LIAR: usize = 11;
/// What the liars do, as the script calls it.
const LIES: [&str; 3] = ["wrong-bytes", "endless-inventory", "slow-read"];
/// The owner's address on the bridge.
const OWNER: &str = "10.100.0.1";
/// Where daemons are asked for names, each in its own network.
const DNS_PORT: &str = "5300";

/// A bridge, and a network with a way to it for each number.
const MAKE: &str = r#"
mount --make-rprivate /
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add lan type bridge
ip address add 10.100.0.1/8 dev lan
ip link set lan up
for n; do
    ip netns add "n$n"
    ip link add "v$n" type veth peer name eth0 netns "n$n"
    ip link set "v$n" master lan up
    ip -n "n$n" link set lo up
    ip -n "n$n" address add "10.$n.0.1/8" dev eth0
    ip -n "n$n" link set eth0 up
done
"#;

/// The daemons and what they stand in.
pub struct Lab {
    home: Home,
    regtest: Regtest,
    owner: World,
    members: BTreeMap<usize, Process>,
    liars: Vec<Process>,
    /// Every name with a zone file, and the address in it.
    names: BTreeMap<String, String>,
}

impl Lab {
    pub fn new() -> Self {
        let home = Home::new();
        let liars = (FIRST_LIAR..).take(LIES.len());
        let numbers: Vec<String> = (1..MEMBERS).chain(liars).map(|n| n.to_string()).collect();
        let words: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let made = ended(&mut home.command("sh", &[&["-ec", MAKE, "sh"], &words[..]].concat()));
        assert_eq!(made.code, 0, "{made:?}");
        let nft = ended(&mut home.command("nft", &["list", "ruleset"]));
        assert_eq!(
            nft.code, 0,
            "the package nftables is missing: run tests/run"
        );
        let reach = ["127.0.0.1", OWNER].map(|address| format!("-rpcbind={address}"));
        let allow = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| format!("-rpcallowip={network}"));
        let arguments: Vec<&str> = reach.iter().chain(&allow).map(String::as_str).collect();
        let regtest = Regtest::start_with(&home.folder("node"), &arguments);
        let lines = regtest.followed() + &atlas(0) + "[namespaces]\nid = \"only\"\n";
        let owner = World::start_at(free_address().port(), "127.0.0.1:9", &lines);
        Self {
            home,
            regtest,
            owner,
            members: BTreeMap::new(),
            liars: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    fn person(&self) -> Person<'_> {
        self.owner.person("owner")
    }

    /// Opens `id` with as many imported names, whose files the owner's daemon has.
    pub fn open_namespace(&mut self, names: usize) {
        self.names = (1..=names)
            .map(|n| (format!("n{n}.id"), format!("192.0.2.{n}")))
            .collect();
        let folder = self.home.folder("zones");
        for (name, address) in &self.names {
            let path = folder.join(format!("{name}.zone"));
            fs::write(path, zone(name, address)).unwrap();
        }
        let owner = self.person();
        self.regtest.fund(&self.owner, &owner.address());
        owner.does(&["namespace", "preorder", "id"]);
        owner.does(&["namespace", "reveal", "id"]);
        owner.does(&["namespace", "import", "id", &folder.display().to_string()]);
        owner.does(&["namespace", "ready", "id"]);
    }

    /// Starts the liars, who repeat what the owner's daemon says of itself, and all members.
    pub fn start_members(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/atlas_world/liar.py");
        for (number, lie) in (FIRST_LIAR..).zip(LIES) {
            let (script, address) = (script.display().to_string(), format!("10.{number}.0.1"));
            let command = self.inside(number, &["python3", &script, lie, &address, OWNER]);
            self.liars.push(Process::start(&self.home, command));
        }
        self.start(&(1..MEMBERS).collect::<Vec<_>>());
    }

    pub fn start(&mut self, members: &[usize]) {
        for member in members {
            let data = self.home.folder(&format!("m{member}"));
            let chain = self.regtest.followed().replace("127.0.0.1", OWNER);
            let text = format!(
                "data-dir = \"{}\"\nlisten = [\"127.0.0.1:{DNS_PORT}\"]\n{chain}{}[namespaces]\nid = \"only\"\n[dns]\nupstreams = [\"127.0.0.1:9\"]\n",
                data.display(),
                atlas(*member)
            );
            let file = self.home.path().join(format!("m{member}.toml"));
            fs::write(&file, text).unwrap();
            let bnsd = env!("CARGO_BIN_EXE_bnsd");
            let command = self.inside(
                *member,
                &[bnsd, "serve", "--config", &file.display().to_string()],
            );
            self.members
                .insert(*member, Process::start(&self.home, command));
        }
    }

    /// Ends members as a loss of power does.
    pub fn kill(&mut self, members: &[usize]) {
        for member in members {
            self.members.remove(member); // dropped, it is killed
        }
    }

    /// Everybody but one loses the archive and starts again.
    pub fn lose_archives_but(&mut self, survivor: usize) {
        let lost: Vec<_> = (1..MEMBERS).filter(|member| *member != survivor).collect();
        self.kill(&lost);
        self.owner.stop_daemon();
        for member in lost.iter().chain(&[0]) {
            fs::remove_dir_all(self.archive(*member)).unwrap();
        }
        self.start(&lost);
        self.owner.run_daemon();
    }

    /// Gives a new name a zone file, at the owner's daemon.
    pub fn publish(&mut self, label: &str) {
        let (name, address) = (format!("{label}.id"), "198.51.100.7".to_owned());
        let file = self.person().writes("zone", &zone(&name, &address));
        self.person()
            .does(&["name", "register", &name, "--zonefile", &file]);
        self.names.insert(name, address);
    }

    /// Members that hear nothing of the others, nor of the liars, one of whom hands on what the owner's daemon has. All hear of
    /// blocks.
    pub fn part(&self, far: &[usize]) {
        let links = |members: &mut dyn Iterator<Item = usize>| {
            let links: Vec<_> = members.map(|member| format!("\"v{member}\"")).collect();
            links.join(", ")
        };
        let there = links(&mut far.iter().copied());
        let liars = (FIRST_LIAR..).take(LIES.len());
        let here = (1..MEMBERS).filter(|member| !far.contains(member));
        let here = links(&mut here.chain(liars));
        let hosts: Vec<_> = far
            .iter()
            .map(|member| format!("10.{member}.0.1"))
            .collect();
        let hosts = hosts.join(", ");
        let rules = format!(
            "table bridge lab {{
             chain forward {{
             type filter hook forward priority 0;
             iifname {{ {here} }} oifname {{ {there} }} drop
             iifname {{ {there} }} oifname {{ {here} }} drop
             }}
             }}
             table ip lab {{
             chain input {{
             type filter hook input priority 0;
             ip saddr {{ {hosts} }} tcp dport 6264 drop
             ip saddr {{ {hosts} }} tcp sport 6264 drop
             }}
             chain output {{
             type filter hook output priority 0;
             ip daddr {{ {hosts} }} tcp dport 6264 drop
             ip daddr {{ {hosts} }} tcp sport 6264 drop
             }}
             }}\n"
        );
        let file = self.home.path().join("parted.nft");
        fs::write(&file, rules).unwrap();
        self.nft(&["-f", &file.display().to_string()]);
    }

    pub fn heal(&self) {
        self.nft(&["flush", "ruleset"]);
    }

    fn nft(&self, arguments: &[&str]) {
        let done = ended(&mut self.home.command("nft", arguments));
        assert_eq!(done.code, 0, "{done:?}");
    }

    pub fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    /// Whether a member has the file of a label.
    pub fn has(&self, member: usize, label: &str) -> bool {
        let name = format!("{label}.id");
        let hash = ZonefileHash::of(zone(&name, &self.names[&name]).as_bytes());
        files(&self.archive(member)).contains_key(&hash.to_string())
    }

    pub fn until_present(&self, label: &str, is_meant: impl Fn(usize) -> bool) {
        until(&format!("{label} where it can come"), || {
            let mut meant = (0..MEMBERS).filter(|member| is_meant(*member));
            meant.all(|member| self.has(member, label)).then_some(())
        });
    }

    /// Waits until everybody has every file.
    pub fn until_complete(&self, what: &str) {
        let wanted: Vec<_> = self
            .names
            .iter()
            .map(|(name, address)| zone(name, address))
            .collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|text| ZonefileHash::of(text.as_bytes()))
            .collect();
        until(what, || {
            (0..MEMBERS)
                .all(|member| {
                    let there = files(&self.archive(member));
                    wanted
                        .iter()
                        .all(|hash| there.contains_key(&hash.to_string()))
                })
                .then_some(())
        });
    }

    /// No archive has a file that is not what its name says.
    pub fn check_bytes(&self) {
        for member in 0..MEMBERS {
            for (hash, bytes) in files(&self.archive(member)) {
                assert_eq!(ZonefileHash::of(&bytes).to_string(), hash, "of {member}");
            }
        }
    }

    /// Every member answers every name with its address.
    pub fn check_answers(&self) {
        for member in 1..MEMBERS {
            for (name, address) in &self.names {
                let dig = ["dig", "+short", "@127.0.0.1", "-p", DNS_PORT, name, "A"];
                let answer = ended(&mut self.inside(member, &dig));
                assert_eq!(
                    answer.stdout.trim(),
                    address,
                    "{name} at member {member}: {answer:?}"
                );
            }
        }
    }

    /// Each liar got to tell its lie.
    pub fn check_lies(&self) {
        for (liar, lie) in self.liars.iter().zip(LIES) {
            assert!(
                liar.stdout().contains(lie),
                "{lie} was never told: {}",
                liar.stderr()
            );
        }
    }

    fn archive(&self, member: usize) -> PathBuf {
        match member {
            0 => self.owner.path("data/zonefiles"),
            _ => self.home.path().join(format!("m{member}/zonefiles")),
        }
    }

    /// A command in the network of a number.
    fn inside(&self, number: usize, words: &[&str]) -> Command {
        let name = format!("n{number}");
        let words = [&["netns", "exec", &name], words].concat();
        let mut command = self.home.command("ip", &words);
        command.env("BNSD_API_LISTEN", "none");
        command
    }
}

/// Section `[atlas]` of a member: three others, all liars, and everybody of this network who is named by others.
fn atlas(member: usize) -> String {
    let known = (1..=3).map(|step| (member + step * step) % MEMBERS);
    let known = known.filter(|other| *other != member).map(address);
    let liars = (FIRST_LIAR..).take(LIES.len()).map(address);
    let peers: Vec<_> = known
        .chain(liars)
        .map(|peer| format!("\"{peer}:6264\""))
        .collect();
    format!(
        "[atlas]\nlisten = [\"{}:6264\"]\npeers = [{}]\nallow = [\"10.0.0.0/8\"]\n",
        address(member),
        peers.join(", ")
    )
}

fn address(number: usize) -> String {
    match number {
        0 => OWNER.to_owned(),
        _ => format!("10.{number}.0.1"),
    }
}

fn zone(name: &str, address: &str) -> String {
    format!("$ORIGIN {name}\n$TTL 600\n@ A {address}\n")
}

/// The zone files of an archive by the hashes that their records claim.
fn files(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let records = segments::records(archive).into_values();
    let files = records.map(|record| (ZonefileHash(record.hash).to_string(), record.bytes));
    files.collect()
}
