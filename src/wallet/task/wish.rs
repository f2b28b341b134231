//! What can be wanted of names and namespaces, and which operations that takes.

use crate::bns::address::Address;
use crate::bns::price::PriceFunction;
use crate::bns::{Name, NamespaceId};
use crate::hash::ZonefileHash;
use crate::wallet::operation::OnTransfer;

/// Names of operations in the reference's words, as the journal has them.
pub(super) const PREORDER: &str = "NAME_PREORDER";
/// See [`PREORDER`].
pub(super) const REGISTRATION: &str = "NAME_REGISTRATION";
/// See [`PREORDER`].
pub(super) const IMPORT: &str = "NAME_IMPORT";
/// See [`PREORDER`].
pub(super) const RENEWAL: &str = "NAME_RENEWAL";
/// See [`PREORDER`].
pub(super) const NAMESPACE_PREORDER: &str = "NAMESPACE_PREORDER";
/// See [`PREORDER`].
pub(super) const NAMESPACE_REVEAL: &str = "NAMESPACE_REVEAL";
/// See [`PREORDER`].
pub(super) const NAMESPACE_READY: &str = "NAMESPACE_READY";

/// What an owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Preorder a name and register it.
    Register {
        /// The name.
        name: Name,
        /// Who will own it; by default the sender.
        owner: Option<Address>,
        /// Its zone file; announced with the registration where the epoch takes one.
        zonefile: Option<Announced>,
    },
    /// Announce another zone file.
    Update {
        /// The name.
        name: Name,
        /// Its zone file.
        zonefile: Announced,
    },
    /// Give a name to somebody else.
    Transfer {
        /// The name.
        name: Name,
        /// The new owner.
        to: Address,
        /// What becomes of its zone file.
        zonefile: OnTransfer,
    },
    /// Pay for another term.
    Renew {
        /// The name.
        name: Name,
        /// Another zone file, where the epoch takes one.
        zonefile: Option<Announced>,
    },
    /// Take a name out of use until it expires.
    Revoke {
        /// The name.
        name: Name,
    },
    /// Put a name into a namespace that is not open yet.
    Import {
        /// The name.
        name: Name,
        /// Its owner.
        owner: Address,
        /// Its zone file.
        zonefile: Announced,
    },
    /// Commit to a namespace without saying which.
    PreorderNamespace {
        /// The namespace.
        id: NamespaceId,
        /// Who will reveal it, import names and open it; by default the sender.
        revealer: Option<Address>,
    },
    /// Say which namespace was preordered, and by which rules it works.
    RevealNamespace {
        /// The namespace.
        id: NamespaceId,
        /// As in the preorder.
        revealer: Option<Address>,
        /// Blocks that a name lives, before the epoch's multiplier.
        lifetime: u32,
        /// What names cost.
        prices: PriceFunction,
        /// To whom, and in what.
        version: u16,
    },
    /// Open a namespace for everybody.
    OpenNamespace {
        /// The namespace.
        id: NamespaceId,
    },
}

/// A zone file that is to be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its hash, which the chain gets.
    pub hash: ZonefileHash,
    /// Its text for the archive, if it is at hand.
    pub text: Option<Vec<u8>>,
}

impl From<Vec<u8>> for Announced {
    fn from(text: Vec<u8>) -> Self {
        Self {
            hash: ZonefileHash::of(&text),
            text: Some(text),
        }
    }
}

impl From<ZonefileHash> for Announced {
    fn from(hash: ZonefileHash) -> Self {
        Self { hash, text: None }
    }
}

impl Wish {
    /// The zone file that it announces, and of which name.
    pub(super) fn announced(&self) -> Option<(&Name, &Announced)> {
        match self {
            Self::Register { name, zonefile, .. } | Self::Renew { name, zonefile } => {
                zonefile.as_ref().map(|zonefile| (name, zonefile))
            }
            Self::Update { name, zonefile } | Self::Import { name, zonefile, .. } => {
                Some((name, zonefile))
            }
            _ => None,
        }
    }

    /// The name or namespace that it is about.
    pub fn about(&self) -> String {
        match self {
            Self::Register { name, .. }
            | Self::Update { name, .. }
            | Self::Transfer { name, .. }
            | Self::Renew { name, .. }
            | Self::Revoke { name }
            | Self::Import { name, .. } => name.to_string(),
            Self::PreorderNamespace { id, .. }
            | Self::RevealNamespace { id, .. }
            | Self::OpenNamespace { id } => id.to_string(),
        }
    }

    /// What the journal calls it; one thing can be under way on a subject at a time.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::PreorderNamespace { id, .. } => format!("{id}.preorder"),
            _ => self.about(),
        }
    }

    /// What is wanted, in one word: that of the command.
    pub(super) fn goal(&self) -> &'static str {
        self.goal_and_operations().0
    }

    /// The operations that it takes, in order.
    pub(super) fn operations(&self) -> &'static [&'static str] {
        self.goal_and_operations().1
    }

    fn goal_and_operations(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Register { .. } => ("register", &[PREORDER, REGISTRATION]),
            Self::Update { .. } => ("update", &["NAME_UPDATE"]),
            Self::Transfer { .. } => ("transfer", &["NAME_TRANSFER"]),
            Self::Renew { .. } => ("renew", &[RENEWAL]),
            Self::Revoke { .. } => ("revoke", &["NAME_REVOKE"]),
            Self::Import { .. } => ("import", &[IMPORT]),
            Self::PreorderNamespace { .. } => ("preorder", &[NAMESPACE_PREORDER]),
            Self::RevealNamespace { .. } => ("reveal", &[NAMESPACE_REVEAL]),
            Self::OpenNamespace { .. } => ("ready", &[NAMESPACE_READY]),
        }
    }
}
