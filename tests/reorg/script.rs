//! Random reorganisations of an embedded chain under a real index.
//!
//! A script mines blocks with random operations (most of them good), lets the index follow, takes up to a
//! hundred blocks back, mines others, and so on. In the end the database must say what a fresh index of
//! the winning chain says. The same seed gives the same script.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bitcoin::{Amount, FeeRate, OutPoint, Transaction, TxOut};
use bnsd::bns::name::{Name, NamespaceId};
use bnsd::bns::price::{self, PriceFunction};
use bnsd::bns::record::{NameRecord, TokenUnits};
use bnsd::bns::view::View as _;
use bnsd::bns::{Bns, Params};
use bnsd::chain::ChainSource;
use bnsd::chain::dev::DevChain;
use bnsd::clock::SystemClock;
use bnsd::hash::{ConsensusHash, ZonefileHash};
use bnsd::indexer::{IndexError, Indexer, Turn};
use bnsd::progress::Progress;
use bnsd::store::{ChainIdentity, Store, StoreOptions};
use bnsd::wallet::coins::{Coin, Funding};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, OnTransfer, Operation};
use bnsd::wallet::psbt::signed;
use bnsd::wallet::registrar::Registrar;
use tempfile::TempDir;

use super::random::Random;
use super::scratch;

/// The caller's clock, later than regtest's genesis block.
pub const NOW: u32 = 1_700_000_000;
/// Owners of names; the last one opens namespaces.
const ACTORS: usize = 7;
/// Outputs that each of them has at the start, and what each is worth.
const COINS: (usize, Amount) = (6, Amount::from_sat(40_000_000));
/// Names that are fought for.
const NAMES: usize = 25;
/// Deepest reorganisation, which is how far a database can go back unless it is told otherwise.
const DEEPEST: u32 = StoreOptions::DEFAULT_UNDO_DEPTH;
/// Zone files that there are.
pub const ZONEFILES: usize = 256;
/// A price function under which names cost little.
const PRICES: PriceFunction = PriceFunction {
    coeff: 4,
    base: 2,
    buckets: [1; 16],
    nonalpha_discount: 2,
    no_vowel_discount: 2,
};

/// A chain on which the actors have coins and a namespace is open; every script begins with a copy.
pub struct Base {
    directory: TempDir,
}

/// What a script did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    /// Reorganisations that the index followed.
    pub reorganisations: u32,
    /// Blocks that it disconnected.
    pub disconnected: u32,
    /// Most blocks that it disconnected in a row.
    pub deepest: u32,
    /// Names at the end.
    pub names: u64,
}

impl Report {
    /// Takes another script's in.
    pub fn add(&mut self, other: &Self) {
        self.reorganisations += other.reorganisations;
        self.disconnected += other.disconnected;
        self.deepest = self.deepest.max(other.deepest);
        self.names += other.names;
    }
}

impl Base {
    /// Mines it.
    pub fn mine() -> Self {
        let directory = scratch();
        let chain = DevChain::open(directory.path()).unwrap();
        let mut registrar = Registrar::open(chain, Bns::new(Params::regtest())).unwrap();
        let first = "first.reorg".parse().unwrap();
        registrar
            .publish(&[(first, ZonefileHash([1; 20]))], NOW)
            .unwrap();
        let outputs = (0..ACTORS).flat_map(|actor| {
            let output = TxOut {
                value: COINS.1,
                script_pubkey: key(actor).script(),
            };
            std::iter::repeat_n(output, COINS.0)
        });
        registrar.give(outputs.collect(), NOW).unwrap();
        Self { directory }
    }

    fn copy(&self) -> TempDir {
        let copy = scratch();
        copy_files(self.directory.path(), copy.path());
        copy
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An index over a chain.
pub struct Index {
    pub store: Arc<Store>,
    #[allow(
        dead_code,
        reason = "not everybody who includes this file asks how far it is"
    )]
    pub progress: Arc<Progress>,
    indexer: Indexer,
    directory: TempDir,
}

impl Index {
    pub fn new(chain: &DevChain, undo_depth: u32) -> Self {
        Self::of(Box::new(chain.source(0)), undo_depth)
    }

