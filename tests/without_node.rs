//! Five real Bitcoin Core nodes, linked by their own protocol, and two indexes: one asks a node over RPC, the other has a log
//! and calls the nodes as peers. Whatever happens on the chain, both hold the same rows.

use std::time::{Duration, Instant};

use bitcoin::ScriptBuf;
use bnsd::chain::BlockRef;
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
const PATIENCE: Duration = Duration::from_secs(60);

/// The nodes, each linked with the next two.
struct Net(Vec<Real>);

impl Net {
    fn start() -> Self {
        let nodes: Vec<Real> = (0..NODES).map(|_| Real::start()).collect();
        for (number, real) in nodes.iter().enumerate() {
            for step in [1, 2] {
                let next = nodes[(number + step) % NODES].address.to_string();
                let _: Value = real.node.call("addnode", &[json!(next), json!("add")]);
            }
        }
        Self(nodes)
    }

    /// Hands a chain to the first node and waits until all have it.
    fn take(&self, script: &Script) -> BlockRef {
        let tip = script.chain().tip();
        follow::submit(script.chain(), &self.0[0].node);
        for real in &self.0 {
            until("the nodes to agree", || (real.tip() == tip).then_some(()));
        }
        tip
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
    let (mut tip, mut crew) = (net.take(&script), Crew::default());
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
        tip = net.take(&script);
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
    net.take(&script);
    let said = [&mut with_node, &mut without].map(|index| part(index).to_string());
    assert!(said[0].contains("bnsd chain rewind"), "{said:?}");
    assert_eq!(said[0], said[1]);
}
