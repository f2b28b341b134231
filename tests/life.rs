//! What somebody sees of a name on the chain from its preorder to its revocation: after every block DNS, `explain`
//! and `lookup` agree, and `lookup --at` still gives what was true at every block before.

use std::path::Path;

use bitcoin::Amount;
use bnsd::api::explain::{ExplainReply, NameStatus, ZonefileSource};
use bnsd::api::lookup::LookupReply;
use bnsd::bns::address::AddressVersions;
use bnsd::bns::name::NamespaceId;
use bnsd::bns::{Name, Params, price::PriceFunction};
use bnsd::hash::ZonefileHash;
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, OnTransfer, Operation};
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::home::{Home, ended};
use crate::common::world::{World, name, zonefile};

const NAME: &str = "anna.id";

/// What the test expects to see after a block.
struct Expected<'a> {
    operation: &'a str,
    owner: &'a SigningKey,
    hash: Option<ZonefileHash>,
    address: Option<&'a str>,
}

/// A name under observation: what `lookup` said at each height.
struct Watched {
    world: World,
    seen: Vec<(u32, LookupReply)>,
}

impl Watched {
    /// Checks everything after a block that did nothing to the name's answer.
    fn absent(&mut self, status: NameStatus, ede: Option<&str>) {
        let seen = self.world.see(NAME, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NXDomain), "{seen:?}");
        assert_eq!(seen.ede.as_ref().map(|(_, text)| text.as_str()), ede);
        assert_eq!(self.world.explain(NAME).provenance.status, Some(status));
        self.remember();
    }

    /// Checks everything after an operation on the name.
    fn after(&mut self, (height, txid): (u32, String), expected: &Expected<'_>) {
        let seen = self.world.see(NAME, RecordType::A);
        match expected.address {
            Some(address) => assert!(seen.has_address(address), "{seen:?}"),
            None => assert!(seen.is_negative(ResponseCode::NoError), "{seen:?}"),
        }
        assert_eq!(
            self.world
                .see("www.anna.id", RecordType::A)
                .answers
                .is_empty(),
            seen.answers.is_empty()
        );
        let explained = self.world.explain(NAME);
        check(&explained, height, &txid, expected);
        self.same_as_the_command(&explained);
        self.remember();
    }

    fn revoke(&mut self, owner: &SigningKey) {
        let revoke = Operation::name_revoke(&name(NAME), owner.address());
        let (height, txid) = self.world.act(&revoke, owner);
        let text = format!("bns: revoked at block {height}");
        self.absent(NameStatus::Revoked, Some(&text));
        let explained = self.world.explain(NAME);
        let known = &explained.provenance.registration;
        assert_eq!(known.operation.as_deref(), Some("NAME_REVOKE"));
        assert_eq!(known.height, Some(height));
        assert_eq!(known.txid.map(|txid| txid.to_string()), Some(txid));
        self.same_as_the_command(&explained);
    }

    /// The history has every operation; registration and last renewal are those of the history.
    fn remembers_its_life(&self) {
        let explained = self.world.explain(NAME);
        let known = &explained.provenance.registration;
        let history = &known.history;
        let operations: Vec<&str> = history.iter().map(|entry| &*entry.operation).collect();
        let expected = "NAME_REGISTRATION NAME_UPDATE NAME_TRANSFER NAME_RENEWAL NAME_RENEWAL \
                        NAME_TRANSFER NAME_UPDATE NAME_REVOKE";
        assert_eq!(operations.join(" "), expected);
        assert_eq!(known.first_registered, Some(history[0].height));
        assert_eq!(known.last_renewed, Some(history[4].height));
    }

    /// `bnsd explain --json` prints what the control socket says.
    fn same_as_the_command(&self, explained: &ExplainReply) {
        let socket = self.world.socket().display().to_string();
        let ended = Home::new().run(&["explain", NAME, "--json", "--control-socket", &socket]);
        let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(json, serde_json::to_value(explained).expect("JSON"));
        let expected = if explained.provenance.status == Some(NameStatus::Registered) {
            0
        } else {
            1
        };
        assert_eq!(ended.code, expected);
    }

    /// Notes what is true now, and looks at all that was true before.
    fn remember(&mut self) {
        let now = self.world.lookup(NAME, "A", None);
        self.seen.push((self.world.height(), now));
        for (height, seen) in &self.seen {
            assert_eq!(self.world.lookup(NAME, "A", Some(*height)), *seen);
        }
    }
}

