//! The browsers of a user: Chromium's databases, and that of every profile of Firefox.
//!
//! Chromium takes the root as a trusted authority from its database; Firefox does so from a profile's, and neither trusts the
//! authorities of names: those are there to be found. A running Firefox notices new ones at once, a running Chromium before
//! its next connection. Profiles that are made later get everything at the next [`Store::refresh`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::copies::Ledger;
use super::nss::{Database, Mark};
use super::{Store, StoreError, file_name, is_fingerprint, place, remove};
use crate::disk::{self, rights};
use crate::trust::issued::{Issued, RootCertificate};
use crate::worker;

/// Databases that Chromium reads, below a home; the first is made where there is none.
const CHROMIUM: [&str; 3] = [
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
];
/// Where Firefox keeps profiles.
const FIREFOX: [&str; 4] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];
/// Databases that are looked after at most.
const DATABASES_MAX: usize = 64;
/// What our nicknames begin with.
const OURS: &str = "bnsd ";
/// The root's; where Firefox took it by a policy, digits of its key follow.
const ROOT: &str = "bnsd root of this machine";
/// Those of the authorities begin with this.
const AUTHORITY: &str = "bnsd authority of";
/// The directory in which authorities are noted, below that of the ledger.
const AUTHORITIES: &str = "authorities";
/// What the names of their files end with.
const ENDING: &str = ".der";
/// The digits of a fingerprint in a nickname.
const DIGITS: usize = 16;

/// The stores of a user.
pub struct Browsers {
    home: PathBuf,
    /// Where the ledger is.
    directory: PathBuf,
    /// The root that the system has, as a file.
    system_root: PathBuf,
    /// The databases as they were when nothing was missing in them.
    settled: BTreeMap<PathBuf, Stamp>,
}

/// When a file was changed, and its length.
type Stamp = (SystemTime, u64);

/// What became of taking the root back.
#[derive(Debug, Default)]
pub struct Undone {
    /// Databases that are as they were, byte by byte.
    pub restored: Vec<PathBuf>,
    /// Databases that others wrote to since: our certificates were taken out of them.
    pub cleaned: Vec<PathBuf>,
}

