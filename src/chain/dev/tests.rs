//! The promises of the embedded chain: valid blocks, refused transactions, reorganisations, crashes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, EcdsaSighashType, Network, OutPoint, PublicKey, Script, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, Txid, Witness, ecdsa,
};

use super::coins::COINBASE_MATURITY;
use super::spend::SpendError;
use super::*;
use crate::chain::battery::{self, Stage};
use crate::chain::blockfiles::BlockFilesSource;
use crate::chain::{ChainSource, Event};

/// The caller's clock; after regtest's genesis block (2011).
const NOW: u32 = 1_700_000_000;

#[test]
fn the_embedded_chain_keeps_what_every_source_promises() {
    battery::run(|| DevStage::new(|stage| Box::new(stage.chain.source(0))));
}

#[test]
fn its_files_followed_without_it_keep_the_same_promises() {
    battery::run(|| DevStage::new(|stage| Box::new(stage.files())));
    let smallest = |stage: &DevStage| stage.files().with_piece(Duration::ZERO);
    battery::run(|| DevStage::new(move |stage| Box::new(smallest(stage))));
}

struct DevStage {
    chain: DevChain,
    directory: tempfile::TempDir,
    source: Follow,
}

/// How a stage is followed.
type Follow = Box<dyn Fn(&DevStage) -> Box<dyn ChainSource>>;

impl DevStage {
    fn new(source: impl Fn(&Self) -> Box<dyn ChainSource> + 'static) -> Self {
        let directory = scratch();
        Self {
            chain: open(directory.path()),
            directory,
            source: Box::new(source),
        }
    }

    fn files(&self) -> BlockFilesSource {
        BlockFilesSource::new(&self.directory.path().join("blocks"), Network::Regtest, 0)
    }
}

impl Stage for DevStage {
    fn source(&self) -> Box<dyn ChainSource> {
        (self.source)(self)
    }

    fn grow(&mut self, count: u32) {
        let key = Key::new(1);
        for _ in 0..count {
            let coins = self.chain.spendable(&key.script());
            let spends = coins.first().map(|coin| key.spend(coin, &key.script(), 0));
            mine(&self.chain, &key, spends.into_iter().collect());
        }
    }

    fn reorganise(&mut self, depth: u32) {
        let key = Key::new(2);
        let fork = self.chain.tip().height - depth;
        let mut parent = self.chain.block_at(fork).expect("below the tip").hash;
        for _ in 0..=depth {
            let mined = self.chain.mine_on(parent, &key.script(), vec![], NOW);
            parent = mined.expect("an empty block").hash;
        }
    }
}

#[test]
fn a_spend_is_mined_once_and_its_reward_has_subsidy_and_fee() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let coin = first_coin(&chain, &key);
    let spend = key.spend(&coin, &Key::new(2).script(), 1_000);
    chain.check(std::slice::from_ref(&spend)).expect("valid");
    let at = mine(&chain, &key, vec![spend.clone()]);
    let block = read(&chain, at);
    assert_eq!(block.txdata[1], spend);
    assert_eq!(
        block.txdata[0].output[0].value.to_sat(),
        5_000_000_000 + 1_000
    );
    assert_eq!(
        block.bip34_block_height().expect("height in the coinbase"),
        u64::from(at.height)
    );
    let again = chain.mine(&key.script(), vec![spend.clone()], NOW);
    assert_refused(again, TransactionError::Missing(coin.0));
    assert_eq!(chain.tip(), at, "a refused transaction changes nothing");
    let twice = vec![key.spend(&coin_of(&spend), &key.script(), 0); 2];
    assert!(chain.mine(&key.script(), twice, NOW).is_err());
}