fn check(explained: &ExplainReply, height: u32, txid: &str, expected: &Expected<'_>) {
    let known = &explained.provenance.registration;
    assert_eq!(explained.provenance.status, Some(NameStatus::Registered));
    assert_eq!(known.operation.as_deref(), Some(expected.operation));
    assert_eq!(
        (known.height, explained.provenance.confirmations),
        (Some(height), Some(1))
    );
    assert_eq!(
        known.txid.map(|txid| txid.to_string()).as_deref(),
        Some(txid)
    );
    let owner = expected.owner.address().encode(AddressVersions::TESTNET);
    assert_eq!(known.owner, Some(owner));
    assert_eq!(known.zonefile_hash, expected.hash);
    let source = expected.hash.map(|_| ZonefileSource::Archive);
    assert_eq!(explained.provenance.zonefile_source, source);
    let last = known.history.last().expect("a history");
    assert_eq!(
        (last.height, last.txid.to_string().as_str()),
        (height, txid)
    );
}

fn burn(satoshi: u64) -> Fee {
    Fee {
        to: Params::regtest().burn_address,
        amount: Amount::from_sat(satoshi),
    }
}

/// A world in which the namespace `id` is open.
fn world(directory: &Path) -> World {
    let mut world = World::start(directory, &[]);
    let hash = world.archive(&zonefile("first.id", "192.0.2.99"));
    world.publish(&[("first.id", hash)]);
    world
}

#[test]
fn a_name_lives_from_preorder_to_revocation() {
    let home = Home::new();
    let mut world = world(home.path());
    let owners = [NAME, "bert", "clara"].map(SigningKey::dev_only_from_label);
    world.give(&owners.each_ref());
    let hashes = ADDRESSES.map(|address| world.archive(&zonefile(NAME, address)));
    let mut watched = Watched {
        world,
        seen: Vec::new(),
    };
    watched.absent(NameStatus::Unregistered, None);
    let preorder = watched.world.registrar.preorder(&name(NAME)).unwrap();
    watched.world.mine(vec![preorder]);
    watched.absent(NameStatus::Unregistered, None);
    for step in steps(&owners, &hashes) {
        let operation = (step.operation)(&watched.world);
        let done = watched.world.act(&operation, step.sender);
        watched.after(done, &step.expected);
    }
    watched.revoke(&owners[2]);
    watched.remembers_its_life();
    every_height_before_has_no_such_name(&watched);
    let other = watched.world.see("first.id", RecordType::A);
    assert!(other.has_address("192.0.2.99"), "{other:?}");
    watched.world.assert_core_agrees();
    watched.world.stop_daemon();
    a_rewind_would_name_what_it_undoes(&home, &watched.world);
}

