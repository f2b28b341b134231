//! The end of a name, block by block: what is said of it long before is what rules and resolver then do.
//!
//! A real database, the real rules, and in every block the same three attempts, judged and not made: the owner renews, the
//! owner updates, somebody else preorders and registers.

use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, BlockHash, FeeRate, OutPoint, TxOut, Txid};
use bnsd::bns::address::Address;
use bnsd::bns::epoch::{Epoch, historical};
use bnsd::bns::forecast;
use bnsd::bns::life::Term;
use bnsd::bns::price::PriceFunction;
use bnsd::bns::{Bns, Name, NamespaceId, Params, Reject};
use bnsd::clock::SystemClock;
use bnsd::hash::ZonefileHash;
use bnsd::names::{NameStore, Wanted};
use bnsd::progress::Progress;
use bnsd::resolver::{NameSource as _, NameStatus, Snapshots as _};
use bnsd::store::{Archive, ChainIdentity, Store, StoreOptions};
use bnsd::virtualchain::{
    BlockHeader, CandidateBlock, Decision, VirtualTransaction, connect_block,
};
use bnsd::wallet::coins::{Coin, Funding};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{Fee, Operation};
use bnsd::wallet::psbt::signed;
use tempfile::TempDir;

const HASH: ZonefileHash = ZonefileHash([9; 20]);
/// A namespace whose names do not end.
const FOR_EVER: u32 = u32::MAX;

/// A chain without miners.
struct Chain {
    bns: Bns,
    names: Arc<NameStore>,
    height: u32,
    coins: u32,
    _scratch: TempDir,
}

/// What was tried and seen in one block.
#[derive(Debug, Clone, Copy)]
struct Seen {
    height: u32,
    renewal: bool,
    in_grace: bool,
    registration: bool,
    resolves: bool,
    term: Term,
}

fn key(label: &str) -> SigningKey {
    SigningKey::dev_only_from_label(label)
}

fn burn(satoshi: u64) -> Fee {
    Fee {
        to: Address::P2pkh([0; 20]),
        amount: Amount::from_sat(satoshi),
    }
}

/// An epoch with the rules of the main network's `number`, and times that a test can wait for.
fn epoch(number: u8, end: u32, multiplier: u32, grace: u32) -> Epoch {
    Epoch {
        namespace_lifetime_multiplier: multiplier,
        namespace_lifetime_grace_period: grace,
        ..historical(number, end)
    }
}

impl Chain {
    fn new(epochs: Vec<Epoch>) -> Self {
        let params = Params {
            epochs,
            ..Params::regtest()
        };
        let scratch = tempfile::tempdir().unwrap();
        let identity = ChainIdentity::new("regtest", &params);
        let store = Store::open(scratch.path(), &identity, StoreOptions::default()).unwrap();
        let archive = Archive::open(&scratch.path().join("zonefiles")).unwrap();
        let names = NameStore::new(
            Arc::new(params.clone()),
            Arc::new(store),
            Arc::new(archive),
            Arc::new(Progress::default()),
            Arc::new(SystemClock::start()),
        );
        Self {
            height: params.first_block - 1,
            bns: Bns::new(params),
            names: Arc::new(names),
            coins: 0,
            _scratch: scratch,
        }
    }

    /// A transaction of `sender` at a place in a block.
    fn transaction(
        &mut self,
        vtxindex: u32,
        operation: &Operation,
        sender: &SigningKey,
    ) -> VirtualTransaction {
        self.coins += 1;
        let outpoint = OutPoint::new(Txid::hash(&self.coins.to_be_bytes()), 0);
        let output = TxOut {
            value: Amount::from_sat(100_000_000_000),
            script_pubkey: sender.script(),
        };
        let script = sender.script();
        let funding = Funding {
            sender: &script,
            coins: &[Coin::from((outpoint, output))],
            change: &script,
            rate: FeeRate::from_sat_per_vb(1).unwrap(),
        };
        let unsigned = operation.build(*b"id", &funding).unwrap();
        let transaction = signed(&unsigned, &[sender]).unwrap();
        VirtualTransaction {
            vtxindex,
            txid: transaction.compute_txid(),
            prevouts: unsigned.prevouts,
            transaction,
        }
    }

    /// The next block, in which every operation must be accepted.
    fn mine(&mut self, operations: &[(Operation, &SigningKey)]) {
        let candidates: Vec<VirtualTransaction> = (1..)
            .zip(operations)
            .map(|(vtxindex, (operation, sender))| self.transaction(vtxindex, operation, sender))
            .collect();
        let height = self.height + 1;
        let outcome = connect_block(
            &self.bns,
            height,
            &candidates,
            &*self.names.store.snapshot(),
        )
        .unwrap();
        for decided in &outcome.decisions {
            let accepted = matches!(decided.item, Decision::Accepted(_));
            assert!(accepted, "block {height}: {:?}", decided.item);
        }
        let hash = |height: u32| BlockHash::hash(&height.to_be_bytes());
        let block = CandidateBlock {
            height,
            candidates,
            about: BlockHeader {
                hash: hash(height),
                previous: hash(self.height),
                time: 1_700_000_000 + height * 600,
            },
        };
        let connected = self
            .names
            .store
            .write(|writer| writer.apply(&block, &outcome));
        connected.unwrap();
        self.height = height;
    }

