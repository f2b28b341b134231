//! Whether the daemon runs and answers where it listens, and who is in its way if not.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::scene::{ANSWER_TIME, Scene, unit_of};
use crate::api::doctor::{Finding, quoted, without_line};
use crate::config::Origin;
use crate::system::{Holder, holders_of, is_bnsd, names};

/// The unit that the system has.
const UNIT: &str = "bnsd.service";
/// What holds its addresses while it does not run.
const SOCKET: &str = "bnsd.socket";
/// Who answers the machine on many systems.
const RESOLVED: &str = "systemd-resolved.service";
/// The process that holds sockets for services.
const SYSTEMD: u32 = 1;
/// Where units are.
const UNITS: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    match &scene.status {
        Ok(status) => vec![
            Finding::ok(
                "daemon",
                scene.reply.as_ref().map_or_else(
                    || "it runs".to_owned(),
                    |reply| format!("process {}, user {}", reply.process, reply.user),
                ),
            ),
            answers(scene),
            page(&status.api_listeners),
            sandbox(status.sandbox.as_deref(), scene),
        ],
        Err(reason) => absent(reason, scene),
    }
}

/// Whether it answers at every address.
fn answers(scene: &Scene) -> Finding {
    const CHECK: &str = "port";
    let listeners = scene.listeners();
    let silent = listeners
        .iter()
        .find(|address| !is_bnsd(here(**address), ANSWER_TIME));
    match silent {
        None => {
            let texts: Vec<String> = listeners.iter().map(ToString::to_string).collect();
            Finding::ok(CHECK, format!("bnsd answers on {}", texts.join(", ")))
        }
        Some(address) => Finding::failure(
            CHECK,
            format!("bnsd listens on {address} and does not answer there"),
            restart(scene),
        ),
    }
}

/// Where the status page is.
fn page(listeners: &[String]) -> Finding {
    match listeners.first() {
        Some(listener) => Finding::ok("api", format!("http://{listener}/")),
        None => Finding::ok("api", "switched off"),
    }
}

/// Whether the process is held to the files that it needs.
fn sandbox(state: Option<&str>, scene: &Scene) -> Finding {
    const CHECK: &str = "sandbox";
    let settings = scene.config.iter().flat_map(|config| &config.settings);
    let mut origins = settings
        .filter(|setting| setting.key == CHECK)
        .map(|setting| &setting.origin);
    match (state, origins.next_back()) {
        (Some("off"), Some(Origin::File { path, line })) => {
            let edit = without_line(path, *line).map(|edit| scene.on_file(path, &edit));
            let text = "`sandbox = false` lets the daemon touch files that it does not need";
            let finding = Finding::warning(CHECK, text, "");
            let command = edit.map(|edit| format!("{edit} && {}", restart(scene)));
            Finding { command, ..finding }
        }
        (None, _) => Finding::unknown(CHECK, "not tried"),
        (Some(state), _) => Finding::ok(CHECK, state),
    }
}

/// Nobody runs, and somebody may be in the way.
fn absent(reason: &str, scene: &Scene) -> Vec<Finding> {
    let start = match has_unit() {
        true => scene.as_root(&format!("systemctl start {UNIT}")),
        false => {
            let listens_low = scene.listeners().iter().any(|one| one.port() < 1024);
            let command = scene.bnsd("serve");
            match listens_low {
                true => command,
                false => command.trim_start_matches("sudo ").to_owned(),
            }
        }
    };
    let api = scene
        .config
        .as_ref()
        .map(|config| config.api.listen.clone());
    vec![
        Finding::failure("daemon", reason, start),
        taken("port", &scene.listeners(), "listen", scene),
        taken("api", &api.unwrap_or_default(), "api.listen", scene),
    ]
}

/// Whether somebody else has one of the addresses of a setting.
fn taken(check: &str, addresses: &[SocketAddr], setting: &str, scene: &Scene) -> Finding {
    let held = addresses.iter().find_map(|address| {
        let holders = holders_of(*address)?;
        if is_for_us(&holders) {
            return None;
        }
        let text = format!("{address} is held by {}", names(&holders));
        let text = format!("{text}, so bnsd cannot start: stop that, or set `{setting}`");
        let command = ended(&holders).map(|command| scene.as_root(&command));
        let finding = Finding::failure(check, text, "");
        Some(Finding { command, ..finding })
    });
    held.unwrap_or_else(|| Finding::ok(check, "nobody is in the way"))
}

/// Whether systemd holds an address until the service starts.
fn is_for_us(holders: &[Holder]) -> bool {
    let is_systemd = |holder: &Holder| holder.process == SYSTEMD;
    holders.iter().all(is_systemd) && systemctl(&["is-active", SOCKET]).is_some()
}

/// What ends whoever has an address, if the network can do without: a service may do more than answer there, unless the
/// process is all of it, and systemd-resolved is who the machine asks.
fn ended(holders: &[Holder]) -> Option<String> {
    let first = holders.first()?;
    if holders.iter().any(|holder| holder.process == SYSTEMD) {
        return None;
    }
    match unit_of(first.process) {
        Some(unit) if unit == RESOLVED || main_process(&unit) != Some(first.process) => None,
        Some(unit) => Some(format!("systemctl disable --now {}", quoted(&unit))),
        None => Some(format!("kill {}", first.process)),
    }
}

/// The process that a service is about (systemd.service(5), MainPID).
fn main_process(unit: &str) -> Option<u32> {
    let shown = systemctl(&["show", "--property=MainPID", "--value", unit])?;
    shown.trim().parse().ok()
}

/// What systemctl says, if it says yes.
fn systemctl(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("systemctl");
    let output = command.args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Ends the daemon; a service is started again, a plain process by whoever started it.
pub(super) fn restart(scene: &Scene) -> String {
    let process = scene.reply.as_ref().map(|reply| reply.process);
    match process.map(|process| (process, unit_of(process))) {
        Some((_, Some(unit))) => scene.as_root(&format!("systemctl restart {}", quoted(&unit))),
        Some((process, None)) => format!("kill {process}"),
        None => scene.as_root(&format!("systemctl restart {UNIT}")),
    }
}

fn has_unit() -> bool {
    UNITS
        .iter()
        .any(|directory| Path::new(directory).join(UNIT).exists())
}

/// An address at which this machine reaches a listener.
fn here(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        other => other,
    }
}