/// Also where the transaction has only a hash of the name.
fn a_rewind_would_name_what_it_undoes(home: &Home, world: &World) {
    let directory = world.data().display().to_string();
    let rewind = [
        "chain",
        "rewind",
        "1",
        "--dry-run",
        "--data-dir",
        &directory,
    ];
    let ended = ended(home.bnsd(&rewind).env("BNSD_CHAIN_SOURCE", "dev"));
    assert_eq!(ended.code, 0, "{ended:?}");
    for known in [
        "NAMESPACE_REVEAL id ",
        "NAME_PREORDER first.id ",
        "NAME_PREORDER anna.id ",
        "NAME_REGISTRATION anna.id ",
        "NAME_UPDATE anna.id ",
        "NAME_TRANSFER anna.id ",
        "NAME_RENEWAL anna.id ",
        "NAME_REVOKE anna.id ",
    ] {
        assert!(ended.stdout.contains(known), "{known}: {}", ended.stdout);
    }
    let mut lines = ended.stdout.lines();
    let preorder = lines.find_map(|line| line.split("NAMESPACE_PREORDER ").nth(1));
    let hash = preorder.and_then(|rest| rest.split(' ').next());
    assert_eq!(hash.map(str::len), Some(40), "{}", ended.stdout);
    assert!(!ended.stdout.contains(" - "), "{}", ended.stdout);
}

/// What the name's zone files say, one after the other.
const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

/// An operation, made when its turn comes because it quotes a consensus hash, and what follows from it.
struct Step<'a> {
    sender: &'a SigningKey,
    operation: Box<dyn Fn(&World) -> Operation + 'a>,
    expected: Expected<'a>,
}

/// Everything between preorder and revocation; zone files are given by their number.
fn steps<'a>([a, b, c]: &'a [SigningKey; 3], hashes: &'a [ZonefileHash; 3]) -> Vec<Step<'a>> {
    let anna = name(NAME);
    let step = |sender,
                operation: Box<dyn Fn(&World) -> Operation + 'a>,
                what,
                owner,
                file: Option<usize>| Step {
        sender,
        operation,
        expected: Expected {
            operation: what,
            owner,
            hash: file.map(|file| hashes[file]),
            address: file.map(|file| ADDRESSES[file]),
        },
    };
    let register = Operation::name_register(&anna, a.address(), Some(hashes[0]));
    let prolong = Operation::name_renew(&anna, b.address(), None, None, burn(1_000_000));
    let replace = Operation::name_renew(&anna, b.address(), Some(hashes[2]), None, burn(1_000_000));
    let announce = |key: &'a SigningKey, file: usize| {
        Box::new(move |world: &World| update(world, &name(NAME), key, hashes[file]))
    };
    let give = |from: &'a SigningKey, to: &'a SigningKey, zonefile| {
        Box::new(move |world: &World| transfer(world, &name(NAME), (from, to), zonefile))
    };
    let (keep, clear) = (OnTransfer::KeepZonefile, OnTransfer::ClearZonefile);
    vec![
        step(
            a,
            Box::new(move |_| register.clone()),
            "NAME_REGISTRATION",
            a,
            Some(0),
        ),
        step(a, announce(a, 1), "NAME_UPDATE", a, Some(1)),
        step(a, give(a, b, keep), "NAME_TRANSFER", b, Some(1)),
        step(
            b,
            Box::new(move |_| prolong.clone()),
            "NAME_RENEWAL",
            b,
            Some(1),
        ),
        step(
            b,
            Box::new(move |_| replace.clone()),
            "NAME_RENEWAL",
            b,
            Some(2),
        ),
        step(b, give(b, c, clear), "NAME_TRANSFER", c, None),
        step(c, announce(c, 0), "NAME_UPDATE", c, Some(0)),
    ]
}

/// From the chain's first block to the first observation.
fn every_height_before_has_no_such_name(watched: &Watched) {
    let first = watched.seen.first().expect("observations").0;
    for height in 1..first {
        let reply = watched.world.lookup(NAME, "A", Some(height));
        assert_eq!((reply.rcode.as_str(), reply.records.len()), ("NXDOMAIN", 0));
        assert_eq!(reply.height, Some(height));
    }
}

fn update(world: &World, name: &Name, key: &SigningKey, hash: ZonefileHash) -> Operation {
    Operation::name_update(name, key.address(), world.registrar.consensus_hash(), hash)
}

fn transfer(
    world: &World,
    name: &Name,
    (from, to): (&SigningKey, &SigningKey),
    zonefile: OnTransfer,
) -> Operation {
    let quoted = world.registrar.consensus_hash();
    Operation::name_transfer(name, from.address(), to.address(), quoted, zonefile)
}

