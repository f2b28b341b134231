//! The way of a question from a program of this machine to bnsd and back: who answers, whether somebody in between takes
//! the answers for forged, and whether what bnsd verified is still called so.

use std::fs;
use std::iter;
use std::net::SocketAddr;

use hickory_proto::op::{Message, ResponseCode};

use super::scene::{Scene, Wanted, answers, ask_all, soa, unit_of};
use crate::api::doctor::{Finding, quoted};
use crate::resolver::ALIAS;
use crate::system::holders_of;

/// What is asked when programs look for a host (nsswitch.conf(5)).
const SWITCH: &str = "/etc/nsswitch.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where unbound reads further files.
const UNBOUND_FILES: &str = "/etc/unbound/unbound.conf.d";

/// Who answers the system, asked for what only bnsd knows.
pub(super) fn system(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "system";
    let mut findings: Vec<Finding> = without_dns(CHECK, scene).into_iter().collect();
    let Some(&first) = scene.asked.first() else {
        let text =
            format!("{RESOLV_CONF} names no resolver, so programs ask 127.0.0.1 (resolv.conf(5))");
        findings.push(Finding::unknown(CHECK, text));
        return findings;
    };
    let servers = iter::once(first).chain(scene.daemon());
    let questions: Vec<_> = servers
        .map(|server| (server, ALIAS, Wanted::Unverified))
        .collect();
    let mut replies = ask_all(&questions).into_iter().map(|reply| {
        let soa = reply.as_ref().and_then(soa);
        (reply.is_some(), soa)
    });
    let (has_replied, theirs) = replies.next().unwrap_or_default();
    let (_, ours) = replies.next().unwrap_or_default();
    let is_installed = matches!(&scene.journal, Ok(Some(_)));
    findings.push(match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs == ours => {
            Finding::ok(CHECK, format!("{first} leads to this bnsd"))
        }
        (Some(_), None) => Finding::ok(CHECK, format!("{first} leads to a bnsd")),
        (Some(_), Some(_)) => Finding::warning(
            CHECK,
            format!("{first} leads to another bnsd, or keeps an older answer"),
            flush(first, scene),
        ),
        (None, ours) if (ours.is_some() || !is_installed) && !has_replied && !answers(first) => {
            silent(CHECK, first, scene)
        }
        (None, _) if !is_installed => Finding::ok(
            CHECK,
            format!("{first} is asked by this machine, without bnsd"),
        ),
        (None, None) => Finding::unknown(
            CHECK,
            format!("{first} may lead to bnsd, which does not answer"),
        ),
        (None, Some(_)) => Finding::failure(
            CHECK,
            format!("{first} answers this machine's questions, and does not ask bnsd"),
            flush(first, scene),
        ),
    });
    findings
}

/// Whoever is asked says nothing.
fn silent(check: &str, first: SocketAddr, scene: &Scene) -> Finding {
    let text = format!("{first} is asked by this machine, and does not answer");
    let is_here = first.ip().is_loopback() || matches!(&scene.journal, Ok(Some(_)));
    let finding = Finding::failure(check, text, flush(first, scene));
    if is_here {
        finding
    } else {
        finding.out_of_reach()
    }
}

/// Programs that look for hosts ask no resolver at all.
fn without_dns(check: &str, scene: &Scene) -> Option<Finding> {
    let text = fs::read_to_string(SWITCH).ok()?;
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("hosts:"))?;
    let asks = line
        .split_whitespace()
        .any(|word| word == "dns" || word == "resolve");
    let command = scene.as_root(&format!("sed -i 's/^ *hosts:.*/& dns/' {SWITCH}"));
    (!asks).then(|| {
        let text = format!(
            "{SWITCH} lets programs look for hosts without DNS (\"{}\")",
            line.trim()
        );
        Finding::failure(check, text, command)
    })
}

/// Makes whoever answers read its files again; one that nobody knows is replaced.
fn flush(first: SocketAddr, scene: &Scene) -> String {
    let holders = holders_of(first).unwrap_or_default();
    let unit = holders.first().and_then(|holder| unit_of(holder.process));
    match unit {
        Some(unit) => scene.as_root(&format!("systemctl restart {}", quoted(&unit))),
        None if first.ip().is_loopback() => {
            scene.as_root("systemctl restart systemd-resolved.service")
        }
        None => scene.install_again(" --force"),
    }
}

