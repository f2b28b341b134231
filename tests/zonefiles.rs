//! The zone files that the demo serves: each of them is read without a single problem.

use std::collections::BTreeSet;
use std::path::Path;

use bnsd::bns::name::Name;
use bnsd::hash::ZonefileHash;
use bnsd::zonefile::{mnemonic, parse, render};
use hickory_proto::rr::Name as DomainName;

/// Name and bytes of every file under `zonefiles/`.
fn shipped() -> Vec<(Name, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zonefiles");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.strip_suffix(".zone").expect("NAME.zone");
        files.push((name.parse().unwrap(), std::fs::read(&path).unwrap()));
    }
    files
}

fn origin(name: &Name) -> DomainName {
    DomainName::from_ascii(format!("{name}.")).unwrap()
}

#[test]
fn every_shipped_zone_file_reads_without_a_problem() {
    for (name, bytes) in shipped() {
        let zone = parse(&origin(&name), &bytes).unwrap();
        assert_eq!(zone.ignored(), [], "{name}");
        assert!(zone.records().next().is_some(), "{name}");
        assert!(bytes.starts_with(format!("$ORIGIN {name}\n$TTL 3600\n").as_bytes()));
        let again = parse(&origin(&name), render(&zone).as_bytes()).unwrap();
        assert_eq!(again, zone, "{name}");
    }
}

#[test]
fn together_they_show_what_a_zone_file_can_hold() {
    let names: Vec<_> = shipped().into_iter().map(|(name, _)| name).collect();
    let in_namespace = |id: &str| names.iter().filter(|name| name.namespace() == id).count();
    assert!(names.len() >= 22);
    assert!(in_namespace("id") > in_namespace("helloworld"));
    assert!(in_namespace("helloworld") >= 4);

    let mut types = BTreeSet::new();
    for (name, bytes) in shipped() {
        let zone = parse(&origin(&name), &bytes).unwrap();
        types.extend(zone.records().map(|record| mnemonic(record.rtype)));
    }
    for rtype in [
        "A",
        "AAAA",
        "CNAME",
        "MX",
        "TXT",
        "URI",
        "SRV",
        "TLSA",
        "SSHFP",
        "CAA",
        "HTTPS",
        "SVCB",
        "NAPTR",
        "TYPE65280",
    ] {
        assert!(types.contains(rtype), "no file has a {rtype} record");
    }
}

/// The zone file in the slides of the paper: these are its bytes as they were announced.
#[test]
fn judecn_id_has_its_historical_hash() {
    let (_, bytes) = shipped()
        .into_iter()
        .find(|(name, _)| name.as_str() == "judecn.id")
        .expect("zonefiles/judecn.id.zone");
    assert_eq!(
        ZonefileHash::of(&bytes).to_string(),
        "4d718e536b57c2dcc556cf2cdbadf1b6647ead80"
    );
}
