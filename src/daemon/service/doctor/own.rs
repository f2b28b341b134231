//! Commands about this daemon: how it is stopped, started again and configured, as a service and as a plain process.

use std::fs;
use std::path::{Path, PathBuf};

use crate::api::doctor::{self, quoted, unit};
use crate::config::Config;
use crate::disk::rights::own_uid;

/// Where the service has its configuration file.
const SERVICE_FILE: &str = "/etc/bnsd/bnsd.toml";

/// This daemon, as commands have to name it.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// The unit that it runs in, as a shell takes it, if systemd started it.
    unit: Option<String>,
    /// What stands before commands that change the system.
    sudo: &'static str,
    /// What stands before commands that change what is the daemon's.
    as_owner: &'static str,
    pub(super) config_file: Option<PathBuf>,
    pub(super) data_dir: PathBuf,
}

impl Own {
    /// This process, for somebody who is not root.
    pub(super) fn of_process(config: &Config) -> Self {
        Self {
            unit: unit(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
                .map(|unit| quoted(&unit)),
            sudo: "sudo ",
            as_owner: "",
            config_file: config.file.clone(),
            data_dir: config.data_dir.clone(),
        }
    }

    /// The same for somebody who is root, or is not.
    pub(super) fn for_user(&self, as_root: bool) -> Self {
        let mut own = self.clone();
        own.sudo = if as_root { "" } else { "sudo " };
        own.as_owner = match own.unit.is_some() || own_uid() == 0 {
            true => own.sudo,
            false => "",
        };
        own
    }

    /// A command that changes the system.
    pub(super) fn system(&self, command: &str) -> String {
        format!("{}{command}", self.sudo)
    }

    /// A command that is one of the system if it is about a service.
    pub(super) fn system_or_own(&self, command: &str) -> String {
        match command.starts_with("systemctl") {
            true => self.system(command),
            false => command.to_owned(),
        }
    }

    /// A command of bnsd about this daemon's data, while the daemon does not run. A service is started again; a plain
    /// process is left to whoever started it.
    pub(super) fn while_stopped(&self, command: &str) -> String {
        let (sudo, data) = (self.as_owner, path(&self.data_dir));
        let config = self
            .config_file
            .as_ref()
            .map(|file| format!(" --config {}", path(file)));
        let command = format!(
            "{sudo}bnsd {command}{} --data-dir {data}",
            config.unwrap_or_default()
        );
        match &self.unit {
            // What root writes there has to be the service's, where the directory may be a link, and the service goes on
            // whatever becomes of it.
            Some(unit) => format!(
                "{sudo}systemctl stop {unit} && {command}; {sudo}chown -R -H --reference={data} {data}; {sudo}systemctl start {unit}"
            ),
            // The lock is free when the process has ended.
            None => format!(
                "{sudo}kill {} && {sudo}flock {data}/lock true && {command}",
                std::process::id()
            ),
        }
    }

    /// A change of the configuration file that counts from the next start on, and the end of this run.
    fn after(&self, edit: &str) -> String {
        format!("{edit} && {}", self.restart())
    }

    /// Ends this run; a service is started again, a plain process by whoever started it.
    pub(super) fn restart(&self) -> String {
        let sudo = self.as_owner;
        match &self.unit {
            Some(unit) => format!("{sudo}systemctl restart {unit}"),
            None => format!("{sudo}kill {}", std::process::id()),
        }
    }

    /// Takes a line of the configuration file that can be read again out of force, if the others make sense without it.
    pub(super) fn without_line(&self, file: &Path, line: usize) -> Option<String> {
        let edit = doctor::without_line(file, line)?;
        Some(format!("{}{edit} && bnsd reload", self.as_owner))
    }

    /// Adds a section to the configuration file, if that does not have it.
    pub(super) fn with_section(&self, section: &str, line: &str) -> Option<String> {
        let file = match (&self.config_file, &self.unit) {
            (Some(file), _) => file.clone(),
            (None, Some(_)) => SERVICE_FILE.into(),
            (None, None) => return None,
        };
        let text = fs::read_to_string(&file).unwrap_or_default();
        let has_it = text
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("[{section}")));
        let edit = format!(
            "printf '\\n[{section}]\\n{line}\\n' | {}tee -a {}",
            self.as_owner,
            path(&file)
        );
        (!has_it).then(|| self.after(&edit))
    }
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(unit: Option<&str>) -> Own {
        Own {
            unit: unit.map(str::to_owned),
            sudo: "sudo ",
            as_owner: "",
            config_file: Some("/etc/bnsd/my bnsd.toml".into()),
            data_dir: "/data".into(),
        }
    }

    #[test]
    fn work_on_the_data_waits_for_the_end_of_the_daemon() {
        let plain = own(None).while_stopped("chain rewind 7");
        let id = std::process::id();
        assert_eq!(
            plain,
            format!(
                "kill {id} && flock /data/lock true && bnsd chain rewind 7 --config '/etc/bnsd/my bnsd.toml' --data-dir /data"
            )
        );
        let service = own(Some("bnsd.service")).while_stopped("chain rewind 7");
        assert!(
            service.starts_with("systemctl stop bnsd.service && bnsd chain rewind 7"),
            "{service}"
        );
        assert!(
            service
                .ends_with("; chown -R -H --reference=/data /data; systemctl start bnsd.service"),
            "{service}"
        );
    }
}
