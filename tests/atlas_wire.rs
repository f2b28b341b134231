//! What peers ask each other: a server and a client of bnsd, and Python's `xmlrpc.client`, which is not ours.

/// Every method, asked by Python and by bnsd.
mod calls;

/// What a server refuses.
mod refused;

/// What a client does not believe.
mod liars;

/// Calls of 2016 and 2017 on the chains of their runs.
mod recorded;

/// A way through a proxy.
mod socks;

/// How fast files go.
mod speed;

use std::net::SocketAddr;
use std::sync::Arc;

use bnsd::atlas::{
    Board, CONNECTIONS_MAX, CallError, Client, ClientOptions, Desk, PeerAddress, Server,
};
use bnsd::names::NameStore;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::common::home::Home;
use crate::common::python;

/// A server over names, on a port of its own.
pub struct Peer {
    pub address: SocketAddr,
    pub board: Arc<Board>,
    pub heard: mpsc::Receiver<PeerAddress>,
    _runtime: Runtime,
}

impl Peer {
    pub fn of(names: &Arc<NameStore>) -> Self {
        Self::denying(names, &[])
    }

    /// One that answers nobody of these networks.
    pub fn denying(names: &Arc<NameStore>, deny: &[&str]) -> Self {
        let runtime = Runtime::new().expect("threads");
        let board = Arc::new(Board::default());
        let (tell, heard) = mpsc::channel(100);
        let deny = deny.iter().map(|rule| rule.parse().expect("a rule"));
        let desk = Desk::new(Arc::clone(names), Arc::clone(&board), tell);
        let desk = desk.denying(deny.collect());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(&[any]).expect("a free port");
        let address = server.addresses()[0];
        runtime.spawn(server.serve(Arc::new(desk), CONNECTIONS_MAX));
        Self {
            address,
            board,
            heard,
            _runtime: runtime,
        }
    }

    /// The same as [`python`] of this server.
    pub fn python(&self, home: &Home, calls: &Value) -> Vec<Value> {
        python(home, self.address, calls)
    }
}

/// What Python gets for calls, each `[method, [argument, ..]]`: what the JSON holds, or what was raised.
pub fn python(home: &Home, address: SocketAddr, calls: &Value) -> Vec<Value> {
    let (address, calls) = (address.to_string(), calls.to_string());
    let ended = python::run(home, "call_atlas.py", &[&address, &calls]);
    assert!(ended.code == 0, "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("a list")
}

/// A client that may call this machine.
pub fn client() -> Client {
    Client::new(ClientOptions {
        allow: vec!["127.0.0.0/8".parse().expect("a network")],
        ..ClientOptions::default()
    })
}

/// Runs one call to its end.
pub fn wait<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    Runtime::new().expect("threads").block_on(call)
}

pub fn peer(address: SocketAddr) -> PeerAddress {
    PeerAddress::new(address.ip(), address.port())
}
