//! A document of a peer: a call or a reply, or neither.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bnsd::atlas::fuzz::document_of_stranger(bytes));
