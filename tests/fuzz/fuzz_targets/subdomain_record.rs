//! The zone file of a name, as one that carries records of subdomains.
#![no_main]

use bnsd::bns::address::AddressVersions;
use bnsd::bns::subdomain::{Record, read};
use libfuzzer_sys::fuzz_target;

const VERSIONS: AddressVersions = AddressVersions::MAINNET;

fuzz_target!(|bytes: &[u8]| {
    let carrier = "foo.test".parse().expect("a name");
    let Ok(carried) = read(&carrier, bytes, VERSIONS) else {
        return;
    };
    for record in &carried.records {
        assert_eq!(record.independent, *record.subdomain.name() != carrier);
        let unsigned = Record {
            signature: None,
            ..record.clone()
        };
        assert_eq!(unsigned.signer(VERSIONS), None);
        let _ = record.signer(VERSIONS);
        let file = format!("$ORIGIN foo.test\n$TTL 0\n{}\n", record.line(VERSIONS));
        // Written anew it may be longer than a zone file can be.
        if let Ok(again) = read(&carrier, file.as_bytes(), VERSIONS) {
            assert_eq!(again.records, [record.clone()], "{file}");
        }
    }
});
