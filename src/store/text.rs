//! The canonical text of an accepted operation (ch §1) without what follows from its transaction.
//!
//! A text says in hex and base58 what its transaction has in bytes: scripts, keys, hashes, the name. A row therefore keeps
//! its fields as references into the candidate that stands behind them, which takes a tenth of the bytes. A field that is
//! found nowhere is kept as it is, and a text that is no list of fields is not shortened. So [`restore`] gives the text again to
//! the last byte, whatever the text, and needs no rule, no other row and no network's constants for it.
//!
//! The format ([`super`], "Records") says which bytes.

use data_encoding::HEXLOWER;

use crate::bns::address::{Address, AddressVersions};
use crate::hash::encode_hex;
use crate::virtualchain::serialize::{Serializer, fields};

use super::codec::{Field as _, Input, read_bytes, read_length, write_bytes, write_length};

/// The longest text that is shortened, and that a shortened one can become. Those of the rules have some hundred bytes.
const LONGEST: usize = 4_096;
/// Bytes of a transaction's id, with which a candidate begins.
const TXID: usize = 32;
/// Bytes that are searched at once.
const CHUNK: usize = 32;
/// Fields that are not longer are never looked for in others.
const SHORT: usize = 3;

/// What a field is.
mod kind {
    pub(super) const TEXT: u8 = 0;
    pub(super) const EMPTY: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const FALSE: u8 = 3;
    pub(super) const NUMBER: u8 = 4;
    pub(super) const BLOCKS_AGO: u8 = 5;
    pub(super) const VTXINDEX: u8 = 6;
    pub(super) const TXID: u8 = 7;
    pub(super) const REPEATED: u8 = 8;
    pub(super) const HEX: u8 = 9;
    pub(super) const HEX_BEHIND: u8 = 10;
    pub(super) const P2PKH_BEHIND: u8 = 11;
    pub(super) const P2SH_BEHIND: u8 = 12;
    pub(super) const MAINNET_ADDRESS: u8 = 13;
    pub(super) const TESTNET_ADDRESS: u8 = 14;
    pub(super) const TEXT_BEHIND: u8 = 15;
}

/// The operation that a text is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'c> {
    pub(super) height: u32,
    pub(super) vtxindex: u32,
    /// The candidate's bytes as they stand in the row: txid, spent outputs, transaction.
    pub(super) candidate: &'c [u8],
}

/// The shortened text; `None` if it has to be kept as it is.
pub(super) fn shorten(text: &str, about: About<'_>) -> Option<Vec<u8>> {
    let (opcode, fields) = (text.len() <= LONGEST).then(|| fields(text))??;
    let mut short = Shortened {
        about,
        address: None,
        bytes: Vec::with_capacity(128),
        out: Vec::with_capacity(128),
    };
    short.out.push(u8::try_from(opcode).ok()?);
    for (number, field) in fields.iter().enumerate() {
        short.add(field, &fields[..number]);
    }
    Some(short.out)
}

/// The text that was shortened; `None` for bytes that no text was shortened to.
pub(super) fn restore(short: &[u8], about: About<'_>) -> Option<String> {
    let mut input = Input::new(short);
    let opcode = u8::read(&mut input).filter(u8::is_ascii)?;
    let mut text = Serializer::new(char::from(opcode));
    let mut restored = Restored {
        about,
        address: None,
        fields: Vec::new(),
    };
    let mut length = 0;
    while !input.is_empty() {
        let field = restored.read(&mut input)?;
        length += field.len() + 2; // at least: a length, a colon
        if length > LONGEST {
            return None;
        }
        text.text(&field);
        restored.fields.push(field);
    }
    Some(text.finish())
}

/// A text on its way into a row.
struct Shortened<'c> {
    about: About<'c>,
    /// Of the last script among the fields.
    address: Option<Address>,
    /// What a field in hex spells.
    bytes: Vec<u8>,
    out: Vec<u8>,
}