/// `bnsd lookup --at` on the command line, with its exit codes.
#[test]
fn the_command_looks_into_the_past() {
    let home = Home::new();
    let mut world = world(home.path());
    let (one, two) = (zonefile(NAME, "192.0.2.1"), zonefile(NAME, "192.0.2.2"));
    let hash = world.archive(&one);
    let registered = world.publish(&[(NAME, hash)]);
    let hash = world.archive(&two);
    let updated = world.publish(&[(NAME, hash)]);
    assert!(updated > registered);
    let socket = world.socket().display().to_string();
    let lookup = |at: u32| {
        let at = at.to_string();
        home.run(&[
            "lookup",
            NAME,
            "A",
            "--at",
            &at,
            "--control-socket",
            &socket,
        ])
    };
    let (now, then, before) = (lookup(updated), lookup(registered), lookup(registered - 1));
    assert!(now.stdout.contains("192.0.2.2") && now.code == 0, "{now:?}");
    assert!(
        then.stdout.contains("192.0.2.1") && then.code == 0,
        "{then:?}"
    );
    assert!(
        then.stdout
            .contains(&format!("from the chain at height {registered}")),
        "{then:?}"
    );
    assert!(
        before.stdout.contains("NXDOMAIN") && before.code == 1,
        "{before:?}"
    );
    let beyond = lookup(updated + 1);
    assert_eq!((beyond.code, beyond.stdout.as_str()), (2, ""));
    assert!(
        beyond
            .stderr
            .contains("is not indexed: choose one from 1 to"),
        "{beyond:?}"
    );
}

/// A name without a zone file hash exists and has no data; it gets an answer with its first update.
#[test]
fn a_name_without_zone_file_has_no_data() {
    let home = Home::new();
    let mut world = world(home.path());
    let (anna, key) = (name(NAME), Registrar::owner(&name(NAME)));
    world.give(&[&key]);
    let preorder = world.registrar.preorder(&anna).unwrap();
    world.mine(vec![preorder]);
    world.act(&Operation::name_register(&anna, key.address(), None), &key);
    for asked in [NAME, "www.anna.id"] {
        let seen = world.see(asked, RecordType::A);
        assert!(seen.is_negative(ResponseCode::NoError), "{seen:?}");
    }
    assert_eq!(
        world.explain(NAME).provenance.registration.zonefile_hash,
        None
    );
    let hash = world.archive(&zonefile(NAME, "192.0.2.1"));
    let update = update(&world, &anna, &key, hash);
    world.act(&update, &key);
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.1"));
    world.assert_core_agrees();
}

/// The chain takes blocks back: the answer of before is the answer again, on any branch.
#[test]
fn a_reorganisation_restores_the_old_answer() {
    let home = Home::new();
    let mut world = world(home.path());
    let hashes = ["192.0.2.1", "192.0.2.2"].map(|address| world.archive(&zonefile(NAME, address)));
    let registered = world.publish(&[(NAME, hashes[0])]);
    let before = (world.see(NAME, RecordType::A), world.explain(NAME));
    world.publish(&[(NAME, hashes[1])]);
    world.mine_empty(3);
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.2"));

    world
        .chain
        .rewind(registered)
        .expect("the blocks can be taken back");
    world.follow();
    assert_eq!(world.height(), registered);
    assert_eq!(
        (world.see(NAME, RecordType::A), world.explain(NAME)),
        before
    );

    // On the new branch the update never happened, and can be made again.
    world.mine_empty(5);
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.1"));
    assert_eq!(
        world.explain(NAME).provenance.registration.history.len(),
        before.1.provenance.registration.history.len()
    );
    world.publish(&[(NAME, hashes[1])]);
    assert!(world.see(NAME, RecordType::A).has_address("192.0.2.2"));
    world.assert_core_agrees();

    // Back before the name was there at all.
    world
        .chain
        .rewind(registered - 1)
        .expect("the blocks can be taken back");
    world.follow();
    let seen = world.see(NAME, RecordType::A);
    assert!(seen.is_negative(ResponseCode::NXDomain), "{seen:?}");
    assert_eq!(
        world.explain(NAME).provenance.status,
        Some(NameStatus::Unregistered)
    );
}

