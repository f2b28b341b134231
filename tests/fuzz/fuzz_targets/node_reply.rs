//! What a node replies over RPC: each question that following its chain takes is answered or fails.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bnsd::chain::bitcoind::fuzz::replies_of_node(bytes));
