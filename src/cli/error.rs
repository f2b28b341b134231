//! How a command ends.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::passphrase::PassphraseError;
use crate::config::ConfigError;
use crate::system::SystemError;
use crate::wallet::journal::JournalError;
use crate::wallet::phrase::PhraseError;
use crate::wallet::psbt::PsbtError;
use crate::wallet::task::TaskError;
use crate::wallet::task::error::Fault;
use crate::wallet::task::state::StateError;
use crate::wallet::vault::VaultError;

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

impl Exit {
    /// Success for a yes.
    pub fn success_if(yes: bool) -> Self {
        if yes { Self::Success } else { Self::No }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a part of a command returns.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// There is no valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon that this command became ended with an error.
    #[error("{}", once(.0))]
    Daemon(anyhow::Error),
    /// The daemon was not reached, or a wish was not carried out.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// A file that was named cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The answer is no, for this reason.
    #[error("{0}")]
    No(String),
    /// Something that the command works with cannot be used.
    #[error("{}", once(.0))]
    Trouble(anyhow::Error),
    /// The output went nowhere.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

/// What the parts of the wallet say is what a task would say.
macro_rules! as_task_error {
    ($($error:ty),*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::Task(error.into())
            }
        }
    )*};
}

as_task_error!(StateError, VaultError, JournalError, PsbtError);

impl From<PhraseError> for CliError {
    fn from(error: PhraseError) -> Self {
        VaultError::from(error).into()
    }
}

impl From<SystemError> for CliError {
    fn from(error: SystemError) -> Self {
        match error.is_refusal() {
            true => Self::No(error.to_string()),
            false => Self::Trouble(anyhow::Error::msg(error.to_string())), // it says its cause itself
        }
    }
}

impl CliError {
    /// What the system says about a file.
    pub fn file(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// The exit code that tells a script about it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(error) if error.is_wrong_use() => Exit::WrongUse,
            Self::Usage(_) => Exit::WrongUse,
            Self::No(_) => Exit::No,
            Self::Task(error) => match error.fault() {
                Fault::Refusal => Exit::No,
                Fault::Usage => Exit::WrongUse,
                Fault::Trouble => Exit::Trouble,
            },
            _ => Exit::Trouble,
        }
    }
}

/// An error with its causes, but for those that the text before them names already.
fn once(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match text.is_empty() {
            true => text = cause,
            false if text.contains(&cause) => {}
            false => text += &format!(": {cause}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let denied = || io::Error::from_raw_os_error(libc::EACCES);
        let system = SystemError::File {
            path: "/journal".into(),
            source: denied(),
        };
        let opened = anyhow::Error::new(CliError::file(Path::new("/data"))(denied()));
        let errors = [
            CliError::from(system),
            CliError::Daemon(opened.context("no start")),
        ];
        let texts = errors.map(|error| error.to_string());
        assert_eq!(
            texts,
            [
                "cannot use /journal: Permission denied (os error 13) (run it as root)",
                "no start: cannot use /data: Permission denied (os error 13)",
            ]
        );
    }
}
