//! `bnsd doctor`: what is wrong on this machine, and the command that mends it.
//!
//! Each check looks at one thing, and none needs another one. What only the daemon sees, it finds itself
//! ([`crate::api::doctor`]); ports, files, other resolvers and browsers are looked at here. Nothing is changed. Checks that
//! wait for somebody run at the same time, so that all of it takes about three seconds at worst.

mod browser;
mod config;
mod daemon;
mod machine;
mod route;
mod scene;
mod way;

use clap::Args;
use serde::Serialize;

use super::output::Page;
use super::{CliError, Context, Exit, Result};
use crate::api::doctor::{Finding, State};
use crate::worker;
use scene::Scene;

/// Arguments of `bnsd doctor`.
#[derive(Debug, Args)]
pub struct Doctor {}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    findings: Vec<Finding>,
}

/// Looks at one thing; gives at least one finding, or none where there is no such thing here.
type Check = fn(&Scene) -> Vec<Finding>;

/// All of them, with the daemon's own in between, in the order in which they are shown: what others rest on comes first.
const CHECKS: [Check; 11] = [
    config::check,
    daemon::check,
    route::check,
    way::system,
    way::validation,
    way::authentic,
    route::namespaces,
    machine::clock,
    machine::disk,
    machine::permissions,
    browser::check,
];

impl Doctor {
    /// Looks and prints. The answer is no if there is a failure.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let scene = Scene::of(context);
        let mut findings = run_all(&scene)?;
        if let Ok(reply) = &scene.reply {
            let own = reply.findings.iter();
            findings.extend(own.map(|finding| scene.reaching(finding)));
        }
        let report = Report { findings };
        context.output.print(&report, || page(&report.findings))?;
        let is_failure = |finding: &Finding| finding.state == State::Failure;
        Ok(Exit::success_if(!report.findings.iter().any(is_failure)))
    }
}

fn run_all(scene: &Scene) -> Result<Vec<Finding>> {
    let checks = CHECKS.map(|check| move || check(scene));
    let found = worker::together("doctor", checks);
    let found = found.map_err(|error| CliError::Trouble(error.into()))?;
    // A check that panics says so itself; the others are shown all the same.
    Ok(found.into_iter().flatten().flatten().collect())
}

/// Where the column of checks begins.
const STATE_WIDTH: usize = 9;
/// Where the column of texts begins, from there.
const CHECK_WIDTH: usize = 13;

fn page(findings: &[Finding]) -> Page {
    let mut page = Page::default();
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failure => "failure",
            State::Unknown => "unknown",
        };
        let line = format!(
            "{state:STATE_WIDTH$}{:CHECK_WIDTH$}{}",
            finding.check, finding.text
        );
        match finding.state {
            State::Ok => page.row([line]),
            State::Unknown => page.note(line),
            State::Warning => page.caution(line),
            State::Failure => page.alarm(line),
        }
        if let Some(command) = &finding.command {
            page.row([format!("{:STATE_WIDTH$}{command}", "")]);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_a_command_stands_below() {
        let shown = page(&[
            Finding::ok("disk", "7 GB free"),
            Finding::failure("route", "it is gone", "bnsd system install"),
        ]);
        assert_eq!(
            shown.plain(),
            "ok       disk         7 GB free\nfailure  route        it is gone\n         bnsd system install\n"
        );
    }
}
