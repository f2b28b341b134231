//! Names for tests: a source of state in memory, its zone files parsed from text.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use hickory_proto::rr::Name as DnsName;

use super::source::{
    AcceptedSubdomain, NameSource, NameStatus, NamespaceStatus, RegisteredName, SubdomainStatus,
    SyncState, ZoneStatus,
};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::subdomain::Subdomain;
use crate::hash::ZonefileHash;
use crate::tlsa::Holder;
use crate::zonefile::Compiled;

/// Names at height 100; namespaces `id` and `podcast` are ready.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) sync: SyncState,
    pub(crate) names: HashMap<String, NameStatus>,
    zones: HashMap<String, ZoneStatus>,
    subdomains: HashMap<String, AcceptedSubdomain>,
    pub(crate) holder: Holder,
}

impl Names {
    /// The names that tests ask for.
    pub(crate) fn new() -> Self {
        let mut names = Self {
            sync: SyncState::Synced,
            names: HashMap::new(),
            zones: HashMap::new(),
            subdomains: HashMap::new(),
            holder: Holder::fixture(),
        };
        names.register(
            "good.id",
            ZoneStatus::Loaded(Arc::new(zone("good.id", GOOD))),
        );
        names.register(
            "wild.podcast",
            ZoneStatus::Loaded(Arc::new(zone("wild.podcast", WILD))),
        );
        let big: String = (0..60).map(|n| format!("@ A 198.51.100.{n}\n")).collect();
        names.register(
            "big.podcast",
            ZoneStatus::Loaded(Arc::new(zone("big.podcast", &big))),
        );
        let key = data_encoding::BASE64.encode(crate::tlsa::p256(1).as_bytes());
        let keyed = format!(
            "@ A 192.0.2.9\n* A 192.0.2.9\nhost.ent TXT x\n_tlskey TXT \"v=bnstls1 use=ta spki={key}\"\n"
        );
        names.register(
            "keyed.podcast",
            ZoneStatus::Loaded(Arc::new(zone("keyed.podcast", &keyed))),
        );
        names.set("nozf.podcast", registered(None));
        let hash = ZonefileHash::of(b"");
        names.register("missing.podcast", ZoneStatus::Missing(hash));
        names.register("badhash.podcast", ZoneStatus::Tampered(hash));
        let hub = "@ A 192.0.2.20\n* A 192.0.2.21\nto CNAME www.own.hub.podcast.\nback CNAME ent.own.hub.podcast.\n";
        names.register(
            "hub.podcast",
            ZoneStatus::Loaded(Arc::new(zone("hub.podcast", hub))),
        );
        let own = "@ A 192.0.2.22\nwww CNAME @\nup CNAME hub.podcast.\nhost.ent A 192.0.2.23\n";
        let own = zone("own.hub.podcast", own);
        names.carry("own.hub.podcast", Some(ZoneStatus::Loaded(Arc::new(own))));
        names.carry("bare.hub.podcast", None);
        names.carry("gone.hub.podcast", Some(ZoneStatus::Missing(hash)));
        names.carry("_tcp.hub.podcast", None);
        names.carry("own.expired.podcast", None);
        names.carry("own.nozf.podcast", None);
        names.set("expired.podcast", NameStatus::Expired { last_resolved: 89 });
        names.set("expired.id", NameStatus::Expired { last_resolved: 89 });
        names.set("revoked.podcast", NameStatus::Revoked { height: 91 });
        names
    }

    pub(crate) fn set(&mut self, name: &str, status: NameStatus) {
        self.names.insert(name.into(), status);
    }

    /// Accepts a subdomain at height 88, with the zone file if there is one.
    fn carry(&mut self, text: &str, zonefile: Option<ZoneStatus>) {
        let accepted = AcceptedSubdomain {
            subdomain: text.parse().expect("a subdomain"),
            last_change_height: 88,
            zonefile_hash: zonefile.as_ref().map(|_| ZonefileHash::of(text.as_bytes())),
        };
        self.subdomains.insert(text.into(), accepted);
        self.zones.extend(zonefile.map(|zone| (text.into(), zone)));
    }

