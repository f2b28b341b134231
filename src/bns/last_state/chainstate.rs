//! The lines of `chainstate.txt`.
//!
//! Each section is between a line that begins it and one that ends it; its first line names its columns. Sections may come in
//! any order, each once. Whatever else stands in a line is an error with its number: the file is trusted as a whole or not at
//! all. Only a name that no rule would take is left out, and counted, since an export is not made by the rules.

use std::collections::BTreeSet;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::{HEIGHT, c32, changes};
use crate::bns::address::{Address, AddressVersions};
use crate::bns::changes::Changes;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::record::{Fee, NameOp, NameRecord, NamespaceOp, NamespaceRecord};
use crate::hash::{PreorderHash, ZonefileHash};

/// Most names: ten times as many as the network had.
const NAMES_MAX: usize = 1_000_000;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It stands where it should not.
    #[error("this line does not belong here")]
    Misplaced,
    /// The columns are others.
    #[error("the columns of this section should be {0}")]
    Columns(&'static str),
    /// A column does not hold what it should.
    #[error("{0:?} is no {1}")]
    Column(String, &'static str),
    /// A name or namespace is there already.
    #[error("{0} is there twice")]
    Twice(String),
    /// More names than the network can have had.
    #[error("there are more than {NAMES_MAX} names")]
    TooMany,
    /// The file ends too early.
    #[error("the file ends before its sections do")]
    Incomplete,
    /// A name is in no namespace of the file.
    #[error("the namespace of {0} is not in the file")]
    NoNamespace(Name),
}

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Namespaces,
    Names,
    Balances,
    Vesting,
}

impl Section {
    const ALL: [Self; 4] = [Self::Namespaces, Self::Names, Self::Balances, Self::Vesting];

    fn title(self) -> &'static str {
        match self {
            Self::Namespaces => "NAMESPACES",
            Self::Names => "NAMES",
            Self::Balances => "STX BALANCES",
            Self::Vesting => "STX VESTING",
        }
    }

    fn columns(self) -> &'static str {
        match self {
            Self::Namespaces => {
                "namespace_id,address,buckets,base,coeff,nonalpha_discount,no_vowel_discount,lifetime"
            }
            Self::Names => "name,address,zonefile_hash",
            Self::Balances => "address,balance",
            Self::Vesting => "address,value,blocks",
        }
    }
}

/// Where the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    Columns(Section),
    Inside(Section),
}

/// What was read of a chainstate so far.
#[derive(Debug)]
pub struct Chainstate {
    place: Place,
    seen: BTreeSet<Section>,
    namespaces: Vec<NamespaceRecord>,
    names: Vec<NameRecord>,
    known: BTreeSet<Name>,
    left_out: u64,
}

/// A whole chainstate.
#[derive(Debug)]
pub struct Read {
    /// What the block with all names in it changes.
    pub changes: Changes,
    /// Names that no rule would take.
    pub left_out: u64,
}

impl Default for Chainstate {
    fn default() -> Self {
        Self {
            place: Place::Between,
            seen: BTreeSet::new(),
            namespaces: Vec::new(),
            names: Vec::new(),
            known: BTreeSet::new(),
            left_out: 0,
        }
    }
}

impl Chainstate {
    /// Longest line in bytes.
    pub const LINE_MAX: usize = 1_024;

    /// Takes the next line, without its end.
    pub fn line(&mut self, line: &str) -> Result<(), Fault> {
        let border = |word: &str, section: Section| format!("-----{word} {}-----", section.title());
        match self.place {
            Place::Between => {
                let mut sections = Section::ALL.into_iter();
                let section = sections.find(|section| line == border("BEGIN", *section));
                let section = section.filter(|section| self.seen.insert(*section));
                self.place = Place::Columns(section.ok_or(Fault::Misplaced)?);
                Ok(())
            }
            Place::Columns(section) if line == section.columns() => {
                self.place = Place::Inside(section);
                Ok(())
            }
            Place::Columns(section) => Err(Fault::Columns(section.columns())),
            Place::Inside(section) if line == border("END", section) => {
                self.place = Place::Between;
                Ok(())
            }
            Place::Inside(section) => self.row(section, &line.split(',').collect::<Vec<_>>()),
        }
    }