/// A namespace whose names live for two blocks and the grace period of 5,000: a name resolves up to the last block
/// of its grace period, is gone at the very next one, and a renewal in time carries it over.
#[test]
fn a_name_expires_at_its_block_and_a_renewal_carries_it_over() {
    let home = Home::new();
    let mut world = World::start(home.path(), &[]);
    open_brief(&mut world);
    let names = [name("left.brief"), name("kept.brief")];
    let keys = names.each_ref().map(Registrar::owner);
    let hashes = names
        .each_ref()
        .map(|name| world.archive(&zonefile(name.as_str(), "192.0.2.7")));
    world.publish(&[("left.brief", hashes[0]), ("kept.brief", hashes[1])]);

    let deadline = world
        .explain("left.brief")
        .provenance
        .registration
        .term
        .heights
        .renewal_deadline
        .expect("an end");
    let left = deadline - 2 - world.height();
    world.mine_empty(left);
    let renewal = Operation::name_renew(&names[1], keys[1].address(), None, None, burn(1_000_000));
    let (height, _) = world.act(&renewal, &keys[1]);
    assert_eq!(height, deadline - 1);
    for name in ["left.brief", "kept.brief"] {
        assert!(
            world.see(name, RecordType::A).has_address("192.0.2.7"),
            "{name}"
        );
    }

    assert_eq!(world.mine_empty(1), deadline);
    let gone = world.see("www.left.brief", RecordType::A);
    assert!(gone.is_negative(ResponseCode::NXDomain), "{gone:?}");
    let text = gone.ede.map(|(_, text)| text);
    let last = deadline - 1;
    assert_eq!(
        text,
        Some(format!("bns: expired, last resolved at block {last}"))
    );
    assert_eq!(
        world.explain("left.brief").provenance.status,
        Some(NameStatus::Expired)
    );
    let past = world.lookup("left.brief", "A", Some(deadline - 1));
    assert_eq!((past.rcode.as_str(), past.records.len()), ("NOERROR", 1));
    assert!(
        world
            .see("kept.brief", RecordType::A)
            .has_address("192.0.2.7")
    );
    assert_eq!(
        world
            .explain("kept.brief")
            .provenance
            .registration
            .last_renewed,
        Some(deadline - 1)
    );

    // Gone means free: it can be registered again.
    world.publish(&[("left.brief", hashes[0])]);
    assert!(
        world
            .see("left.brief", RecordType::A)
            .has_address("192.0.2.7")
    );
    world.assert_core_agrees();
}

/// Preorders, reveals and readies the namespace `brief`, whose names live for one block, doubled by the epoch.
fn open_brief(world: &mut World) {
    let id: NamespaceId = "brief".parse().expect("an id");
    let key = SigningKey::dev_only_from_label("the one who opens brief");
    let price = PriceFunction {
        coeff: 1,
        base: 1,
        buckets: [1; 16],
        nonalpha_discount: 1,
        no_vowel_discount: 1,
    };
    world.give(&[&key]);
    let revealer = (key.address(), AddressVersions::TESTNET);
    let quoted = world.registrar.consensus_hash();
    let script = key.script();
    let preorder =
        Operation::namespace_preorder(&id, &script, revealer, quoted, None, burn(40_000_000));
    world.act(&preorder, &key);
    world.act(
        &Operation::namespace_reveal(&id, key.address(), 1, price, 1),
        &key,
    );
    world.act(&Operation::namespace_ready(&id, key.address()), &key);
}
