//! What the rules allow and is probably not meant, in words.

use std::fmt;

use super::state::BlockToCome;
use crate::bns::{Name, NamespaceId};
use crate::hash::ZonefileHash;
use crate::wallet::words::{grouped, span};

/// Why a lawful operation is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// What is bought means nothing to others than those who run bnsd; what the network means, as a sentence.
    Continuation(String),
    /// The zone file that is announced is announced already.
    SameZonefile(ZonefileHash),
    /// The archive lacks zone files of which the hash alone was given.
    Unsupplied {
        /// How many.
        count: usize,
        /// One of them.
        hash: ZonefileHash,
    },
    /// Resolvers would leave out something of a zone file.
    Unanswered(UnansweredZone),
    /// A resolver takes the namespace for the ICANN top-level domain of the same name.
    LegacyNamespace(NamespaceId),
    /// A resolver leaves the label to the legacy tree, where others register below it.
    ProtectedLabel(Name),
    /// No key here opens the address of the owner.
    ForeignOwner(String),
    /// Nobody has the key of the new owner's address.
    BurnAddress(String),
    /// Much of the present term is paid for twice.
    EarlyRenewal {
        /// Blocks of the present term that are left.
        left: u64,
        /// Blocks of a whole term.
        lifetime: u64,
        /// First block of the grace period.
        ends: BlockToCome,
    },
    /// A name that does not end is renewed.
    EndlessTerm(Name),
    /// The name will be of no use to anybody.
    Revocation {
        /// The name.
        name: Name,
        /// First block in which somebody can register it again; `None` if that never comes.
        free_from: Option<BlockToCome>,
    },
}

/// A zone file of which resolvers would leave something out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnansweredZone {
    /// Whose it is.
    pub name: Name,
    /// What they would leave out; at most the first of a great many.
    pub parts: Vec<String>,
    /// How much that is.
    pub count: usize,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continuation(meaning) => f.write_str(meaning),
            Self::SameZonefile(hash) => {
                write!(
                    f,
                    "the chain announces zone file {hash} already: this changes nothing"
                )
            }
            Self::Unsupplied { count: 1, hash } => write!(
                f,
                "the daemon does not have zone file {hash}: the name fails to resolve until somebody supplies it"
            ),
            Self::Unsupplied { count, hash } => write!(
                f,
                "the daemon lacks {count} of the zone files, {hash} among them: the names fail to resolve until somebody supplies them"
            ),
            Self::Unanswered(zone) => write!(f, "{zone}"),
            Self::LegacyNamespace(id) => write!(
                f,
                "{id} is an ICANN top-level domain too: resolvers ask the chain for none of its names unless their configuration says `{id} = \"only\"` or another mode under [namespaces]"
            ),
            Self::ProtectedLabel(name) => write!(
                f,
                "names below {name} are registered in the legacy tree, so resolvers never ask the chain for it, except in mode `only`"
            ),
            Self::ForeignOwner(address) => write!(
                f,
                "no key here opens the owner's address {address}: whoever has it will own what you pay for"
            ),
            Self::BurnAddress(address) => write!(
                f,
                "{address} is the burn address, of which nobody has the key: nobody will be able to do anything with the name"
            ),
            Self::EarlyRenewal {
                left,
                lifetime,
                ends,
            } => write!(
                f,
                "the present term goes on until block {ends} and the new one begins now: {} of its {} blocks ({}) are paid for twice",
                grouped(*left),
                grouped(*lifetime),
                span(*left)
            ),
            Self::EndlessTerm(name) => write!(f, "{name} does not end, so a renewal gives nothing"),
            Self::Revocation { name, free_from } => {
                write!(
                    f,
                    "{name} will resolve for nobody, and nobody can undo that or renew it"
                )?;
                match free_from {
                    Some(block) => write!(f, "; from block {block} on anybody can register it"),
                    None => write!(f, "; it never becomes free"),
                }
            }
        }
    }
}

impl fmt::Display for UnansweredZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, parts, count } = self;
        write!(f, "resolvers would leave out of the zone file of {name}")?;
        for part in parts {
            write!(f, "\n  {part}")?;
        }
        match count.saturating_sub(parts.len()) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concern_is_said_with_its_facts() {
        let name: Name = "me.id".parse().expect("a name");
        let block = |height| BlockToCome {
            height,
            date: Some("2027-03-01T12:00:00Z".to_owned()),
        };
        let early = Concern::EarlyRenewal {
            left: 40_000,
            lifetime: 52_595,
            ends: block(90_000),
        };
        assert_eq!(
            early.to_string(),
            "the present term goes on until block 90000 (about 2027-03-01) and the new one begins now: \
             40,000 of its 52,595 blocks (about 278 days) are paid for twice"
        );
        let revocation = Concern::Revocation {
            name,
            free_from: Some(block(7)),
        };
        assert_eq!(
            revocation.to_string(),
            "me.id will resolve for nobody, and nobody can undo that or renew it; \
             from block 7 (about 2027-03-01) on anybody can register it"
        );
    }
}
