//! Transactions that travel between builder, signers and sender (BIP 174).
//!
//! Every input carries what it spends and, for p2sh, the script behind it, so that a device that knows nothing
//! of names can sign. Signatures are over everything (`SIGHASH_ALL`): no party can change what another signed.

use std::borrow::Borrow;

use bitcoin::psbt::{self, Psbt};
use bitcoin::script::{Builder, Instruction, PushBytesBuf};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{PublicKey, Script, ScriptBuf, Transaction, TxOut, Witness, ecdsa};

use super::coins::KEY_HASH_SIZE;
use super::keys::SigningKey;
use super::lock::Lock;
use super::operation::Unsigned;

/// Longest file that is read, in bytes.
pub const LENGTH_MAX: usize = 4 << 20;

/// Why a PSBT cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsbtError {
    /// Neither binary nor base64.
    #[error("this is no PSBT: give the file that `--psbt` wrote or a signer gave back")]
    Malformed,
    /// An input does not say what it spends.
    #[error("input {0} does not say what it spends: let its owner build the PSBT again")]
    NoPrevout(usize),
    /// A signature is not over everything.
    #[error(
        "input {0} is signed in a way that lets others change the transaction: sign it again with SIGHASH_ALL"
    )]
    HashType(usize),
    /// Signatures are missing.
    #[error("input {0} lacks signatures: let its owner sign with `bnsd tx sign`")]
    Unsigned(usize),
    /// A signature is wrong.
    #[error("a signature of input {0} does not fit: let its owner sign again")]
    Signature(usize),
}

/// The PSBT of an unsigned transaction; `locks` are those whose inputs are ours.
pub fn create(
    unsigned: &Unsigned,
    locks: &[Lock],
    previous: impl Fn(&bitcoin::Txid) -> Option<Transaction>,
) -> Psbt {
    let mut psbt = Psbt::from_unsigned_tx(unsigned.transaction.clone())
        .expect("an unsigned transaction has no signatures");
    let inputs = psbt.inputs.iter_mut().zip(&unsigned.transaction.input);
    for ((input, spent), prevout) in inputs.zip(&unsigned.prevouts) {
        input.witness_utxo = Some(prevout.clone());
        input.non_witness_utxo = previous(&spent.previous_output.txid);
        input.redeem_script = locks
            .iter()
            .find(|lock| lock.script() == prevout.script_pubkey)
            .and_then(Lock::redeem);
    }
    psbt
}

/// Reads a PSBT, binary or base64.
pub fn parse(bytes: &[u8]) -> Result<Psbt, PsbtError> {
    if let Ok(psbt) = Psbt::deserialize(bytes) {
        return Ok(psbt);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PsbtError::Malformed)?;
    text.trim().parse().map_err(|_| PsbtError::Malformed)
}

/// The output that each input spends. The full transaction wins over what somebody merely claims.
pub fn prevouts(psbt: &Psbt) -> Result<Vec<TxOut>, PsbtError> {
    let inputs = psbt.inputs.iter().zip(&psbt.unsigned_tx.input);
    inputs
        .enumerate()
        .map(|(index, (input, spent))| {
            let outpoint = spent.previous_output;
            let full = match &input.non_witness_utxo {
                Some(full) if full.compute_txid() != outpoint.txid => {
                    return Err(PsbtError::NoPrevout(index));
                }
                Some(full) => full.output.get(outpoint.vout as usize).cloned(),
                None => None,
            };
            full.or_else(|| input.witness_utxo.clone())
                .ok_or(PsbtError::NoPrevout(index))
        })
        .collect()
}

/// Adds the signatures that `keys` can give; returns how many.
pub fn sign(psbt: &mut Psbt, keys: &[impl Borrow<SigningKey>]) -> Result<usize, PsbtError> {
    let prevouts = prevouts(psbt)?;
    let transaction = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&transaction);
    let mut added = 0;
    let inputs = psbt.inputs.iter_mut().zip(&prevouts);
    for (index, (input, prevout)) in inputs.enumerate() {
        let all = EcdsaSighashType::All.into();
        if input.sighash_type.is_some_and(|kind| kind != all) {
            return Err(PsbtError::HashType(index));
        }
        for key in keys.iter().map(Borrow::borrow) {
            if !asks_for(input, prevout, &key.public()) {
                continue;
            }
            let message = message(&mut cache, index, input, prevout)?;
            let signature = ecdsa::Signature::sighash_all(key.sign(&message));
            if input.partial_sigs.insert(key.public(), signature).is_none() {
                added += 1;
            }
        }
    }
    Ok(added)
}

/// The finished transaction, every signature checked.
pub fn finish(psbt: &Psbt) -> Result<Transaction, PsbtError> {
    let prevouts = prevouts(psbt)?;
    let mut transaction = psbt.unsigned_tx.clone();
    let mut cache = SighashCache::new(&psbt.unsigned_tx);
    let inputs = prevouts.iter().zip(&psbt.inputs);
    for (index, (target, (prevout, input))) in transaction.input.iter_mut().zip(inputs).enumerate()
    {
        (target.script_sig, target.witness) = if let Some(script_sig) = &input.final_script_sig {
            let witness = input.final_script_witness.clone();
            (script_sig.clone(), witness.unwrap_or_default())
        } else {
            check(&mut cache, index, input, prevout)?;
            finished(index, input, prevout)?
        };
    }
    Ok(transaction)
}