#[test]
fn one_block_can_hold_a_chain_of_spends() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let first = key.spend(&first_coin(&chain, &key), &key.script(), 500);
    let second = key.spend(&coin_of(&first), &key.script(), 500);
    let before = content(&chain);
    mine(&chain, &key, vec![first.clone(), second.clone()]);
    chain
        .rewind(before.0.len() as u32 - 1)
        .expect("below the tip");
    assert!(content(&chain) == before);
    let refused = chain.mine(&key.script(), vec![second.clone(), first], NOW);
    assert_refused(
        refused,
        TransactionError::Missing(second.input[0].previous_output),
    );
}

#[test]
fn rewards_mature_after_a_hundred_blocks() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    let at = mine(&chain, &key, vec![]);
    let reward = coin_of(&read(&chain, at).txdata[0]);
    chain
        .mine_empty(&key.script(), COINBASE_MATURITY - 2, NOW)
        .expect("empty blocks");
    let spend = key.spend(&reward, &key.script(), 0);
    let height = at.height + COINBASE_MATURITY;
    let outpoint = reward.0;
    assert_refused(
        chain.mine(&key.script(), vec![spend.clone()], NOW),
        TransactionError::Immature { outpoint, height },
    );
    assert_eq!(chain.spendable(&key.script()), []);
    mine(&chain, &key, vec![]);
    assert_eq!(chain.spendable(&key.script()), [reward]);
    assert_eq!(mine(&chain, &key, vec![spend]).height, height);
}

#[test]
fn broken_transactions_are_refused_with_their_rule() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let coin = first_coin(&chain, &key);
    let good = key.spend(&coin, &key.script(), 1_000);
    type Breaking = fn(&mut Transaction);
    let spend = |reason| TransactionError::Spend { index: 0, reason };
    let cases: [(Breaking, TransactionError); 8] = [
        (
            |tx| tx.output[0].value += Amount::ONE_BTC * 90,
            TransactionError::Overspent,
        ),
        (
            |tx| tx.output[0].value = Amount::from_sat(u64::MAX),
            TransactionError::Overspent,
        ),
        (
            |tx| tx.output[0].value -= Amount::ONE_SAT,
            spend(SpendError::Signature),
        ),
        (
            |tx| tx.input[0].script_sig = ScriptBuf::new(),
            spend(SpendError::Mismatch),
        ),
        (
            |tx| tx.input[0].witness.push([1]),
            spend(SpendError::Unsupported),
        ),
        (|tx| tx.output.clear(), TransactionError::Shape),
        (
            |tx| tx.input[0].previous_output = OutPoint::null(),
            TransactionError::Coinbase,
        ),
        (
            |tx| {
                tx.version = Version::TWO;
                tx.input[0].sequence = Sequence::from_height(1);
            },
            TransactionError::RelativeLock,
        ),
    ];
    for (number, (breaking, reason)) in cases.into_iter().enumerate() {
        let mut broken = good.clone();
        breaking(&mut broken);
        let refused = chain.check(&[broken]).expect_err("broken");
        assert_eq!(refused.reason, reason, "case {number}");
    }
    let mut repeated = good.clone();
    repeated.input.push(good.input[0].clone());
    let refused = chain.check(&[repeated]).expect_err("broken");
    assert_eq!(refused.reason, TransactionError::Repeated(coin.0));
    let stolen = Key::new(2).spend(&coin, &key.script(), 0);
    let refused = chain.check(&[stolen]).expect_err("another's coin");
    assert_eq!(refused.reason, spend(SpendError::Mismatch));
    chain
        .check(&[good])
        .expect("nothing was changed by all this");
}

#[test]
fn lock_times_are_kept() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let coin = first_coin(&chain, &key);
    let next = chain.tip().height + 1;
    let locked = |height| {
        let mut tx = key.spend(&coin, &key.script(), 0);
        tx.lock_time = LockTime::from_height(height).expect("a height");
        tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
        key.sign(tx, &coin.1)
    };
    let refused = chain
        .check(&[locked(next)])
        .expect_err("one block too early");
    assert_eq!(refused.reason, TransactionError::LockTime);
    chain.check(&[locked(next - 1)]).expect("reached");
}

