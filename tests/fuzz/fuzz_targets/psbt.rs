//! A PSBT that somebody sends: its parts are found or it is refused, and nothing unsigned is finished.

#![no_main]

use bnsd::wallet::psbt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(psbt) = psbt::parse(bytes) else {
        return;
    };
    let prevouts = psbt::prevouts(&psbt);
    let finished = psbt::finish(&psbt);
    if finished.is_ok() {
        assert!(prevouts.is_ok());
    }
    let written = psbt.serialize();
    assert_eq!(psbt::parse(&written).as_ref(), Ok(&psbt));
});