    /// An index that follows any source.
    pub fn of(source: Box<dyn ChainSource>, undo_depth: u32) -> Self {
        Self::open(scratch(), source, undo_depth)
    }

    /// Opens the database in a directory, or makes one.
    fn open(directory: TempDir, source: Box<dyn ChainSource>, undo_depth: u32) -> Self {
        let params = Params::regtest();
        let identity = ChainIdentity::new("regtest", &params);
        let options = StoreOptions {
            undo_depth,
            ..StoreOptions::default()
        };
        let store = Arc::new(Store::open(directory.path(), &identity, options).unwrap());
        let progress = Arc::new(Progress::default());
        let indexer = Indexer::new(
            source,
            params,
            Arc::clone(&store),
            Arc::clone(&progress),
            Arc::new(SystemClock::start()),
        );
        Self {
            store,
            progress,
            indexer,
            directory,
        }
    }

    /// Closes the database, which nobody else may hold any more, and opens it again.
    #[allow(
        dead_code,
        reason = "not everybody who includes this file restarts anything"
    )]
    fn restart(self, source: Box<dyn ChainSource>, undo_depth: u32) -> Self {
        let directory = self.directory;
        drop((self.store, self.indexer));
        Self::open(directory, source, undo_depth)
    }

    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        self.indexer.turn()
    }

    /// Follows until nothing is left; gives the number of blocks that were disconnected.
    pub fn follow(&mut self) -> u32 {
        let mut disconnected = 0;
        loop {
            match self.turn().unwrap() {
                Turn::Idle | Turn::Final => return disconnected,
                Turn::Disconnected(_) => disconnected += 1,
                Turn::Connected(_)
                | Turn::WentBelow(_)
                | Turn::Preparing(..)
                | Turn::Waiting(_) => {}
            }
        }
    }

    fn height(&self) -> u32 {
        self.store.snapshot().tip().map_or(0, |tip| tip.height)
    }
}

/// Runs the script of a seed. Panics if the index ends up with anything but the winning chain.
pub fn run(base: &Base, seed: u64) -> Report {
    let mut script = Script::new(base, seed);
    let mined = 40 + script.random.below(70) as u32;
    script.mine(mined);
    for _ in 0..=script.random.below(3) {
        script.reorganise();
    }
    script.settle();
    let mut fresh = Index::new(&script.chain, DEEPEST);
    fresh.follow();
    let (ours, theirs) = (script.index.store.snapshot(), fresh.store.snapshot());
    assert_eq!(ours.tip(), theirs.tip(), "seed {seed}");
    assert_same(&ours.dump().unwrap(), &theirs.dump().unwrap(), seed);
    script.report.names = ours.counts().unwrap().names;
    script.report
}

fn assert_same(ours: &str, theirs: &str, seed: u64) {
    let differing = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    assert!(
        ours == theirs,
        "seed {seed}: after reorganisations {} lines, fresh {}; first difference: {differing:?}",
        ours.lines().count(),
        theirs.lines().count(),
    );
}

/// What happens to one chain.
pub struct Script {
    chain: DevChain,
    pub index: Index,
    random: Random,
    report: Report,
    _directory: TempDir,
    /// Preorders that were sent, with who sent them.
    preordered: Vec<(Name, usize)>,
    /// Step of the namespace that is being opened, and how many were before it.
    namespace: (u32, u32),
    /// The greatest height that was indexed: undo data goes back from there.
    highest: u32,
}

