//! The configuration: what is in force, and where every value came from.
//!
//! Four layers, each overriding the one before:
//!
//! ```text
//! built in  <  bnsd.toml  <  environment (BNSD_...)  <  command line
//! ```
//!
//! One table, [`key::KEYS`], names every key, its variable and its shape; file, environment, flags and
//! `bnsd config show` all read it, so that none of them can know a key that the others lack. The layers are
//! texts until [`Config::load`] parses them once into types that cannot be wrong; a built-in value goes
//! through the same parser as a given one.
//!
//! A key that nobody knows is an error, because a misspelt `listen` would otherwise silently leave the old
//! one in force. Nothing here opens a socket or creates a directory; only the configuration file and the network file that it
//! names are read.

use std::path::PathBuf;

mod change;
mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod key;
mod layer;
mod options;
mod place;
mod reader;
mod setting;
mod settle;
mod sources;
#[cfg(test)]
mod tests;
mod value;

pub use change::{Change, FOLDERS};
pub use error::ConfigError;
pub use options::{
    BitcoinChain, BitcoinPeers, ChainConfig, Config, DnsConfig, LightConfig, NamesConfig,
    NodeConfig, ZonefilesConfig,
};
pub use place::Places;
pub use setting::{Origin, Setting};
use settle::CONTROL_SOCKET;
pub use sources::{FileChoice, Flag, Profile, Sources};

pub use crate::bns::network::Network;
pub use value::{bitcoin_chain, network_file};

use layer::Layers;
use reader::Reader;

impl Config {
    /// Reads all layers, checks every value and settles what is left open.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        let file = file::read(&sources.file, &sources.places)?;
        if let Some(text) = &file {
            layers.add_file(text)?;
        }
        layers.add_environment(&sources.environment);
        layers.add_flags(&sources.flags);
        let mut config = settle::settle(Reader::new(layers), sources.profile, &sources.places)?;
        config.file = file.map(|file| file.path);
        Ok(config)
    }

    /// Whether somebody set this key.
    pub fn is_given(&self, key: &str) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|setting| setting.key == key && setting.origin != Origin::Default)
    }

    /// Where a client looks for a daemon, in this order: the socket that was named, or else the one in the
    /// data directory, that of a running demo and that of the system's service.
    pub fn control_candidates(&self, places: &Places) -> Vec<PathBuf> {
        let mut candidates = vec![self.control_socket.clone()];
        if !self.is_given("control-socket") && !self.is_given("data-dir") {
            candidates.extend(places.demo_dir().map(|dir| dir.join(CONTROL_SOCKET)));
            candidates.push(place::SYSTEM_CONTROL_SOCKET.into());
        }
        candidates
    }
}
