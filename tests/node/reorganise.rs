//! Branches that win and lose, on a real node: with `invalidateblock`, as deep as blocks can be undone and deeper.

use hickory_proto::rr::RecordType;

use super::*;
use crate::common::dns;
use crate::common::process::{listener, until};

fn name() -> Name {
    "werner.id".parse().unwrap()
}

fn zone(address: &str) -> String {
    format!("$ORIGIN werner.id.\n$TTL 60\n@ A {address}\n")
}

#[test]
fn answers_are_those_of_the_winning_branch() {
    let mut mirror = Mirror::start(&[]);
    let first = mirror.zonefile("werner.id.zone", &zone("192.0.2.1"));
    mirror.publish(&[(name(), first)]);
    let mut daemon = mirror.serve(&[]);
    let server = listener(&daemon.ready(&mirror.socket()));
    let shows = |address: &str| {
        until(&format!("the answer {address}"), || {
            let seen = dns::see(server, "werner.id", RecordType::A);
            (seen.answers.len() == 1 && seen.has_address(address)).then_some(())
        });
    };
    shows("192.0.2.1");
    for depth in 1..=6u32 {
        // Each branch changes the zone file in its first block; the second branch is one block longer.
        let (loser, winner) = (
            format!("192.0.2.{}", 10 + depth),
            format!("192.0.2.{}", 20 + depth),
        );
        let hashes = [&loser, &winner].map(|address| {
            let folder = mirror
                .home
                .folder("zones")
                .join(depth.to_string() + address);
            std::fs::create_dir_all(&folder).unwrap();
            mirror.zonefile(
                &format!(
                    "{}/werner.id.zone",
                    folder.file_name().unwrap().to_str().unwrap()
                ),
                &zone(address),
            )
        });
        let fork = mirror.dev.tip().height;
        mirror.zonefile("werner.id.zone", &zone(&loser));
        mirror.publish(&[(name(), hashes[0])]);
        mirror.mine(depth - 1);
        assert_eq!(mirror.dev.tip().height, fork + depth);
        shows(&loser);
        mirror.zonefile("werner.id.zone", &zone(&winner));
        let _: Value = mirror
            .node
            .call("invalidateblock", &[json!(mirror.node.hash_at(fork + 1))]);
        mirror.rewind(depth);
        mirror.publish(&[(name(), hashes[1])]);
        mirror.mine(depth);
        shows(&winner);
        until("the winning tip", || {
            let status = status(&mirror.socket())?;
            (status.height == Some(fork + depth + 1)).then_some(())
        });
    }
    daemon.terminate();
    let expected = {
        let mut index = Index::open(&mirror.home.folder("fresh"), mirror.rpc());
        index.catch_up().expect("blocks");
        index.consensus_hashes()
    };
    let mut followed = Index::open(&mirror.data(), mirror.rpc());
    followed.catch_up().expect("blocks");
    assert_eq!(followed.consensus_hashes(), expected);
}

#[test]
fn a_branch_that_nobody_replaced_is_left_when_it_is_called_invalid() {
    let mut mirror = Mirror::start(&[]);
    mirror.mine(9);
    let mut index = Index::open(&mirror.home.folder("index"), mirror.rpc());
    index.catch_up().expect("blocks");
    let _: Value = mirror
        .node
        .call("invalidateblock", &[json!(mirror.node.hash_at(7))]);
    index.catch_up().expect("blocks");
    assert_eq!(index.tip().height, 6);
    let _: Value = mirror.node.call(
        "reconsiderblock",
        &[json!(mirror.dev.block_at(7).unwrap().hash)],
    );
    index.catch_up().expect("blocks");
    assert_eq!(index.tip(), mirror.dev.tip());
}

#[test]
fn a_fork_that_is_too_deep_waits_for_a_person() {
    let mut mirror = Mirror::start(&[]);
    let hash = mirror.zonefile("werner.id.zone", &zone("192.0.2.1"));
    mirror.mine(20);
    mirror.publish(&[(name(), hash)]);
    let top = mirror.dev.tip().height;
    let few: &[(&str, &str)] = &[("BNSD_CHAIN_UNDO_DEPTH", "4")];
    let mut daemon = mirror.serve(few);
    let server = listener(&daemon.ready(&mirror.socket()));
    until("the answer", || {
        dns::see(server, "werner.id", RecordType::A)
            .has_address("192.0.2.1")
            .then_some(())
    });

    // Everything from block 15 on is replaced, and the name never registered.
    let fork = 14;
    let _: Value = mirror
        .node
        .call("invalidateblock", &[json!(mirror.node.hash_at(fork + 1))]);
    mirror.rewind(top - fork);
    mirror
        .registrar
        .mine(Vec::new(), TIME + 9)
        .expect("a block");
    mirror.mine(top - fork + 5);
    let said = until("the alarm", || trouble(&mirror.socket()));
    let advice = format!("parted from the index at block {fork}");
    assert!(said.contains(&advice), "{said}");
    assert!(
        said.contains(&format!("bnsd chain rewind {fork}")),
        "{said}"
    );
    until("the refusal", || {
        let seen = dns::see(server, "werner.id", RecordType::A);
        seen.answers.is_empty().then_some(())
    });
    let height = fork.to_string();
    let rewind = |home: &Home, data: &Path| {
        let data = data.display().to_string();
        let mut command = home.bnsd(&["chain", "rewind", &height, "--data-dir", &data]);
        command
            .env("BNSD_CHAIN_SOURCE", "bitcoind")
            .env("BNSD_CHAIN_NETWORK", "regtest");
        command.env("BNSD_CHAIN_UNDO_DEPTH", "4");
        crate::common::home::ended(&mut command)
    };
    let refused = rewind(&mirror.home, &mirror.data());
    assert_eq!(refused.code, 3);
    assert!(
        refused.stderr.contains("in use by another bnsd"),
        "{}",
        refused.stderr
    );
    assert!(daemon.stderr().contains(&advice));
    daemon.terminate();

    let done = rewind(&mirror.home, &mirror.data());
    assert_eq!(done.code, 0, "{}", done.stderr);
    println!("{}", done.stdout);
    for operation in [
        "NAMESPACE_REVEAL id",
        "NAME_PREORDER",
        "NAME_REGISTRATION werner.id",
    ] {
        assert!(done.stdout.contains(operation), "{}", done.stdout);
    }
    let mut daemon = mirror.serve(few);
    daemon.ready(&mirror.socket());
    until("the new branch", || {
        let status = status(&mirror.socket())?;
        (status.height == Some(mirror.dev.tip().height) && trouble(&mirror.socket()).is_none())
            .then_some(())
    });
    daemon.terminate();
    let mut fresh = Index::open(&mirror.home.folder("fresh"), mirror.rpc());
    fresh.catch_up().expect("blocks");
    let followed = Index::with_undo_depth(&mirror.data(), mirror.rpc(), 4);
    assert_eq!(followed.consensus_hashes(), fresh.consensus_hashes());
}
