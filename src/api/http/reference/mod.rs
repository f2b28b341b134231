//! The endpoints of the reference implementation, so that programs that were written for it find the same paths, keys, types
//! and statuses (blockstack-core v20.0.8.10, `docs/api-specs.md`).
//!
//! Amounts, heights and hashes mean what they mean there. What differs: a request cannot change anything, nothing says
//! `Access-Control-Allow-Origin`, and the keys of what is not built here are left out (DIDs, subdomains, accounts).

mod chain;
mod names;
mod namespaces;
mod prices;

use utoipa::PartialSchema as _;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use super::answer::Refusal;
use super::endpoint::{Call, Endpoint, Parameter, Place};

/// A name of the chain.
const NAME: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    meaning: "A name of the chain.",
    schema: String::schema,
    example: "werner.id",
};
/// A namespace.
const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    place: Place::Path,
    meaning: "The id of a namespace.",
    schema: String::schema,
    example: "id",
};
/// A page that has to be named.
const PAGE: Parameter = Parameter {
    name: "page",
    place: Place::Query,
    meaning: "The number of a page of 100, from 0 on.",
    schema: whole_number,
    example: "0",
};
/// Whether names count that are free again.
const ALL: Parameter = Parameter {
    name: "all",
    place: Place::OptionalQuery,
    meaning: "`1` or `true` for names too that have expired.",
    schema: String::schema,
    example: "true",
};
/// The chain that carries the names.
const BLOCKCHAIN: Parameter = Parameter {
    name: "blockchain",
    place: Place::Path,
    meaning: "The chain that carries the names: `bitcoin`.",
    schema: String::schema,
    example: "bitcoin",
};

/// All of them.
pub fn endpoints() -> Vec<Endpoint> {
    let files = [
        names::endpoints(),
        namespaces::endpoints(),
        prices::endpoints(),
        chain::endpoints(),
    ];
    files.into_iter().flatten().collect()
}

/// What a number in the path or the query may be.
fn whole_number() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    let (least, most) = (Some(0), Some(u32::MAX));
    number.minimum(least).maximum(most).build().into()
}

/// The whole number of a parameter; `what` is named if it is none.
fn number(text: &str, what: &str) -> Result<u32, Refusal> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or_else(|| Refusal::bad(format!("Invalid {what}")))
}

/// The page that is asked for.
fn page(call: &Call, parameter: &Parameter) -> Result<u32, Refusal> {
    number(call.text(parameter)?, "page= value")
}

/// Whether a switch in the query is on.
fn is_on(call: &Call, parameter: &Parameter) -> bool {
    let value = call.optional(parameter).unwrap_or_default();
    ["1", "true"].contains(&value.to_ascii_lowercase().as_str())
}

/// An error for every chain but the one that there is.
fn require_bitcoin(call: &Call) -> Result<(), Refusal> {
    match call.text(&BLOCKCHAIN)? {
        "bitcoin" => Ok(()),
        _ => Err(Refusal::not_found("Unsupported blockchain")),
    }
}
