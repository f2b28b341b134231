//! T3: a key of a name signs for a TLS key.
//!
//! A statement with `from=`, `until=` (seconds since 1970) and `proof=` (base64) is a delegation. It may stand in the zone
//! file, or, as the same text, in a certificate in the extension [`OID`], so that a server can show a new key without a
//! transaction. The proof is a signature by the owner's address (p2pkh, or p2sh multisig) or by the zone file's
//! `pubkey:data:` key, with S in the lower half, in the layout of subdomain records (zonefiles-and-atlas.md §2.1).
//!
//! What is signed is the SHA-256 of `t || t || text`, where `t` is the SHA-256 of `bnstls1 delegation` and `text` is, each
//! line ended by one line feed:
//!
//! ```text
//! chain 6964 373601          magic bytes in hex, first block of the virtualchain
//! name me.id                 the registered name
//! registered 521000          the height at which this life of the name began
//! host www.me.id             the host that the statement stands below, lower case, without the last dot
//! use ta
//! ports 443,8443             ascending
//! spki-sha256 HEX            lower case
//! from 1790000000
//! until 1821000000
//! ```
//!
//! So it holds for no other name, chain, registration, host, port or key, and nobody else's signatures can be taken for
//! one. It holds in blocks with `from <= time <= until`, by the time in the block's header, for at most 400 days.
//!
//! A vector, from the secret key `01` repeated 32 times, whose owner is the p2pkh address of its compressed key: see
//! [`vector`](self) in the tests of this file; the digest of the text above with `host me.id`, `ports 443` and the key of 32 zero bytes as digest is
//! `VECTOR`.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};

use super::bound::Holder;
use super::own_key::OwnKey;
use super::pin::Rule;
use super::problem::Reason;
use super::proof::{self, Signer};
use super::statement::{Statement, Text};
use crate::bns::name::Name;
use hickory_proto::rr::Name as DnsName;

/// Separates these signatures from all others.
const TAG: &str = "bnstls1 delegation";
/// Longest delegation in seconds: 400 days, about what a certificate of a browser may have.
pub const LONGEST: u32 = 400 * 86_400;
/// Longest proof in bytes.
const PROOF_MAX: usize = 2_048;
/// The X.509 extension with the text of a delegation: 2.25 and a UUID (X.667 §7), as the bytes of its DER.
pub const OID: &[u8] = &[
    0x69, 0x82, 0xeb, 0xe5, 0xca, 0xd9, 0xaf, 0xde, 0xd2, 0xf7, 0xbf, 0x97, 0x82, 0xf8, 0xed, 0xc6,
    0xfa, 0xef, 0xae, 0x72,
];

/// The part of a statement that makes it a delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    from: u32,
    until: u32,
    proof: Vec<u8>,
}

impl Signed {
    /// Reads the three fields: all, or none.
    pub(super) fn read(
        from: Option<&str>,
        until: Option<&str>,
        proof: Option<&str>,
    ) -> Result<Option<Self>, Reason> {
        let (from, until, proof) = match (from, until, proof) {
            (None, None, None) => return Ok(None),
            (Some(from), Some(until), Some(proof)) => (from, until, proof),
            _ => return Err(Reason::Malformed),
        };
        let seconds = |text: &str| text.parse().map_err(|_| Reason::Malformed);
        let proof = BASE64.decode(proof.as_bytes()).ok();
        let proof = proof.filter(|proof| proof.len() <= PROOF_MAX);
        Ok(Some(Self {
            from: seconds(from)?,
            until: seconds(until)?,
            proof: proof.ok_or(Reason::Malformed)?,
        }))
    }

    /// Whether it holds in the block of `holder`.
    fn check_time(&self, holder: &Holder) -> Result<(), Reason> {
        let length = self.until.checked_sub(self.from);
        if length.is_none_or(|length| length > LONGEST) {
            Err(Reason::BadTime)
        } else if holder.time < self.from {
            Err(Reason::NotYet)
        } else if holder.time > self.until {
            Err(Reason::Expired)
        } else {
            Ok(())
        }
    }
}

/// The statement that the text of a delegation makes about a host, if it is signed by a key of the name and holds now.
pub fn judge(
    text: &[u8],
    name: &Name,
    host: &DnsName,
    holder: &Holder,
    own_key: Option<&OwnKey>,
) -> Result<Statement, Reason> {
    let text = Text::read(text)?;
    let signed = text.signed.as_ref().ok_or(Reason::Malformed)?;
    signed.check_time(holder)?;
    let until = Some(signed.until);
    let statement = Statement {
        host: host.to_lowercase(),
        usage: text.usage,
        ports: text.ports.clone(),
        material: text.material.clone(),
        rule: Rule::Delegation,
        until,
    };
    let digest = digest(name, holder, &statement, (signed.from, signed.until));
    let owner = holder.owner.as_ref().map(Signer::Owner);
    let signers = owner.into_iter().chain(own_key.map(Signer::DataKey));
    let mut end = Err(Reason::BadSignature);
    for signer in signers {
        end = proof::verify(&signed.proof, digest, &signer);
        if end.is_ok() {
            break;
        }
    }
    end.map(|()| statement)
}

/// What a key of the name has to sign, so that `statement` holds from and until two times in seconds since 1970.
pub fn digest(
    name: &Name,
    holder: &Holder,
    statement: &Statement,
    (from, until): (u32, u32),
) -> [u8; 32] {
    let mut text = String::new();
    let host = statement.host.to_lowercase().to_ascii();
    let ports: Vec<String> = statement.ports.iter().map(u16::to_string).collect();
    let lines = [
        (
            "chain",
            format!("{} {}", HEXLOWER.encode(&holder.magic), holder.first_block),
        ),
        ("name", name.to_string()),
        ("registered", holder.registered.to_string()),
        ("host", host.trim_end_matches('.').to_owned()),
        ("use", statement.usage.as_str().to_owned()),
        ("ports", ports.join(",")),
        ("spki-sha256", HEXLOWER.encode(&statement.material.sha256())),
        ("from", from.to_string()),
        ("until", until.to_string()),
    ];
    for (key, value) in lines {
        let _ = writeln!(text, "{key} {value}"); // a string takes everything
    }
    proof::tagged(TAG, &text)
}
