//! Fills a data directory of bnsd: real blocks of real operations, through the indexer into the store.
//!
//! A namespace is preordered and revealed, every name imported (NAME_IMPORT, as most names of the historical
//! `.id` began), the namespace readied: the rules decide on each operation, and every row, index, history and
//! undo record is what a chain would have left. Two things are saved. Nothing is signed, because an index
//! verifies no signatures, its node does; and zone files are written without a sync each. Neither leaves a
//! trace in what is served.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash as _;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, BlockHash, CompactTarget, FeeRate, OutPoint, ScriptBuf, Transaction, TxMerkleNode,
    TxOut, Txid, consensus,
};
use bnsd::bns::address::Address;
use bnsd::bns::name::{Name, NamespaceId};
use bnsd::bns::params::Params;
use bnsd::bns::price::{self, PriceFunction};
use bnsd::bns::record::TokenUnits;
use bnsd::chain::{Block, BlockRef, ChainSource, Event, SourceError};
use bnsd::clock::SystemClock;
use bnsd::hash::{ZonefileHash, h160};
use bnsd::indexer::Indexer;
use bnsd::progress::Progress;
use bnsd::store::{Archive, ChainIdentity, Store, StoreOptions};
use bnsd::wallet::coins::{Coin, Funding};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, Operation};

use super::Result;
use super::table::Row;

/// Imports per block: about what fits if a block holds little else.
const PER_BLOCK: u32 = 2_000;
/// Database memory while filling: a million names in random order touch most pages in every block.
const CACHE: usize = 1 << 30;
/// Zone files that are stored together.
const BATCH: usize = 1_000;
/// The namespace that is filled.
const NAMESPACE: &str = "id";
/// Names never expire, so that a directory stays good.
const LIFETIME: u32 = u32::MAX;
/// The price function of the historical `.id`.
const PRICES: PriceFunction = PriceFunction {
    coeff: 250,
    base: 4,
    buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    nonalpha_discount: 4,
    no_vowel_discount: 4,
};
/// What every input brings: enough for the price of the namespace.
const COIN: Amount = Amount::from_sat(100_000_000_000);

/// What the zone file of a name says.
pub type Text = fn(&Row) -> String;

/// Makes the directory anew, with the table of its names as `table.tsv`, and with zone files that say `text`.
pub fn fill(directory: &Path, names: u32, text: Text) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let params = Params::regtest();
    let chain = ChainIdentity::new("dev", &params);
    let options = StoreOptions {
        cache_bytes: CACHE,
        ..StoreOptions::default()
    };
    let store = Arc::new(Store::open(directory, &chain, options)?);
    write_files(directory, names, text)?;
    let (progress, stop) = (
        Arc::new(Progress::default()),
        Arc::new(AtomicBool::new(false)),
    );
    let source = Imports::new(params.clone(), (names, text), Arc::clone(&stop))?;
    let clock = Arc::new(SystemClock::start());
    Indexer::new(
        Box::new(source),
        params,
        Arc::clone(&store),
        progress,
        clock,
    )
    .run(&stop)?;
    check(&store, names)
}

/// Every name must be there: a rule that refuses an import would go unnoticed otherwise.
fn check(store: &Store, names: u32) -> Result<()> {
    let found = store.snapshot().counts()?.names;
    if found != u64::from(names) {
        return Err(format!("{names} names were imported and {found} are there").into());
    }
    Ok(())
}

fn write_files(directory: &Path, names: u32, text: Text) -> Result<()> {
    let archive = Archive::open(&directory.join("zonefiles"))?;
    let mut table = BufWriter::new(File::create(directory.join("table.tsv"))?);
    let mut files = Vec::with_capacity(BATCH);
    for number in 0..names {
        let row = Row::of(number);
        writeln!(table, "{}", row.line())?;
        files.push(text(&row));
        if files.len() == BATCH {
            archive.put_many(&files)?;
            files.clear();
        }
    }
    archive.put_many(&files)?;
    Ok(table.flush()?)
}

/// A chain that is made as it is read.
struct Imports {
    params: Params,
    names: u32,
    text: Text,
    revealer: SigningKey,
    namespace: NamespaceId,
    now: u32,
    /// Set when all was read.
    stop: Arc<AtomicBool>,
    /// Makes the spent outputs of all inputs distinct.
    spent: u32,
}

