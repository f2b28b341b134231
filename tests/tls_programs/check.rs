//! `bnsd tls check`.

use serde_json::Value;

use crate::common::home::{Ended, Home, is_one_sentence};

use super::owner::Owner;
use super::site::{Keys, Site};

/// Runs it for a site of the owner's name.
fn check(owner: &Owner, server: &str, more: &[&str]) -> Ended {
    let socket = owner.world.socket().display().to_string();
    let command = ["tls", "check", server, "--control-socket", &socket];
    Home::new().run(&[&command, more].concat())
}

#[test]
fn a_check_says_which_pin_holds_and_why() {
    let keys = Keys::of("anna.id");
    let site = Site::start_with_authority(&keys);
    let mut owner = Owner::of("anna.id");
    let server = format!("anna.id:{}", site.address.port());
    owner.announce(&keys.statement("ta", site.address.port()));
    let said = check(&owner, &server, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stdout
            .starts_with(&format!("anna.id is who answers at {}.\n", site.address))
    );
    assert!(said.stdout.contains("  pin        2 1 1 "), "{said:?}");
    assert!(said.stdout.contains("  rule       T2"), "{said:?}");

    let connect = site.address.to_string();
    let said = check(&owner, &server, &["--json", "--connect", &connect]);
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["pin"]["usage"], 2);
    assert_eq!(json["address"], connect);
    assert_eq!(json["reason"], Value::Null);
    assert_eq!(json["shown"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["shown"][0]["names"][0], "anna.id");
    let explained = owner.world.explain("anna.id").provenance.registration;
    assert_eq!(json["block"], explained.height.unwrap());
    assert_eq!(json["txid"], explained.txid.unwrap().to_string());
    assert_eq!(
        json["zonefile_hash"],
        explained.zonefile_hash.unwrap().to_string()
    );

    // Anybody may take over a server, but not the chain.
    let stranger = Site::start(&Keys::of("anna.id"));
    let connect = stranger.address.to_string();
    let said = check(&owner, &server, &["--connect", &connect]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stdout
            .contains("no pin holds for it or for an authority"),
        "{said:?}"
    );
    owner.revoke();
    let said = check(&owner, &server, &["--connect", &site.address.to_string()]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("nothing is bound to it"), "{said:?}");
}

#[test]
fn whoever_cannot_be_checked_is_not_checked() {
    let keys = Keys::of("anna.id");
    let mut owner = Owner::of("anna.id");
    owner.announce(&keys.statement("ee", 1));
    // Nobody listens on port 1, and nothing but TLS is spoken on that of DNS.
    let said = check(&owner, "anna.id:1", &[]);
    is_one_sentence(
        &said,
        3,
        &["cannot reach 127.0.0.1:1", "see whether the server runs"],
    );
    let dns = owner.world.server().to_string();
    let said = check(&owner, "anna.id:1", &["--connect", &dns]);
    is_one_sentence(&said, 1, &["does no TLS with us"]);
    let said = check(&owner, "example.com", &[]);
    is_one_sentence(&said, 1, &["example.com is no name of the chain"]);
    let said = check(&owner, "nosuch.anna.id:1", &[]);
    is_one_sentence(&said, 1, &["nosuch.anna.id has no address"]);
    for wrong in ["anna.id:0", "anna.id:http", "an na.id", "anna.id:99999", ""] {
        assert_eq!(check(&owner, wrong, &[]).code, 2, "{wrong}");
    }
    assert_eq!(check(&owner, "anna.id", &["--connect", "anna.id"]).code, 2);
    owner.world.stop_daemon();
    let said = check(&owner, "anna.id", &[]);
    is_one_sentence(&said, 3, &["no bnsd is running"]);
}
