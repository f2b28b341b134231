//! Following a real Bitcoin Core in regtest.
//!
//! Blocks are made by the embedded chain and handed to the node through `submitblock`, so every test here also
//! proves that Bitcoin Core accepts what that chain makes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::Network;
use bitcoin::hex::DisplayHex as _;
use bnsd::bns::{Bns, Name, Params};
use bnsd::chain::bitcoind::BitcoindSource;
use bnsd::chain::bitcoind::http::{Credentials, UserPassword};
use bnsd::chain::blockfiles::BlockFilesSource;
use bnsd::chain::dev::DevChain;
use bnsd::chain::{ChainSource, Event};
use bnsd::hash::ZonefileHash;
use bnsd::store::{Store, StoreOptions};
use bnsd::wallet::registrar::Registrar;
use serde_json::{Value, json};

use crate::common::bitcoind::Node;
use crate::common::follow::{self, Index, consensus_hashes};
use crate::common::home::Home;
use crate::common::process::{Process, status};

/// The embedded chain's blocks on a real node.
mod accepted;
/// How a node is shown who we are.
mod credentials;
/// Operations that look as if somebody else had sent them.
mod disguised;
/// A daemon that is killed while it syncs over RPC.
mod kills;
/// The log that is written beside a node.
mod logged;
/// A node that does not say what its blocks spend.
mod older;
/// Historical zone files, imported into their namespaces.
mod real;
/// Branches that win and lose.
mod reorganise;
/// A node that is restarted, pruned, replaced, or lies.
mod trouble;

/// Header time of the first block, seconds since 1970: long ago, as Core refuses blocks of the future.
const TIME: u32 = 1_700_000_000;

/// An embedded chain whose blocks go to a real node.
struct Mirror {
    home: Home,
    dev: DevChain,
    registrar: Registrar,
    node: Node,
}

impl Mirror {
    fn start(arguments: &[&str]) -> Self {
        let home = Home::new();
        let dev = DevChain::open(&home.path().join("dev")).expect("a chain");
        Self {
            node: Node::start(&home.folder("bitcoin"), arguments),
            registrar: open_registrar(&dev),
            dev,
            home,
        }
    }

    /// Puts zone files on the chain and hands the blocks to the node.
    fn publish(&mut self, zonefiles: &[(Name, ZonefileHash)]) {
        let published = self.registrar.publish(zonefiles, TIME);
        published.expect("a chain that takes names");
        self.send();
    }

    fn mine(&mut self, count: u32) {
        for _ in 0..count {
            self.registrar.mine(Vec::new(), TIME).expect("a block");
        }
        self.send();
    }

    /// Takes the last blocks away from the embedded chain; the node keeps them until another branch wins.
    fn rewind(&mut self, depth: u32) {
        let height = self.dev.tip().height - depth;
        self.dev.rewind(height).expect("blocks to take away");
        self.registrar = open_registrar(&self.dev);
    }

    /// Submits every block that the node lacks.
    fn send(&self) {
        follow::submit(&self.dev, &self.node);
    }

    fn rpc(&self) -> BitcoindSource {
        follow::rpc(&self.node)
    }

    fn block_files(&self) -> BlockFilesSource {
        follow::block_files(&self.node)
    }

    /// The daemon on the node, with its data in `data` of the home.
    fn serve(&self, environment: &[(&str, &str)]) -> Process {
        let data = self.data().display().to_string();
        let mut command =
            self.home
                .bnsd(&["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"]);
        command
            .env("BNSD_CHAIN_SOURCE", "bitcoind")
            .env("BNSD_CHAIN_NETWORK", "regtest")
            .env("BNSD_CHAIN_RPC_ADDRESS", self.node.address())
            .env("BNSD_CHAIN_RPC_COOKIE", self.node.cookie())
            .env("BNSD_NAMESPACES", "id=only")
            .env("BNSD_ZONEFILES_FOLDERS", self.home.folder("zones"))
            .envs(environment.iter().copied());
        Process::start(&self.home, command)
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.data().join("control.sock")
    }

    /// Writes a zone file into the watched folder.
    fn zonefile(&self, file: &str, text: &str) -> ZonefileHash {
        let path = self.home.folder("zones").join(file);
        std::fs::write(path, text).expect("a file in the scratch directory");
        ZonefileHash::of(text.as_bytes())
    }
}

/// What a daemon says that keeps its index from going on.
fn trouble(socket: &Path) -> Option<String> {
    let warnings = status(socket)?.warnings.into_iter();
    let mut about_chain = warnings.filter(|text| {
        text.starts_with("Bitcoin Core at") || text.contains("parted from the index")
    });
    about_chain.next()
}

fn open_registrar(dev: &DevChain) -> Registrar {
    Registrar::open(dev.clone(), Bns::new(Params::regtest())).expect("a readable chain")
}

/// The zone files that come with the project, by name.
fn project_zonefiles() -> Vec<(Name, ZonefileHash)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zonefiles");
    let entries = std::fs::read_dir(folder).expect("the project's folder");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let name: Name = file.strip_suffix(".zone").unwrap().parse().unwrap();
            (name, ZonefileHash::of(&std::fs::read(&path).unwrap()))
        })
        .collect();
    files.sort();
    files
}