/// Nobody else changes the stores while this is held.
struct Lock(#[expect(dead_code, reason = "it is released when it is closed")] File);

impl Browsers {
    /// Those of the user with this home, whose state is in `state`; `system_root` is the file of the root that the system has.
    pub fn new(home: PathBuf, state: &Path, system_root: PathBuf) -> Self {
        Self {
            home,
            directory: state.join("browsers"),
            system_root,
            settled: BTreeMap::new(),
        }
    }

    /// Lets all browsers of the user trust the root. Gives the databases.
    pub fn install(&self, root: &RootCertificate) -> Result<Vec<PathBuf>, StoreError> {
        let made = self.claim()?;
        let _lock = self.lock()?;
        let mut ledger = Ledger::read(&self.directory)?;
        ledger.made.extend(made);
        ledger.root = Some(root.pem());
        self.make_first(&mut ledger)?;
        let databases = self.databases();
        let put = |database: &Database| {
            clean(database, ROOT)?;
            database.put(ROOT, Mark::Trusted, &root.pem())
        };
        let changes = databases.iter().cloned().map(|database| (database, put));
        ledger.change(&self.directory, changes.collect())?;
        Ok(databases.into_iter().map(|database| database.0).collect())
    }

    /// Takes everything back. `None` if nothing was installed.
    pub fn uninstall(&self) -> Result<Option<Undone>, StoreError> {
        if !self.directory.is_dir() {
            return self.clean_all();
        }
        let lock = self.lock()?;
        let ledger = Ledger::read(&self.directory)?;
        let mut undone = Undone::default();
        let changed = ledger.databases.keys().cloned().map(Database);
        let all: BTreeSet<Database> = changed.chain(self.databases()).collect();
        for database in all {
            let is_noted = ledger.databases.contains_key(&database.0);
            if ledger.put_back(&self.directory, &database)? {
                undone.restored.push(database.0);
            } else if database.is_there() && (clean(&database, OURS)? || is_noted) {
                undone.cleaned.push(database.0);
            }
        }
        fs::remove_dir_all(&self.directory).map_err(StoreError::file(&self.directory))?;
        for directory in ledger.made.iter().rev() {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.map_err(StoreError::file(directory))?,
            }
        }
        drop(lock);
        Ok(Some(undone))
    }

    /// Takes out of all databases what policies of Firefox put there.
    fn clean_all(&self) -> Result<Option<Undone>, StoreError> {
        let mut undone = Undone::default();
        for database in self.databases() {
            if clean(&database, OURS)? {
                undone.cleaned.push(database.0);
            }
        }
        Ok((!undone.cleaned.is_empty()).then_some(undone))
    }

    /// Makes the directory of the ledger. Gives the directories that were not there.
    fn claim(&self) -> Result<Vec<PathBuf>, StoreError> {
        let made = missing(&self.directory);
        rights::open_directory(&self.directory).map_err(StoreError::file(&self.directory))?;
        Ok(made)
    }

    fn lock(&self) -> Result<Lock, StoreError> {
        let fail = StoreError::file(&self.directory);
        let directory = File::open(&self.directory).map_err(fail)?;
        directory.lock().map_err(fail)?;
        Ok(Lock(directory))
    }

    /// Makes a database for Chromium where it has none.
    fn make_first(&self, ledger: &mut Ledger) -> Result<(), StoreError> {
        let database = |inside: &str| Database(self.home.join(inside));
        if CHROMIUM.iter().any(|inside| database(inside).is_there()) {
            return Ok(());
        }
        let first = database(CHROMIUM[0]);
        ledger.made.extend(missing(&first.0));
        ledger.write(&self.directory)?;
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&first.0);
        made.map_err(StoreError::file(&first.0))?;
        ledger.change(&self.directory, vec![(first, Database::make)])
    }

    /// The databases that are there.
    fn databases(&self) -> Vec<Database> {
        let chromium = CHROMIUM.iter().map(|inside| self.home.join(inside));
        let profiles = FIREFOX.iter().flat_map(|inside| {
            let entries = fs::read_dir(self.home.join(inside)).into_iter().flatten();
            entries.flatten().map(|entry| entry.path())
        });
        let all: BTreeSet<Database> = chromium.chain(profiles).map(Database).collect();
        let there = all.into_iter().filter(Database::is_there);
        there.take(DATABASES_MAX).collect()
    }

    /// The authorities that are to be in every database: a nickname and a certificate.
    fn authorities(&self) -> Result<Vec<Issued>, StoreError> {
        let root = self.root()?;
        let held = self.held()?;
        let read = held.iter().filter_map(|der| Issued::read(der, &root).ok());
        Ok(read.collect())
    }

    /// The files of authorities of which `is_meant` says so, by their names without the ending.
    fn notes(&self, is_meant: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StoreError> {
        let directory = self.directory.join(AUTHORITIES);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::file(&directory))?,
        };
        let files = entries.flatten().map(|entry| entry.path());
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_suffix(ENDING))
                .is_some_and(&is_meant)
        };
        Ok(files.filter(is_meant).collect())
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        let stamps = self.databases().into_iter().filter_map(|database| {
            let metadata = database.file().metadata().ok()?;
            Some((database.0, (metadata.modified().ok()?, metadata.len())))
        });
        stamps.collect()
    }

    /// Puts a certificate into every database without looking at what is there.
    fn add(&self, issued: &Issued) -> Result<(), StoreError> {
        let mut ledger = Ledger::read(&self.directory)?;
        let (nickname, pem) = (nickname(issued), issued.pem());
        let put = |database: &Database| database.put(&nickname, Mark::Known, &pem);
        let changes = self.databases().into_iter().map(|database| (database, put));
        ledger.change(&self.directory, changes.collect())
    }

    /// Lets the next refresh look at every database again if something went wrong.
    fn unless_done(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        if done.is_err() {
            self.settled.clear();
        }
        done
    }

    /// Brings every database to what is noted, each by a thread of its own. One that cannot be read holds up no other; gives the
    /// first error.
    fn settle(&self) -> Result<(), StoreError> {
        let wanted = self.authorities()?;
        let mut ledger = Ledger::read(&self.directory)?;
        let root = ledger.root.clone();
        let all = self.databases();
        let looks = all
            .iter()
            .map(|database| || lacks(database, &wanted, root.as_deref()));
        let looked =
            worker::together("certutil", looks).map_err(StoreError::file(&self.directory))?;
        let (mut changes, mut unread) = (Vec::new(), Ok(()));
        for (database, look) in all.into_iter().zip(looked) {
            let steps = look.unwrap_or_else(|| Ok(Vec::new()));
            let steps = steps.unwrap_or_else(|error| {
                unread = std::mem::replace(&mut unread, Ok(())).and(Err(error));
                Vec::new()
            });
            if !steps.is_empty() {
                let change = |database: &Database| {
                    let mut steps = steps.into_iter();
                    steps.try_for_each(|step| step.take(database))
                };
                changes.push((database, change));
            }
        }
        if !changes.is_empty() {
            ledger.change(&self.directory, changes)?;
        }
        unread
    }
}