    /// What was read, once the file has ended.
    pub fn finish(self) -> Result<Read, Fault> {
        let needed = [Section::Namespaces, Section::Names];
        let is_whole = needed.iter().all(|section| self.seen.contains(section));
        if self.place != Place::Between || !is_whole {
            return Err(Fault::Incomplete);
        }
        let ids = self.namespaces.iter().map(|row| row.namespace_id.as_str());
        let ids: BTreeSet<&str> = ids.collect();
        let mut names = self.names.iter();
        if let Some(stray) = names.find(|row| !ids.contains(row.name.namespace())) {
            return Err(Fault::NoNamespace(stray.name.clone()));
        }
        Ok(Read {
            changes: changes(self.namespaces, self.names),
            left_out: self.left_out,
        })
    }

    fn row(&mut self, section: Section, columns: &[&str]) -> Result<(), Fault> {
        match (section, columns) {
            (Section::Namespaces, [id, owner, rules @ ..]) => {
                let row = namespace(id, owner, rules)?;
                let is_known = |known: &NamespaceRecord| known.namespace_id == row.namespace_id;
                if self.namespaces.iter().any(is_known) {
                    return Err(Fault::Twice((*id).to_owned()));
                }
                self.namespaces.push(row);
                Ok(())
            }
            (Section::Names, [name, owner, hash]) => self.name(name, owner, hash),
            (Section::Balances, [owner, amount]) => {
                address(owner)?;
                number::<u128>(amount, "amount").map(drop)
            }
            (Section::Vesting, [owner, amount, blocks]) => {
                address(owner)?;
                number::<u128>(amount, "amount")?;
                number::<u64>(blocks, "number of blocks").map(drop)
            }
            (section, _) => Err(Fault::Columns(section.columns())),
        }
    }

    fn name(&mut self, name: &str, owner: &str, hash: &str) -> Result<(), Fault> {
        let owner = address(owner)?;
        let value_hash = match hash {
            "" => None,
            hash => Some(number::<ZonefileHash>(hash, "zone file hash")?),
        };
        let Ok(name) = name.parse::<Name>() else {
            self.left_out += 1;
            return Ok(());
        };
        if self.names.len() >= NAMES_MAX {
            return Err(Fault::TooMany);
        }
        if !self.known.insert(name.clone()) {
            return Err(Fault::Twice(name.to_string()));
        }
        self.names.push(record(name, owner, value_hash));
        Ok(())
    }
}

fn record(name: Name, owner: Address, value_hash: Option<ZonefileHash>) -> NameRecord {
    NameRecord {
        name,
        preorder_hash: PreorderHash([0; 20]),
        value_hash,
        sender: owner.script(),
        sender_pubkey: None,
        block_number: HEIGHT,
        preorder_block_number: HEIGHT,
        namespace_block_number: HEIGHT,
        first_registered: HEIGHT,
        last_renewed: HEIGHT,
        revoked: false,
        op: NameOp::Import, // so that the zone file counts as announced
        txid: Txid::all_zeros(),
        vtxindex: 0,
        op_fee: Fee::Satoshi(0),
        importer: None,
        importer_address: None,
        consensus_hash: None,
        update_consensus_hash: None,
        token_fee: 0,
    }
}

