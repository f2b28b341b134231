//! Scripts as the reference reads them: its tokeniser and its classes (wf §2).
//!
//! This is not Bitcoin's script parser: a push that runs past the end yields what is left, and classes are
//! tested in the reference's order. Consensus depends on these differences.

use bitcoin::secp256k1;

/// One element of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Byte 0x00, which pushes nothing.
    Empty,
    /// A data push.
    Push(&'a [u8]),
    /// `OP_RESERVED` (0) to `OP_16`.
    SmallInteger(u8),
    /// Any opcode above those.
    Opcode(u8),
}

/// Splits a script into tokens (wf §2). A push past the end is whatever bytes are left.
pub fn tokens(script: &[u8]) -> Tokens<'_> {
    Tokens { rest: script }
}

/// Iterator over the tokens of a script.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let (&opcode, rest) = self.rest.split_first()?;
        self.rest = rest;
        let token = match opcode {
            0 => Token::Empty,
            1..=75 => Token::Push(self.take(usize::from(opcode))),
            76..=78 => {
                let width = 1usize << (opcode - 76);
                let length = self
                    .take(width)
                    .iter()
                    .rev()
                    .fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
                Token::Push(self.take(length))
            }
            79..=96 => Token::SmallInteger(opcode.saturating_sub(80)),
            _ => Token::Opcode(opcode),
        };
        Some(token)
    }
}

/// First byte of an `OP_RETURN` script.
pub(super) const OP_RETURN: u8 = 0x6a;

/// What kind of script it is (wf §2), as far as a rule asks; the first test that matches wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptClass {
    /// Pays the hash of a public key.
    P2pkh,
    /// Pays the hash of a script; wrapped segwit included.
    P2sh,
    /// Native segwit, key or script.
    Witness,
    /// Begins with `OP_RETURN`.
    NullData,
    /// Anything else: bare multisig, bare keys, also the empty script. No rule tells these apart.
    Other,
}

impl ScriptClass {
    /// Whether an output of this class can be spent by the sender of an operation (wf §1 step 4).
    pub fn can_send(self) -> bool {
        matches!(self, Self::P2pkh | Self::P2sh)
    }
}

/// The class of a script.
pub fn classify(script: &[u8]) -> ScriptClass {
    match script {
        _ if p2pkh_hash(script).is_some() => ScriptClass::P2pkh,
        _ if p2sh_hash(script).is_some() => ScriptClass::P2sh,
        [0x00, 0x14, hash @ ..] if hash.len() == 20 => ScriptClass::Witness,
        [0x00, 0x20, hash @ ..] if hash.len() == 32 => ScriptClass::Witness,
        [OP_RETURN, ..] => ScriptClass::NullData,
        _ => ScriptClass::Other,
    }
}

/// The hash in a p2pkh script.
pub fn p2pkh_hash(script: &[u8]) -> Option<[u8; 20]> {
    match script {
        [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] => hash.try_into().ok(),
        _ => None,
    }
}

/// The hash in a p2sh script.
pub fn p2sh_hash(script: &[u8]) -> Option<[u8; 20]> {
    match script {
        [0xa9, 0x14, hash @ .., 0x87] => hash.try_into().ok(),
        _ => None,
    }
}

/// The data of an `OP_RETURN` script: exactly two tokens of which the second is a push (wf §1 step 1).
pub fn null_data(script: &[u8]) -> Option<&[u8]> {
    let mut tokens = tokens(script);
    match (tokens.next(), tokens.next(), tokens.next()) {
        (Some(Token::Opcode(OP_RETURN)), Some(Token::Push(data)), None) => Some(data),
        _ => None,
    }
}

/// What a scriptSig of exactly two tokens pushes where a public key stands (wf §3), if it has the length and the first
/// byte of a compressed or 04-prefixed key. Hybrid keys are not recognised.
pub fn pushed_key(script_sig: &[u8]) -> Option<&[u8]> {
    let mut tokens = tokens(script_sig);
    let (Some(_), Some(Token::Push(key)), None) = (tokens.next(), tokens.next(), tokens.next())
    else {
        return None;
    };
    let recognised = matches!((key.len(), key.first()), (33, Some(2 | 3)) | (65, Some(4)));
    recognised.then_some(key)
}

/// Whether pushed bytes are a point of the curve (wf §3). Whether they are the sender's depends on their hash.
pub fn is_public_key(pushed: &[u8]) -> bool {
    secp256k1::PublicKey::from_slice(pushed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_past_the_end_is_what_is_left() {
        assert_eq!(null_data(&[0x6a, 0x05, b'i', b'd']), Some(&b"id"[..]));
        assert_eq!(
            null_data(&[0x6a, 0x4d, 0x02, 0x00, b'i', b'd']),
            Some(&b"id"[..])
        );
        assert_eq!(null_data(&[0x6a, 0x4c]), Some(&b""[..]));
    }

    #[test]
    fn only_one_push_makes_null_data() {
        for script in [
            &[0x6a][..],
            &[0x6a, 0x00],
            &[0x6a, 0x52],
            &[0x6a, 0x01, 0x61, 0x01, 0x61],
        ] {
            assert_eq!(classify(script), ScriptClass::NullData);
            assert_eq!(null_data(script), None, "{script:?}");
        }
    }

    #[test]
    fn every_opcode_is_a_token() {
        for opcode in 0..=255 {
            assert!(tokens(&[opcode]).count() == 1);
        }
    }
}
