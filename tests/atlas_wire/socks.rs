//! Peers behind a SOCKS5 proxy: microsocks.

use bnsd::atlas::{CallError, Client, ClientOptions, Failure, PeerAddress, Socks};

use super::{Peer, wait};
use crate::common::home::Home;
use crate::common::ports::free_address;
use crate::common::process::{Process, until};
use crate::common::world::World;

#[test]
fn a_proxy_resolves_names_and_wants_a_password() {
    let home = Home::new();
    let world = World::start(home.path(), &[]);
    let server = Peer::of(world.names());
    let address = free_address();
    let port = address.port().to_string();
    let arguments = ["-i", "127.0.0.1", "-p", &port, "-u", "me", "-P", "secret"];
    let proxy = Process::start(&home, home.command("microsocks", &arguments));
    until("the proxy", || std::net::TcpStream::connect(address).ok());

    let through = |password: &str| {
        Client::new(ClientOptions {
            proxy: Some(Socks {
                address,
                user: Some(("me".to_owned(), password.to_owned())),
            }),
            allow: vec!["localhost".parse().expect("a rule")],
            ..ClientOptions::default()
        })
    };
    // A name that only the proxy looks up: it says in its log what it was asked for.
    let there: PeerAddress = format!("localhost:{}", server.address.port())
        .parse()
        .expect("an address");
    let info = wait(through("secret").info(&there)).expect("a reply");
    assert_eq!(info.last_block_processed, world.height());
    let asked = format!("connected to localhost:{}", server.address.port());
    until("the proxy to say whom it was asked for", || {
        proxy.stderr().contains(&asked).then_some(())
    });

    let refused = wait(through("wrong").info(&there)).expect_err("no password");
    assert_eq!(refused.failure(), Failure::Unreachable);
    assert!(
        refused.to_string().contains("the proxy") && !refused.to_string().contains("wrong"),
        "{refused}"
    );
    let private: PeerAddress = "10.0.0.1:6264".parse().expect("an address");
    let forbidden = wait(through("secret").info(&private)).expect_err("private");
    assert!(matches!(forbidden, CallError::Forbidden(_)), "{forbidden}");
}
