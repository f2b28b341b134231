//! Statements about keys: the text of a `_tlskey` record.
//!
//! ```text
//! v=bnstls1 use=ta port=443 spki=MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE…
//! v=bnstls1 use=ee port=8443 spki-sha256=5b1f…
//! v=bnstls1 use=ta port=443,8443 spki=… from=1790000000 until=1821000000 proof=…
//! ```
//!
//! Fields stand in any order behind `v=`, each once, with one space or more between them; fields that are not known are ignored. `port` may be left out, and is 443 then.
//! The first form is the one to use. The second makes pins, but no certificate that a browser takes, because a digest cannot be certified. The
//! third is a delegation, see [`super::delegation`].
//!
//! Browsers get certificates for authorities that stand at the name itself and have port 443 among theirs: a certificate is for
//! all ports and for the hosts below, so that no authority of a mail server or of one host gets one.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hickory_proto::rr::Name as DnsName;

use super::pin::{Pin, Rule, SHA256, SPKI, Usage, WHOLE};
use super::problem::Reason;
use super::signed::Signed;
use super::spki::Spki;

/// The label below a host at which statements about it stand.
pub(super) const LABEL: &[u8] = b"_tlskey";
/// What a statement begins with.
const VERSION: &str = "v=bnstls1";
/// The port of HTTPS.
pub(super) const HTTPS: u16 = 443;
/// Ports of one statement.
const PORTS_MAX: usize = 8;
/// Longest text that is read, in bytes: two keys and a proof of many signatures.
const TEXT_MAX: usize = 4_096;

/// A key that is bound to a host and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The host; hosts below it are meant too.
    pub host: DnsName,
    /// What the key certifies.
    pub usage: Usage,
    /// TCP ports, ascending.
    pub ports: Vec<u16>,
    /// The key, or its digest.
    pub material: Material,
    /// T2 or T3.
    pub rule: Rule,
    /// The end of a delegation, in seconds since 1970.
    pub until: Option<u32>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// All.
    Whole(Spki),
    /// The SHA-256 of its SubjectPublicKeyInfo.
    Digest([u8; 32]),
}

/// What the text of a record says, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) usage: Usage,
    pub(super) ports: Vec<u16>,
    pub(super) material: Material,
    pub(super) signed: Option<Signed>,
}

impl Text {
    /// Reads the text of a record.
    pub(super) fn read(text: &[u8]) -> Result<Self, Reason> {
        let text = std::str::from_utf8(text).map_err(|_| Reason::Malformed)?;
        let mut words = text.split_ascii_whitespace();
        if text.len() > TEXT_MAX || words.next() != Some(VERSION) {
            return Err(Reason::Malformed);
        }
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for word in words {
            let (key, value) = word.split_once('=').ok_or(Reason::Malformed)?;
            if fields.iter().any(|(known, _)| *known == key) {
                return Err(Reason::DoubledField);
            }
            fields.push((key, value));
        }
        let field = |wanted: &str| {
            let found = fields.iter().find(|(key, _)| *key == wanted);
            found.map(|(_, value)| *value)
        };
        Ok(Self {
            usage: match field("use") {
                Some("ta") => Usage::Authority,
                Some("ee") => Usage::Leaf,
                _ => return Err(Reason::Malformed),
            },
            ports: field("port").map_or(Ok(vec![HTTPS]), ports)?,
            material: material(field("spki"), field("spki-sha256"))?,
            signed: Signed::read(field("from"), field("until"), field("proof"))?,
        })
    }
}

impl Statement {
    /// What a TLS server has to show for it.
    pub fn pins(&self) -> Vec<Pin> {
        let pin = |matching, data: &[u8]| Pin {
            usage: self.usage.number(),
            selector: SPKI,
            matching,
            data: data.to_vec(),
            rule: self.rule,
        };
        match (&self.material, self.usage) {
            (Material::Whole(key), Usage::Authority) => {
                // The whole key serves where the server sends its leaf alone.
                vec![pin(SHA256, &key.sha256()), pin(WHOLE, key.as_bytes())]
            }
            (Material::Whole(key), Usage::Leaf) => vec![pin(SHA256, &key.sha256())],
            (Material::Digest(digest), _) => vec![pin(SHA256, digest)],
        }
    }

    /// The key, if all of it is known.
    pub fn key(&self) -> Option<&Spki> {
        match &self.material {
            Material::Whole(key) => Some(key),
            Material::Digest(_) => None,
        }
    }
}

