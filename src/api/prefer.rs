//! The endpoint `prefer`: a person's choice for one name that two trees have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bns::Name;
use crate::resolver::Preference;

/// Sets a choice, or asks for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferRequest {
    /// The choice to set; `null` to set none.
    #[serde(default)]
    pub set: Option<Choice>,
}

/// A choice for one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The name, as in `werner.id`.
    pub name: String,
    /// Who answers for it.
    pub side: Preferred,
}

/// Who answers for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preferred {
    /// The chain, as long as the name is registered there.
    Bns,
    /// The legacy tree.
    Legacy,
    /// Whatever the mode of the namespace says.
    Auto,
}

/// All choices in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferReply {
    /// Names and who answers for them.
    pub preferences: BTreeMap<Name, Preference>,
}
