//! A zone file as anybody may write it: it is parsed within its bounds, and what it rendered to is parsed to
//! the same records.

#![no_main]

use bnsd::zonefile::{parse, render};
use hickory_proto::rr::Name;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let origin = Name::from_ascii("fuzz.id.").expect("a name");
    let Ok(zone) = parse(&origin, bytes) else {
        return;
    };
    let text = render(&zone);
    if let Ok(again) = parse(&origin, text.as_bytes()) {
        assert_eq!(render(&again), text);
    }
});
