//! Whether a TLS server is the one that a name binds (RFC 6698, RFC 7671).
//!
//! One pin that holds is enough:
//!
//! | usage | holds for | looks at name, validity and purpose |
//! |---|---|---|
//! | 3 DANE-EE | the leaf, or a raw key (RFC 7250) | no: the pin says all of it (RFC 7671 §5.1) |
//! | 2 DANE-TA | an authority that the server shows, or a whole key that signed what it shows | yes |
//! | 1 PKIX-EE | the leaf | yes, as the machine's authorities do |
//! | 0 PKIX-TA | an authority that the server shows | yes, and as the machine's authorities do |
//!
//! An authority that a server shows is believed only if a path of signatures leads from it to the leaf: anybody can append
//! somebody else's certificate. Pins of unknown kinds, or with data of a wrong length, are left out (RFC 6698 §4.1). Where
//! two pins differ only in how the data is matched, the stronger digest counts alone (RFC 7671 §9).

use std::cell::OnceCell;
use std::fmt;

use bitcoin::hashes::{Hash as _, sha512};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    CertificateDer, Der, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::hash::{encode_hex, sha256};
use crate::tlsa::Pin;

/// Certificate usages (RFC 7218 §2.1).
const PKIX_TA: u8 = 0;
const PKIX_EE: u8 = 1;
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;
/// Selectors (RFC 7218 §2.2).
const CERT: u8 = 0;
const SPKI: u8 = 1;
/// Matching types (RFC 7218 §2.3).
const FULL: u8 = 0;
const SHA2_256: u8 = 1;
const SHA2_512: u8 = 2;
/// Bytes of a SHA-256.
const SHA2_256_LENGTH: usize = 32;
/// Most pins that are looked at. A zone file has room for some hundreds, and each may cost a path.
const PINS_MAX: usize = 64;
/// Most certificates of a server that are looked at beside the leaf; real chains have three.
const CHAIN_MAX: usize = 16;

/// What a server shows in its handshake.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// Its certificate, and those of authorities.
    Chain(&'a CertificateDer<'a>, &'a [CertificateDer<'a>]),
    /// A key without a certificate.
    RawKey(&'a [u8]),
}

/// What else a server is judged by.
pub struct Setting<'a> {
    /// The names of which a certificate has to be for one.
    pub names: &'a [ServerName<'a>],
    /// When it has to be valid.
    pub now: UnixTime,
    /// Signatures that count.
    pub algorithms: &'a WebPkiSupportedAlgorithms,
    /// What the machine's authorities say of the server.
    pub platform: &'a dyn Fn() -> Result<(), rustls::Error>,
}

/// Why no pin holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There is none.
    #[error(
        "nothing is bound to it: its owner has to put a key into the zone file (`bnsd tls init`)"
    )]
    NoPins,
    /// There is none that anybody could use.
    #[error("all its pins ({0}) are of unknown kinds or damaged: its owner has to mend them")]
    Unusable(usize),
    /// The server shows something that is no certificate.
    #[error("the server shows a certificate that cannot be read ({0})")]
    Unreadable(String),
    /// The server has another key.
    #[error(
        "the server shows the key {shown} (SHA-256), and no pin holds for it or for an authority \
         that it shows: somebody else answers, or its owner has to announce the key"
    )]
    OtherKey {
        /// SHA-256 of the SubjectPublicKeyInfo.
        shown: String,
    },
    /// There are pins for authorities, and no way that counts leads from one to the server.
    #[error("no pinned authority vouches for it: {0}")]
    Path(Broken),
    /// A pin holds, but the machine's authorities have to agree.
    #[error("a pin holds if the machine's authorities agree, and they do not: {0}")]
    Platform(String),
}

/// What is wrong with the way from an authority to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// A rule of X.509.
    Rule(webpki::Error),
    /// The authority may not sign certificates of servers.
    NoAuthority(&'static str),
    /// The certificate is for other names.
    Name,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(webpki::Error::CertExpired { .. }) => f.write_str(
                "a certificate has expired: its owner has to renew it (`bnsd tls issue`)",
            ),
            Self::Rule(webpki::Error::CertNotValidYet { .. }) => {
                f.write_str("a certificate is not valid yet: look at the clock")
            }
            Self::Rule(webpki::Error::UnknownIssuer) => {
                f.write_str("it did not sign the certificate that the server shows")
            }
            Self::Rule(error) => write!(f, "its signature does not count here ({error:?})"),
            Self::NoAuthority(why) => write!(f, "the authority's own certificate {why}"),
            Self::Name => f.write_str("the server's certificate is for other names"),
        }
    }
}

