//! Programs that check servers by what names bind: the verifier of the library, `bnsd tls check`, and the proxy.

mod check;
pub mod fetch;
mod origin;
mod owner;
mod proxy;
pub mod site;

use std::net::{Ipv4Addr, TcpListener};

use fetch::fetch;
use owner::Owner;
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

#[test]
fn a_page_of_a_name_is_fetched_from_whoever_has_the_key_that_it_binds() {
    let keys = Keys::of("anna.id");
    let site = Site::start(&keys);
    let (port, stranger) = (site.address.port(), Site::start(&Keys::of("anna.id")));
    let mut owner = Owner::of("anna.id");
    owner.announce(&keys.statement("ta", port));
    let api = owner.world.api();
    let page = fetch("anna.id", site.address, api).unwrap();
    assert!(page.contains("s_server"), "{page}");
    fetch("anna.id.bns.alt", site.address, api).unwrap();

    // The same name on another port binds nothing.
    let told = fetch("anna.id", stranger.address, api)
        .unwrap_err()
        .to_string();
    let unbound = format!(
        "not the server of anna.id, port {}: nothing is bound",
        stranger.address.port()
    );
    assert!(told.contains(&unbound), "{told}");
    // Somebody else on the same port.
    owner.announce(&keys.statement("ta", stranger.address.port()));
    let told = fetch("anna.id", stranger.address, api)
        .unwrap_err()
        .to_string();
    assert!(told.contains("no pin holds for it"), "{told}");

    // A leaf by itself may be as old as it likes.
    let keys = Keys::expired("anna.id");
    let site = Site::start(&keys);
    let port = site.address.port();
    owner.announce(&keys.statement("ee", port));
    fetch("anna.id", site.address, api).unwrap();
    owner.announce(&keys.statement("ta", port));
    let told = fetch("anna.id", site.address, api).unwrap_err().to_string();
    assert!(told.contains("a certificate has expired"), "{told}");
    // Other names are the machine's, which knows no authority that signed this.
    let told = fetch("anna.example.com", site.address, api)
        .unwrap_err()
        .to_string();
    assert!(!told.contains("bnsd"), "{told}");
}

#[test]
fn a_name_that_is_revoked_or_undone_has_no_server() {
    let keys = Keys::of("anna.id");
    let site = Site::start(&keys);
    let mut owner = Owner::of("anna.id");
    owner.announce(&keys.statement("ta", site.address.port()));
    let api = owner.world.api();
    let fetch = || fetch("anna.id", site.address, api).map_err(|told| told.to_string());
    fetch().unwrap();
    owner.undo_block();
    let told = fetch().unwrap_err();
    assert!(told.contains("nothing is bound to it"), "{told}");
    owner.announce(&keys.statement("ta", site.address.port()));
    fetch().unwrap();
    owner.revoke();
    let told = fetch().unwrap_err();
    assert!(told.contains("nothing is bound to it"), "{told}");
}
