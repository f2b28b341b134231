//! Bitcoin peers: headers and blocks of real nodes in regtest, over Bitcoin's own protocol.

/// Headers, blocks, reorganisations, a node that restarts, and what following costs.
mod follow;

/// Peers that lie.
mod liars;

/// Peers that seeds and other peers name.
mod seeds;

/// A way through a proxy.
mod socks;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::Network;
use bnsd::chain::headers::HeaderChain;
use bnsd::chain::p2p::{PeerChoice, PeerOptions, Peers, Resolve};
use bnsd::chain::{Block, BlockRef};
use bnsd::worker::Crew;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::bitcoind::Node;
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, until};
use crate::common::scratch::scratch;

/// The burn address: its rewards are nobody's.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";
const NETWORK: Network = Network::Regtest;

/// A real node that takes connections.
pub struct Real {
    pub node: Node,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Real {
    pub fn start() -> Self {
        let directory = scratch();
        let address = free_address();
        let bind = format!("-bind={address}");
        let node = Node::start(directory.path(), &arguments(&bind));
        Self {
            node,
            address,
            _directory: directory,
        }
    }

    /// Starts the stopped node again.
    pub fn start_again(&mut self) {
        let bind = format!("-bind={}", self.address);
        self.node.start_again(&arguments(&bind));
    }

    pub fn mine(&self, blocks: u32) {
        let arguments = [json!(blocks), json!(NOBODY)];
        let _: Value = self.node.call("generatetoaddress", &arguments);
    }

    /// Mines blocks whose rewards anybody can spend; their hashes.
    pub fn mine_to_anybody(&self, blocks: u32) -> Vec<String> {
        let anybody = json!("raw(51)#8lvh9jxk");
        let arguments = [json!(blocks), anybody];
        self.node.call("generatetodescriptor", &arguments)
    }

    pub fn tip(&self) -> BlockRef {
        self.at(self.node.height())
    }

    pub fn at(&self, height: u32) -> BlockRef {
        let hash = self.node.hash_at(height).parse().expect("a hash");
        BlockRef { height, hash }
    }

    /// A block as the node has it, with witnesses.
    pub fn block(&self, at: BlockRef) -> bitcoin::Block {
        let hex: String = self.node.call("getblock", &[json!(at.hash), json!(0)]);
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes());
        bitcoin::consensus::deserialize(&bytes.expect("hexadecimal")).expect("a block")
    }
}

/// The last one: blocks of long ago are not announced by a node that takes itself for behind.
fn arguments(bind: &str) -> [&str; 3] {
    ["-listen=1", bind, "-maxtipage=1000000000"]
}

/// The names that were looked up here, and what they got.
#[derive(Clone, Default)]
pub struct Lookups(Arc<Mutex<Vec<String>>>);

impl Lookups {
    /// Gives every name this address.
    pub fn giving(&self, ip: &'static str) -> Box<Resolve> {
        let names = Arc::clone(&self.0);
        Box::new(move |name| {
            names.lock().expect("names").push(name.to_owned());
            vec![ip.parse().expect("an address")]
        })
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().expect("names").clone()
    }
}

/// A script that listens as a peer.
pub struct Liar {
    process: Process,
    pub address: SocketAddr,
}

impl Liar {
    /// One that tells this lie, with what the script needs for it.
    pub fn start(home: &Home, lie: &str, address: SocketAddr, more: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/liar.py");
        let script = script.display().to_string();
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = [&script, lie, &ip, &port, more];
        let process = Process::start(home, home.command("python3", &arguments));
        until("the liar to listen", || {
            (!process.stdout().is_empty()).then_some(())
        });
        Self { process, address }
    }

    /// How often it lied.
    pub fn lies(&self) -> usize {
        self.process.stdout().lines().count() - 1
    }
}

/// Somebody who calls peers.
pub struct Caller {
    pub peers: Arc<Peers>,
    pub headers: Arc<Mutex<HeaderChain>>,
    crew: Option<Crew>,
    directory: Option<TempDir>,
}

impl Caller {
    pub fn of(peers: &[SocketAddr]) -> Self {
        let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
        Self::start(&peers, None, Lookups::default().giving("127.0.0.1"))
    }

    pub fn start(peers: &[String], proxy: Option<SocketAddr>, resolve: Box<Resolve>) -> Self {
        let choice = PeerChoice::given(NETWORK, peers).expect("addresses");
        Self::choosing(scratch(), NETWORK, (choice, proxy), resolve)
    }

    /// One on any network, with its files in `directory`.
    pub fn choosing(
        directory: TempDir,
        network: Network,
        (choice, proxy): (PeerChoice, Option<SocketAddr>),
        resolve: Box<Resolve>,
    ) -> Self {
        let headers = HeaderChain::open(directory.path(), network).expect("a chain of headers");
        let headers = Arc::new(Mutex::new(headers));
        let mut crew = Crew::default();
        let options = PeerOptions {
            network,
            choice,
            proxy,
            outbound: 8,
            directory: directory.path().to_owned(),
        };
        let peers = Peers::start(options, Arc::clone(&headers), resolve, &mut crew);
        Self {
            peers: peers.expect("a thread"),
            headers,
            crew: Some(crew),
            directory: Some(directory),
        }
    }

    /// Stops it; its files stay.
    pub fn stop(mut self) -> TempDir {
        self.end();
        self.directory.take().expect("it stops once")
    }

    fn end(&mut self) {
        self.peers.stop();
        let Some(crew) = self.crew.take() else {
            return;
        };
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let stopped = runtime.block_on(crew.stop(Duration::from_secs(20)));
        assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
    }

    pub fn tip(&self) -> BlockRef {
        self.headers.lock().expect("a chain").tip()
    }

    /// Waits until a block is the best.
    pub fn follow(&self, tip: BlockRef) {
        until("the headers", || (self.tip() == tip).then_some(()));
    }

    /// Waits for a block.
    pub fn fetch(&self, at: BlockRef) -> Block {
        self.peers.want(&[at]);
        until("a block", || {
            self.peers.wait(Duration::from_millis(100));
            self.peers.take(&at.hash)
        })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.end();
    }
}
