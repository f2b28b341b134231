//! `bnsd chain new-network`: the constants of a network of one's own become its network file.
//!
//! Every network has an anchor, a block of the chain that it is on. A node of that chain is asked for one, unless it is
//! given.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bitcoin::BlockHash;
use clap::Args;
use serde::Serialize;

use crate::bns::network::Network;
use crate::bns::network_file::{self, Base, NetworkFile, OwnEpoch};
use crate::chain::bitcoind::http::{Credentials, Limits};
use crate::chain::bitcoind::{BitcoindSource, NodeOptions};
use crate::chain::{ChainSource as _, Event, SourceError};
use crate::cli::{CliError, Context, Exit, Result};
use crate::config::{BitcoinChain, bitcoin_chain};

/// Blocks on top of an anchor on a chain where others mine: as many as the index undoes without a question.
const ANCHOR_DEPTH: u32 = 100;

/// Arguments of `bnsd chain new-network`.
#[derive(Debug, Args)]
pub struct NewNetwork {
    /// The file to write, like club.bnsnet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The chain of Bitcoin that carries it: main, testnet4, signet or regtest
    #[arg(long, value_name = "CHAIN", value_parser = bitcoin_chain)]
    on: BitcoinChain,
    /// The two bytes that its operations start with, as four hex digits
    #[arg(long, value_name = "HEX", value_parser = network_file::magic)]
    magic: [u8; 2],
    /// Its first block; by default the next one of the chain, or the one above the anchor
    #[arg(long, value_name = "HEIGHT")]
    first: Option<u32>,
    /// A block that the chain must have, as HEIGHT:HASH, or `genesis`; by default the node is asked
    #[arg(long, value_name = "BLOCK", value_parser = anchor)]
    anchor: Option<Anchor>,
    /// HOST:PORT of the node's RPC interface; by default that of Bitcoin Core for the chain
    #[arg(long, value_name = "ADDRESS")]
    node: Option<String>,
    /// The node's cookie file; by default that of Bitcoin Core for the chain
    #[arg(long, value_name = "FILE")]
    cookie: Option<PathBuf>,
    /// Least price of a name in satoshi
    #[arg(long, value_name = "SATOSHI", default_value_t = 100)]
    unit: u64,
    /// Blocks in which a revealed namespace has to be opened
    #[arg(long, value_name = "BLOCKS", default_value_t = 52_595)]
    reveal: u32,
    #[command(flatten)]
    epoch: EpochOptions,
    /// A whole epoch instead, END:RULES:MULTIPLIER:GRACE:FEES:P1,P2,P3,P4; can be repeated, the last END is 4294967295
    #[arg(long = "epoch", value_name = "EPOCH", conflicts_with_all = ["rules", "multiplier", "grace", "fees", "price"])]
    epochs: Vec<OwnEpoch>,
}

/// The one epoch of a network whose constants never change.
#[derive(Debug, Args)]
struct EpochOptions {
    /// Features and arithmetic of this epoch of the historical network, 1 to 3
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    rules: u8,
    /// Factor on the lifetime that a namespace gives its names
    #[arg(
        long = "lifetime-multiplier",
        id = "multiplier",
        value_name = "FACTOR",
        default_value_t = 2
    )]
    multiplier: u32,
    /// Blocks after the lifetime in which only the owner can renew
    #[arg(long, value_name = "BLOCKS", default_value_t = 5_000)]
    grace: u32,
    /// Blocks after the reveal in which fees can go to the creator of a namespace
    #[arg(long, value_name = "BLOCKS", default_value_t = 52_595)]
    fees: u32,
    /// What namespaces cost in satoshi, by length of the id: 1, 2 or 3, 4 to 7, 8 and more
    #[arg(
        long,
        value_name = "P1,P2,P3,P4",
        value_parser = network_file::prices,
        default_value = "4000000000,400000000,40000000,4000000"
    )]
    price: [u64; 4],
}

/// A block of the chain.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Genesis,
    At(u32, BlockHash),
}

