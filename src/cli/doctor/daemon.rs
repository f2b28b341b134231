//! Whether the daemon runs and answers where it listens, and who is in its way if not.

use std::net::SocketAddr;
use std::path::Path;

use super::scene::{ANSWER_TIME, Scene, unit_of};
use crate::api::doctor::{Finding, quoted};
use crate::config::Origin;
use crate::system::{Holder, holders_of, is_bnsd, names};

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
            let place = quoted(&path.display().to_string());
            let edit = scene.on_file(path, &format!("sed -i '{line}s/^/# /' {place}"));
            let text = "`sandbox = false` lets the daemon touch files that it does not need";
            Finding::warning(CHECK, text, format!("{edit} && {}", restart(scene)))
        }
        (state, _) => Finding::ok(CHECK, state.unwrap_or("not tried")),
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
        let text = format!("{address} is held by {}", names(&holders));
        let text = format!("{text}, so bnsd cannot start: stop that, or set `{setting}`");
        Some(held(check, text, &holders, scene))
    });
    held.unwrap_or_else(|| Finding::ok(check, "nobody is in the way"))
}

/// What ends whoever has an address.
fn held(check: &str, text: String, holders: &[Holder], scene: &Scene) -> Finding {
    let Some(first) = holders.first() else {
        return Finding::failure(check, text, scene.bnsd("doctor"));
    };
    let command = match unit_of(first.process) {
        Some(unit) => format!("systemctl disable --now {unit}"),
        None => format!("kill {}", first.process),
    };
    Finding::failure(check, text, scene.as_root(&command))
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
