//! T3: a key of a name signs for a TLS key.
//!
//! A statement with `from=`, `until=` (seconds since 1970) and `proof=` (base64) is a delegation. It may stand in the zone
//! file, or, as the same text, in a certificate in the extension [`OID`], so that a server can show a new key without a
//! transaction. The proof is a signature by the owner's address (p2pkh, or p2sh multisig) or by the zone file's
//! `pubkey:data:` key, with S in the lower half, in the layout of the reference's subdomain records.
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
//! A vector: of the text above with `host me.id`, `ports 443` and 64 zeros as the digest of the key, the SHA-256 is
//! `d7049c75d8fa79a2d3476d18a5fd3361498869780df9dba34b3c3ce580443234`; the secret key that is `01` 32 times signs it, by
//! RFC 6979, as r `376a537eb0d15548a1b9ab5f3afaa27a386ff3e33181646541c36c2fa80a3963` and
//! s `37c9c27dd8805205fef5fac5a39495fedbff3916745de24843dce612507c2919`.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};

use super::holder::{Holder, Registration};
use super::own_key::OwnKey;
use super::pin::Rule;
use super::problem::Reason;
use super::statement::{Material, Statement, Text};
use crate::bns::name::Name;
use crate::bns::proof::{self, Prover};
use crate::hash::sha256;
use hickory_proto::rr::Name as DnsName;

/// Separates these signatures from all others.
const TAG: &str = "bnstls1 delegation";
/// The X.509 extension with the text of a delegation, a UTF8String: a number of its own below 2.25, where nobody has to be
/// asked for one (X.667 §7), and that libraries take, which have room for 64 bits.
pub const OID: [u64; 3] = [2, 25, 3_138_345_128_896_940_713];

/// The statement that the text of a delegation makes about a host, if it is signed by a key of the name and holds now.
pub(super) fn judge(
    text: Text,
    name: &Name,
    host: &DnsName,
    holder: &Holder,
    own_key: Option<&OwnKey>,
) -> Result<Statement, Reason> {
    let signed = text.signed.ok_or(Reason::Malformed)?;
    signed.check_time(holder)?;
    let until = Some(signed.until);
    let statement = Statement {
        host: host.to_lowercase(),
        usage: text.usage,
        ports: text.ports,
        material: text.material,
        rule: Rule::Delegation,
        until,
    };
    let digest = digest(
        name,
        &holder.registration,
        &statement,
        (signed.from, signed.until),
    );
    let prover = proof::prover(&signed.proof, digest)?;
    let is_data_key =
        |own: &OwnKey| matches!(prover, Prover::Key(key, _) if key == own.public_key());
    if holder.owner == Some(prover.address()) || own_key.is_some_and(is_data_key) {
        Ok(statement)
    } else {
        Err(Reason::BadSignature)
    }
}

/// The text of a delegation that the owner of one key signed; `from` and `until` as in [`digest`].
pub fn text(
    statement: &Statement,
    (from, until): (u32, u32),
    signature: &[u8; 64],
    public_key: &[u8; 33],
) -> String {
    let ports: Vec<String> = statement.ports.iter().map(u16::to_string).collect();
    let (usage, ports) = (statement.usage.as_str(), ports.join(","));
    let key = match &statement.material {
        Material::Whole(key) => format!("spki={}", BASE64.encode(key.as_bytes())),
        Material::Digest(digest) => format!("spki-sha256={}", HEXLOWER.encode(digest)),
    };
    let proof = BASE64.encode(&proof::of_one(signature, public_key));
    format!("v=bnstls1 use={usage} port={ports} {key} from={from} until={until} proof={proof}")
}

