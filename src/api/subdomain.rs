//! The request `subdomain`: which records of a subdomain are accepted, see [`SubdomainDetails`].

use serde::{Deserialize, Serialize};

use crate::names::SubdomainDetails;

/// Asks for what is known of a subdomain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubdomainRequest {
    /// Which one, as LABEL.NAME.NAMESPACE.
    pub name: String,
}

/// What is known of a subdomain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubdomainReply {
    /// Whether every zone file was looked at that the chain announces up to its tip; one that is not here counts for nothing.
    pub current: bool,
    /// Its records; `null` if no zone file that is here holds one.
    pub subdomain: Option<SubdomainDetails>,
    /// The inventory indexes of the zone files of its name that are missing and not declared lost, at most the first 100: what
    /// they hold may change what is accepted.
    pub missing: Vec<u32>,
}
