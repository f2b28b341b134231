//! How a name stands at a height.

use crate::bns::life::{self, Term};
use crate::bns::params::Params;
use crate::bns::record::{NameRecord, NamespaceRecord};

/// How a name that was registered once stands after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has an owner, who can do everything with it.
    Registered,
    /// It resolves still, and in the next block its owner can only renew it.
    Grace,
    /// Its owner gave it up, and it is not yet free.
    Revoked,
    /// Nobody renewed it in time, or its namespace was never opened.
    Expired,
}

impl Standing {
    /// Whether it has an owner and resolves.
    pub fn is_registered(self) -> bool {
        matches!(self, Self::Registered | Self::Grace)
    }
}

/// How a name stands, and when that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameState {
    /// How it stands.
    pub standing: Standing,
    /// The end of its term; of a revoked name only when it is free.
    pub term: Term,
}

impl NameState {
    /// How the name with this record stands after block `height`.
    pub fn of(
        params: &Params,
        record: &NameRecord,
        namespace: Option<&NamespaceRecord>,
        height: u32,
    ) -> Self {
        let standing = standing(params, record, namespace, height);
        let term = namespace.map_or_else(Term::default, |namespace| {
            Term::of(params, record, namespace, height)
        });
        Self {
            standing,
            term: match standing {
                Standing::Revoked => term.of_revoked(),
                _ => term,
            },
        }
    }
}

fn standing(
    params: &Params,
    record: &NameRecord,
    namespace: Option<&NamespaceRecord>,
    height: u32,
) -> Standing {
    // The next block's operations are what the grace period is about.
    let next = height.saturating_add(1);
    if !life::is_live(params, record, namespace, height) {
        Standing::Expired
    } else if record.revoked {
        Standing::Revoked
    } else if namespace.is_some_and(|row| life::in_grace_period(params, record, row, next)) {
        Standing::Grace
    } else {
        Standing::Registered
    }
}
