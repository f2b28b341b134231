//! A packet of a client: it is passed over, or gets a reply that is whole, its own, and not too long.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bnsd::dns::fuzz::message_of_client(bytes));
