//! A compiled zone as it may lie on a disk that somebody wrote to: it is refused, or all that it says is there.

#![no_main]

use bnsd::zonefile::read_all;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read_all(bytes));
