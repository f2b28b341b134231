//! The daemon and the chain that it follows in one process, so that a test can mine beneath it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcoin::{Amount, Transaction, TxOut};
use bnsd::api::cache::CacheRequest;
use bnsd::api::explain::{ExplainReply, ExplainRequest};
use bnsd::api::lookup::{LookupReply, LookupRequest};
use bnsd::api::message::{Reply, Request};
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::dev::DevChain;
use bnsd::config::{Config, FileChoice, Places, Profile, Sources};
use bnsd::daemon::Daemon;
use bnsd::hash::ZonefileHash;
use bnsd::names::NameStore;
use bnsd::resolver::Snapshots as _;
use bnsd::resolver::{NameSource as _, SyncState};
use bnsd::store::Offchain;
use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use hickory_proto::rr::RecordType;
use tokio::runtime::Runtime;

use super::dns::{self, Seen};
use super::follow;
use super::process::{self, until};
use super::segments;

/// Seconds since 1970 of the first block; the chain's own clock goes on from there.
pub const TIME: u32 = 1_790_000_000;

/// A daemon over a chain.
pub struct World {
    runtime: Runtime,
    daemon: Option<Daemon>,
    config: Config,
    pub chain: DevChain,
    pub registrar: Registrar,
}

impl World {
    /// Opens the chain in `directory` and starts a daemon on it, watching `folders`.
    pub fn start(directory: &Path, folders: &[PathBuf]) -> Self {
        Self::configured(directory, config(directory, folders))
    }

    /// The same with more settings, as variables.
    pub fn start_with(directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::configured(directory, config_with(directory, &[], settings))
    }

    fn configured(directory: &Path, config: Config) -> Self {
        let chain = DevChain::open(&directory.join("chain")).expect("a chain");
        let registrar = open_registrar(&chain);
        let mut world = Self {
            runtime: Runtime::new().expect("threads"),
            daemon: None,
            config,
            chain,
            registrar,
        };
        world.start_daemon();
        world
    }

    /// Starts the daemon again after [`Self::stop_daemon`].
    pub fn start_daemon(&mut self) {
        let _inside = self.runtime.enter();
        self.daemon = Some(
            Daemon::start(
                &self.config,
                Some(Box::new(self.chain.source(self.config.chain.confirmations))),
            )
            .expect("a daemon"),
        );
        self.settle();
    }

