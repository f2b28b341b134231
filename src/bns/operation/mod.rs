//! The operations: one file each, named as in the reference, with its fields, rules, effect and canonical text.
//!
//! An [`Operation`] is what a transaction asks the name system to do: an [`Action`], which is a payload
//! together with what the outputs around it mean (wf §4), and its [`Origin`] (wf §3). Reading one
//! needs no state. Each file then has two functions: `check` asks its rules of a `Block`, and `decide`
//! changes the block if no rule refuses, and returns the canonical text (ch §1).

mod announce;
mod name_import;
mod name_preorder;
mod name_registration;
mod name_renewal;
mod name_revoke;
mod name_transfer;
mod name_update;
mod namespace_preorder;
mod namespace_ready;
mod namespace_reveal;
mod origin;
mod outputs;
mod payment;
mod read;
mod reading;
mod text;
mod token_transfer;

pub use announce::Announce;
pub use name_import::NameImport;
pub use name_preorder::NamePreorder;
pub use name_registration::NameRegistration;
pub use name_renewal::NameRenewal;
pub use name_revoke::NameRevoke;
pub use name_transfer::NameTransfer;
pub use namespace_preorder::NamespacePreorder;
pub use namespace_ready::NamespaceReady;
pub use namespace_reveal::NamespaceReveal;
pub use origin::Origin;
pub use outputs::{Burn, Recipient};
pub use token_transfer::TokenTransfer;

pub(super) use reading::{name_of_text, namespace_of_text};

use super::block::{Block, Checked, Refusal};
use super::reject::Reject;
use super::view::View;
use super::wire::NameUpdate;

/// The canonical text of an operation that was carried out, or why it was refused.
type Decided<V> = Checked<V, String>;

/// An operation as its transaction says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who sent it, and where it stands.
    pub origin: Origin,
    /// What it asks for.
    pub action: Action,
}

/// What an operation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `?`
    NamePreorder(NamePreorder),
    /// `:` with two or three outputs
    NameRegistration(NameRegistration),
    /// `:` with four or more outputs
    NameRenewal(NameRenewal),
    /// `+`
    NameUpdate(NameUpdate),
    /// `>`
    NameTransfer(NameTransfer),
    /// `~`
    NameRevoke(NameRevoke),
    /// `;`
    NameImport(NameImport),
    /// `*`
    NamespacePreorder(NamespacePreorder),
    /// `&`
    NamespaceReveal(NamespaceReveal),
    /// `!`
    NamespaceReady(NamespaceReady),
    /// `#`
    Announce(Announce),
    /// `$`
    TokenTransfer(TokenTransfer),
    /// An operation on a name that ends in a line feed: never accepted (wf §5)
    Unregistrable,
}

impl Operation {
    /// The reference's name for it.
    pub fn opcode_name(&self) -> &'static str {
        match &self.action {
            Action::NamePreorder(_) => "NAME_PREORDER",
            Action::NameRegistration(_) => "NAME_REGISTRATION",
            Action::NameRenewal(_) => "NAME_RENEWAL",
            Action::NameUpdate(_) => "NAME_UPDATE",
            Action::NameTransfer(_) => "NAME_TRANSFER",
            Action::NameRevoke(_) => "NAME_REVOKE",
            Action::NameImport(_) => "NAME_IMPORT",
            Action::NamespacePreorder(_) => "NAMESPACE_PREORDER",
            Action::NamespaceReveal(_) => "NAMESPACE_REVEAL",
            Action::NamespaceReady(_) => "NAMESPACE_READY",
            Action::Announce(_) => "ANNOUNCE",
            Action::TokenTransfer(_) => "TOKEN_TRANSFER",
            Action::Unregistrable => "UNREGISTRABLE",
        }
    }

    /// Checks the rules and, if none refuses, changes the block's state. Returns the canonical text, which
    /// only an announcement lacks.
    pub(super) fn decide<V: View>(&self, block: &mut Block<'_, V>) -> Checked<V, Option<String>> {
        let origin = &self.origin;
        let text = match &self.action {
            Action::NamePreorder(action) => action.decide(origin, block)?,
            Action::NameRegistration(action) => action.decide(origin, block)?,
            Action::NameRenewal(action) => action.decide(origin, block)?,
            Action::NameUpdate(action) => action.decide(origin, block)?,
            Action::NameTransfer(action) => action.decide(origin, block)?,
            Action::NameRevoke(action) => action.decide(origin, block)?,
            Action::NameImport(action) => action.decide(origin, block)?,
            Action::NamespacePreorder(action) => action.decide(origin, block)?,
            Action::NamespaceReveal(action) => action.decide(origin, block)?,
            Action::NamespaceReady(action) => action.decide(origin, block)?,
            Action::TokenTransfer(action) => action.decide(origin, block)?,
            Action::Announce(action) => return action.check(origin, block).map(|()| None),
            Action::Unregistrable => return Err(Refusal::Reject(Reject::IllegalName)),
        };
        Ok(Some(text))
    }
}