impl Shortened<'_> {
    fn add(&mut self, field: &str, earlier: &[&str]) {
        match field {
            "" => self.out.push(kind::EMPTY),
            "True" => self.out.push(kind::TRUE),
            "False" => self.out.push(kind::FALSE),
            _ => {
                let found = self.add_number(field)
                    || self.add_repeated(field, earlier)
                    || self.add_hex(field)
                    || self.add_address(field)
                    || self.add_text_behind(field);
                if !found {
                    self.out.push(kind::TEXT);
                    write_bytes(field.as_bytes(), &mut self.out);
                }
            }
        }
    }

    /// Adds a field if it is a number as numbers are written.
    fn add_number(&mut self, field: &str) -> bool {
        let is_canonical = field == "0" || !field.starts_with(['0', '+']);
        let Some(number) = field.parse::<u32>().ok().filter(|_| is_canonical) else {
            return false;
        };
        let About {
            height, vtxindex, ..
        } = self.about;
        let (what, value) = match height.checked_sub(number) {
            _ if number == vtxindex => {
                self.out.push(kind::VTXINDEX);
                return true;
            }
            Some(ago) if ago < number => (kind::BLOCKS_AGO, ago),
            _ => (kind::NUMBER, number),
        };
        self.out.push(what);
        write_length(value as usize, &mut self.out);
        true
    }

    fn add_repeated(&mut self, field: &str, earlier: &[&str]) -> bool {
        let mut same = earlier.iter();
        let same = same.position(|earlier| field.len() > SHORT && *earlier == field);
        if let Some(number) = same {
            self.out.push(kind::REPEATED);
            write_length(number, &mut self.out);
        }
        same.is_some()
    }

    /// Adds a field if it is lower-case hex of some bytes.
    fn add_hex(&mut self, field: &str) -> bool {
        if read_hex(field.as_bytes(), &mut self.bytes).is_none() {
            return false;
        }
        let bytes = &self.bytes[..];
        if is_txid(bytes, self.about.candidate) {
            self.out.push(kind::TXID);
            return true;
        }
        let address = Address::of_script(bytes);
        self.address = address.or(self.address);
        let place = |bytes: &[u8]| find(self.about.candidate, bytes);
        if let Some((address, place)) = address.and_then(|it| Some((it, place(&it.hash())?))) {
            self.out.push(match address {
                Address::P2pkh(_) => kind::P2PKH_BEHIND,
                Address::P2sh(_) => kind::P2SH_BEHIND,
            });
            write_length(place, &mut self.out);
        } else if let Some(place) = place(bytes).filter(|_| bytes.len() > SHORT) {
            let length = bytes.len();
            self.add_place(kind::HEX_BEHIND, place, length);
        } else {
            self.out.push(kind::HEX);
            write_bytes(bytes, &mut self.out);
        }
        true
    }

    /// Adds a field if it is the address of the script before.
    fn add_address(&mut self, field: &str) -> bool {
        let is_spelled = |versions| self.address.is_some_and(|it| it.encode(versions) == field);
        let what = match field.as_bytes() {
            [b'1' | b'3', ..] if is_spelled(AddressVersions::MAINNET) => kind::MAINNET_ADDRESS,
            [b'2' | b'm' | b'n', ..] if is_spelled(AddressVersions::TESTNET) => {
                kind::TESTNET_ADDRESS
            }
            _ => return false,
        };
        self.out.push(what);
        true
    }

    fn add_text_behind(&mut self, field: &str) -> bool {
        let text = Some(field.as_bytes()).filter(|text| text.len() > SHORT);
        let place = text.and_then(|text| find(self.about.candidate, text));
        if let Some(place) = place {
            self.add_place(kind::TEXT_BEHIND, place, field.len());
        }
        place.is_some()
    }

    fn add_place(&mut self, what: u8, place: usize, length: usize) {
        self.out.push(what);
        write_length(place, &mut self.out);
        write_length(length, &mut self.out);
    }
}

/// A text on its way out of a row.
struct Restored<'c> {
    about: About<'c>,
    /// Of the last script among the fields.
    address: Option<Address>,
    fields: Vec<String>,
}

