//! What an upstream's answer means for names of the chain: an alias in it can lead to one.

use hickory_proto::op::Message;
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::super::chain::Chain;
use crate::resolver::{MAX_CHAIN, NameSource, Ownership, Policy, ownership_at};

/// A CNAME in an upstream's answer can lead to a name that is ours. What the upstream says about that name
/// is then left out, and the question goes on here.
pub(super) fn handed_back(
    message: &Message,
    chain: &Chain,
    policy: &Policy,
    source: &impl NameSource,
) -> Option<(Vec<Record>, DnsName)> {
    let mut owner = chain.question.name.clone();
    let mut kept = Vec::new();
    for _ in 0..MAX_CHAIN {
        let (record, target) = message
            .answers
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == owner => Some((record, target.0.clone())),
                _ => None,
            })?;
        if chain.question.rtype == RecordType::CNAME {
            return None;
        }
        let made_by = |record: &&Record| {
            record.record_type() == RecordType::DNAME
                && record.name != owner
                && record.name.zone_of(&owner)
        };
        kept.extend(message.answers.iter().find(made_by).cloned());
        kept.push(record.clone());
        owner = target.to_lowercase();
        if belongs_to_chain(&owner, policy, source) {
            return Some((kept, owner));
        }
    }
    None
}

/// Whether nobody but the chain may say something about a name. An unreadable database never makes a name of the
/// chain an upstream's.
pub(super) fn belongs_to_chain(name: &DnsName, policy: &Policy, source: &impl NameSource) -> bool {
    matches!(
        ownership_at(name, policy, source),
        Ok(Ownership::Ours) | Err(_)
    )
}

/// The upstream echoes the letters that it was asked with; those are random (0x20), and nobody's but ours.
pub(super) fn restore_case(message: &mut Message, asked: &DnsName) {
    for record in &mut message.answers {
        if record.name == *asked {
            record.name = asked.clone();
        }
    }
}
