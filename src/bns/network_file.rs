//! The network file: everything in which a network of one's own differs, as canonical bytes.
//!
//! ASCII, one `key=value` a line, each ended by a line feed, every key once and in this order, decimal without padding, hex
//! in lower case, `-` for none. Its id is H160 of the bytes, so two networks are the same exactly if their files are.
//!
//! ```text
//! bnsnet=1
//! base=bitcoin | litecoin
//! anchor=HEIGHT:BLOCK HASH               a block that the chain must have
//! magic=HEX4
//! first=HEIGHT                           first block of the virtualchain
//! addresses=P2PKH:P2SH                   version bytes
//! burn=HEX40                             hash of the p2pkh burn address
//! unit=100                               least price of a name, in satoshi
//! reveal=52595                           blocks from reveal to ready
//! epoch=END:RULES:MULTIPLIER:GRACE:FEES:P1,P2,P3,P4
//!                                        one or more, END ascending, the last 4294967295; RULES 1 to 3 are those of that
//!                                        epoch of the main network; prices of namespaces by id length 1, 2-3, 4-7, 8+
//! administrator=- | p2pkh:HEX40 | p2sh:HEX40
//! notice=288
//! closing=144
//! burial=100
//! pointers=0 | 1
//! from=- | HEX40                         id of the network that this one continues
//! pace=1                                 blocks of this chain per block of that one
//! ```
//!
//! `base=litecoin`, an administrator, pointers and `from` belong to the format and are not built yet:
//! [`NetworkFile::unbuilt`] says so.

use std::fmt;
use std::str::FromStr;

use bitcoin::BlockHash;

use super::address::{Address, AddressVersions};
use super::epoch::{Epoch, NamespacePrices, historical, prices_by_length};
use super::params::Params;
use crate::hash::{NetworkId, decode_hex, encode_hex, h160};

/// A network of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFile {
    /// How blocks are read.
    pub base: Base,
    /// Height and hash of a block that the chain must have.
    pub anchor: (u32, BlockHash),
    /// The two bytes that an operation's `OP_RETURN` starts with.
    pub magic: [u8; 2],
    /// First block of the virtualchain.
    pub first_block: u32,
    /// Version bytes of addresses.
    pub addresses: AddressVersions,
    /// Hash of the p2pkh burn address.
    pub burn: [u8; 20],
    /// Least price of a name in satoshi.
    pub unit: u64,
    /// Blocks from reveal to ready.
    pub reveal: u32,
    /// One or more, with ascending ends; the last is open.
    pub epochs: Vec<OwnEpoch>,
    /// Who may move the network to another chain.
    pub administrator: Option<Address>,
    /// Blocks from the announcement of a move to the cut-off.
    pub notice: u32,
    /// Blocks before the cut-off in which nothing is preordered.
    pub closing: u32,
    /// Blocks on top of the cut-off that make it certain.
    pub burial: u32,
    /// Whether namespaces can point to other networks.
    pub pointers: bool,
    /// The network that this one continues.
    pub from: Option<NetworkId>,
    /// Blocks of this chain per block of that one.
    pub pace: u8,
}

/// How blocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// As Bitcoin's.
    Bitcoin,
    /// As Litecoin's.
    Litecoin,
}

/// An epoch of a network of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEpoch {
    /// Its last block; `u32::MAX` for an open end.
    pub end: u32,
    /// 1 to 3: features and price arithmetic of that epoch of the main network.
    pub rules: u8,
    /// Factor on the lifetime of names.
    pub multiplier: u32,
    /// Blocks of the grace period.
    pub grace: u32,
    /// Blocks after the reveal during which fees go to the creator of a namespace.
    pub fees: u32,
    /// Prices of namespaces in satoshi, by id length 1, 2-3, 4-7, 8 and more.
    pub prices: [u64; 4],
}

