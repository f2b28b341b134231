//! Every method of the protocol, asked by Python's `xmlrpc.client` and by our own client, of a server over a chain with names.

use std::sync::Arc;

use bitcoin::base64::prelude::{BASE64_STANDARD, Engine as _};
use bnsd::atlas::{Inventory, PeerAddress, Testnet};
use bnsd::bns::Params;
use bnsd::clock::ManualClock;
use bnsd::hash::{ConsensusHash, ZonefileHash};
use bnsd::names::NameStore;
use bnsd::progress::Progress;
use bnsd::store::Archive;
use serde_json::{Value, json};

use super::{Peer, client, peer, wait};
use crate::common::golden;
use crate::common::home::Home;
use crate::common::process::{status, until};
use crate::common::world::{World, zonefile};

/// Two names with a zone file each; the first one's file is there.
struct Scene {
    home: Home,
    world: World,
    peer: Peer,
    files: [Vec<u8>; 2],
    hashes: [ZonefileHash; 2],
}

impl Scene {
    fn start() -> Self {
        let home = Home::new();
        let mut world = World::start(home.path(), &[]);
        let files = ["anna.id", "bert.id"].map(|name| zonefile(name, "192.0.2.1"));
        let hashes = files.each_ref().map(|file| ZonefileHash::of(file));
        world.archive(&files[0]);
        world.publish(&[("anna.id", hashes[0]), ("bert.id", hashes[1])]);
        let peer = Peer::of(world.names());
        let mut inventory = Inventory::new(2);
        inventory.set(1);
        peer.board.set_inventory(Arc::new(inventory));
        let neighbours = ["8.8.8.8:6264", "[2606:4700::1]:6264", "peer.example:6264"];
        let neighbours = neighbours.map(|text| text.parse().expect("an address"));
        peer.board.set_neighbours(neighbours.to_vec());
        Self {
            home,
            world,
            peer,
            files,
            hashes,
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

#[test]
fn python_understands_every_method() {
    let mut scene = Scene::start();
    let [first, second] = scene.hashes;
    let snapshot = scene.world.names().store.snapshot();
    let tip = snapshot.tip().expect("blocks");
    let announced = snapshot.announcement(1).expect("readable").expect("a row");
    let at = announced.height;
    let calls = json!([
        ["ping", []],
        ["getinfo", []],
        ["get_zonefile_inventory", [0, 524_288]],
        ["get_zonefile_inventory", [1, 10]],
        ["get_zonefiles", [[first, second, first]]],
        [
            "put_zonefiles",
            [[
                base64(&scene.files[1]),
                base64(b"nobody"),
                base64(&vec![b';'; 40_961])
            ]]
        ],
        ["get_zonefiles", [[second]]],
        ["get_zonefiles_by_block", [0, tip.height, 0, 100]],
        ["get_zonefiles_by_block", [at, at, 1, 1]],
        ["get_zonefiles_by_block", [0, at - 1, 0, 100]],
        ["get_atlas_peers", []],
        ["atlas_peer_exchange", ["peer.example:6264"]],
        ["get_consensus_at", [tip.height]],
        ["get_block_from_consensus", [tip.consensus_hash]],
        ["get_consensus_hashes", [[tip.height, tip.height + 1]]],
        ["get_blockstack_ops_hash_at", [at]],
        ["get_num_blockstack_ops_at", [at]],
        ["get_blockstack_ops_at", [at, 0, 10]],
        ["get_nothing", []],
    ]);
    let replies = scene.peer.python(&scene.home, &calls);
    let envelope = |more: Value| {
        let mut all = json!({"status": true, "indexing": false, "lastblock": tip.height});
        let more = more.as_object().expect("keys").clone();
        all.as_object_mut().expect("keys").extend(more);
        all
    };
    let row = |index: u32| {
        let row = snapshot
            .announcement(index)
            .expect("readable")
            .expect("a row");
        json!({"name": row.name.to_string(), "zonefile_hash": row.hash, "block_height": row.height,
            "txid": row.txid.to_string(), "inv_index": index})
    };
    let block = snapshot.block(at).expect("readable").expect("a block");
    let expected = [
        json!({"status": "alive", "version": "0.20.0.0"}),
        envelope(
            json!({"last_block_seen": tip.height, "consensus": tip.consensus_hash,
            "server_version": "0.20.0.0", "last_block_processed": tip.height, "server_alive": true,
            "testnet": true, "first_block": 1, "zonefile_count": 2}),
        ),
        envelope(json!({"inv": base64(&[0x80])})),
        envelope(json!({"inv": ""})),
        envelope(json!({"zonefiles": {first.to_string(): base64(&scene.files[0])}})),
        envelope(json!({"saved": [1, 0, 0]})),
        envelope(json!({"zonefiles": {second.to_string(): base64(&scene.files[1])}})),
        envelope(json!({"zonefile_info": [row(1), row(2)]})),
        envelope(json!({"zonefile_info": [row(2)]})),
        envelope(json!({"zonefile_info": []})),
        envelope(json!({"peers": ["8.8.8.8:6264", "peer.example:6264"]})),
        envelope(json!({"peers": ["8.8.8.8:6264"]})),
        envelope(json!({"consensus": tip.consensus_hash})),
        envelope(json!({"block_id": tip.height})),
        envelope(
            json!({"consensus_hashes": {tip.height.to_string(): tip.consensus_hash,
            (tip.height + 1).to_string(): null}}),
        ),
        envelope(json!({"ops_hash": block.ops_hash})),
        envelope(json!({"count": 2})),
    ];
    for ((ours, expected), call) in replies
        .iter()
        .zip(&expected)
        .zip(calls.as_array().expect("calls"))
    {
        assert_eq!(ours, expected, "{call}");
    }
    let operations = replies[17]["nameops"].as_array().expect("operations");
    let named: Vec<_> = operations
        .iter()
        .map(|row| (&row["opcode"], &row["name"], &row["value_hash"]))
        .collect();
    assert_eq!(named.len(), 2, "{operations:#?}");
    assert!(
        operations
            .iter()
            .all(|row| row["block_number"].is_u64() && row["sender"].is_string())
    );
    assert_eq!(replies[18]["fault"], -32_601);

    let suggested: PeerAddress = "peer.example:6264".parse().expect("an address");
    assert_eq!(scene.peer.heard.try_recv(), Ok(suggested));
}

#[test]
fn our_client_understands_our_server() {
    let mut scene = Scene::start();
    let (client, there) = (client(), peer(scene.peer.address));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let tip = scene.world.names().store.snapshot().tip().expect("blocks");
    let [first, second] = scene.hashes;
    let own: PeerAddress = "192.0.2.7:6264".parse().expect("an address");
    runtime.block_on(async {
        let info = client.info(&there).await.expect("a reply");
        assert_eq!(
            (info.last_block_processed, info.consensus),
            (tip.height, tip.consensus_hash)
        );
        assert!(info.is_admissible(&Testnet::of(&Params::regtest())));
        assert!(!info.is_admissible(&Testnet::of(&Params::mainnet())));
        let inventory = client.inventory(&there, 2).await.expect("a reply");
        assert_eq!(inventory.as_bytes(), [0x80]);
        let files = client.zonefiles(&there, &[first, second]).await;
        assert_eq!(files, Ok(vec![(first, scene.files[0].clone())]));
        let put = client
            .put(&there, &[scene.files[1].clone(), b"nobody".to_vec()])
            .await;
        assert_eq!(put, Ok(vec![true, false]));
        let known =
            ["8.8.8.8:6264", "peer.example:6264"].map(|text| text.parse().expect("an address"));
        assert_eq!(client.neighbours(&there).await, Ok(known.to_vec()));
        assert_eq!(client.exchange(&there, &own).await, Ok(known.to_vec()));
    });
    assert_eq!(scene.peer.heard.try_recv(), Ok(own));
}

#[test]
fn a_daemon_tells_python_what_it_has() {
    let home = Home::new();
    let mut world = World::start_with(home.path(), &[("BNSD_ATLAS_LISTEN", "127.0.0.1:0")]);
    let file = zonefile("anna.id", "192.0.2.1");
    let [present, absent] = [world.archive(&file), ZonefileHash::of(b"absent")];
    world.publish(&[("anna.id", present), ("bert.id", absent)]);
    let atlas = status(world.socket()).and_then(|status| status.atlas);
    let listeners = atlas.expect("peers are answered").listeners;
    let address = listeners[0].parse().expect("an address");
    let calls = json!([
        ["getinfo", []],
        ["get_zonefiles", [[present, absent]]],
        ["get_zonefile_inventory", [0, 9]],
    ]);
    let replies = until("the inventory", || {
        let replies = super::python(&home, address, &calls);
        (replies[2]["inv"] == base64(&[0x80])).then_some(replies)
    });
    assert_eq!(replies[0]["zonefile_count"], 2);
    let served = json!({present.to_string(): base64(&file)});
    assert_eq!(replies[1]["zonefiles"], served);
}

#[test]
fn a_consensus_hash_has_its_height_after_a_reorganisation_too() {
    let mut scene = Scene::start();
    let tip = |world: &World| world.names().store.snapshot().tip().expect("blocks");
    let old = tip(&scene.world);
    let ask = |scene: &Scene, hashes: &[ConsensusHash]| -> Vec<Value> {
        let calls = hashes
            .iter()
            .map(|hash| json!(["get_block_from_consensus", [hash]]));
        let calls: Vec<Value> = calls.collect();
        let replies = scene.peer.python(&scene.home, &json!(calls));
        replies
            .iter()
            .map(|reply| reply["block_id"].clone())
            .collect()
    };
    assert_eq!(ask(&scene, &[old.consensus_hash]), [json!(old.height)]);
    // The block that registered the names goes, and others come.
    let first = scene.world.names().store.snapshot().announcement(1);
    let announced = first.expect("readable").expect("a row").height;
    scene
        .world
        .chain
        .rewind(announced - 1)
        .expect("it can be undone");
    scene.world.mine_empty(old.height + 3 - announced);
    let new = tip(&scene.world);
    assert!(new.height > old.height && new.consensus_hash != old.consensus_hash);
    let heights = ask(&scene, &[old.consensus_hash, new.consensus_hash]);
    assert_eq!(heights, [Value::Null, json!(new.height)]);
}

#[test]
fn a_server_without_a_block_says_so_and_is_stale_after_two_hours() {
    let home = Home::new();
    let params = Params::regtest();
    let store = golden::open(&home.folder("data"), &params, 10);
    let archive = Archive::open(&home.folder("zonefiles")).expect("an archive");
    let clock = Arc::new(ManualClock::at(1_500_000_000));
    let names = Arc::new(NameStore::new(
        Arc::new(params),
        Arc::new(store),
        Arc::new(archive),
        Arc::new(Progress::default()),
        Arc::<ManualClock>::clone(&clock),
    ));
    let server = Peer::of(&names);
    clock.advance(7_199);
    let info = wait(client().info(&peer(server.address))).expect("a reply");
    let testnet = Testnet::of(&names.params);
    assert!(info.is_admissible(&testnet));
    let initial = names.params.initial_consensus_hash;
    assert_eq!((info.last_block_processed, info.consensus), (0, initial));
    let calls = json!([
        ["getinfo", []],
        ["get_consensus_at", [1]],
        ["get_block_from_consensus", [initial]],
        ["get_blockstack_ops_at", [1, 0, 10]],
        ["get_zonefiles_by_block", [0, 9, 0, 9]],
        ["get_zonefile_inventory", [0, 9]],
    ]);
    let replies = server.python(&home, &calls);
    assert_eq!(replies[0]["indexing"], true);
    assert_eq!(replies[0]["zonefile_count"], 0);
    assert!(replies[1]["consensus"].is_null() && replies[2]["block_id"].is_null());
    assert_eq!(
        (&replies[3]["nameops"], &replies[4]["zonefile_info"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(replies[5]["inv"], "");
    clock.advance(1);
    let info = wait(client().info(&peer(server.address))).expect("a reply");
    assert!(info.stale && !info.is_admissible(&testnet));
    let replies = server.python(&home, &json!([["ping", []]]));
    assert_eq!(replies[0]["status"], "stale");
}