fn namespace(id: &str, owner: &str, rules: &[&str]) -> Result<NamespaceRecord, Fault> {
    let [
        buckets,
        base,
        coeff,
        nonalpha_discount,
        no_vowel_discount,
        lifetime,
    ] = *rules
    else {
        return Err(Fault::Columns(Section::Namespaces.columns()));
    };
    let exponents = buckets
        .split(';')
        .map(|text| number::<u8>(text, "exponent"));
    let exponents = exponents.collect::<Result<Vec<_>, _>>()?;
    let exponents = <[u8; 16]>::try_from(exponents);
    let exponents = exponents.map_err(|_| Fault::Column(buckets.to_owned(), "16 exponents"))?;
    let address = address(owner)?;
    Ok(NamespaceRecord {
        namespace_id: number::<NamespaceId>(id, "namespace")?,
        preorder_hash: PreorderHash([0; 20]),
        version: 1,
        sender: address.script(),
        sender_pubkey: None,
        address,
        recipient: address.script(),
        recipient_address: address,
        block_number: HEIGHT,
        reveal_block: HEIGHT,
        ready_block: HEIGHT,
        op: NamespaceOp::Ready,
        op_fee: 0,
        token_fee: 0,
        txid: Txid::all_zeros(),
        vtxindex: 0,
        lifetime: match number(lifetime, "lifetime")? {
            0 => u32::MAX, // names that live for ever
            lifetime => lifetime,
        },
        price: PriceFunction {
            coeff: number(coeff, "coefficient")?,
            base: number(base, "base")?,
            buckets: exponents,
            nonalpha_discount: number(nonalpha_discount, "discount")?,
            no_vowel_discount: number(no_vowel_discount, "discount")?,
        },
    })
}

/// An address of the later chain, or of Bitcoin's.
fn address(text: &str) -> Result<Address, Fault> {
    let bitcoin = || Address::decode(text, AddressVersions::MAINNET);
    c32::decode(text)
        .or_else(bitcoin)
        .ok_or_else(|| Fault::Column(text.to_owned(), "address"))
}

fn number<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| Fault::Column(text.to_owned(), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "-----BEGIN NAMESPACES-----
namespace_id,address,buckets,base,coeff,nonalpha_discount,no_vowel_discount,lifetime
id,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,6;5;4;3;2;1;0;0;0;0;0;0;0;0;0;0,4,250,4,4,52595
ever,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,6;5;4;3;2;1;0;0;0;0;0;0;0;0;0;0,4,250,4,4,0
-----END NAMESPACES-----
-----BEGIN NAMES-----
name,address,zonefile_hash
a.id,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,c5f5b4197c94d4561f6332160f624d728b0da8bf
b.ever,SM2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKQVX8X0G,
Upper.id,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,
-----END NAMES-----
-----BEGIN STX BALANCES-----
address,balance
1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2,347222222225
-----END STX BALANCES-----
-----BEGIN STX VESTING-----
address,value,blocks
1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2,13888888889,1
-----END STX VESTING-----
";

    fn read(file: &str) -> Result<Read, (usize, Fault)> {
        let mut chainstate = Chainstate::default();
        for (number, line) in (1..).zip(file.lines()) {
            chainstate.line(line).map_err(|fault| (number, fault))?;
        }
        chainstate.finish().map_err(|fault| (0, fault))
    }

    #[test]
    fn a_chainstate_becomes_a_block() {
        let read = read(FILE).expect("a chainstate");
        assert_eq!(read.left_out, 1);
        let namespaces = read.changes.namespaces.values();
        let rows = namespaces.filter_map(|change| change.after.as_ref());
        let lifetimes: Vec<u32> = rows.map(|row| row.lifetime).collect();
        assert_eq!(lifetimes, [u32::MAX, 52_595]);
        let names: Vec<String> = read.changes.names.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["a.id", "b.ever"]);
        assert_eq!(read.changes.events.len(), 4);
    }

    #[test]
    fn every_line_has_to_be_right() {
        let cases = [
            ("-----BEGIN NAMES-----\n", "", 6),
            ("name,address,zonefile_hash", "name,address", 7),
            ("a.id,SP2J", "a.id,SP3J", 8),
            ("0da8bf", "0da8b", 8),
            ("b.ever", "a.id", 9),
            ("b.ever,SM", "b.ever,,SM", 9),
            ("b.ever", "b.other", 0),
            (
                "id,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,6;5;",
                "id,SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7,5;",
                3,
            ),
            ("ever,", "id,", 4),
            ("347222222225", "-1", 14),
            ("-----END STX VESTING-----\n", "", 0),
            ("STX VESTING", "NAMES", 16),
            ("13888888889,1", "13888888889", 18),
        ];
        for (from, to, line) in cases {
            let file = FILE.replacen(from, to, 1);
            assert_ne!(file, FILE, "{from}");
            let (number, fault) = read(&file).expect_err(from);
            assert_eq!(number, line, "{from}: {fault}");
        }
    }
}
