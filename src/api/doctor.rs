//! The endpoint `doctor`: what the daemon finds when it looks at itself, and the shape of a finding.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Asks the daemon to look at itself, which takes up to three seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoctorRequest {
    /// Whether root will run the commands of the reply; `sudo` stands before them otherwise.
    #[serde(default)]
    pub as_root: bool,
}

/// What the daemon found, and where it keeps things.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReply {
    /// A finding or more of each check.
    pub findings: Vec<Finding>,
    /// The daemon's process.
    pub process: u32,
    /// The user that it runs as.
    pub user: u32,
    /// The configuration file that it read; `null` if there was none.
    pub config_file: Option<PathBuf>,
    /// Its data directory.
    pub data_dir: PathBuf,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check, in one word.
    pub check: String,
    /// How it stands.
    pub state: State,
    /// One sentence without a full stop.
    pub text: String,
    /// A line for a shell that mends it; `null` where nothing has to be done, or only somebody else can do it.
    pub command: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It works, and could be better or will not last.
    Warning,
    /// Names are not found because of it, or data are in danger.
    Failure,
    /// It could not be looked at.
    Unknown,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(check: &str, text: impl Into<String>) -> Self {
        Self::new(check, State::Ok, text, None)
    }

    /// It works, and `command` makes it better.
    pub fn warning(check: &str, text: impl Into<String>, command: impl Into<String>) -> Self {
        Self::new(check, State::Warning, text, Some(command.into()))
    }

    /// It does not work, and `command` mends it.
    pub fn failure(check: &str, text: impl Into<String>, command: impl Into<String>) -> Self {
        Self::new(check, State::Failure, text, Some(command.into()))
    }

    /// It could not be looked at, for the reason in the text.
    pub fn unknown(check: &str, text: impl Into<String>) -> Self {
        Self::new(check, State::Unknown, text, None)
    }

    /// The same without a command: only somebody else can do something about it.
    pub fn out_of_reach(self) -> Self {
        Self {
            command: None,
            ..self
        }
    }

    fn new(check: &str, state: State, text: impl Into<String>, command: Option<String>) -> Self {
        Self {
            check: check.to_owned(),
            state,
            text: text.into(),
            command,
        }
    }
}

/// A word as a shell takes it: in quotes unless it has only letters, digits and a few marks (POSIX, Shell Command
/// Language §2.2.2).
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_every_word_as_it_is() {
        for (word, expected) in [
            ("/etc/bnsd/bnsd.toml", "/etc/bnsd/bnsd.toml"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's; rm", r"'it'\''s; rm'"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
