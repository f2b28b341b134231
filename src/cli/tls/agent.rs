//! `bnsd tls agent`: certificates of names for the browsers of a user, or for OpenSSL.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use directories::BaseDirs;

use super::{ca, install};
use crate::cli::{CliError, Context, Exit, Result, log};
use crate::config::Profile;
use crate::disk::rights::own_uid;
use crate::trust::stores::{Browsers, Hashed, Store, StoreError, system};
use crate::trust::{AgentError, follow};

/// The user who may change the files of all others.
const ROOT: u32 = 0;
/// Pauses before the daemon is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A conversation of this length went well.
const WELL: Duration = Duration::from_secs(60);

/// Arguments of `bnsd tls agent`.
#[derive(Debug, Args)]
pub struct Agent {
    /// Put them where OpenSSL, curl and Python look, which takes root.
    #[arg(long)]
    system: bool,
}

impl Agent {
    /// Follows the daemon for ever.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let config = context.load(Profile::Serve, Vec::new())?;
        let _log = log::start(config.log)?;
        let sockets = ca::sockets(context)?;
        let mut store: Box<dyn Store> = match self.system {
            true => Box::new(hashed(Path::new("/"))),
            false => Box::new(browsers(context)?),
        };
        check(&mut *store)?;
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            let start = Instant::now();
            let socket = sockets
                .iter()
                .find(|socket| socket.exists())
                .or(sockets.first());
            let socket = socket
                .cloned()
                .unwrap_or_else(|| PathBuf::from("trust.sock"));
            match follow(&socket, &mut *store) {
                Ok(()) => {}
                Err(AgentError::Daemon { .. }) if start.elapsed() > WELL => pause = FIRST_PAUSE,
                Err(error @ AgentError::Daemon { .. }) => {
                    let text = error.to_string();
                    if text != told {
                        tracing::warn!("{text}");
                        told = text; // said once, however long it takes
                    }
                }
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether the root is installed; without one nothing of it stays in the store.
fn check(store: &mut dyn Store) -> Result<()> {
    if let Err(error) = store.root() {
        let _ = store.refresh(); // which says the same
        return Err(error.into());
    }
    Ok(())
}

/// The stores of whoever runs this.
pub fn browsers(context: &Context) -> Result<Browsers> {
    let home = BaseDirs::new().map(|base| base.home_dir().to_owned());
    let (Some(home), Some(state)) = (home, context.places.state.as_deref()) else {
        return Err(CliError::Usage(
            "this user has no home directory, so no browsers: set HOME".to_owned(),
        ));
    };
    // `sudo` may leave HOME as it is: files of root there would lock the user out, and follow links that the user makes.
    let owner = fs::metadata(&home).map_or(ROOT, |metadata| metadata.uid());
    if own_uid() == ROOT && owner != ROOT {
        let home = home.display();
        return Err(CliError::Usage(format!(
            "{home} belongs to user {owner}: run this as that user, without sudo"
        )));
    }
    Ok(Browsers::new(
        home,
        state,
        install::system_root(Path::new("/")),
    ))
}

/// The system's store for OpenSSL, below a root directory.
pub fn hashed(root: &Path) -> Hashed {
    Hashed::new(root.join(system::HASHED), install::system_root(root))
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoRoot(_) => Self::No(error.to_string()),
            other => Self::Trouble(anyhow::Error::msg(other.to_string())), // it says its cause itself
        }
    }
}

impl From<AgentError> for CliError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Store(error) => error.into(),
            AgentError::OtherRoot(_) => Self::No(error.to_string()),
            AgentError::Daemon { .. } => Self::Trouble(anyhow::Error::msg(error.to_string())),
        }
    }
}