/// Why a text is no network file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct NetworkFileError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl NetworkFile {
    /// Reads a file; nothing but the canonical bytes is one.
    pub fn parse(text: &str) -> Result<Self, NetworkFileError> {
        let mut lines = Lines {
            rest: text,
            line: 0,
        };
        let file = lines.file()?;
        lines.end()?;
        let canonical = file.to_string();
        let pairs = text
            .split_inclusive('\n')
            .zip(canonical.split_inclusive('\n'));
        for (line, (given, wanted)) in (1..).zip(pairs) {
            if given != wanted {
                let problem = format!("written as {:?} it would be canonical", wanted.trim_end());
                return Err(NetworkFileError { line, problem });
            }
        }
        Ok(file)
    }

    /// H160 of the canonical bytes.
    pub fn id(&self) -> NetworkId {
        NetworkId(h160(self.to_string().as_bytes()))
    }

    /// What this file asks for and nobody has built.
    pub fn unbuilt(&self) -> Option<&'static str> {
        match self {
            Self {
                base: Base::Litecoin,
                ..
            } => Some("base=litecoin"),
            Self {
                administrator: Some(_),
                ..
            } => Some("an administrator"),
            Self { pointers: true, .. } => Some("pointers=1"),
            Self { from: Some(_), .. } => Some("from, to continue another network"),
            _ => None,
        }
    }

    /// The constants: what the file does not say is as on the main network.
    pub fn params(&self) -> Params {
        Params {
            magic: self.magic,
            first_block: self.first_block,
            last_block: None,
            addresses: self.addresses,
            burn_address: Address::P2pkh(self.burn),
            namespace_reveal_expire: self.reveal,
            name_cost_unit_satoshis: self.unit,
            first_subdomain_block: self.first_block,
            epochs: self.epochs.iter().map(OwnEpoch::epoch).collect(),
            ..Params::mainnet()
        }
    }
}

impl OwnEpoch {
    fn epoch(&self) -> Epoch {
        Epoch {
            namespace_lifetime_multiplier: self.multiplier,
            namespace_lifetime_grace_period: self.grace,
            namespace_receive_fees_period: self.fees,
            namespace_prices: NamespacePrices::Satoshi(prices_by_length(self.prices)),
            ..historical(self.rules, self.end)
        }
    }
}

impl fmt::Display for NetworkFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Bitcoin => "bitcoin",
            Base::Litecoin => "litecoin",
        };
        writeln!(f, "bnsnet=1\nbase={base}")?;
        writeln!(f, "anchor={}:{}", self.anchor.0, self.anchor.1)?;
        writeln!(f, "magic={}", encode_hex(&self.magic))?;
        writeln!(f, "first={}", self.first_block)?;
        let AddressVersions { p2pkh, p2sh } = self.addresses;
        writeln!(f, "addresses={p2pkh}:{p2sh}")?;
        writeln!(f, "burn={}", encode_hex(&self.burn))?;
        writeln!(f, "unit={}\nreveal={}", self.unit, self.reveal)?;
        for epoch in &self.epochs {
            writeln!(f, "epoch={epoch}")?;
        }
        let administrator = match self.administrator {
            None => "-".to_owned(),
            Some(Address::P2pkh(hash)) => format!("p2pkh:{}", encode_hex(&hash)),
            Some(Address::P2sh(hash)) => format!("p2sh:{}", encode_hex(&hash)),
        };
        writeln!(f, "administrator={administrator}")?;
        writeln!(
            f,
            "notice={}\nclosing={}\nburial={}",
            self.notice, self.closing, self.burial
        )?;
        writeln!(f, "pointers={}", u8::from(self.pointers))?;
        let from = self.from.map_or("-".to_owned(), |id| id.to_string());
        writeln!(f, "from={from}\npace={}", self.pace)
    }
}

impl fmt::Display for OwnEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            end,
            rules,
            multiplier,
            grace,
            fees,
            prices: [one, two, four, eight],
        } = self;
        write!(
            f,
            "{end}:{rules}:{multiplier}:{grace}:{fees}:{one},{two},{four},{eight}"
        )
    }
}

