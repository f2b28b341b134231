//! Keys, coins, and the transactions that carry operations.
//!
//! ```text
//! Operation (payload, outputs) + Funding (sender, coins) --build--> Unsigned --sign--> Transaction
//! ```
//!
//! - [`task`]: what an owner wants, from wish to block.
//! - [`keys`]: keys that sign; [`lock`]: the scripts that they open; [`phrase`]: keys from words (BIP39, BIP32).
//! - [`vault`]: keys at rest, encrypted; [`harden`]: keeps them out of core files.
//! - [`coins`]: which outputs to spend, and what change is left; [`fee`]: what miners get.
//! - [`operation`]: the operations with their outputs in conventional order (wf §4).
//! - [`psbt`]: signatures for the inputs, also of transactions that travel.
//! - [`node`]: who supplies coins and takes transactions; [`bitcoind`]: a Bitcoin Core node.
//! - [`journal`]: what is under way, on disk before it is sent; [`hex`]: how bytes are written there.
//! - [`words`]: amounts, blocks and spans as a person reads them.
//! - [`subdomain`]: signatures under records of subdomains; [`spool`]: a directory of records on their way into zone files.
//! - [`registrar`]: names onto an embedded chain, for the demo and tests.
//!
//! The daemon never opens a key: commands that sign run in the process of the command. Nothing here prints, ends the
//! process, or reads a terminal.
//!
#![doc = include_str!("formats.md")]
//!
#![doc = include_str!("owning.md")]

pub mod bitcoind;
pub mod coins;
pub mod fee;
pub mod harden;
pub mod hex;
pub mod journal;
pub mod keys;
pub mod lock;
pub mod node;
pub mod operation;
pub mod phrase;
pub mod psbt;
pub mod registrar;
pub mod spool;
pub mod subdomain;
pub mod task;
#[cfg(test)]
pub(crate) mod tests;
pub mod vault;
pub mod words;
