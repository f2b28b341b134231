//! What a zone file says about keys, read and judged statement by statement.

use std::collections::BTreeSet;

use hickory_proto::rr::{Name as DnsName, RecordType};

use super::STATEMENTS_MAX;
use super::delegation;
use super::holder::Holder;
use super::own_key::OwnKey;
use super::pin::Rule;
use super::problem::{Problem, Reason};
use super::statement::{self, Statement, Text};
use crate::bns::name::Name;
use crate::zonefile::{Found, Node, RrSet, Zone};

/// Subdomains of others that a certificate leaves out at most: with more, the name has no authority. Each takes about 60
/// bytes of it.
pub(super) const SEPARATE_MAX: usize = 256;
/// The label of the record with the data key.
pub(super) const DATA_KEY: &[u8] = b"pubkey";
/// What the TXT record of a subdomain with its own owner says in the reference.
const SUBDOMAIN: [&[u8]; 3] = [b"owner=", b"seqn=", b"parts="];

/// What of a zone file binds nothing, whoever owns its name. Only a chain says who signed a delegation and when it holds, so
/// that these are not judged.
pub fn review(zone: &Zone) -> Vec<Problem> {
    let mut reading = Reading::new(zone);
    reading.own_key();
    reading.statements(None);
    reading.settle();
    reading.problems
}

/// What a delegation is judged by.
pub(super) struct Judge<'a> {
    pub(super) name: &'a Name,
    pub(super) holder: &'a Holder,
    pub(super) own_key: Option<OwnKey>,
}

/// Statements on their way to be believed.
pub(super) struct Reading<'z> {
    zone: &'z Zone,
    pub(super) separate: Vec<DnsName>,
    pub(super) statements: Vec<Statement>,
    pub(super) problems: Vec<Problem>,
    pub(super) is_timed: bool,
}

impl<'z> Reading<'z> {
    pub(super) fn new(zone: &'z Zone) -> Self {
        let is_separate = |node: &&Node| {
            node.name().iter().len() == zone.origin().iter().len() + 1 && has_owner(node)
        };
        let separate = zone.nodes().filter(is_separate);
        Self {
            zone,
            separate: separate.map(|node| node.name().clone()).collect(),
            statements: Vec::new(),
            problems: Vec::new(),
            is_timed: false,
        }
    }

    /// Takes these subdomains for separate too, whatever the zone file says of them. A label that begins with `_` says
    /// something about the name itself.
    pub(super) fn part_from(&mut self, labels: Option<&BTreeSet<String>>) {
        for label in labels.into_iter().flatten() {
            let host = below(self.zone.origin(), label.as_bytes());
            let host = host.filter(|_| !label.starts_with('_'));
            let new = host.filter(|host| !self.separate.contains(host));
            self.separate.extend(new);
            if self.separate.len() > SEPARATE_MAX {
                return; // the name has no authority then
            }
        }
    }

    fn note(&mut self, owner: &DnsName, reason: Reason) {
        let owner = owner.clone();
        self.problems.push(Problem { owner, reason });
    }

    /// The data key, if there is one alone.
    pub(super) fn own_key(&mut self) -> Option<OwnKey> {
        let owner = below(self.zone.origin(), DATA_KEY)?;
        let texts = data_key(self.zone)?.rdata().map(text);
        let keys: Vec<_> = texts.filter_map(|text| OwnKey::read(&text)).collect();
        let reason = match keys.as_slice() {
            [] => return None,
            [Ok(key)] => return Some(*key),
            [Err(reason)] => *reason,
            _ => Reason::SecondDataKey,
        };
        self.note(&owner, reason);
        None
    }

    /// Reads all statements, and judges each by itself.
    pub(super) fn statements(&mut self, judge: Option<&Judge<'_>>) {
        let zone = self.zone;
        let mut count = 0_usize;
        for node in zone.nodes() {
            let mut labels = node.name().iter();
            let Some(set) = node.rrset(RecordType::TXT) else {
                continue;
            };
            if labels.next() != Some(statement::LABEL) {
                continue;
            }
            let host = node.name().base_name();
            for rdata in set.rdata() {
                count += 1;
                if count > STATEMENTS_MAX {
                    self.statements.clear();
                    self.note(zone.origin(), Reason::TooMany);
                    return;
                }
                match self.read(&text(rdata), &host, judge) {
                    Ok(statement) => self.statements.push(statement),
                    Err(reason) => self.note(node.name(), reason),
                }
            }
        }
    }

    fn read(
        &mut self,
        bytes: &[u8],
        host: &DnsName,
        judge: Option<&Judge<'_>>,
    ) -> Result<Statement, Reason> {
        if self.separate.iter().any(|separate| separate.zone_of(host)) {
            return Err(Reason::Separate);
        }
        let text = Text::read(bytes)?;
        if let Some(judge) = judge.filter(|_| text.signed.is_some()) {
            self.is_timed = true;
            let own_key = judge.own_key.as_ref();
            return delegation::judge(text, judge.name, host, judge.holder, own_key);
        }
        Ok(Statement {
            host: host.clone(),
            usage: text.usage,
            ports: text.ports,
            material: text.material,
            rule: Rule::Key,
            until: None,
        })
    }

    /// Leaves out what is said twice.
    pub(super) fn settle(&mut self) {
        let same = |a: &Statement, b: &Statement| {
            let shared = a.ports.iter().any(|port| b.ports.contains(port));
            let (one, other) = (a.material.sha256(), b.material.sha256());
            shared && a.host == b.host && a.usage == b.usage && one == other
        };
        let all = std::mem::take(&mut self.statements);
        for (place, statement) in all.iter().enumerate() {
            let mut others = all.iter().enumerate().filter(|(other, _)| *other != place);
            if others.any(|(_, other)| same(statement, other)) {
                let owner = below(&statement.host, statement::LABEL);
                self.note(&owner.unwrap_or_else(DnsName::root), Reason::Doubled);
            } else {
                self.statements.push(statement.clone());
            }
        }
    }
}

/// The strings of a TXT record, joined.
fn text(rdata: &[u8]) -> Vec<u8> {
    strings(rdata).concat()
}

fn strings(mut rdata: &[u8]) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = rdata.split_first() {
        let (string, rest) = rest.split_at(usize::from(length).min(rest.len()));
        strings.push(string);
        rdata = rest;
    }
    strings
}

/// Whether a TXT record of the node says that it is a subdomain with an owner.
fn has_owner(node: &Node) -> bool {
    let Some(set) = node.rrset(RecordType::TXT) else {
        return false;
    };
    set.rdata().any(|rdata| {
        let strings = strings(rdata);
        let has = |prefix: &&[u8]| strings.iter().any(|string| string.starts_with(prefix));
        SUBDOMAIN.iter().all(has)
    })
}

pub(super) fn data_key(zone: &Zone) -> Option<&RrSet> {
    let owner = below(zone.origin(), DATA_KEY)?;
    node(zone, &owner)?.rrset(RecordType::TXT)
}

pub(super) fn node<'z>(zone: &'z Zone, name: &DnsName) -> Option<&'z Node> {
    match zone.find(name) {
        Found::Exact(node) => Some(node),
        _ => None,
    }
}

pub(super) fn below(name: &DnsName, label: &[u8]) -> Option<DnsName> {
    name.prepend_label(label).ok()
}
