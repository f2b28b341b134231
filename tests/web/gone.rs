//! A key that is no longer the name's is believed by nobody: after a revocation, at the end of the name, and when the block
//! that announced it is undone. On a real node, whose blocks really go. Its server stays as it was all the time.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::machine::{ADDRESS, Machine, NAME, on_a_machine_with_node};
use super::site::{Keys, serve};
use crate::common::browser::Browser;
use crate::common::dns::see;
use crate::common::process::{Process, until};
use crate::tls_programs::fetch::fetch;

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

/// The name with a key of its own, and the server that has it.
struct Served {
    pin: String,
    _nginx: Process,
    _agents: [Process; 2],
}

impl Served {
    fn with(machine: &Machine, directory: &str) -> Self {
        let keys = Keys::make(machine, NAME, directory);
        let pin = keys.pin(machine, "authority.key", 1);
        keys.publish(machine);
        until("the pin", || pins().contains(&pin).then_some(()));
        Self {
            pin,
            _nginx: serve(machine, Some(&keys), &[]),
            _agents: machine.trust(),
        }
    }

    /// Does something to the chain that takes the key from the name.
    fn ends(&self, machine: &Machine, happens: impl FnOnce()) {
        let before = believers(machine);
        assert_eq!(before.len(), 5, "{before:?}");
        assert!(pins().contains(&self.pin));
        let start = Instant::now();
        happens();
        until("the end of the pin", || {
            (!pins().contains(&self.pin)).then_some(())
        });
        let elapsed = start.elapsed();
        println!("the pin was gone after {elapsed:.2?}, the goal is {GONE_WITHIN:?}");
        assert!(elapsed < GONE_WITHIN, "{elapsed:?}");
        let mut still = believers(machine);
        until("the last who believes", || {
            if still.is_empty() {
                return Some(());
            }
            println!("it is still believed by {still:?}");
            still = believers(machine);
            None
        });
    }
}

/// Who takes the server for that of the name.
fn believers(machine: &Machine) -> Vec<&'static str> {
    let server = SocketAddr::new(ADDRESS.parse().unwrap(), 443);
    let daemon = SocketAddr::from(([127, 0, 0, 1], 6_270));
    let url = format!("https://{NAME}/");
    let check = ["tls", "check", NAME, "--connect", ADDRESS];
    let curl = machine.run_as_person("curl --silent --fail \"$1\"", &[&url]);
    let chromium = Browser::start_as(|program, words| machine.as_person(program, words));
    let all = [
        ("the verifier", fetch(NAME, server, daemon).is_ok()),
        ("tls check", machine.world.run(&check).code == 0),
        ("curl", curl.code == 0),
        ("the proxy", is_fetched_through_the_proxy(machine, &url)),
        ("a fresh Chromium", chromium.refusal(&url).is_none()),
    ];
    let who = all.into_iter().filter(|(_, believes)| *believes);
    who.map(|(name, _)| name).collect()
}

/// As somebody fetches it who trusts the proxy's root alone.
fn is_fetched_through_the_proxy(machine: &Machine, url: &str) -> bool {
    let said = machine.world.run(&["--json", "tls", "proxy"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = said.json();
    let [proxy, token, root] = ["proxy", "token", "root"].map(|key| said[key].as_str().unwrap());
    let file = machine.folder("proxy").join("root.pem");
    std::fs::write(&file, root).unwrap();
    let line = "curl --silent --fail --cacert \"$1\" --proxy \"$2\" --proxy-user \"any:$3\" \"$4\"";
    let file = file.display().to_string();
    machine.run(line, &[&file, proxy, token, url]).code == 0
}

#[test]
fn a_revoked_name_has_no_keys() {
    on_a_machine_with_node(|machine| {
        let served = Served::with(machine, "own");
        let regtest = machine.regtest();
        regtest.stop_mining();
        let mut revoke = machine.world.command("owner", &["name", "revoke", NAME]);
        let revoke = revoke.stdout(Stdio::null()).stderr(Stdio::null());
        let mut revoke = revoke.spawn().unwrap();
        regtest.until_something_waits();
        served.ends(machine, || regtest.mine(1));
        assert!(revoke.wait().unwrap().success());
        assert!(pins().is_empty());
    });
}

#[test]
fn an_expired_name_has_no_keys() {
    on_a_machine_with_node(|machine| {
        let served = Served::with(machine, "own");
        let name = machine.world.name(NAME);
        let last = name["last_resolves"].as_u64().expect("a name that ends");
        let regtest = machine.regtest();
        regtest.mine(last - machine.world.height());
        machine.world.wait_for(last);
        served.ends(machine, || regtest.mine(1));
        assert!(pins().is_empty());
    });
}

#[test]
fn a_key_whose_block_is_undone_is_gone_and_the_one_before_is_back() {
    on_a_machine_with_node(|machine| {
        let first = Keys::make(machine, NAME, "first");
        first.publish(machine);
        let height = machine.world.height();
        let second = Served::with(machine, "second");
        let regtest = machine.regtest();
        regtest.stop_mining();
        let undone = regtest.node.hash_at(height as u32 + 1);
        second.ends(machine, || {
            let _: Value = regtest.node.call("invalidateblock", &[json!(undone)]);
        });
        assert!(pins().contains(&first.pin(machine, "authority.key", 1)));
    });
}
