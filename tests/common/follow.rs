//! What follows a chain in the tests: sources on a real node, and an index that any source feeds.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::hex::DisplayHex as _;
use bitcoin::{Network, OutPoint, TxOut};
use bitcoincore_rpc::RpcApi as _;
use bnsd::bns::Params;
use bnsd::chain::bitcoind::http::{Credentials, Limits};
use bnsd::chain::bitcoind::{BitcoindSource, NodeOptions};
use bnsd::chain::blockfiles::BlockFilesSource;
use bnsd::chain::dev::DevChain;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::light::Audits;
use bnsd::chain::p2p::{PeerChoice, PeerOptions, Peers};
use bnsd::chain::{Block, BlockRef, ChainSource, Event, candidates};
use bnsd::hash::ConsensusHash;
use bnsd::indexer::{IndexError, Indexer, Turn};
use bnsd::store::Store;
use bnsd::worker::Crew;
use serde_json::{Value, json};

use super::bitcoind::Node;
use super::index;

/// Submits every block of the embedded chain that the node lacks; each has to be accepted.
pub fn submit(chain: &DevChain, node: &Node) {
    let mut source = chain.source(0);
    let mut height = node.height().min(chain.tip().height);
    let mine = |height| chain.block_at(height).expect("a block");
    while node.hash_at(height) != mine(height).hash.to_string() {
        height -= 1;
    }
    let client = node.client();
    while let Event::Connect(block) = source.next(Some(mine(height)), 0).expect("a block") {
        let raw = block.raw.to_lower_hex_string();
        let reply: Value = client.call("submitblock", &[json!(raw)]).expect("a reply");
        let is_side_branch = reply == "inconclusive" || reply == "duplicate";
        assert!(
            reply.is_null() || is_side_branch,
            "{}: {reply}",
            block.at.height
        );
        height = block.at.height;
    }
}

/// Gives the whole embedded chain to a real node and follows the node, over RPC and through its block files: both have
/// to end at the chain's tip with these consensus hashes.
pub fn assert_accepted(directory: &Path, chain: &DevChain, expected: &[String]) {
    // The chain's clock may be ahead of the machine's, and Core refuses blocks of the future.
    let time = format!("-mocktime={}", time_of_tip(chain));
    let node = Node::start(&directory.join("bitcoin"), &[&time]);
    submit(chain, &node);
    assert_eq!(node.hash_at(node.height()), chain.tip().hash.to_string());
    let place = |folder: &str| directory.join(folder);
    let follow = |folder: &str, mut index: Index| {
        index.catch_up().expect("blocks");
        assert_eq!(index.tip(), chain.tip(), "{folder}");
        assert_eq!(index.consensus_hashes(), expected, "{folder}");
    };
    follow("over-rpc", Index::open(&place("over-rpc"), rpc(&node)));
    follow(
        "from-files",
        Index::open(&place("from-files"), block_files(&node)),
    );
}

fn time_of_tip(chain: &DevChain) -> u32 {
    let below = chain.tip().height.saturating_sub(1);
    match chain.source(0).next(chain.block_at(below), 0) {
        Ok(Event::Connect(block)) => block.time,
        other => panic!("no block on top of {below}: {other:?}"),
    }
}

/// The node, asked over RPC with its cookie.
pub fn rpc(node: &Node) -> BitcoindSource {
    let credentials = Credentials {
        cookie: Some(node.cookie()),
        user: None,
    };
    rpc_as(node.address(), credentials, Duration::from_secs(5))
}

/// Whatever listens at `address`, asked over RPC; each reply has so much time.
pub fn rpc_as(address: String, credentials: Credentials, timeout: Duration) -> BitcoindSource {
    BitcoindSource::new(NodeOptions {
        address,
        credentials,
        limits: Limits {
            timeout,
            ..Limits::default()
        },
        network: Network::Regtest,
        confirmations: 0,
    })
}

/// The node's block files.
pub fn block_files(node: &Node) -> BlockFilesSource {
    BlockFilesSource::new(&node.blocks(), Network::Regtest, 0)
}

/// A source that gives every block reduced to its candidates, as one does that has no blocks.
pub struct Reduced<S>(pub S);

