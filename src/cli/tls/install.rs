//! `bnsd tls install-ca` and `uninstall-ca`: who trusts this machine's authority.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::agent::{browsers, hashed};
use super::ca;
use crate::cli::effects::{Effects, foreign};
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::system::install::{Foreign, Lock, Plan, uninstall};
use crate::system::{Aim, Changes, Content, Machine, Wanted};
use crate::trust::RootCertificate;
use crate::trust::stores::system::{self, Layout, Piece};

/// Where it stands what was changed.
const JOURNAL: &str = "var/lib/bnsd-trust";

/// Arguments of `bnsd tls install-ca`.
#[derive(Debug, Args)]
pub struct InstallCa {
    /// For the browsers of this user alone, without root.
    #[arg(long)]
    user: bool,
    /// The certificate as `bnsd tls ca` prints it; the running daemon is asked if it is left out.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Only show what would be changed.
    #[arg(long, conflicts_with = "user")]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

/// Arguments of `bnsd tls uninstall-ca`.
#[derive(Debug, Args)]
pub struct UninstallCa {
    /// For the browsers of this user alone, without root.
    #[arg(long)]
    user: bool,
    #[command(flatten)]
    target: Target,
}

/// Which system, and what happens with its files.
#[derive(Debug, Args)]
pub struct Target {
    /// Overwrite files that somebody changed since they were installed.
    #[arg(long, conflicts_with = "user")]
    force: bool,
    /// Change the tree of an image in this directory instead of this machine; no command is run.
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "user")]
    root: PathBuf,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    fingerprint: Option<String>,
    #[serde(flatten)]
    effects: Effects,
    /// Databases of browsers from which certificates were taken, and that others had changed.
    cleaned: Vec<PathBuf>,
}

impl InstallCa {
    /// Does it and prints what was done.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let root = ca::root(self.ca.as_deref(), context)?;
        let effects = match self.user {
            true => Effects {
                changed: browsers(context)?.install(&root)?,
                ..Effects::default()
            },
            false => self.install(&root)?,
        };
        let done = Done {
            fingerprint: Some(root.fingerprint()),
            effects,
            ..Done::default()
        };
        context.output.show(&done, |page| {
            write_done(&done, "changed", page);
            match self.user {
                true => page.note("`bnsd tls agent` puts certificates of names there; browsers that run take the authority when they start again"),
                false => page.note("each user of a browser: `bnsd tls install-ca --user`"),
            }
        })
    }

    fn install(&self, root: &RootCertificate) -> Result<Effects> {
        let machine = self.target.machine()?;
        let _lock = Lock::take(&machine)?;
        let changes = changes(root, &machine)?;
        let plan = Plan::new(&machine, Aim::default(), &changes, self.target.foreign())?;
        let shown = plan.shown(&machine)?;
        let effects = Effects {
            dry_run: self.dry_run,
            ..Effects::of(&plan, &shown)
        };
        if !self.dry_run {
            plan.carry_out(&machine)?;
        }
        Ok(effects)
    }
}

impl UninstallCa {
    /// Does it and prints what was done.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let mut done = Done::default();
        let was_there = match self.user {
            true => {
                let undone = browsers(context)?.uninstall()?;
                let was_there = undone.is_some();
                let undone = undone.unwrap_or_default();
                (done.effects.changed, done.cleaned) = (undone.restored, undone.cleaned);
                was_there
            }
            false => self.uninstall(&mut done.effects)?,
        };
        context.output.print(&done, || {
            let mut page = Page::default();
            write_done(&done, "as it was", &mut page);
            if !was_there {
                page.note("nothing was installed");
            }
            if was_there && !self.user {
                page.note("each user of a browser: `bnsd tls uninstall-ca --user`");
            }
            page
        })?;
        Ok(Exit::success_if(done.effects.kept.is_empty()))
    }

    fn uninstall(&self, effects: &mut Effects) -> Result<bool> {
        let machine = self.target.machine()?;
        let _lock = Lock::take(&machine)?;
        if machine.path(system::HASHED).is_dir() {
            hashed(machine.root()).clear()?;
        }
        let undone = uninstall(&machine, self.target.foreign())?;
        let was_there = undone.is_some();
        *effects = undone.unwrap_or_default().into();
        Ok(was_there)
    }
}

impl Target {
    fn machine(&self) -> Result<Machine> {
        let root = self.root.canonicalize();
        let root = root.map_err(CliError::file(&self.root))?;
        Ok(Machine::at(&root).with_journal(JOURNAL))
    }

    fn foreign(&self) -> Foreign {
        foreign(self.force)
    }
}

/// The file of the root in the system's store, if the system keeps authorities in a way that is known.
pub fn system_root(root: &Path) -> PathBuf {
    let layout = Layout::of(root);
    let inside = layout.map_or("usr/local/share/ca-certificates/bnsd-root.crt", |it| {
        it.root()
    });
    root.join(inside)
}

/// What has to be changed on a machine so that it trusts the root.
fn changes(root: &RootCertificate, machine: &Machine) -> Result<Changes> {
    let Some(layout) = Layout::of(machine.root()) else {
        return Err(unknown());
    };
    let is_taken = |path: &str, target: &str| {
        let path = machine.path(path);
        let found = std::fs::read_link(&path).ok();
        path.symlink_metadata().is_ok() && found.as_deref() != Some(Path::new(target))
    };
    let mut changes = Changes::default();
    for piece in layout.pieces(root, is_taken) {
        let (path, what) = match piece {
            Piece::File(path, text) => (path, Content::Text(text)),
            Piece::Link(path, target) => (path, Content::Link(target)),
        };
        changes.wanted.push(Wanted { path, what });
    }
    let policies = machine.path(system::POLICIES);
    let before = std::fs::read_to_string(&policies).unwrap_or_default();
    let file = format!("/{}", layout.root());
    let text = system::policies(&before, &file).ok_or_else(|| {
        let path = policies.display();
        CliError::No(format!(
            "{path} is no JSON object: correct it, or move it away; nothing was changed"
        ))
    })?;
    changes.wanted.push(Wanted {
        path: system::POLICIES.to_owned(),
        what: Content::Text(text),
    });
    changes.then.push(layout.refresh());
    changes.after_undoing.push(layout.refresh());
    Ok(changes)
}

/// What somebody can do on a system whose store is not known here.
fn unknown() -> CliError {
    CliError::No(if cfg!(target_os = "macos") {
        let [add, _] = system::macos("bnsd-root.pem");
        format!(
            "on macOS this is not tried out: `bnsd tls ca > bnsd-root.pem`, then `sudo {}`",
            add.join(" ")
        )
    } else {
        "this system keeps authorities in a way that bnsd does not know: put what `bnsd tls ca` prints where its administrators put theirs; browsers take it with `bnsd tls install-ca --user`".to_owned()
    })
}

fn write_done(done: &Done, verb: &str, page: &mut Page) {
    page.entry_if("SHA-256", done.fingerprint.as_ref());
    let verb = match done.effects.dry_run {
        true => "would change",
        false => verb,
    };
    for path in &done.effects.changed {
        page.entry(verb, &path.display());
    }
    for path in &done.cleaned {
        page.entry("taken out of", &path.display());
    }
    done.effects.write(page);
}