/// The transaction that these keys sign whole.
pub(crate) fn sign_and_finish(
    mut psbt: Psbt,
    keys: &[impl Borrow<SigningKey>],
) -> Result<Transaction, PsbtError> {
    sign(&mut psbt, keys)?;
    finish(&psbt)
}

/// The same of a transaction that spends p2pkh only.
pub fn signed(unsigned: &Unsigned, keys: &[&SigningKey]) -> Result<Transaction, PsbtError> {
    sign_and_finish(create(unsigned, &[], |_| None), keys)
}

/// Size in virtual bytes of an input whose p2sh script, if it has one, is known.
pub(crate) fn input_size(redeem: Option<&Script>) -> u64 {
    let shared = redeem.and_then(multisig);
    match shared.map(|(required, keys)| Lock::Multisig { required, keys }) {
        Some(lock) => lock.input_size(),
        None => KEY_HASH_SIZE,
    }
}

/// Takes the signatures of another copy of the same transaction in.
pub fn join(psbt: &mut Psbt, other: Psbt) -> bool {
    let same = psbt.unsigned_tx == other.unsigned_tx;
    same && psbt.combine(other).is_ok()
}

fn asks_for(input: &psbt::Input, prevout: &TxOut, key: &PublicKey) -> bool {
    match &input.redeem_script {
        None => prevout.script_pubkey == ScriptBuf::new_p2pkh(&key.pubkey_hash()),
        Some(redeem) if redeem.to_p2sh() != prevout.script_pubkey => false,
        Some(redeem) if redeem.is_p2wpkh() => key
            .wpubkey_hash()
            .is_ok_and(|hash| *redeem == ScriptBuf::new_p2wpkh(&hash)),
        Some(redeem) => multisig(redeem).is_some_and(|(_, keys)| keys.contains(key)),
    }
}

fn message(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    input: &psbt::Input,
    prevout: &TxOut,
) -> Result<bitcoin::secp256k1::Message, PsbtError> {
    let all = EcdsaSighashType::All;
    let hash = match &input.redeem_script {
        Some(redeem) if redeem.is_p2wpkh() => {
            let hash = cache.p2wpkh_signature_hash(index, redeem, prevout.value, all);
            hash.ok().map(Into::into)
        }
        redeem => {
            let script = redeem.as_ref().unwrap_or(&prevout.script_pubkey);
            let hash = cache.legacy_signature_hash(index, script, all.to_u32());
            hash.ok().map(Into::into)
        }
    };
    hash.ok_or(PsbtError::NoPrevout(index))
}

fn check(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    input: &psbt::Input,
    prevout: &TxOut,
) -> Result<(), PsbtError> {
    let message = message(cache, index, input, prevout)?;
    for (key, signature) in &input.partial_sigs {
        if signature.sighash_type != EcdsaSighashType::All {
            return Err(PsbtError::HashType(index));
        }
        let valid = super::keys::is_valid(&message, &signature.signature, key);
        if !asks_for(input, prevout, key) || !valid {
            return Err(PsbtError::Signature(index));
        }
    }
    Ok(())
}

fn finished(
    index: usize,
    input: &psbt::Input,
    prevout: &TxOut,
) -> Result<(ScriptBuf, Witness), PsbtError> {
    let missing = || PsbtError::Unsigned(index);
    let push = |bytes: Vec<u8>| PushBytesBuf::try_from(bytes).expect("at most 520 bytes");
    if let Some(redeem) = &input.redeem_script
        && let Some((required, keys)) = multisig(redeem)
    {
        let ordered = keys.iter().filter_map(|key| input.partial_sigs.get(key));
        let ordered: Vec<_> = ordered.collect();
        let mut script_sig = Builder::new().push_slice(PushBytesBuf::new());
        for signature in ordered.get(..required).ok_or_else(missing)? {
            script_sig = script_sig.push_slice(push(signature.to_vec()));
        }
        let script_sig = script_sig.push_slice(push(redeem.to_bytes()));
        return Ok((script_sig.into_script(), Witness::new()));
    }
    let (key, signature) = input.partial_sigs.first_key_value().ok_or_else(missing)?;
    let (script_sig, witness) = match &input.redeem_script {
        None if prevout.script_pubkey.is_p2pkh() => {
            let script_sig = Builder::new().push_slice(push(signature.to_vec()));
            (script_sig.push_key(key), Witness::new())
        }
        Some(redeem) if redeem.is_p2wpkh() => {
            let script_sig = Builder::new().push_slice(push(redeem.to_bytes()));
            (script_sig, Witness::p2wpkh(signature, &key.inner))
        }
        _ => return Err(missing()),
    };
    Ok((script_sig.into_script(), witness))
}

/// How many signatures a multisignature script wants, and of which keys.
fn multisig(redeem: &Script) -> Option<(usize, Vec<PublicKey>)> {
    let mut instructions = redeem.is_multisig().then(|| redeem.instructions())?;
    let required = instructions.next()?.ok()?.script_num()?;
    let keys = instructions.filter_map(|it| match it.ok()? {
        Instruction::PushBytes(key) => PublicKey::from_slice(key.as_bytes()).ok(),
        Instruction::Op(_) => None,
    });
    Some((usize::try_from(required).ok()?, keys.collect()))
}