impl FromStr for OwnEpoch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "an epoch is END:RULES:MULTIPLIER:GRACE:FEES:P1,P2,P3,P4, eight times a number";
        let parts: Vec<&str> = text.split(':').collect();
        let [end, rules, multiplier, grace, fees, prices] = parts.as_slice() else {
            return Err(form.to_owned());
        };
        let rules = number(rules)?;
        if !(1..=3).contains(&rules) {
            return Err("the rules of an epoch are 1, 2 or 3".to_owned());
        }
        Ok(Self {
            end: number(end)?,
            rules,
            multiplier: number(multiplier)?,
            grace: number(grace)?,
            fees: number(fees)?,
            prices: self::prices(prices)?,
        })
    }
}

/// What of the file is not read yet.
struct Lines<'t> {
    rest: &'t str,
    /// The last line that was taken, from 1.
    line: usize,
}

impl<'t> Lines<'t> {
    fn file(&mut self) -> Result<NetworkFile, NetworkFileError> {
        self.take("bnsnet", |text| match text {
            "1" => Ok(()),
            _ => Err("this bnsd knows version 1".to_owned()),
        })?;
        let base = self.take("base", base)?;
        let anchor = self.take("anchor", anchor)?;
        let magic = self.take("magic", magic)?;
        let first_block = self.take("first", number)?;
        let addresses = self.take("addresses", addresses)?;
        let burn = self.take("burn", bytes)?;
        let unit = self.take("unit", number)?;
        let reveal = self.take("reveal", number)?;
        let epochs = self.epochs()?;
        let administrator = self.take("administrator", or_none(principal))?;
        let notice = self.take("notice", number)?;
        Ok(NetworkFile {
            base,
            anchor,
            magic,
            first_block,
            addresses,
            burn,
            unit,
            reveal,
            epochs,
            administrator,
            notice,
            closing: self.closing(notice)?,
            burial: self.take("burial", number)?,
            pointers: self.take("pointers", switch)?,
            from: self.take("from", or_none(|text| bytes(text).map(NetworkId)))?,
            pace: self.take("pace", pace)?,
        })
    }

    fn closing(&mut self, notice: u32) -> Result<u32, NetworkFileError> {
        let closing = self.take("closing", number)?;
        match (1..notice).contains(&closing) {
            true => Ok(closing),
            false => Err(self.error("closing is at least 1 and below notice")),
        }
    }

    fn end(&mut self) -> Result<(), NetworkFileError> {
        self.line += 1;
        match self.rest {
            "" => Ok(()),
            _ => Err(self.error("the file ends before this line")),
        }
    }

    fn epochs(&mut self) -> Result<Vec<OwnEpoch>, NetworkFileError> {
        let mut epochs: Vec<OwnEpoch> = Vec::new();
        loop {
            let epoch: OwnEpoch = self.take("epoch", str::parse)?;
            if epochs.last().is_some_and(|before| before.end >= epoch.end) {
                return Err(self.error("an epoch ends after the one before"));
            }
            let is_open = epoch.end == u32::MAX;
            epochs.push(epoch);
            if is_open {
                return Ok(epochs);
            }
        }
    }

    /// The value of the next line, which has to be that of `key`.
    fn take<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&'t str) -> Result<T, String>,
    ) -> Result<T, NetworkFileError> {
        self.line += 1;
        let Some((line, rest)) = self.rest.split_once('\n') else {
            return Err(self.error(&format!("{key}=… and a line feed should follow")));
        };
        let value = line
            .strip_prefix(key)
            .and_then(|value| value.strip_prefix('='));
        let value = value.ok_or_else(|| self.error(&format!("{key}=… should stand here")))?;
        self.rest = rest;
        parse(value).map_err(|problem| self.error(&problem))
    }

    fn error(&self, problem: &str) -> NetworkFileError {
        NetworkFileError {
            line: self.line,
            problem: problem.to_owned(),
        }
    }
}

/// Height and hash of a block, as HEIGHT:HASH.
pub fn anchor(text: &str) -> Result<(u32, BlockHash), String> {
    let problem = || format!("{text:?} is no HEIGHT:HASH of a block");
    let (height, hash) = text.split_once(':').ok_or_else(problem)?;
    Ok((number(height)?, hash.parse().map_err(|_| problem())?))
}

/// Prices of namespaces in satoshi, as P1,P2,P3,P4.
pub fn prices(text: &str) -> Result<[u64; 4], String> {
    let prices: Vec<u64> = text.split(',').map(number).collect::<Result<_, _>>()?;
    let prices = prices.try_into();
    prices.map_err(|_| format!("{text:?} is not four prices P1,P2,P3,P4"))
}