#[test]
fn two_of_three_keys_spend_a_script_hash() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let keys = [Key::new(2), Key::new(3), Key::new(4)];
    let mut redeem = Builder::new().push_int(2);
    for key in &keys {
        redeem = redeem.push_key(&key.public());
    }
    let redeem = redeem
        .push_int(3)
        .push_opcode(OP_CHECKMULTISIG)
        .into_script();
    let funding = key.spend(&first_coin(&chain, &key), &redeem.to_p2sh(), 0);
    mine(&chain, &key, vec![funding.clone()]);
    let spend = |signers: &[&Key]| {
        let mut tx = transfer(&coin_of(&funding), &key.script(), 0);
        let mut script = Builder::new().push_int(0);
        for signer in signers {
            script = script.push_slice(signer.signature(&tx, &redeem));
        }
        let redeem = PushBytesBuf::try_from(redeem.to_bytes()).expect("short");
        tx.input[0].script_sig = script.push_slice(redeem).into_script();
        tx
    };
    let [a, _, c] = &keys;
    let reason = |signers: &[&Key]| {
        chain
            .check(&[spend(signers)])
            .map_err(|refused| refused.reason)
    };
    let spend_error = |reason| Err(TransactionError::Spend { index: 0, reason });
    assert_eq!(
        reason(&[c, a]),
        spend_error(SpendError::Signature),
        "out of order"
    );
    assert_eq!(reason(&[a]), spend_error(SpendError::Mismatch));
    assert_eq!(reason(&[a, &key]), spend_error(SpendError::Signature));
    mine(&chain, &key, vec![spend(&[a, c])]);
}

#[test]
fn a_longer_branch_wins_and_brings_its_own_coins() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let fork = chain.tip();
    let before = content(&chain);
    let spend = key.spend(&first_coin(&chain, &key), &Key::new(2).script(), 0);
    let old = mine(&chain, &key, vec![spend.clone()]);
    let other = Key::new(3).script();
    let side = chain
        .mine_on(fork.hash, &other, vec![], NOW)
        .expect("empty");
    assert_eq!(chain.tip(), old, "the first seen among equals stays");
    let top = chain.mine_on(side.hash, &other, vec![spend.clone()], NOW);
    let top = top.expect("the spend is unspent on this branch");
    assert_eq!(chain.tip(), top);
    assert_eq!(chain.spendable(&Key::new(2).script()), [coin_of(&spend)]);
    chain.rewind(fork.height).expect("below the tip");
    assert_eq!(
        chain.tip(),
        old,
        "the old branch is the best of what is left"
    );
    chain.rewind(fork.height).expect("below the tip");
    assert!(content(&chain) == before);
    let rewound = content(&chain);
    drop(chain);
    let reopened = open(directory.path());
    assert!(content(&reopened) == rewound, "rewound for good");
    assert_ne!(mine(&reopened, &key, vec![spend]).hash, old.hash);
    assert!(reopened.mine_on(old.hash, &other, vec![], NOW).is_err());
}

#[test]
fn txids_of_rewards_differ_between_branches() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    let genesis = chain.tip().hash;
    let mut txids: Vec<Txid> = Vec::new();
    for _ in 0..3 {
        let at = chain.mine_on(genesis, &key.script(), vec![], NOW);
        let block = read(&chain, at.expect("empty"));
        txids.push(block.txdata[0].compute_txid());
    }
    assert!(txids[0] != txids[1] && txids[1] != txids[2] && txids[0] != txids[2]);
    assert_ne!(txids[0], Txid::all_zeros());
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_chain() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    let tip = chain.mine_empty(&key.script(), 100, NOW).expect("empty");
    let time = read(&chain, tip).header.time;
    assert!((NOW..NOW + 60).contains(&time), "{time}");
    let next = chain
        .mine(&key.script(), vec![], NOW - 3 * 60 * 60)
        .expect("empty");
    let later = read(&chain, next).header.time;
    assert!((NOW..=time).contains(&later), "{later}");
}

