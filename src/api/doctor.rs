//! The endpoint `doctor`: what the daemon finds when it looks at itself, and the shape of a finding.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The system's service that a process belongs to, by its control groups (cgroups(7)). Groups below a service or a
/// scope are named by whoever runs there, and those of `user.slice` by users, so none of them counts.
pub fn unit(groups: &str) -> Option<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut services = paths.filter_map(service);
    services.next().map(str::to_owned)
}

fn service(path: &str) -> Option<&str> {
    let mut parts = path.split('/').skip(1);
    let first = parts.find(|part| !part.ends_with(".slice") || *part == "user.slice")?;
    let name = first.strip_suffix(".service")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || ":_.@\\-".contains(c);
    (!name.is_empty() && !name.starts_with('-') && name.chars().all(is_name)).then_some(first)
}

/// A command that takes a line of a configuration file out of force, which stays where it was: if the file can be read
/// and is still TOML without it.
pub fn without_line(file: &Path, line: usize) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let at = line.checked_sub(1)?;
    let is_header = text.lines().nth(at)?.trim_start().starts_with('[');
    let others = text.lines().enumerate().filter(|(other, _)| *other != at);
    let others: Vec<&str> = others.map(|(_, line)| line).collect();
    let is_whole = others.join("\n").parse::<toml::Table>().is_ok();
    let file = quoted(&file.display().to_string());
    (is_whole && !is_header).then(|| format!("sed -i '{line}s/^/# /' {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_control_group() {
        for (groups, expected) in [
            ("0::/system.slice/bnsd.service\n", Some("bnsd.service")),
            (
                "0::/system.slice/system-a.slice/a@1.service\n",
                Some("a@1.service"),
            ),
            (
                "1:name=systemd:/system.slice/a.service\n0::/\n",
                Some("a.service"),
            ),
            // What runs in a service or a scope names groups below its own.
            (
                "0::/system.slice/a.service/ssh.service\n",
                Some("a.service"),
            ),
            ("0::/system.slice/docker-1.scope/ssh.service\n", None),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n",
                None,
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/ssh.service\n",
                None,
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/x;touch PWNED;.service\n",
                None,
            ),
            ("0::/system.slice/x;touch PWNED;.service\n", None),
            ("0::/system.slice/--now.service\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), expected, "{groups:?}");
        }
    }

    #[test]
    fn only_a_whole_line_is_taken_out_of_force() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let file = directory.path().join("bnsd.toml");
        let text = "frob = 1\nlisten = [\n  \"nowhere\",\n]\n[dns]\nx = 1\n";
        fs::write(&file, text).expect("a file");
        let has_command = |line| without_line(&file, line).is_some();
        assert_eq!(
            [1, 2, 3, 5, 6, 9].map(has_command),
            [true, false, true, false, true, false]
        );
    }

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
