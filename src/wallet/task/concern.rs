//! What the rules allow and is probably not meant, in words.

use std::fmt;

use crate::bns::Name;
use crate::hash::ZonefileHash;

/// Why a lawful operation is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// What is bought means nothing to others than those who run bnsd; what the network means, as a sentence.
    Continuation(String),
    /// The zone file that is announced is announced already.
    SameZonefile(ZonefileHash),
    /// The name will be of no use to anybody.
    Revocation {
        /// The name.
        name: Name,
        /// First block in which somebody can register it again; `None` if that never comes.
        free_from: Option<u32>,
    },
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
            Self::Revocation { name, free_from } => {
                write!(
                    f,
                    "{name} will resolve for nobody, and nobody can undo that or renew it"
                )?;
                match free_from {
                    Some(height) => write!(f, "; from block {height} on anybody can register it"),
                    None => write!(f, "; it never becomes free"),
                }
            }
        }
    }
}
