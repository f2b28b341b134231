//! How the daemon is, what a name's records are, and why: the values of the control socket's `status`, `lookup` and
//! `explain`, without what is private.

use utoipa::PartialSchema as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::answer::{Api, Refusal};
use super::endpoint::{Call, Endpoint, Parameter, Place};
use super::public;
use crate::api::explain::{ExplainReply, ExplainRequest};
use crate::api::keys::{KeysReply, KeysRequest};
use crate::api::lookup::{LookupReply, LookupRequest};
use crate::api::peers::{PeersReply, PeersRequest};
use crate::api::series::{SeriesReply, SeriesRequest, Step};
use crate::api::status::{StatusReply, StatusRequest};
use crate::api::subdomain::{SubdomainReply, SubdomainRequest};

/// A domain name.
const DOMAIN: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    meaning: "A domain name, with or without the last dot.",
    schema: String::schema,
    example: "werner.id",
};
/// A subdomain.
const SUBDOMAIN: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    meaning: "A subdomain, as label, name and namespace.",
    schema: String::schema,
    example: "www.werner.id",
};
/// A record type.
const TYPE: Parameter = Parameter {
    name: "type",
    place: Place::OptionalQuery,
    meaning: "A record type as in a zone file, A if it is left out.",
    schema: String::schema,
    example: "AAAA",
};

/// A port.
const PORT: Parameter = Parameter {
    name: "port",
    place: Place::OptionalQuery,
    meaning: "The TCP port of the server, 443 if it is left out.",
    schema: port_schema,
    example: "443",
};

/// A delegation.
const DELEGATION: Parameter = Parameter {
    name: "delegation",
    place: Place::OptionalQuery,
    meaning: "The delegation in the certificate that the server showed.",
    schema: String::schema,
    example: "v=bnstls1 use=ee",
};

/// What a sample stands for.
const STEP: Parameter = Parameter {
    name: "step",
    place: Place::OptionalQuery,
    meaning: "What a sample stands for: `second` for those of the last hour, which is the default, or `minute` for those of \
              the last day.",
    schema: Step::schema,
    example: "second",
};
/// The samples that somebody has already.
const AFTER: Parameter = Parameter {
    name: "after",
    place: Place::OptionalQuery,
    meaning: "Only the samples behind the one with this number, which is `last` of an earlier reply.",
    schema: u64::schema,
    example: "17",
};

fn port_schema() -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::Integer);
    let schema = schema.minimum(Some(1)).maximum(Some(u16::MAX));
    schema.into()
}

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
        Endpoint::json(
            "/v1/subdomains/{name}",
            "The records of a subdomain, and why those are not accepted that are not.",
            &[SUBDOMAIN],
            subdomain,
        ),
        Endpoint::json(
            "/v1/pins/{name}",
            "What a TLS server of a name has to show, and what proves it.",
            &[DOMAIN, PORT, DELEGATION],
            pins,
        ),
        Endpoint::json("/v1/peers", "Who brings and takes zone files.", &[], peers),
        Endpoint::json(
            "/v1/series",
            "How many questions there were, and how long they took.",
            &[STEP, AFTER],
            series,
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

async fn subdomain(api: Api, call: Call) -> Result<SubdomainReply, Refusal> {
    let name = call.text(&SUBDOMAIN)?.to_owned();
    Ok(*api.ask(SubdomainRequest { name }).await?)
}

async fn pins(api: Api, call: Call) -> Result<KeysReply, Refusal> {
    let wrong = || Refusal::bad("a port is a number from 1 to 65535");
    let number = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0);
    let port = call
        .optional(&PORT)
        .map(|text| number(text).ok_or_else(wrong));
    let request = KeysRequest {
        name: call.text(&DOMAIN)?.to_owned(),
        port: port.transpose()?,
        delegation: call.optional(&DELEGATION).map(str::to_owned),
        history: false,
    };
    Ok(*api.ask(request).await?)
}

async fn peers(api: Api, _call: Call) -> Result<PeersReply, Refusal> {
    api.ask(PeersRequest {}).await
}

async fn series(api: Api, call: Call) -> Result<SeriesReply, Refusal> {
    let step = match call.optional(&STEP) {
        None | Some("second") => Step::Second,
        Some("minute") => Step::Minute,
        Some(_) => return Err(Refusal::bad("a step is `second` or `minute`")),
    };
    let number = |text: &str| {
        let wrong = || Refusal::bad("`after` is the number of a sample");
        // As many as the document says: its integers have a sign.
        let number: Option<i64> = text.parse().ok();
        number
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(wrong)
    };
    let after = call.optional(&AFTER).map(number).transpose()?;
    let reply = api.ask(SeriesRequest { step, after }).await?;
    Ok(*reply)
}

fn question(call: &Call) -> Result<(String, String), Refusal> {
    let record_type = call.optional(&TYPE).unwrap_or("A");
    Ok((call.text(&DOMAIN)?.to_owned(), record_type.to_owned()))
}
