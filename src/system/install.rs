//! The only place that changes a system: puts what is wanted in place, and puts back what was there.
//!
//! The order is what makes it safe. Everything is looked at first, and nothing is changed if one path cannot be written
//! to or was changed by somebody else. Then the journal is on the disk, then come the changes, each of them whole or not
//! at all, then the commands, and last the note in the journal that it is complete. Ended anywhere, `uninstall` puts every
//! path back that is not as it was.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::diff::diff;
use super::entry::{self, Entry};
use super::error::{Result, SystemError};
use super::journal::{Aim, Changed, Journal};
use super::machine::{Machine, check_writable};
use super::{Changes, Command, Content};

/// What is to be done, looked through and not yet begun.
#[derive(Debug)]
pub struct Plan {
    journal: Journal,
    /// Paths of an earlier installation that are not wanted any more.
    leaving: Vec<Changed>,
    then: Vec<Command>,
    is_done: bool,
}

/// What happens with files that somebody else changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// They are kept.
    Kept,
    /// They are overwritten.
    Overwritten,
}

/// A change as it is shown to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The path.
    pub path: PathBuf,
    /// Its lines that go and come.
    pub lines: Vec<String>,
}

/// What became of an uninstallation.
#[derive(Debug, Default)]
pub struct Undone {
    /// Paths that are as they were.
    pub restored: Vec<PathBuf>,
    /// Paths that somebody else changed, which were kept.
    pub kept: Vec<PathBuf>,
    /// Commands that failed after that.
    pub failed: Vec<SystemError>,
}

/// Nobody else changes the system while this is held.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is released when it is closed")] File);

impl Lock {
    /// Takes the lock of a machine: its directory `/etc`, so that no file is left of it.
    pub fn take(machine: &Machine) -> Result<Self> {
        let path = machine.path("etc");
        let directory = File::open(&path).map_err(SystemError::file(&path))?;
        match directory.try_lock() {
            Ok(()) => Ok(Self(directory)),
            Err(TryLockError::WouldBlock) => Err(SystemError::Locked),
            Err(TryLockError::Error(error)) => Err(SystemError::file(&path)(error)),
        }
    }
}

