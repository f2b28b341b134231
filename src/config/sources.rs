//! What [`super::Config::load`] reads from: everything from outside is handed in.

use std::path::PathBuf;

use super::place::Places;

/// Which built-in values apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// `bnsd serve`, and the commands that ask a daemon.
    Serve,
    /// `bnsd demo`: the embedded chain, a high port, its own directory.
    Demo,
}

/// Which configuration file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// The one at the platform's place, if it is there.
    AtItsPlace,
    /// This one, which has to be there.
    Named(PathBuf),
    /// None at all.
    Nothing,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Which built-in values apply.
    pub profile: Profile,
    /// Which file is read.
    pub file: FileChoice,
    /// Environment variables; those that do not begin with `BNSD_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Values given on the command line.
    pub flags: Vec<Flag>,
    /// The platform's directories.
    pub places: Places,
}

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The key that it sets, as in [`super::key::KEYS`].
    pub key: &'static str,
    /// How the flag is spelt, with its dashes.
    pub flag: &'static str,
    /// Its values; several for a list.
    pub values: Vec<String>,
}
