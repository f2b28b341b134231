//! The keys that names bind, now and in the past.

use data_encoding::{BASE64, HEXLOWER};
use hickory_proto::rr::Name as DnsName;

use super::lookup::question;
use super::{Answered, Service, trouble};
use crate::api::explain::Side;
use crate::api::keys::{HISTORY_MAX, KeySet, KeysReply, KeysRequest, PORT, PastKeys, TlsKey};
use crate::bns::Name;
use crate::names::{BoundName, NameEvent, NameStatus, Names};
use crate::resolver::{self, NameSource as _, Snapshots as _};
use crate::tlsa::{Material, PinText, Statement};

impl Service {
    /// Replies with the keys of a host.
    pub(super) fn keys(&self, request: &KeysRequest) -> Answered<KeysReply> {
        let question = question(&request.name, "TLSA")?;
        let names = self.names.snapshot();
        let host = question.name.to_lowercase();
        let side = self.decision(&question, &names)?.side;
        let mut reply = KeysReply {
            host: text(&host),
            port: request.port.unwrap_or(PORT),
            side,
            height: names.height(),
            ..KeysReply::default()
        };
        let Some((name, inside)) = resolver::host_of_chain(&host).filter(|_| side == Side::Bns)
        else {
            return Ok(reply);
        };
        self.vouched(&names)?;
        let status = names.name(&name).map_err(trouble)?;
        reply.status = Some(NameStatus::from(&status));
        if let Some(bound) = names.bound(&name).map_err(trouble)? {
            reply.pins = pins(&bound, &inside, reply.port);
            reply.block = Some(bound.holder.height);
            reply.txid = Some(bound.holder.txid.to_string());
            reply.zonefile_hash = Some(bound.holder.zonefile);
            reply.keys = key_set(&bound);
            if let Some(text) = &request.delegation {
                let BoundName { bound, holder, .. } = &bound;
                match bound.stapled(&name, holder, text, (&inside, reply.port)) {
                    Ok(pins) => reply.pins.extend(pins.iter().map(PinText::from)),
                    Err(reason) => {
                        let problem = format!("the certificate's delegation: {reason}");
                        reply.keys.key_problems.push(problem);
                    }
                }
            }
        }
        let registration = names.registration(&name).map_err(trouble)?;
        reply.owner = registration.owner;
        if request.history {
            reply.history = past(&names, &name, &registration.history)?;
        }
        reply.name = Some(name);
        Ok(reply)
    }

    /// An error while the index cannot vouch for names: pins that may be out of date are worse than none.
    fn vouched(&self, names: &Names) -> Answered<()> {
        match self.handler.policy().accepts(names.sync()) {
            true => Ok(()),
            false => Err(trouble(
                "the index cannot vouch for names now: see `bnsd status`",
            )),
        }
    }
}

fn pins(bound: &BoundName, host: &DnsName, port: u16) -> Vec<PinText> {
    let pins = bound.bound.pins(host, port);
    pins.iter().map(PinText::from).collect()
}

fn key_set(bound: &BoundName) -> KeySet {
    let bound = &bound.bound;
    KeySet {
        tls_keys: bound.statements().iter().map(tls_key).collect(),
        data_key: bound.own_key().map(ToString::to_string),
        separate: bound.separate().iter().map(text).collect(),
        key_problems: bound.problems().iter().map(ToString::to_string).collect(),
    }
}

fn tls_key(statement: &Statement) -> TlsKey {
    TlsKey {
        host: text(&statement.host),
        ports: statement.ports.clone(),
        usage: statement.usage.as_str().to_owned(),
        spki_sha256: HEXLOWER.encode(&statement.material.sha256()),
        spki: match &statement.material {
            Material::Whole(key) => Some(BASE64.encode(key.as_bytes())),
            Material::Digest(_) => None,
        },
        rule: statement.rule.as_str().to_owned(),
        until: statement.until,
    }
}

/// What each of the last operations bound.
fn past(names: &Names, name: &Name, history: &[NameEvent]) -> Answered<Vec<PastKeys>> {
    let start = history.len().saturating_sub(HISTORY_MAX);
    let event = |event: &NameEvent| {
        let bound = names.bound_at(name, event.height).map_err(trouble)?;
        Ok(PastKeys {
            height: event.height,
            time: event.time.clone(),
            txid: event.txid.to_string(),
            operation: event.operation.clone(),
            owner: event.owner.clone(),
            zonefile_hash: event.zonefile_hash,
            zonefile_present: bound.is_some(),
            keys: bound.as_ref().map(key_set).unwrap_or_default(),
        })
    };
    history[start..].iter().map(event).collect()
}

/// A name without its last dot.
fn text(name: &DnsName) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
