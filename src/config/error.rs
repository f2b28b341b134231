//! What can be wrong with a configuration.

use std::path::PathBuf;

use super::setting::Origin;

/// Why there is no configuration. Every message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for is not there.
    #[error("there is no configuration file {}: create it, or leave out --config", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, or what is wrong with the file.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The file sets a key that nobody knows.
    #[error("{}:{line}: unknown key `{key}`{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// What could have been meant, as the end of the sentence.
        hint: String,
    },
    /// A value that its key cannot have.
    #[error("{}: {problem}", origin.of_key(key))]
    Value {
        /// Where it was given.
        origin: Origin,
        /// The key with its section.
        key: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// The platform names no directory for the data.
    #[error("no home directory is known for this user: name a directory with --data-dir")]
    NoHome,
}

impl ConfigError {
    /// Whether what was written is at fault, rather than the system.
    pub fn is_wrong_use(&self) -> bool {
        !matches!(self, Self::Unreadable { .. })
    }
}
