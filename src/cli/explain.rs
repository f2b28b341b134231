//! `bnsd explain`: an answer and everything it rests on.

use clap::Args;

use super::lookup::write_answer;
use super::output::Page;
use super::term::{write_past, write_term};
use super::{Context, Exit, Result};
use crate::api::explain::{ExplainReply, ExplainRequest, NameStatus, Side, ZonefileSource};
use crate::names::SubdomainDetails;
use crate::wallet::words;

/// Arguments of `bnsd explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The domain name.
    name: String,
    /// The record type.
    #[arg(value_name = "TYPE", default_value = "A")]
    record_type: String,
}

impl Explain {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reply = context.answer(ExplainRequest {
            name: self.name,
            record_type: self.record_type.to_ascii_uppercase(),
        })?;
        context.output.print(&reply, || page(&reply))?;
        Ok(exit(&reply))
    }
}

/// A name that the chain says is not there is a no; how its zone file fares is for the reader.
fn exit(reply: &ExplainReply) -> Exit {
    match reply.provenance.status {
        None | Some(NameStatus::Registered) => Exit::Success,
        Some(NameStatus::Revoked | NameStatus::Expired | NameStatus::Unregistered) => Exit::No,
    }
}

fn page(reply: &ExplainReply) -> Page {
    let mut page = Page::default();
    page.heading(&reply.name);
    write_decision(reply, &mut page);
    write_name(reply, &mut page);
    write_zonefile(reply, &mut page);
    if let Some(subdomain) = &reply.subdomain {
        write_subdomain(subdomain, &mut page);
    }
    write_history(reply, &mut page);
    if let Some(answer) = &reply.answer {
        page.heading(format!("answer for type {}", answer.record_type));
        write_answer(answer, &mut page);
    }
    page
}

fn write_decision(reply: &ExplainReply, page: &mut Page) {
    let decision = &reply.decision;
    let side = match decision.side {
        Side::Bns => "the chain",
        Side::Legacy => "an upstream",
        Side::Local => "bnsd itself",
    };
    page.entry("answered by", side);
    page.entry("because", &decision.reason);
    page.entry_if("namespace mode", decision.mode.as_ref());
    if decision.protected {
        page.entry("protected", "yes, this label is never shadowed");
    }
    if decision.alias {
        page.entry("alias", "yes, asked for under bns.alt");
    }
}

fn write_name(reply: &ExplainReply, page: &mut Page) {
    let known = &reply.provenance.registration;
    page.entry_if("registered name", reply.provenance.registered_name.as_ref());
    page.entry_if("status", reply.provenance.status.map(status_text));
    page.entry_if("owner", known.owner.as_ref());
    page.entry_if("on the later chain", known.later_owner.as_ref());
    page.entry_if("last operation", known.operation.as_ref());
    write_past(page, "at height", known.height, known.time.as_ref());
    page.entry_if("transaction", known.txid.as_ref());
    page.entry_if("vtxindex", known.vtxindex);
    page.entry_if("confirmations", reply.provenance.confirmations);
    page.entry_if("consensus hash", reply.consensus_hash.as_ref());
    page.entry_if("rests on", reply.rests_on.as_ref());
    if reply.is_final {
        page.entry(
            "final",
            "the network has ended: the name stands so for ever",
        );
    }
    let time = known.first_registered_time.as_ref();
    write_past(page, "registered at", known.first_registered, time);
    let time = known.last_renewed_time.as_ref();
    write_past(page, "renewed at", known.last_renewed, time);
    write_term(&known.term, page);
}

fn status_text(status: NameStatus) -> &'static str {
    match status {
        NameStatus::Registered => "registered",
        NameStatus::Revoked => "revoked by its owner",
        NameStatus::Expired => "expired, nobody renewed it in time",
        NameStatus::Unregistered => "never registered",
    }
}

fn write_zonefile(reply: &ExplainReply, page: &mut Page) {
    let known = &reply.provenance.registration;
    page.entry_if("zone file hash", known.zonefile_hash.as_ref());
    page.entry_if(
        "zone file",
        reply.provenance.zonefile_source.as_ref().map(source_text),
    );
    for problem in &reply.provenance.zonefile_problems {
        page.entry("left out", problem);
    }
}

