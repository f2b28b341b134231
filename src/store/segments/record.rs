//! One zone file in a segment: a head of fixed width, the zone file, and a form of it that was compiled for answers.
//!
//! Two seals (SipHash-2-4, as at the rows of the database) tell a whole record from a torn or overwritten one. They are no
//! protection against somebody who writes the file on purpose: for that every read hashes the zone file.

use bitcoin::hashes::siphash24;

use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

use super::super::codec::{Field, Input};
use super::form;

/// Bytes before the zone file.
pub const HEAD: usize = 48;
/// The first bytes of each record.
pub const MARK: [u8; 4] = *b"bnz1";
/// Most bytes of a record.
pub const RECORD_MAX: usize = HEAD + ZONEFILE_MAX + form::FORM_MAX;
/// Bytes of the seal over a head.
const SEAL: usize = 4;

/// The first key of all seals, and the second one for each kind.
const SEED: u64 = u64::from_be_bytes(*b"bnszones");
const OF_HEAD: u64 = 0;
const OF_BODY: u64 = 1;

/// What stands before a zone file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the zone file.
    pub length: usize,
    /// Bytes of the compiled form behind it; 0 if there is none.
    compiled: usize,
    /// The version of that form.
    version: u32,
    /// What the zone file hashes to.
    pub hash: ZonefileHash,
    /// Over zone file and compiled form.
    seal: u64,
}

impl Head {
    /// The head at the start of `bytes`, if one was written there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (sealed, seal) = bytes.get(..HEAD)?.split_at(HEAD - SEAL);
        let mut input = Input::new(sealed);
        let mark = <[u8; 4]>::read(&mut input)?;
        let length = u32::read(&mut input)? as usize;
        let compiled = u32::read(&mut input)? as usize;
        let head = Self {
            length,
            compiled,
            version: u32::read(&mut input)?,
            hash: ZonefileHash::read(&mut input)?,
            seal: u64::read(&mut input)?,
        };
        let is_whole = mark == MARK && seal_of_head(sealed) == seal;
        let fits = (1..=ZONEFILE_MAX).contains(&length) && compiled <= form::FORM_MAX;
        (is_whole && fits).then_some(head)
    }

    /// Bytes of the whole record.
    pub fn size(&self) -> usize {
        HEAD + self.length + self.compiled
    }

    /// Whether zone file and compiled form are those that were written.
    pub fn is_of(&self, body: &[u8]) -> bool {
        seal(OF_BODY, body) == self.seal
    }

    /// Whether the form was made by this version of the program, be it that there is none.
    pub fn is_of_this_version(&self) -> bool {
        self.version == form::VERSION
    }

    /// The compiled form in a body, if there is one, this program reads its version, and the body is the one that was written.
    pub fn compiled_in<'b>(&self, body: &'b [u8]) -> Option<&'b [u8]> {
        let body = body.get(..self.length + self.compiled)?;
        let has_one = self.compiled > 0 && self.is_of_this_version();
        (has_one && self.is_of(body)).then(|| &body[self.length..])
    }
}

/// Appends the record of a zone file, with its compiled form.
pub fn write(hash: &ZonefileHash, bytes: &[u8], out: &mut Vec<u8>) {
    let form = form::of(bytes);
    let body = [bytes, &form].concat();
    let start = out.len();
    MARK.write(out);
    (bytes.len() as u32).write(out);
    (form.len() as u32).write(out);
    form::VERSION.write(out);
    hash.write(out);
    seal(OF_BODY, &body).write(out);
    let seal = seal_of_head(&out[start..]);
    seal.write(out);
    out.extend(body);
}

fn seal_of_head(head: &[u8]) -> [u8; SEAL] {
    let [a, b, c, d, ..] = seal(OF_HEAD, head).to_be_bytes();
    [a, b, c, d]
}

fn seal(kind: u64, bytes: &[u8]) -> u64 {
    siphash24::Hash::hash_to_u64_with_keys(SEED, kind, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &[u8] = b"$ORIGIN foo.test\n";

    fn record() -> Vec<u8> {
        let mut record = Vec::new();
        write(&ZonefileHash::of(ZONE), ZONE, &mut record);
        record
    }

    fn is_whole(record: &[u8]) -> bool {
        Head::read(record).is_some_and(|head| {
            head.size() == record.len() && head.is_of(&record[HEAD..]) && head.length > 0
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let record = record();
        assert_eq!(record.len(), HEAD + ZONE.len() + form::of(ZONE).len());
        assert!(is_whole(&record));
        let head = Head::read(&record).expect("a head");
        assert_eq!(head.hash, ZonefileHash::of(ZONE));
        assert_eq!(&record[HEAD..][..ZONE.len()], ZONE);
        assert_eq!(head.compiled_in(&record[HEAD..]), Some(&form::of(ZONE)[..]));
    }

    #[test]
    fn no_changed_or_cut_record_is_whole() {
        let record = record();
        for position in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[position] ^= 1 << bit;
                assert!(!is_whole(&changed), "byte {position}, bit {bit}");
            }
            assert!(!is_whole(&record[..position]), "{position} bytes");
        }
    }

    #[test]
    fn no_head_claims_more_than_a_record_may_have() {
        let mut huge = record();
        huge[4..8].copy_from_slice(&(ZONEFILE_MAX as u32 + 1).to_be_bytes());
        let seal = seal_of_head(&huge[..HEAD - SEAL]);
        huge[HEAD - SEAL..HEAD].copy_from_slice(&seal);
        assert_eq!(Head::read(&huge), None);
    }
}
