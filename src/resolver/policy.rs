//! What a person can choose about answers: modes of namespaces, limits, exceptions.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;
use serde::{Deserialize, Serialize};

use super::source::SyncState;
use crate::bns::name::{Name, NamespaceId};

/// Labels of `.id` under which Indonesia registers names. The chain never shadows them.
const PROTECTED_ID: [&str; 12] = [
    "co", "go", "ac", "or", "web", "sch", "mil", "net", "my", "biz", "desa", "ponpes",
];

/// The namespaces of the main chain other than `id` (sm §9). Their names stay on the machine even before the
/// first block is read.
const HISTORICAL: [&str; 4] = ["blockstack", "graphite", "helloworld", "podcast"];

/// Top-level names that mean something already, though ICANN delegates none of them, so that no namespace takes them over by
/// itself: special use (RFC 6761 §6, RFC 6762 §3, RFC 7686, RFC 9476), names of private networks (RFC 6762 appendix G,
/// and what routers and systems add to short names), ICANN's name collisions (board resolution 2018.02.04.12: corp, home,
/// mail) and private use (2024.07.29.06: internal).
const TAKEN: [&str; 16] = [
    "alt",
    "corp",
    "domain",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
];

/// The ICANN top-level domains, dated in the file's head.
const TLDS: &str = include_str!("tlds.txt");

/// How a namespace and an ICANN TLD of the same name share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// BNS if the name is registered and unexpired and its label is not protected; else forwarded.
    Exact,
    /// BNS or NXDOMAIN; never leaves the machine.
    Only,
    /// Forwarded; BNS when the answer is NXDOMAIN.
    LegacyFirst,
    /// Forwarded.
    Off,
}

/// The mode of a namespace, and who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectiveMode {
    /// A person's configuration.
    Configured(Mode),
    /// The default. [`Mode::Only`] then holds only while the namespace is ready, because any top-level
    /// name could be meant otherwise.
    Default(Mode),
}

impl EffectiveMode {
    /// The mode, whoever chose it.
    pub fn mode(self) -> Mode {
        match self {
            Self::Configured(mode) | Self::Default(mode) => mode,
        }
    }
}

/// A person's choice for one colliding name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// The name on the chain.
    Bns,
    /// The name in the legacy tree.
    Legacy,
}

/// What decides answers beside the chain.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Modes that differ from the default.
    pub modes: HashMap<NamespaceId, Mode>,
    /// Choices for single names.
    pub preferences: HashMap<Name, Preference>,
    /// Longest TTL of an answer from the chain, in seconds.
    pub max_ttl: u32,
    /// Beyond this lag, answers from the chain are refused.
    pub max_lag: Duration,
    /// Names at and below which private addresses are passed on.
    pub allow_private: Vec<DnsName>,
    /// Whether AD is set on answers from the chain for those who ask for it.
    pub ad_for_bns: bool,
    /// The address that stands for names without one; `None` for none.
    pub gateway: Option<IpAddr>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            modes: HashMap::new(),
            preferences: HashMap::new(),
            max_ttl: 600,
            max_lag: Duration::from_secs(2 * 60 * 60),
            allow_private: Vec::new(),
            ad_for_bns: true,
            gateway: None,
        }
    }
}

impl Policy {
    /// The mode of a namespace.
    pub fn mode(&self, id: &NamespaceId) -> EffectiveMode {
        if let Some(&mode) = self.modes.get(id) {
            return EffectiveMode::Configured(mode);
        }
        EffectiveMode::Default(match id.as_str() {
            "id" => Mode::Exact,
            other if is_icann_tld(other) || is_taken(id) => Mode::Off,
            _ => Mode::Only,
        })
    }

    /// The mode of one name: its namespace's, unless someone chose or the label is protected. A protected label
    /// shows nothing of the chain beside the legacy tree, whatever anybody chose for it.
    pub(super) fn mode_of_name(&self, name: &Name, namespace: &NamespaceId) -> EffectiveMode {
        let mode = self.mode(namespace);
        if mode.mode() != Mode::Only && is_protected(name) {
            return EffectiveMode::Default(Mode::Off);
        }
        match self.preferences.get(name) {
            Some(Preference::Bns) => EffectiveMode::Configured(Mode::Exact),
            Some(Preference::Legacy) => EffectiveMode::Configured(Mode::Off),
            None => mode,
        }
    }