impl Imports {
    fn new(params: Params, (names, text): (u32, Text), stop: Arc<AtomicBool>) -> Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Self {
            params,
            names,
            text,
            revealer: SigningKey::dev_only_from_label("revealer"),
            namespace: NAMESPACE.parse()?,
            now: u32::try_from(now.as_secs())?,
            stop,
            spent: 0,
        })
    }

    /// Preorder, reveal, as many blocks of imports as it takes, ready, and one block on top.
    fn last(&self) -> u32 {
        self.params.first_block + self.names.div_ceil(PER_BLOCK) + 3
    }

    fn operations(&self, height: u32) -> Vec<Operation> {
        let first = self.params.first_block;
        match height {
            _ if height == first => vec![self.preorder()],
            _ if height == first + 1 => vec![Operation::namespace_reveal(
                &self.namespace,
                self.revealer.address(),
                LIFETIME,
                PRICES,
                1,
            )],
            _ if height == self.last() => Vec::new(),
            _ if height + 1 == self.last() => vec![Operation::namespace_ready(
                &self.namespace,
                self.revealer.address(),
            )],
            _ => {
                let start = (height - first - 2) * PER_BLOCK;
                let end = (start + PER_BLOCK).min(self.names);
                (start..end)
                    .map(|number| import(number, self.text))
                    .collect()
            }
        }
    }

    fn preorder(&self) -> Operation {
        let epoch = self.params.epoch(self.params.first_block);
        let cost = price::namespace_price(&self.namespace, epoch, TokenUnits::Btc);
        let burn = Fee {
            to: self.params.burn_address,
            amount: Amount::from_sat(cost.unwrap_or_default()),
        };
        Operation::namespace_preorder(
            &self.namespace,
            &self.revealer.script(),
            (self.revealer.address(), self.params.addresses),
            self.params.initial_consensus_hash,
            None,
            burn,
        )
    }

    /// The transaction, with a signature of the right form.
    fn transaction(&mut self, operation: &Operation) -> std::result::Result<Transaction, String> {
        self.spent += 1;
        let script = self.revealer.script();
        let outpoint = OutPoint::new(spent_txid(self.spent), 0);
        let coin = Coin::from((outpoint, self.output()));
        let funding = Funding {
            sender: &script,
            coins: &[coin],
            change: &script,
            rate: FeeRate::from_sat_per_vb(10).unwrap_or(FeeRate::BROADCAST_MIN),
        };
        let built = operation.build(self.params.magic, &funding);
        let mut transaction = built.map_err(|error| error.to_string())?.transaction;
        let signature = PushBytesBuf::from([0x30; 71]);
        transaction.input[0].script_sig = Builder::new()
            .push_slice(signature)
            .push_slice(self.revealer.public_key())
            .into_script();
        Ok(transaction)
    }

    fn output(&self) -> TxOut {
        TxOut {
            value: COIN,
            script_pubkey: self.revealer.script(),
        }
    }

    fn block(&mut self, height: u32, previous: BlockHash) -> std::result::Result<Block, String> {
        let operations = self.operations(height);
        let mut txdata = vec![coinbase(height)];
        for operation in &operations {
            txdata.push(self.transaction(operation)?);
        }
        let header = Header {
            version: Version::TWO,
            prev_blockhash: previous,
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.now,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: height,
        };
        let block = bitcoin::Block { header, txdata };
        Ok(Block {
            at: BlockRef {
                height,
                hash: block.block_hash(),
            },
            previous,
            time: self.now,
            raw: consensus::serialize(&block),
        })
    }
}

impl ChainSource for Imports {
    fn holds(&mut self, _: BlockRef) -> std::result::Result<bool, SourceError> {
        Ok(true) // it never reorganises
    }

    fn next(
        &mut self,
        tip: Option<BlockRef>,
        first_block: u32,
    ) -> std::result::Result<Event, SourceError> {
        let (height, previous) = match tip {
            None => (first_block, BlockHash::all_zeros()),
            Some(tip) => (tip.height + 1, tip.hash),
        };
        if height > self.last() {
            return Ok(Event::Idle);
        }
        let block = self.block(height, previous).map_err(SourceError::Fatal)?;
        Ok(Event::Connect(block))
    }

    /// Every input spends an output of the revealer.
    fn prevouts(
        &mut self,
        _: &Block,
        outpoints: &[OutPoint],
    ) -> std::result::Result<Vec<TxOut>, SourceError> {
        Ok(vec![self.output(); outpoints.len()])
    }

    fn best_height(&mut self) -> std::result::Result<u32, SourceError> {
        Ok(self.last())
    }

    fn wait(&mut self, _: Duration) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn describe(&self) -> String {
        format!("{} generated names", self.names)
    }
}

/// Hands out name `number`, to an owner of its own.
fn import(number: u32, text: Text) -> Operation {
    let row = Row::of(number);
    let name: Name = row.name.parse().expect("the table has valid names only");
    let owner = Address::P2pkh(h160(row.name.as_bytes()));
    Operation::name_import(&name, owner, ZonefileHash::of(text(&row).as_bytes()))
}

fn spent_txid(number: u32) -> Txid {
    let mut bytes = [0x77; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Txid::from_byte_array(bytes)
}

fn coinbase(height: u32) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::ONE,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new().push_int(height.into()).into_script(),
            ..bitcoin::TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::new(),
        }],
    }
}
