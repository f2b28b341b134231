//! Everything that one zone file binds to its name, in one block.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::rr::{Name as DnsName, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::delegation;
use super::holder::{Holder, OwnKeys};
use super::own_key::{self, OwnKey};
use super::pin::{KEY_RECORDS, Pin, Rule};
use super::problem::{Problem, Reason};
use super::reading::{DATA_KEY, Judge, Reading, SEPARATE_MAX, below, data_key, node};
use super::spki::Spki;
use super::statement::{self, HTTPS, Statement, Text};
use crate::bns::name::Name;
use crate::zonefile::{Added, Found, Node, RrSet, Zone};

/// Record sets that are added to one zone, so that hostile ones stay small.
const ADDED_MAX: usize = 1_000;
/// `1 . alpn=h2`: there is HTTPS at the same name (RFC 9460 §9).
const HTTPS_RECORD: &[u8] = &[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2'];

/// The keys that a name binds.
#[derive(Debug, Clone)]
pub struct Bound {
    zone: Zone,
    statements: Vec<Statement>,
    own_key: Option<OwnKey>,
    separate: Vec<DnsName>,
    subdomains: Option<Arc<BTreeSet<String>>>,
    problems: Vec<Problem>,
    is_timed: bool,
}

impl Bound {
    /// Whether a zone says anything about keys beside records that are served as they are.
    pub fn is_in(zone: &Zone) -> bool {
        let is_said = |node: &Node| {
            let label = node.name().iter().next();
            [statement::LABEL, DATA_KEY].contains(&label.unwrap_or_default())
                && node.rrset(RecordType::TXT).is_some()
        };
        let is_key = |node: &Node| KEY_RECORDS.iter().any(|rtype| node.rrset(*rtype).is_some());
        zone.nodes().any(|node| is_said(node) || is_key(node))
    }

    /// What the zone file of `name` binds.
    pub fn of(name: &Name, zone: &Zone, holder: &Holder) -> Self {
        if holder.is_former {
            return Self::of_former(zone);
        }
        let mut reading = Reading::new(zone);
        reading.part_from(holder.subdomains.as_deref());
        let own_key = reading.own_key();
        reading.statements(Some(&Judge {
            name,
            holder,
            own_key,
        }));
        reading.settle();
        let bound = Self {
            zone: zone.clone(),
            statements: reading.statements,
            own_key,
            separate: reading.separate,
            subdomains: holder.subdomains.clone(),
            problems: reading.problems,
            is_timed: reading.is_timed,
        };
        let added = bound.added(zone, holder);
        Self {
            zone: bound.zone.with(added),
            ..bound
        }
    }

    /// The zone file that a transfer kept: its keys are those of the former owner.
    fn of_former(zone: &Zone) -> Self {
        let problem = Problem {
            owner: zone.origin().clone(),
            reason: Reason::FormerOwner,
        };
        Self {
            zone: zone.without(&KEY_RECORDS),
            statements: Vec::new(),
            own_key: None,
            separate: Vec::new(),
            subdomains: None,
            problems: Self::is_in(zone).then_some(problem).into_iter().collect(),
            is_timed: false,
        }
    }

    /// The zone with the records that follow.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The same zone, for whoever needs nothing else.
    pub fn into_zone(self) -> Zone {
        self.zone
    }

    /// What counts.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The data key.
    pub fn own_key(&self) -> Option<&OwnKey> {
        self.own_key.as_ref()
    }

    /// What counts for nothing, and why.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Subdomains that have an owner of their own.
    pub fn separate(&self) -> &[DnsName] {
        &self.separate
    }

    /// Whether it can change with the next block alone.
    pub fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Authorities that the name itself states for HTTPS and whose whole key is known, each once: those that a certificate
    /// for browsers may be made of. A certificate knows no ports, and is for the name with all hosts below it: so the
    /// authority of a mail server, or of one host, is none of them. There is none while a certificate cannot leave out all
    /// subdomains of others: they are not known, are too many, or have labels that no certificate can say.
    pub fn authorities(&self) -> impl Iterator<Item = &Spki> {
        let can_leave_out = |label: &String| !label.starts_with('-') && !label.contains('+');
        let is_certain = self.separate.len() <= SEPARATE_MAX
            && self.subdomains.as_ref().is_some_and(|labels| {
                labels.len() <= SEPARATE_MAX && labels.iter().all(can_leave_out)
            });
        let about = is_certain.then(|| self.covering(self.zone.origin(), HTTPS));
        let keys = about
            .into_iter()
            .flatten()
            .filter(|it| it.usage == super::Usage::Authority)
            .filter_map(Statement::key);
        keys.collect::<BTreeSet<_>>().into_iter()
    }

    /// The hosts below the name that an authority of it does not speak for: subdomains with an owner of their own, and hosts
    /// for whose HTTPS other keys are stated.
    pub fn apart(&self, key: &Spki) -> BTreeSet<DnsName> {
        let is_spoken_for = |host: &DnsName| {
            let mut about = self.covering(host, HTTPS).into_iter();
            about.any(|it| it.usage == super::Usage::Authority && it.key() == Some(key))
        };
        let stated = self.statements.iter().map(|it| &it.host);
        let apart = stated.filter(|host| !is_spoken_for(host));
        self.separate.iter().chain(apart).cloned().collect()
    }

    /// Keys of servers of which the whole is known, each once.
    pub fn leaves(&self) -> impl Iterator<Item = &Spki> {
        let statements = self.statements.iter();
        let keys = statements
            .filter(|it| it.usage == super::Usage::Leaf)
            .filter_map(Statement::key);
        keys.collect::<BTreeSet<_>>().into_iter()
    }

    /// What a TLS server at a TCP port of a host has to show; nothing is pinned if it is empty. The host is at or below the
    /// name of the zone; a subdomain with an owner of its own has none here, whatever the zone file says.
    pub fn pins(&self, host: &DnsName, port: u16) -> Vec<Pin> {
        if self.is_separate(host) {
            return Vec::new();
        }
        let Some(owner) = port_name(host, port) else {
            return Vec::new();
        };
        let covering = self.covering(host, port);
        let derived: Vec<Pin> = covering.into_iter().flat_map(Statement::pins).collect();
        let own = self.own_key.map(|key| key.pin());
        let recorded = match self.zone.find(&owner) {
            Found::Exact(node) | Found::Wildcard(node) => node.rrset(RecordType::TLSA),
            _ => None,
        };
        let exists = || {
            !matches!(
                self.zone.find(host),
                Found::Absent { .. } | Found::OutOfZone
            )
        };
        match recorded {
            Some(set) => set
                .rdata()
                .filter_map(|rdata| {
                    let mut known = derived.iter().chain(&own);
                    let pin = known.find(|pin| pin.rdata() == rdata);
                    pin.cloned().or_else(|| Pin::read(rdata, Rule::Record))
                })
                .collect(),
            None if exists() => derived,
            None => Vec::new(),
        }
    }

    /// The pins for a port of a host that follow from a delegation in the server's certificate, which is about the name and
    /// the hosts below it; none if it is about other ports.
    pub fn stapled(
        &self,
        name: &Name,
        holder: &Holder,
        text: &str,
        (host, port): (&DnsName, u16),
    ) -> Result<Vec<Pin>, Reason> {
        let own_key = self.own_key.as_ref();
        let origin = self.zone.origin();
        let text = Text::read(text.as_bytes())?;
        let statement = delegation::judge(text, name, origin, holder, own_key)?;
        if holder.is_former {
            return Err(Reason::FormerOwner);
        }
        if self.is_separate(host) {
            return Err(Reason::Separate);
        }
        let is_about = statement.ports.contains(&port) && origin.zone_of(host);
        Ok(match is_about {
            true => statement.pins(),
            false => Vec::new(),
        })
    }

    /// Whether somebody else may own a host: it is at or below a subdomain with an owner of its own, or nobody can say.
    fn is_separate(&self, host: &DnsName) -> bool {
        let depth = host
            .iter()
            .len()
            .checked_sub(self.zone.origin().iter().len() + 1);
        let label = depth.and_then(|depth| host.iter().nth(depth));
        let Some(label) = label.filter(|label| !label.starts_with(b"_")) else {
            return false;
        };
        let label = String::from_utf8_lossy(label).to_ascii_lowercase();
        let is_made = |labels: &Arc<BTreeSet<String>>| labels.contains(&label);
        self.subdomains.as_ref().is_none_or(is_made)
            || self.separate.iter().any(|separate| separate.zone_of(host))
    }

    /// The statements about a port of a host: those nearest above it.
    fn covering(&self, host: &DnsName, port: u16) -> Vec<&Statement> {
        if self.is_separate(host) {
            return Vec::new();
        }
        let about = |it: &&Statement| it.ports.contains(&port) && it.host.zone_of(host);
        let about: Vec<&Statement> = self.statements.iter().filter(about).collect();
        let nearest = about.iter().map(|it| it.host.iter().len()).max();
        let is_nearest = |it: &&Statement| Some(it.host.iter().len()) == nearest;
        about.into_iter().filter(is_nearest).collect()
    }

    /// The record sets that follow.
    fn added(&self, zone: &Zone, holder: &Holder) -> Vec<Added> {
        let mut added = Vec::new();
        for host in self.hosts(zone) {
            let mut is_web = has_tlsa(zone, &host, HTTPS);
            for port in self.ports() {
                let covering = self.covering(&host, port);
                let pins = covering.iter().flat_map(|it| it.pins());
                let rdata: Vec<Vec<u8>> = pins.map(|pin| pin.rdata()).collect();
                let Some(owner) = port_name(&host, port).filter(|_| !rdata.is_empty()) else {
                    continue;
                };
                is_web |= port == HTTPS;
                let ttl = covering.iter().map(|it| ttl(zone, it)).min();
                added.push(set(owner, RecordType::TLSA, ttl, rdata));
            }
            let place = node(zone, &host).and_then(place).filter(|_| is_web);
            if let Some(place) = place {
                let (ttl, rdata) = (Some(place.ttl()), HTTPS_RECORD.to_vec());
                added.push(set(host, RecordType::HTTPS, ttl, vec![rdata]));
            }
            if added.len() > ADDED_MAX {
                break;
            }
        }
        added.extend(self.published(zone, holder));
        added.extend(self.pinned_own_key(zone, holder));
        added
    }

    /// The record that publishes the data key.
    fn published(&self, zone: &Zone, holder: &Holder) -> Option<Added> {
        let text = self.own_key.as_ref()?.published(&holder.zonefile, holder);
        let length = u8::try_from(text.len()).ok()?;
        let rdata = [&[length], text.as_bytes()].concat();
        let owner = below(zone.origin(), own_key::LABEL)?;
        let ttl = data_key(zone).map(RrSet::ttl);
        Some(set(owner, RecordType::TXT, ttl, vec![rdata]))
    }

    /// The record that pins the data key, where this machine wants that and nothing else is pinned.
    fn pinned_own_key(&self, zone: &Zone, holder: &Holder) -> Option<Added> {
        let key = self
            .own_key
            .filter(|_| holder.own_keys == OwnKeys::Pinned)?;
        let origin = zone.origin();
        if !self.covering(origin, HTTPS).is_empty() || has_tlsa(zone, origin, HTTPS) {
            return None;
        }
        let owner = port_name(origin, HTTPS)?;
        let ttl = data_key(zone).map(RrSet::ttl);
        let pin = key.pin().rdata();
        Some(set(owner, RecordType::TLSA, ttl, vec![pin]))
    }

    /// The hosts of the zone that statements are about, and those that have TLSA records for HTTPS.
    fn hosts(&self, zone: &Zone) -> BTreeSet<DnsName> {
        let is_host = |node: &&Node| {
            let name = node.name();
            let below = name.iter().len() - zone.origin().iter().len();
            let mut labels = name.iter().take(below);
            labels.all(|label| label != b"*" && !label.starts_with(b"_"))
        };
        let is_placed = |node: &&Node| place(node).is_some() || alias_inside(node, zone);
        let placed = zone.nodes().filter(is_host).filter(is_placed);
        let stated = self.statements.iter().map(|it| it.host.clone());
        placed
            .map(|node| node.name().clone())
            .chain(stated)
            .collect()
    }

    fn ports(&self) -> BTreeSet<u16> {
        let ports = self.statements.iter().flat_map(|it| &it.ports);
        ports.copied().collect()
    }
}

/// The addresses of a node.
fn place(node: &Node) -> Option<&RrSet> {
    let ipv6 = || node.rrset(RecordType::AAAA);
    node.rrset(RecordType::A).or_else(ipv6)
}

/// Whether a node is an alias of a host of the same zone, so that the name's owner has its server.
fn alias_inside(node: &Node, zone: &Zone) -> bool {
    let target = node
        .rrset(RecordType::CNAME)
        .and_then(|set| set.rdata().next());
    let target = target.and_then(|rdata| DnsName::read(&mut BinDecoder::new(rdata)).ok());
    target.is_some_and(|target| zone.origin().zone_of(&target))
}

fn has_tlsa(zone: &Zone, host: &DnsName, port: u16) -> bool {
    let owner = port_name(host, port);
    let node = owner.and_then(|owner| node(zone, &owner));
    node.is_some_and(|node| node.rrset(RecordType::TLSA).is_some())
}

/// The TTL of the record that makes a statement.
fn ttl(zone: &Zone, statement: &Statement) -> u32 {
    let owner = below(&statement.host, statement::LABEL);
    let node = owner.and_then(|owner| node(zone, &owner));
    let set = node.and_then(|node| node.rrset(RecordType::TXT));
    set.map_or(0, RrSet::ttl)
}

fn set(owner: DnsName, rtype: RecordType, ttl: Option<u32>, rdata: Vec<Vec<u8>>) -> Added {
    Added {
        owner,
        rtype,
        ttl: ttl.unwrap_or(0),
        rdata,
    }
}

/// The owner of the TLSA records of a TCP port (RFC 6698 §3); `None` if it is too long for a name.
fn port_name(host: &DnsName, port: u16) -> Option<DnsName> {
    let port = format!("_{port}");
    below(&below(host, b"_tcp")?, port.as_bytes())
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};

    use super::*;
    use crate::tlsa::fixture::p256;
    use crate::zonefile::{parse, render};

    fn dns(text: &str) -> DnsName {
        DnsName::from_ascii(text).expect("a domain name")
    }

    fn zone(text: &str) -> Zone {
        parse(&dns("me.id."), text.as_bytes()).expect("short enough")
    }

    fn bound_by(text: &str, holder: &Holder) -> Bound {
        let name = "me.id".parse().expect("a name");
        Bound::of(&name, &zone(text), holder)
    }

    fn bound(text: &str) -> Bound {
        bound_by(text, &Holder::fixture())
    }

    fn statement(usage: &str, ports: &str, seed: u8) -> String {
        let key = BASE64.encode(p256(seed).as_bytes());
        format!("\"v=bnstls1 use={usage} port={ports} spki={key}\"")
    }

    fn pins(bound: &Bound, host: &str, port: u16) -> Vec<String> {
        let show = |pin: Pin| {
            let rule = pin.rule.as_str();
            format!("{} {} {} {rule}", pin.usage, pin.selector, pin.matching)
        };
        bound.pins(&dns(host), port).into_iter().map(show).collect()
    }

    fn reasons(bound: &Bound) -> Vec<Reason> {
        bound
            .problems()
            .iter()
            .map(|problem| problem.reason)
            .collect()
    }

    fn has(bound: &Bound, owner: &str, rtype: RecordType) -> bool {
        node(bound.zone(), &dns(owner)).is_some_and(|node| node.rrset(rtype).is_some())
    }

    #[test]
    fn an_authority_is_pinned_for_the_name_and_its_hosts() {
        let text = format!(
            "@ A 192.0.2.1\nwww CNAME me.id.\nout CNAME www.example.com.\n*.wild A 192.0.2.2\nmail A 192.0.2.3\n\
             _tlskey TXT {}\n",
            statement("ta", "443", 1)
        );
        let bound = bound(&text);
        assert_eq!(reasons(&bound), []);
        let expected = ["2 1 1 T2", "2 1 0 T2"];
        for host in ["me.id.", "www.me.id.", "MAIL.me.id.", "x.wild.me.id."] {
            assert_eq!(pins(&bound, host, 443), expected, "{host}");
        }
        assert_eq!(pins(&bound, "me.id.", 25), [""; 0]);
        assert_eq!(pins(&bound, "nobody.me.id.", 443), [""; 0]);
        for owner in ["me.id.", "www.me.id.", "mail.me.id."] {
            let owner = format!("_443._tcp.{owner}");
            assert!(has(&bound, &owner, RecordType::TLSA), "{owner}");
        }
        assert!(!has(&bound, "_443._tcp.out.me.id.", RecordType::TLSA));
        assert!(has(&bound, "me.id.", RecordType::HTTPS));
        assert!(has(&bound, "mail.me.id.", RecordType::HTTPS));
        assert!(!has(&bound, "www.me.id.", RecordType::HTTPS), "an alias");
        assert_eq!(bound.authorities().collect::<Vec<_>>(), [&p256(1)]);
        assert_eq!(bound.leaves().count(), 0);
    }

    #[test]
    fn the_records_are_those_of_the_key() {
        let text = format!(
            "@ A 192.0.2.1\n_tlskey 600 TXT {}\n",
            statement("ta", "443,8443", 1)
        );
        let bound = bound(&text);
        let shown = render(bound.zone());
        let (digest, key) = (
            HEXLOWER.encode(&p256(1).sha256()),
            HEXLOWER.encode(p256(1).as_bytes()),
        );
        for port in [443, 8443] {
            for data in [format!("2 1 1 {digest}"), format!("2 1 0 {key}")] {
                let line = format!("_{port}._tcp 600 TLSA {data}");
                assert!(
                    shown.to_lowercase().contains(&line.to_lowercase()),
                    "{line}\n{shown}"
                );
            }
        }
    }

    #[test]
    fn a_digest_and_a_leaf_make_their_own_pins() {
        let digest = HEXLOWER.encode(&p256(2).sha256());
        let text = format!(
            "@ A 192.0.2.1\n_tlskey TXT {}\n_tlskey TXT \"v=bnstls1 use=ta port=25 spki-sha256={digest}\"\n",
            statement("ee", "443", 1)
        );
        let bound = bound(&text);
        assert_eq!(pins(&bound, "me.id.", 443), ["3 1 1 T2"]);
        assert_eq!(pins(&bound, "me.id.", 25), ["2 1 1 T2"]);
        assert_eq!(
            bound.authorities().count(),
            0,
            "a digest cannot be certified"
        );
        assert_eq!(bound.leaves().collect::<Vec<_>>(), [&p256(1)]);
    }

    #[test]
    fn records_of_the_file_come_first_port_by_port() {
        let digest = "ab".repeat(32);
        let text = format!(
            "@ A 192.0.2.1\n@ HTTPS 0 www.example.com.\n_443._tcp TLSA 3 1 1 {digest}\n_tlskey TXT {}\n",
            statement("ta", "443,8443", 1)
        );
        let bound = bound(&text);
        assert_eq!(pins(&bound, "me.id.", 443), ["3 1 1 T1"]);
        assert_eq!(pins(&bound, "me.id.", 8443), ["2 1 1 T2", "2 1 0 T2"]);
        let node = node(bound.zone(), &dns("me.id.")).expect("the apex");
        let https = node.rrset(RecordType::HTTPS).expect("its own");
        assert_eq!(https.rdata().len(), 1);
    }

    #[test]
    fn the_nearest_statement_counts_and_a_separate_subdomain_has_none() {
        let text = format!(
            "@ A 192.0.2.1\nmail A 192.0.2.2\nimap.mail A 192.0.2.3\nsub A 192.0.2.4\n\
             sub TXT \"owner=1CK6KHY6MHgYvmRQ4PAafKYDrg1ejbH1cE\" \"seqn=0\" \"parts=1\" \"zf0=AAAA\"\n\
             _tlskey TXT {}\n_tlskey.mail TXT {}\n_tlskey.sub TXT {}\n",
            statement("ta", "443", 1),
            statement("ee", "443", 2),
            statement("ee", "443", 3),
        );
        let bound = bound(&text);
        assert_eq!(pins(&bound, "imap.mail.me.id.", 443), ["3 1 1 T2"]);
        assert_eq!(pins(&bound, "me.id.", 443), ["2 1 1 T2", "2 1 0 T2"]);
        assert_eq!(bound.separate(), [dns("sub.me.id.")]);
        assert_eq!(reasons(&bound), [Reason::Separate]);
        for host in ["sub.me.id.", "www.sub.me.id."] {
            assert_eq!(pins(&bound, host, 443), [""; 0], "{host}");
        }
        assert!(!has(&bound, "_443._tcp.sub.me.id.", RecordType::TLSA));
        let apart = [dns("mail.me.id."), dns("sub.me.id.")];
        assert_eq!(bound.apart(&p256(1)), BTreeSet::from(apart));
    }

    fn bound_beside(labels: Option<&[&str]>, text: &str) -> Bound {
        let own = |label: &&str| (*label).to_owned();
        let holder = Holder {
            subdomains: labels.map(|labels| Arc::new(labels.iter().map(own).collect())),
            ..Holder::fixture()
        };
        bound_by(text, &holder)
    }

    #[test]
    fn a_subdomain_of_an_earlier_zone_file_stays_separate() {
        let digest = "ab".repeat(32);
        let text = format!(
            "@ A 192.0.2.1\n* A 192.0.2.2\nbar A 192.0.2.3\n_443._tcp.bar TLSA 3 1 1 {digest}\n\
             _tlskey TXT {}\n_tlskey.bar TXT {}\n",
            statement("ta", "443", 1),
            statement("ta", "443", 2),
        );
        let bound = bound_beside(Some(&["bar", "qux"]), &text);
        assert_eq!(reasons(&bound), [Reason::Separate]);
        for host in ["bar.me.id.", "BAR.me.id.", "www.bar.me.id.", "qux.me.id."] {
            assert_eq!(pins(&bound, host, 443), [""; 0], "{host}");
        }
        for host in ["me.id.", "else.me.id."] {
            assert_eq!(pins(&bound, host, 443).len(), 2, "{host}");
        }
        assert_eq!(bound.authorities().count(), 1);
        let apart = [dns("bar.me.id."), dns("qux.me.id.")];
        assert_eq!(bound.apart(&p256(1)), BTreeSet::from(apart));
    }

    #[test]
    fn no_authority_can_leave_out_what_is_not_known_or_too_much() {
        let text = format!(
            "@ A 192.0.2.1\n* A 192.0.2.2\n_tlskey TXT {}\n",
            statement("ta", "443", 1)
        );
        let unknown = bound_beside(None, &text);
        assert_eq!(unknown.authorities().count(), 0);
        assert_eq!(pins(&unknown, "me.id.", 443).len(), 2);
        assert_eq!(pins(&unknown, "www.me.id.", 443), [""; 0]);
        let labels: Vec<String> = (0..=SEPARATE_MAX)
            .map(|label| format!("s{label}"))
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let many = bound_beside(Some(&labels), &text);
        assert_eq!(many.authorities().count(), 0);
        assert_eq!(pins(&many, "s256.me.id.", 443), [""; 0]);
        assert_eq!(pins(&many, "www.me.id.", 443).len(), 2);
        assert_eq!(
            bound_beside(Some(&labels[1..]), &text)
                .authorities()
                .count(),
            1
        );
        for label in ["a+b", "-a"] {
            assert_eq!(
                bound_beside(Some(&[label]), &text).authorities().count(),
                0,
                "{label}"
            );
        }
    }

    #[test]
    fn an_authority_of_one_host_or_of_mail_is_none_of_the_name() {
        let text = format!(
            "@ A 192.0.2.1\nwww A 192.0.2.2\n_tlskey TXT {}\n_tlskey TXT {}\n_tlskey.www TXT {}\n_tlskey.shop TXT {}\n",
            statement("ta", "443,8443", 1),
            statement("ta", "25", 2),
            statement("ta", "443", 3),
            statement("ta", "8443", 4),
        );
        let bound = bound(&text);
        assert_eq!(reasons(&bound), []);
        assert_eq!(bound.authorities().collect::<Vec<_>>(), [&p256(1)]);
        let apart = [dns("www.me.id.")];
        assert_eq!(bound.apart(&p256(1)), BTreeSet::from(apart));
    }

    #[test]
    fn what_is_doubled_or_too_much_binds_nothing() {
        let twice = format!(
            "_tlskey TXT {}\n_tlskey TXT {}\n_tlskey TXT {}\n",
            statement("ta", "443", 1),
            statement("ta", "8443,443", 1),
            statement("ta", "443", 2),
        );
        let bound_twice = bound(&twice);
        assert_eq!(reasons(&bound_twice), [Reason::Doubled; 2]);
        assert_eq!(bound_twice.authorities().collect::<Vec<_>>(), [&p256(2)]);
        let lines = |count| {
            let line = |seed| format!("_tlskey TXT {}\n", statement("ta", "443", seed));
            (0..count).map(line).collect::<String>()
        };
        assert_eq!(bound(&lines(8)).authorities().count(), 8);
        let many = bound(&lines(9));
        assert_eq!(
            (many.authorities().count(), reasons(&many)),
            (0, vec![Reason::TooMany])
        );
        let malformed = bound("_tlskey TXT \"hello\"\n");
        assert_eq!(reasons(&malformed), [Reason::Malformed]);
        assert!(!has(&malformed, "_443._tcp.me.id.", RecordType::TLSA));
    }

    #[test]
    fn a_data_key_is_published_with_its_proof() {
        let key = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
        let one = format!("@ A 192.0.2.1\npubkey TXT \"pubkey:data:{key}\"\n");
        let holder = Holder::fixture();
        let bound_one = bound(&one);
        let shown = render(bound_one.zone());
        let (zonefile, txid) = (holder.zonefile, holder.txid);
        let text = format!("v=bnskey1 key={key} zonefile={zonefile} txid={txid} block=521000");
        assert!(shown.contains(&text), "{shown}");
        assert_eq!(
            pins(&bound_one, "me.id.", 443),
            [""; 0],
            "no TLS stack takes it"
        );
        let wanting = Holder {
            own_keys: OwnKeys::Pinned,
            ..Holder::fixture()
        };
        assert_eq!(pins(&bound_by(&one, &wanting), "me.id.", 443), ["3 1 1 T4"]);
        let with_other = format!("{one}_tlskey TXT {}\n", statement("ee", "443", 1));
        assert_eq!(
            pins(&bound_by(&with_other, &wanting), "me.id.", 443),
            ["3 1 1 T2"]
        );
        let two = format!("{one}pubkey TXT \"pubkey:data:03{}\"\n", &key[2..]);
        let bound_two = bound(&two);
        assert_eq!(reasons(&bound_two), [Reason::SecondDataKey]);
        assert!(!has(&bound_two, "_bnskey.me.id.", RecordType::TXT));
        assert_eq!(
            reasons(&bound("pubkey TXT \"pubkey:data:00\"\n")),
            [Reason::BadDataKey]
        );
    }

    #[test]
    fn a_former_owners_keys_are_left_out() {
        let holder = Holder {
            is_former: true,
            ..Holder::fixture()
        };
        let digest = "ab".repeat(32);
        let text = format!(
            "@ A 192.0.2.1\n@ SSHFP 4 2 {digest}\n_25._tcp TLSA 3 1 1 {digest}\n_tlskey TXT {}\n",
            statement("ta", "443", 1)
        );
        let bound = bound_by(&text, &holder);
        assert_eq!(reasons(&bound), [Reason::FormerOwner]);
        assert!(has(&bound, "me.id.", RecordType::A));
        assert!(!has(&bound, "me.id.", RecordType::SSHFP));
        for port in [25, 443] {
            assert_eq!(pins(&bound, "me.id.", port), [""; 0]);
        }
        assert_eq!(reasons(&bound_by("@ A 192.0.2.1\n", &holder)), []);
    }

    #[test]
    fn a_hostile_zone_adds_a_bounded_number_of_records() {
        let hosts: String = (0..900)
            .map(|host| format!("h{host} A 192.0.2.1\n"))
            .collect();
        let text = format!(
            "{hosts}_tlskey TXT {}\n_tlskey TXT {}\n",
            statement("ta", "1,2,3,4,5,6,7,8", 1),
            statement("ta", "9,10,11,12,13,14,15,16", 2),
        );
        let bound = bound(&text);
        assert!(bound.zone().nodes().count() < 900 + 2 + ADDED_MAX + 20);
    }
}
