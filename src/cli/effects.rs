//! What commands tell that change files of the system, or would.

use std::path::PathBuf;

use serde::Serialize;

use super::output::Page;
use crate::system::install::{Foreign, Plan, Shown, Undone};

/// What was done, or would be.
#[derive(Debug, Default, Serialize)]
pub struct Effects {
    /// Whether it was only shown.
    pub dry_run: bool,
    /// Paths that are changed.
    pub changed: Vec<PathBuf>,
    /// Paths that somebody else changed, which are left as they are.
    pub kept: Vec<PathBuf>,
    /// Commands that are run.
    pub commands: Vec<String>,
    /// What else somebody has to know.
    pub warnings: Vec<String>,
}

impl Effects {
    /// Those of a plan and the changes that it shows.
    pub fn of(plan: &Plan, shown: &[Shown]) -> Self {
        let commands = plan.commands().iter().map(|words| words.join(" "));
        Self {
            changed: shown.iter().map(|shown| shown.path.clone()).collect(),
            commands: commands.collect(),
            ..Self::default()
        }
    }

    /// Prints all but the changed paths.
    pub fn write(&self, page: &mut Page) {
        for path in &self.kept {
            page.caution(format!(
                "kept: {} was changed since it was installed (--force puts it back)",
                path.display()
            ));
        }
        let verb = if self.dry_run { "would run" } else { "ran" };
        for command in &self.commands {
            page.entry(verb, command);
        }
        for warning in &self.warnings {
            page.caution(format!("warning: {warning}"));
        }
    }
}

impl From<Undone> for Effects {
    fn from(undone: Undone) -> Self {
        let failed = undone.failed.iter();
        Self {
            changed: undone.restored,
            kept: undone.kept,
            warnings: failed.map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

/// What `--force` says about files that somebody else changed.
pub fn foreign(force: bool) -> Foreign {
    match force {
        true => Foreign::Overwritten,
        false => Foreign::Kept,
    }
}
