//! What a compiled zone holds is what the zone holds, and no bytes harm its reader.

use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::*;
use crate::zonefile::{Added, Found, Node, fixture, parse, parse_own};

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

/// The labels of a name below `labels` of its last ones, in wire form and lower case.
fn below(name: &Name, labels: usize) -> Vec<u8> {
    let above = name.iter().len() - labels;
    let mut wire = Vec::new();
    for label in name.iter().take(above) {
        wire.push(label.len() as u8);
        wire.extend(label.to_ascii_lowercase());
    }
    wire
}

/// Type, TTL and data of everything at a name.
type Records = Vec<(u16, u32, Vec<Vec<u8>>)>;

fn of_node(node: &Node) -> Records {
    let sets = node.rrsets().iter();
    sets.map(|set| {
        let rdata = set.rdata().map(<[u8]>::to_vec).collect();
        (set.rtype().into(), set.ttl(), rdata)
    })
    .collect()
}

fn of_compiled(node: CompiledNode<'_>) -> Records {
    node.sets()
        .map(|set| {
            assert_eq!(node.set(set.rtype), Some(set));
            let rdata = set.rdata().map(<[u8]>::to_vec).collect();
            (set.rtype, set.ttl, rdata)
        })
        .collect()
}

/// Compares what both have for a name at or below the origin.
fn compare(zone: &Zone, compiled: &Compiled, asked: &Name) {
    let below = below(asked, zone.origin().iter().len());
    match (zone.find(asked), compiled.find(&below)) {
        (Found::Exact(node), CompiledFound::Exact(compiled)) => {
            assert_eq!(of_node(node), of_compiled(compiled), "{asked}");
            for rtype in (0..=300).chain([65_280, 65_281]) {
                let set = node.rrset(RecordType::from(rtype));
                let found = set.map(|set| set.rdata().map(<[u8]>::to_vec).collect::<Vec<_>>());
                let compiled = compiled.set(rtype);
                let compiled = compiled.map(|set| set.rdata().map(<[u8]>::to_vec).collect());
                assert_eq!(found, compiled, "{asked} {rtype}");
            }
        }
        (Found::EmptyNonTerminal, CompiledFound::EmptyNonTerminal)
        | (Found::Absent { .. }, CompiledFound::Absent) => {}
        (Found::Wildcard(_) | Found::EmptyNonTerminal, CompiledFound::Absent)
            if compiled.has_wildcard() => {}
        other => panic!("{asked}: {other:?}"),
    }
}

/// Compares both at every name of the zone, above each, below each, and beside each.
fn compare_everywhere(zone: &Zone) {
    let compiled = Compiled::of(zone).expect("a zone of a file");
    let again = Compiled::of(zone).expect("a zone of a file");
    assert_eq!(compiled.as_bytes(), again.as_bytes());
    assert_eq!(Compiled::read(compiled.as_bytes()), Ok(again));
    assert!(compiled.origin().ends_with(&[0]));
    compare(zone, &compiled, zone.origin());
    let labels = zone.origin().iter().len();
    for node in zone.nodes() {
        let is_dname = node.rrset(RecordType::from(code::DNAME)).is_some();
        assert!(compiled.has_dname() || !is_dname);
        let depth = node.name().iter().len();
        for above in (labels..=depth).map(|labels| node.name().trim_to(labels)) {
            compare(zone, &compiled, &above);
            for beside in [&b"a"[..], b"*", b"x", b"\0", b"zz", b"_tcp"] {
                if let Ok(beside) = above.prepend_label(beside) {
                    compare(zone, &compiled, &beside);
                }
            }
        }
    }
    let soa = zone
        .soa()
        .and_then(|set| set.rdata().next().map(<[u8]>::to_vec));
    let compiled = compiled.soa();
    let compiled = compiled.and_then(|set| set.rdata().next().map(<[u8]>::to_vec));
    assert_eq!(soa, compiled);
}

fn zone(text: &[u8]) -> Zone {
    parse(&name("foo.id."), text).expect("not too long")
}

const EXAMPLES: [&str; 6] = [
    "",
    "@ A 192.0.2.1\n@ AAAA 2001:db8::1\nwww CNAME @\nmail A 192.0.2.1\n_http._tcp URI 10 1 \"https://x/\"\n",
    "@ SOA a. b. 1 2 3 4 5\n* A 192.0.2.1\nsub.* TXT x\nd DNAME e\na.b.c.d.e TXT y\n",
    "a TXT 1\na TXT 2\na MX 1 b\nab TXT x\na-b TXT x\n*.x TYPE65280 \\# 0\nt TYPE65281 \\# 2 0001\n",
    "\\000 TXT x\n\\001 TXT x\n\\000\\001.\\001 TXT x\nA.B TXT x\n\\\\.\\. TXT x\n",
    "$ORIGIN foo.id\n$TTL 60\n@ NS ns\nns A 192.0.2.1\nb.ent HTTPS 1 . alpn=h2\n",
];

