//! What sends the machine's questions where: whether it is installed, whole, as it was made and up to date.

use super::scene::Scene;
use crate::api::doctor::Finding;
use crate::system::Journal;
use crate::system::mechanism::in_charge;

const CHECK: &str = "route";
/// The one that files of the C library mean.
const DNS_PORT: u16 = 53;

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    vec![match &scene.journal {
        Err(reason) => Finding::unknown(CHECK, reason),
        Ok(None) => absent(scene),
        Ok(Some(journal)) => installed(journal, scene),
    }]
}

/// Nothing is installed; some mechanisms know only all names.
fn absent(scene: &Scene) -> Finding {
    let mechanism = in_charge(&scene.machine).name();
    let takes_some = matches!(
        mechanism,
        "resolved" | "dns-delegate" | "networkmanager" | "macos"
    );
    let all = if takes_some { "" } else { " --all" };
    let text = format!(
        "nothing sends this machine's questions to bnsd (in charge: {mechanism}): only programs that ask it themselves find names of the chain"
    );
    let names_ports = matches!(mechanism, "resolved" | "dns-delegate" | "macos");
    match scene.daemon() {
        Some(daemon) if daemon.port() != DNS_PORT && !names_ports => {
            let why = format!(
                "bnsd listens on {daemon}, and {mechanism} can name no port but {DNS_PORT}"
            );
            Finding::warning(CHECK, format!("{text}; {why}"), "").out_of_reach()
        }
        _ => Finding::warning(CHECK, text, scene.bnsd(&format!("system install{all}"))),
    }
}

fn installed(journal: &Journal, scene: &Scene) -> Finding {
    if !journal.is_complete {
        let text = "an installation was interrupted";
        return Finding::failure(CHECK, text, scene.install_again(""));
    }
    let missing = match journal.out_of_place(&scene.machine) {
        Err(error) => return Finding::unknown(CHECK, error.to_string()),
        Ok(missing) => missing,
    };
    if let Some(path) = missing.first() {
        let text = format!(
            "{} is not as it was installed: somebody changed it, or took it away",
            path.display()
        );
        return Finding::failure(CHECK, text, scene.install_again(" --force"));
    }
    if let (Some(server), Ok(_)) = (journal.aim.server, &scene.status)
        && !scene.listeners().iter().any(|listener| {
            *listener == server
                || listener.ip().is_unspecified() && listener.port() == server.port()
        })
    {
        let text = format!("questions are sent to {server}, and bnsd listens elsewhere by now");
        // The upstreams may be those that were left there, and cannot be tried before.
        let force = if journal.aim.all { " --force" } else { "" };
        return Finding::failure(CHECK, text, scene.install_again(force));
    }
    let names = match journal.aim.all {
        true => "all names".to_owned(),
        false => journal.aim.domains.join(", "),
    };
    let mechanism = journal.aim.mechanism.as_deref().unwrap_or("the service");
    Finding::ok(CHECK, format!("{mechanism} sends {names} to bnsd"))
}

/// Namespaces that became ready after the installation.
pub(super) fn namespaces(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "namespaces";
    let (Ok(status), Ok(Some(journal))) = (&scene.status, &scene.journal) else {
        return Vec::new(); // other findings say why
    };
    let missing = journal.aim.unrouted(&status.served);
    vec![match missing.is_empty() {
        true => Finding::ok(CHECK, "all that are served are sent to bnsd"),
        false => Finding::warning(
            CHECK,
            format!(
                "not sent to bnsd, because they are newer than the installation: {}",
                missing.join(", ")
            ),
            scene.install_again(""),
        ),
    }]
}