#[test]
fn confirmations_hold_blocks_back() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    chain.mine_empty(&key.script(), 3, NOW).expect("empty");
    let mut source = chain.source(2);
    let Ok(Event::Connect(block)) = source.next(None, 1) else {
        panic!("one block is deep enough");
    };
    assert_eq!(block.at.height, 1);
    assert_eq!(
        source.next(Some(block.at), 1).expect("readable"),
        Event::Idle
    );
    mine(&chain, &key, vec![]);
    let next = source.next(Some(block.at), 1).expect("readable");
    assert!(matches!(next, Event::Connect(_)));
}

#[test]
fn a_new_block_wakes_those_who_wait() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    let mut source = chain.source(0);
    let tip = Some(chain.tip());
    assert_eq!(source.next(tip, 0).expect("readable"), Event::Idle);
    let waiting = std::thread::spawn(move || {
        source.wait(Duration::from_secs(60));
        source.next(tip, 0).expect("readable")
    });
    mine(&chain, &key, vec![]);
    let event = waiting.join().expect("no panic");
    assert!(matches!(event, Event::Connect(_)));
}

/// A block is appended to `blk`, then its undo data to `rev`. A crash can cut the last record of either at any
/// byte, and may leave zeros where data was not yet written. Nothing that was whole may be lost, and the
/// chain must go on from there.
#[test]
fn a_record_torn_at_any_byte_costs_nothing_but_itself() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = funded(directory.path(), &key);
    let coin = first_coin(&chain, &key);
    let below = content(&chain);
    let [blk, rev] =
        ["blk00000.dat", "rev00000.dat"].map(|name| directory.path().join("blocks").join(name));
    let start = [&blk, &rev].map(|path| fs::metadata(path).expect("there").len() as usize);
    mine(&chain, &key, vec![key.spend(&coin, &key.script(), 0)]);
    let whole = content(&chain);
    drop(chain);
    let bytes = [&blk, &rev].map(|path| fs::read(path).expect("readable"));
    for length in start[0]..bytes[0].len() {
        let kept = &bytes[0][..length];
        let zeros = vec![0; bytes[0].len() - length];
        let zeroed = [kept, &zeros].concat();
        // The block's last bytes are zeros, so not every cut shows once zeros stand there.
        let torn = if length % 2 == 1 && zeroed != bytes[0] {
            &zeroed
        } else {
            kept
        };
        fs::write(&blk, torn).expect("writable");
        assert!(
            content(&open(directory.path())) == below,
            "block cut at {length}"
        );
    }
    fs::write(&blk, &bytes[0]).expect("writable");
    for length in start[1]..bytes[1].len() {
        fs::write(&rev, &bytes[1][..length]).expect("writable");
        let chain = open(directory.path());
        assert!(content(&chain) == whole, "undo cut at {length}");
        drop(chain);
        assert_eq!(fs::read(&rev).expect("readable"), bytes[1]);
    }
    let chain = open(directory.path());
    chain.rewind(chain.tip().height - 1).expect("below the tip");
    assert!(content(&chain) == below, "the undo data is used");
}

#[test]
fn damage_before_sound_blocks_is_told_not_repaired() {
    let (directory, key) = (scratch(), Key::new(1));
    let chain = open(directory.path());
    chain.mine_empty(&key.script(), 3, NOW).expect("empty");
    drop(chain);
    let path = directory.path().join("blocks/blk00000.dat");
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    let error = DevChain::open(directory.path()).expect_err("damaged");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("readable"), bytes, "left as it is");
}

#[test]
fn a_second_owner_is_told_so() {
    let directory = scratch();
    let _chain = open(directory.path());
    let error = DevChain::open(directory.path()).expect_err("locked");
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
}

