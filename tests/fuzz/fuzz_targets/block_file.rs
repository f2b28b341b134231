//! Bitcoin Core's block and undo files: any bytes are records, an end, or damage that is skipped, in as many
//! steps as there are bytes; undo data is decoded or refused.

#![no_main]

use std::io::Cursor;

use bitcoin::p2p::Magic;
use bnsd::chain::blockfile::record::{Next, RecordReader};
use bnsd::chain::blockfile::undo::BlockUndo;
use bnsd::chain::blockfile::{FileKind, ObfuscationKey};
use bnsd::virtualchain::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (key, content) = bytes.split_at_checked(8).unwrap_or((&[0; 8], bytes));
    let key = ObfuscationKey::from_file(key).expect("eight bytes");
    for kind in [FileKind::Blocks, FileKind::Undo] {
        read(kind, content, key);
        read(kind, content, ObfuscationKey::NONE);
    }
    if let Ok(undo) = BlockUndo::decode(content) {
        assert_eq!(BlockUndo::decode(&undo.encode()), Ok(undo));
    }
});

fn read(kind: FileKind, content: &[u8], key: ObfuscationKey) {
    let mut reader = RecordReader::new(Cursor::new(content), kind, Magic::REGTEST, key);
    for _ in 0..=content.len() {
        match reader.next_record().expect("memory can be read") {
            Next::Record(record) => {
                let _ = scan::scan(&record.payload, *b"id");
                let _ = BlockUndo::decode(&record.payload);
            }
            Next::Damaged | Next::Torn => {
                if !reader.skip_to_magic().expect("memory can be read") {
                    return;
                }
            }
            Next::End => return,
        }
    }
    panic!("more records than bytes");
}
