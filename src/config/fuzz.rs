//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use std::path::PathBuf;

use super::Config;
use super::error::ConfigError;
use super::file::FileText;
use super::layer::Layers;
use super::place::Places;
use super::reader::Reader;
use super::settle::settle;
use super::sources::Profile;

/// The configuration of a file with this text.
pub fn of_text(text: &str) -> Result<Config, ConfigError> {
    let path = PathBuf::from("/etc/bnsd/bnsd.toml");
    let mut layers = Layers::default();
    layers.add_file(&FileText {
        path,
        text: text.to_owned(),
    })?;
    let places = Places {
        state: Some("/var/lib/bnsd".into()),
        config_file: None,
    };
    settle(Reader::new(layers), Profile::Serve, &places)
}