impl Script {
    /// Another source of the same chain makes the same database.
    #[allow(
        dead_code,
        reason = "the long form includes this file for its other scripts"
    )]
    pub fn compare_with(&self, source: impl FnOnce(&DevChain) -> Box<dyn ChainSource>) {
        let mut other = Index::of(source(&self.chain), DEEPEST);
        other.follow();
        let (ours, theirs) = (self.index.store.snapshot(), other.store.snapshot());
        assert_eq!(ours.tip(), theirs.tip());
        assert_same(&ours.dump().unwrap(), &theirs.dump().unwrap(), 0);
    }

    /// Begins with a copy of `base`, which the index has followed.
    pub fn new(base: &Base, seed: u64) -> Self {
        let directory = base.copy();
        let chain = DevChain::open(directory.path()).unwrap();
        let mut index = Index::new(&chain, DEEPEST);
        index.follow();
        Self {
            index,
            _directory: directory,
            chain,
            random: Random::new(seed),
            report: Report::default(),
            preordered: Vec::new(),
            namespace: (0, 0),
            highest: 0,
        }
    }

    /// Goes on with a new index of the same database, as after a restart.
    #[allow(
        dead_code,
        reason = "the long form includes this file for its other scripts"
    )]
    pub fn restart(self) -> Self {
        let source = Box::new(self.chain.source(0));
        let index = self.index.restart(source, DEEPEST);
        Self { index, ..self }
    }

    /// The chain as it is now.
    #[allow(
        dead_code,
        reason = "the long form includes this file for its other scripts"
    )]
    pub fn chain(&self) -> &DevChain {
        &self.chain
    }

    /// Takes blocks back and mines others.
    pub fn reorganise(&mut self) {
        self.settle();
        let tip = self.chain.tip().height;
        let floor = self.highest.saturating_sub(DEEPEST).max(1);
        if tip <= floor {
            return self.mine(10);
        }
        let depth = 1 + self.random.below((tip - floor).min(DEEPEST) as usize) as u32;
        let fork = tip - depth;
        if self.random.below(4) == 0 {
            self.overtake(fork, depth);
        } else {
            self.chain.rewind(fork).unwrap();
            self.bar_branches_below(floor);
        }
        let grown = 1 + self.random.below(depth as usize + 10) as u32;
        self.mine(grown);
    }

    /// A rewind can bring an overtaken branch back, one that left the indexed one below `floor` among them: more
    /// than can be undone. Such a branch is refused.
    fn bar_branches_below(&self, floor: u32) {
        let snapshot = self.index.store.snapshot();
        let indexed = snapshot.block(floor).unwrap().unwrap().hash;
        while let Some(block) = self.chain.block_at(floor)
            && block.hash != indexed
        {
            self.chain.invalidate(block.hash).unwrap();
        }
    }

    /// Takes so many blocks back and mines more of others.
    #[allow(
        dead_code,
        reason = "the long form includes this file for its other scripts"
    )]
    pub fn replace(&mut self, depth: u32) {
        self.settle();
        let fork = self.chain.tip().height - depth;
        self.chain.rewind(fork).unwrap();
        self.mine(depth + 2);
        self.settle();
    }

    /// Mines a branch without operations until it has more work.
    fn overtake(&mut self, fork: u32, depth: u32) {
        let mut parent = self.chain.block_at(fork).unwrap().hash;
        for _ in 0..=depth {
            let reward = key(0).script();
            let mined = self.chain.mine_on(parent, &reward, Vec::new(), NOW);
            parent = mined.unwrap().hash;
        }
    }

    /// Two actors preorder a name in one block and register it in the next, whose height is given. Neither gets it.
    #[allow(
        dead_code,
        reason = "the long form includes this file for its other scripts"
    )]
    pub fn collide(&mut self, name: &Name) -> u32 {
        self.settle();
        let preorders = [0, 1].map(|actor| (self.preorder_of(name, actor), actor));
        self.mine_operations(&preorders);
        let registrations = [0, 1].map(|actor| {
            (
                Operation::name_register(name, key(actor).address(), None),
                actor,
            )
        });
        self.mine_operations(&registrations);
        self.settle();
        self.chain.tip().height
    }

    fn mine_operations(&self, operations: &[(Operation, usize)]) {
        let signed = |(operation, actor): &(Operation, usize)| self.signed(operation, *actor);
        let transactions: Option<Vec<Transaction>> = operations.iter().map(signed).collect();
        let transactions = transactions.expect("everybody has coins");
        let reward = key(0).script();
        self.chain.mine(&reward, transactions, NOW).unwrap();
    }

    /// Mines blocks, about half of them with operations; the index follows now and then.
    pub fn mine(&mut self, count: u32) {
        for _ in 0..count {
            match self.random.below(10) {
                0..=4 => self.settle(),
                5 => self.some_turns(),
                _ => {}
            }
            let transactions = match self.random.below(5) {
                0 | 1 => Vec::new(),
                _ => self.operations(),
            };
            let reward = key(self.random.below(ACTORS)).script();
            self.chain.mine(&reward, transactions, NOW).unwrap();
        }
    }

    /// Lets the index follow to the end.
    pub fn settle(&mut self) {
        let disconnected = self.index.follow();
        self.note(disconnected);
    }

    /// Lets the index take a few steps, perhaps not to the end.
    fn some_turns(&mut self) {
        let mut disconnected = 0;
        for _ in 0..self.random.below(20) {
            if let Turn::Disconnected(_) = self.index.turn().unwrap() {
                disconnected += 1;
            }
        }
        self.note(disconnected);
    }

    fn note(&mut self, disconnected: u32) {
        self.report.reorganisations += u32::from(disconnected > 0);
        self.report.disconnected += disconnected;
        self.report.deepest = self.report.deepest.max(disconnected);
        self.highest = self.highest.max(self.index.height());
    }

    /// At most one operation of each actor.
    fn operations(&mut self) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        for actor in 0..ACTORS {
            if self.random.below(2) == 0 {
                let operation = if actor + 1 == ACTORS {
                    self.namespace_operation()
                } else {
                    self.name_operation(actor)
                };
                transactions.extend(operation.and_then(|operation| self.signed(&operation, actor)));
            }
        }
        transactions
    }

    /// `None` if the actor has no coins left, or not yet on this branch.
    fn signed(&self, operation: &Operation, actor: usize) -> Option<Transaction> {
        let key = key(actor);
        let script = key.script();
        let coins = self.chain.spendable(&script).into_iter();
        let coins: Vec<Coin> = coins
            .map(|(outpoint, output): (OutPoint, TxOut)| Coin::from((outpoint, output)))
            .collect();
        let funding = Funding {
            sender: &script,
            coins: &coins,
            change: &script,
            rate: FeeRate::from_sat_per_vb(2).unwrap(),
        };
        let unsigned = operation.build(Params::regtest().magic, &funding).ok()?;
        Some(signed(&unsigned, &[&key]).unwrap())
    }

    fn name_operation(&mut self, actor: usize) -> Option<Operation> {
        match self.random.below(12) {
            0..=3 => Some(self.preorder(actor)),
            4..=6 => self.register(actor),
            _ => self.change(actor),
        }
    }

    fn preorder(&mut self, actor: usize) -> Operation {
        let name: Name = format!("name{}.reorg", self.random.below(NAMES))
            .parse()
            .unwrap();
        self.preordered.push((name.clone(), actor));
        self.preorder_of(&name, actor)
    }

    fn preorder_of(&self, name: &Name, actor: usize) -> Operation {
        let (key, params) = (key(actor), Params::regtest());
        Operation::name_preorder(
            name,
            &key.script(),
            (key.address(), params.addresses),
            self.quoted(),
            None,
            burn(self.price(name)),
        )
    }

    fn register(&mut self, actor: usize) -> Option<Operation> {
        let own = self
            .preordered
            .iter()
            .rev()
            .take(20)
            .filter(|(_, by)| *by == actor);
        let own: Vec<Name> = own.map(|(name, _)| name.clone()).collect();
        if own.is_empty() {
            return None;
        }
        let name = self.random.pick(&own).clone();
        let hash = (self.random.below(2) == 0).then(|| self.zonefile(&name));
        Some(Operation::name_register(&name, key(actor).address(), hash))
    }

    /// Does something to a name, most of the time to one that the actor owns.
    fn change(&mut self, actor: usize) -> Option<Operation> {
        let names = self.index.store.snapshot().names(None, 1_000).unwrap();
        let script = key(actor).script();
        let own = names
            .iter()
            .filter(|record| record.sender == script.as_bytes());
        let own: Vec<&NameRecord> = own.collect();
        let all: Vec<&NameRecord> = names.iter().collect();
        let pool = if own.is_empty() || self.random.below(10) == 0 {
            &all
        } else {
            &own
        };
        if pool.is_empty() {
            return None;
        }
        let name = &self.random.pick(pool).name.clone();
        let owner = key(actor).address();
        let other = key(self.random.below(ACTORS)).address();
        Some(match self.random.below(10) {
            0..=3 => Operation::name_update(name, owner, self.quoted(), self.zonefile(name)),
            4..=6 => {
                let zonefile = *self
                    .random
                    .pick(&[OnTransfer::KeepZonefile, OnTransfer::ClearZonefile]);
                Operation::name_transfer(name, owner, other, self.quoted(), zonefile)
            }
            7 | 8 => {
                let hash = (self.random.below(2) == 0).then(|| self.zonefile(name));
                Operation::name_renew(name, owner, hash, None, burn(self.price(name)))
            }
            _ => Operation::name_revoke(name, owner),
        })
    }

    /// The next step in the life of a namespace: preorder, reveal, two imports, ready.
    fn namespace_operation(&mut self) -> Option<Operation> {
        let (step, number) = self.namespace;
        self.namespace = if step == 4 {
            (0, number + 1)
        } else {
            (step + 1, number)
        };
        let id = NamespaceId::from_bytes(format!("namespace{number}").as_bytes()).unwrap();
        let (key, params) = (key(ACTORS - 1), Params::regtest());
        let epoch = params.epoch(self.index.height());
        let fee = price::namespace_price(&id, epoch, TokenUnits::Btc).unwrap();
        Some(match step {
            0 => Operation::namespace_preorder(
                &id,
                &key.script(),
                (key.address(), params.addresses),
                self.quoted(),
                None,
                burn(fee),
            ),
            1 => Operation::namespace_reveal(&id, key.address(), 1_000, PRICES, 1),
            2 | 3 => {
                let name = format!("imported{step}.namespace{number}").parse().unwrap();
                let hash = self.zonefile(&name);
                Operation::name_import(&name, key.address(), hash)
            }
            _ => Operation::namespace_ready(&id, key.address()),
        })
    }

    /// The consensus hash that the index has now, which may be that of a branch that lost.
    fn quoted(&self) -> ConsensusHash {
        let tip = self.index.store.snapshot().tip();
        tip.map_or(Params::regtest().initial_consensus_hash, |tip| {
            tip.consensus_hash
        })
    }

    fn price(&self, name: &Name) -> u64 {
        let params = Params::regtest();
        let namespace = self
            .index
            .store
            .snapshot()
            .namespace(&name.namespace_id().unwrap());
        let function = namespace
            .unwrap()
            .map_or(PRICES, |namespace| namespace.price);
        let epoch = params.epoch(self.index.height());
        price::name_price(&function, name.label(), &params, epoch)
            .least_fee()
            .unwrap()
    }

    /// Any zone file, or one that says that it is this name's.
    fn zonefile(&mut self, name: &Name) -> ZonefileHash {
        let mut numbers = 0..ZONEFILES;
        let own = numbers.find(|number| origin(*number).is_some_and(|own| own == name.as_str()));
        let any = self.random.below(ZONEFILES);
        let number = own.filter(|_| any.is_multiple_of(2)).unwrap_or(any);
        ZonefileHash::of(&zonefile(number))
    }
}

