//! Cookie, user and password, on a real node: what is taken, and what is said when it is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};

use super::*;
use crate::common::process::until;

const PASSWORD: &str = "correct horse battery staple";

#[test]
fn a_wrong_cookie_is_said_and_a_right_one_taken() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(2);
    let right = fs::read(mirror.node.cookie()).expect("a cookie");
    fs::write(mirror.node.cookie(), "__cookie__:wrong").expect("written");
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    let error = index.catch_up().expect_err("refused").to_string();
    assert!(error.contains("refuses the cookie"), "{error}");
    fs::write(mirror.node.cookie(), right).expect("written");
    index.catch_up().expect("the cookie is read again");
    assert_eq!(index.tip().height, 2);
}

#[test]
fn a_user_and_a_password_are_taken_and_wrong_ones_said() {
    let password = format!("-rpcpassword={PASSWORD}");
    let mut mirror = Mirror::start(&["-rpcuser=bnsd", &password]);
    mirror.mine(3);
    assert!(!mirror.node.cookie().exists(), "Core writes none then");
    user_is_judged(&mirror);
}

/// `rpcauth` keeps a salted hash where `rpcpassword` keeps the password (Bitcoin Core, share/rpcauth).
#[test]
fn a_user_whose_password_the_node_only_has_as_a_hash_is_taken() {
    let salt = "00112233445566778899aabbccddeeff";
    let mut engine = HmacEngine::<sha256::Hash>::new(salt.as_bytes());
    engine.input(PASSWORD.as_bytes());
    let hash = Hmac::from_engine(engine);
    let mut mirror = Mirror::start(&[&format!("-rpcauth=bnsd:{salt}${hash}")]);
    mirror.mine(3);
    user_is_judged(&mirror);

    // The cookie comes first; a wrong one does not stand in the way of the password.
    fs::write(mirror.node.cookie(), "__cookie__:wrong").expect("written");
    let credentials = Credentials {
        cookie: Some(mirror.node.cookie()),
        user: Some(UserPassword::new("bnsd", PASSWORD)),
    };
    let source = follow::rpc_as(mirror.node.address(), credentials, Duration::from_secs(5));
    let mut index = Index::open(&mirror.home.folder("both"), source);
    index.catch_up().expect("the password is right");
    assert_eq!(index.tip(), mirror.dev.tip());
}

/// The daemon follows with the right password, and says what is wrong with another one.
fn user_is_judged(mirror: &Mirror) {
    let file = mirror.home.path().join("password");
    let path = file.display().to_string();
    let nothing = mirror.home.path().join("no-cookie").display().to_string();
    let environment = [
        ("BNSD_CHAIN_RPC_USER", "bnsd"),
        ("BNSD_CHAIN_RPC_PASSWORD_FILE", &path),
        ("BNSD_CHAIN_RPC_COOKIE", &nothing),
    ];
    fs::write(&file, "Tr0ub4dor&3\n").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut daemon = mirror.serve(&environment);
    let said = until("the refusal", || trouble(&mirror.socket()));
    let advice = "it refuses the configured user and password, and";
    assert!(said.contains(advice), "{said}");
    assert!(said.contains("set `chain.rpc-cookie`"), "{said}");
    daemon.terminate();
    let log = daemon.stderr();
    assert!(log.contains(advice) && !log.contains("Tr0ub4dor"), "{log}");

    fs::write(&file, format!("{PASSWORD}\n")).expect("written");
    let mut daemon = mirror.serve(&environment);
    until("the tip", || {
        (status(&mirror.socket())?.height == Some(mirror.dev.tip().height)).then_some(())
    });
    daemon.terminate();
    assert!(!daemon.stderr().contains(PASSWORD), "a secret in the log");
}
