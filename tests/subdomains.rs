//! Names below names, carried in zone files: what DNS answers for them, and what `bnsd explain` says about their records.

use std::fs;
use std::path::Path;

use bnsd::api::explain::ExplainReply;
use bnsd::bns::Params;
use bnsd::bns::address::AddressVersions;
use bnsd::bns::proof;
use bnsd::bns::subdomain::{Did, Record};
use bnsd::hash::ZonefileHash;
use bnsd::names::SubdomainDetails;
use bnsd::resolver::Snapshots as _;
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name as DnsName, RecordType};

use crate::common::home::Home;
use crate::common::process::until;
use crate::common::segments;
use crate::common::world::{World, name, zonefile};

const CARRIER: &str = "hub.id";
const OTHER: &str = "other.id";
const BAR: &str = "bar.hub.id";

fn versions() -> AddressVersions {
    Params::regtest().addresses
}

fn key(label: &str) -> SigningKey {
    SigningKey::dev_only_from_label(label)
}

/// An unsigned record carried by [`CARRIER`], whose zone file has one address.
fn record(subdomain: &str, sequence: u64, owner: &SigningKey, address: &str) -> Record {
    Record {
        subdomain: subdomain.parse().expect("a subdomain"),
        independent: false,
        owner: owner.address(),
        sequence,
        zonefile: zonefile(subdomain, address),
        signature: None,
    }
}

fn independent(record: Record) -> Record {
    Record {
        independent: true,
        ..record
    }
}

fn signed(record: Record, by: &SigningKey) -> Record {
    let signature = by.sign_digest(record.digest(versions()));
    Record {
        signature: Some(proof::of_one(&signature, &by.public_key())),
        ..record
    }
}

/// The zone file of a carrier.
fn carrier_file(carrier: &str, records: &[Record], more: &str) -> Vec<u8> {
    let lines = records.iter().map(|record| record.line(versions()) + "\n");
    let lines: String = lines.collect();
    let text = format!("$ORIGIN {carrier}\n$TTL 3600\n@ A 192.0.2.1\n* A 192.0.2.2\n{more}{lines}");
    text.into_bytes()
}

/// A world with both names, each with a zone file that carries nothing.
fn world(directory: &Path) -> World {
    let mut world = World::start(directory, &[]);
    let [hub, other] = [CARRIER, OTHER].map(|name| {
        let hash = world.archive(&carrier_file(name, &[], ""));
        (name, hash)
    });
    world.publish(&[hub, other]);
    let owners = [CARRIER, OTHER].map(|text| Registrar::owner(&name(text)));
    world.give(&owners.each_ref());
    world
}

/// Announces a zone file, whether it is in the archive or not; gives the height.
fn announce(world: &mut World, carrier: &str, file: &[u8]) -> u32 {
    let key = Registrar::owner(&name(carrier));
    let quoted = world.registrar.consensus_hash();
    let hash = ZonefileHash::of(file);
    let update = Operation::name_update(&name(carrier), key.address(), quoted, hash);
    world.act(&update, &key).0
}

/// Announces a zone file that is in the archive.
fn carry(world: &mut World, carrier: &str, records: &[Record]) -> u32 {
    let file = carrier_file(carrier, records, "");
    world.archive(&file);
    announce(world, carrier, &file)
}

fn wait_for_address(world: &World, subdomain: &str, address: &str) {
    until("the address of a subdomain", || {
        let seen = world.see(subdomain, RecordType::A);
        seen.has_address(address).then_some(())
    });
}

fn details(world: &World, subdomain: &str) -> SubdomainDetails {
    let explained = world.explain(subdomain);
    explained.subdomain.expect("records of a subdomain")
}

/// Waits until so many records of a subdomain are known.
fn wait_for_records(world: &World, subdomain: &str, count: usize) -> SubdomainDetails {
    until("records of a subdomain", || {
        let known = world.explain(subdomain).subdomain;
        known.filter(|known| known.record_count == count)
    })
}

/// Why each record is refused; `None` of one that is not.
fn refusals(details: &SubdomainDetails) -> Vec<Option<&str>> {
    let records = details.records.iter();
    records.map(|record| record.refused.as_deref()).collect()
}

