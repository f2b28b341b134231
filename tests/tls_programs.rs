//! Programs that check servers by what names bind: the verifier of the library, `bnsd tls check`, and the proxy.

pub mod fetch;
mod site;

use std::net::{Ipv4Addr, TcpListener};

use fetch::fetch;
use site::{Keys, Site};

#[test]
fn without_a_daemon_no_server_is_believed() {
    let site = Site::start(&Keys::of("werner.id"));
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = taken.local_addr().unwrap();
    drop(taken);
    let told = fetch("werner.id", site.address, silent).unwrap_err();
    let expected = format!("cannot tell what key werner.id has: no bnsd answers at {silent}");
    assert!(told.to_string().contains(&expected), "{told}");
}
