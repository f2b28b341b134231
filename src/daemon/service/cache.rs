//! Shows what is kept of upstreams' answers, and forgets it.

use hickory_proto::rr::{Name as DnsName, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::{Answered, Service, usage};
use crate::api::cache::{CacheReply, CacheRequest, DUMP_MAX, KeptAnswer};
use crate::upstream::{Kind, split_key};
use crate::zonefile;

impl Service {
    pub(super) fn cache(&self, request: &CacheRequest) -> Answered<CacheReply> {
        let forwarder = &self.handler.forwarder;
        let mut reply = CacheReply::default();
        match request {
            CacheRequest::Flush { name } => {
                let name = name.as_deref().map(domain).transpose()?;
                reply.flushed = forwarder.flush(name.as_ref()) as u64;
                // What is kept of the chain can only be the same again, unless somebody changed files.
                self.names.forget_zones();
                self.handler.forget_replies();
            }
            CacheRequest::Dump {} => reply.answers = self.kept_answers(),
        }
        reply.count = forwarder.cache.count() as u64;
        reply.bytes = forwarder.cache.weight();
        Ok(reply)
    }

    fn kept_answers(&self) -> Vec<KeptAnswer> {
        let forwarder = &self.handler.forwarder;
        let now = forwarder.now();
        let mut answers: Vec<KeptAnswer> = forwarder
            .cache
            .iter()
            .filter_map(|(key, entry)| {
                let (name, rtype, flags) = split_key(&key)?;
                let name = DnsName::read(&mut BinDecoder::new(name)).ok()?;
                Some(KeptAnswer {
                    name: name.to_string(),
                    record_type: match rtype {
                        0 => "ANY TYPE".to_owned(),
                        rtype => zonefile::mnemonic(RecordType::from(rtype)).into_owned(),
                    },
                    says: says(entry.kind).to_owned(),
                    remaining: entry.remaining(now),
                    dnssec: flags & 2 != 0,
                })
            })
            .take(DUMP_MAX)
            .collect();
        answers.sort_by(|a, b| (&a.name, &a.record_type).cmp(&(&b.name, &b.record_type)));
        answers
    }
}

fn says(kind: Kind) -> &'static str {
    match kind {
        Kind::Positive => "records",
        Kind::NoData => "no data",
        Kind::NoSuchName => "no such name",
        Kind::Other => "trouble",
    }
}

fn domain(text: &str) -> Answered<DnsName> {
    let name = DnsName::from_ascii(text).map_err(|_| {
        usage(format!(
            "{text:?} is no domain name: write for example example.com"
        ))
    })?;
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}
