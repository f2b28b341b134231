//! Golden chains in a real database.

use std::path::{Path, PathBuf};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use bnsd::bns::changes::Changes;
use bnsd::bns::{Bns, Params};
use bnsd::cli::vectorfile::VectorFile;
use bnsd::indexer::ReplayBlock;
use bnsd::store::{ChainIdentity, Store, StoreError, StoreOptions};
use bnsd::virtualchain::{BlockHeader, CandidateBlock, connect_block};

/// The golden chain `folder/name`, from the first place that has it.
pub fn chain(folder: &str, name: &str) -> VectorFile {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = vec![
        project.join("../shared/vectors").join(folder),
        project.join("../shared").join(folder).join("vectors"),
        project.join("tests/vectors").join(folder),
    ];
    if let Some(given) = std::env::var_os("BNSD_VECTORS") {
        let given = project.join(given);
        places.insert(0, given.join("..").join(folder).join("vectors"));
        places.insert(0, given.join(folder));
    }
    let endings = ["json", "json.gz"].map(|ending| format!("{name}.{ending}"));
    let files = places
        .iter()
        .flat_map(|place| endings.iter().map(move |file| place.join(file)));
    let found: Option<PathBuf> = files.into_iter().find(|path| path.is_file());
    let path = found.unwrap_or_else(|| panic!("{folder}/{name} is in none of {places:?}"));
    VectorFile::open(&path).expect("a golden chain file")
}

/// A database for a chain.
pub fn open(directory: &Path, params: &Params, undo_depth: u32) -> Store {
    let chain = ChainIdentity::new("golden", params);
    let options = StoreOptions {
        undo_depth,
        ..StoreOptions::default()
    };
    let store = Store::open(directory, &chain, options).expect("the directory is free");
    store.seed(&params.genesis_changes()).expect("writable");
    store
}

/// Connects blocks in one transaction; `seen` is shown what each changes.
pub fn connect(
    store: &Store,
    bns: &Bns,
    blocks: &[ReplayBlock],
    mut seen: impl FnMut(u32, &Changes),
) {
    let connected: Result<(), StoreError> = store.write(|writer| {
        for block in blocks {
            let outcome = connect_block(bns, block.height, &block.candidates, writer.state())?;
            let about = BlockHeader {
                hash: hash(block.height),
                previous: hash(block.height - 1),
                time: 1_500_000_000 + block.height,
            };
            let shown = CandidateBlock {
                height: block.height,
                candidates: block.candidates.clone(),
                about,
            };
            writer.apply(&shown, &outcome)?;
            seen(block.height, &outcome.changes);
        }
        Ok(())
    });
    connected.expect("golden blocks connect");
}

/// Golden headers are no part of a database; any hash will do.
fn hash(height: u32) -> BlockHash {
    BlockHash::hash(&height.to_be_bytes())
}
