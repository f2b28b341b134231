//! `bnsd lookup`: the records of a name.

use clap::Args;

use super::output::Page;
use super::{Context, Exit, Result};
use crate::api::lookup::{ExtendedError, LookupReply, LookupRequest};
use crate::wallet::words;

/// Arguments of `bnsd lookup`.
#[derive(Debug, Args)]
pub struct Lookup {
    /// The domain name.
    name: String,
    /// The record type; ANY for all records of the name and of those below it.
    #[arg(value_name = "TYPE", default_value = "A")]
    record_type: String,
    /// Answer from the state at this block instead of the newest.
    #[arg(long, value_name = "HEIGHT")]
    at: Option<u32>,
}

impl Lookup {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(LookupRequest {
            name: self.name,
            record_type: self.record_type.to_ascii_uppercase(),
            at: self.at,
        })?;
        context
            .output
            .show(&reply, |page| write_answer(&reply, page))?;
        Ok(exit(&reply))
    }
}

/// Records are yes, a proven absence is no, everything else is trouble.
fn exit(reply: &LookupReply) -> Exit {
    match (reply.is_answer(), reply.has_records()) {
        (true, true) => Exit::Success,
        (true, false) => Exit::No,
        (false, _) => Exit::Trouble,
    }
}

/// Records as in a zone file, then comments about the answer, as `dig` does.
pub(super) fn write_answer(reply: &LookupReply, page: &mut Page) {
    for record in &reply.records {
        page.row([
            record.owner.clone(),
            record.ttl.to_string(),
            record.record_type.clone(),
            record.data.clone(),
        ]);
    }
    page.note(format!(";; {}", summary(reply)));
    if let Some(ede) = &reply.ede {
        page.note(format!(";; {}", describe(ede)));
    }
}

fn summary(reply: &LookupReply) -> String {
    let found = match (reply.rcode.as_str(), reply.records.len()) {
        ("NOERROR", 0) => absent(reply),
        ("NOERROR", 1) => "1 record".to_owned(),
        ("NOERROR", count) => format!("{count} records"),
        ("NXDOMAIN", _) => format!("there is no name {}", reply.name),
        _ => format!("no answer for {} {}", reply.name, reply.record_type),
    };
    let side = match (reply.height, reply.authoritative) {
        (Some(height), _) => {
            let block = words::block_there(height, reply.time.as_deref());
            format!(", from the chain at height {block}")
        }
        (None, true) => ", from bnsd itself".to_owned(),
        (None, false) => ", from an upstream".to_owned(),
    };
    format!("{}: {found}{side}", reply.rcode)
}

/// Says what there is instead.
fn absent(reply: &LookupReply) -> String {
    let no_record = format!("{} has no record of type {}", reply.name, reply.record_type);
    match reply.types.as_slice() {
        [] => no_record,
        types => format!("{no_record}, it has {}", types.join(", ")),
    }
}

fn describe(ede: &ExtendedError) -> String {
    match ede.text.as_str() {
        "" => format!("extended error {}", ede.code),
        text => format!("extended error {}: {text}", ede.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lookup::RecordText;

    fn reply() -> LookupReply {
        LookupReply {
            name: "werner.id".to_owned(),
            record_type: "A".to_owned(),
            rcode: "NOERROR".to_owned(),
            records: Vec::new(),
            height: Some(7),
            time: Some("2027-03-01T12:00:09Z".to_owned()),
            ede: None,
            authoritative: true,
            types: Vec::new(),
        }
    }

    fn shown(reply: &LookupReply) -> String {
        let mut page = Page::default();
        write_answer(reply, &mut page);
        page.plain()
    }

    #[test]
    fn records_look_like_a_zone_file() {
        let mut reply = reply();
        reply.records.push(RecordText {
            owner: "werner.id.".to_owned(),
            ttl: 600,
            record_type: "A".to_owned(),
            data: "192.0.2.1".to_owned(),
        });
        let expected = "werner.id.  600  A  192.0.2.1\n;; NOERROR: 1 record, from the chain at height 7 (2027-03-01 12:00 UTC)\n";
        assert_eq!(shown(&reply), expected);
        assert_eq!(exit(&reply), Exit::Success);
    }

    #[test]
    fn absence_is_a_no_and_failure_is_trouble() {
        let mut reply = reply();
        assert_eq!(exit(&reply), Exit::No);
        assert!(shown(&reply).contains("werner.id has no record of type A, from the chain"));
        reply.types = vec!["MX".to_owned(), "TXT".to_owned()];
        assert!(shown(&reply).contains("no record of type A, it has MX, TXT, from the chain"));
        reply.rcode = "NXDOMAIN".to_owned();
        assert_eq!(exit(&reply), Exit::No);
        reply.rcode = "SERVFAIL".to_owned();
        reply.ede = Some(ExtendedError {
            code: 22,
            text: "zone file missing".to_owned(),
        });
        assert_eq!(exit(&reply), Exit::Trouble);
        assert!(shown(&reply).ends_with(";; extended error 22: zone file missing\n"));
    }
}