#[test]
fn a_file_of_another_network_is_refused() {
    let directory = scratch();
    let genesis = bitcoin::constants::genesis_block(Network::Signet);
    let block = bitcoin::Block {
        header: crate::chain::header::find_nonce(bitcoin::block::Header {
            bits: bitcoin::CompactTarget::from_consensus(crate::chain::header::REGTEST_BITS),
            ..genesis.header
        })
        .expect("half of all nonces are good"),
        ..genesis
    };
    let record = crate::chain::blockfile::record::encode_block(
        bitcoin::p2p::Magic::REGTEST,
        &serialize(&block),
    );
    fs::create_dir(directory.path().join("blocks")).expect("writable");
    fs::write(directory.path().join("blocks/blk00000.dat"), record).expect("writable");
    let error = DevChain::open(directory.path()).expect_err("no such chain");
    assert!(matches!(error, OpenError::Replay { .. }), "{error}");
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

fn open(directory: &Path) -> DevChain {
    DevChain::open(directory).expect("opens")
}

/// A chain with one mature reward for `key`.
fn funded(directory: &Path, key: &Key) -> DevChain {
    let chain = open(directory);
    mine(&chain, key, vec![]);
    let nobody = Key::new(99).script();
    chain
        .mine_empty(&nobody, COINBASE_MATURITY - 1, NOW)
        .expect("empty blocks");
    chain
}

fn mine(chain: &DevChain, key: &Key, transactions: Vec<Transaction>) -> BlockRef {
    chain
        .mine(&key.script(), transactions, NOW)
        .expect("valid transactions")
}

/// Best branch and coins.
fn content(chain: &DevChain) -> (Vec<BlockHash>, coins::Coins) {
    chain.lock().content()
}

fn first_coin(chain: &DevChain, key: &Key) -> (OutPoint, TxOut) {
    chain.spendable(&key.script()).remove(0)
}

fn read(chain: &DevChain, at: BlockRef) -> bitcoin::Block {
    let block = chain.lock().read(at).expect("readable");
    deserialize(&block.raw).expect("a whole block")
}

fn assert_refused(result: Result<BlockRef, MineError>, expected: TransactionError) {
    match result {
        Err(MineError::Refused(refused)) => assert_eq!(refused.reason, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
}

/// The first output of a transaction.
fn coin_of(transaction: &Transaction) -> (OutPoint, TxOut) {
    let outpoint = OutPoint::new(transaction.compute_txid(), 0);
    (outpoint, transaction.output[0].clone())
}

/// An unsigned transaction that moves a coin, less a fee in satoshi.
fn transfer(coin: &(OutPoint, TxOut), to: &Script, fee: u64) -> Transaction {
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin.0,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: coin.1.value - Amount::from_sat(fee),
            script_pubkey: to.to_owned(),
        }],
    }
}

/// A key of the tests' own, because the wallet stands above the chain.
struct Key(SecretKey);

impl Key {
    fn new(number: u8) -> Self {
        Self(SecretKey::from_slice(&[number; 32]).expect("a valid key"))
    }

    fn public(&self) -> PublicKey {
        PublicKey::new(self.0.public_key(&Secp256k1::new()))
    }

    fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2pkh(&self.public().pubkey_hash())
    }

    fn spend(&self, coin: &(OutPoint, TxOut), to: &Script, fee: u64) -> Transaction {
        self.sign(transfer(coin, to, fee), &coin.1)
    }

    fn sign(&self, mut transaction: Transaction, prevout: &TxOut) -> Transaction {
        let signature = self.signature(&transaction, &prevout.script_pubkey);
        transaction.input[0].script_sig = Builder::new()
            .push_slice(signature)
            .push_key(&self.public())
            .into_script();
        transaction
    }

    fn signature(&self, transaction: &Transaction, script_code: &Script) -> PushBytesBuf {
        let hash = SighashCache::new(transaction)
            .legacy_signature_hash(0, script_code, EcdsaSighashType::All.to_u32())
            .expect("there is an input");
        let signature = ecdsa::Signature {
            signature: Secp256k1::new().sign_ecdsa_low_r(&Message::from(hash), &self.0),
            sighash_type: EcdsaSighashType::All,
        };
        PushBytesBuf::try_from(signature.to_vec()).expect("short")
    }
}
