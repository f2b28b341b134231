//! The chain, and the daemon that follows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ALL, BLOCKCHAIN, is_on, number, require_bitcoin, whole_number};
use crate::api::http::answer::{Api, Refusal};
use crate::api::http::commit;
use crate::api::http::endpoint::{Call, Endpoint, Parameter, Place};
use crate::api::names::PageRequest;
use crate::api::records::RecordsRequest;
use crate::api::status::StatusRequest;
use crate::names::Record;

/// A height.
const HEIGHT: Parameter = Parameter {
    name: "height",
    place: Place::Path,
    meaning: "The height of a block.",
    schema: whole_number,
    example: "100",
};

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    let ping = |path| Endpoint::json(path, "Whether the daemon is there.", &[], ping);
    vec![
        Endpoint::json(
            "/v1/blockchains/{blockchain}/consensus",
            "The consensus hash of the indexed tip.",
            &[BLOCKCHAIN],
            consensus,
        ),
        Endpoint::json(
            "/v1/blockchains/{blockchain}/name_count",
            "How many names there are.",
            &[BLOCKCHAIN, ALL],
            name_count,
        ),
        Endpoint::json(
            "/v1/blockchains/{blockchain}/operations/{height}",
            "The accepted operations of a block.",
            &[BLOCKCHAIN, HEIGHT],
            operations,
        ),
        ping("/v1/ping"),
        ping("/v1/node/ping"),
        Endpoint::json("/v1/info", "How far the daemon is.", &[], info),
    ]
}

/// The consensus hash.
#[derive(Debug, Serialize, ToSchema)]
struct Consensus {
    /// 32 hex digits.
    consensus_hash: String,
}

/// How many names there are.
#[derive(Debug, Serialize, ToSchema)]
struct NameCount {
    /// The number.
    names_count: u64,
}

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `alive`.
    status: &'static str,
    /// Version of the program.
    version: &'static str,
    /// The commit that it is made from and its date, if that is known.
    commit: Option<&'static str>,
}

/// How far the daemon is.
#[derive(Debug, Serialize, ToSchema)]
struct Info {
    /// The consensus hash of the indexed tip.
    consensus: Option<String>,
    /// Whether blocks are being indexed that were there before.
    indexing: bool,
    /// The indexed height.
    last_block_processed: Option<u32>,
    /// The height of the best block that is known.
    last_block_seen: Option<u32>,
    /// The network: `mainnet`, `mainnet-continued`, `regtest`, `dev` or `own-` and the id of a network file.
    network: String,
    /// `true`.
    server_alive: bool,
    /// Version of the program.
    server_version: &'static str,
    /// Whether it is too far behind to be relied on.
    stale: bool,
    /// Whether it is none of Bitcoin's main chain.
    testnet: bool,
    /// Zone files that are here.
    zonefile_count: u64,
}

async fn consensus(api: Api, call: Call) -> Result<Consensus, Refusal> {
    require_bitcoin(&call)?;
    let hash = api.ask(StatusRequest::default()).await?.consensus_hash;
    let nothing = || Refusal::not_found("no block is indexed yet");
    Ok(Consensus {
        consensus_hash: hash.ok_or_else(nothing)?,
    })
}

async fn name_count(api: Api, call: Call) -> Result<NameCount, Refusal> {
    require_bitcoin(&call)?;
    let request = PageRequest {
        expired: is_on(&call, &ALL),
        ..PageRequest::default()
    };
    let names_count = api.ask(request).await?.count;
    Ok(NameCount { names_count })
}

async fn operations(api: Api, call: Call) -> Result<Vec<Record>, Refusal> {
    let height = Some(number(call.text(&HEIGHT)?, "block")?);
    require_bitcoin(&call)?;
    let request = RecordsRequest {
        height,
        ..RecordsRequest::default()
    };
    let records = api.ask(request).await?.records;
    Ok(records.into_iter().map(|row| row.record).collect())
}

async fn ping(_api: Api, _call: Call) -> Result<Alive, Refusal> {
    Ok(Alive {
        status: "alive",
        version: env!("CARGO_PKG_VERSION"),
        commit: commit(),
    })
}

async fn info(api: Api, _call: Call) -> Result<Info, Refusal> {
    let status = *api.ask(StatusRequest::default()).await?;
    Ok(Info {
        consensus: status.consensus_hash,
        indexing: status.sync.is_some(),
        last_block_processed: status.height,
        last_block_seen: status.best_height,
        server_alive: true,
        server_version: env!("CARGO_PKG_VERSION"),
        stale: status.lag_seconds != Some(0),
        testnet: !status.network.starts_with("mainnet"),
        zonefile_count: status.zonefiles.announced.present,
        network: status.network,
    })
}