/// Four digits of hex.
pub fn magic(text: &str) -> Result<[u8; 2], String> {
    bytes(text)
}

fn base(text: &str) -> Result<Base, String> {
    match text {
        "bitcoin" => Ok(Base::Bitcoin),
        "litecoin" => Ok(Base::Litecoin),
        _ => Err("the base is bitcoin or litecoin".to_owned()),
    }
}

fn addresses(text: &str) -> Result<AddressVersions, String> {
    let problem = || format!("{text:?} is not two version bytes, P2PKH:P2SH");
    let (p2pkh, p2sh) = text.split_once(':').ok_or_else(problem)?;
    let (p2pkh, p2sh) = (number(p2pkh)?, number(p2sh)?);
    match p2pkh == p2sh {
        true => Err("the two kinds of address need different version bytes".to_owned()),
        false => Ok(AddressVersions { p2pkh, p2sh }),
    }
}

fn principal(text: &str) -> Result<Address, String> {
    match text.split_once(':') {
        Some(("p2pkh", hash)) => bytes(hash).map(Address::P2pkh),
        Some(("p2sh", hash)) => bytes(hash).map(Address::P2sh),
        _ => Err(format!("{text:?} is neither p2pkh:HEX40 nor p2sh:HEX40")),
    }
}

fn pace(text: &str) -> Result<u8, String> {
    let pace = number(text)?;
    match pace {
        0 => Err("the pace is 1 to 255".to_owned()),
        pace => Ok(pace),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("write 0 or 1".to_owned()),
    }
}

