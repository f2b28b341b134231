//! The conformance checklist, row by row, against the running program through sockets.
//!
//! A test is called after its row and the RFC that asks for it. The client writes its queries byte by byte, since
//! half of the rows are about bytes that no library would send.

use std::fs;
use std::path::Path;

mod bench;

/// One message: header, question, EDNS, truncation.
mod message;

/// Streams: pipelining, limits, slow clients.
mod stream;

/// Names of the chain: zone files, wildcards, chains of aliases.
mod zone;

/// Names that never leave the machine, and those that collide.
mod namespaces;

/// What never leaves the machine.
mod privacy;

/// DNS over TLS and over HTTPS.
mod encrypted;

/// Who may ask; what is written down.
mod exposure;

/// Floods and garbage, in short.
mod hostile;

/// Garbage on connections.
mod garbage;

/// Other people's clients in a network namespace, on port 53.
mod clients;

/// Networks with a login page.
mod portal;

/// Validators that ask bnsd.
mod validators;

/// Rows that cannot be tested: nothing is validated here yet, and nobody asks the root.
const NOT_APPLICABLE: [u32; 2] = [31, 32];
/// The last row of the checklist.
const LAST_ROW: u32 = 54;

/// Every row has a test that is called after it, here or among those of the upstreams.
#[test]
fn every_row_of_the_checklist_has_its_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = ["conformance", "forward"].map(|folder| fs::read_dir(tests.join(folder)).unwrap());
    let text: String = files
        .into_iter()
        .flatten()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let is_there = |row: &u32| text.contains(&format!("#[test]\nfn row_{row:02}_"));
    let missing: Vec<u32> = (1..=LAST_ROW)
        .filter(|row| !NOT_APPLICABLE.contains(row) && !is_there(row))
        .collect();
    assert!(missing.is_empty(), "rows without a test: {missing:?}");
}