    /// Stops the daemon in order.
    pub fn stop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.runtime.block_on(daemon.stop()).expect("it stops");
        }
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// The state of names, as the daemon has it.
    pub fn names(&self) -> &Arc<NameStore> {
        self.daemon().names()
    }

    /// Where DNS is served.
    pub fn server(&self) -> SocketAddr {
        self.daemon().listeners()[0]
    }

    /// Where the HTTP API is.
    pub fn api(&self) -> SocketAddr {
        self.daemon().api_listeners()[0]
    }

    /// Where the proxy is, if it is configured.
    pub fn proxy(&self) -> SocketAddr {
        self.daemon().proxy().expect("a proxy")
    }

    pub fn data(&self) -> &Path {
        &self.config.data_dir
    }

    pub fn socket(&self) -> &Path {
        &self.config.control_socket
    }

    /// What is known beside the chain.
    pub fn offchain(&self) -> &Offchain {
        let offchain = self.daemon().names().offchain.as_ref();
        offchain.expect("a daemon opens it")
    }

    /// Where the archive of zone files is.
    pub fn zonefiles(&self) -> PathBuf {
        self.data().join("zonefiles")
    }

    /// Whether a segment of the archive has the file with this hash, and it is right.
    pub fn is_archived(&self, hash: &ZonefileHash) -> bool {
        let record = segments::find(&self.zonefiles(), &hash.0);
        record.is_some_and(|record| ZonefileHash::of(&record.bytes) == *hash)
    }

    pub fn archive(&self, zonefile: &[u8]) -> ZonefileHash {
        let archive = &self.daemon().names().archive;
        archive.put(zonefile).expect("it can be stored")
    }

    /// Waits until the index is where the chain is, by hash, and everybody was told of the last commit: the indexer
    /// counts a block after that.
    pub fn settle(&self) {
        let names = self.daemon().names();
        let first_block = names.params.first_block;
        until("the index to follow the chain", || {
            let (indexed, tip) = (names.store.snapshot().tip(), self.chain.tip());
            let wanted = (tip.height >= first_block).then_some(tip.hash);
            let follows = indexed.map(|block| block.hash) == wanted;
            let synced = matches!(names.snapshot().sync(), SyncState::Synced);
            let is_told = wanted.is_none() || names.progress.height() == tip.height;
            (follows && synced && is_told).then_some(())
        });
    }

    pub fn height(&self) -> u32 {
        self.chain.tip().height
    }

    /// Mines a block and waits until it counts; gives its height.
    pub fn mine(&mut self, transactions: Vec<Transaction>) -> u32 {
        let block = self.registrar.mine(transactions, TIME).expect("a block");
        self.settle();
        block.height
    }

    /// Mines `count` empty blocks and waits until they count.
    pub fn mine_empty(&mut self, count: u32) -> u32 {
        let script = SigningKey::dev_only_from_label("nobody").script();
        self.chain.mine_empty(&script, count, TIME).expect("blocks");
        self.follow();
        self.height()
    }

    /// Reads the chain again after it changed beside the registrar.
    pub fn follow(&mut self) {
        self.registrar = open_registrar(&self.chain);
        self.settle();
    }

    /// One operation of `key`, in a block of its own; gives height and transaction id.
    pub fn act(&mut self, operation: &Operation, key: &SigningKey) -> (u32, String) {
        let transaction = self.registrar.transaction(operation, key).expect("coins");
        let txid = transaction.compute_txid().to_string();
        (self.mine(vec![transaction]), txid)
    }

    /// Registers names with their zone files, by the whole protocol.
    pub fn publish(&mut self, zonefiles: &[(&str, ZonefileHash)]) -> u32 {
        let named = zonefiles.iter().map(|(text, hash)| (name(text), *hash));
        let named: Vec<_> = named.collect();
        self.registrar.publish(&named, TIME).expect("registered");
        self.settle();
        self.height()
    }

    /// Gives each key enough for a lifetime of operations.
    pub fn give(&mut self, keys: &[&SigningKey]) {
        let outputs = keys.iter().map(|key| TxOut {
            value: Amount::from_sat(100_000_000),
            script_pubkey: key.script(),
        });
        self.registrar.give(outputs.collect(), TIME).expect("paid");
        self.settle();
    }

    /// A real Bitcoin Core takes every block, and following it gives the consensus hashes that are served here.
    pub fn assert_core_agrees(&self) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let expected = follow::consensus_hashes(&self.daemon().names().store);
        follow::assert_accepted(scratch.path(), &self.chain, &expected);
    }

    /// What DNS answers.
    pub fn see(&self, name: &str, rtype: RecordType) -> Seen {
        dns::see(self.server(), name, rtype)
    }

    /// What `bnsd lookup` shows.
    pub fn lookup(&self, name: &str, rtype: &str, at: Option<u32>) -> LookupReply {
        let request = Request::Lookup(LookupRequest {
            name: name.to_owned(),
            record_type: rtype.to_owned(),
            at,
        });
        match process::ask(self.socket(), &request) {
            Some(Reply::Lookup(reply)) => reply,
            other => panic!("no lookup: {other:?}"),
        }
    }

    /// `bnsd cache flush`.
    pub fn forget_answers(&self) {
        let flush = CacheRequest::Flush { name: None };
        let reply = process::ask(self.socket(), &Request::Cache(flush));
        assert!(matches!(reply, Some(Reply::Cache(_))), "{reply:?}");
    }

    /// What `bnsd explain` shows.
    pub fn explain(&self, name: &str) -> ExplainReply {
        let request = Request::Explain(ExplainRequest {
            name: name.to_owned(),
            record_type: "A".to_owned(),
        });
        match process::ask(self.socket(), &request) {
            Some(Reply::Explain(reply)) => *reply,
            other => panic!("no explanation: {other:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_daemon();
        }
    }
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A zone file with one address.
pub fn zonefile(name: &str, address: &str) -> Vec<u8> {
    format!("$ORIGIN {name}\n$TTL 3600\n@ A {address}\nwww CNAME @\n").into_bytes()
}

fn open_registrar(chain: &DevChain) -> Registrar {
    Registrar::open(chain.clone(), Bns::new(Params::regtest())).expect("a readable chain")
}

/// The configuration of a daemon that keeps everything in `directory`.
pub fn config(directory: &Path, folders: &[PathBuf]) -> Config {
    config_with(directory, folders, &[])
}

fn config_with(directory: &Path, folders: &[PathBuf], settings: &[(&str, &str)]) -> Config {
    let folders: Vec<String> = folders
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let environment = [
        ("BNSD_DATA_DIR", directory.display().to_string()),
        ("BNSD_LISTEN", "127.0.0.1:0".to_owned()),
        ("BNSD_ZONEFILES_FOLDERS", folders.join(",")),
        ("BNSD_NAMESPACES", "id=only".to_owned()),
        ("BNSD_ATLAS_LISTEN", "none".to_owned()),
    ];
    let sources = Sources {
        profile: Profile::Demo,
        file: FileChoice::Nothing,
        environment: environment
            .into_iter()
            .chain(
                settings
                    .iter()
                    .map(|(key, value)| (*key, (*value).to_owned())),
            )
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        flags: Vec::new(),
        places: Places::default(),
    };
    Config::load(&sources).expect("a configuration")
}