    pub(crate) fn register(&mut self, name: &str, zone: ZoneStatus) {
        self.zones.insert(name.into(), zone);
        self.set(name, registered(Some(ZonefileHash::of(name.as_bytes()))));
    }
}

fn registered(zonefile_hash: Option<ZonefileHash>) -> NameStatus {
    NameStatus::Registered(RegisteredName {
        last_change_height: 77,
        last_resolves: None,
        zonefile_hash,
    })
}

fn zone(name: &str, text: &str) -> crate::zonefile::Zone {
    let mut origin = DnsName::from_ascii(name).expect("a domain name");
    origin.set_fqdn(true);
    let zone = crate::zonefile::parse(&origin, text.as_bytes()).expect("a zone file");
    assert_eq!(zone.ignored_count(), 0, "{:?}", zone.ignored());
    zone
}

const GOOD: &str = "$TTL 3600
@ A 192.0.2.1
@ URI 10 1 \"https://example.com/\"
www 60 CNAME @
deep.er.sub TXT \"below\"
private A 10.0.0.1
mixed A 10.0.0.1
mixed A 192.0.2.2
out CNAME www.example.com.
other CNAME foo.wild.podcast.
bare CNAME nozf.podcast.
a CNAME b
b CNAME a
home CNAME localhost.
round CNAME round.wild.podcast.
short DNAME target
x.target A 192.0.2.3
leave DNAME example.com.
t TYPE65280 \\# 4 DEADBEEF
t TYPE65281 \\# 0
";

const WILD: &str = "@ SOA ns.wild.podcast. h.wild.podcast. 5 3600 600 86400 30
* A 192.0.2.7
*.sub TXT \"two\"
host.ent TXT \"x\"
exact TXT \"y\"
round CNAME round.good.id.
";

impl NameSource for Names {
    type Error = Infallible;

    fn height(&self) -> Option<u32> {
        Some(100)
    }

    fn sync(&self) -> SyncState {
        self.sync
    }

    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceStatus, Infallible> {
        Ok(match id.as_str() {
            "id" | "podcast" => NamespaceStatus::Ready {
                last_change_height: 10,
            },
            "early" => NamespaceStatus::Revealed,
            _ => NamespaceStatus::Absent,
        })
    }

    fn name(&self, name: &Name) -> Result<NameStatus, Infallible> {
        let status = self.names.get(name.as_str()).copied();
        Ok(status.unwrap_or(NameStatus::Unregistered))
    }

    fn zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, Infallible> {
        let zone = self.zones.get(name.as_str()).cloned();
        Ok(zone.unwrap_or(ZoneStatus::Missing(*hash)))
    }

    /// None is kept.
    fn compiled(&self, _: &Name, _: &ZonefileHash) -> Result<Option<Compiled>, Infallible> {
        Ok(None)
    }

    fn has_zonefile(&self, _: &ZonefileHash) -> Result<bool, Infallible> {
        Ok(true)
    }

    fn may_have_subdomains(&self, name: &Name) -> Result<bool, Infallible> {
        let mut subdomains = self.subdomains.values();
        let is_below = |accepted: &AcceptedSubdomain| accepted.subdomain.name() == name;
        Ok(subdomains.any(is_below))
    }

    fn subdomain(&self, label: &[u8], name: &Name) -> Result<SubdomainStatus, Infallible> {
        if label == b"unread" && self.may_have_subdomains(name)? {
            return Ok(SubdomainStatus::NotRead);
        }
        let subdomain = Subdomain::new(label, name.clone()).ok();
        let known = subdomain.and_then(|sub| self.subdomains.get(&sub.to_string()).cloned());
        Ok(known.map_or(SubdomainStatus::Absent, SubdomainStatus::Accepted))
    }

    fn subdomain_zone(
        &self,
        subdomain: &Subdomain,
        hash: &ZonefileHash,
    ) -> Result<ZoneStatus, Infallible> {
        let zone = self.zones.get(&subdomain.to_string()).cloned();
        Ok(zone.unwrap_or(ZoneStatus::Missing(*hash)))
    }

    fn holder(&self, _: &Name, hash: &ZonefileHash) -> Result<Holder, Infallible> {
        Ok(Holder {
            zonefile: *hash,
            ..self.holder.clone()
        })
    }
}
