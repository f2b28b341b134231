//! What names and namespaces cost in the next block.
//!
//! The reference has each path in two versions: the first says satoshi as a number too, the second is meant for other
//! currencies and has the amount as a text alone. Its own server gave `satoshis` in both.

use serde::Serialize;
use utoipa::ToSchema;

use super::{NAME, NAMESPACE, namespaces};
use crate::api::http::answer::{Api, Refusal};
use crate::api::http::endpoint::{Call, Endpoint};
use crate::api::names::{NameRequest, NamespaceRequest};
use crate::bns::Name;

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    let name = |path| Endpoint::json(path, "What a name costs.", &[NAME], of_name);
    let namespace =
        |path| Endpoint::json(path, "What a namespace costs.", &[NAMESPACE], of_namespace);
    vec![
        name("/v1/prices/names/{name}"),
        name("/v2/prices/names/{name}"),
        namespace("/v1/prices/namespaces/{namespace}"),
        namespace("/v2/prices/namespaces/{namespace}"),
    ]
}

/// An amount of a currency.
#[derive(Debug, Serialize, ToSchema)]
struct Cost {
    /// In the smallest part of the currency, as a text: JavaScript has no such large numbers.
    amount: String,
    /// `BTC`, in satoshi, or `STACKS`, in µSTX.
    units: &'static str,
    /// The same as a number, if it is satoshi.
    #[serde(skip_serializing_if = "Option::is_none")]
    satoshis: Option<u64>,
}

/// What a name costs.
#[derive(Debug, Serialize, ToSchema)]
struct NameCost {
    /// Of a registration or renewal.
    name_price: Cost,
}

impl Cost {
    fn satoshi(amount: u64) -> Self {
        Self {
            amount: amount.to_string(),
            units: "BTC",
            satoshis: Some(amount),
        }
    }

    fn micro_stacks(amount: u64) -> Self {
        Self {
            amount: amount.to_string(),
            units: "STACKS",
            satoshis: None,
        }
    }
}

async fn of_name(api: Api, call: Call) -> Result<NameCost, Refusal> {
    let name: Option<Name> = call.text(&NAME)?.parse().ok();
    let name = name.filter(|name| name.namespace_id().is_some());
    let name = name.ok_or_else(|| Refusal::bad("Invalid name"))?;
    let name = name.to_string();
    let price = api.ask(NameRequest { name }).await?.price;
    let price = price.ok_or_else(|| Refusal::not_found("Unknown/invalid namespace"))?;
    let bitcoin = price.satoshi.map(Cost::satoshi);
    let name_price = bitcoin.or(price.micro_stacks.map(Cost::micro_stacks));
    let name_price = name_price.ok_or_else(nothing)?;
    Ok(NameCost { name_price })
}

async fn of_namespace(api: Api, call: Call) -> Result<Cost, Refusal> {
    let id = namespaces::id(&call)?.to_string();
    let price = api.ask(NamespaceRequest { id }).await?.price;
    // Where tokens buy namespaces, nothing else does.
    let tokens = price.micro_stacks.map(Cost::micro_stacks);
    tokens
        .or(price.satoshi.map(Cost::satoshi))
        .ok_or_else(nothing)
}

fn nothing() -> Refusal {
    Refusal::not_found("no amount would do")
}
