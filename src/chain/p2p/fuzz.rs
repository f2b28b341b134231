//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use std::sync::atomic::AtomicU64;

use bitcoin::p2p::Magic;
use bitcoin::p2p::message::NetworkMessage;
use tokio::runtime::{Builder, Runtime};

use super::message::{self, Heard};
use super::receive::receive;
use crate::chain::checked::{self, easiest_target};
use crate::chain::{BlockRef, header};

/// Takes bytes as all that a peer sends on a connection: each message is read or refused, and a block that passes its check is
/// the one of its hash.
///
/// # Panics
///
/// If a message has more bytes than there are, or one that was read is written as another.
pub fn messages_of_peer(mut bytes: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    loop {
        let before = bytes.len();
        let Some((heard, length)) = next(&runtime, &mut bytes) else {
            return;
        };
        assert_eq!(length as usize, before - bytes.len());
        check(&runtime, heard);
    }
}

fn next(runtime: &Runtime, bytes: &mut &[u8]) -> Option<(Heard, u64)> {
    let counter = AtomicU64::new(0);
    let received = runtime.block_on(receive(bytes, Magic::REGTEST, &counter));
    received.ok()
}

fn check(runtime: &Runtime, heard: Heard) {
    match heard {
        Heard::Headers(headers) => {
            let written = message::write(NetworkMessage::Headers(headers.clone()), Magic::REGTEST);
            let again = next(runtime, &mut &written[..]);
            assert_eq!(again.map(|(heard, _)| heard), Some(Heard::Headers(headers)));
        }
        Heard::Block(raw) => {
            let Ok(header) = header::parse(&raw) else {
                return;
            };
            let hash = header.block_hash();
            let at = BlockRef { height: 1, hash };
            let limit = easiest_target(bitcoin::Network::Regtest);
            if let Ok(block) = checked::block(at, raw, limit) {
                assert_eq!(
                    header::parse(&block.raw).map(|header| header.block_hash()),
                    Ok(hash)
                );
            }
        }
        _ => {}
    }
}
