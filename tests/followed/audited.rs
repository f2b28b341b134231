//! `bnsd chain audit`: whole old blocks from a real node, against a log from which something was left out.

use bitcoin::ScriptBuf;
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::wallet::registrar::Registrar;
use serde_json::Value;

use crate::common::chain_log::History;
use crate::common::follow::submit;
use crate::common::home::{Home, ended, is_one_sentence};
use crate::common::process::{Process, status, until};
use crate::peers::Real;

/// Header time of the first block, seconds since 1970: long ago, as Core refuses blocks of the future.
const TIME: u32 = 1_700_000_000;

#[test]
fn an_audit_names_the_block_and_the_log_and_then_finds_nothing() {
    let (home, real) = (Home::new(), Real::start());
    let chain = DevChain::open(&home.path().join("chain")).expect("a chain");
    let mut registrar =
        Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("a readable chain");
    let name: Name = "one.id".parse().expect("a name");
    let published = registrar.publish(&[(name, ZonefileHash([1; 20]))], TIME);
    published.expect("operations");
    let reward = ScriptBuf::from_bytes(vec![1]);
    chain.mine_empty(&reward, 160, TIME).expect("blocks");
    submit(&chain, &real.node);
    let history = History::read(&chain);
    let registration = *history.places().last().expect("operations");
    let log = home.path().join("log");
    history.write(&log, &[registration]);

    let bnsd = |arguments: &[&str]| {
        let mut command = home.bnsd(arguments);
        command
            .env("BNSD_CHAIN_SOURCE", "log")
            .env("BNSD_CHAIN_NETWORK", "regtest")
            .env("BNSD_CHAIN_LOGS", &log)
            .env("BNSD_CHAIN_PEERS", real.address.to_string())
            .env("BNSD_CHAIN_CONFIRMATIONS", "0")
            .env("BNSD_CHAIN_AUDIT", "0")
            .env("BNSD_API_LISTEN", "none")
            .env("BNSD_ATLAS_LISTEN", "none");
        command
    };
    let mut daemon = Process::start(&home, bnsd(&["serve", "--listen", "127.0.0.1:0"]));
    let socket = home.state().join("control.sock");
    let follows = || {
        let status = status(&socket)?;
        (status.height? == history.height()).then_some(status)
    };
    until("the last block", follows);
    let hash_of =
        |hidden: &[(u32, u32)]| history.consensus_hashes(hidden)[&history.height()].to_string();
    let known = |status: &bnsd::api::status::StatusReply| status.consensus_hash.clone();
    assert_eq!(
        known(&until("a status", follows)),
        Some(hash_of(&[registration]))
    );

    let (height, place) = (registration.0.to_string(), log.display().to_string());
    let audited = ended(&mut bnsd(&["--json", "chain", "audit", "--blocks", "2000"]));
    assert_eq!(audited.code, 1, "{audited:?}");
    for part in [&format!("block {height}"), &place] {
        assert!(audited.stderr.contains(part.as_str()), "{audited:?}");
    }
    let report: Value = serde_json::from_str(&audited.stdout).expect("JSON");
    assert_eq!(report["holes"][0]["height"], registration.0);
    assert_eq!(report["holes"][0]["sources"], *place);
    until("the true hash", || {
        (known(&follows()?) == Some(hash_of(&[]))).then_some(())
    });

    let audited = ended(&mut bnsd(&["--json", "chain", "audit", "--blocks", "8"]));
    assert_eq!(audited.code, 0, "{audited:?}");
    let report: Value = serde_json::from_str(&audited.stdout).expect("JSON");
    assert!(report["blocks"].as_u64() >= Some(8), "{report}");
    assert_eq!(report["holes"], serde_json::json!([]));

    assert!(daemon.terminate().success(), "{}", daemon.stderr());
    let alone = ended(&mut bnsd(&["chain", "audit"]));
    is_one_sentence(&alone, 3, &["bnsd"]);
}
