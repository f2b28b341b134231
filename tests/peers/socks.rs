//! Peers behind a SOCKS5 proxy: microsocks.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bitcoin::Network;
use bnsd::chain::p2p::PeerChoice;

use super::{Caller, Liar, Lookups, Real};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, until};
use crate::common::scratch::scratch;

#[test]
fn a_proxy_makes_the_connections_and_looks_up_the_names() {
    let real = Real::start();
    real.mine(3);
    let home = Home::new();
    let address = free_address();
    let port = address.port().to_string();
    let proxy = home.command("microsocks", &["-i", "127.0.0.1", "-p", &port]);
    let proxy = Process::start(&home, proxy);
    until("the proxy", || TcpStream::connect(address).ok());

    let named = format!("localhost:{}", real.address.port());
    let (lookups, peers) = (Lookups::default(), std::slice::from_ref(&named));
    let caller = Caller::start(peers, Some(address), lookups.giving("127.0.0.1"));
    caller.follow(real.tip());
    let asked = format!("connected to {named}");
    until("the proxy to say whom it was asked for", || {
        proxy.stderr().contains(&asked).then_some(())
    });
    assert_eq!(lookups.names(), [""; 0]);
}

#[test]
fn without_a_proxy_names_are_looked_up_as_the_caller_says() {
    let real = Real::start();
    real.mine(3);
    let named = format!("node.example:{}", real.address.port());
    let lookups = Lookups::default();
    let caller = Caller::start(&[named], None, lookups.giving("127.0.0.1"));
    caller.follow(real.tip());
    assert_eq!(lookups.names(), ["node.example"]);
}

/// A SOCKS5 proxy (RFC 1928) that takes every connection to `to`, and keeps the host and the port that it was asked for.
fn proxy_to(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let noted = Arc::clone(&noted);
            std::thread::spawn(move || {
                let mut client = client?;
                let mut start = [0; 2]; // version, and how many ways to log in
                client.read_exact(&mut start)?;
                client.read_exact(&mut vec![0; start[1].into()])?;
                client.write_all(&[5, 0])?; // none
                let mut request = [0; 5]; // version, command, nothing, a name, its length
                client.read_exact(&mut request)?;
                assert_eq!(request[..4], [5, 1, 0, 3], "a connection to a name");
                let mut host = vec![0; request[4].into()];
                client.read_exact(&mut host)?;
                let mut port = [0; 2];
                client.read_exact(&mut port)?;
                let (host, port) = (String::from_utf8_lossy(&host), u16::from_be_bytes(port));
                noted.lock().expect("a list").push(format!("{host}:{port}"));
                let mut server = TcpStream::connect(to)?;
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
                let (mut from, mut into) = (client.try_clone()?, server.try_clone()?);
                std::thread::spawn(move || io::copy(&mut from, &mut into));
                io::copy(&mut server, &mut client)
            });
        }
    });
    (address, asked)
}

#[test]
fn a_proxy_is_asked_for_seeds_by_name_and_nobody_looks_them_up() {
    let home = Home::new();
    let liar = Liar::start(&home, "names-others", free_address(), "127.0.0.2");
    let (proxy, asked) = proxy_to(liar.address);
    let lookups = Lookups::default();
    let choice = (PeerChoice::Seeds, Some(proxy));
    let resolve = lookups.giving("127.0.0.1");
    let caller = Caller::choosing(scratch(), Network::Signet, choice, resolve);
    until("a call", || (liar.lies() > 0).then_some(()));
    drop(caller);
    let asked = asked.lock().expect("a list").clone();
    let seeds = ["sprovoost.nl:38333", "achownodes.xyz:38333"];
    let is_seed = |name: &String| seeds.iter().any(|seed| name.ends_with(seed));
    assert!(!asked.is_empty() && asked.iter().all(is_seed), "{asked:?}");
    assert_eq!(lookups.names(), [""; 0]);
}
