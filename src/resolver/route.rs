//! Who answers a question, as far as its name, type and class alone can tell.
//!
//! The last two labels decide: `www.werner.id` and `_443._tcp.werner.id` are questions about the name `werner.id`. Below
//! `bns.alt` (RFC 9476) the two labels above it decide, so every name has an unambiguous form in every mode. `bns.alt`
//! comes before the special-use names, and these come before the namespaces.
//!
//! Only names that a namespace could hold are routed to the chain. A namespace id or a label that BNS does not allow is
//! [`Target::Impossible`] where its namespace is the chain's, and is forwarded otherwise.
//!
//! Zone transfers of our own zones would be a route of their own here: today AXFR and IXFR are [`Route::Refused`].

use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};

use super::alias::below_alias;
use super::policy::{EffectiveMode, Mode, Policy};
use super::question::{Question, suffix};
use super::special::{SpecialUse, special_use};
use crate::bns::name::{Name, NamespaceId};

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The chain, if its mode and its state say so.
    Bns(BnsRoute),
    /// A name that is answered locally for everyone, everywhere.
    SpecialUse(SpecialUse),
    /// An upstream.
    Forward,
    /// Nobody: a zone transfer, or a class that we do not serve.
    Refused,
}

/// A question about something that the chain may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BnsRoute {
    /// What it is about.
    pub target: Target,
    /// The name under which it is served: `werner.id.`, or `werner.id.bns.alt.` for the alias.
    pub apex: DnsName,
    /// Who decides between chain and legacy.
    pub mode: EffectiveMode,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `bns.alt.` itself, the parent of all aliases.
    Root,
    /// A namespace itself.
    Namespace(NamespaceId),
    /// A name, or something below it.
    Name(Name, NamespaceId),
    /// Something in a namespace (or directly below `bns.alt.`) that can never be registered.
    Impossible(Option<NamespaceId>),
}

impl Target {
    /// The namespace that it is in.
    pub fn namespace(&self) -> Option<&NamespaceId> {
        match self {
            Self::Namespace(id) | Self::Name(_, id) | Self::Impossible(Some(id)) => Some(id),
            Self::Root | Self::Impossible(None) => None,
        }
    }

    /// Labels of the zone that answers for it, those of `bns.alt` not counted.
    fn labels(&self) -> usize {
        match self {
            Self::Root | Self::Impossible(None) => 0,
            Self::Namespace(_) | Self::Impossible(Some(_)) => 1,
            Self::Name(..) => 2,
        }
    }
}

/// Decides who answers `question`.
pub fn route(question: &Question, policy: &Policy) -> Route {
    match is_refused(question) {
        true => Route::Refused,
        false => route_name(&question.name, policy),
    }
}

/// Decides who answers questions about a name in lower case.
pub(super) fn route_name(name: &DnsName, policy: &Policy) -> Route {
    let labels: Vec<&[u8]> = name.iter().collect();
    if let Some(below) = below_alias(&labels) {
        return Route::Bns(alias(below, name));
    }
    if let Some(special) = special_use(&labels) {
        return Route::SpecialUse(special);
    }
    plain(&labels, name, policy)
}

/// Zone transfers would hand out whole zone files over TCP; classes other than IN are no longer used but for
/// asking a server about itself, which tells strangers what runs here.
fn is_refused(question: &Question) -> bool {
    matches!(question.rtype, RecordType::AXFR | RecordType::IXFR)
        || !matches!(question.class, DNSClass::IN)
}

/// `x.id.bns.alt` is the unambiguous form of `x.id`, in every mode.
fn alias(below: &[&[u8]], name: &DnsName) -> BnsRoute {
    let target = match below {
        [] => Target::Root,
        below => target(below).unwrap_or(Target::Impossible(None)),
    };
    BnsRoute {
        apex: suffix(name, 2 + target.labels()),
        target,
        mode: EffectiveMode::Configured(Mode::Only),
    }
}

fn plain(labels: &[&[u8]], name: &DnsName, policy: &Policy) -> Route {
    let Some(target) = target(labels) else {
        return Route::Forward;
    };
    let mode = match &target {
        Target::Name(bns, namespace) => policy.mode_of_name(bns, namespace),
        Target::Namespace(id) | Target::Impossible(Some(id)) => policy.mode(id),
        Target::Root | Target::Impossible(None) => return Route::Forward,
    };
    if mode.mode() == Mode::Off {
        return Route::Forward;
    }
    Route::Bns(BnsRoute {
        apex: suffix(name, target.labels()),
        target,
        mode,
    })
}

/// The name of the chain that decides about a domain name, whatever its mode; `None` if there can be none.
pub fn registrable(name: &DnsName) -> Option<(Name, NamespaceId)> {
    let labels: Vec<&[u8]> = name.iter().collect();
    match target(&labels)? {
        Target::Name(name, id) => Some((name, id)),
        _ => None,
    }
}

/// The name of the chain to which a host in lower case belongs, and the host without [`ALIAS`](super::ALIAS); `None` if no name of the
/// chain can have it.
pub fn host_of_chain(host: &DnsName) -> Option<(Name, DnsName)> {
    let labels: Vec<&[u8]> = host.iter().collect();
    let plain = match below_alias(&labels) {
        Some(below) => DnsName::from_labels(below.iter().copied()).ok()?,
        None => host.clone(),
    };
    let (name, _) = registrable(&plain)?;
    Some((name, plain))
}