#[test]
fn subdomains_are_answered_beside_their_carrier() {
    let home = Home::new();
    let mut world = world(home.path());
    let (alice, bob) = (key("alice"), key("bob"));
    assert!(
        world.see(BAR, RecordType::A).has_address("192.0.2.2"),
        "the wildcard"
    );
    let records = [
        record(BAR, 0, &alice, "192.0.2.10"),
        record("baz.hub.id", 0, &bob, "192.0.2.20"),
        record("qux.hub.id", 0, &alice, "192.0.2.30"),
    ];
    let height = carry(&mut world, CARRIER, &records);
    wait_for_address(&world, BAR, "192.0.2.10");
    wait_for_address(&world, "www.baz.hub.id", "192.0.2.20");
    wait_for_address(&world, "bar.hub.id.bns.alt", "192.0.2.10");
    assert!(world.see(CARRIER, RecordType::A).has_address("192.0.2.1"));
    assert!(
        world
            .see("else.hub.id", RecordType::A)
            .has_address("192.0.2.2")
    );
    let absent = world.see("nx.bar.hub.id", RecordType::A);
    assert!(absent.is_negative(ResponseCode::NXDomain), "{absent:?}");
    let no_data = world.see(BAR, RecordType::MX);
    assert!(no_data.is_negative(ResponseCode::NoError), "{no_data:?}");
    let top = world.see(BAR, RecordType::SOA).answers;
    assert!(
        top[0].starts_with("bar.hub.id.") && top[0].contains(&format!(" {height} ")),
        "{top:?}"
    );

    let found = details(&world, "www.qux.hub.id");
    assert_eq!(found.name.to_string(), "qux.hub.id");
    assert_eq!(found.carrier, Some(name(CARRIER)));
    assert_eq!(found.owner, Some(alice.address().encode(versions())));
    assert_eq!((found.sequence, found.pending), (Some(0), false));
    let creator = alice.address();
    assert_eq!(found.did, Some(Did { creator, index: 1 }.text(versions())));
    let socket = world.socket().display().to_string();
    let page = home.run(&["explain", BAR, "--control-socket", &socket]);
    assert_eq!(page.code, 0, "{page:?}");
    for line in [
        "subdomain bar.hub.id",
        "carrier",
        "sequence        0",
        "did:stack:v0:t",
        "accepted",
    ] {
        assert!(page.stdout.contains(line), "{line}: {page:?}");
    }
    assert_eq!(world.explain("else.hub.id").subdomain, None);
    let types = world.lookup(BAR, "ANY", None).records;
    assert_eq!(types.len(), 2, "its A and the CNAME of www: {types:?}");
}

