//! Two daemons on the five nodes: one asks a node over RPC, the other has a log and calls the nodes as peers. Both answer the
//! same, also after reorganisations.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bitcoin::ScriptBuf;
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::dev::DevChain;
use bnsd::hash::ZonefileHash;
use bnsd::store::{Store, StoreOptions};
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::{OnTransfer, Operation};
use bnsd::wallet::registrar::Registrar;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::Net;
use crate::common::chain_log::History;
use crate::common::dns::{Seen, see};
use crate::common::follow;
use crate::common::home::{Home, ended};
use crate::common::index::identity;
use crate::common::process::{Process, listener, status, until};

/// Header time of the first block, seconds since 1970: long ago, as Core refuses blocks of the future.
const TIME: u32 = 1_700_000_000;
/// The longest time from a block at a peer to the changed answer, on a machine that does much else; on an idle one it is
/// two seconds.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// The names that are asked for; the last one is never registered.
const NAMES: [&str; 4] = ["one.id", "two.id", "three.id", "never.id"];

/// A daemon with a home of its own.
struct Side {
    home: Home,
    environment: Vec<(&'static str, String)>,
    process: Option<Process>,
}

impl Side {
    fn start(zones: &Path, environment: Vec<(&'static str, String)>) -> Self {
        let usual = [
            ("BNSD_CHAIN_NETWORK", "regtest".to_owned()),
            ("BNSD_CHAIN_CONFIRMATIONS", "0".to_owned()),
            ("BNSD_NAMESPACES", "id=only".to_owned()),
            ("BNSD_ZONEFILES_FOLDERS", zones.display().to_string()),
            ("BNSD_API_LISTEN", "none".to_owned()),
            ("BNSD_ATLAS_LISTEN", "none".to_owned()),
        ];
        let mut side = Self {
            home: Home::new(),
            environment: usual.into_iter().chain(environment).collect(),
            process: None,
        };
        let serve = side.command(&["serve", "--listen", "127.0.0.1:0"]);
        side.process = Some(Process::start(&side.home, serve));
        side
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.bnsd(arguments);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    fn socket(&self) -> PathBuf {
        self.home.state().join("control.sock")
    }

    /// Waits until it is where the registrar is.
    fn reach(&self, registrar: &Registrar) {
        let tip = registrar.tip().expect("blocks");
        let hash = registrar.consensus_hash().to_string();
        until("a daemon at the tip", || {
            let status = status(&self.socket())?;
            let is_there = (status.height, status.consensus_hash.as_deref())
                == (Some(tip.height), Some(&*hash));
            is_there.then_some(())
        });
    }

    fn see(&self, name: &str) -> Seen {
        let status = status(&self.socket()).expect("a daemon that answers");
        see(listener(&status), name, RecordType::A)
    }

    /// What it says of a chain that it cannot follow.
    fn says(&self, part: &str) -> String {
        until("a warning", || {
            let mut warnings = status(&self.socket())?.warnings.into_iter();
            warnings.find(|warning| warning.contains(part))
        })
    }

    /// Stops it; what its database holds, which is what its operations make it.
    fn dump(&mut self) -> String {
        let mut process = self.process.take().expect("it runs");
        assert!(process.terminate().success(), "{}", process.stderr());
        let verified = ended(&mut self.command(&["chain", "verify"]));
        assert_eq!(verified.code, 0, "{verified:?}");
        let options = StoreOptions::default();
        let store = Store::open(&self.home.state(), &identity(), options);
        store
            .expect("a database")
            .snapshot()
            .dump()
            .expect("a dump")
    }
}

/// A chain with names, the nodes that have it, and both daemons.
struct Scene {
    home: Home,
    net: Net,
    chain: DevChain,
    registrar: Registrar,
    sides: [Side; 2],
}

impl Scene {
    fn start() -> Self {
        let (home, net) = (Home::new(), Net::start());
        let chain = DevChain::open(&home.path().join("chain")).expect("a chain");
        let registrar = open_registrar(&chain);
        let (zones, log) = (home.folder("zones"), home.folder("log"));
        let node = &net.0[0].node;
        let rpc = vec![
            ("BNSD_CHAIN_SOURCE", "bitcoind".to_owned()),
            ("BNSD_CHAIN_RPC_ADDRESS", node.address()),
            ("BNSD_CHAIN_RPC_COOKIE", node.cookie().display().to_string()),
        ];
        let peers = net.0[1..].iter().map(|real| real.address.to_string());
        let peers = vec![
            ("BNSD_CHAIN_SOURCE", "log".to_owned()),
            ("BNSD_CHAIN_LOGS", log.display().to_string()),
            ("BNSD_CHAIN_PEERS", peers.collect::<Vec<_>>().join(",")),
        ];
        let sides = [rpc, peers].map(|environment| Side::start(&zones, environment));
        Self {
            home,
            net,
            chain,
            registrar,
            sides,
        }
    }

    /// A zone file in the watched folder.
    fn zone(&self, name: &str, address: &str) -> ZonefileHash {
        let text = format!("$ORIGIN {name}\n$TTL 3600\n@ A {address}\n");
        let file = format!("{name}-{address}.zone");
        let path = self.home.folder("zones").join(file);
        std::fs::write(path, &text).expect("a file");
        ZonefileHash::of(text.as_bytes())
    }

    /// Takes names through the whole protocol to this address.
    fn publish(&mut self, names: &[&str], address: &str) {
        let zoned = |text: &&str| (name(text), self.zone(text, address));
        let names: Vec<_> = names.iter().map(zoned).collect();
        self.registrar.publish(&names, TIME).expect("operations");
    }

    /// Mines an operation of the one who registered a name.
    fn act(&mut self, text: &str, operation: &Operation) {
        let owner = Registrar::owner(&name(text));
        let transaction = self.registrar.transaction(operation, &owner);
        let transaction = transaction.expect("coins");
        self.registrar
            .mine(vec![transaction], TIME)
            .expect("a block");
    }

    fn mine_empty(&mut self, blocks: u32, reward: u8) {
        let reward = ScriptBuf::from_bytes(vec![reward]);
        self.chain
            .mine_empty(&reward, blocks, TIME)
            .expect("blocks");
        self.registrar = open_registrar(&self.chain);
    }

    fn rewind(&mut self, depth: u32) {
        let height = self.chain.tip().height - depth;
        self.chain.rewind(height).expect("blocks to take back");
    }

    /// Hands the chain to the nodes and the log to whoever reads it; both daemons give the same answers then.
    fn show(&self) {
        self.net.take(&self.chain);
        History::read(&self.chain).write(&self.home.folder("log"), &[]);
        for side in &self.sides {
            side.reach(&self.registrar);
        }
        for name in NAMES {
            until("the same answers", || {
                let seen = self.sides.each_ref().map(|side| side.see(name));
                let [over_rpc, without] = seen.map(|seen| (seen.rcode, seen.answers));
                let is_same = over_rpc == without && without.0 != ResponseCode::ServFail;
                is_same.then_some(())
            });
        }
    }

    /// Whether both daemons say that a name has this address.
    fn assert_has(&self, name: &str, address: &str) {
        for side in &self.sides {
            let seen = side.see(name);
            assert!(seen.has_address(address), "{name}: {seen:?}");
        }
    }

    /// Has the owner of a name change its zone file; how long each daemon takes from the block at a node to the new answer.
    fn change(&mut self, text: &str, address: &str) -> [Duration; 2] {
        let hash = self.zone(text, address);
        let owner = Registrar::owner(&name(text)).address();
        let quoted = self.registrar.consensus_hash();
        let update = Operation::name_update(&name(text), owner, quoted, hash);
        self.act(text, &update);
        let start = Instant::now();
        for real in &self.net.0 {
            follow::submit(&self.chain, &real.node);
        }
        let mut took = [None; 2];
        until("the changed answers", || {
            for (side, took) in self.sides.iter().zip(&mut took) {
                if took.is_none() && side.see(text).has_address(address) {
                    *took = Some(start.elapsed());
                }
            }
            Some([took[0]?, took[1]?])
        })
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn open_registrar(chain: &DevChain) -> Registrar {
    Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("a readable chain")
}

#[test]
fn daemons_with_and_without_a_node_answer_the_same() {
    let mut scene = Scene::start();
    scene.publish(&["one.id", "two.id"], "192.0.2.1");
    scene.show();
    scene.assert_has("one.id", "192.0.2.1");

    let mut slowest = [Duration::ZERO; 2];
    for address in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
        let took = scene.change("one.id", address);
        slowest = [0, 1].map(|side| slowest[side].max(took[side]));
        scene.show();
    }
    let [over_rpc, without] = slowest;
    println!(
        "from a block at the nodes to the changed answer: {over_rpc:?} over RPC, {without:?} from peers, at most"
    );
    assert!(over_rpc.max(without) < ANSWER_TIME, "{slowest:?}");

    let (owner, stranger) = (
        Registrar::owner(&name("two.id")).address(),
        SigningKey::dev_only_from_label("stranger").address(),
    );
    let quoted = scene.registrar.consensus_hash();
    let without_file = OnTransfer::ClearZonefile;
    let transfer = Operation::name_transfer(&name("two.id"), owner, stranger, quoted, without_file);
    scene.act("two.id", &transfer);
    scene.show();
    let seen = scene.sides[1].see("two.id");
    assert_eq!((seen.rcode, seen.answers.len()), (ResponseCode::NoError, 0));

    // Ten blocks are replaced, with the transfer and the last change in them.
    scene.mine_empty(8, 2);
    scene.show();
    scene.rewind(10);
    scene.mine_empty(1, 3);
    scene.publish(&["three.id"], "192.0.2.5");
    scene.mine_empty(12, 3);
    scene.show();
    scene.assert_has("one.id", "192.0.2.3");
    scene.assert_has("two.id", "192.0.2.1");
    scene.assert_has("three.id", "192.0.2.5");

    // More than can be taken back.
    scene.rewind(110);
    scene.mine_empty(115, 4);
    scene.net.take(&scene.chain);
    let said = [0, 1].map(|side: usize| scene.sides[side].says("bnsd chain rewind"));
    assert_eq!(said[0], said[1]);
    let [over_rpc, without] = [0, 1].map(|side: usize| scene.sides[side].dump());
    let mut rows = over_rpc.lines().zip(without.lines());
    assert_eq!(rows.find(|(one, other)| one != other), None);
    assert_eq!(over_rpc.len(), without.len());
}
