//! Choices for single names: checked, kept, then put in force.

use crate::api::prefer::{Choice, PreferReply, PreferRequest, Preferred};
use crate::bns::Name;
use crate::daemon::preferences::CHOICES_MAX;
use crate::resolver::policy::{Mode, is_protected};
use crate::resolver::{Policy, Preference};

use super::{Answered, Service, trouble, usage};

impl Service {
    pub(super) fn prefer(&self, request: PreferRequest) -> Answered<PreferReply> {
        // One at a time: what is kept is made from what is in force.
        let file = self.preferences.lock().map_err(trouble)?;
        let mut policy = (*self.handler.policy()).clone();
        if let Some(choice) = request.set {
            apply(&choice, &mut policy)?;
            file.write(&policy.preferences).map_err(trouble)?;
            self.handler.set_policy(policy.clone());
        }
        Ok(PreferReply {
            preferences: policy.preferences.into_iter().collect(),
        })
    }
}

fn apply(choice: &Choice, policy: &mut Policy) -> Answered<()> {
    let name: Name = choice
        .name
        .trim_end_matches('.')
        .to_ascii_lowercase()
        .parse()
        .map_err(|error| {
            usage(format!(
                "{:?} is no name of the chain: {error}",
                choice.name
            ))
        })?;
    let preference = match choice.side {
        Preferred::Auto => {
            policy.preferences.remove(&name);
            return Ok(());
        }
        Preferred::Bns => Preference::Bns,
        Preferred::Legacy => Preference::Legacy,
    };
    let mode = name.namespace_id().map(|id| policy.mode(&id).mode());
    if mode == Some(Mode::Only) {
        return Err(usage(format!(
            "{name} has no rival: its namespace never leaves this machine; change [namespaces] instead"
        )));
    }
    if preference == Preference::Bns && is_protected(&name) {
        return Err(usage(format!(
            "{name} is protected: a whole registry is below it; use {name}.bns.alt for the chain's"
        )));
    }
    if policy.preferences.len() >= CHOICES_MAX && !policy.preferences.contains_key(&name) {
        return Err(usage(format!(
            "there are {CHOICES_MAX} choices: set some to auto, or choose a mode for the namespace"
        )));
    }
    policy.preferences.insert(name, preference);
    Ok(())
}
