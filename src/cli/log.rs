//! The log: to the standard error, this crate's messages only.
//!
//! The name of a query is logged at no level, unless `log.queries` is on. Libraries do not keep that rule, so no
//! setting lets their messages through.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::output::colours_are_wanted;
use crate::config::LogLevel;

/// Starts logging; later calls change nothing.
pub fn start(level: LogLevel) {
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(level)))
        .with_writer(io::stderr)
        .with_ansi(colours_are_wanted(io::stderr().is_terminal()))
        .with_target(false)
        .log_internal_errors(false) // a terminal that is gone takes no complaint about that either
        .try_init();
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
}

fn filter(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Off => "off",
        LogLevel::Error => "bnsd=error",
        LogLevel::Warn => "bnsd=warn",
        LogLevel::Info => "bnsd=info",
        LogLevel::Debug => "bnsd=debug",
        LogLevel::Trace => "bnsd=trace",
    }
}
