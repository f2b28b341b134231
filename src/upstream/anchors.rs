//! The keys that validation starts from: those of the root, compiled in or from a file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hickory_proto::dnssec::TrustAnchors;

/// The keys that everything is proved from.
#[derive(Clone)]
pub struct Anchors(pub(super) Arc<TrustAnchors>);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read keys from {path}: {reason}; `dns.trust-anchor` names a file of DNSKEY records of the root"
)]
pub struct AnchorError {
    path: String,
    reason: String,
}

impl Anchors {
    /// Those of ICANN's root.
    pub fn of_icann() -> Self {
        Self(Arc::new(TrustAnchors::default()))
    }

    /// Those in a file of DNSKEY records.
    pub fn read(path: &Path) -> Result<Self, AnchorError> {
        let problem = |reason: String| AnchorError {
            path: path.display().to_string(),
            reason,
        };
        let anchors = TrustAnchors::from_file(path).map_err(|error| problem(error.to_string()))?;
        match anchors.is_empty() {
            true => Err(problem("there is no key in it".to_owned())),
            false => Ok(Self(Arc::new(anchors))),
        }
    }
}

impl PartialEq for Anchors {
    fn eq(&self, other: &Self) -> bool {
        let keys = |anchors: &TrustAnchors| -> Vec<_> {
            (0..anchors.len())
                .map(|at| anchors.get(at).cloned())
                .collect()
        };
        keys(&self.0) == keys(&other.0)
    }
}

impl Eq for Anchors {}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}
