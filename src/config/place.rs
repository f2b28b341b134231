//! The platform's directories: state and configuration (XDG base directories, Apple's library folders).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::options::BitcoinChain;

/// Where a daemon that the system started has its control socket; systemd/ and launchd/ name the same.
#[cfg(not(target_os = "macos"))]
pub const SYSTEM_CONTROL_SOCKET: &str = "/run/bnsd/control.sock";
/// Where a daemon that the system started has its control socket; systemd/ and launchd/ name the same.
#[cfg(target_os = "macos")]
pub const SYSTEM_CONTROL_SOCKET: &str = "/Library/Application Support/org.bnsd.bnsd/control.sock";

/// The configuration file in its directory.
const CONFIG_FILE: &str = "bnsd.toml";

/// The directories that apply to whoever runs the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// For the daemon's data: `$XDG_STATE_HOME/bnsd`, by default `~/.local/state/bnsd`.
    pub state: Option<PathBuf>,
    /// The configuration file: `$XDG_CONFIG_HOME/bnsd/bnsd.toml`, by default in `~/.config`.
    pub config_file: Option<PathBuf>,
}

impl Places {
    /// Asks the platform.
    pub fn of_platform() -> Self {
        let Some(project) = ProjectDirs::from("org", "bnsd", "bnsd") else {
            return Self::without_home();
        };
        Self {
            state: Some({
                let state = project.state_dir();
                state.unwrap_or_else(|| project.data_local_dir()).to_owned()
            }),
            config_file: Some(project.config_dir().join(CONFIG_FILE)),
        }
    }

    /// A service may run as a user without a home, whom only the variables tell where things are.
    fn without_home() -> Self {
        let directory = |variable: &str| {
            let base = PathBuf::from(std::env::var_os(variable)?);
            base.is_absolute().then(|| base.join("bnsd"))
        };
        Self {
            state: directory("XDG_STATE_HOME"),
            config_file: directory("XDG_CONFIG_HOME").map(|base| base.join(CONFIG_FILE)),
        }
    }

    /// Where the demo keeps its chain, apart from a real daemon's data.
    pub fn demo_dir(&self) -> Option<PathBuf> {
        self.state.as_ref().map(|state| state.join("demo"))
    }
}

/// The directory in which Bitcoin Core keeps this chain unless it is told otherwise: that of the user who
/// runs us.
pub fn bitcoin_core(chain: BitcoinChain) -> Option<PathBuf> {
    let home = BaseDirs::new()?.home_dir().to_owned();
    let directory = if cfg!(target_os = "macos") {
        home.join("Library/Application Support/Bitcoin")
    } else {
        home.join(".bitcoin")
    };
    Some(match chain {
        BitcoinChain::Main => directory,
        BitcoinChain::Testnet4 => directory.join("testnet4"),
        BitcoinChain::Signet => directory.join("signet"),
        BitcoinChain::Regtest => directory.join("regtest"),
    })
}

/// The text of a file that has at most `max` bytes.
pub fn read_bounded(path: &Path, max: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > max {
        return Err(io::Error::other(format!("it is longer than {max} bytes")));
    }
    Ok(text)
}

/// `~/x` as the shell would read it, since no shell reads a configuration file.
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), BaseDirs::new()) {
        (Ok(rest), Some(base)) => base.home_dir().join(rest),
        _ => path.to_owned(),
    }
}
