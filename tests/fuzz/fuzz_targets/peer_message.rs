//! What a Bitcoin peer sends.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bnsd::chain::p2p::fuzz::messages_of_peer(bytes));
