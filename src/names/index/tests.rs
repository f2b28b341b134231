//! The index beside the database that it is made of.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::keeper::NEWS_MAX;
use super::*;
use crate::bns::address::Address;
use crate::bns::changes::{Change, Changes, Event, EventRow};
use crate::bns::name::Name;
use crate::bns::params::Params;
use crate::bns::record::{NameOp, NameRecord, NamespaceOp, NamespaceRecord};
use crate::bns::samples::{name_record, namespace_record};
use crate::bns::view::View as _;
use crate::clock::ManualClock;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};
use crate::names::{NameStore, Names};
use crate::progress::Progress;
use crate::resolver::{NameSource as _, Snapshots as _, SyncState};
use crate::store::{Archive, ChainIdentity, OpenState, StoreError, StoreOptions};
use crate::virtualchain::{BlockHeader, BlockOutcome, CandidateBlock, Snapshot};

/// Names of the chain.
const NAMES: u8 = 12;
const OWNER: Address = Address::P2pkh([7; 20]);

/// What a block does to a name.
#[derive(Debug, Clone)]
struct Deed {
    name: u8,
    op: NameOp,
    hash: u8,
}

#[derive(Debug, Clone)]
enum Step {
    /// Blocks in one transaction.
    Connect(Vec<Vec<Deed>>),
    /// Takes the last blocks back.
    Disconnect(usize),
    /// The last block comes back with its hash and other operations.
    Replace(Vec<Deed>),
    /// The program starts again.
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    let op = prop::sample::select(&NameOp::ALL[..]);
    (0..NAMES, op, any::<u8>()).prop_map(|(name, op, hash)| Deed { name, op, hash })
}

fn step() -> impl Strategy<Value = Step> {
    let block = || vec(deed(), 0..5);
    prop_oneof![
        6 => vec(block(), 1..4).prop_map(Step::Connect),
        2 => (1usize..5).prop_map(Step::Disconnect),
        1 => block().prop_map(Step::Replace),
        1 => Just(Step::Restart),
    ]
}

fn name(number: u32) -> Name {
    let namespace = ["test", "never"][number as usize % 2];
    format!("n{number}.{namespace}").parse().expect("a name")
}

/// A chain whose names live for a few blocks.
struct World {
    directory: TempDir,
    names: Option<Arc<NameStore>>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let mut world = Self {
            directory,
            names: None,
        };
        world.start();
        world
    }

    /// Opens the database, with an index that is not built.
    fn start(&mut self) {
        self.names = None; // lets go of the directory
        let params = Params::regtest();
        let path = self.directory.path();
        let chain = ChainIdentity::new("regtest", &params);
        let store = Store::open(&path.join("data"), &chain, StoreOptions::default());
        let store = Arc::new(store.expect("a free directory"));
        let archive = Archive::open(&path.join("zonefiles")).expect("a free directory");
        let index = NameIndex::of(&store, u64::MAX);
        let mut names = NameStore::new(
            Arc::new(params),
            store,
            Arc::new(archive),
            Arc::new(Progress::default()),
            Arc::new(ManualClock::default()),
        );
        names.index = Some(index);
        self.names = Some(Arc::new(names));
    }

    fn names(&self) -> &Arc<NameStore> {
        self.names.as_ref().expect("it is open")
    }

    fn index(&self) -> &NameIndex {
        self.names().index.as_ref().expect("it has one")
    }

    fn turn(&self) {
        let turned = self.index().turn(&self.names().store, &|| true);
        turned.expect("readable");
    }

    fn connect(&self, blocks: &[Vec<Deed>]) {
        let connected: Result<(), StoreError> = self.names().store.write(|writer| {
            for deeds in blocks {
                let (block, outcome) = block(deeds, writer.state());
                writer.apply(&block, &outcome)?;
            }
            Ok(())
        });
        connected.expect("the blocks follow");
    }

    fn disconnect(&self, count: usize) {
        for _ in 0..count {
            if self.names().store.snapshot().tip().is_some() {
                self.names().store.disconnect().expect("undo data");
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Connect(blocks) => self.connect(blocks),
            Step::Disconnect(count) => self.disconnect(*count),
            Step::Replace(deeds) => {
                self.disconnect(1);
                self.connect(std::slice::from_ref(deeds));
            }
            Step::Restart => self.start(),
        }
    }
}

