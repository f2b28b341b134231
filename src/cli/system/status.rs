//! `bnsd system status`: how system DNS stands.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::{PATIENCE, Tree};
use crate::cli::output::Page;
use crate::cli::{Context, Exit, Result};
use crate::system::mechanism::in_charge;
use crate::system::{Aim, Journal, SystemError, is_bnsd};
use crate::upstream::SystemResolvers;

/// How system DNS stands.
#[derive(Debug, Serialize)]
struct SystemStatus {
    /// Who looks after DNS here.
    in_charge: String,
    /// Whether bnsd is installed, as far as the journal says; `null` if only root can read that.
    installed: Option<bool>,
    /// Whether that was completed.
    complete: bool,
    /// What is sent to bnsd.
    aim: Option<Aim>,
    /// Paths that somebody changed since.
    changed: Vec<PathBuf>,
    /// Whom programs of this machine ask.
    asked: Vec<SocketAddr>,
    /// Whether the first of these is bnsd or leads there; `null` for an image.
    reaches_bnsd: Option<bool>,
}

/// Shows it. The answer is no where bnsd is not installed or questions do not reach it.
pub(super) fn status(tree: &Tree, context: &Context) -> Result<Exit> {
    let machine = tree.machine()?;
    let (journal, is_known) = match Journal::read(&machine) {
        Err(SystemError::File { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            (None, false)
        }
        journal => (journal?, true),
    };
    let resolvers = SystemResolvers::under(machine.root());
    let asked = resolvers.named().unwrap_or_default();
    let changed = journal
        .as_ref()
        .map(|journal| journal.changed_since(&machine));
    let first = asked.first().filter(|_| machine.is_this());
    let status = SystemStatus {
        in_charge: in_charge(&machine).name().to_owned(),
        installed: is_known.then_some(journal.is_some()),
        complete: journal.as_ref().is_some_and(|journal| journal.is_complete),
        changed: changed.transpose()?.unwrap_or_default(),
        reaches_bnsd: machine
            .is_this()
            .then(|| first.is_some_and(|first| is_bnsd(*first, PATIENCE))),
        asked,
        aim: journal.map(|journal| journal.aim),
    };
    context.output.print(&status, || page(&status))?;
    Ok(Exit::success_if(
        status.installed != Some(false) && status.reaches_bnsd != Some(false),
    ))
}

fn page(status: &SystemStatus) -> Page {
    let mut page = Page::default();
    page.heading(match (status.installed, status.complete) {
        (None, _) => "only root can see what is installed: `sudo bnsd system status`",
        (Some(false), _) => "bnsd is not installed in system DNS: `bnsd system install` does it",
        (Some(true), true) => "bnsd is installed in system DNS",
        (Some(true), false) => {
            "an installation was interrupted: `bnsd system install` completes it, `bnsd system uninstall` takes it back"
        }
    });
    page.entry("in charge", &status.in_charge);
    if let Some(aim) = &status.aim {
        page.entry_if("installed in", aim.mechanism.as_ref());
        let names = match aim.all {
            true => "all names".to_owned(),
            false => aim.domains.join(", "),
        };
        page.entry("sent to bnsd", &names);
        page.entry_if("bnsd is at", aim.server);
    }
    let asked: Vec<_> = status.asked.iter().map(ToString::to_string).collect();
    page.entry("programs ask", &asked.join(", "));
    page.entry_if(
        "reaches bnsd",
        status
            .reaches_bnsd
            .map(|yes| if yes { "yes" } else { "no" }),
    );
    for path in &status.changed {
        page.heading(format!(
            "{} was changed by somebody else since it was installed",
            path.display()
        ));
    }
    page
}
