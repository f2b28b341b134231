//! Why a conversation with a peer ended. This file is pure.

use super::message::MessageError;
use crate::chain::checked::BlockError;
use crate::chain::headers::rules::HeaderFault;

/// Why a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    /// There was none.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The connection was closed.
    #[error("the connection ended: {0}")]
    Broken(String),
    /// It does not answer in time.
    #[error("it does not answer")]
    Silent,
    /// It sends or reads too slowly.
    #[error("it is too slow")]
    Slow,
    /// It named other peers, which is all that it was asked for.
    #[error("it has named other peers")]
    Done,
    /// No block came for long, and another peer may know of one.
    #[error("it makes room for another peer")]
    Relieved,
    /// It did what no honest peer does, or cannot serve us.
    #[error("{0}")]
    Lied(#[from] Lie),
}

/// For what a peer is kept away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lie {
    /// Its message is none.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its headers break a rule.
    #[error(transparent)]
    Headers(#[from] HeaderFault),
    /// A block is not what was asked for.
    #[error("it sent a wrong block: {0}")]
    Block(#[from] BlockError),
    /// A block that it was not asked for.
    #[error("it sent a block unasked")]
    Unasked,
    /// Headers on top of none that is known, again and again.
    #[error("its headers lead nowhere")]
    Unlinked,
    /// Headers that make no better chain, again and again.
    #[error("its headers never end")]
    Endless,
    /// Too much that nobody asked for.
    #[error("it sends too much unasked")]
    Flood,
    /// Something else before it said who it is, or that twice.
    #[error("it does not keep to the order of messages")]
    Order,
    /// It gave our own introduction back.
    #[error("it is this node itself")]
    Own,
    /// It has no blocks, or an old protocol.
    #[error("it cannot serve blocks")]
    Useless,
}
