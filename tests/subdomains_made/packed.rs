//! Many records in few zone files.

use super::{A, NOERROR, carrier, is_at, place, publishes, zone};
use crate::common::person::{Person, World};

/// Records of new subdomains, each with a zone file that has so many more bytes.
fn records(alice: &Person<'_>, count: usize, more: usize) -> Vec<String> {
    let owner = alice.address();
    let record = |number: usize| {
        let name = format!("n{number}.foo.id");
        let filler = ";".repeat(more);
        let text = format!("$ORIGIN {name}\n$TTL 60\n@ A 192.0.2.9\n{filler}\n");
        let zone = alice.writes("one.zone", &text);
        let file = place(alice.world, &format!("n{number}.record"));
        let new = [
            "subdomain",
            "new",
            &name,
            "--zonefile",
            &zone,
            "--owner",
            &owner,
        ];
        alice.does(&[&new[..], &["--offline", "--out", &file]].concat());
        file
    };
    (0..count).map(record).collect()
}

#[test]
fn a_hundred_subdomains_are_published_by_one_update() {
    let world = World::embedded();
    let alice = carrier(&world);
    let records = records(&alice, 100, 0);
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let packed = publishes(&alice, &records);
    let files = packed["zonefiles"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{packed}");
    assert_eq!(files[0]["records"], 100);
    is_at(&world, "n99.foo.id", 0);
    for name in ["n0.foo.id", "n57.foo.id", "n99.foo.id", "foo.id"] {
        assert_eq!(world.dig(name, A), (NOERROR, 1), "{name}");
    }
    let out = place(&world, "again.zone");
    let pack = [
        &["subdomain", "pack", "foo.id"],
        &records[..],
        &["--out", &out],
    ]
    .concat();
    let again = alice.does(&pack);
    assert_eq!(
        (&again["known"], &again["zonefiles"]),
        (&100.into(), &serde_json::json!([]))
    );
}

#[test]
fn more_records_than_fit_become_more_zone_files() {
    let world = World::embedded();
    let alice = carrier(&world);
    let records = records(&alice, 12, 8_000);
    let base = alice.writes("base.zone", "$ORIGIN foo.id\n$TTL 60\n@ A 192.0.2.3\n");
    let out = place(&world, "zones");
    let more = ["--base", &base, "--offline", "--out", &out];
    let files: Vec<&str> = records.iter().map(String::as_str).collect();
    let pack = [&["subdomain", "pack", "foo.id"], &files[..], &more].concat();
    let packed = alice.does(&pack);
    let written = packed["zonefiles"].as_array().unwrap();
    assert_eq!(written.len(), 4, "{packed}");
    assert_eq!(packed["satoshi_each"], serde_json::Value::Null);
    for (number, file) in (0_u32..).zip(written) {
        let path = file["file"].as_str().unwrap();
        let bytes = std::fs::read(path).unwrap();
        assert!(
            bytes.len() <= 40_960 && bytes.starts_with(b"$ORIGIN foo.id\n"),
            "{path}"
        );
        alice.does(&["name", "update", "foo.id", "--zonefile", path, "--anyway"]);
        is_at(&world, &format!("n{}.foo.id", 3 * number), 0);
    }
    for number in 0..12 {
        is_at(&world, &format!("n{number}.foo.id"), 0);
    }
}

/// Two changes of one subdomain that nobody has announced yet.
#[test]
fn changes_of_one_subdomain_follow_each_other_in_files() {
    let world = World::embedded();
    let alice = carrier(&world);
    let owner = alice.address();
    let files = ["0", "1", "2"].map(|text| place(&world, &format!("record-{text}")));
    let [first, second, third] = &files;
    let name = "bar.foo.id";
    let new = zone(&alice, name, "zero");
    alice.does(&["subdomain", "new", name, "--zonefile", &new, "--out", first]);
    for (sequence, file) in [("1", second), ("2", third)] {
        let zone = zone(&alice, name, sequence);
        let update = [
            "subdomain",
            "update",
            name,
            "--zonefile",
            &zone,
            "--out",
            file,
        ];
        let by_hand = ["--sequence", sequence, "--owner", &owner];
        alice.does(&[&update[..], &by_hand].concat());
    }
    let out = place(&world, "zones");
    let pack = [
        "subdomain",
        "pack",
        "foo.id",
        third,
        first,
        second,
        "--out",
        &out,
    ];
    let packed = alice.does(&pack);
    let written = packed["zonefiles"].as_array().unwrap();
    assert_eq!(written.len(), 3, "{packed}");
    for (sequence, file) in (0..).zip(written) {
        let path = file["file"].as_str().unwrap();
        alice.does(&["name", "update", "foo.id", "--zonefile", path]);
        is_at(&world, name, sequence);
    }
}
