//! What follows the magic bytes of an `OP_RETURN`, by the rules of every epoch: it is read or refused, and
//! what was read can be written and read again.

#![no_main]

use bnsd::bns::epoch::historical;
use bnsd::bns::wire::Payload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for number in 1..=6 {
        let features = historical(number, u32::MAX).features;
        let Some(Ok(payload)) = Payload::parse(bytes, &features) else {
            continue;
        };
        if !matches!(payload, Payload::Unregistrable { .. }) {
            let again = Payload::parse(&payload.encode(), &features);
            assert_eq!(again, Some(Ok(payload)));
        }
    }
});