/// Whether a resolver in between validates, and refuses names that the signed tree does not have.
pub(super) fn validation(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "validation";
    let Some((first, domains)) = sent_to_us(scene) else {
        return Vec::new();
    };
    let ask_for = |wanted| {
        let questions = domains
            .iter()
            .map(|domain| (first, domain.as_str(), wanted));
        ask_all(&questions.collect::<Vec<_>>())
    };
    let [verified, unverified] = [Wanted::Answer, Wanted::Unverified].map(ask_for);
    let is_refused = verified
        .iter()
        .zip(&unverified)
        .map(|(verified, unverified)| {
            let code = verified.as_ref().map(|reply| reply.metadata.response_code);
            code == Some(ResponseCode::ServFail) && unverified.as_ref().and_then(soa).is_some()
        });
    let is_refused: Vec<bool> = is_refused.collect();
    let refused: Vec<String> = domains
        .into_iter()
        .zip(is_refused)
        .filter_map(|(domain, is_refused)| is_refused.then_some(domain))
        .collect();
    if refused.is_empty() {
        return vec![Finding::ok(
            CHECK,
            "nobody in between takes answers for forged",
        )];
    }
    let text = format!(
        "{first} validates, and takes bnsd's answers for forged: it needs negative trust anchors for {}",
        refused.join(", ")
    );
    vec![Finding::failure(
        CHECK,
        text,
        anchors(first, &refused, scene),
    )]
}

/// Where the machine's questions for these domains are sent to bnsd.
fn sent_to_us(scene: &Scene) -> Option<(SocketAddr, Vec<String>)> {
    let first = *scene.asked.first()?;
    scene.status.as_ref().ok()?;
    let domains = match &scene.journal {
        Ok(Some(journal)) => journal.aim.domains.clone(),
        _ => vec![ALIAS.to_owned()],
    };
    Some((first, domains))
}

/// Tells a validator which domains are not the signed tree's.
fn anchors(first: SocketAddr, domains: &[String], scene: &Scene) -> String {
    let holders = holders_of(first).unwrap_or_default();
    let unbound = holders.iter().find(|holder| holder.name == "unbound");
    let Some(unbound) = unbound else {
        return scene.install_again(" --force");
    };
    let lines: String = domains
        .iter()
        .map(|domain| quoted(&format!(" domain-insecure: \"{domain}\"")))
        .map(|line| format!(" {line}"))
        .collect();
    let tee = scene.as_root(&format!("tee {UNBOUND_FILES}/bnsd.conf"));
    let again = match unit_of(unbound.process) {
        Some(unit) => scene.as_root(&format!("systemctl restart {}", quoted(&unit))),
        None => scene.as_root(&format!("kill -HUP {}", unbound.process)),
    };
    format!("printf '%s\\n' server:{lines} | {tee} && {again}")
}

/// Whether answers that bnsd verified come back as such (RFC 6840 §5.7).
pub(super) fn authentic(scene: &Scene) -> Vec<Finding> {
    const CHECK: &str = "ad";
    let (Some(&first), Some(daemon)) = (scene.asked.first(), scene.daemon()) else {
        return Vec::new();
    };
    let questions = [daemon, first].map(|server| (server, ALIAS, Wanted::Verified));
    let is_verified = |reply: Option<Message>| {
        let reply = reply.filter(|reply| soa(reply).is_some());
        reply.map(|reply| reply.metadata.authentic_data)
    };
    let mut replies = ask_all(&questions).into_iter().map(is_verified);
    match (replies.next().flatten(), replies.next().flatten()) {
        (Some(true), Some(false)) => vec![Finding::warning(
            CHECK,
            format!(
                "{first} does not pass on that answers of bnsd are verified: programs that need it (DANE) have to ask bnsd alone"
            ),
            scene.bnsd("system install --all --mechanism resolv.conf"),
        )],
        (Some(true), Some(true)) => vec![trusted(CHECK, scene)],
        _ => Vec::new(), // bnsd does not say it, or is not reached, which is another finding
    }
}

/// The C library hides AD unless it is told that the way is safe (resolv.conf(5)).
fn trusted(check: &str, scene: &Scene) -> Finding {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let has_option = text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("options") && words.any(|word| word == "trust-ad")
    });
    if has_option {
        return Finding::ok(check, "verified answers of bnsd are called so");
    }
    let is_ours = matches!(&scene.journal, Ok(Some(journal)) if journal.aim.all);
    let command = match is_ours {
        true => scene.install_again(" --force"),
        false => format!(
            "echo 'options trust-ad' | {}",
            scene.as_root(&format!("tee -a {RESOLV_CONF}"))
        ),
    };
    let text = format!(
        "{RESOLV_CONF} lacks `options trust-ad`, so programs do not see which answers are verified"
    );
    Finding::warning(check, text, command)
}
