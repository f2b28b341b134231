//! Whether the daemon runs and answers where it listens, and who is in its way if not.

use std::net::SocketAddr;
use std::path::Path;

use super::scene::{ANSWER_TIME, Scene, unit_of};
use crate::api::doctor::Finding;
use crate::system::{Holder, holders_of, is_bnsd};

/// The unit that the system has.
const UNIT: &str = "bnsd.service";
/// Where units are.
const UNITS: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    match &scene.status {
        Ok(_) => vec![
            Finding::ok(
                "daemon",
                scene.reply.as_ref().map_or_else(
                    || "it runs".to_owned(),
                    |reply| format!("process {}, user {}", reply.process, reply.user),
                ),
            ),
            answers(scene),
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
    let held = scene.listeners().into_iter().find_map(|address| {
        let holders = holders_of(address)?;
        Some(held(address, &holders, scene))
    });
    let free = || Finding::ok("port", "nobody is in the way");
    vec![
        Finding::failure("daemon", reason, start),
        held.unwrap_or_else(free),
    ]
}

/// Somebody else has the address.
fn held(address: SocketAddr, holders: &[Holder], scene: &Scene) -> Finding {
    const CHECK: &str = "port";
    let Some(first) = holders.first() else {
        let text = format!("{address} is taken; only root sees by whom: run `sudo bnsd doctor`");
        return Finding::failure(CHECK, text, scene.bnsd("doctor"));
    };
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    let text = format!(
        "{address} is held by {}, so bnsd cannot start: stop that, or set `listen`",
        names.join(", ")
    );
    let command = match unit_of(first.process) {
        Some(unit) => format!("systemctl disable --now {unit}"),
        None => format!("kill {}", first.process),
    };
    Finding::failure(CHECK, text, scene.as_root(&command))
}

/// Ends the daemon; a service is started again, a plain process by whoever started it.
pub(super) fn restart(scene: &Scene) -> String {
    let process = scene.reply.as_ref().map(|reply| reply.process);
    match process.map(|process| (process, unit_of(process))) {
        Some((_, Some(unit))) => scene.as_root(&format!("systemctl restart {unit}")),
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
