//! A file of a log: its segment or its list of them is read or refused; what is read is the one encoding of itself, and
//! no record of it passes for a block that it is not of.

#![no_main]

use bitcoin::Network;
use bitcoin::constants::genesis_block;
use bnsd::chain::log::manifest::Manifest;
use bnsd::chain::log::record::{Record, RecordFault};
use bnsd::chain::log::segment::{Reader, Writer};
use bnsd::virtualchain::scan::Candidate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = Manifest::parse(manifest.render().as_bytes());
        assert_eq!(again.as_ref(), Ok(&manifest));
    }
    let Ok(mut reader) = Reader::new(bytes) else {
        return;
    };
    let to = reader.header().to;
    if let Ok(writer) = Writer::resume(bytes, to) {
        assert_eq!(writer.finish(to), bytes);
    }
    while let Some(Ok(record)) = reader.next() {
        let header = genesis_block(Network::Bitcoin).header;
        assert!(record.check(&header, *b"id").is_err());
        let _ = record.join(shown(&record), |_| Ok::<_, RecordFault>(reader.spelled(0)));
    }
});

/// The candidates of a record as if it had been checked.
fn shown(record: &Record) -> Vec<Candidate> {
    let places = record.tree.positions().iter().skip(1);
    let given = places.zip(&record.candidates);
    let candidates = given.map(|(vtxindex, given)| Candidate {
        vtxindex: *vtxindex,
        transaction: given.transaction.clone(),
    });
    candidates.collect()
}
