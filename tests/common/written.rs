//! The files of a log.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bitcoin::Network;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::{Hash as _, sha256};
use bnsd::chain::ChainSource;
use bnsd::chain::log::manifest::Manifest;
use bnsd::chain::log::segment::Reader;
use bnsd::indexer::{ExportError, Exported, Exporter, LocalSupply};
use bnsd::store::Store;

/// Writes the log of an index in regtest, completed from a source.
pub fn write(
    store: &Arc<Store>,
    source: impl ChainSource + 'static,
    directory: &Path,
) -> Result<Exported, ExportError> {
    let mut supply = LocalSupply::new(Arc::clone(store), Box::new(source), Network::Regtest);
    Exporter::open(directory)?.update(&mut supply, &mut |_, _| ())
}

/// Every file below a directory, by its path in it.
pub fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in ["", "segments"] {
        let entries = fs::read_dir(directory.join(folder)); // there may be no segments
        for entry in entries
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry"))
        {
            if entry.path().is_file() {
                let name = Path::new(folder).join(entry.file_name());
                let bytes = fs::read(entry.path()).expect("a file");
                found.insert(name.display().to_string(), bytes);
            }
        }
    }
    found
}

/// What a log says that it has; all of it has to be there, and true. Gives also how many candidates there are.
pub fn check(directory: &Path) -> (Manifest, usize) {
    let files = files(directory);
    let manifest = Manifest::parse(&files["log.json"]).expect("a log.json");
    let headers: Vec<Header> = files["headers"]
        .chunks_exact(80)
        .map(|bytes| deserialize(bytes).expect("a header"))
        .collect();
    assert!(headers.len() > manifest.headers.to as usize);
    let linked = headers[..=manifest.headers.to as usize].windows(2);
    for pair in linked {
        assert_eq!(pair[1].prev_blockhash, pair[0].block_hash());
    }
    let mut candidates = 0;
    for entry in manifest.entries() {
        let path = match manifest.open == Some(*entry) {
            true => "segments/open".to_owned(),
            false => entry.sealed_path(),
        };
        let bytes = &files[&path];
        assert_eq!(bytes.len() as u64, entry.bytes, "{path}");
        assert_eq!(sha256::Hash::hash(bytes), entry.sha256, "{path}");
        let last = headers[entry.to as usize].block_hash();
        assert_eq!(last, entry.block_hash, "{path}");
        for record in Reader::new(bytes).expect("a segment") {
            let record = record.expect("a record");
            let header = &headers[record.height as usize];
            let found = record.check(header, manifest.magic).expect("true");
            candidates += found.len();
        }
    }
    (manifest, candidates)
}
