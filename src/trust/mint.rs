//! Who is certified: keys that a name binds on the chain as this machine sees it, and no other.
//!
//! A certificate is made when somebody needs it, kept in memory, and made again when half of its time is over. Whoever asks
//! for one by name and key is answered by the chain alone: what this machine looked up before makes no difference, so that
//! nobody learns that by asking. Nothing is certified while the index cannot vouch for names, for a name that the legacy
//! tree keeps on this machine, or faster than [`MADE_PER_SECOND`].

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name as DnsName;
use quick_cache::sync::Cache;

use super::issued::{Issued, NotTrusted};
use super::root::{AUTHORITY_LIFETIME, Constraints, Root, RootError};
use crate::bns::name::Name;
use crate::names::{NameStore, Names, NamesError};
use crate::resolver::policy::is_protected;
use crate::resolver::{
    Condition, NameSource as _, Ownership, Policy, Snapshots as _, is_alias, ownership_at,
};
use crate::tlsa::{Bound, Spki};

/// Certificates that are kept, of half a kilobyte each.
const KEPT_MAX: usize = 4_096;
/// A certificate with less time than this is made again, in seconds.
const RENEWAL: u64 = AUTHORITY_LIFETIME / 2;
/// Certificates that are made in a second at most: a signature costs a tenth of a millisecond.
const MADE_PER_SECOND: u32 = 100;

/// What the daemon says about names.
pub trait Terms: Send + Sync {
    /// The policy in force.
    fn policy(&self) -> Arc<Policy>;

    /// What a root that is made now may certify.
    fn constraints(&self) -> Constraints;
}

/// Why it is not known whether a key is certified.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// There is no root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The names cannot be read.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The certificate came out wrong.
    #[error("a certificate that bnsd made is wrong: {0}; report it")]
    Wrong(#[from] NotTrusted),
}

/// What the chain says about a key that was certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The name binds it; this is the certificate to have.
    Bound(Arc<Issued>),
    /// The name does not bind it any more.
    Gone,
    /// Nobody can say.
    Unknown,
}

/// Makes certificates for keys on the chain.
pub struct Mint {
    directory: PathBuf,
    names: Arc<NameStore>,
    terms: Box<dyn Terms>,
    root: Mutex<Option<Arc<Root>>>,
    kept: Cache<(Name, [u8; 32]), Arc<Issued>>,
    made: Mutex<Allowance>,
}

/// How many certificates were made in the second that began at `since`.
#[derive(Debug, Default)]
struct Allowance {
    since: Duration,
    made: u32,
}

impl Mint {
    /// For the names of a daemon with this data directory.
    pub fn new(data: PathBuf, names: Arc<NameStore>, terms: Box<dyn Terms>) -> Self {
        Self {
            directory: data,
            names,
            terms,
            root: Mutex::default(),
            kept: Cache::new(KEPT_MAX),
            made: Mutex::default(),
        }
    }

    /// The root, made if there is none.
    pub fn root(&self) -> Result<Arc<Root>, RootError> {
        let mut root = lock(&self.root);
        if let Some(root) = &*root {
            return Ok(Arc::clone(root));
        }
        let opened = Root::open(&self.directory, &self.terms.constraints(), self.now())?;
        Ok(Arc::clone(root.insert(Arc::new(opened))))
    }

    /// The namespaces that are served and that the root does not permit.
    pub fn missing(&self, root: &Root) -> Vec<String> {
        root.missing(&self.terms.constraints().namespaces)
    }

    /// The certificate of the key with this SHA-256, if `name` binds it as an authority, on the chain as it is now.
    pub fn find(&self, name: &Name, digest: &[u8; 32]) -> Result<Option<Arc<Issued>>, MintError> {
        match self.bound(name)? {
            Some((bound, Ownership::Ours)) => {
                let mut keys = bound.authorities();
                let key = keys.find(|key| key.sha256() == *digest);
                key.map_or(Ok(None), |key| self.certificate(name, key, &bound))
            }
            _ => Ok(None),
        }
    }

