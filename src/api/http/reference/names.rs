//! Names: how each stands, its history, its zone files, and lists of them.

use std::collections::BTreeMap;

use axum::response::Response;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::{PartialSchema as _, ToSchema};

use super::{ALL, BLOCKCHAIN, NAME, PAGE, is_on, number, page, require_bitcoin};
use crate::api::http::answer::{Api, Refusal, json_response, response};
use crate::api::http::endpoint::{Call, Endpoint, Parameter, Place};
use crate::api::names::{NameRequest, NamesRequest, PageRequest};
use crate::api::owner::ZonefileRequest;
use crate::api::records::RecordsRequest;
use crate::bns::Name;
use crate::hash::ZonefileHash;
use crate::names::{NameDetails, NameState, Record};

/// A page of a history, the last operation on the first one.
const HISTORY_PAGE: Parameter = Parameter {
    name: "page",
    place: Place::OptionalQuery,
    meaning: "The number of a page of 20 operations, from 0 on; the last operation is on the first.",
    schema: super::whole_number,
    example: "0",
};
/// Bytes instead of JSON.
const RAW: Parameter = Parameter {
    name: "raw",
    place: Place::OptionalQuery,
    meaning: "`1` or `true` for the bytes of the zone file themselves.",
    schema: String::schema,
    example: "1",
};
/// The hash of a zone file.
const HASH: Parameter = Parameter {
    name: "hash",
    place: Place::Path,
    meaning: "The hash of a zone file that the name has or had: 40 hex digits.",
    schema: String::schema,
    example: "37aecf837c6ae9bdc9dbd98a268f263dacd00361",
};
/// An address of the chain.
const ADDRESS: Parameter = Parameter {
    name: "address",
    place: Place::Path,
    meaning: "An address of the followed network.",
    schema: String::schema,
    example: "1J3PUxY5uDShUnHRrMyU6yKtoHEUPhKULs",
};
/// The type of raw zone files.
const BYTES: &str = "application/octet-stream";

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::json("/v1/names", "A page of all names.", &[PAGE, ALL], list),
        Endpoint::json("/v1/names/{name}", "How a name stands.", &[NAME], info)
            .or::<Available>(StatusCode::NOT_FOUND, "nobody has the name"),
        Endpoint::json(
            "/v1/names/{name}/history",
            "What happened to a name, by height.",
            &[NAME, HISTORY_PAGE],
            history,
        ),
        Endpoint::response::<ZonefileText, _, _>(
            "/v1/names/{name}/zonefile",
            "The zone file of a name.",
            &[NAME, RAW],
            zonefile,
        )
        .or_bytes(BYTES),
        Endpoint::response::<ZonefileText, _, _>(
            "/v1/names/{name}/zonefile/{hash}",
            "A zone file that a name has or had.",
            &[NAME, HASH, RAW],
            earlier_zonefile,
        )
        .or_bytes(BYTES),
        Endpoint::json(
            "/v1/addresses/{blockchain}/{address}",
            "The names that an address owns.",
            &[BLOCKCHAIN, ADDRESS],
            owned,
        ),
    ]
}

/// How a name stands.
#[derive(Debug, Serialize, ToSchema)]
struct NameInfo {
    /// Address of the owner.
    address: Option<String>,
    /// The chain that carries it.
    blockchain: &'static str,
    /// First height of its grace period, in which it resolves and should be renewed; without one the last height at which
    /// it resolves; -1 if it has no end.
    expire_block: i64,
    /// Whether that height is past, and it can still be renewed.
    grace_period: bool,
    /// The transaction of the last operation.
    #[schema(value_type = Option<String>)]
    last_txid: Option<bitcoin::Txid>,
    /// Last height at which it resolves, as the reference counts; the next block still takes a renewal. -1 if it has no end.
    renewal_deadline: i64,
    /// A resolver of its subdomains; there is none.
    resolver: Option<String>,
    /// `registered` or `revoked`.
    status: &'static str,
    /// The zone file, `null` if it is not here or is no text.
    zonefile: Option<String>,
    /// Its hash.
    #[schema(value_type = Option<String>)]
    zonefile_hash: Option<ZonefileHash>,
}

