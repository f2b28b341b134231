//! How a command ends.

use std::io;
use std::process::ExitCode;

use crate::api::client::ClientError;
use crate::api::message::{ErrorKind, ErrorReply};
use crate::config::ConfigError;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done, the answer is yes.
    Success = 0,
    /// The answer is no: there is no such name, the check failed.
    No = 1,
    /// The command, its options or the configuration are wrong.
    WrongUse = 2,
    /// Something went wrong on the way.
    Trouble = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// There is no valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon was not reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon refused.
    #[error("{}", .0.message)]
    Refused(ErrorReply),
    /// The daemon sent the reply to another request.
    #[error("the daemon replied to another request: restart it, it may be of another version")]
    Unexpected,
    /// The daemon that this command became ended badly.
    #[error("{0:#}")]
    Daemon(anyhow::Error),
    /// An operation was not done.
    #[error(transparent)]
    Own(#[from] super::own::OwnError),
    /// The answer is no, for this reason.
    #[error("{0}")]
    No(String),
    /// Something that the command works with cannot be used.
    #[error("{0:#}")]
    Trouble(anyhow::Error),
    /// The output went nowhere.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl CliError {
    /// The exit code that tells a script about it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(error) if error.is_wrong_use() => Exit::WrongUse,
            Self::Refused(error) if error.kind == ErrorKind::Usage => Exit::WrongUse,
            Self::Own(error) => error.exit(),
            Self::No(_) => Exit::No,
            _ => Exit::Trouble,
        }
    }
}