    /// Whether an index that is this far can vouch for what it says.
    pub fn accepts(&self, sync: SyncState) -> bool {
        match sync {
            SyncState::Synced => true,
            SyncState::Behind { lag, .. } => lag <= self.max_lag,
            SyncState::Damaged
            | SyncState::Forked { .. }
            | SyncState::Filling { .. }
            | SyncState::NeverSynced { .. } => false,
        }
    }

    /// Whether private addresses of `name` are passed on.
    pub fn allows_private(&self, name: &DnsName) -> bool {
        self.allow_private.iter().any(|zone| zone.zone_of(name))
    }
}

/// Whether ICANN delegates this top-level domain, as of the date in `tlds.txt`.
fn is_icann_tld(label: &str) -> bool {
    static SET: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| TLDS.lines().filter(|line| !line.starts_with('#')).collect());
    SET.contains(label)
}

/// Whether other people's networks use this name as a top-level domain, though ICANN does not delegate it.
pub fn is_taken(id: &NamespaceId) -> bool {
    TAKEN.contains(&id.as_str())
}

/// The namespaces of the main chain that are served unless somebody configures otherwise.
pub fn of_main_chain() -> impl Iterator<Item = &'static str> {
    HISTORICAL.into_iter().chain(["id"])
}

/// Whether the main chain has this namespace, apart from `id`.
pub(super) fn is_historical(id: &NamespaceId) -> bool {
    HISTORICAL.contains(&id.as_str())
}

/// The names that the legacy tree keeps in every mode but `only`.
pub fn protected_names() -> impl Iterator<Item = String> {
    PROTECTED_ID.iter().map(|label| format!("{label}.id"))
}

/// Whether the legacy tree keeps this name in every mode but `only`.
pub fn is_protected(name: &Name) -> bool {
    name.namespace() == "id" && PROTECTED_ID.contains(&name.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(id: &str) -> NamespaceId {
        id.parse().expect("a namespace id")
    }

    #[test]
    fn namespaces_that_are_icann_tlds_are_off_except_id() {
        let policy = Policy::default();
        for (id, mode) in [
            ("id", Mode::Exact),
            ("com", Mode::Off),
            ("xyz", Mode::Off),
            ("podcast", Mode::Only),
            ("helloworld", Mode::Only),
        ] {
            assert_eq!(
                policy.mode(&namespace(id)),
                EffectiveMode::Default(mode),
                "{id}"
            );
        }
    }

    #[test]
    fn names_of_private_networks_are_taken_over_only_by_configuration() {
        let mut policy = Policy::default();
        for id in TAKEN {
            let mode = policy.mode(&namespace(id));
            assert_eq!(mode, EffectiveMode::Default(Mode::Off), "{id}");
        }
        policy.modes.insert(namespace("lan"), Mode::Only);
        let mode = policy.mode(&namespace("lan"));
        assert_eq!(mode, EffectiveMode::Configured(Mode::Only));
    }

    #[test]
    fn a_configured_mode_beats_the_default() {
        let mut policy = Policy::default();
        policy.modes.insert(namespace("id"), Mode::Only);
        assert_eq!(
            policy.mode(&namespace("id")),
            EffectiveMode::Configured(Mode::Only)
        );
    }

    #[test]
    fn protected_labels_are_never_shadowed_and_a_person_settles_one_name() {
        let mut policy = Policy::default();
        let id = namespace("id");
        let mode = |policy: &Policy, name: &str| {
            policy
                .mode_of_name(&name.parse().expect("a name"), &id)
                .mode()
        };
        assert_eq!(mode(&policy, "co.id"), Mode::Off);
        assert_eq!(mode(&policy, "ponpes.id"), Mode::Off);
        assert_eq!(mode(&policy, "werner.id"), Mode::Exact);
        policy
            .preferences
            .insert("werner.id".parse().expect("a name"), Preference::Legacy);
        assert_eq!(mode(&policy, "werner.id"), Mode::Off);
        policy
            .preferences
            .insert("co.id".parse().expect("a name"), Preference::Bns);
        assert_eq!(mode(&policy, "co.id"), Mode::Off);
        policy.modes.insert(id.clone(), Mode::LegacyFirst);
        assert_eq!(mode(&policy, "go.id"), Mode::Off);
    }
}
