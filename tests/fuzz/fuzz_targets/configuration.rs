//! A configuration file: it is settled, or refused with a message that has a line or a key.

#![no_main]

use bnsd::config::fuzz::of_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = of_text(text) {
        assert!(!error.to_string().is_empty());
    }
});