#[test]
fn changes_are_signed_by_the_owner_before() {
    let home = Home::new();
    let mut world = world(home.path());
    let (alice, bob, eve) = (key("alice"), key("bob"), key("eve"));
    let first = carry(&mut world, CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")]);
    let update = signed(record(BAR, 1, &alice, "192.0.2.11"), &alice);
    let second = carry(&mut world, CARRIER, std::slice::from_ref(&update));
    let transfer = signed(record(BAR, 2, &bob, "192.0.2.12"), &alice);
    carry(&mut world, CARRIER, &[transfer]);
    wait_for_address(&world, BAR, "192.0.2.12");

    // Neither the carrier nor an owner of the past changes it.
    carry(&mut world, CARRIER, &[record(BAR, 3, &eve, "192.0.2.66")]);
    carry(
        &mut world,
        CARRIER,
        &[signed(record(BAR, 3, &eve, "192.0.2.67"), &alice)],
    );
    carry(&mut world, CARRIER, &[update]);
    carry(
        &mut world,
        CARRIER,
        &[signed(record(BAR, 7, &bob, "192.0.2.68"), &bob)],
    );
    carry(&mut world, CARRIER, &[record(BAR, 0, &eve, "192.0.2.69")]);
    let taken = signed(independent(record(BAR, 3, &eve, "192.0.2.70")), &bob);
    carry(&mut world, OTHER, &[taken]);
    let known = wait_for_records(&world, BAR, 9);
    assert!(world.see(BAR, RecordType::A).has_address("192.0.2.12"));
    assert_eq!(
        (known.sequence, known.owner),
        (Some(2), Some(bob.address().encode(versions())))
    );
    let known = details(&world, BAR);
    let reasons: Vec<&str> = refusals(&known).into_iter().flatten().collect();
    let reasons = reasons.join("; ");
    for reason in [
        "no valid signature",
        "somebody else than the owner signed it",
        "does not follow 1, the last",
        "does not follow 2, the last",
        "does not follow 0, the last",
        "changes the owner stands in the zone file of the name above",
    ] {
        assert!(reasons.contains(reason), "{reason}: {reasons}");
    }

    // Another name may carry what does not change the owner.
    let elsewhere = signed(independent(record(BAR, 3, &bob, "192.0.2.13")), &bob);
    carry(&mut world, OTHER, &[elsewhere]);
    wait_for_address(&world, BAR, "192.0.2.13");
    assert_eq!(details(&world, BAR).carrier, Some(name(OTHER)));
    for (height, address) in [(first, "192.0.2.10"), (second, "192.0.2.11")] {
        let then = world.lookup(BAR, "A", Some(height)).records;
        assert_eq!(then[0].data, address, "at {height}");
    }
    let before = world.lookup(BAR, "A", Some(first - 1)).records;
    assert_eq!(before[0].data, "192.0.2.2", "the wildcard of the carrier");
}

#[test]
fn a_zone_file_that_arrives_late_changes_what_is_accepted() {
    let home = Home::new();
    let mut world = world(home.path());
    let (alice, bob) = (key("alice"), key("bob"));
    let late = carrier_file(CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")], "");
    announce(&mut world, CARRIER, &late);
    carry(&mut world, CARRIER, &[record(BAR, 0, &bob, "192.0.2.20")]);
    wait_for_address(&world, BAR, "192.0.2.20");
    let known = details(&world, BAR);
    assert!(known.pending && known.missing.len() == 1, "{known:?}");
    world.archive(&late);
    wait_for_address(&world, BAR, "192.0.2.10");
    let known = wait_for_records(&world, BAR, 2);
    assert!(!known.pending, "{known:?}");
    assert_eq!(known.owner, Some(alice.address().encode(versions())));

    // The same from nothing, in the other order.
    world.stop_daemon();
    fs::remove_file(world.data().join("atlas.redb")).expect("it is there");
    world.start_daemon();
    wait_for_address(&world, BAR, "192.0.2.10");
}

#[test]
fn what_the_first_record_has_to_be_and_what_is_declared_lost() {
    let home = Home::new();
    let mut world = world(home.path());
    let alice = key("alice");
    let foreign = independent(record(BAR, 0, &alice, "192.0.2.66"));
    carry(&mut world, OTHER, &[foreign]);
    let known = wait_for_records(&world, BAR, 1);
    assert_eq!((known.carrier, known.sequence), (None, None));
    assert_eq!(
        refusals(&details(&world, BAR)),
        [Some(
            "the first record of a subdomain stands in the zone file of the name above it"
        )]
    );
    assert!(world.see(BAR, RecordType::A).has_address("192.0.2.2"));

    announce(&mut world, CARRIER, b"nobody has this");
    carry(&mut world, CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")]);
    wait_for_address(&world, BAR, "192.0.2.10");
    let [lost] = details(&world, BAR).missing[..] else {
        panic!("one zone file is missing");
    };
    let declared = carrier_file(CARRIER, &[], &format!("_missing TXT \"{lost}\"\n"));
    world.archive(&declared);
    announce(&mut world, CARRIER, &declared);
    until("the row to count as lost", || {
        (!details(&world, BAR).pending).then_some(())
    });
    assert!(world.see(BAR, RecordType::A).has_address("192.0.2.10"));

    let bad = carrier_file(
        CARRIER,
        &[],
        "x TXT \"owner=nobody\" \"seqn=0\" \"parts=0\"\n",
    );
    world.archive(&bad);
    announce(&mut world, CARRIER, &bad);
    let problems = |explained: ExplainReply| explained.provenance.zonefile_problems;
    let said = problems(world.explain(CARRIER)).join("; ");
    assert!(
        said.contains("line 5: no record of a subdomain: owner= is no address"),
        "{said}"
    );
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other() {
    let home = Home::new();
    let mut world = world(home.path());
    let alice = key("alice");
    let unreadable = carrier_file(OTHER, &[], "x TXT unreadable\n");
    let hash = ZonefileHash::of(&unreadable).to_string();
    let place = format!("{}/{}/{hash}.txt", &hash[..2], &hash[2..4]);
    let place = world.zonefiles().join(place);
    fs::create_dir_all(&place).expect("a directory where a file should be");
    announce(&mut world, OTHER, &unreadable);
    carry(&mut world, CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")]);
    wait_for_address(&world, BAR, "192.0.2.10");
}

/// The next zone file of a carrier has the records of others alone.
#[test]
fn a_carrier_has_no_keys_for_the_subdomains_of_earlier_files() {
    let home = Home::new();
    let mut world = world(home.path());
    let alice = key("alice");
    carry(&mut world, CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")]);
    wait_for_address(&world, BAR, "192.0.2.10");
    let tlsa = format!("TLSA 3 1 1 {}\n", "ab".repeat(32));
    let keys = format!("_443._tcp.bar {tlsa}_443._tcp.else {tlsa}");
    let next = carrier_file(CARRIER, &[], &keys);
    world.archive(&next);
    announce(&mut world, CARRIER, &next);
    let bound = world.names().snapshot().bound(&name(CARRIER));
    let bound = bound.expect("readable").expect("a zone file").bound;
    let pins = |host: &str| {
        let host = DnsName::from_ascii(host).expect("a domain name");
        bound.pins(&host, 443).len()
    };
    assert_eq!((pins("bar.hub.id."), pins("else.hub.id.")), (0, 1));
    assert_eq!(bound.separate().len(), 1);
}

#[test]
fn a_reorganisation_takes_back_what_it_undoes() {
    let home = Home::new();
    let mut world = world(home.path());
    let (alice, bob) = (key("alice"), key("bob"));
    carry(
        &mut world,
        CARRIER,
        &[record("kept.hub.id", 0, &alice, "192.0.2.9")],
    );
    let before = world.height();
    carry(&mut world, CARRIER, &[record(BAR, 0, &alice, "192.0.2.10")]);
    wait_for_address(&world, BAR, "192.0.2.10");
    world.chain.rewind(before).expect("a block to take back");
    world.follow();
    assert!(world.see(BAR, RecordType::A).has_address("192.0.2.2"));
    assert!(
        world
            .see("kept.hub.id", RecordType::A)
            .has_address("192.0.2.9")
    );
    carry(&mut world, CARRIER, &[record(BAR, 0, &bob, "192.0.2.20")]);
    wait_for_address(&world, BAR, "192.0.2.20");
    assert_eq!(
        wait_for_records(&world, BAR, 1).owner,
        Some(bob.address().encode(versions()))
    );
}

#[test]
fn subdomains_go_where_their_name_goes() {
    let home = Home::new();
    let mut world = world(home.path());
    carry(
        &mut world,
        CARRIER,
        &[record(BAR, 0, &key("alice"), "192.0.2.10")],
    );
    wait_for_address(&world, BAR, "192.0.2.10");
    let owner = Registrar::owner(&name(CARRIER));
    world.act(
        &Operation::name_revoke(&name(CARRIER), owner.address()),
        &owner,
    );
    let seen = world.see(BAR, RecordType::A);
    assert!(seen.is_negative(ResponseCode::NXDomain), "{seen:?}");
    assert!(seen.ede.expect("a reason").1.contains("revoked"));
}

#[test]
fn the_zone_file_of_a_subdomain_comes_back_from_its_carrier() {
    let home = Home::new();
    let mut world = world(home.path());
    let bar = record(BAR, 0, &key("alice"), "192.0.2.10");
    carry(&mut world, CARRIER, std::slice::from_ref(&bar));
    wait_for_address(&world, BAR, "192.0.2.10");
    let hash = ZonefileHash::of(&bar.zonefile);
    let carrier = ZonefileHash::of(&carrier_file(CARRIER, &[bar], ""));
    let archive = world.zonefiles();
    let [first, second] = [carrier, hash].map(|hash| segments::find(&archive, &hash.0));
    let [first, second] = [first, second].map(|record| record.expect("it is there"));
    segments::flip(&first, 0);
    segments::flip(&second, 0);
    let wrong = until("the answer to notice", || world.see(BAR, RecordType::A).ede);
    assert_eq!(wrong.0, 24);
    assert!(wrong.1.contains(&hash.to_string()), "{wrong:?}");
    segments::flip(&first, 0);
    wait_for_address(&world, BAR, "192.0.2.10");
}
