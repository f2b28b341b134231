//! A packet of an upstream: it is dropped, or kept, served and restored as a whole message.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bnsd::upstream::fuzz::message_of_upstream(bytes));