/// The first pin that holds for what a server shows.
pub fn judge<'p>(
    pins: &'p [Pin],
    shown: Shown<'_>,
    setting: &Setting<'_>,
) -> Result<&'p Pin, Mismatch> {
    if pins.is_empty() {
        return Err(Mismatch::NoPins);
    }
    let usable: Vec<&Pin> = usable(pins).take(PINS_MAX).collect();
    if usable.is_empty() {
        return Err(Mismatch::Unusable(pins.len()));
    }
    match shown {
        Shown::RawKey(key) => usable
            .into_iter()
            .find(|pin| pin.usage == DANE_EE && pin.selector == SPKI && is_of(pin, key))
            .ok_or_else(|| other_key(key)),
        Shown::Chain(leaf, rest) => Server::read(leaf, rest, setting)?.judge(&usable),
    }
}

/// Those of known kinds with data of the right length, without those for which there is one with a stronger digest.
fn usable(pins: &[Pin]) -> impl Iterator<Item = &Pin> {
    let is_stronger = |one: &Pin, other: &Pin| {
        let is_like = (one.usage, one.selector) == (other.usage, other.selector);
        is_like && one.matching == SHA2_512 && other.matching == SHA2_256 && is_usable(one)
    };
    pins.iter()
        .filter(|pin| is_usable(pin))
        .filter(move |pin| !pins.iter().any(|other| is_stronger(other, pin)))
}

fn is_usable(pin: &Pin) -> bool {
    let is_long_enough = match pin.matching {
        FULL => !pin.data.is_empty(),
        SHA2_256 => pin.data.len() == SHA2_256_LENGTH,
        SHA2_512 => pin.data.len() == sha512::Hash::LEN,
        _ => false,
    };
    pin.usage <= DANE_EE && pin.selector <= SPKI && is_long_enough
}

/// Whether a pin is for these bytes: a certificate or a key, as its selector says.
fn is_of(pin: &Pin, bytes: &[u8]) -> bool {
    match pin.matching {
        FULL => pin.data == bytes,
        SHA2_256 => pin.data == sha256(bytes),
        SHA2_512 => pin.data == sha512::Hash::hash(bytes).to_byte_array(),
        _ => false,
    }
}

fn other_key(key: &[u8]) -> Mismatch {
    Mismatch::OtherKey {
        shown: encode_hex(&sha256(key)),
    }
}

/// A certificate that a server shows, with its key.
struct Certificate<'a> {
    der: &'a CertificateDer<'a>,
    parsed: EndEntityCert<'a>,
    key: SubjectPublicKeyInfoDer<'static>,
}

impl<'a> Certificate<'a> {
    fn read(der: &'a CertificateDer<'a>) -> Result<Self, webpki::Error> {
        let parsed = EndEntityCert::try_from(der)?;
        let key = parsed.subject_public_key_info();
        Ok(Self { der, parsed, key })
    }

    fn is_pinned(&self, pin: &Pin) -> bool {
        match pin.selector {
            CERT => is_of(pin, self.der),
            _ => is_of(pin, &self.key),
        }
    }
}

/// A server with a certificate.
struct Server<'a> {
    leaf: Certificate<'a>,
    /// What cannot be read is no authority.
    authorities: Vec<Certificate<'a>>,
    rest: &'a [CertificateDer<'a>],
    setting: &'a Setting<'a>,
    platform: OnceCell<Result<(), rustls::Error>>,
}

