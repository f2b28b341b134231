//! Keys, coins, and the transactions that carry operations.
//!
//! ```text
//! Operation (payload, outputs) + Funding (sender, coins) --build--> Unsigned --sign--> Transaction
//! ```
//!
//! - [`keys`]: keys that sign.
//! - [`coins`]: which outputs to spend, and what change is left.
//! - [`operation`]: the operations with their outputs in conventional order (wire-format.md §4).
//! - [`sign`]: signatures for the inputs.
//! - [`registrar`]: names onto an embedded chain, for the demo and tests.
//!
//! The wallet computes; it neither sends transactions nor stores keys. The daemon never uses it: commands
//! that sign run in the process of the command.

pub mod coins;
pub mod keys;
pub mod operation;
pub mod registrar;
pub mod sign;
#[cfg(test)]
mod tests;
