//! Peers behind a SOCKS5 proxy: microsocks.

use super::{Caller, Lookups, Real};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, until};

#[test]
fn a_proxy_makes_the_connections_and_looks_up_the_names() {
    let real = Real::start();
    real.mine(3);
    let home = Home::new();
    let address = free_address();
    let port = address.port().to_string();
    let proxy = home.command("microsocks", &["-i", "127.0.0.1", "-p", &port]);
    let proxy = Process::start(&home, proxy);
    until("the proxy", || std::net::TcpStream::connect(address).ok());

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
