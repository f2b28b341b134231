//! Aliases in an upstream's response that lead back to the chain.

use hickory_proto::op::Message;
use hickory_proto::rr::{Name as DnsName, Record, RecordType};

use super::super::aliases::AliasWalk;
use crate::resolver::{MAX_ALIASES, NameSource, Ownership, Policy, ownership_at};
use crate::wire::alias::alias_at;

/// The aliases of a response up to the first name that belongs to the chain, and that name. What the upstream says about
/// the name is left out: the question goes on here.
pub(super) fn handed_back(
    message: &Message,
    walk: &AliasWalk,
    policy: &Policy,
    source: &impl NameSource,
) -> Option<(Vec<Record>, DnsName)> {
    if walk.question.rtype == RecordType::CNAME {
        return None;
    }
    let mut owner = walk.question.name.clone();
    let mut way = Vec::new();
    for _ in 0..MAX_ALIASES {
        let (record, target) = alias_at(&message.answers, &owner)?;
        way.extend(made_by(&message.answers, &owner).cloned());
        way.push(record.clone());
        owner = target;
        if belongs_to_chain(&owner, policy, source) {
            return Some((way, owner));
        }
    }
    None
}

/// The DNAME from which the CNAME at a name was made (RFC 6672 §3.1).
fn made_by<'a>(answers: &'a [Record], owner: &DnsName) -> Option<&'a Record> {
    answers.iter().find(|record| {
        record.record_type() == RecordType::DNAME
            && record.name != *owner
            && record.name.zone_of(owner)
    })
}

/// Whether nobody but the chain may say something about a name. An unreadable database never makes a name of the
/// chain an upstream's.
pub(super) fn belongs_to_chain(name: &DnsName, policy: &Policy, source: &impl NameSource) -> bool {
    matches!(
        ownership_at(name, policy, source),
        Ok(Ownership::Ours) | Err(_)
    )
}

/// Gives the owner of records the client's letters. The upstream echoes the letters that it was asked with, which are
/// random (0x20).
pub(super) fn restore_case(message: &mut Message, asked: &DnsName) {
    for record in &mut message.answers {
        if record.name == *asked {
            record.name = asked.clone();
        }
    }
}