/// What the last labels name; `None` if no namespace can have that id.
fn target(labels: &[&[u8]]) -> Option<Target> {
    let (namespace, below) = labels.split_last()?;
    let id = NamespaceId::from_bytes(namespace).ok()?;
    let Some(label) = below.last() else {
        return Some(Target::Namespace(id));
    };
    Some(match Name::in_namespace(label, &id) {
        Ok(name) => Target::Name(name, id),
        Err(_) => Target::Impossible(Some(id)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(name: &str, policy: &Policy) -> Route {
        let name = DnsName::from_ascii(name).expect("a domain name");
        route(&Question::new(&name, RecordType::A, DNSClass::IN), policy)
    }

    fn bns(route: Route) -> (Target, String) {
        match route {
            Route::Bns(found) => (found.target, found.apex.to_string()),
            other => panic!("expected the chain, got {other:?}"),
        }
    }

    fn name_of(text: &str) -> Target {
        let name: Name = text.parse().expect("a name");
        let id = name.namespace_id().expect("its namespace");
        Target::Name(name, id)
    }

    #[test]
    fn both_forms_of_a_host_belong_to_one_name() {
        let host = |text: &str| DnsName::from_ascii(text).expect("a domain name");
        let me: Name = "me.id".parse().expect("a name");
        let found = Some((me, host("www.me.id.")));
        assert_eq!(host_of_chain(&host("www.me.id.")), found);
        assert_eq!(host_of_chain(&host("www.me.id.bns.alt.")), found);
        for none in ["bns.alt.", "id.bns.alt.", "id.", "."] {
            assert_eq!(host_of_chain(&host(none)), None, "{none}");
        }
    }

    #[test]
    fn the_last_two_labels_decide() {
        let policy = Policy::default();
        for asked in ["werner.id.", "www.werner.id.", "_443._TCP.Werner.iD."] {
            assert_eq!(
                bns(decide(asked, &policy)),
                (name_of("werner.id"), "werner.id.".into())
            );
        }
        assert_eq!(decide("www.example.com.", &policy), Route::Forward);
        assert_eq!(decide("www.pertamina.co.id.", &policy), Route::Forward);
        assert_eq!(decide(".", &policy), Route::Forward);
    }

    #[test]
    fn the_alias_answers_in_every_mode() {
        let mut policy = Policy::default();
        policy.modes.insert("id".parse().expect("an id"), Mode::Off);
        assert_eq!(decide("werner.id.", &policy), Route::Forward);
        assert_eq!(
            bns(decide("www.co.id.bns.alt.", &policy)),
            (name_of("co.id"), "co.id.bns.alt.".into())
        );
        assert_eq!(bns(decide("bns.alt.", &policy)).0, Target::Root);
        let (target, apex) = bns(decide("id.bns.alt.", &policy));
        assert_eq!(apex, "id.bns.alt.");
        assert!(matches!(target, Target::Namespace(_)));
    }

    #[test]
    fn what_can_never_be_registered_belongs_to_its_namespace() {
        let policy = Policy::default();
        let long = format!("{}.podcast.", "a".repeat(40));
        let (target, apex) = bns(decide(&long, &policy));
        assert_eq!(apex, "podcast.");
        assert!(matches!(target, Target::Impossible(Some(_))));
        // A dot inside a label is not the separator of a name.
        let dotted = DnsName::from_labels([&b"a.b"[..], b"podcast"]).expect("two labels");
        let question = Question::new(&dotted, RecordType::A, DNSClass::IN);
        let (target, _) = bns(route(&question, &policy));
        assert!(matches!(target, Target::Impossible(Some(_))));
    }

    #[test]
    fn special_names_stay_here() {
        let policy = Policy::default();
        let cases = [
            ("localhost.", SpecialUse::Localhost),
            ("foo.localhost.", SpecialUse::Localhost),
            ("foo.test.", SpecialUse::Nonexistent(1)),
            ("alt.", SpecialUse::Nonexistent(1)),
            ("use-application-dns.net.", SpecialUse::Nonexistent(2)),
            ("printer.local.", SpecialUse::Nonexistent(1)),
            ("x.home.arpa.", SpecialUse::Empty(2)),
            ("_dns.resolver.arpa.", SpecialUse::Empty(2)),
            ("1.0.0.127.in-addr.arpa.", SpecialUse::LoopbackReverse),
            ("2.0.0.127.in-addr.arpa.", SpecialUse::Empty(3)),
            ("1.1.168.192.in-addr.arpa.", SpecialUse::Empty(4)),
            ("9.20.172.in-addr.arpa.", SpecialUse::Empty(4)),
            ("c.f.ip6.arpa.", SpecialUse::Empty(4)),
        ];
        for (name, expected) in cases {
            assert_eq!(decide(name, &policy), Route::SpecialUse(expected), "{name}");
        }
        let loopback = format!("1.{}ip6.arpa.", "0.".repeat(31));
        assert_eq!(
            decide(&loopback, &policy),
            Route::SpecialUse(SpecialUse::LoopbackReverse)
        );
        for forwarded in ["8.8.8.8.in-addr.arpa.", "1.32.172.in-addr.arpa.", "arpa."] {
            assert!(
                !matches!(decide(forwarded, &policy), Route::SpecialUse(_)),
                "{forwarded}"
            );
        }
    }

    #[test]
    fn transfers_and_other_classes_are_refused() {
        let name = DnsName::from_ascii("version.bind.").expect("a domain name");
        let policy = Policy::default();
        for (rtype, class) in [
            (RecordType::TXT, DNSClass::CH),
            (RecordType::A, DNSClass::NONE),
            (RecordType::A, DNSClass::ANY),
            (RecordType::AXFR, DNSClass::IN),
            (RecordType::IXFR, DNSClass::IN),
        ] {
            assert_eq!(
                route(&Question::new(&name, rtype, class), &policy),
                Route::Refused
            );
        }
    }
}
