//! Agreement to what an operation costs and brings about, asked for before anything is signed, noted or handed out.
//!
//! The rules refuse what is unlawful. What is lawful and probably not meant is a [`Concern`]: it is said with its facts, and
//! a person decides. The wallet's `consent` is asked once a command, also without concerns, because every operation pays.

use bitcoin::Psbt;

use super::bill::Bill;
use super::concern::Concern;
use super::wish::Wish;
use crate::bns::Name;
use crate::bns::address::Address;
use crate::wallet::operation::Unsigned;

/// What somebody is asked to agree to.
pub struct Consent<'c> {
    /// What is to be done.
    pub deal: Deal<'c>,
    /// What it costs.
    pub bill: &'c Bill,
    /// What is probably not meant.
    pub concerns: &'c [Concern],
}

/// What is to be done, judged by the rules and not signed.
pub enum Deal<'c> {
    /// A wish, from its next operation on.
    Wish {
        /// What is wanted.
        wish: &'c Wish,
        /// Its next operation, in the reference's words.
        operation: &'static str,
        /// The transaction of that.
        unsigned: &'c Unsigned,
    },
    /// Names that are imported, each with a transaction of its own. The coins are not split yet, so each spends one that
    /// does not exist, of the worth that it will have.
    Import {
        /// How many names are still to be imported.
        names: usize,
        /// The transactions of the first of them.
        first: Vec<&'c Unsigned>,
    },
    /// The seller's signature under a sale.
    Sell {
        /// The name.
        name: &'c Name,
        /// Who gets it.
        buyer: Address,
        /// What the seller gets, in satoshi.
        price: u64,
        /// The sale.
        sale: &'c Psbt,
    },
    /// The buyer's signature under a sale.
    Buy {
        /// The name.
        name: &'c Name,
        /// What the seller gets, in satoshi.
        price: u64,
        /// The sale.
        sale: &'c Psbt,
    },
}