/// What a key of the name has to sign, so that `statement` holds from and until two times in seconds since 1970.
pub fn digest(
    name: &Name,
    registration: &Registration,
    statement: &Statement,
    (from, until): (u32, u32),
) -> [u8; 32] {
    let mut text = String::new();
    let host = statement.host.to_lowercase().to_ascii();
    let ports: Vec<String> = statement.ports.iter().map(u16::to_string).collect();
    let lines = [
        (
            "chain",
            format!(
                "{} {}",
                HEXLOWER.encode(&registration.magic),
                registration.first_block
            ),
        ),
        ("name", name.to_string()),
        ("registered", registration.height.to_string()),
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
    tagged(TAG, &text)
}

/// SHA-256 of `text` that no other use of the same key can have: the digest of the tag stands before it twice (BIP 340).
fn tagged(tag: &str, text: &str) -> [u8; 32] {
    let tag = sha256(tag.as_bytes());
    let whole = [&tag[..], &tag[..], text.as_bytes()].concat();
    sha256(&whole)
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::{Message, Secp256k1, SecretKey, ecdsa::Signature};

    use super::*;
    use crate::bns::address::Address;
    use crate::hash::h160;
    use crate::tlsa::fixture::p256;
    use crate::tlsa::signed::LONGEST;
    use crate::tlsa::{Bound, Reason, Usage};
    use crate::zonefile::parse;

    const FROM: u32 = 1_789_000_000;
    const UNTIL: u32 = 1_800_000_000;

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_slice(&[seed; 32]).expect("a key")
    }

    fn public(seed: u8) -> Vec<u8> {
        let key = secret(seed).public_key(&Secp256k1::new());
        key.serialize().to_vec()
    }

    fn sign(seed: u8, digest: [u8; 32]) -> Vec<u8> {
        let signature = Secp256k1::new().sign_ecdsa(&Message::from_digest(digest), &secret(seed));
        signature.serialize_compact().to_vec()
    }

    fn push(bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("a short push");
        match length {
            ..=75 => [&[length], bytes].concat(),
            _ => [&[0x4c, length], bytes].concat(),
        }
    }

    fn owned(owner: Address) -> Holder {
        Holder {
            owner: Some(owner),
            ..Holder::fixture()
        }
    }

    fn holder() -> Holder {
        owned(Address::P2pkh(h160(&public(1))))
    }

    fn about() -> Statement {
        Statement {
            host: DnsName::from_ascii("me.id.").expect("a name"),
            usage: Usage::Authority,
            ports: vec![443],
            material: Material::Whole(p256(1)),
            rule: Rule::Delegation,
            until: Some(UNTIL),
        }
    }

    fn digest_of(holder: &Holder) -> [u8; 32] {
        let name = "me.id".parse().expect("a name");
        digest(&name, &holder.registration, &about(), (FROM, UNTIL))
    }

    fn text(proof: &[u8]) -> String {
        let (key, proof) = (BASE64.encode(p256(1).as_bytes()), BASE64.encode(proof));
        format!("v=bnstls1 use=ta port=443 spki={key} from={FROM} until={UNTIL} proof={proof}")
    }

    fn by_owner(holder: &Holder) -> String {
        let signature = sign(1, digest_of(holder));
        text(&[push(&signature), push(&public(1))].concat())
    }

    fn judged(text: &str, name: &str, holder: &Holder) -> Result<Statement, Reason> {
        let host = DnsName::from_ascii(format!("{name}.")).expect("a name");
        let name = name.parse().expect("a name");
        judge(Text::read(text.as_bytes())?, &name, &host, holder, None)
    }

    #[test]
    fn the_vector_of_the_head_is_right() {
        let statement = Statement {
            material: Material::Digest([0; 32]),
            ..about()
        };
        let name = "me.id".parse().expect("a name");
        let times = (1_790_000_000, 1_821_000_000);
        let digest = digest(&name, &Holder::fixture().registration, &statement, times);
        let head = include_str!("delegation.rs");
        let head = head.split("use std::fmt").next().expect("the head");
        assert!(
            head.contains(&HEXLOWER.encode(&digest)),
            "{}",
            HEXLOWER.encode(&digest)
        );
        let signature = sign(1, digest);
        let shown = HEXLOWER.encode(&signature);
        assert!(
            head.contains(&shown[..64]) && head.contains(&shown[64..]),
            "{shown}"
        );
    }

    #[test]
    fn the_owner_binds_a_key_by_signing_for_it() {
        let holder = holder();
        assert_eq!(judged(&by_owner(&holder), "me.id", &holder), Ok(about()));
    }

    #[test]
    fn a_multisig_owner_signs_with_as_many_keys_as_needed() {
        let keys: Vec<u8> = [1, 2, 3]
            .iter()
            .flat_map(|seed| push(&public(*seed)))
            .collect();
        let script = [&[0x52], &keys[..], &[0x53, 0xae]].concat();
        let holder = owned(Address::P2sh(h160(&script)));
        let digest = digest_of(&holder);
        let proof = |seeds: &[u8]| {
            let signatures = seeds.iter().flat_map(|seed| push(&sign(*seed, digest)));
            [vec![0], signatures.collect(), push(&script)].concat()
        };
        assert_eq!(
            judged(&text(&proof(&[1, 3])), "me.id", &holder),
            Ok(about())
        );
        for seeds in [&[3, 1][..], &[1], &[1, 2, 3], &[1, 1], &[1, 4]] {
            let judged = judged(&text(&proof(seeds)), "me.id", &holder);
            assert_eq!(judged, Err(Reason::BadSignature), "{seeds:?}");
        }
    }

    #[test]
    fn a_data_key_binds_a_key_too() {
        let holder = owned(Address::P2sh([7; 20]));
        let signature = sign(9, digest_of(&holder));
        let text = text(&[push(&signature), push(&public(9))].concat());
        let zone = |key: u8| {
            let key = HEXLOWER.encode(&public(key));
            let (one, two) = text.split_at(200);
            let text =
                format!("pubkey TXT \"pubkey:data:{key}\"\n_tlskey TXT \"{one}\" \"{two}\"\n");
            parse(&about().host, text.as_bytes()).expect("a zone file")
        };
        let name: Name = "me.id".parse().expect("a name");
        let bound = Bound::of(&name, &zone(9), &holder);
        assert_eq!(bound.statements(), [about()]);
        assert!(bound.is_timed());
        let other = Bound::of(&name, &zone(8), &holder);
        assert_eq!(other.problems()[0].reason, Reason::BadSignature);
        assert_eq!(other.statements(), []);
    }

    #[test]
    fn it_holds_in_its_time_for_its_name_registration_and_chain() {
        let holder = holder();
        let text = by_owner(&holder);
        let change = |change: fn(&mut Holder)| {
            let mut changed = holder.clone();
            change(&mut changed);
            judged(&text, "me.id", &changed)
        };
        assert!(change(|holder| holder.time = FROM).is_ok());
        assert!(change(|holder| holder.time = UNTIL).is_ok());
        assert_eq!(change(|holder| holder.time = FROM - 1), Err(Reason::NotYet));
        assert_eq!(
            change(|holder| holder.time = UNTIL + 1),
            Err(Reason::Expired)
        );
        let no = Err(Reason::BadSignature);
        assert_eq!(change(|holder| holder.registration.height += 1), no);
        assert_eq!(change(|holder| holder.registration.magic = *b"xx"), no);
        assert_eq!(change(|holder| holder.registration.first_block += 1), no);
        assert_eq!(change(|holder| holder.owner = None), no);
        assert_eq!(
            change(|holder| holder.owner = Some(Address::P2pkh([1; 20]))),
            no
        );
        assert_eq!(judged(&text, "you.id", &holder), no);
        let other_port = text.replace("port=443", "port=8443");
        assert_eq!(judged(&other_port, "me.id", &holder), no);
        let longer = text.replace(&UNTIL.to_string(), &(FROM + LONGEST + 1).to_string());
        assert_eq!(judged(&longer, "me.id", &holder), Err(Reason::BadTime));
    }

    #[test]
    fn a_second_form_of_a_signature_is_refused() {
        let holder = holder();
        let signature = sign(1, digest_of(&holder));
        let (r, s) = signature.split_at(32);
        let s = SecretKey::from_slice(s)
            .expect("a number below the order")
            .negate();
        let high = [r, &s.secret_bytes()].concat();
        assert!(Signature::from_compact(&high).is_ok());
        let text = text(&[push(&high), push(&public(1))].concat());
        assert_eq!(judged(&text, "me.id", &holder), Err(Reason::HighS));
    }
}