    /// The certificates of all authorities that `bound`, which was found on the chain just now, has for `name`: for an answer
    /// about `asked`. None if the name itself is not the chain's on this machine: the answer may be about its form below
    /// `bns.alt`, which is the chain's in any case, and a certificate is for both.
    pub fn issue(
        &self,
        name: &Name,
        bound: &Bound,
        asked: &DnsName,
    ) -> Result<Vec<Arc<Issued>>, MintError> {
        let is_ours = match self.ownership(name, &self.names.snapshot())? {
            Some(Ownership::Ours) => true,
            // The legacy tree was asked about the name itself, and denied it.
            Some(Ownership::CouldBeOurs(_)) => !is_alias(&asked.to_lowercase()),
            _ => false,
        };
        if !is_ours {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for key in bound.authorities() {
            all.extend(self.certificate(name, key, bound)?);
        }
        Ok(all)
    }

    /// How a certificate stands that was made before, renewed if it has to be.
    pub fn standing(&self, issued: &Issued) -> Result<Standing, MintError> {
        let name = issued.name();
        let names = self.names.snapshot();
        if !self.vouches(&names) || !names.subdomains_are_read()? {
            return Ok(Standing::Unknown);
        }
        let Some((bound, ownership)) = self.bound(name)? else {
            return Ok(Standing::Gone);
        };
        let mut keys = bound.authorities();
        if !keys.any(|key| key == issued.key()) {
            return Ok(Standing::Gone);
        }
        // Whether the legacy tree still denies the name shows at the next answer about it, and nothing is renewed before.
        if ownership != Ownership::Ours {
            return Ok(match apart(&bound, issued.key()) == *issued.separate() {
                true => Standing::Unknown,
                false => Standing::Gone,
            });
        }
        Ok(match self.certificate(name, issued.key(), &bound)? {
            Some(certificate) => Standing::Bound(certificate),
            None => Standing::Unknown,
        })
    }

    /// Takes over a certificate that was made before the daemon started, unless there is another for its name and key. What is
    /// not ours or says something else than the root signed is refused.
    pub fn adopt(&self, der: &[u8]) -> Result<Arc<Issued>, MintError> {
        let root = self.root()?;
        let issued = Arc::new(Issued::read(der, root.certificate())?);
        let place = (issued.name().clone(), issued.key().sha256());
        if self.kept.peek(&place).is_none() {
            self.kept.insert(place, Arc::clone(&issued));
        }
        Ok(issued)
    }

    /// Whether anything could stand otherwise than it did at `seen`, which is brought up to date.
    pub fn has_changed(&self, seen: &mut Seen) -> bool {
        let tip = self
            .names
            .store
            .snapshot()
            .tip()
            .map(|tip| tip.hash.to_string());
        let policy = self.terms.policy();
        let subdomains = self.names.subdomains.as_ref();
        let subdomains = subdomains.map(|subdomains| subdomains.version());
        let is_same = seen.tip == tip
            && seen.subdomains == subdomains
            && seen
                .policy
                .as_ref()
                .is_some_and(|old| Arc::ptr_eq(old, &policy));
        *seen = Seen {
            tip,
            policy: Some(policy),
            subdomains,
        };
        !is_same
    }

    /// In seconds since 1970.
    pub fn now(&self) -> u64 {
        self.names.clock.unix_time()
    }

    /// What a name binds, and whose it is on this machine; `None` unless it may be the chain's.
    fn bound(&self, name: &Name) -> Result<Option<(Bound, Ownership)>, MintError> {
        let names = self.names.snapshot();
        match self.ownership(name, &names)? {
            None => Ok(None),
            Some(ownership) => {
                let found = names.bound(name)?;
                Ok(found.map(|found| (found.bound, ownership)))
            }
        }
    }

    /// Whose a name is on this machine, its form below `bns.alt` left aside; `None` unless it may be the chain's.
    fn ownership(&self, name: &Name, names: &Names) -> Result<Option<Ownership>, MintError> {
        if is_protected(name) || !self.vouches(names) {
            return Ok(None);
        }
        let Ok(host) = DnsName::from_ascii(format!("{}.", name.as_str())) else {
            return Ok(None);
        };
        let ownership = ownership_at(&host, &self.terms.policy(), names)?;
        let may_be_ours = matches!(
            ownership,
            Ownership::Ours | Ownership::CouldBeOurs(Condition::LegacyDenies)
        );
        Ok(may_be_ours.then_some(ownership))
    }

    fn vouches(&self, names: &Names) -> bool {
        self.terms.policy().accepts(names.sync())
    }

    /// The certificate of a key that `bound` has; `None` if the root does not permit the name, or too many were made just now.
    fn certificate(
        &self,
        name: &Name,
        key: &Spki,
        bound: &Bound,
    ) -> Result<Option<Arc<Issued>>, MintError> {
        let place = (name.clone(), key.sha256());
        let separate = apart(bound, key);
        let now = self.now();
        let is_good = |kept: &Arc<Issued>| {
            let left = kept.until().saturating_sub(now);
            (RENEWAL..=AUTHORITY_LIFETIME).contains(&left) && *kept.separate() == separate
        };
        if let Some(kept) = self.kept.get(&place).filter(is_good) {
            return Ok(Some(kept));
        }
        let root = self.root()?;
        if !root.certificate().permits(name) || !lock(&self.made).take(self.names.clock.elapsed()) {
            return Ok(None);
        }
        let separate: Vec<String> = separate.into_iter().collect();
        let der = root.certify(name, key, &separate, now)?;
        let issued = Arc::new(Issued::read(&der, root.certificate())?);
        self.kept.insert(place, Arc::clone(&issued));
        Ok(Some(issued))
    }
}

/// A state of the chain, of subdomains, which a late zone file changes without a block, and the policy.
#[derive(Debug, Default)]
pub struct Seen {
    tip: Option<String>,
    policy: Option<Arc<Policy>>,
    subdomains: Option<u64>,
}

impl Allowance {
    /// Whether one more may be made `now`.
    fn take(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= Duration::from_secs(1) {
            *self = Self {
                since: now,
                made: 0,
            };
        }
        self.made += 1;
        self.made <= MADE_PER_SECOND
    }
}

/// The hosts below a name that a key does not speak for.
fn apart(bound: &Bound, key: &Spki) -> BTreeSet<String> {
    bound.apart(key).iter().map(host).collect()
}

/// A host as certificates write it.
fn host(name: &DnsName) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.trim_end_matches('.').to_owned()
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
