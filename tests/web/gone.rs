//! A key that is no longer the name's is believed by nobody: after a revocation, at the end of the name, and when the block
//! that announced it is undone. On a real node, whose blocks really go.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::machine::{Machine, NAME, on_a_machine_with_node};
use super::site::Keys;
use crate::common::dns::see;
use crate::common::process::until;

/// How long the records of a key may outlive the block that ends it.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// The digests that the name has at port 443.
fn pins() -> Vec<String> {
    let server = SocketAddr::from(([127, 0, 0, 1], 53));
    let seen = see(server, &format!("_443._tcp.{NAME}"), RecordType::TLSA);
    let data = seen.answers.iter();
    data.filter_map(|answer| answer.split_whitespace().last())
        .map(str::to_ascii_lowercase)
        .collect()
}

/// A key that the name names; its digest.
fn announce(machine: &Machine, directory: &str) -> String {
    let pin = Keys::make(machine, directory).pin(machine, "leaf.key", 1);
    machine.publish(&format!("_443._tcp TLSA 3 1 1 {pin}"));
    until("the pin", || (pins() == [pin.clone()]).then_some(()));
    pin
}

/// Does something to the chain, and waits until the name has other pins.
fn ends(pin: &str, happens: impl FnOnce()) {
    assert_eq!(pins(), [pin]);
    let start = Instant::now();
    happens();
    until("the end of the pin", || {
        (!pins().contains(&pin.to_owned())).then_some(())
    });
    let elapsed = start.elapsed();
    println!("the pin was gone after {elapsed:.2?}, the goal is {GONE_WITHIN:?}");
    assert!(elapsed < GONE_WITHIN, "{elapsed:?}");
}

#[test]
fn a_revoked_name_has_no_keys() {
    on_a_machine_with_node(|machine| {
        let pin = announce(machine, "own");
        let regtest = machine.regtest();
        regtest.stop_mining();
        let mut revoke = machine.world.command("owner", &["name", "revoke", NAME]);
        let mut revoke = revoke.stdout(Stdio::null()).spawn().unwrap();
        regtest.until_something_waits();
        ends(&pin, || regtest.mine(1));
        assert!(revoke.wait().unwrap().success());
        assert!(pins().is_empty());
    });
}

#[test]
fn an_expired_name_has_no_keys() {
    on_a_machine_with_node(|machine| {
        let pin = announce(machine, "own");
        let name = machine.world.name(NAME);
        let last = name["last_resolves"].as_u64().expect("a name that ends");
        let regtest = machine.regtest();
        regtest.mine(last - machine.world.height());
        machine.world.wait_for(last);
        ends(&pin, || regtest.mine(1));
        assert!(pins().is_empty());
    });
}

#[test]
fn a_key_whose_block_is_undone_is_gone_and_the_one_before_is_back() {
    on_a_machine_with_node(|machine| {
        let first = announce(machine, "first");
        let height = machine.world.height();
        let second = announce(machine, "second");
        let regtest = machine.regtest();
        regtest.stop_mining();
        let undone = regtest.node.hash_at(height as u32 + 1);
        ends(&second, || {
            let _: Value = regtest.node.call("invalidateblock", &[json!(undone)]);
        });
        assert_eq!(pins(), [first]);
    });
}
