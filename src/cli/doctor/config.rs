//! Whether a start would take the configuration as it is now, and what is probably not meant.

use std::fs;
use std::path::Path;

use super::daemon::restart;
use super::scene::{Absence, Scene};
use crate::api::doctor::{Finding, quoted, without_line};
use crate::config::{Config, ConfigError, Origin};
use crate::disk::rights::{Exposed, check_secret};

const CHECK: &str = "config";

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let config = match &scene.config {
        Err(error) => return vec![wrong(error, scene)],
        Ok(config) => config,
    };
    let mut findings: Vec<Finding> = config
        .warnings
        .iter()
        .map(|warning| Finding::warning(CHECK, warning, "").out_of_reach())
        .collect();
    if let Ok(status) = &scene.status
        && !status.needs_restart.is_empty()
    {
        let keys = status.needs_restart.join(", ");
        let text = format!("changed, and needs a restart: {keys}");
        findings.push(Finding::warning(CHECK, text, restart(scene)));
    }
    // A daemon that runs has done this.
    if matches!(scene.status, Err(Absence::Nobody(_))) {
        findings.extend(unusable(config, scene));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            match &config.file {
                Some(file) => file.display().to_string(),
                None => "no file: what is built in".to_owned(),
            },
        ));
    }
    findings
}

fn wrong(error: &ConfigError, scene: &Scene) -> Finding {
    let text = error.to_string();
    let place = match error {
        ConfigError::Syntax { path, line, .. } | ConfigError::UnknownKey { path, line, .. } => {
            Some((path, *line))
        }
        ConfigError::Value {
            origin: Origin::File { path, line },
            ..
        } => Some((path, *line)),
        ConfigError::Missing { path } => {
            let command = format!("touch {}", word(path));
            let directory = path.parent().unwrap_or(path);
            return Finding::failure(CHECK, text, scene.on_file(directory, &command));
        }
        _ => None,
    };
    match place {
        Some((path, line)) => {
            let command = without_line(path, line).map(|edit| scene.on_file(path, &edit));
            let finding = Finding::failure(CHECK, text, "");
            Finding { command, ..finding }
        }
        None => Finding::failure(CHECK, text, "").out_of_reach(),
    }
}

/// Files and directories that a start would refuse.
fn unusable(config: &Config, scene: &Scene) -> Option<Finding> {
    let error = crate::daemon::check(config).err()?;
    let text = format!("{error:#}");
    let folders = config.zonefiles.folders.iter();
    let missing = folders
        .filter(|folder| !folder.exists())
        .map(|folder| format!("mkdir -p {}", word(folder)));
    let node = &config.chain.node;
    let key = [&config.dns.tls, &config.dns.https]
        .into_iter()
        .flatten()
        .find_map(|encrypted| encrypted.identity.key());
    let secrets = node.rpc_password_file.as_deref().into_iter().chain(key);
    let open = secrets.filter_map(|secret| {
        let exposed = check_secret(&fs::metadata(secret).ok()?).err()?;
        let command = match exposed {
            Exposed::Open => format!("chmod 600 {}", word(secret)),
            Exposed::Foreign(_) => {
                let own = crate::disk::rights::own_uid();
                format!("chown {own} {} && chmod 600 {}", word(secret), word(secret))
            }
        };
        Some(scene.on_file(secret, &command))
    });
    let command = missing.chain(open).next();
    let finding = Finding::failure(CHECK, text, "");
    Some(Finding { command, ..finding })
}

fn word(path: &Path) -> String {
    quoted(&path.display().to_string())
}