impl Store for Browsers {
    fn root(&self) -> Result<RootCertificate, StoreError> {
        let own = Ledger::read(&self.directory)?.root;
        let pem = own.or_else(|| fs::read_to_string(&self.system_root).ok());
        let root = pem.and_then(|pem| RootCertificate::from_pem(pem.as_bytes()).ok());
        root.ok_or(StoreError::NoRoot("bnsd tls install-ca --user"))
    }

    fn held(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let files = self.notes(|_| true)?.into_iter();
        Ok(files.filter_map(|path| fs::read(path).ok()).collect())
    }

    fn put(&mut self, issued: &Issued) -> Result<(), StoreError> {
        let made = self.claim()?;
        let _lock = self.lock()?;
        if !made.is_empty() {
            let mut ledger = Ledger::read(&self.directory)?;
            ledger.made.extend(made);
            ledger.write(&self.directory)?;
        }
        let directory = self.directory.join(AUTHORITIES);
        disk::create_directory(&directory).map_err(StoreError::file(&directory))?;
        let (place, name) = (place(issued), file_name(issued));
        let others = self.notes(|known| known.starts_with(&place) && known != name)?;
        others.iter().try_for_each(|path| remove(path))?;
        let path = directory.join(name + ENDING);
        fs::write(&path, issued.der()).map_err(StoreError::file(&path))?;
        let is_renewed = !others.is_empty();
        let done = match is_renewed {
            true => self.settle(),
            false => self.add(issued), // an answer waits
        };
        self.unless_done(done)
    }

    fn take(&mut self, fingerprint: &str) -> Result<(), StoreError> {
        if !is_fingerprint(fingerprint) || !self.directory.is_dir() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let gone = self.notes(|known| known.ends_with(fingerprint))?;
        gone.iter().try_for_each(|path| remove(path))?;
        let done = self.settle();
        self.unless_done(done)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        if !self.directory.is_dir() {
            return self.root().map(drop);
        }
        let stamps = self.stamps();
        if stamps == self.settled {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.settle()?;
        self.settled = self.stamps();
        Ok(())
    }
}

/// Something to do to a database.
enum Step {
    Put(String, Mark, String),
    Take(String),
}

impl Step {
    fn take(self, database: &Database) -> Result<(), StoreError> {
        match self {
            Self::Put(nickname, mark, pem) => database.put(&nickname, mark, &pem),
            Self::Take(nickname) => database.take(&nickname),
        }
    }
}

/// What has to be done to a database: what is new comes before what is old goes.
fn lacks(
    database: &Database,
    wanted: &[Issued],
    root: Option<&str>,
) -> Result<Vec<Step>, StoreError> {
    let there = database.nicknames()?;
    let is_there = |nickname: &str| there.iter().any(|known| known == nickname);
    let mut steps = Vec::new();
    let has_root = there.iter().any(|known| known.starts_with(ROOT));
    if let Some(pem) = root.filter(|_| !has_root) {
        steps.push(Step::Put(ROOT.to_owned(), Mark::Trusted, pem.to_owned()));
    }
    let wanted: Vec<(String, &Issued)> = wanted.iter().map(|one| (nickname(one), one)).collect();
    for (nickname, issued) in &wanted {
        if !is_there(nickname) {
            steps.push(Step::Put(nickname.clone(), Mark::Known, issued.pem()));
        }
    }
    let is_wanted = |known: &str| wanted.iter().any(|(name, _)| name == known);
    let ours = there
        .iter()
        .filter(|known| known.starts_with(AUTHORITY) && !is_wanted(known));
    steps.extend(ours.cloned().map(Step::Take));
    Ok(steps)
}

/// Takes all certificates out of a database whose nicknames begin with `ours`; whether there was something.
fn clean(database: &Database, ours: &str) -> Result<bool, StoreError> {
    let there = database.nicknames()?;
    let ours: Vec<&String> = there
        .iter()
        .filter(|known| known.starts_with(ours))
        .collect();
    ours.iter()
        .try_for_each(|nickname| database.take(nickname))?;
    Ok(!ours.is_empty())
}

/// Not only the name: one key may be the authority of two names, and NSS takes certificates of one subject for one.
fn nickname(issued: &Issued) -> String {
    let digits = issued.fingerprint().get(..DIGITS).unwrap_or_default();
    format!("{AUTHORITY} {} {digits}", issued.name().as_str())
}

/// A directory and those above it that are not there, the outer ones first.
fn missing(directory: &Path) -> Vec<PathBuf> {
    let above = directory.ancestors().take_while(|path| !path.exists());
    let mut missing: Vec<PathBuf> = above.map(Path::to_owned).collect();
    missing.reverse();
    missing
}