impl<'a> Server<'a> {
    fn read(
        leaf: &'a CertificateDer<'a>,
        rest: &'a [CertificateDer<'a>],
        setting: &'a Setting<'a>,
    ) -> Result<Self, Mismatch> {
        let unreadable = |error| Mismatch::Unreadable(format!("{error:?}"));
        let rest = rest.get(..CHAIN_MAX).unwrap_or(rest);
        let authorities = rest.iter().filter_map(|der| Certificate::read(der).ok());
        Ok(Self {
            leaf: Certificate::read(leaf).map_err(unreadable)?,
            authorities: authorities.collect(),
            rest,
            setting,
            platform: OnceCell::new(),
        })
    }

    /// The first pin that holds, or what comes closest to one.
    fn judge<'p>(&self, pins: &[&'p Pin]) -> Result<&'p Pin, Mismatch> {
        let mut closest = None;
        for pin in pins {
            match self.holds(pin) {
                Ok(true) => return Ok(pin),
                Ok(false) => {}
                Err(mismatch) => closest = closest.or(Some(mismatch)),
            }
        }
        Err(closest.unwrap_or_else(|| other_key(&self.leaf.key)))
    }

    /// Whether a pin is for this server; an error if it is and does not hold.
    fn holds(&self, pin: &Pin) -> Result<bool, Mismatch> {
        match pin.usage {
            DANE_EE => Ok(self.leaf.is_pinned(pin)),
            DANE_TA => self.is_below(pin),
            PKIX_EE => Ok(self.leaf.is_pinned(pin) && self.agrees()?),
            PKIX_TA => Ok(self.is_below(pin)? && self.agrees()?),
            _ => Ok(false),
        }
    }

    fn agrees(&self) -> Result<bool, Mismatch> {
        let agreed = self.platform.get_or_init(|| (self.setting.platform)());
        match agreed {
            Ok(()) => Ok(true),
            Err(error) => Err(Mismatch::Platform(error.to_string())),
        }
    }

    /// Whether the pinned authority signed for this server.
    fn is_below(&self, pin: &Pin) -> Result<bool, Mismatch> {
        let shown: Vec<_> = self.authorities.iter().collect();
        let shown = shown.into_iter().filter(|one| one.is_pinned(pin));
        let mut closest = None;
        for authority in shown {
            match self.is_signed_by(authority) {
                Ok(()) => return Ok(true),
                Err(broken) => closest = closest.or(Some(broken)),
            }
        }
        if pin.selector == SPKI && pin.matching == FULL && self.is_signed_with(&pin.data)? {
            return Ok(true);
        }
        closest.map_or(Ok(false), |broken| Err(Mismatch::Path(broken)))
    }

    /// Whether an authority that the server shows signed for it.
    fn is_signed_by(&self, authority: &Certificate<'_>) -> Result<(), Broken> {
        let anchor = webpki::anchor_from_trusted_cert(authority.der).map_err(Broken::Rule)?;
        let paths = sub_authorities(authority.der, self.setting.now)?;
        let is_short = |path: &VerifiedPath<'_>| {
            let between = path.intermediate_certificates().count();
            match paths.is_none_or(|most| between <= most) {
                true => Ok(()),
                false => Err(webpki::Error::PathLenConstraintViolated),
            }
        };
        self.check(&[anchor], &is_short)
    }

    /// Whether the authority with this key, of which no certificate is needed, signed for the server. It has the name of whom
    /// a certificate names as its issuer.
    fn is_signed_with(&self, key: &[u8]) -> Result<bool, Mismatch> {
        let Ok(([], value)) = Any::from_der(key) else {
            return Ok(false);
        };
        let anchors = std::iter::once(&self.leaf).chain(&self.authorities);
        let anchors: Vec<_> = anchors
            .map(|certificate| TrustAnchor {
                subject: Der::from_slice(certificate.parsed.issuer()),
                subject_public_key_info: Der::from_slice(value.data),
                name_constraints: None,
            })
            .collect();
        match self.check(&anchors, &|_| Ok(())) {
            Ok(()) => Ok(true),
            // Somebody else signed.
            Err(Broken::Rule(
                webpki::Error::UnknownIssuer
                | webpki::Error::InvalidSignatureForPublicKey
                | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_),
            )) => Ok(false),
            Err(broken) => Err(Mismatch::Path(broken)),
        }
    }

    /// A path from one of the anchors, and that the leaf is for the name.
    fn check(
        &self,
        anchors: &[TrustAnchor<'_>],
        path: &dyn Fn(&VerifiedPath<'_>) -> Result<(), webpki::Error>,
    ) -> Result<(), Broken> {
        let leaf = &self.leaf.parsed;
        let usage = KeyUsage::server_auth();
        let (algorithms, now) = (self.setting.algorithms.all, self.setting.now);
        leaf.verify_for_usage(algorithms, anchors, self.rest, now, usage, None, Some(path))
            .map_err(Broken::Rule)?;
        let is_for = |name| leaf.verify_is_valid_for_subject_name(name).is_ok();
        match self.setting.names.iter().any(is_for) {
            true => Ok(()),
            false => Err(Broken::Name),
        }
    }
}

/// How many authorities may stand between this one and a server; `None` for any number. A path is built from an anchor
/// without looking at it, so what its certificate allows is read here (RFC 5280 §4.2.1).
fn sub_authorities(der: &CertificateDer<'_>, now: UnixTime) -> Result<Option<usize>, Broken> {
    let refused = |why| Err(Broken::NoAuthority(why));
    let Ok(([], certificate)) = X509Certificate::from_der(der) else {
        return refused("cannot be read");
    };
    let time = ASN1Time::from_timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if !time.is_ok_and(|now| certificate.validity().is_valid_at(now)) {
        return refused("is not valid at this time: its owner has to renew it (`bnsd tls issue`)");
    }
    let (Ok(basic), Ok(usage), Ok(purposes)) = (
        certificate.basic_constraints(),
        certificate.key_usage(),
        certificate.extended_key_usage(),
    ) else {
        return refused("says something twice");
    };
    let Some(basic) = basic.filter(|basic| basic.value.ca) else {
        return refused("is not that of an authority");
    };
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return refused("does not allow it to sign certificates");
    }
    if purposes.is_some_and(|purposes| !purposes.value.any && !purposes.value.server_auth) {
        return refused("does not allow it to sign for servers");
    }
    Ok(basic.value.path_len_constraint.map(|most| most as usize))
}
