//! A node older than Bitcoin Core 23 does not say what its blocks spend: it takes verbosity 3 for 2. A relay in front of
//! the real node asks it the same way, and the spent outputs come from `getrawtransaction`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use bitcoin::OutPoint;
use bnsd::chain::{Block, SourceError};

use super::trouble::{fake, reply};
use super::*;
use crate::common::process::until;

#[test]
fn an_older_node_with_txindex_gives_the_same_hashes() {
    let mut mirror = Mirror::start(&["-txindex=1"]);
    mirror.publish(&project_zonefiles());
    until("the node's index", || {
        let indexes: Value = mirror.node.call("getindexinfo", &[]);
        (indexes["txindex"]["best_block_height"] == mirror.dev.tip().height).then_some(())
    });
    let mut expected = Index::open(&mirror.home.folder("newer"), mirror.rpc());
    expected.catch_up().expect("blocks");
    let mut index = Index::open(&mirror.home.folder("older"), older(&mirror.node));
    index.catch_up().expect("blocks");
    assert_eq!(index.consensus_hashes(), expected.consensus_hashes());
}

#[test]
fn an_older_node_without_txindex_is_told_what_it_lacks() {
    let mut mirror = Mirror::start(&[]);
    mirror.publish(&project_zonefiles());
    let mut index = Index::open(&mirror.home.folder("older"), older(&mirror.node));
    let error = index.catch_up().expect_err("refused").to_string();
    let wanted = "use Bitcoin Core 23 or newer, or run it with txindex=1";
    assert!(
        error.contains("is too old to tell what blocks spend"),
        "{error}"
    );
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn an_older_node_that_still_indexes_is_waited_for() {
    let (address, _) = fake(|request| {
        if request.contains("getrawtransaction") {
            let message = "No such mempool transaction. Blockchain transactions are still in the process of being indexed. Use gettransaction for wallet transactions.";
            let error = json!({"code": -5, "message": message});
            return result(request, &Value::Null, &error);
        }
        let block = json!({"tx": [{"vin": [{"txid": OutPoint::null().txid, "vout": 0}]}]});
        result(request, &block, &Value::Null)
    });
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let block = Block {
        at: bnsd::chain::BlockRef {
            height: 0,
            hash: genesis.block_hash(),
        },
        previous: genesis.header.prev_blockhash,
        time: genesis.header.time,
        raw: Vec::new(),
    };
    let credentials = Credentials {
        cookie: None,
        user: None,
    };
    let mut source = follow::rpc_as(address, credentials, Duration::from_secs(5));
    let spent = source.prevouts(&block, &[OutPoint::null()]);
    let Err(SourceError::Unavailable(said)) = spent else {
        panic!("{spent:?}");
    };
    assert!(said.contains("until its txindex is complete"), "{said}");
}

/// A reply to whatever was asked.
fn result(request: &str, result: &Value, error: &Value) -> Vec<u8> {
    let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
    let request: Value = serde_json::from_str(body).unwrap_or_default();
    let body = json!({"result": result, "error": error, "id": request["id"]});
    reply(200, &body.to_string())
}

/// The node behind the relay.
fn older(node: &Node) -> BitcoindSource {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let behind = node.address();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(node) = TcpStream::connect(&behind) else {
                return;
            };
            relay(client, node);
        }
    });
    let credentials = Credentials {
        cookie: Some(node.cookie()),
        user: None,
    };
    follow::rpc_as(address, credentials, Duration::from_secs(5))
}

/// Carries requests and replies until one side ends.
fn relay(client: TcpStream, mut node: TcpStream) {
    let mut replies = (node.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut replies.0, &mut replies.1); // either side may be gone
        let _ = replies.1.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut client = BufReader::new(client);
        while let Some(request) = read_request(&mut client) {
            if node
                .write_all(request.replace(",3]", ",2]").as_bytes())
                .is_err()
            {
                break;
            }
        }
        let _ = node.shutdown(Shutdown::Both);
    });
}

/// Head and body of a request.
fn read_request(client: &mut BufReader<TcpStream>) -> Option<String> {
    let mut request = String::new();
    let mut length = 0;
    while !request.ends_with("\r\n\r\n") {
        let before = request.len();
        if client.read_line(&mut request).ok()? == 0 {
            return None;
        }
        if let Some(value) = request[before..].strip_prefix("Content-Length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    request += std::str::from_utf8(&body).ok()?;
    Some(request)
}