    /// Opens the namespace `test`, with `imported.test` in it if that is wanted.
    fn open_namespace(&mut self, lifetime: u32, imports: bool) {
        let id: NamespaceId = "test".parse().unwrap();
        let (payer, versions) = (key("registry"), self.bns.params().addresses);
        let revealer = (payer.address(), versions);
        let preorder = Operation::namespace_preorder(
            &id,
            &payer.script(),
            revealer,
            self.consensus_hash(),
            None,
            burn(50_000_000_000),
        );
        self.mine(&[(preorder, &payer)]);
        let price = PriceFunction {
            coeff: 1,
            base: 1,
            buckets: [0; 16],
            nonalpha_discount: 1,
            no_vowel_discount: 1,
        };
        let reveal = Operation::namespace_reveal(&id, payer.address(), lifetime, price, 1);
        self.mine(&[(reveal, &payer)]);
        if imports {
            let name = "imported.test".parse().unwrap();
            let import = Operation::name_import(&name, key("owner").address(), HASH);
            self.mine(&[(import, &payer)]);
        }
        let ready = Operation::namespace_ready(&id, payer.address());
        self.mine(&[(ready, &payer)]);
    }

    fn consensus_hash(&self) -> bnsd::hash::ConsensusHash {
        let tip = self.names.store.snapshot().tip();
        tip.map_or(self.bns.params().initial_consensus_hash, |tip| {
            tip.consensus_hash
        })
    }

    fn taking(&self, name: &Name, who: &SigningKey) -> [Operation; 2] {
        let owner = (who.address(), self.bns.params().addresses);
        let hash = self.consensus_hash();
        [
            Operation::name_preorder(name, &who.script(), owner, hash, None, burn(64_000)),
            Operation::name_register(name, who.address(), None),
        ]
    }

    fn register(&mut self, name: &Name, who: &SigningKey) {
        let [preorder, registration] = self.taking(name, who);
        self.mine(&[(preorder, who)]);
        self.mine(&[(registration, who)]);
    }

    fn renewal(name: &Name) -> Operation {
        Operation::name_renew(name, key("owner").address(), None, None, burn(64_000))
    }

    /// What the rules would say of operations in the next block.
    fn judge(&mut self, operations: &[(Operation, &SigningKey)]) -> Result<(), Reject> {
        let block: Vec<VirtualTransaction> = (1..)
            .zip(operations)
            .map(|(vtxindex, (operation, sender))| self.transaction(vtxindex, operation, sender))
            .collect();
        let snapshot = self.names.store.snapshot();
        let (tip, next) = (self.height, self.height + 1);
        let judged = forecast::forecast(&self.bns, &*snapshot, tip, next, &[block]).unwrap();
        judged
            .into_iter()
            .try_for_each(|judged| judged.outcome.map(|_| ()))
    }

    /// Tries everything in the next block, mines it empty, and looks at what resolves then.
    fn look(&mut self, name: &Name) -> Seen {
        let (owner, other) = (key("owner"), key("other"));
        let update = Operation::name_update(name, owner.address(), self.consensus_hash(), HASH);
        let [preorder, registration] = self.taking(name, &other);
        let renewal = self.judge(&[(Self::renewal(name), &owner)]).is_ok();
        let in_grace = self.judge(&[(update, &owner)]) == Err(Reject::NameInGracePeriod);
        let registration = self
            .judge(&[(preorder, &other), (registration, &other)])
            .is_ok();
        self.mine(&[]);
        let names = self.names.snapshot();
        Seen {
            height: self.height,
            renewal,
            in_grace,
            registration,
            resolves: matches!(names.name(name).unwrap(), NameStatus::Registered(_)),
            term: names.registration(name).unwrap().term.heights,
        }
    }

    /// Looks for `blocks` blocks; whatever was said of the end must be what came.
    fn check(&mut self, what: &str, name: &str, blocks: u32) -> Term {
        let name: Name = name.parse().unwrap();
        let seen: Vec<Seen> = (0..blocks).map(|_| self.look(&name)).collect();
        let first =
            |is: fn(&Seen) -> bool| seen.iter().find(|seen| is(seen)).map(|seen| seen.height);
        let last = |is: fn(&Seen) -> bool| {
            let found = seen
                .iter()
                .rev()
                .find(|seen| is(seen))
                .map(|seen| seen.height);
            found.filter(|height| *height < self.height)
        };
        let came = Term {
            grace_start: first(|seen| seen.in_grace),
            last_resolves: last(|seen| seen.resolves),
            renewal_deadline: last(|seen| seen.renewal),
            free_from: first(|seen| seen.registration),
        };
        for seen in &seen {
            assert_eq!(
                seen.term, came,
                "{what}, said at block {}: {seen:?}",
                seen.height
            );
        }
        came
    }
}