/// The block on top of `state` that does all that, and what rules are said to have made of it. The hash of a block follows
/// from its height.
fn block(deeds: &[Deed], state: &OpenState<'_>) -> (CandidateBlock, BlockOutcome<String, Changes>) {
    let height = state
        .tip()
        .map_or(Params::regtest().first_block, |tip| tip.height + 1);
    let hash = |height: u32| BlockHash::hash(&height.to_be_bytes());
    let block = CandidateBlock {
        height,
        candidates: Vec::new(),
        about: BlockHeader {
            hash: hash(height),
            previous: hash(height - 1),
            time: height,
        },
    };
    let outcome = BlockOutcome {
        height,
        decisions: Vec::new(),
        changes: changes(deeds, height, state),
        snapshot: Snapshot {
            ops_hash: OpsHash([0; 32]),
            consensus_hash: ConsensusHash([0; 16]),
        },
    };
    (block, outcome)
}

fn changes(deeds: &[Deed], height: u32, state: &OpenState<'_>) -> Changes {
    let mut changes = Changes::default();
    for (vtxindex, deed) in (1..).zip(deeds) {
        let name = name(deed.name.into());
        let before = state.name(&name).expect("readable");
        let earlier = changes
            .names
            .get(&name)
            .and_then(|change| change.after.as_ref());
        let record = done(deed, (height, vtxindex), earlier.or(before.as_ref()));
        changes.events.push(Event {
            vtxindex,
            txid: record.txid,
            row: EventRow::Name(record.clone()),
        });
        let after = Some(record);
        changes.names.insert(name, Change { before, after });
    }
    if state.tip().is_none() {
        for record in namespaces(height) {
            let id = record.namespace_id.clone();
            changes.events.push(Event {
                vtxindex: 100,
                txid: record.txid,
                row: EventRow::Namespace(record.clone()),
            });
            let (before, after) = (None, Some(record));
            changes.namespaces.insert(id, Change { before, after });
        }
    }
    changes
}

/// One is open, with lives of three blocks; the other never opens.
fn namespaces(height: u32) -> [NamespaceRecord; 2] {
    let open = NamespaceRecord {
        lifetime: 3,
        ..namespace_record(OWNER, height)
    };
    let revealed = NamespaceRecord {
        namespace_id: "never".parse().expect("an id"),
        op: NamespaceOp::Reveal,
        ready_block: 0,
        ..open.clone()
    };
    [open, revealed]
}

fn done(deed: &Deed, (height, vtxindex): (u32, u32), before: Option<&NameRecord>) -> NameRecord {
    let new = || name_record(name(deed.name.into()).as_str(), OWNER, height);
    let mut record = match deed.op {
        NameOp::Register | NameOp::Import => new(),
        _ => before.cloned().unwrap_or_else(new),
    };
    let hash = Some(ZonefileHash([deed.hash; 20]));
    match deed.op {
        NameOp::Register | NameOp::Import | NameOp::Update => record.value_hash = hash,
        NameOp::Renew => record.last_renewed = height,
        NameOp::TransferKeep => record.sender = Address::P2sh([deed.hash; 20]).script(),
        NameOp::TransferDrop => record.value_hash = None,
        NameOp::Revoke => (record.revoked, record.value_hash) = (true, None),
    }
    (record.op, record.vtxindex) = (deed.op, vtxindex);
    record
}

/// The names of the chain and others.
fn some() -> impl Iterator<Item = Name> {
    (0..2 * u32::from(NAMES)).map(name)
}

/// What the database says of a name where the index says something.
fn from_database(names: &Names, name: &Name) -> String {
    let plain = Names {
        sync: SyncState::Damaged, // nobody asks the index then
        ..names.as_of(names.at)
    };
    format!("{:?}", plain.name(name).expect("readable"))
}

