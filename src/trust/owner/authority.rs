//! A name's authority at work: its own certificate and those of servers.

use std::path::PathBuf;

use rcgen::{Issuer, KeyPair, PublicKeyData as _};
use zeroize::Zeroizing;

use super::error::OwnerError;
use crate::bns::Name;
use crate::tlsa::Spki;
use crate::trust::profile::{self, BACKDATED, DAY};
use crate::trust::stapled;

/// How long a leaf is valid, in seconds: 397 days from its first second to its last. Some programs take none for longer than
/// 398.
const LEAF_TERM: u64 = 397 * DAY;
/// The same for the authority's own certificate: 20 years.
const AUTHORITY_TERM: u64 = 7_305 * DAY;
/// 2025-01-01 in seconds since 1970. A clock before that was never set.
const EARLIEST_CLOCK: u64 = 1_735_689_600;

/// A name's authority with its key.
pub(super) struct Authority<'n> {
    pub(super) name: &'n Name,
    pub(super) spki: Spki,
    key: Zeroizing<KeyPair>,
}

impl<'n> Authority<'n> {
    /// The authority with the key that `path` holds.
    pub(super) fn new(
        name: &'n Name,
        key: Zeroizing<KeyPair>,
        path: PathBuf,
    ) -> Result<Self, OwnerError> {
        let spki = Spki::read(&key.subject_public_key_info());
        let what = "P-256 or Ed25519 key, and no other kind can be bound to a name";
        let spki = spki.ok_or(OwnerError::Content { path, what })?;
        Ok(Self { name, spki, key })
    }

    /// Its certificate, signed by itself, in PEM.
    pub(super) fn certificate(&self, now: u64) -> Result<Vec<u8>, OwnerError> {
        let mut params = profile::authority(self.name.as_str(), &self.spki, &[]);
        profile::set_validity(&mut params, now - BACKDATED, now + AUTHORITY_TERM);
        Ok(params.self_signed(&*self.key)?.pem().into_bytes())
    }

    /// The certificate of a server with that key, in PEM; it carries the text of a delegation, if there is one.
    pub(super) fn leaf(
        &self,
        key: &KeyPair,
        now: u64,
        delegation: Option<&str>,
    ) -> Result<Vec<u8>, OwnerError> {
        let mut params = profile::leaf(self.name.as_str(), &self.spki)?;
        let carried = delegation.and_then(|text| stapled::extension(text.trim()));
        params.custom_extensions.extend(carried);
        profile::set_validity(&mut params, now - BACKDATED, leaf_end(now));
        let issuer = profile::authority(self.name.as_str(), &self.spki, &[]);
        let issuer = Issuer::from_params(&issuer, &*self.key);
        Ok(params.signed_by(key, &issuer)?.pem().into_bytes())
    }

    /// Whether a certificate of the authority can carry a leaf that is made now; both ends in seconds since 1970.
    pub(super) fn carries(validity: (u64, u64), now: u64) -> bool {
        validity.0 <= now - BACKDATED && leaf_end(now) <= validity.1
    }
}

/// The last second of a leaf that is made now; both ends count (RFC 5280 §4.1.2.5).
fn leaf_end(now: u64) -> u64 {
    now - BACKDATED + LEAF_TERM - 1
}

/// Refuses a clock that was never set, in seconds since 1970.
pub(super) fn check_clock(now: u64) -> Result<(), OwnerError> {
    match now >= EARLIEST_CLOCK {
        true => Ok(()),
        false => Err(OwnerError::Clock),
    }
}
