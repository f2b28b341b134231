//! What can be seen and done next, after an operation was accepted.

use super::{name, state_of};
use crate::api::lookup::LookupRequest;
use crate::api::owner::ChainRequest;
use crate::cli::{Context, Result};

/// What somebody may want to type now.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Shows what the name says.
    pub dig: Option<String>,
    /// Goes on from here.
    pub next: Option<String>,
}

/// What fits an operation; `subject` is the name or namespace.
pub(super) fn hints(context: &Context, operation: &str, subject: &str) -> Result<Hints> {
    let mut hints = Hints {
        dig: None,
        next: next_step(operation, subject),
    };
    if !is_in_dns(operation) {
        return Ok(hints);
    }
    let state = state_of(context, &name(subject)?)?;
    match state.registration.zonefile_hash {
        None => hints.next = Some(format!("bnsd zonefile new {subject}")),
        Some(_) => hints.dig = dig(context, subject)?,
    }
    Ok(hints)
}

/// The `dig` line that shows a record of a name, if it has one.
fn dig(context: &Context, name: &str) -> Result<Option<String>> {
    let chain = context.answer(ChainRequest {})?;
    let all = context.answer(LookupRequest {
        name: name.to_owned(),
        record_type: "ANY".to_owned(),
        at: None,
    })?;
    let shown = all.example().filter(|_| all.height.is_some());
    let places = chain.listeners.first().zip(shown);
    Ok(places.map(|(at, record)| record.dig(*at)))
}

/// The command that goes on from there, if one does.
fn next_step(operation: &str, subject: &str) -> Option<String> {
    Some(match operation {
        "NAME_PREORDER" => format!("bnsd name register {subject}"),
        "NAMESPACE_PREORDER" => format!("bnsd namespace reveal {subject}"),
        "NAMESPACE_REVEAL" => format!("bnsd namespace ready {subject}"),
        "NAMESPACE_READY" => format!("bnsd name register NAME.{subject}"),
        "NAME_IMPORT" => {
            let (_, id) = subject.split_once('.')?;
            format!("bnsd namespace ready {id}")
        }
        _ => return None,
    })
}

/// Whether DNS has something to show of a name after an operation.
fn is_in_dns(operation: &str) -> bool {
    matches!(
        operation,
        "NAME_REGISTRATION" | "NAME_UPDATE" | "NAME_TRANSFER" | "NAME_RENEWAL"
    )
}

/// The command that goes on with what is under way; `goal` and `subject` are those of the journal.
pub fn resumed(goal: &str, subject: &str) -> String {
    match (goal, subject.strip_suffix(".preorder")) {
        ("preorder", Some(id)) => format!("bnsd namespace preorder {id}"),
        ("reveal" | "ready", _) => format!("bnsd namespace {goal} {subject}"),
        _ => format!("bnsd name {goal} {subject}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_the_step_that_follows_it() {
        let cases = [
            ("NAME_PREORDER", "me.id", Some("bnsd name register me.id")),
            ("NAMESPACE_PREORDER", "id", Some("bnsd namespace reveal id")),
            ("NAMESPACE_REVEAL", "id", Some("bnsd namespace ready id")),
            ("NAME_IMPORT", "me.id", Some("bnsd namespace ready id")),
            ("NAMESPACE_READY", "id", Some("bnsd name register NAME.id")),
            ("NAME_REVOKE", "me.id", None),
        ];
        for (operation, subject, next) in cases {
            assert_eq!(next_step(operation, subject).as_deref(), next);
        }
        assert!(is_in_dns("NAME_REGISTRATION") && !is_in_dns("NAME_REVOKE"));
    }

    #[test]
    fn what_is_under_way_goes_on_with_its_own_command() {
        let cases = [
            ("register", "me.id", "bnsd name register me.id"),
            ("register", "me.preorder", "bnsd name register me.preorder"),
            ("preorder", "id.preorder", "bnsd namespace preorder id"),
            ("reveal", "id", "bnsd namespace reveal id"),
        ];
        for (goal, subject, command) in cases {
            assert_eq!(resumed(goal, subject), command);
        }
    }
}