impl<'c> Restored<'c> {
    fn read(&mut self, input: &mut Input<'_>) -> Option<String> {
        let about = self.about;
        Some(match u8::read(input)? {
            kind::TEXT => String::read(input)?,
            kind::EMPTY => String::new(),
            kind::TRUE => "True".to_owned(),
            kind::FALSE => "False".to_owned(),
            kind::NUMBER => read_length(input)?.to_string(),
            kind::BLOCKS_AGO => {
                let ago = u32::try_from(read_length(input)?).ok()?;
                about.height.checked_sub(ago)?.to_string()
            }
            kind::VTXINDEX => about.vtxindex.to_string(),
            kind::TXID => {
                let mut txid = about.candidate.get(..TXID)?.to_vec();
                txid.reverse();
                encode_hex(&txid)
            }
            kind::REPEATED => self.fields.get(read_length(input)?)?.clone(),
            kind::HEX => self.hex(read_bytes(input)?)?,
            kind::HEX_BEHIND => self.hex(self.behind(input)?)?,
            kind::P2PKH_BEHIND => self.hex(&Address::P2pkh(self.hash_behind(input)?).script())?,
            kind::P2SH_BEHIND => self.hex(&Address::P2sh(self.hash_behind(input)?).script())?,
            kind::MAINNET_ADDRESS => self.address?.encode(AddressVersions::MAINNET),
            kind::TESTNET_ADDRESS => self.address?.encode(AddressVersions::TESTNET),
            kind::TEXT_BEHIND => str::from_utf8(self.behind(input)?).ok()?.to_owned(),
            _ => return None,
        })
    }

    /// The hex of bytes, which may be a script.
    fn hex(&mut self, bytes: &[u8]) -> Option<String> {
        self.address = Address::of_script(bytes).or(self.address);
        (bytes.len() <= LONGEST).then(|| encode_hex(bytes))
    }

