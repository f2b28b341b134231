//! A line on the control socket, in both directions: a message that was read can be written and read again.

#![no_main]

use bnsd::api::message::{Reply, Request, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = decode::<Request>(bytes) {
        let again: Request = decode(&encode(&request)).expect("our own line");
        assert_eq!(encode(&again), encode(&request));
    }
    if let Ok(reply) = decode::<Reply>(bytes) {
        let again: Reply = decode(&encode(&reply)).expect("our own line");
        assert_eq!(encode(&again), encode(&reply));
    }
});
