//! What real nodes send.

use std::time::{Duration, Instant};

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use serde_json::{Value, json};

use super::{Caller, NOBODY, Real};

/// What a block at a peer may take until it can be taken here, of the two seconds that the answer may take.
const BLOCK_TIME: Duration = Duration::from_secs(1);

#[test]
fn headers_blocks_and_reorganisations_come_from_a_real_node_also_when_it_restarts() {
    let mut real = Real::start();
    real.mine(120);
    let caller = Caller::of(&[real.address]);
    caller.follow(real.tip());
    let status = caller.peers.status();
    assert_eq!((status.connected, status.best_claimed), (1, Some(120)));
    assert!(status.last_heard.is_some() && status.bytes_in > 120 * 81);

    for height in [1, 60, 120] {
        let at = real.at(height);
        let came = caller.fetch(at);
        let theirs = real.block(at);
        assert_eq!((came.at, came.previous), (at, theirs.header.prev_blockhash));
        let ours: bitcoin::Block = deserialize(&came.raw).expect("a block");
        assert_eq!(ours.header, theirs.header);
        let txids = |block: &bitcoin::Block| -> Vec<Txid> {
            block.txdata.iter().map(Transaction::compute_txid).collect()
        };
        assert_eq!(txids(&ours), txids(&theirs));
        assert!(
            ours.txdata[0].input[0].witness.is_empty(),
            "it was not asked for"
        );
        assert!(!theirs.txdata[0].input[0].witness.is_empty());
    }

    // A block is announced by its header and is here at once.
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let start = Instant::now();
        real.mine(1);
        caller.follow(real.tip());
        caller.fetch(real.tip());
        slowest = slowest.max(start.elapsed());
    }
    println!("from a block at a peer to its bytes here: {slowest:?} at most");
    assert!(slowest < BLOCK_TIME, "{slowest:?}");

    for depth in [1, 10, 110] {
        let gone = real.at(real.node.height() + 1 - depth);
        let _: Value = real.node.call("invalidateblock", &[json!(gone.hash)]);
        real.mine_to_anybody(depth + 1); // with the same reward they would be the same blocks
        caller.follow(real.tip());
        caller.fetch(real.tip());
    }

    real.node.stop();
    real.start_again();
    real.mine(2);
    caller.follow(real.tip());
    caller.fetch(real.tip());
}

#[test]
fn following_costs_hardly_more_than_the_blocks() {
    const BLOCKS: u32 = 200;
    let real = Real::start();
    // Anybody can spend these rewards.
    let funded = real.mine_to_anybody(BLOCKS);
    real.mine(100);
    let caller = Caller::of(&[real.address]);
    caller.follow(real.tip());
    let before = caller.peers.status().bytes_in;
    let mut bytes = 0;
    for hash in funded {
        let reward: Value = real.node.call("getblock", &[json!(hash), json!(2)]);
        let txid: Txid = reward["tx"][0]["txid"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("an id");
        let transaction = data_encoding::HEXLOWER.encode(&serialize(&large(txid)));
        let made: Value = real
            .node
            .call("generateblock", &[json!(NOBODY), json!([transaction])]);
        assert!(made["hash"].is_string(), "{made}");
        let tip = real.tip();
        caller.follow(tip);
        bytes += caller.fetch(tip).raw.len() as u64;
    }
    let cost = caller.peers.status().bytes_in - before;
    println!("{BLOCKS} blocks of {bytes} bytes cost {cost} bytes");
    assert!(bytes > u64::from(BLOCKS) * 100_000);
    assert!(cost * 100 <= bytes * 105, "{cost} bytes for {bytes}");
}

/// A transaction of 100 kB that spends a reward which anybody can spend.
fn large(reward: Txid) -> Transaction {
    let data = ScriptBuf::from_bytes([vec![0x6a], vec![0; 9_000]].concat());
    let output = TxOut {
        value: Amount::ZERO,
        script_pubkey: data,
    };
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(reward, 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![output; 12],
    }
}