fn anchor(text: &str) -> Result<Anchor, String> {
    match text {
        "genesis" => Ok(Anchor::Genesis),
        text => network_file::anchor(text).map(|(height, hash)| Anchor::At(height, hash)),
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Written<'a> {
    /// The file.
    file: &'a Path,
    /// What the daemon calls the network.
    network: Network,
    /// The lines for `bnsd.toml`.
    configuration: String,
}

impl NewNetwork {
    /// Writes the file; one that is there is not replaced.
    pub fn run(self, context: &Context) -> Result<Exit> {
        if self.file.exists() {
            return Err(CliError::Usage(format!(
                "{} is there already, and a changed file is another network: name another one",
                self.file.display()
            )));
        }
        let (anchor, next) = self.anchor().map_err(|error| trouble(&error))?;
        let network = NetworkFile {
            base: Base::Bitcoin,
            anchor,
            magic: self.magic,
            first_block: self.first.unwrap_or(next),
            addresses: self.on.addresses(),
            burn: [0; 20],
            unit: self.unit,
            reveal: self.reveal,
            epochs: self.epochs(),
            administrator: None,
            notice: 288,
            closing: 144,
            burial: 100,
            pointers: false,
            from: None,
            pace: 1,
        };
        let text = network.to_string();
        NetworkFile::parse(&text).map_err(|error| CliError::Usage(error.problem))?;
        write(&self.file, &text).map_err(CliError::file(&self.file))?;
        self.report(context, &network)
    }

    fn report(&self, context: &Context, network: &NetworkFile) -> Result<Exit> {
        let path = std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone());
        let written = Written {
            file: &path,
            network: Network::Own(network.id()),
            configuration: format!(
                "[chain]\nsource = \"bitcoind\"\nnetwork-file = {:?}\nbitcoin = \"{}\"\n",
                path.display().to_string(),
                self.on
            ),
        };
        context.output.show(&written, |page| {
            page.heading(format!("written to {}", path.display()));
            page.entry("network", &written.network);
            page.entry("first block", &network.first_block);
            let (height, hash) = network.anchor;
            page.entry("anchor", &format!("{height}, {hash}"));
            page.note("Whoever has the same file is on the same network. These lines of bnsd.toml follow it:");
            for line in written.configuration.lines() {
                page.note(line);
            }
        })
    }

    fn epochs(&self) -> Vec<OwnEpoch> {
        if !self.epochs.is_empty() {
            return self.epochs.clone();
        }
        let one = &self.epoch;
        vec![OwnEpoch {
            end: u32::MAX,
            rules: one.rules,
            multiplier: one.multiplier,
            grace: one.grace,
            fees: one.fees,
            prices: one.price,
        }]
    }

    /// The anchor, and the block that comes next: after it, or after the best one of the node.
    fn anchor(&self) -> Result<((u32, BlockHash), u32), SourceError> {
        match self.anchor {
            Some(Anchor::At(height, hash)) => Ok(((height, hash), height.saturating_add(1))),
            Some(Anchor::Genesis) => {
                let genesis = bitcoin::constants::genesis_block(self.on.network());
                Ok(((0, genesis.block_hash()), 1))
            }
            None => self.anchor_of_node(),
        }
    }

    fn anchor_of_node(&self) -> Result<((u32, BlockHash), u32), SourceError> {
        let mut node = BitcoindSource::new(NodeOptions {
            address: self
                .node
                .clone()
                .unwrap_or_else(|| self.on.rpc_address().to_owned()),
            credentials: Credentials {
                cookie: self.cookie.clone().or_else(|| self.on.rpc_cookie()),
                user: None,
            },
            limits: Limits::default(),
            network: self.on.network(),
            confirmations: 0,
        });
        let best = node.best_height()?;
        let height = match self.on {
            BitcoinChain::Regtest => best, // nobody else mines
            _ => best.saturating_sub(ANCHOR_DEPTH),
        };
        match node.next(None, height)? {
            Event::Connect(block) => Ok(((height, block.at.hash), best.saturating_add(1))),
            _ => Err(SourceError::Unavailable(format!(
                "{} has lost block {height}",
                node.describe()
            ))),
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn trouble(error: &SourceError) -> CliError {
    CliError::Trouble(anyhow::anyhow!(
        "{error}. Name the node with --node and --cookie, or a block of the chain with --anchor HEIGHT:HASH; --anchor genesis does where there is one such chain only"
    ))
}