/// The name that a zone file says it is of, if it does.
fn origin(number: usize) -> Option<String> {
    (number % 4 == 3).then(|| format!("name{}.reorg", number % NAMES))
}

/// One of the zone files that names announce.
pub fn zonefile(number: usize) -> Vec<u8> {
    let other = number % NAMES;
    let origin = origin(number).map(|name| format!("$ORIGIN {name}.\n"));
    let mut text = origin.unwrap_or_default();
    text += &format!(
        "$TTL 3600\n@ A 192.0.2.{number}\n@ TXT \"{number}\"\nwww CNAME @\n\
         other CNAME name{other}.reorg.\nleave CNAME a{other}.example.\nprivate A 10.0.0.1\n"
    );
    match number % 4 {
        0 => text += "@ SOA ns h 7 3600 600 86400 30\n* TXT \"any\"\n",
        1 => text.extend((0..40).map(|n| format!("big A 198.51.100.{n}\n"))),
        2 => text += "t TYPE65280 \\# 4 DEADBEEF\nd DNAME example.\n",
        _ => {}
    }
    text.into_bytes()
}

fn key(actor: usize) -> SigningKey {
    SigningKey::dev_only_from_label(&format!("actor {actor}"))
}

fn burn(satoshi: u64) -> Fee {
    Fee {
        to: Params::regtest().burn_address,
        amount: Amount::from_sat(satoshi),
    }
}