#[test]
fn a_registered_name_ends_as_it_was_said() {
    // sm §10: lifetime 3 doubled, grace period 3.
    let mut chain = Chain::new(vec![epoch(3, u32::MAX, 2, 3)]);
    chain.open_namespace(3, true);
    let (name, owner) = ("anna.test".parse().unwrap(), key("owner"));
    chain.register(&name, &owner);
    let registered = chain.height;
    let term = chain.check("registered", "anna.test", 14);
    let heights = |start: u32| Term {
        grace_start: Some(start + 6),
        last_resolves: Some(start + 9),
        renewal_deadline: Some(start + 10),
        free_from: Some(start + 11),
    };
    assert_eq!(term, heights(registered));

    // It is free, and a new life begins; a renewal prolongs it.
    chain.register(&name, &owner);
    for _ in 0..7 {
        chain.mine(&[]);
    }
    chain.mine(&[(Chain::renewal(&name), &owner)]);
    let renewed = chain.height;
    assert_eq!(chain.check("renewed", "anna.test", 14), heights(renewed));
}

#[test]
fn an_imported_name_ends_a_block_earlier() {
    let mut chain = Chain::new(vec![epoch(3, u32::MAX, 2, 3)]);
    chain.open_namespace(3, true);
    let ready = chain.height;
    let term = chain.check("imported", "imported.test", 14);
    assert_eq!(term.grace_start, Some(ready + 6));
    assert_eq!(term.last_resolves, Some(ready + 8));
    assert_eq!(term.free_from, Some(ready + 10));
}

#[test]
fn a_new_epoch_moves_the_end_and_was_known_before() {
    // From the tenth block on names live twice as long, from the fourteenth on there is a grace period.
    let epochs = vec![
        epoch(1, 9, 1, 0),
        epoch(2, 13, 2, 0),
        epoch(3, u32::MAX, 2, 4),
    ];
    let mut chain = Chain::new(epochs);
    chain.open_namespace(5, false);
    let (name, owner) = ("anna.test".parse().unwrap(), key("owner"));
    chain.register(&name, &owner);
    let registered = chain.height;
    assert!(registered < 9);
    let term = chain.check("across epochs", "anna.test", 20);
    assert_eq!(term.grace_start, Some(registered + 10));
    assert_eq!(term.last_resolves, Some(registered + 14));

    // Without a grace period the owner can act until the block behind the last one.
    let mut chain = Chain::new(vec![epoch(2, u32::MAX, 2, 0)]);
    chain.open_namespace(3, false);
    chain.register(&name, &owner);
    let registered = chain.height;
    let term = chain.check("no grace period", "anna.test", 12);
    assert_eq!(term.grace_start, None);
    assert_eq!(term.renewal_deadline, Some(registered + 7));
}

#[test]
fn a_name_without_end_has_none() {
    let mut chain = Chain::new(vec![epoch(3, u32::MAX, 2, 3)]);
    chain.open_namespace(FOR_EVER, false);
    let (name, owner) = ("anna.test".parse().unwrap(), key("owner"));
    chain.register(&name, &owner);
    let term = chain.check("for ever", "anna.test", 20);
    assert_eq!(term, Term::default());
}

#[test]
fn a_revoked_name_is_free_when_it_would_have_been() {
    let mut chain = Chain::new(vec![epoch(3, u32::MAX, 2, 3)]);
    chain.open_namespace(3, false);
    let (name, owner) = ("anna.test".parse().unwrap(), key("owner"));
    chain.register(&name, &owner);
    let registered = chain.height;
    chain.mine(&[]);
    chain.mine(&[(Operation::name_revoke(&name, owner.address()), &owner)]);
    for height in chain.height + 1..registered + 14 {
        let seen = chain.look(&name);
        assert_eq!((seen.renewal, seen.resolves), (false, false), "{height}");
        assert_eq!(seen.registration, height >= registered + 11, "{height}");
        assert_eq!(seen.term.free_from, Some(registered + 11), "{height}");
        let is_revoked = height < registered + 10;
        assert_eq!(seen.term.last_resolves.is_none(), is_revoked, "{height}");
    }
}

#[test]
fn a_list_of_owners_goes_on_where_it_stopped() {
    let mut chain = Chain::new(vec![epoch(1, u32::MAX, 1, 0)]);
    chain.open_namespace(FOR_EVER, false);
    let (owner, other) = (key("owner"), key("other"));
    for (name, who) in [("c", &owner), ("a", &owner), ("b", &other)] {
        chain.register(&format!("{name}.test").parse().unwrap(), who);
    }
    let names = chain.names.snapshot();
    let mut wanted = Wanted {
        owners: vec![owner.address(), other.address()],
        expiring_within: None,
        after: None,
    };
    let mut pages = Vec::new();
    loop {
        let list = names.list(&wanted, 2).unwrap();
        let shown = list.names.iter().map(|listed| listed.name.to_string());
        pages.push(shown.collect::<Vec<_>>());
        wanted.after = list.next;
        if wanted.after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["a.test", "b.test"], vec!["c.test"]]);
}