impl Plan {
    /// What `changes` mean for a machine as it is. Changes nothing.
    pub fn new(machine: &Machine, aim: Aim, changes: &Changes, foreign: Foreign) -> Result<Self> {
        let old = Journal::read(machine)?;
        if let (Some(old), Foreign::Kept) = (&old, foreign)
            && let Some(path) = old.changed_since(machine)?.into_iter().next()
        {
            return Err(SystemError::Changed(path));
        }
        let mut journal = Journal::new(aim);
        for wanted in &changes.wanted {
            add_directories(machine, old.as_ref(), &wanted.path, &mut journal)?;
            let before = before(machine, old.as_ref(), &wanted.path)?;
            let after = wanted.what.after(&before);
            let path = wanted.path.clone();
            journal.paths.push(Changed {
                path,
                before,
                after,
            });
        }
        journal.before_undoing.clone_from(&changes.before_undoing);
        journal.after_undoing.clone_from(&changes.after_undoing);
        let leaving = old.iter().flat_map(|old| &old.paths);
        let leaving = leaving.filter(|changed| journal.find(&changed.path).is_none());
        let leaving: Vec<_> = leaving.cloned().collect();
        let is_done = old.is_some_and(|old| {
            let mut done = journal.clone();
            done.is_complete = true;
            done == old && is_in_place(machine, &done)
        });
        let plan = Self {
            journal,
            leaving,
            then: changes.then.clone(),
            is_done,
        };
        plan.check(machine)?;
        Ok(plan)
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The commands that will be run.
    pub fn commands(&self) -> &[Command] {
        if self.is_done { &[] } else { &self.then }
    }

    /// Each change, to be looked at.
    pub fn shown(&self, machine: &Machine) -> Result<Vec<Shown>> {
        let back = self.leaving.iter().map(|old| (&old.path, &old.before));
        let there = self.journal.paths.iter().map(|new| (&new.path, &new.after));
        let mut shown = Vec::new();
        for (inside, to) in back.chain(there) {
            let path = machine.path(inside);
            let now = Entry::read(&path).map_err(SystemError::file(&path))?;
            if now != *to && !matches!(to, Entry::Directory {}) {
                let lines = diff(&now.text(), &to.text());
                shown.push(Shown { path, lines });
            }
        }
        Ok(shown)
    }

    /// Does it. What fails is taken back.
    pub fn carry_out(mut self, machine: &Machine) -> Result<()> {
        if self.is_done {
            return Ok(());
        }
        // Until they are back, the old paths are in the journal too.
        let wanted = self.journal.paths.len();
        self.journal.paths.extend(self.leaving.iter().cloned());
        self.journal.write(machine)?;
        if let Err(error) = self.change(machine) {
            return Err(match undo(machine, &self.journal, Foreign::Kept) {
                Ok(_) => SystemError::TakenBack(Box::new(error)),
                Err(second) => SystemError::HalfDone(Box::new(error), Box::new(second)),
            });
        }
        self.journal.paths.truncate(wanted);
        self.journal.is_complete = true;
        self.journal.write(machine)
    }

    fn change(&self, machine: &Machine) -> Result<()> {
        for old in self.leaving.iter().rev() {
            put(machine, &old.path, &old.before)?;
        }
        let paths = self.journal.paths.iter();
        for new in paths.filter(|new| !self.leaving.contains(new)) {
            put(machine, &new.path, &new.after)?;
        }
        self.then
            .iter()
            .try_for_each(|command| machine.run(command))
    }

    /// Fails if one of the paths cannot be written to.
    fn check(&self, machine: &Machine) -> Result<()> {
        let changed = self.journal.paths.iter().chain(&self.leaving);
        for changed in changed {
            let path = machine.path(&changed.path);
            check(&path).map_err(|(path, source)| SystemError::NotWritable { path, source })?;
        }
        Ok(())
    }
}

impl Content {
    /// What is put there in place of `before`: a file that was there keeps its owner and mode.
    fn after(&self, before: &Entry) -> Entry {
        let (own, group) = (geteuid().as_raw(), getegid().as_raw());
        let (text, usual) = match self {
            Self::Link(target) => {
                return Entry::Link {
                    target: target.into(),
                    uid: own,
                    gid: group,
                };
            }
            Self::Text(text) => (text, 0o644),
            Self::Script(text) => (text, 0o755),
        };
        let (mode, uid, gid) = match before {
            Entry::File { mode, uid, gid, .. } => (*mode, *uid, *gid),
            _ => (usual, own, group),
        };
        Entry::File {
            bytes: text.clone().into_bytes(),
            mode,
            uid,
            gid,
        }
    }
}

/// Puts everything back that was installed. `None` if nothing was.
pub fn uninstall(machine: &Machine, foreign: Foreign) -> Result<Option<Undone>> {
    let Some(journal) = Journal::read(machine)? else {
        Journal::remove(machine)?; // what a crash before the first change left
        return Ok(None);
    };
    for changed in &journal.paths {
        let path = machine.path(&changed.path);
        check(&path).map_err(|(path, source)| SystemError::NotWritable { path, source })?;
    }
    undo(machine, &journal, foreign).map(Some)
}

fn undo(machine: &Machine, journal: &Journal, foreign: Foreign) -> Result<Undone> {
    let run = |commands: &[Command]| -> Vec<SystemError> {
        let results = commands.iter().map(|command| machine.run(command));
        results.filter_map(Result::err).collect()
    };
    let mut undone = Undone {
        failed: run(&journal.before_undoing),
        ..Undone::default()
    };
    let mut left = journal.clone();
    left.paths.clear();
    for changed in journal.paths.iter().rev() {
        let path = machine.path(&changed.path);
        entry::sweep(&path).map_err(SystemError::file(&path))?;
        let now = Entry::read(&path).map_err(SystemError::file(&path))?;
        if now == changed.before {
            continue;
        }
        if now != changed.after && foreign == Foreign::Kept {
            left.paths.insert(0, changed.clone());
            undone.kept.push(path);
            continue;
        }
        put(machine, &changed.path, &changed.before)?;
        if undone.kept.iter().any(|kept| kept.starts_with(&path)) {
            left.paths.insert(0, changed.clone()); // the directory of something that is kept
            continue;
        }
        undone.restored.push(path);
    }
    undone.failed.extend(run(&journal.after_undoing));
    match left.paths.is_empty() {
        true => Journal::remove(machine)?,
        false => left.write(machine)?,
    }
    Ok(undone)
}

/// What was at a path before anything was installed.
fn before(machine: &Machine, old: Option<&Journal>, inside: &str) -> Result<Entry> {
    if let Some(noted) = old.and_then(|old| old.find(inside)) {
        return Ok(noted.before.clone());
    }
    let path = machine.path(inside);
    Entry::read(&path).map_err(SystemError::file(&path))
}

/// Notes the directories that have to be made for a path.
fn add_directories(
    machine: &Machine,
    old: Option<&Journal>,
    inside: &str,
    journal: &mut Journal,
) -> Result<()> {
    let above: Vec<_> = Path::new(inside).ancestors().skip(1).collect();
    for directory in above.iter().rev().filter_map(|path| path.to_str()) {
        if directory.is_empty() || journal.find(directory).is_some() {
            continue;
        }
        let is_there = machine.path(directory).is_dir();
        let was_made = old.is_some_and(|old| old.find(directory).is_some());
        if !is_there || was_made {
            journal.paths.push(Changed {
                path: directory.to_owned(),
                before: before(machine, old, directory)?,
                after: Entry::Directory {},
            });
        }
    }
    Ok(())
}

fn is_in_place(machine: &Machine, journal: &Journal) -> bool {
    let mut paths = journal.paths.iter();
    paths.all(|noted| Entry::read(&machine.path(&noted.path)).is_ok_and(|now| now == noted.after))
}

fn put(machine: &Machine, inside: &str, entry: &Entry) -> Result<()> {
    let path = machine.path(inside);
    let fail = SystemError::file(&path);
    entry::sweep(&path).map_err(fail)?;
    match Entry::read(&path).map_err(fail)? == *entry {
        true => Ok(()),
        false => entry.put(&path).map_err(fail),
    }
}

/// Whether a path can be replaced: it is no mount, and it and the directory that is there can be written to.
fn check(path: &Path) -> std::result::Result<(), (PathBuf, io::Error)> {
    let directories = path.ancestors().skip(1);
    let directory = directories.clone().find(|directory| directory.is_dir());
    let directory = directory.unwrap_or(Path::new("/"));
    check_writable(directory).map_err(|error| (directory.to_owned(), error))?;
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    let fail = |error| (path.to_owned(), error);
    if metadata.is_file() {
        check_writable(path).map_err(fail)?;
    }
    match is_mount(path) {
        false => Ok(()),
        true => Err(fail(io::Error::from_raw_os_error(libc::EBUSY))),
    }
}

/// Whether something is mounted on a path itself, as containers do with files that they make; such a file cannot be
/// replaced (proc_pid_mountinfo(5)).
fn is_mount(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.any(|point| Path::new(&point.replace("\\040", " ")) == path)
}

/// The paths that bnsd's data and configuration have, for those who want nothing of it to stay: what is there, with the
/// directories in which the service keeps it.
pub fn leftovers(machine: &Machine) -> Vec<PathBuf> {
    let paths = ["etc/bnsd", "var/lib/bnsd", "var/lib/private/bnsd"];
    let there: BTreeSet<_> = paths.iter().map(|path| machine.path(path)).collect();
    let there = there.into_iter();
    there
        .filter(|path| path.symlink_metadata().is_ok())
        .collect()
}
