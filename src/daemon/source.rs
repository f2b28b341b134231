//! The source of blocks that the configuration names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::light::Light;
use crate::chain::SourceKind;
use crate::chain::anchored::Anchored;
use crate::chain::bitcoind::http::{Credentials, Limits, UserPassword};
use crate::chain::bitcoind::{BitcoindSource, NodeOptions};
use crate::chain::blockfiles::BlockFilesSource;
use crate::chain::dev::DevChain;
use crate::chain::{BlockRef, ChainSource};
use crate::config::{ChainConfig, Config, NodeConfig};
use crate::disk::rights::check_secret;
use crate::store::Store;
use crate::wallet::harden;

/// Folder of the embedded chain in the data directory.
pub const DEV_CHAIN: &str = "chain";

/// The configured source of blocks, for work without a daemon: an embedded chain is not begun by it. `store` is the database
/// that it is followed into, which logs need.
pub fn open_existing(
    config: &Config,
    store: Option<&Arc<Store>>,
) -> anyhow::Result<Option<Box<dyn ChainSource>>> {
    if config.chain.source == SourceKind::Log {
        let store = store.context(
            "a log is followed into a database and cannot be replayed without one: `bnsd chain verify` derives everything again",
        )?;
        return Ok(Some(Light::open(config, store)?.without_peers()));
    }
    let directory = config.data_dir.join(DEV_CHAIN);
    if config.chain.source == SourceKind::Dev && !directory.is_dir() {
        bail!("there is no embedded chain in {}", directory.display());
    }
    Ok(open(config)?.source)
}

/// A source, and the embedded chain if that is what it follows.
pub struct Opened {
    /// `None` where there is no chain.
    pub source: Option<Box<dyn ChainSource>>,
    /// Takes transactions and mines.
    pub embedded: Option<DevChain>,
}

impl Opened {
    /// An embedded chain.
    pub fn of_dev(chain: &DevChain, config: &ChainConfig) -> Self {
        Self {
            source: Some(Box::new(chain.source(config.confirmations))),
            embedded: Some(chain.clone()),
        }
    }
}

/// The embedded chain in the data directory.
pub fn open_embedded(config: &Config) -> anyhow::Result<DevChain> {
    Store::claim(&config.data_dir)?;
    Ok(DevChain::open(&config.data_dir.join(DEV_CHAIN))?)
}

/// Builds the configured source; a node is not asked yet.
pub fn open(config: &Config) -> anyhow::Result<Opened> {
    let chain = &config.chain;
    let mut embedded = None;
    let source: Option<Box<dyn ChainSource>> = match chain.source {
        // That of logs needs the database: `light` opens it.
        SourceKind::None | SourceKind::Final | SourceKind::Log => None,
        SourceKind::Dev => {
            let dev = open_embedded(config)?;
            let opened = Opened::of_dev(&dev, chain);
            embedded = opened.embedded;
            opened.source
        }
        SourceKind::Bitcoind => Some(Box::new(BitcoindSource::new(NodeOptions {
            address: chain.node.rpc_address.clone(),
            credentials: credentials(&chain.node)?,
            limits: Limits::default(),
            network: chain.bitcoin.network(),
            confirmations: chain.confirmations,
        }))),
        SourceKind::Blockfiles => {
            let directory = chain.node.blocks_dir.as_deref().ok_or_else(|| {
                anyhow!("nobody says where the node's blocks are: set `chain.blocks-dir`")
            })?;
            let network = chain.bitcoin.network();
            let source = BlockFilesSource::new(directory, network, chain.confirmations);
            Some(Box::new(source))
        }
    };
    Ok(Opened {
        source: source.map(|source| anchored(chain, source)),
        embedded,
    })
}

/// A source that has to have the block on which a network of one's own begins.
pub fn anchored(chain: &ChainConfig, source: Box<dyn ChainSource>) -> Box<dyn ChainSource> {
    match &chain.network_file {
        None => source,
        Some(file) => {
            let (height, hash) = file.anchor;
            Box::new(Anchored::new(source, BlockRef { height, hash }))
        }
    }
}

/// A second source like the configured one, for work beside the indexer. `embedded` is the embedded chain that runs, `light`
/// what the running source of logs shares.
pub fn another(
    config: &Config,
    embedded: Option<&DevChain>,
    light: Option<&Light>,
) -> anyhow::Result<Box<dyn ChainSource>> {
    if let Some(light) = light {
        return Ok(light.without_peers());
    }
    if let Some(dev) = embedded {
        return Ok(Box::new(dev.source(config.chain.confirmations)));
    }
    let opened = open(config)?;
    opened.source.context("no chain is followed")
}

/// How the node is shown who we are.
pub fn credentials(node: &NodeConfig) -> anyhow::Result<Credentials> {
    let user = match (&node.rpc_user, &node.rpc_password_file) {
        (Some(user), Some(path)) => {
            harden::forbid_dumps(); // from here on this process holds a password
            let text = read_password(path)?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            Some(UserPassword::new(user, &password))
        }
        _ => None,
    };
    Ok(Credentials {
        cookie: node.rpc_cookie.clone(),
        user,
    })
}

/// The text of a file that only we can read.
fn read_password(path: &Path) -> anyhow::Result<String> {
    let named = || format!("`chain.rpc-password-file` {}", path.display());
    let unreadable = || format!("cannot read {}: make it readable for bnsd", named());
    let mut file = File::open(path).with_context(unreadable)?;
    let metadata = file.metadata().with_context(unreadable)?;
    if metadata.is_file() {
        check_secret(&metadata).with_context(|| format!("cannot use {}", named()))?;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(unreadable)?;
    Ok(text)
}
