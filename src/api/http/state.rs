//! How the daemon is, what a name's records are, and why: the values of the control socket's `status`, `lookup` and
//! `explain`, without what is private.

use utoipa::PartialSchema as _;

use super::answer::{Api, Refusal};
use super::endpoint::{Call, Endpoint, Parameter, Place};
use super::public;
use crate::api::explain::{ExplainReply, ExplainRequest};
use crate::api::lookup::{LookupReply, LookupRequest};
use crate::api::status::{StatusReply, StatusRequest};

/// A domain name.
const DOMAIN: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    meaning: "A domain name, with or without the last dot.",
    schema: String::schema,
    example: "werner.id",
};
/// A record type.
const TYPE: Parameter = Parameter {
    name: "type",
    place: Place::OptionalQuery,
    meaning: "A record type as in a zone file, A if it is left out.",
    schema: String::schema,
    example: "AAAA",
};

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::json("/v1/status", "How the daemon is.", &[], status),
        Endpoint::json(
            "/v1/lookup/{name}",
            "The records of a name, as a DNS client gets them.",
            &[DOMAIN, TYPE],
            lookup,
        ),
        Endpoint::json(
            "/v1/explain/{name}",
            "An answer with everything that it rests on.",
            &[DOMAIN, TYPE],
            explain,
        ),
    ]
}

async fn status(api: Api, _call: Call) -> Result<StatusReply, Refusal> {
    let reply = api.ask(StatusRequest::default()).await?;
    Ok(public::status(*reply))
}

async fn lookup(api: Api, call: Call) -> Result<LookupReply, Refusal> {
    let (name, record_type) = question(&call)?;
    let request = LookupRequest {
        name,
        record_type,
        at: None,
    };
    api.ask(request).await
}

async fn explain(api: Api, call: Call) -> Result<ExplainReply, Refusal> {
    let (name, record_type) = question(&call)?;
    let reply = api.ask(ExplainRequest { name, record_type }).await?;
    Ok(public::explain(*reply))
}

fn question(call: &Call) -> Result<(String, String), Refusal> {
    let record_type = call.optional(&TYPE).unwrap_or("A");
    Ok((call.text(&DOMAIN)?.to_owned(), record_type.to_owned()))
}