fn or_none<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| match text {
        "-" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("{text:?} is no number that fits here"))
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes = decode_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{text:?} is not {} lower-case hex digits", 2 * N))
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    const CLUB: &str = include_str!("network_file.txt");

    #[test]
    fn a_file_has_its_constants_and_its_id() {
        let file = NetworkFile::parse(CLUB).expect("a network file");
        assert_eq!(file.to_string(), CLUB);
        // openssl sha256 -binary FILE | openssl dgst -rmd160
        assert_eq!(
            file.id().to_string(),
            "b1e1f411bed23beac1edd4fe35e892be7c824800"
        );
        assert_eq!(file.unbuilt(), None);
        let params = Params {
            magic: *b"ab",
            first_block: 100,
            first_subdomain_block: 100,
            ..Params::regtest()
        };
        assert_eq!(file.params(), params);
    }

    #[test]
    fn what_is_not_built_is_known() {
        for (before, after, what) in [
            ("base=bitcoin", "base=litecoin", "litecoin"),
            (
                "administrator=-",
                "administrator=p2pkh:1111111111111111111111111111111111111111",
                "administrator",
            ),
            ("pointers=0", "pointers=1", "pointers"),
            (
                "from=-",
                "from=1111111111111111111111111111111111111111",
                "from",
            ),
        ] {
            let file = NetworkFile::parse(&CLUB.replace(before, after)).expect("a network file");
            assert!(file.unbuilt().expect("not built").contains(what), "{after}");
        }
    }

    #[test]
    fn every_malformed_line_is_refused_by_its_number() {
        let epoch = "epoch=4294967295:3:2:5000:52595:4000000000,400000000,40000000,4000000";
        for (line, before, after) in [
            (1, "bnsnet=1", "bnsnet=2"),
            (2, "base=bitcoin", "base=dogecoin"),
            (3, "anchor=0:0f", "anchor=0:0F"),
            (3, "anchor=0:", "anchor=00:"),
            (3, "anchor=0:", "anchor=0 "),
            (4, "magic=6162", "magic=616"),
            (4, "magic=6162", "magic= 6162"),
            (4, "magic=6162\n", ""),
            (5, "first=100", "first=4294967296"),
            (5, "first=100", "first=+100"),
            (6, "addresses=111:196", "addresses=111:256"),
            (6, "addresses=111:196", "addresses=111:111"),
            (7, "burn=00", "burn=g0"),
            (8, "unit=100", "unit=0100"),
            (9, "reveal=52595", "reveal=52595 "),
            (9, "reveal=52595", "reveal=52595\r"),
            (10, epoch, "epoch=4294967295:4:2:0:0:4,3,2,1"),
            (10, epoch, "epoch=4294967295:3:2:0:0:4,3,2"),
            (10, epoch, "epoch=4294967295:3:2:0:4,3,2,1"),
            (11, epoch, "epoch=200:3:2:0:0:4,3,2,1"),
            (
                11,
                epoch,
                "epoch=200:3:2:0:0:4,3,2,1\nepoch=200:3:2:0:0:4,3,2,1",
            ),
            (
                11,
                "administrator=-",
                "administrator=p2wpkh:1111111111111111111111111111111111111111",
            ),
            (15, "pointers=0", "pointers=2"),
            (16, "from=-", "from="),
            (17, "pace=1", "pace=0"),
            (17, "pace=1", "pace=256"),
            (13, "closing=144", "closing=288"),
            (13, "closing=144", "closing=0"),
            (17, "pace=1\n", "pace=1"),
            (18, "pace=1\n", "pace=1\n\n"),
        ] {
            let text = CLUB.replacen(before, after, 1);
            assert_ne!(text, CLUB, "{before}");
            let error = NetworkFile::parse(&text).expect_err(after);
            assert_eq!(error.line, line, "{after:?}: {error}");
        }
        assert_eq!(NetworkFile::parse("").expect_err("nothing").line, 1);
    }

    fn addresses() -> impl Strategy<Value = Option<Address>> {
        let hash = any::<[u8; 20]>();
        prop_oneof![
            Just(None),
            hash.prop_map(|hash| Some(Address::P2pkh(hash))),
            any::<[u8; 20]>().prop_map(|hash| Some(Address::P2sh(hash))),
        ]
    }

    prop_compose! {
        fn epochs()(ends in btree_set(0..u32::MAX, 0..4), numbers in any::<[u32; 3]>(), prices in any::<[u64; 4]>(), rules in 1u8..4)
            -> Vec<OwnEpoch> {
            let [multiplier, grace, fees] = numbers;
            let ends = ends.into_iter().chain([u32::MAX]);
            ends.map(|end| OwnEpoch { end, rules, multiplier, grace, fees, prices }).collect()
        }
    }

    prop_compose! {
        fn files()(
            epochs in epochs(),
            administrator in addresses(),
            heights in any::<[u32; 3]>(),
            anchor in any::<[u8; 32]>(),
            (magic, burn, unit) in any::<([u8; 2], [u8; 20], u64)>(),
            (is_litecoin, pointers, from) in any::<(bool, bool, Option<[u8; 20]>)>(),
            (p2pkh, shift) in (any::<u8>(), 1u8..),
            (closing, more) in (1u32..1000, 1u32..1000),
            pace in 1u8..,
        ) -> NetworkFile {
            NetworkFile {
                base: if is_litecoin { Base::Litecoin } else { Base::Bitcoin },
                anchor: (heights[0], BlockHash::from_byte_array(anchor)),
                magic,
                first_block: heights[1],
                addresses: AddressVersions { p2pkh, p2sh: p2pkh.wrapping_add(shift) },
                burn,
                unit,
                reveal: heights[2],
                epochs,
                administrator,
                notice: closing + more,
                closing,
                burial: heights[2],
                pointers,
                from: from.map(NetworkId),
                pace,
            }
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(file in files()) {
            prop_assert_eq!(NetworkFile::parse(&file.to_string()), Ok(file));
        }

        #[test]
        fn only_canonical_bytes_are_a_file(text in "[ -~\n]{0,200}", at in 0usize..500, byte in any::<u8>()) {
            let _ = NetworkFile::parse(&text);
            let mut changed = CLUB.as_bytes().to_vec();
            let at = at % changed.len();
            changed[at] = byte & 0x7f;
            let changed = String::from_utf8(changed).expect("ASCII");
            if let Ok(file) = NetworkFile::parse(&changed) {
                prop_assert_eq!(file.to_string(), changed);
            }
        }
    }
}
