//! A source of state that remembers what a decision read, so that its answer can be kept and repeated.
//!
//! Each row is read once, however often the decision asks for it. The answer stays valid until one of its [`Subjects`]
//! changes, until the indexed height is outside of [`super::Answer::heights`], or until the index can no longer vouch for
//! the state of names.

use std::cell::{Cell, RefCell};

use super::source::{
    NameSource, NameStatus, NamespaceStatus, SubdomainStatus, SyncState, ZoneStatus,
};
use crate::bns::name::{Name, NamespaceId};
use crate::bns::subdomain::Subdomain;
use crate::hash::ZonefileHash;
use crate::tlsa::Holder;
use crate::zonefile::Compiled;

/// A source, and what was read from it.
pub struct Recorded<S> {
    source: S,
    names: RefCell<Vec<(Name, NameStatus)>>,
    namespaces: RefCell<Vec<(NamespaceId, NamespaceStatus)>>,
    sync_counted: Cell<bool>,
    zonefile_read: Cell<bool>,
}

/// What a decision read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Names, registered or not.
    pub names: Vec<Name>,
    /// Namespaces, ready or not.
    pub namespaces: Vec<NamespaceId>,
    /// Whether it counted how far the index is.
    pub sync_counted: bool,
    /// Whether it needed a zone file.
    pub zonefile_read: bool,
}

impl<S: NameSource> Recorded<S> {
    /// Nothing is read yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            names: RefCell::default(),
            namespaces: RefCell::default(),
            sync_counted: Cell::default(),
            zonefile_read: Cell::default(),
        }
    }

    /// What was read.
    pub fn subjects(self) -> Subjects {
        let names = self.names.into_inner().into_iter();
        let namespaces = self.namespaces.into_inner().into_iter();
        Subjects {
            names: names.map(|(name, _)| name).collect(),
            namespaces: namespaces.map(|(id, _)| id).collect(),
            sync_counted: self.sync_counted.get(),
            zonefile_read: self.zonefile_read.get(),
        }
    }
}

impl<S: NameSource> NameSource for Recorded<S> {
    type Error = S::Error;

    fn height(&self) -> Option<u32> {
        self.source.height()
    }

    fn sync(&self) -> SyncState {
        self.sync_counted.set(true);
        self.source.sync()
    }

    fn namespace(&self, id: &NamespaceId) -> Result<NamespaceStatus, S::Error> {
        recall(&self.namespaces, id, || self.source.namespace(id))
    }

    fn name(&self, name: &Name) -> Result<NameStatus, S::Error> {
        recall(&self.names, name, || self.source.name(name))
    }

    fn zone(&self, name: &Name, hash: &ZonefileHash) -> Result<ZoneStatus, S::Error> {
        self.zonefile_read.set(true);
        self.source.zone(name, hash)
    }

    fn compiled(&self, name: &Name, hash: &ZonefileHash) -> Result<Option<Compiled>, S::Error> {
        self.zonefile_read.set(true);
        self.source.compiled(name, hash)
    }

    fn has_zonefile(&self, hash: &ZonefileHash) -> Result<bool, S::Error> {
        self.zonefile_read.set(true);
        self.source.has_zonefile(hash)
    }

    fn may_have_subdomains(&self, name: &Name) -> Result<bool, S::Error> {
        self.source.may_have_subdomains(name)
    }

    /// Whoever asks for a subdomain has asked for its name, which stands for both among the subjects.
    fn subdomain(&self, label: &[u8], name: &Name) -> Result<SubdomainStatus, S::Error> {
        self.source.subdomain(label, name)
    }

    fn subdomain_zone(
        &self,
        subdomain: &Subdomain,
        hash: &ZonefileHash,
    ) -> Result<ZoneStatus, S::Error> {
        self.zonefile_read.set(true);
        self.source.subdomain_zone(subdomain, hash)
    }

    fn holder(&self, name: &Name, hash: &ZonefileHash) -> Result<Holder, S::Error> {
        self.source.holder(name, hash)
    }
}

/// What was read before, or is read now.
fn recall<K: Clone + PartialEq, V: Copy, E>(
    read: &RefCell<Vec<(K, V)>>,
    key: &K,
    now: impl FnOnce() -> Result<V, E>,
) -> Result<V, E> {
    let before = read
        .borrow()
        .iter()
        .find(|(known, _)| known == key)
        .map(|(_, value)| *value);
    if let Some(value) = before {
        return Ok(value);
    }
    let value = now()?;
    read.borrow_mut().push((key.clone(), value));
    Ok(value)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};

    use super::*;
    use crate::resolver::fixture::Names;
    use crate::resolver::{Answer, Heights, Policy, Question, Resolution, resolve};

    fn ask(name: &str) -> (Option<Answer>, Subjects) {
        let name = DnsName::from_ascii(name).expect("a domain name");
        let question = Question::new(&name, RecordType::A, DNSClass::IN);
        let source = Recorded::new(Names::new());
        let resolution = resolve(&question, &Policy::default(), &source);
        let answer = match resolution.expect("a source that never fails") {
            Resolution::Answer(answer) => Some(answer),
            _ => None,
        };
        (answer, source.subjects())
    }

    #[test]
    fn an_answer_is_about_what_was_read_for_it() {
        let (answer, subjects) = ask("www.good.id.");
        assert_eq!(answer.expect("records").heights, Heights::ALL);
        assert_eq!(subjects.names, ["good.id".parse().expect("a name")]);
        assert_eq!(subjects.namespaces, ["id".parse().expect("a namespace")]);
        assert!(subjects.sync_counted && subjects.zonefile_read);
        let (forwarded, subjects) = ask("nosuch.id.");
        assert!(forwarded.is_none());
        assert_eq!(subjects.names, ["nosuch.id".parse().expect("a name")]);
        let (answer, _) = ask("nosuch.podcast.");
        assert_eq!(answer.expect("a SOA").heights, Heights::only(100));
        assert_eq!(ask("www.example.com.").1, Subjects::default());
    }
}