fn compare(names: &Names, name: &Name) {
    let from_index = format!("{:?}", names.name(name).expect("readable"));
    assert_eq!(from_index, from_database(names, name), "{name}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After every commit the index says of every name, and of names that there are not, what the database says, and says
    /// nothing before it has caught up.
    #[test]
    fn the_index_is_the_database(steps in vec(step(), 1..12)) {
        let mut world = World::new();
        world.turn();
        for step in &steps {
            let before = world.names().store.snapshot().commit();
            world.take(step);
            let names = world.names().snapshot();
            let is_changed = matches!(step, Step::Restart) || names.snapshot.commit() != before;
            for name in some() {
                prop_assert_eq!(names.indexed(&name).is_none(), is_changed);
                compare(&names, &name);
            }
            world.turn();
            for name in some() {
                prop_assert!(names.indexed(&name).is_some());
                compare(&names, &name);
            }
        }
    }

    /// Several commits that are caught up with at once are as good as one after the other.
    #[test]
    fn commits_may_come_together(steps in vec(step(), 1..12)) {
        let mut world = World::new();
        world.turn();
        for step in &steps {
            world.take(step);
        }
        world.turn();
        let names = world.names().snapshot();
        for name in some() {
            prop_assert!(names.indexed(&name).is_some());
            compare(&names, &name);
        }
    }

    /// Whatever is asked while another thread keeps it up, and whenever it is built.
    #[test]
    fn nobody_sees_a_half(steps in vec(step(), 1..12)) {
        let mut world = World::new();
        for steps in steps.split(|step| matches!(step, Step::Restart)) {
            world.start();
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let names = world.names();
                scope.spawn(|| world.index().keep(&names.store, &names.progress, &stop));
                let (done, ended) = mpsc::channel::<()>();
                scope.spawn(move || while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    let names = names.snapshot();
                    some().for_each(|name| compare(&names, &name));
                });
                for step in steps {
                    match step {
                        Step::Connect(blocks) => world.connect(blocks),
                        Step::Disconnect(count) => world.disconnect(*count),
                        Step::Replace(_) | Step::Restart => {}
                    }
                }
                let begun = Instant::now();
                while names.snapshot().indexed(&name(0)).is_none() {
                    assert!(begun.elapsed() < Duration::from_secs(60), "it catches up");
                    thread::yield_now();
                }
                drop(done);
                stop.store(true, Ordering::Relaxed);
            });
        }
    }
}

fn register(names: std::ops::Range<u8>) -> Vec<Deed> {
    let deed = |name| Deed {
        name,
        op: NameOp::Register,
        hash: name,
    };
    names.map(deed).collect()
}

#[test]
fn other_heights_and_other_states_are_read_from_the_database() {
    let world = World::new();
    world.connect(&[register(0..4), register(4..6)]);
    let names = world.names().snapshot();
    assert_eq!(names.indexed(&name(0)), None, "it is not built");
    world.turn();
    assert!(names.indexed(&name(0)).is_some_and(|known| known.is_some()));
    assert_eq!(names.indexed(&name(9)), Some(None));
    let earlier = names.as_of(names.at.map(|height| height - 1));
    assert_eq!(earlier.indexed(&name(0)), None);
    compare(&earlier, &name(4));
    world.connect(&[register(6..7)]);
    assert!(names.indexed(&name(6)).is_some_and(|known| known.is_none()));
    let later = world.names().snapshot();
    assert_eq!(later.indexed(&name(6)), None);
    world.turn();
    assert_eq!(names.indexed(&name(6)), None, "its moment is over");
    assert!(later.indexed(&name(6)).is_some_and(|known| known.is_some()));
}

#[test]
fn a_commit_during_the_build_is_caught_up_with() {
    let world = World::new();
    let many: Vec<Deed> = register(0..NAMES);
    world.connect(&[many]);
    let snapshot = world.names().store.snapshot();
    world.connect(&[register(0..1)]);
    world.index().build(&snapshot, &|| true).expect("readable");
    assert_eq!(world.names().snapshot().indexed(&name(0)), None);
    world.turn();
    let names = world.names().snapshot();
    assert!(names.indexed(&name(0)).is_some());
    some().for_each(|name| compare(&names, &name));
}