    fn behind(&self, input: &mut Input<'_>) -> Option<&'c [u8]> {
        let (place, length) = (read_length(input)?, read_length(input)?);
        let found = self.about.candidate.get(place..)?.get(..length)?;
        (length <= LONGEST).then_some(found)
    }

    fn hash_behind(&self, input: &mut Input<'_>) -> Option<[u8; 20]> {
        let place = read_length(input)?;
        let found = self.about.candidate.get(place..)?.first_chunk()?;
        Some(*found)
    }
}

/// Reads lower-case hex; `None` if it is none.
fn read_hex(digits: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    bytes.resize(HEXLOWER.decode_len(digits.len()).ok()?, 0);
    HEXLOWER.decode_mut(digits, bytes).ok()?;
    Some(())
}

/// Whether bytes are the id of the transaction as it is shown: in reverse.
fn is_txid(bytes: &[u8], candidate: &[u8]) -> bool {
    let txid = candidate.get(..TXID).unwrap_or_default().iter();
    bytes.len() == TXID && bytes.iter().eq(txid.rev())
}

/// Where bytes stand in others.
fn find(all: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let last = all.len().checked_sub(wanted.len())?;
    let stands_at = |place: &usize| all[*place] == first && all[*place..].starts_with(wanted);
    let mut from = 0;
    for chunk in all[..=last].chunks(CHUNK) {
        // Without a way out of the loop many bytes are compared at once.
        let may_stand_here = chunk.iter().fold(false, |any, byte| any | (*byte == first));
        let mut places = from..from + chunk.len();
        if may_stand_here && let Some(place) = places.find(stands_at) {
            return Some(place);
        }
        from += chunk.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::super::row::write_candidate;
    use super::*;
    use crate::virtualchain::VirtualTransaction;

    /// A field that a rule may write about a transaction, or that nobody writes.
    fn field(candidate: &VirtualTransaction) -> impl Strategy<Value = String> + use<> {
        let scripts = candidate
            .prevouts
            .iter()
            .chain(&candidate.transaction.output);
        let mut known: Vec<Vec<u8>> = scripts
            .map(|output| output.script_pubkey.to_bytes())
            .collect();
        known.push(vec![7; 25]);
        let addresses: Vec<Address> = known
            .iter()
            .filter_map(|script| Address::of_script(script))
            .chain([Address::BURN])
            .collect();
        let versions = [AddressVersions::MAINNET, AddressVersions::TESTNET];
        prop_oneof![
            proptest::sample::select(known).prop_map(|script| encode_hex(&script)),
            (
                proptest::sample::select(addresses),
                proptest::sample::select(versions.to_vec())
            )
                .prop_map(|(address, versions)| address.encode(versions)),
            Just(candidate.txid.to_string()),
            vec(any::<u8>(), 0..40).prop_map(|bytes| encode_hex(&bytes)),
            any::<u64>().prop_map(|number| number.to_string()),
            (0u32..200).prop_map(|number| number.to_string()),
            "True|False|0|00|007|[+]5|[0-9A-Fa-f]{0,9}|.{0,30}",
        ]
    }

    fn candidate_and_fields() -> impl Strategy<Value = (VirtualTransaction, Vec<String>)> {
        arbitrary::candidate().prop_flat_map(|candidate| {
            let fields = vec(field(&candidate), 1..25);
            (Just(candidate), fields)
        })
    }

    fn bytes(candidate: &VirtualTransaction) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_candidate(candidate, &mut bytes);
        bytes
    }

    proptest! {
        /// Any list of fields comes back to the last byte.
        #[test]
        fn texts_come_back(
            (candidate, fields) in candidate_and_fields(),
            (height, vtxindex) in (0u32..300, 0u32..300),
            opcode in "[ -~]",
        ) {
            let mut text = Serializer::new(opcode.chars().next().expect("one"));
            for field in &fields {
                text.field(field);
            }
            let text = text.finish();
            let candidate = bytes(&candidate);
            let about = About { height, vtxindex, candidate: &candidate };
            let short = shorten(&text, about).expect("it is a list of fields");
            prop_assert_eq!(restore(&short, about), Some(text));
        }

        /// So does any other text, where it is shortened at all.
        #[test]
        fn what_is_shortened_comes_back(
            candidate in arbitrary::candidate(),
            text in "[:+~]:([0-9]{1,2}:[0-9a-f,:]{0,12},?){0,4}|.{0,60}",
        ) {
            let candidate = bytes(&candidate);
            let about = About { height: 9, vtxindex: 1, candidate: &candidate };
            if let Some(short) = shorten(&text, about) {
                prop_assert_eq!(restore(&short, about), Some(text));
            }
        }

        #[test]
        fn no_bytes_panic(
            short in vec(prop_oneof![0u8..17, any::<u8>()], 0..200),
            candidate in vec(any::<u8>(), 0..200),
        ) {
            let about = About { height: 9, vtxindex: 1, candidate: &candidate };
            if let Some(text) = restore(&short, about) {
                prop_assert!(text.len() <= 3 * LONGEST);
            }
        }
    }

    /// What the transaction says takes no room: of a registration little more than its heights is left.
    #[test]
    fn a_text_becomes_a_tenth() {
        let owner = Address::P2pkh([7; 20]);
        let key = [3; 33];
        let output = [&b"\x6a\x10id:werner-lives.id"[..], &owner.script()].concat();
        let candidate = [&[9; TXID][..], &[1; 8], &[1], &[7; 20], &key, &output].concat();
        let address = owner.encode(AddressVersions::MAINNET);
        let mut text = Serializer::new(':');
        text.field("werner-lives.id").field("").hex(&owner.script());
        text.hex(&key).field(&address).field(373_821).field(373_821);
        text.field(373_830).field(373_830).boolean(false).field(":");
        text.hex(&[9; TXID])
            .field(41)
            .field(6_400_000)
            .field("")
            .field("");
        text.hex(&owner.script()).field(&address);
        let text = text.finish();
        let about = About {
            height: 373_830,
            vtxindex: 41,
            candidate: &candidate,
        };
        let short = shorten(&text, about).expect("it is a list of fields");
        assert!(
            10 * short.len() < text.len(),
            "{} of {}",
            short.len(),
            text.len()
        );
        assert_eq!(restore(&short, about), Some(text));
    }

    #[test]
    fn few_bytes_do_not_become_many() {
        let mut short = vec![b':', kind::TEXT];
        write_bytes(&[b'a'; 1_000], &mut short);
        short.extend([kind::REPEATED, 0].repeat(100));
        let about = About {
            height: 0,
            vtxindex: 0,
            candidate: &[],
        };
        assert_eq!(restore(&short, about), None);
    }
}
