//! How a name or namespace stands at a height.

use serde::{Deserialize, Serialize};

use crate::bns::life::{self, Life, Term};
use crate::bns::params::Params;
use crate::bns::record::NamespaceRecord;

/// How a name stands after a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameState {
    /// Nobody has it: it was never registered, nobody renewed it in time, or its namespace was never opened.
    #[default]
    Free,
    /// It has an owner, who can do everything with it.
    Registered,
    /// It resolves still, and in the next block its owner can only renew it.
    Grace,
    /// Its owner gave it up, and it is not yet free.
    Revoked,
}

/// How a namespace stands after a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceState {
    /// Nobody has it.
    #[default]
    Free,
    /// Its rules are public, names can be imported.
    Revealed,
    /// Names can be registered.
    Ready,
}

impl NameState {
    /// How a name with this life stands after block `height`, and the end of its term; of a revoked name only when
    /// it is free.
    pub(super) fn of(
        params: &Params,
        life: Life,
        namespace: Option<&NamespaceRecord>,
        height: u32,
    ) -> (Self, Term) {
        // The next block's operations are what the grace period is about.
        let next = height.saturating_add(1);
        let term = namespace.map_or_else(Term::default, |namespace| {
            Term::of(params, life, namespace, height)
        });
        if !life::is_live(params, life, namespace, height) {
            (Self::Free, term)
        } else if life.revoked {
            (Self::Revoked, term.of_revoked())
        } else if namespace.is_some_and(|row| life::in_grace_period(params, life, row, next)) {
            (Self::Grace, term)
        } else {
            (Self::Registered, term)
        }
    }
}

impl NamespaceState {
    /// How the namespace with this record stands after block `height`.
    pub(super) fn of(params: &Params, record: &NamespaceRecord, height: u32) -> Self {
        if life::is_ready(record) {
            Self::Ready
        } else if life::is_revealed(params, record, height) {
            Self::Revealed
        } else {
            Self::Free
        }
    }
}
