//! Whether an input may spend an output: the two kinds of script that BNS accepts, checked by their form.
//!
//! There is no script interpreter here. A key hash wants a signature and the key; a script hash wants a
//! multisignature script and signatures in the order of its keys. Everything else is refused, although
//! Bitcoin would allow it. Signatures are strict DER with a low S and a usual hash type, which is what
//! Bitcoin Core relays (BIP 66, BIP 146).

use std::sync::LazyLock;

use bitcoin::opcodes::all::{OP_CHECKMULTISIG, OP_PUSHNUM_1, OP_PUSHNUM_16};
use bitcoin::script::{Instruction, Script};
use bitcoin::secp256k1::{Message, Secp256k1, VerifyOnly};
use bitcoin::sighash::SighashCache;
use bitcoin::{Opcode, PublicKey, ScriptBuf, Transaction, ecdsa};

/// Why an input may not spend its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// The output is neither p2pkh nor p2sh multisig, or the input carries a witness.
    #[error("only p2pkh and p2sh multisig outputs can be spent on this chain")]
    Unsupported,
    /// The scriptSig has not the form that the output asks for, or another key or script.
    #[error("its scriptSig does not fit the output that it spends")]
    Mismatch,
    /// A signature is malformed, has a high S, or signs something else.
    #[error("its signature is not valid for this transaction")]
    Signature,
}

static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Checks that input `index` of `transaction` may spend an output with `script`.
pub(super) fn check(
    transaction: &Transaction,
    index: usize,
    script: &Script,
) -> Result<(), SpendError> {
    let input = transaction.input.get(index).ok_or(SpendError::Mismatch)?;
    if !input.witness.is_empty() {
        return Err(SpendError::Unsupported);
    }
    let pushes = pushes(&input.script_sig).ok_or(SpendError::Mismatch)?;
    let spend = Spend { transaction, index };
    if script.is_p2pkh() {
        spend.check_key_hash(script, &pushes)
    } else if script.is_p2sh() {
        spend.check_script_hash(script, &pushes)
    } else {
        Err(SpendError::Unsupported)
    }
}

/// The data that a script pushes, if it does nothing else.
fn pushes(script: &Script) -> Option<Vec<&[u8]>> {
    script
        .instructions()
        .map(|instruction| match instruction {
            Ok(Instruction::PushBytes(bytes)) => Some(bytes.as_bytes()),
            _ => None,
        })
        .collect()
}

struct Spend<'a> {
    transaction: &'a Transaction,
    index: usize,
}

impl Spend<'_> {
    fn check_key_hash(&self, script: &Script, pushes: &[&[u8]]) -> Result<(), SpendError> {
        let [signature, key] = pushes else {
            return Err(SpendError::Mismatch);
        };
        let key = PublicKey::from_slice(key).map_err(|_| SpendError::Mismatch)?;
        if *script == ScriptBuf::new_p2pkh(&key.pubkey_hash()) {
            self.check_signature(script, signature, &key)
        } else {
            Err(SpendError::Mismatch)
        }
    }

    /// The extra empty push is the one that OP_CHECKMULTISIG takes and ignores (BIP 147).
    fn check_script_hash(&self, script: &Script, pushes: &[&[u8]]) -> Result<(), SpendError> {
        let [b"", signatures @ .., redeem] = pushes else {
            return Err(SpendError::Mismatch);
        };
        let redeem = Script::from_bytes(redeem);
        if redeem.to_p2sh() != *script {
            return Err(SpendError::Mismatch);
        }
        let (required, keys) = multisig(redeem).ok_or(SpendError::Unsupported)?;
        if signatures.len() != required {
            return Err(SpendError::Mismatch);
        }
        // Each signature takes the first remaining key that it is valid for.
        let mut keys = keys.iter();
        let mut is_valid = |signature: &&[u8]| {
            keys.any(|key| self.check_signature(redeem, signature, key).is_ok())
        };
        match signatures.iter().all(&mut is_valid) {
            true => Ok(()),
            false => Err(SpendError::Signature),
        }
    }

    fn check_signature(
        &self,
        script_code: &Script,
        signature: &[u8],
        key: &PublicKey,
    ) -> Result<(), SpendError> {
        let signature =
            ecdsa::Signature::from_slice(signature).map_err(|_| SpendError::Signature)?;
        let hash = SighashCache::new(self.transaction)
            .legacy_signature_hash(self.index, script_code, signature.sighash_type.to_u32())
            .map_err(|_| SpendError::Signature)?;
        SECP.verify_ecdsa(&Message::from(hash), &signature.signature, &key.inner)
            .map_err(|_| SpendError::Signature)
    }
}

/// How many signatures a multisignature script wants, and the keys that may give them.
fn multisig(redeem: &Script) -> Option<(usize, Vec<PublicKey>)> {
    let instructions: Vec<Instruction<'_>> =
        redeem.instructions().collect::<Result<_, _>>().ok()?;
    let [
        Instruction::Op(required),
        keys @ ..,
        Instruction::Op(count),
        Instruction::Op(OP_CHECKMULTISIG),
    ] = instructions.as_slice()
    else {
        return None;
    };
    let keys: Vec<PublicKey> = keys
        .iter()
        .map(|key| PublicKey::from_slice(key.push_bytes()?.as_bytes()).ok())
        .collect::<Option<_>>()?;
    let (required, count) = (small_number(*required)?, small_number(*count)?);
    (count == keys.len() && required <= count).then_some((required, keys))
}

fn small_number(opcode: Opcode) -> Option<usize> {
    let (code, first) = (opcode.to_u8(), OP_PUSHNUM_1.to_u8());
    (first..=OP_PUSHNUM_16.to_u8())
        .contains(&code)
        .then(|| usize::from(code - first) + 1)
}
