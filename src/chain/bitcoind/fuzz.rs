//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use std::fmt;
use std::sync::Mutex;

use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Network, OutPoint, Txid};
use bitcoincore_rpc::jsonrpc::client::Transport;
use bitcoincore_rpc::jsonrpc::{Error, Request, Response};
use serde::de::DeserializeOwned;

use super::http::{Credentials, Http, Limits};
use super::node::Node;
use super::rpc::Rpc;
use crate::chain::BlockRef;

/// Takes bytes as what a node sends: a reply a line, each question in turn gets one.
pub fn replies_of_node(bytes: &[u8]) {
    let credentials = Credentials {
        cookie: None,
        user: None,
    };
    let nobody = Http::new(String::new(), credentials, Limits::default());
    let mut lines: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    lines.reverse();
    let script = Script(Mutex::new(lines));
    let node = Node::new(Rpc::over(script, nobody), Network::Regtest);
    let at = BlockRef {
        height: 1,
        hash: BlockHash::all_zeros(),
    };
    let _ = node.best();
    let _ = node.hash_at(1);
    let _ = node.hashes(1, 3);
    let _ = node.place_of(at.hash);
    let _ = node.has_refused_branch(1, 2);
    let _ = node.block_at(1);
    let _ = node.spent_by(at);
    let _ = node.output(OutPoint::new(Txid::all_zeros(), 0));
    for block in node.fetch_all(&[at, at]).unwrap_or_default() {
        let _ = node.check(block);
    }
}

/// Lines to reply with, the last one first; nothing when they have run out.
struct Script(Mutex<Vec<Vec<u8>>>);

impl Script {
    fn next<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let line = self.0.lock().expect("no call panics").pop();
        serde_json::from_slice(&line.unwrap_or_default()).map_err(Error::Json)
    }
}

impl Transport for Script {
    fn send_request(&self, _: Request<'_>) -> Result<Response, Error> {
        self.next()
    }

    fn send_batch(&self, _: &[Request<'_>]) -> Result<Vec<Response>, Error> {
        self.next()
    }

    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fuzzer")
    }
}
