//! Signatures under records of subdomains.

use super::keys::SigningKey;
use super::lock::Lock;
use crate::bns::address::AddressVersions;
use crate::bns::proof;
use crate::bns::subdomain::Record;

/// Why a record is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The rules of subdomains know no such signature.
    #[error(
        "an address of wrapped segwit can sign no record of a subdomain: let another one own it"
    )]
    Witness,
    /// Keys are elsewhere.
    #[error(
        "the owner's address takes {required} of its keys, and {here} are here: add them with `bnsd keys import`"
    )]
    Missing {
        /// How many sign.
        required: usize,
        /// How many are here.
        here: usize,
    },
}

/// Puts the signature of whoever has `lock` under a record, with those of `keys` that open it.
pub fn sign(
    record: &mut Record,
    lock: &Lock,
    keys: &[SigningKey],
    versions: AddressVersions,
) -> Result<(), SignError> {
    let required = match lock {
        Lock::KeyHash(_) => 1,
        Lock::Multisig { required, .. } => *required,
        Lock::WrappedWitness(_) => return Err(SignError::Witness),
    };
    let signer = |public: &bitcoin::PublicKey| keys.iter().find(|key| key.public() == *public);
    let signers: Vec<&SigningKey> = lock.keys().iter().filter_map(signer).collect();
    let (Some(first), Some(needed)) = (signers.first(), signers.get(..required)) else {
        let here = signers.len();
        return Err(SignError::Missing { required, here });
    };
    let digest = record.digest(versions);
    let signatures: Vec<[u8; 64]> = needed.iter().map(|key| key.sign_digest(digest)).collect();
    record.signature = Some(match (lock.redeem(), signatures.as_slice()) {
        (None, [signature]) => proof::of_one(signature, &first.public_key()),
        (redeem, signatures) => proof::of_many(signatures, redeem.unwrap_or_default().as_bytes()),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: AddressVersions = AddressVersions::TESTNET;

    fn key(label: &str) -> SigningKey {
        SigningKey::dev_only_from_label(label)
    }

    fn record(lock: &Lock) -> Record {
        Record {
            subdomain: "bar.foo.id".parse().expect("a subdomain"),
            independent: false,
            owner: lock.address(),
            sequence: 1,
            zonefile: b"$ORIGIN bar.foo.id\n".to_vec(),
            signature: None,
        }
    }

    #[test]
    fn the_owner_of_one_key_signs() {
        let lock = Lock::KeyHash(key("a").public());
        let mut record = record(&lock);
        let signed = sign(&mut record, &lock, &[key("b"), key("a")], VERSIONS);
        assert_eq!(
            (signed, record.signer(VERSIONS)),
            (Ok(()), Some(lock.address()))
        );
        let missing = SignError::Missing {
            required: 1,
            here: 0,
        };
        assert_eq!(
            sign(&mut record, &lock, &[key("b")], VERSIONS),
            Err(missing)
        );
        let witness = Lock::WrappedWitness(key("a").public());
        assert_eq!(
            sign(&mut record, &witness, &[key("a")], VERSIONS),
            Err(SignError::Witness)
        );
    }

    /// Scripts of one to fifteen keys take pushes of every form.
    #[test]
    fn as_many_of_several_owners_sign_as_are_needed() {
        let labels: Vec<String> = (0..15).map(|number| format!("k{number}")).collect();
        for (required, count) in [(1, 1), (1, 2), (2, 3), (7, 7), (15, 15)] {
            let keys: Vec<SigningKey> = labels[..count].iter().map(|label| key(label)).collect();
            let publics = keys.iter().map(SigningKey::public).collect();
            let lock = Lock::multisig(required, publics).expect("an address");
            let mut record = record(&lock);
            let here: Vec<SigningKey> = keys.iter().rev().take(required).cloned().collect();
            assert_eq!(sign(&mut record, &lock, &here, VERSIONS), Ok(()));
            assert_eq!(record.signer(VERSIONS), Some(lock.address()), "{required}");
            let missing = SignError::Missing {
                required,
                here: required - 1,
            };
            let signed = sign(&mut record, &lock, &here[1..], VERSIONS);
            assert_eq!(signed, Err(missing));
        }
    }
}
