//! The log of a command, in the colours of its terminal.

use std::io::{self, IsTerminal};

use super::output::colours_are_wanted;
use super::{CliError, Result};
use crate::log::{Colours, Log, LogOptions};

/// Starts logging.
pub fn start(options: LogOptions) -> Result<Log> {
    let colours = match colours_are_wanted(io::stderr().is_terminal()) {
        true => Colours::On,
        false => Colours::Off,
    };
    Log::start(options, colours).map_err(|error| CliError::Trouble(error.into()))
}