/// Why there is no name: nobody has it, or its term is over.
#[derive(Debug, Serialize, ToSchema)]
struct Available {
    /// `available` if nobody ever had it, be its namespace open or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// What happened to it otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A zone file.
#[derive(Debug, Serialize, ToSchema)]
struct ZonefileText {
    /// Its text.
    zonefile: String,
}

/// The names of an address.
#[derive(Debug, Serialize, ToSchema)]
struct Owned {
    /// In ascending order.
    #[schema(value_type = Vec<String>)]
    names: Vec<Name>,
}

async fn list(api: Api, call: Call) -> Result<Vec<String>, Refusal> {
    let request = PageRequest {
        page: page(&call, &PAGE)?,
        expired: is_on(&call, &ALL),
        namespace: None,
    };
    let names = api.ask(request).await?.names;
    Ok(names.iter().map(ToString::to_string).collect())
}

async fn info(api: Api, call: Call) -> Result<NameInfo, Refusal> {
    let details = held(&api, &call).await?;
    let registration = details.registration;
    let zonefile = match registration.zonefile_hash {
        Some(hash) => api.ask(ZonefileRequest { hash }).await?.zonefile,
        None => None,
    };
    let heights = &registration.term.heights;
    let or_none = |height: Option<u32>| height.map_or(-1, i64::from);
    Ok(NameInfo {
        address: registration.owner,
        blockchain: "bitcoin",
        expire_block: or_none(heights.grace_start.or(heights.last_resolves)),
        grace_period: details.state == NameState::Grace,
        last_txid: registration.txid,
        renewal_deadline: or_none(heights.last_resolves),
        resolver: None,
        status: match details.state {
            NameState::Revoked => "revoked",
            _ => "registered",
        },
        zonefile: zonefile.and_then(|bytes| String::from_utf8(bytes).ok()),
        zonefile_hash: registration.zonefile_hash,
    })
}

/// The details of a name that somebody has.
async fn held(api: &Api, call: &Call) -> Result<NameDetails, Refusal> {
    let name = name(call)?.to_string();
    let details = api.ask(NameRequest { name }).await?;
    match (details.state, details.registration.height) {
        (NameState::Free, None) => {
            let available = json!({ "status": "available" });
            Err(Refusal::with_body(StatusCode::NOT_FOUND, available))
        }
        (NameState::Free, Some(_)) => Err(Refusal::not_found("Name expired")),
        _ => Ok(*details),
    }
}

fn name(call: &Call) -> Result<Name, Refusal> {
    let name: Option<Name> = call.text(&NAME)?.parse().ok();
    let name = name.filter(|name| name.namespace_id().is_some());
    name.ok_or_else(|| Refusal::bad("Invalid name or subdomain"))
}

async fn history(api: Api, call: Call) -> Result<BTreeMap<String, Vec<Record>>, Refusal> {
    let page = call.optional(&HISTORY_PAGE).unwrap_or("0");
    let request = RecordsRequest {
        name: Some(name(&call)?.to_string()),
        page: number(page, "page")?,
        ..RecordsRequest::default()
    };
    let mut history: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for row in api.ask(request).await?.records {
        history
            .entry(row.height.to_string())
            .or_default()
            .push(row.record);
    }
    match history.is_empty() {
        true => Err(Refusal::not_found("Not found")),
        false => Ok(history),
    }
}

async fn zonefile(api: Api, call: Call) -> Result<Response, Refusal> {
    let hash = held(&api, &call).await?.registration.zonefile_hash;
    let nothing = || Refusal::not_found("No zone file for name");
    let hash = hash.ok_or_else(nothing)?;
    let zonefile = api.ask(ZonefileRequest { hash }).await?.zonefile;
    shown(zonefile.ok_or_else(nothing)?, &call)
}

async fn earlier_zonefile(api: Api, call: Call) -> Result<Response, Refusal> {
    let name = name(&call)?.to_string();
    let hash = call.text(&HASH)?.to_ascii_lowercase();
    let hash: ZonefileHash = hash
        .parse()
        .map_err(|_| Refusal::bad("Invalid zone file hash"))?;
    let details = api.ask(NameRequest { name }).await?;
    let mut history = details.registration.history.iter();
    if !history.any(|event| event.zonefile_hash == Some(hash)) {
        return Err(Refusal::not_found("No such zonefile"));
    }
    let zonefile = api.ask(ZonefileRequest { hash }).await?.zonefile;
    let missing = || Refusal::not_found("this daemon does not have the zone file: try again later");
    shown(zonefile.ok_or_else(missing)?, &call)
}

/// A zone file as its bytes, or as text in an object.
fn shown(zonefile: Vec<u8>, call: &Call) -> Result<Response, Refusal> {
    if is_on(call, &RAW) {
        return Ok(response(BYTES, zonefile));
    }
    let text = String::from_utf8(zonefile);
    let zonefile =
        text.map_err(|_| Refusal::bad("the zone file is no text: raw=1 gives its bytes"))?;
    Ok(json_response(&ZonefileText { zonefile }))
}

async fn owned(api: Api, call: Call) -> Result<Owned, Refusal> {
    require_bitcoin(&call)?;
    let owners = vec![call.text(&ADDRESS)?.to_owned()];
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let request = NamesRequest {
            owners: owners.clone(),
            after,
            ..NamesRequest::default()
        };
        let list = api.ask(request).await?;
        let held = list.names.into_iter();
        // The reference leaves those out that their owner revoked.
        names.extend(
            held.filter(|row| row.state != NameState::Revoked)
                .map(|row| row.name),
        );
        after = list.next.map(|name| name.to_string());
        if after.is_none() {
            return Ok(Owned { names });
        }
    }
}