impl<S: ChainSource> ChainSource for Reduced<S> {
    fn next(&mut self, tip: Option<BlockRef>, first_block: u32) -> bnsd::chain::Result<Event> {
        let Event::Connect(block) = self.0.next(tip, first_block)? else {
            return self.0.next(tip, first_block);
        };
        let shown = candidates(&mut self.0, &block, Params::regtest().magic)?;
        Ok(Event::ConnectCandidates(shown))
    }

    fn prevouts(&mut self, block: &Block, _: &[OutPoint]) -> bnsd::chain::Result<Vec<TxOut>> {
        panic!(
            "block {} was given with all that it spends",
            block.at.height
        )
    }

    fn best_height(&mut self) -> bnsd::chain::Result<u32> {
        self.0.best_height()
    }

    fn holds(&mut self, at: BlockRef) -> bnsd::chain::Result<bool> {
        self.0.holds(at)
    }

    fn wait(&mut self, patience: Duration) {
        self.0.wait(patience);
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// An index in a directory, fed by any source.
pub struct Index {
    indexer: Indexer,
    pub store: Arc<Store>,
    /// Where audits are asked for, if blocks come from logs.
    pub audits: Option<Audits>,
}

impl Index {
    pub fn open(directory: &Path, source: impl ChainSource + 'static) -> Self {
        Self::with_undo_depth(directory, source, 100)
    }

    pub fn with_undo_depth(
        directory: &Path,
        source: impl ChainSource + 'static,
        undo_depth: u32,
    ) -> Self {
        let store = index::open(directory, undo_depth);
        Self {
            indexer: index::indexer(source, &store),
            store,
            audits: None,
        }
    }

    /// An index that follows logs, without Bitcoin peers.
    pub fn of_logs(directory: &Path, logs: &[String], undo_depth: u32) -> Self {
        Self::of_pinned_logs(directory, logs, undo_depth, &[])
    }

    /// The same with Bitcoin peers. Their thread belongs to the crew.
    pub fn with_peers(
        directory: &Path,
        logs: &[String],
        peers: &[std::net::SocketAddr],
        crew: &mut Crew,
    ) -> Self {
        let headers = index::headers(directory);
        let given: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let options = PeerOptions {
            network: Network::Regtest,
            choice: PeerChoice::given(Network::Regtest, &given).expect("an address"),
            proxy: None,
            outbound: 8,
            directory: directory.join("log"),
        };
        let peers = Peers::start(
            options,
            Arc::clone(&headers),
            Box::new(|_| Vec::new()),
            crew,
        );
        let peers = peers.expect("a thread");
        Self::light(directory, logs, 100, &[], (headers, Some(peers)))
    }

    /// The same with consensus hashes that it has to arrive at.
    pub fn of_pinned_logs(
        directory: &Path,
        logs: &[String],
        undo_depth: u32,
        pins: &[(u32, ConsensusHash)],
    ) -> Self {
        let headers = index::headers(directory);
        Self::light(directory, logs, undo_depth, pins, (headers, None))
    }

    fn light(
        directory: &Path,
        logs: &[String],
        undo_depth: u32,
        pins: &[(u32, ConsensusHash)],
        (headers, peers): (Arc<Mutex<HeaderChain>>, Option<Arc<Peers>>),
    ) -> Self {
        let store = index::open(directory, undo_depth);
        let source = index::light(directory, logs, pins, (headers, peers), &store);
        let audits = source.audits();
        Self {
            indexer: index::indexer(source, &store),
            store,
            audits,
        }
    }

    /// One turn.
    pub fn turn(&mut self) -> Result<Turn, IndexError> {
        self.indexer.turn()
    }

    /// Turns until there is nothing to do.
    pub fn catch_up(&mut self) -> Result<(), IndexError> {
        while self.indexer.turn()? != Turn::Idle {}
        Ok(())
    }

    pub fn tip(&self) -> BlockRef {
        let tip = self.store.snapshot().tip().expect("a block");
        BlockRef {
            height: tip.height,
            hash: tip.hash,
        }
    }

    pub fn consensus_hashes(&self) -> Vec<String> {
        consensus_hashes(&self.store)
    }
}

/// Consensus hash of every block, from the first on.
pub fn consensus_hashes(store: &Store) -> Vec<String> {
    let snapshot = store.snapshot();
    let tip = snapshot.tip().map_or(0, |tip| tip.height);
    let hash = |height| snapshot.block(height).unwrap().unwrap().consensus_hash;
    (1..=tip).map(|height| hash(height).to_string()).collect()
}
