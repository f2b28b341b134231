//! A raw block: it is scanned or refused, every candidate is parsed as an operation in every epoch, and where
//! Bitcoin's own decoder takes the block, the scan finds what it finds.

#![no_main]

use bitcoin::{Amount, Block, ScriptBuf, TxOut, consensus};
use bnsd::bns::{Operation, Params};
use bnsd::virtualchain::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let params = Params::mainnet();
    let scanned = scan::scan(bytes, params.magic);
    if let Ok(block) = consensus::deserialize::<Block>(bytes) {
        let expected = block
            .txdata
            .iter()
            .enumerate()
            .filter(|(_, transaction)| scan::payload(transaction, params.magic).is_some());
        let expected: Vec<usize> = expected.map(|(vtxindex, _)| vtxindex).collect();
        let found = scanned.as_ref().expect("Bitcoin's decoder took the block");
        assert!(
            found
                .iter()
                .map(|found| found.vtxindex as usize)
                .eq(expected)
        );
    }
    for candidate in scanned.unwrap_or_default() {
        let spent = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from([&[0xa9, 0x14][..], &[7; 20], &[0x87]].concat()),
        };
        let prevouts = candidate.outpoints().map(|_| spent.clone()).collect();
        let transaction = candidate.with_prevouts(prevouts);
        for epoch in &params.epochs {
            let height = epoch.end_block;
            let _ = Operation::parse(&params, height, &transaction);
        }
    }
});
