//! The control protocol: how other programs ask the running daemon.
//!
#![doc = include_str!("protocol.md")]
//!
//! # Modules
//!
//! [`message`] has the envelopes, [`lookup`], [`explain`], [`status`], [`names`], [`owner`], [`cache`], [`counters`],
//! [`log`], [`peers`], [`portal`], [`prefer`], [`proof`], [`records`], [`reload`], [`series`], [`subdomain`], [`trust`], [`zonefiles`] and [`doctor`] the payloads; they
//! are also what `--json`
//! prints. [`control`] serves, [`socket`]
//! makes the file, [`client`] connects, [`ask`] asks a daemon wherever it is. [`http`] answers a part of it to everybody on
//! the machine. How an answer is found is the daemon's: it hands in a
//! [`control::Control`]. Nothing that arrives is trusted: lines, connections and waiting are bounded.

pub mod ask;
pub mod audit;
pub mod cache;
pub mod client;
pub mod control;
pub mod counters;
pub mod doctor;
pub mod explain;
pub mod http;
pub mod keys;
pub mod log;
pub mod lookup;
pub mod message;
pub mod names;
pub mod owner;
pub mod peers;
pub mod portal;
pub mod prefer;
pub mod proof;
pub mod records;
pub mod reload;
pub mod series;
pub mod socket;
pub mod status;
pub mod subdomain;
pub mod trust;
pub mod zonefiles;