fn source_text(source: &ZonefileSource) -> String {
    match source {
        ZonefileSource::Archive => "in the archive, its hash is right".to_owned(),
        ZonefileSource::Folder { path } => format!("from {path}, its hash is right"),
        ZonefileSource::Missing => {
            "missing: put a file with this hash into a watched folder".to_owned()
        }
        ZonefileSource::Tampered => {
            "the stored file does not have this hash and is not used: supply it again".to_owned()
        }
    }
}

/// Writes a subdomain with its records.
pub(super) fn write_subdomain(subdomain: &SubdomainDetails, page: &mut Page) {
    page.heading(format!("subdomain {}", subdomain.name));
    page.entry(
        "accepted",
        match &subdomain.carrier {
            Some(_) => "yes",
            None => "no, none of its records",
        },
    );
    page.entry_if("carrier", subdomain.carrier.as_ref());
    page.entry_if("owner", subdomain.owner.as_ref());
    page.entry_if("sequence", subdomain.sequence);
    page.entry_if("DID", subdomain.did.as_ref());
    page.entry_if("zone file hash", subdomain.zonefile_hash.as_ref());
    let source = subdomain.zonefile_source.as_ref();
    page.entry_if("zone file", source.map(source_text));
    if subdomain.pending {
        let rows: Vec<String> = subdomain.missing.iter().map(u32::to_string).collect();
        let rows = rows.join(", ");
        let text =
            format!("zone files of the name are missing that may say more, inventory index {rows}");
        page.entry("pending", &text);
    }
    page.heading("records of the subdomain");
    for record in &subdomain.records {
        page.row([
            format!("  {}", record.height),
            format!("sequence {}", record.sequence),
            format!("in {}", record.carrier),
            record.owner.clone(),
            match &record.refused {
                None => "accepted".to_owned(),
                Some(reason) => format!("refused: {reason}"),
            },
        ]);
    }
}

fn write_history(reply: &ExplainReply, page: &mut Page) {
    let history = &reply.provenance.registration.history;
    if history.is_empty() {
        return;
    }
    page.heading("history");
    for entry in history {
        page.row([
            format!(
                "  {}",
                words::block_there(entry.height, entry.time.as_deref())
            ),
            entry.vtxindex.to_string(),
            entry.operation.clone(),
            entry.txid.to_string(),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Txid;
    use bitcoin::hashes::Hash as _;

    use crate::api::explain::Decision;
    use crate::names::{NameEvent, Provenance, Registration};

    #[test]
    fn only_what_is_known_is_shown() {
        let reply = ExplainReply {
            name: "example.com".to_owned(),
            decision: Decision {
                reason: "com is no namespace".to_owned(),
                ..Decision::default()
            },
            ..ExplainReply::default()
        };
        let expected =
            "example.com\n  answered by  an upstream\n  because      com is no namespace\n";
        assert_eq!(page(&reply).plain(), expected);
        assert_eq!(exit(&reply), Exit::Success);
    }

    #[test]
    fn a_revoked_name_is_a_no_with_its_history() {
        let reply = ExplainReply {
            name: "werner.id".to_owned(),
            provenance: Provenance {
                status: Some(NameStatus::Revoked),
                zonefile_source: Some(ZonefileSource::Missing),
                registration: Registration {
                    history: vec![NameEvent {
                        height: 7,
                        time: None,
                        vtxindex: 1,
                        txid: Txid::all_zeros(),
                        operation: "NAME_REVOKE".to_owned(),
                        owner: None,
                        zonefile_hash: None,
                    }],
                    ..Registration::default()
                },
                ..Provenance::default()
            },
            ..ExplainReply::default()
        };
        let shown = page(&reply).plain();
        assert!(shown.contains("revoked by its owner"), "{shown}");
        let row = format!("history\n  7  1  NAME_REVOKE  {}\n", Txid::all_zeros());
        assert!(shown.ends_with(&row), "{shown}");
        assert_eq!(exit(&reply), Exit::No);
    }
}
