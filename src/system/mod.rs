//! System DNS: sends this machine's questions to bnsd, and takes that back without a trace.
//!
//! ```text
//! Wish --> Mechanism --> Changes (files, links, commands) --\
//!                        service: the unit file -------------> Plan --> journal, synced --> files --> commands
//!
//! uninstall:  journal --> files, links and directories as they were --> commands --> the journal goes
//! ```
//!
//! Each mechanism is a file in [`mechanism`] that renders text. Only [`install`] changes anything. Before the first
//! change, everything that will be changed stands in the [`journal`] as it was, bytes, owner, mode and link. So whatever
//! ends the program, `uninstall` finds what it has to put back. A file that somebody else changed since is kept and
//! named, unless the caller insists.
//!
//! Without a wish for all names, only domains of the chain are sent to bnsd: while bnsd is down, nobody else's names fail.
//!
//! Everything happens below a root directory, which can be that of an image; commands are run only on this machine.

mod diff;
mod entry;
mod error;
pub mod install;
mod journal;
mod machine;
pub mod mechanism;
mod port;
mod reach;
mod service;

use std::net::SocketAddr;

pub use error::SystemError;
pub use journal::{Aim, Journal};
pub use machine::Machine;
pub use port::{Holder, holders, holders_of, names};
pub use reach::{exchange, is_bnsd};
pub use service::changes as service_changes;

/// What stands first in every file that is written.
const BY_US: &str = "# Written by `bnsd system install`; `bnsd system uninstall` takes it back.\n";

/// Which questions of this machine go to bnsd, and where it is.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which names.
    pub scope: Scope,
    /// The domains of the chain, without last dots.
    pub domains: Vec<String>,
    /// Where bnsd listens.
    pub server: SocketAddr,
}

/// Which names go to bnsd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those in the domains of the chain.
    Domains,
    /// All of them.
    All,
}

/// What has to change on a machine.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What is put where.
    pub wanted: Vec<Wanted>,
    /// What is run after that.
    pub then: Vec<Command>,
    /// What is run before it is taken back.
    pub before_undoing: Vec<Command>,
    /// What is run after it was taken back.
    pub after_undoing: Vec<Command>,
}

/// A program and its arguments.
pub type Command = Vec<String>;

/// Something that is put at a path.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The path, below the root and without its first slash.
    pub path: String,
    /// What it is to be.
    pub what: Content,
}

/// What is put at a path.
#[derive(Debug, Clone)]
pub enum Content {
    /// A file that everybody can read.
    Text(String),
    /// The same, to be run.
    Script(String),
    /// A symbolic link to this path.
    Link(String),
}

impl Changes {
    /// A file with `text` below our own first line.
    fn file(&mut self, path: &str, text: &str) {
        self.put(path, Content::Text(format!("{BY_US}{text}")));
    }

    fn put(&mut self, path: &str, what: Content) {
        let path = path.to_owned();
        self.wanted.push(Wanted { path, what });
    }

    /// Both, the other's after these.
    pub fn and(mut self, other: Self) -> Self {
        self.wanted.extend(other.wanted);
        self.then.extend(other.then);
        self.before_undoing.extend(other.before_undoing);
        self.after_undoing.extend(other.after_undoing);
        self
    }
}

/// A command from its words.
fn command(words: &[&str]) -> Command {
    words.iter().map(|&word| word.to_owned()).collect()
}
