//! What an owner wants, from wish to block.
//!
//! ```text
//! Wish -> Operation + coins -> Draft -> forecast of the rules -> signed -> journal -> node -> block
//!                                                           \-> PSBT for others to sign
//! ```
//!
//! A [`Wallet`] holds keys and journal and works with two parts of the world: [`ChainState`] says what the rules look at,
//! [`Node`](super::node::Node) supplies coins and takes transactions. A program that asks a daemon over its socket has
//! both from `api::ask`; one that runs the daemon in process has them there too.
//!
//! Every wish can be stopped at any moment and asked for again: what was signed is in the journal before it is sent, it is
//! looked for on the chain before anything else, and all attempts at a step spend the same first coin, so that at most one
//! of them is ever mined.
//!
//! - [`state`]: questions about the chain and their answers.
//! - [`wallet`]: keys, journal and the two parts together; [`keyring`]: which key sends, and its signatures.
//! - [`wish`]: what can be wanted; `plan`: which operations that takes.
//! - [`draft`]: an operation with coins, judged and signed. `wait`: the one loop that sends and waits.
//! - [`bill`]: what a command costs. `outlay`: whether the coins last for all of it.
//! - [`consent`]: what somebody has to agree to before it costs anything; [`concern`]: what is probably not meant. `review`
//!   looks for that.
//! - [`carry`]: a wish from beginning to end. [`import`]: many names at once.
//! - [`sale`], [`purchase`]: a name against bitcoin. [`elsewhere`]: transactions that others signed.
//!
//! Results and refusals are values. Nothing here prints, ends the process, or reads a terminal.

pub mod bill;
pub mod carry;
pub mod concern;
pub mod consent;
pub mod draft;
pub mod elsewhere;
pub mod error;
pub mod import;
pub mod keyring;
mod outlay;
mod plan;
pub mod purchase;
mod review;
pub mod sale;
pub mod state;
mod wait;
pub mod wallet;
pub mod wish;

pub use error::TaskError;
pub use state::ChainState;
pub use wait::{Accepted, Outcome, Proposal, Sent};
pub use wallet::Wallet;
pub use wish::Wish;
