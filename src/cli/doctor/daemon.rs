//! Whether the daemon runs and answers where it listens, and who is in its way if not.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::scene::{ANSWER_TIME, Absence, Scene, unit_of};
use crate::api::doctor::{Finding, State, quoted, without_line};
use crate::api::http::IfTaken;
use crate::config::Origin;
use crate::disk::rights::own_uid;
use crate::system::{Holder, holders_of, is_bnsd, names};

const DAEMON: &str = "daemon";
const PORT: &str = "port";
const API: &str = "api";
/// What follows from an address that somebody else has.
const NO_START: &str = "bnsd cannot start";
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
            runs(scene),
            answers(scene),
            page(&status.api_listeners, scene),
            sandbox(status.sandbox.as_deref(), scene),
        ],
        Err(Absence::Nobody(reason)) => absent(reason, scene),
        Err(Absence::NotAllowed(reason)) => {
            let finding = Finding::unknown(DAEMON, reason);
            let command = Some(scene.bnsd("doctor"));
            vec![Finding { command, ..finding }]
        }
        Err(Absence::Silent(reason)) => vec![silent(reason, scene)],
    }
}

/// Who it is, if it says so.
fn runs(scene: &Scene) -> Finding {
    match &scene.reply {
        Ok(reply) => {
            let text = format!("process {}, user {}", reply.process, reply.user);
            Finding::ok(DAEMON, text)
        }
        Err(reason) => {
            let text = format!("it runs, and does not say what it finds itself: {reason}");
            Finding::unknown(DAEMON, text)
        }
    }
}

/// It is there and does not reply; which process it is, only systemd knows.
fn silent(reason: &str, scene: &Scene) -> Finding {
    let finding = Finding::failure(DAEMON, reason, restart(scene));
    if has_unit() {
        finding
    } else {
        finding.out_of_reach()
    }
}

/// Whether it answers at every address.
fn answers(scene: &Scene) -> Finding {
    let listeners = scene.listeners();
    let silent = listeners
        .iter()
        .find(|address| !is_bnsd(here(**address), ANSWER_TIME));
    match silent {
        None => {
            let texts: Vec<String> = listeners.iter().map(ToString::to_string).collect();
            Finding::ok(PORT, format!("bnsd answers on {}", texts.join(", ")))
        }
        Some(address) => Finding::failure(
            PORT,
            format!("bnsd listens on {address} and does not answer there"),
            restart(scene),
        ),
    }
}

/// Where the status page is.
fn page(listeners: &[String], scene: &Scene) -> Finding {
    if let Some(listener) = listeners.first() {
        return Finding::ok(API, format!("http://{listener}/"));
    }
    match page_taken(scene) {
        None => Finding::ok(API, "switched off"),
        Some(finding) => Finding {
            command: finding
                .command
                .map(|end| format!("{end} && {}", restart(scene))),
            ..finding
        },
    }
}

/// Whether somebody else has the address of the status page, which only one that was configured needs.
fn page_taken(scene: &Scene) -> Option<Finding> {
    let api = &scene.config.as_ref().ok()?.api;
    let finding = taken(API, &api.listen, "api.listen", scene)?;
    if api.if_taken == IfTaken::Fail {
        return Some(finding);
    }
    Some(Finding {
        state: State::Warning,
        text: finding.text.replace(NO_START, "there is no status page"),
        ..finding
    })
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
    let start = match (has_unit(), starter(scene)) {
        (true, _) => scene.as_root(&format!("systemctl start {UNIT}")),
        (false, None) => scene.bnsd("serve"),
        (false, Some(_)) => scene.bnsd("serve").trim_start_matches("sudo ").to_owned(),
    };
    let nobody = |check| Finding::ok(check, "nobody is in the way");
    let port = taken(PORT, &scene.listeners(), "listen", scene);
    vec![
        Finding::failure(DAEMON, reason, start),
        port.unwrap_or_else(|| nobody(PORT)),
        page_taken(scene).unwrap_or_else(|| nobody(API)),
    ]
}

/// The user that would start it with these files: whoever asks, unless it is a service, or its ports are for root.
pub(super) fn starter(scene: &Scene) -> Option<u32> {
    let listens_low = scene.listeners().iter().any(|one| one.port() < 1024);
    let is_own = !has_unit() && (scene.is_root || !listens_low);
    is_own.then(own_uid)
}

/// Whether somebody else has one of the addresses of a setting.
fn taken(check: &str, addresses: &[SocketAddr], setting: &str, scene: &Scene) -> Option<Finding> {
    addresses.iter().find_map(|address| {
        let holders = holders_of(*address)?;
        if is_for_us(&holders) {
            return None;
        }
        let text = format!("{address} is held by {}", names(&holders));
        let text = format!("{text}, so {NO_START}: stop that, or set `{setting}`");
        let command = match holders.is_empty() {
            true => (!scene.is_root).then(|| scene.bnsd("doctor")),
            false => ended(&holders).map(|command| scene.as_root(&command)),
        };
        let finding = Finding::failure(check, text, "");
        Some(Finding { command, ..finding })
    })
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
    let process = scene.reply.as_ref().ok().map(|reply| reply.process);
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
