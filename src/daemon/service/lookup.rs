//! Lookups: what a DNS client gets, now or at an earlier block.
//!
//! A lookup goes the way of a DNS query, through the same handler and the same bytes. One of the past asks
//! the same rules with an older state.

use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};

use super::{Answered, Service, trouble, usage};
use crate::api::lookup::{ExtendedError, LookupReply, LookupRequest, RecordText};
use crate::dns::{Client, Handled, Transport};
use crate::resolver::Snapshots as _;
use crate::resolver::{self, NameSource as _, Question, Resolution};
use crate::{wire, zonefile};

impl Service {
    pub(super) async fn lookup(&self, request: &LookupRequest) -> Answered<LookupReply> {
        let question = question(&request.name, &request.record_type)?;
        match request.at {
            Some(height) => self.lookup_at(&question, height),
            None => self.ask(&question).await,
        }
    }

    /// Asks the handler as a DNS client would.
    pub(super) async fn ask(&self, question: &Question) -> Answered<LookupReply> {
        let height = self.names.snapshot().height();
        let query = query(question).to_vec().map_err(trouble)?;
        let mut bytes = Vec::new();
        let client = Client {
            address: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Control,
        };
        if let Handled::Pending(pending) = self.handler.handle(&query, client, &mut bytes) {
            self.handler.finish(*pending, &mut bytes).await;
        }
        let message = Message::from_vec(&bytes).map_err(trouble)?;
        let authoritative = message.metadata.authoritative;
        Ok(LookupReply {
            name: plain(&question.name),
            record_type: zonefile::mnemonic(question.rtype).into_owned(),
            rcode: rcode(message.metadata.response_code),
            records: message.answers.iter().map(record_text).collect(),
            height: height.filter(|_| authoritative),
            ede: extended_error(&bytes),
            authoritative,
        })
    }

    fn lookup_at(&self, question: &Question, height: u32) -> Answered<LookupReply> {
        let names = self.names.at(height).ok_or_else(|| {
            let tip = self.names.snapshot().height();
            usage(match tip {
                Some(tip) => {
                    let first = self.names.params.first_block;
                    format!("height {height} is not indexed: choose one from {first} to {tip}")
                }
                None => "no block is indexed yet: wait for the first one, or ask without --at"
                    .to_owned(),
            })
        })?;
        let policy = self.handler.policy();
        let resolution = resolver::resolve(question, &policy, &names).map_err(trouble)?;
        let Resolution::Answer(answer) = resolution else {
            return Err(usage(
                "the name is not on the chain at that height: an upstream has no past to ask for",
            ));
        };
        Ok(LookupReply {
            name: plain(&question.name),
            record_type: zonefile::mnemonic(question.rtype).into_owned(),
            rcode: rcode(answer.rcode),
            records: answer.answers.iter().map(record_text).collect(),
            height: Some(height),
            ede: answer.ede.map(|ede| ExtendedError {
                code: ede.code,
                text: ede.text.into_owned(),
            }),
            authoritative: true,
        })
    }
}

pub(super) fn question(name: &str, record_type: &str) -> Answered<Question> {
    let rtype =
        zonefile::record_type(record_type.to_ascii_uppercase().as_bytes()).ok_or_else(|| {
            usage(format!(
                "{record_type} is no record type: use a name like A or TYPE65280"
            ))
        })?;
    let mut name =
        DnsName::from_ascii(name).map_err(|_| usage(format!("{name:?} is no domain name")))?;
    name.set_fqdn(true);
    Ok(Question::new(&name, rtype, DNSClass::IN))
}

fn query(question: &Question) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(question.name.clone(), question.rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(u16::MAX);
    message.set_edns(edns);
    message
}

/// The code by its mnemonic (RFC 6895 §2.3).
fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn extended_error(bytes: &[u8]) -> Option<ExtendedError> {
    let found = wire::ExtendedError::find(&wire::walk(bytes)?, bytes)?;
    Some(ExtendedError {
        code: found.code,
        text: found.text.into_owned(),
    })
}

fn record_text(record: &Record) -> RecordText {
    let rtype = record.record_type();
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    let data = match &record.data {
        RData::Unknown { rdata, .. } => rdata.anything.to_vec(),
        // A record that was decoded can be encoded; an empty text would show if not.
        data => data.emit(&mut encoder).map(|()| wire).unwrap_or_default(),
    };
    RecordText {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: zonefile::mnemonic(rtype).into_owned(),
        data: zonefile::render_data(rtype, &data),
    }
}

/// A name as people write it.
fn plain(name: &DnsName) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .unwrap_or(text)
}