#[test]
fn what_is_compiled_is_what_was_parsed() {
    for text in EXAMPLES {
        let zone = zone(text.as_bytes());
        assert_eq!(zone.ignored(), [], "{text}");
        compare_everywhere(&zone);
    }
}

#[test]
fn the_largest_zones_have_room() {
    let label = "x".repeat(30);
    let many: String = (0..1000).map(|n| format!("n{n}.x A 192.0.2.1\n")).collect();
    let added = (0..1000).map(|n| Added {
        owner: name(&format!("{label}.{label}.{label}.m{n}.foo.id.")),
        rtype: RecordType::TLSA,
        ttl: 60,
        rdata: vec![vec![0; 35]],
    });
    let zone = zone(many.as_bytes()).with(added);
    let compiled = Compiled::of(&zone).expect("room");
    assert!(compiled.as_bytes().len() > 65_536);
    for asked in [
        "n999.x.foo.id.",
        &format!("{label}.{label}.{label}.m999.foo.id."),
    ] {
        let found = compiled.find(&below(&name(asked), 2));
        assert!(matches!(found, CompiledFound::Exact(_)), "{asked}");
        compare(&zone, &compiled, &name(asked));
    }
}

#[test]
fn files_that_come_with_the_program_are_compiled() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zonefiles");
    let files = std::fs::read_dir(folder).expect("the folder of zone files");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file").path();
        if path.is_file() {
            compare_everywhere(&zone(&std::fs::read(path).expect("a readable file")));
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn historical_zone_files_are_compiled_where_they_are_at_hand() {
    let Some(files) = fixture::historical() else {
        return println!("the historical zone files are not there");
    };
    for file in files {
        compare_everywhere(&parse_own(&file).expect("an origin"));
    }
}

#[test]
fn what_the_fuzzer_starts_from_is_read() {
    let seeds = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/seeds/compiled_zone"
    );
    for seed in std::fs::read_dir(seeds).expect("the seeds") {
        let path = seed.expect("a file").path();
        let bytes = std::fs::read(&path).expect("a readable file");
        assert!(Compiled::read(&bytes).is_ok(), "{}", path.display());
        read_all(&bytes);
    }
}

#[test]
fn another_version_is_not_read() {
    let compiled = Compiled::of(&zone(EXAMPLES[1].as_bytes())).expect("a small zone");
    let mut bytes = compiled.as_bytes().to_vec();
    bytes[0] = VERSION + 1;
    assert_eq!(Compiled::read(&bytes), Err(Malformed::Version(VERSION + 1)));
    assert_eq!(Compiled::read(&[]), Err(Malformed::Form));
}

#[test]
fn no_byte_that_is_left_out_or_added_goes_unnoticed() {
    for text in EXAMPLES {
        let compiled = Compiled::of(&zone(text.as_bytes())).expect("a small zone");
        let bytes = compiled.as_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Compiled::read(&bytes[..length]), Err(Malformed::Form));
        }
        assert!(Compiled::read(&[bytes, &[0]].concat()).is_err());
    }
}

/// Lines of which many can be read.
fn line() -> impl Strategy<Value = String> {
    let owner = prop::sample::select(vec![
        "@", "a", "A", "b.a", "c.b.a", "*", "*.a", "x.*", "\\000", "\\001.a", "_tcp", "ent.ent",
    ]);
    let data = prop::sample::select(vec![
        "A 192.0.2.1",
        "A 10.0.0.1",
        "30 AAAA 2001:db8::1",
        "TXT x",
        "TXT y",
        "MX 10 a",
        "CNAME a",
        "DNAME b",
        "SOA a. b. 1 2 3 4 5",
        "NS ns",
        "TYPE65280 \\# 0",
        "TYPE65281 \\# 2 0102",
        "HTTPS 1 . ipv4hint=10.0.0.1",
    ]);
    (owner, data).prop_map(|(owner, data)| format!("{owner} {data}\n"))
}

proptest! {
    #[test]
    fn whatever_is_parsed_is_compiled(lines in prop::collection::vec(line(), 0..20)) {
        compare_everywhere(&zone(lines.concat().as_bytes()));
    }

    #[test]
    fn no_text_is_compiled_otherwise(text in "[@a*. \n\"\\\\0-9A-Z]{0,200}") {
        compare_everywhere(&zone(text.as_bytes()));
    }

    #[test]
    fn what_is_not_the_form_is_refused_or_read_within_its_bounds(
        lines in prop::collection::vec(line(), 0..8),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let compiled = Compiled::of(&zone(lines.concat().as_bytes())).expect("a small zone");
        let mut bytes = compiled.as_bytes().to_vec();
        for (place, value) in changes {
            *place.get_mut(&mut bytes) = value;
        }
        read_all(&bytes);
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = VERSION;
            read_all(&bytes);
        }
    }
}
