//! A node that is killed, restarted, given a new cookie, pruned, swapped for another network, hangs or lies.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use bnsd::chain::SourceError;

use super::*;
use crate::common::process::{serve, until};

#[test]
fn a_killed_node_with_a_new_cookie_is_followed_again() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(5);
    let mut daemon = mirror.serve(&[]);
    daemon.ready(&mirror.socket());
    let reaches = |mirror: &Mirror| {
        until("the node's tip", || {
            let status = status(&mirror.socket())?;
            (status.height == Some(mirror.dev.tip().height) && trouble(&mirror.socket()).is_none())
                .then_some(())
        });
    };
    reaches(&mirror);
    let cookie = fs::read(mirror.node.cookie()).expect("a cookie");
    mirror.node.kill();
    let said = until("the trouble", || trouble(&mirror.socket()));
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(said.contains("chain.rpc-address"), "{said}");
    mirror.node.start_again(&[]);
    assert_ne!(fs::read(mirror.node.cookie()).expect("a cookie"), cookie);
    mirror.mine(3);
    reaches(&mirror);

    // In order, and with a new cookie while the connection stands.
    mirror.node.stop();
    mirror.node.start_again(&[]);
    mirror.mine(1);
    reaches(&mirror);
    daemon.terminate();
    let log = daemon.stderr();
    assert!(!log.contains("__cookie__"), "a credential is in the log");
}

#[test]
fn a_pruned_node_is_told_what_is_missing() {
    // Core prunes whole block files and keeps 288 blocks; small files make that happen soon.
    let mut mirror = Mirror::start(&["-fastprune", "-prune=1"]);
    let names = project_zonefiles();
    mirror.publish(&names);
    while mirror.dev.tip().height < 700 {
        mirror.registrar.mine(Vec::new(), TIME).expect("a block");
    }
    mirror.send();
    let pruned: u32 = mirror.node.call("pruneblockchain", &[json!(400)]);
    assert!(pruned > 1, "something was pruned");
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("has pruned block 1,"), "{error}");
    assert!(error.contains("keeps blocks from height 1 on"), "{error}");
    let mut index = Index::open(&mirror.home.folder("files"), mirror.block_files());
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("lack block 1,"), "{error}");
}

#[test]
fn a_node_of_another_network_is_refused_even_in_place_of_the_right_one() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(4);
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    index.catch_up().expect("blocks");
    let right = mirror.node.cookie();
    mirror.node.stop();
    mirror.node.spawn("-testnet4");
    let cookie = mirror.home.path().join("bitcoin/testnet4/.cookie");
    until("the other network's cookie", || {
        fs::copy(&cookie, &right).ok()
    });
    let error = until("the refusal", || {
        let error = index.catch_up().expect_err("refused").to_string();
        let is_early = error.contains("is starting") || error.contains("cannot be reached");
        (!is_early && !error.contains("refuses the cookie")).then_some(error)
    });
    assert!(error.contains("follows another network"), "{error}");
    assert_eq!(index.tip().height, 4, "nothing was undone");
}

#[test]
fn a_starting_node_is_waited_for() {
    let (address, _) = fake(|_| {
        reply(
            500,
            r#"{"result":null,"error":{"code":-28,"message":"Loading block index…"},"id":1}"#,
        )
    });
    let error = ask(address, Duration::from_secs(5))
        .expect_err("not yet")
        .to_string();
    assert!(
        error.contains("is starting (Loading block index…)"),
        "{error}"
    );
}

#[test]
fn a_node_that_hangs_or_floods_costs_little() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = ask(address, Duration::from_millis(200))
        .expect_err("no reply")
        .to_string();
    assert!(error.contains("did not reply within"), "{error}");
    let (address, _) = fake(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec());
    let error = ask(address, Duration::from_secs(5))
        .expect_err("refused")
        .to_string();
    assert!(error.contains("larger than"), "{error}");
    let (address, _) = fake(|_| reply(200, "[1,2"));
    let error = ask(address, Duration::from_secs(5))
        .expect_err("refused")
        .to_string();
    assert!(error.contains("not what Bitcoin Core sends"), "{error}");
}

#[test]
fn a_lying_node_is_not_believed() {
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let hash = genesis.block_hash().to_string();
    let mut changed = bitcoin::consensus::serialize(&genesis);
    changed[120] ^= 1; // in the coinbase
    let raw = changed.to_lower_hex_string();
    let (address, _) = fake(move |request| {
        let id = request.split("\"id\":").nth(1).unwrap_or("0");
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        let result = if request.contains("getblockhash") {
            format!("\"{hash}\"")
        } else if request.contains("getblockchaininfo") {
            format!("{{\"blocks\":1,\"bestblockhash\":\"{hash}\"}}")
        } else {
            format!("\"{raw}\"")
        };
        reply(
            200,
            &format!("{{\"result\":{result},\"error\":null,\"id\":{id}}}"),
        )
    });
    let error = ask(address, Duration::from_secs(5))
        .expect_err("refused")
        .to_string();
    assert!(error.contains("sent something else for block 0"), "{error}");
    assert!(
        error.contains("not those that its header commits to"),
        "{error}"
    );
}

/// A damaged file of a terabyte, which nobody can search through in time.
#[test]
fn a_daemon_that_still_looks_at_block_files_ends_when_it_is_told_to() {
    let home = Home::new();
    let blocks = home.folder("blocks");
    fs::write(blocks.join("blk00000.dat"), "damaged").expect("written");
    let file = fs::File::options()
        .write(true)
        .open(blocks.join("blk00000.dat"));
    file.expect("a file")
        .set_len(1 << 40)
        .expect("a file with a hole");
    let blocks = blocks.display().to_string();
    let data = home.folder("data").display().to_string();
    let environment = [
        ("BNSD_CHAIN_SOURCE", "blockfiles"),
        ("BNSD_CHAIN_NETWORK", "regtest"),
        ("BNSD_CHAIN_BLOCKS_DIR", &blocks),
        ("BNSD_DATA_DIR", &data),
    ];
    let mut daemon = serve(&home, &environment);
    let status = daemon.ready(&Path::new(&data).join("control.sock"));
    assert_eq!((status.height, status.lag_seconds), (None, None));
    let ended = daemon.terminate();
    assert!(ended.success(), "{}", daemon.stderr());
}

/// Asks for block 0 of whatever listens there.
fn ask(address: String, timeout: Duration) -> Result<Event, SourceError> {
    let credentials = Credentials {
        cookie: None,
        user: None,
    };
    follow::rpc_as(address, credentials, timeout).next(None, 0)
}

/// Something that listens and replies as it likes, once per connection.
pub(super) fn fake(
    reply: impl Fn(&str) -> Vec<u8> + Send + 'static,
) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &reply);
        }
    });
    (address, thread)
}

fn answer(mut stream: TcpStream, reply: impl Fn(&str) -> Vec<u8>) {
    let mut buffer = [0; 4096];
    let Ok(read) = stream.read(&mut buffer) else {
        return;
    };
    let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
    let _ = stream.write_all(&reply(&request)); // the client may have gone
}

pub(super) fn reply(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}