#[test]
fn more_names_than_it_may_have_are_let_go_of() {
    let mut world = World::new();
    world.connect(&[register(0..3)]);
    let store = Arc::clone(&world.names().store);
    let index = NameIndex::of(&store, 4);
    let names = world.names.as_mut().and_then(Arc::get_mut);
    names.expect("nobody else has it").index = Some(Arc::clone(&index));
    drop(store);
    world.turn();
    let status = index.status();
    assert_eq!(
        (status.phase, status.names, status.max),
        (Phase::Complete, 3, 4)
    );
    assert!(status.bytes > 0);
    world.connect(&[register(3..5)]);
    world.turn();
    assert_eq!(index.status().phase, Phase::OverLimit);
    assert_eq!(world.names().snapshot().indexed(&name(0)), None);
    world.disconnect(1);
    world.turn();
    assert_eq!(index.status().phase, Phase::Complete);
    assert!(world.names().snapshot().indexed(&name(0)).is_some());
}

#[test]
fn a_commit_that_was_missed_has_it_built_anew() {
    let world = World::new();
    world.connect(&[register(0..3)]);
    world.turn();
    let before = News::after(world.names().store.snapshot().commit());
    let update = Deed {
        name: 0,
        op: NameOp::Update,
        hash: 99,
    };
    world.connect(&[vec![update]]);
    *world.index().news() = before; // as if nobody had told
    world.connect(&[register(1..2)]);
    world.turn();
    let names = world.names().snapshot();
    assert!(names.indexed(&name(0)).is_some());
    some().for_each(|name| compare(&names, &name));
}

#[test]
fn a_database_that_counts_other_names_than_it_has_operations_of_is_refused() {
    let world = World::new();
    world.connect(&[register(0..3)]);
    let connected: Result<(), StoreError> = world.names().store.write(|writer| {
        let (block, mut outcome) = block(&register(3..4), writer.state());
        outcome.changes.events.clear();
        writer.apply(&block, &outcome)?;
        Ok(())
    });
    connected.expect("the block follows");
    let names = world.names();
    // It ends, though nobody stops it.
    world
        .index()
        .keep(&names.store, &names.progress, &AtomicBool::new(false));
    assert_eq!(world.index().status().phase, Phase::Refused);
    let names = names.snapshot();
    assert_eq!(names.indexed(&name(0)), None);
    compare(&names, &name(0));
}

#[test]
fn a_damaged_database_has_none() {
    let world = World::new();
    world.connect(&[register(0..3)]);
    world.turn();
    let names = world.names();
    let before = names.snapshot();
    assert!(before.indexed(&name(0)).is_some());
    let path = world.directory.path().join("data/names.redb");
    let mut file = fs::read(&path).expect("readable");
    let place = (0..file.len()).find(|place| file[*place..].starts_with(b"n0.test"));
    file[place.expect("a name")] ^= 1;
    fs::write(&path, file).expect("writable");
    assert_eq!(names.store.sweep(0, usize::MAX >> 1), None);
    // Nobody asks it, before its own thread knows and after.
    assert_eq!(names.snapshot().indexed(&name(0)), None);
    world
        .index()
        .keep(&names.store, &names.progress, &AtomicBool::new(false));
    assert_eq!(world.index().status().phase, Phase::Refused);
    assert_eq!(before.indexed(&name(0)), None);
}

#[test]
fn more_news_than_may_wait_are_let_go_of_and_have_it_built_anew() {
    let world = World::new();
    world.connect(&[register(0..3)]);
    world.turn();
    let update = Deed {
        name: 0,
        op: NameOp::Update,
        hash: 99,
    };
    world.connect(&[vec![update]]);
    let many: Vec<Name> = (0..=NEWS_MAX as u32).map(name).collect();
    let snapshot = world.names().store.snapshot();
    world.index().news().note(&many, snapshot);
    assert_eq!(world.index().news().waiting(), None);
    world.turn();
    let names = world.names().snapshot();
    assert!(names.indexed(&name(0)).is_some());
    some().for_each(|name| compare(&names, &name));
    world.connect(&[register(4..5)]);
    assert_eq!(world.index().news().waiting(), Some(1));
}