impl Material {
    /// The SHA-256 of the key's SubjectPublicKeyInfo.
    pub fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Whole(key) => key.sha256(),
            Self::Digest(digest) => *digest,
        }
    }
}

/// Ports with commas between them, each above 0 and once.
fn ports(text: &str) -> Result<Vec<u16>, Reason> {
    let read = |port: &str| match port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => port.parse::<u16>().ok().filter(|port| *port > 0),
        false => None,
    };
    let ports: Option<Vec<u16>> = text.split(',').map(read).collect();
    let mut ports = ports.ok_or(Reason::Malformed)?;
    let count = ports.len();
    ports.sort_unstable();
    ports.dedup();
    match ports.len() == count && count <= PORTS_MAX {
        true => Ok(ports),
        false => Err(Reason::Malformed),
    }
}

fn material(whole: Option<&str>, digest: Option<&str>) -> Result<Material, Reason> {
    match (whole, digest) {
        (Some(text), None) => {
            let der = BASE64.decode(text.as_bytes()).ok();
            let key = der.and_then(|der| Spki::read(&der));
            key.map(Material::Whole).ok_or(Reason::UnknownKey)
        }
        (None, Some(text)) => {
            let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
            let digest = bytes.and_then(|bytes| bytes.try_into().ok());
            digest.map(Material::Digest).ok_or(Reason::Malformed)
        }
        _ => Err(Reason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlsa::fixture;

    #[test]
    fn a_statement_is_read_in_any_order_of_its_fields() {
        let key = fixture::p256(1);
        let base64 = BASE64.encode(key.as_bytes());
        let text = format!("v=bnstls1 use=ta port=443 spki={base64}");
        let read = Text::read(text.as_bytes()).expect("a statement");
        assert_eq!(read.material, Material::Whole(key.clone()));
        assert_eq!(
            (read.usage, &read.ports[..]),
            (Usage::Authority, &[443][..])
        );
        let text = format!("v=bnstls1  later=1 spki={base64} use=ta");
        assert_eq!(Text::read(text.as_bytes()), Ok(read));
        let digest = data_encoding::HEXLOWER.encode(&key.sha256());
        let text = format!("v=bnstls1 use=ee port=8443,25 spki-sha256={digest}");
        let read = Text::read(text.as_bytes()).expect("a statement");
        assert_eq!(
            (read.usage, &read.ports[..]),
            (Usage::Leaf, &[25, 8443][..])
        );
        assert_eq!(read.material, Material::Digest(key.sha256()));
    }

    #[test]
    fn what_is_not_clear_says_nothing() {
        let base64 = BASE64.encode(fixture::p256(1).as_bytes());
        let digest = "00".repeat(32);
        let long = "x".repeat(TEXT_MAX);
        for (text, reason) in [
            ("".to_owned(), Reason::Malformed),
            (format!("use=ta spki={base64}"), Reason::Malformed),
            (format!("v=bnstls2 use=ta spki={base64}"), Reason::Malformed),
            (format!("v=bnstls1 spki={base64}"), Reason::Malformed),
            (format!("v=bnstls1 use=xx spki={base64}"), Reason::Malformed),
            ("v=bnstls1 use=ta".to_owned(), Reason::Malformed),
            (
                format!("v=bnstls1 use=ta word spki={base64}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta spki={base64} spki-sha256={digest}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta use=ee spki={base64}"),
                Reason::DoubledField,
            ),
            (
                format!("v=bnstls1 use=ta port=0 spki={base64}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta port=65536 spki={base64}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta port=+443 spki={base64}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta port=1,1 spki={base64}"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta port=1,2,3,4,5,6,7,8,9 spki={base64}"),
                Reason::Malformed,
            ),
            ("v=bnstls1 use=ta spki=AAAA".to_owned(), Reason::UnknownKey),
            (
                format!("v=bnstls1 use=ta spki={}", &base64[1..]),
                Reason::UnknownKey,
            ),
            (
                "v=bnstls1 use=ta spki-sha256=00".to_owned(),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta spki={base64} until=1"),
                Reason::Malformed,
            ),
            (
                format!("v=bnstls1 use=ta spki={base64} x={long}"),
                Reason::Malformed,
            ),
        ] {
            assert_eq!(Text::read(text.as_bytes()), Err(reason), "{text}");
        }
        assert_eq!(Text::read(b"v=bnstls1 \xff"), Err(Reason::Malformed));
    }
}
