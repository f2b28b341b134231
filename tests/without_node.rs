//! Five real Bitcoin Core nodes, linked by their own protocol, and two indexes: one asks a node over RPC, the other has a log
//! and calls the nodes as peers. Whatever happens on the chain, both hold the same rows.

/// The same through the program.
mod daemons;

use std::time::{Duration, Instant};

use bitcoin::ScriptBuf;
use bitcoincore_rpc::RpcApi as _;
use bnsd::chain::BlockRef;
use bnsd::chain::dev::DevChain;
use bnsd::indexer::IndexError;
use bnsd::worker::Crew;
use serde_json::{Value, json};

use crate::common::chain_log::History;
use crate::common::follow::{self, Index};
use crate::common::process::until;
use crate::common::scratch::scratch;
use crate::peers::Real;
use crate::reorg::script::{Base, NOW, Script};

/// Real nodes.
const NODES: usize = 5;
/// How long an index may take to follow.
const PATIENCE: Duration = Duration::from_secs(180);

/// After this time a node that lags is linked anew: what it asked a peer in vain, it asks again after two minutes only.
const RELINK: Duration = Duration::from_secs(10);

/// The nodes, each linked with the next two.
struct Net(Vec<Real>);

impl Net {
    fn start() -> Self {
        let nodes: Vec<Real> = (0..NODES).map(|_| Real::start()).collect();
        let net = Self(nodes);
        // A node that is told to keep a link tries it once a minute.
        until("the nodes to be linked", || {
            let links = |real: &Real| real.node.call::<usize>("getconnectioncount", &[]);
            let is_linked = net.0.iter().all(|real| links(real) == NODES - 1);
            if !is_linked {
                net.link();
                std::thread::sleep(Duration::from_millis(500));
            }
            is_linked.then_some(())
        });
        net
    }

    /// Has each node call the next two, unless it did.
    fn link(&self) {
        for (number, real) in self.0.iter().enumerate() {
            for step in [1, 2] {
                let next = self.0[(number + step) % NODES].address.to_string();
                let call = [json!(next), json!("onetry")];
                let _: Value = real.node.call("addnode", &call);
            }
        }
    }

    /// Hands a chain to the first node and waits until all have it.
    fn take(&self, chain: &DevChain) -> BlockRef {
        let tip = chain.tip();
        follow::submit(chain, &self.0[0].node);
        let mut due = Instant::now() + RELINK;
        let what = format!("all nodes to be at block {}", tip.height);
        until(&what, || {
            let lagging: Vec<&Real> = self.0.iter().filter(|real| real.tip() != tip).collect();
            if due <= Instant::now() {
                due = Instant::now() + RELINK;
                self.link_anew(&lagging);
            }
            lagging.is_empty().then_some(())
        });
        tip
    }

    fn link_anew(&self, lagging: &[&Real]) {
        for real in lagging {
            for other in &self.0 {
                let address = json!(other.address.to_string());
                let client = real.node.client();
                // An error says that there is no such link.
                let _ = client.call::<Value>("disconnectnode", &[address]);
            }
        }
        self.link();
    }
}

/// Turns until the index is at a block.
fn reach(index: &mut Index, tip: BlockRef) {
    let end = Instant::now() + PATIENCE;
    let is_there = |index: &Index| {
        let found = index.store.snapshot().tip();
        found.is_some_and(|found| found.hash == tip.hash)
    };
    while !is_there(index) {
        let turn = index.turn().expect("a source that goes on");
        assert!(Instant::now() < end, "{turn:?}");
    }
}

/// Turns until the index says that it cannot take back so many blocks.
fn part(index: &mut Index) -> IndexError {
    let end = Instant::now() + PATIENCE;
    loop {
        match index.turn() {
            Err(error) => return error,
            Ok(turn) => assert!(Instant::now() < end, "{turn:?}"),
        }
    }
}

#[test]
fn whoever_has_no_node_holds_the_same_rows() {
    let net = Net::start();
    let mut script = Script::new(&Base::mine(), 7);
    script.mine(200);
    let directory = scratch();
    let place = |name: &str| directory.path().join(name);
    let log = place("log");
    let write = |script: &Script| History::read(script.chain()).write(&log, &[]);
    let (mut tip, mut crew) = (net.take(script.chain()), Crew::default());
    write(&script);
    let mut with_node = Index::open(&place("with"), follow::rpc(&net.0[0].node));
    let peers: Vec<_> = net.0[1..].iter().map(|real| real.address).collect();
    let logs = [log.display().to_string()];
    let mut without = Index::with_peers(&place("without"), &logs, &peers, &mut crew);
    for step in 0..5 {
        for index in [&mut with_node, &mut without] {
            reach(index, tip);
        }
        let dumps =
            [&with_node, &without].map(|index| index.store.snapshot().dump().expect("a dump"));
        assert_eq!(with_node.consensus_hashes(), without.consensus_hashes());
        let mut rows = dumps[0].lines().zip(dumps[1].lines());
        assert_eq!(rows.find(|(a, b)| a != b), None, "step {step}");
        assert_eq!(dumps[0].len(), dumps[1].len());
        match step {
            0..=2 => script.mine(8),
            _ => script.replace(10),
        }
        tip = net.take(script.chain());
        write(&script);
    }
    for index in [&mut with_node, &mut without] {
        reach(index, tip);
    }
    let chain = script.chain();
    chain.rewind(tip.height - 110).expect("blocks to take back");
    chain
        .mine_empty(&ScriptBuf::new(), 115, NOW)
        .expect("blocks");
    net.take(chain);
    let said = [&mut with_node, &mut without].map(|index| part(index).to_string());
    assert!(said[0].contains("bnsd chain rewind"), "{said:?}");
    assert_eq!(said[0], said[1]);
}
