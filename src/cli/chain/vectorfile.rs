//! Golden chain files: short chains with what the reference implementation made of them.
//!
//! Two layouts, both JSON, gzipped or not. The newer one holds whole blocks and every constant (`params`), see
//! `tests/vectors/README.md`. The older one holds the candidates alone and a few `settings`: its constants are
//! those of the reference's test mode (sm §9). Each transaction carries the outputs that it spends, so the rules
//! can be run over the file without any other source.
//!
//! Such a file is no [`ChainSource`](crate::chain::ChainSource): it brings its own constants, and its headers have
//! no work. Of what the reference computed only the consensus hashes are read here; tests read the rest. The file
//! is hostile input: whatever it lacks is an error with its place.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, consensus};
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::bns::Params;
use crate::bns::address::{Address, AddressVersions};
use crate::bns::epoch::{Epoch, Features, NamespacePrices, PriceArithmetic};
use crate::hash::{ConsensusHash, decode_hex};
use crate::indexer::ReplayBlock;
use crate::virtualchain::VirtualTransaction;
use crate::virtualchain::scan::{self, Candidate};

/// How large a file may be when it is unpacked; the largest golden chain has 12 MB.
const MAX_BYTES: u64 = 1 << 30;
/// How a gzip file begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// It cannot be read or unpacked.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is larger than any chain file.
    #[error("it has more than {MAX_BYTES} bytes: split the chain")]
    TooLarge,
    /// It is no JSON, or lacks something.
    #[error("it is no chain file: {0}")]
    Json(#[from] serde_json::Error),
    /// Something in it is not what it should be.
    #[error("{place}: {problem}")]
    Content {
        /// Where.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// A golden chain.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorFile {
    /// The constants that it was made with.
    pub params: Params,
    /// Its blocks, from the first block of the virtualchain on without a gap.
    /// Each has the consensus hash that the reference computed, if the file tells.
    pub blocks: Vec<ReplayBlock>,
}

impl VectorFile {
    /// Reads a file, gzipped or not.
    pub fn open(path: &Path) -> Result<Self, VectorError> {
        Self::parse(&unpack(File::open(path)?)?)
    }

    /// Reads the JSON text of a file.
    pub fn parse(json: &[u8]) -> Result<Self, VectorError> {
        let file: RawFile = serde_json::from_slice(json)?;
        let params = match &file.params {
            Some(params) => params.read()?,
            None => file.test_mode()?,
        };
        let mut blocks = Vec::with_capacity(file.blocks.len());
        for (height, block) in (params.first_block..).zip(&file.blocks) {
            if block.height != height {
                return Err(content(
                    format!("block {}", block.height),
                    format!("it stands where block {height} should"),
                ));
            }
            blocks.push(block.read(params.magic)?);
        }
        Ok(Self { params, blocks })
    }
}

fn unpack(mut file: File) -> Result<Vec<u8>, VectorError> {
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start)?;
    let all = start.as_slice().chain(file);
    let mut bytes = Vec::new();
    if start == GZIP {
        let unpacked = GzDecoder::new(all);
        unpacked.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        all.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(VectorError::TooLarge);
    }
    Ok(bytes)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "callers give up errors and texts"
)]
fn content(place: impl Into<String>, problem: impl Display) -> VectorError {
    VectorError::Content {
        place: place.into(),
        problem: problem.to_string(),
    }
}

// ---- the layouts ----------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct RawFile {
    params: Option<RawParams>,
    first_block: Option<u32>,
    #[serde(default)]
    settings: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    genesis_accounts: Vec<RawAccount>,
    blocks: Vec<RawBlock>,
}

#[derive(Deserialize)]
struct RawBlock {
    height: u32,
    #[serde(alias = "transactions")]
    txs: Vec<RawTransaction>,
    consensus_hash: Option<String>,
}

#[derive(Deserialize)]
struct RawTransaction {
    /// The older layout leaves transactions out; in the newer one the place in the list is the index.
    txindex: Option<u32>,
    #[serde(alias = "raw")]
    hex: String,
    #[serde(default)]
    prevouts: Vec<RawPrevout>,
}

#[derive(Deserialize)]
struct RawPrevout {
    #[serde(alias = "script_pubkey")]
    script: String,
    /// Unknown in files that were made from recordings; no rule reads it.
    value: Option<u64>,
}

#[derive(Deserialize)]
struct RawAccount {
    address: String,
    value: u64,
}

#[derive(Deserialize)]
struct RawParams {
    magic: String,
    p2pkh_version: u8,
    p2sh_version: u8,
    burn_address: String,
    first_block: u32,
    #[serde(default)]
    initial_consensus_hashes: BTreeMap<String, ConsensusHash>,
    consensus_hash_lifetime: u32,
    name_preorder_expire: u32,
    namespace_reveal_expire: u32,
    max_names_per_sender: usize,
    name_import_keyring_size: u32,
    name_cost_unit_satoshis: u64,
    announcers: Vec<String>,
    genesis_accounts: Vec<RawAccount>,
    epochs: Vec<RawEpoch>,
}

#[derive(Deserialize)]
struct RawEpoch {
    /// Negative for an open end.
    end_block: i64,
    namespace_lifetime_multiplier: u32,
    namespace_lifetime_grace_period: u32,
    namespace_receive_fees_period: u32,
    price_multiplier: Option<f64>,
    price_divisor: Option<u64>,
    namespace_prices_satoshis: Option<Vec<Option<u64>>>,
    namespace_prices_microstacks: Option<Vec<Option<u64>>>,
    features: Features,
}

// ---- from text to values --------------------------------------------------------------------------------

impl RawBlock {
    fn read(&self, magic: [u8; 2]) -> Result<ReplayBlock, VectorError> {
        let place = || format!("block {}", self.height);
        let mut candidates = Vec::new();
        for (index, transaction) in (0..).zip(&self.txs) {
            let index = transaction.txindex.unwrap_or(index);
            let read = transaction.read(index, magic);
            let read = read
                .map_err(|problem| content(format!("{}, transaction {index}", place()), problem))?;
            candidates.extend(read);
        }
        let hash = self.consensus_hash.as_deref().map(str::parse).transpose();
        Ok(ReplayBlock {
            height: self.height,
            candidates,
            about: hash.map_err(|error| content(place(), error))?,
        })
    }
}

impl RawTransaction {
    /// `None` for a transaction without our magic bytes.
    fn read(&self, vtxindex: u32, magic: [u8; 2]) -> Result<Option<VirtualTransaction>, String> {
        let bytes = hex(&self.hex)?;
        let transaction: Transaction =
            consensus::deserialize(&bytes).map_err(|error| error.to_string())?;
        if scan::payload(&transaction, magic).is_none() {
            return Ok(None);
        }
        let candidate = Candidate {
            vtxindex,
            transaction,
        };
        let inputs = &candidate.transaction.input;
        let expected = inputs
            .iter()
            .filter(|input| !input.previous_output.is_null())
            .count();
        if self.prevouts.len() != expected {
            let found = self.prevouts.len();
            return Err(format!("{expected} inputs but {found} spent outputs"));
        }
        let looked_at = candidate.outpoints().count();
        let prevouts = self.prevouts.iter().take(looked_at).map(RawPrevout::read);
        Ok(Some(
            candidate.with_prevouts(prevouts.collect::<Result<_, _>>()?),
        ))
    }
}

impl RawPrevout {
    fn read(&self) -> Result<TxOut, String> {
        Ok(TxOut {
            value: Amount::from_sat(self.value.unwrap_or(0)),
            script_pubkey: ScriptBuf::from(hex(&self.script)?),
        })
    }
}

impl RawAccount {
    fn read(&self, versions: AddressVersions) -> Result<(Address, u64), VectorError> {
        Ok((address(&self.address, versions)?, self.value))
    }
}

impl RawParams {
    fn read(&self) -> Result<Params, VectorError> {
        let versions = AddressVersions {
            p2pkh: self.p2pkh_version,
            p2sh: self.p2sh_version,
        };
        let magic = self.magic.as_bytes().try_into();
        let initial = self.initial_consensus_hashes.values().next().copied();
        let announcers = self.announcers.iter().map(|name| name.parse());
        let accounts = self.genesis_accounts.iter();
        let epochs = self.epochs.iter().map(RawEpoch::read);
        let epochs: Vec<Epoch> = epochs.collect::<Result<_, _>>()?;
        if epochs.is_empty() {
            return Err(content("params", "there is no epoch"));
        }
        Ok(Params {
            magic: magic.map_err(|_| content("params", "magic bytes are two"))?,
            first_block: self.first_block,
            last_block: None,
            initial_consensus_hash: initial
                .unwrap_or_else(|| Params::mainnet().initial_consensus_hash),
            consensus_hash_lifetime: self.consensus_hash_lifetime,
            addresses: versions,
            burn_address: address(&self.burn_address, versions)?,
            max_names_per_sender: self.max_names_per_sender,
            name_import_keyring_size: self.name_import_keyring_size,
            name_preorder_expire: self.name_preorder_expire,
            namespace_reveal_expire: self.namespace_reveal_expire,
            name_cost_unit_satoshis: self.name_cost_unit_satoshis,
            announcers: announcers
                .collect::<Result<_, _>>()
                .map_err(|error| content("announcers", error))?,
            genesis_accounts: accounts
                .map(|account| account.read(versions))
                .collect::<Result<_, _>>()?,
            first_subdomain_block: self.first_block,
            epochs,
        })
    }
}

impl RawEpoch {
    fn read(&self) -> Result<Epoch, VectorError> {
        // No id has length 0, so its entry may be absent; another absent one is a price that nobody can pay.
        let table = |prices: &[Option<u64>]| -> Vec<u64> {
            let prices = prices.iter();
            prices.map(|price| price.unwrap_or(u64::MAX)).collect()
        };
        let satoshis = &self.namespace_prices_satoshis;
        Ok(Epoch {
            end_block: u32::try_from(self.end_block).unwrap_or(u32::MAX),
            namespace_lifetime_multiplier: self.namespace_lifetime_multiplier,
            namespace_lifetime_grace_period: self.namespace_lifetime_grace_period,
            namespace_receive_fees_period: self.namespace_receive_fees_period,
            price_arithmetic: match (self.price_multiplier, self.price_divisor) {
                (Some(multiplier), _) => PriceArithmetic::Double { multiplier },
                (None, Some(divisor)) if divisor > 0 => PriceArithmetic::Integer { divisor },
                _ => return Err(content("epochs", "neither a multiplier nor a divisor")),
            },
            namespace_prices: match (satoshis, &self.namespace_prices_microstacks) {
                (Some(satoshi), _) => NamespacePrices::Satoshi(table(satoshi)),
                (None, Some(stacks)) => NamespacePrices::MicroStacks(table(stacks)),
                (None, None) => return Err(content("epochs", "no namespace prices")),
            },
            features: self.features,
        })
    }
}

impl RawFile {
    /// The constants of the older layout: the reference's test mode (sm §9) in its four epochs.
    fn test_mode(&self) -> Result<Params, VectorError> {
        let first_block = self
            .first_block
            .ok_or_else(|| content("top level", "neither params nor first_block"))?;
        let mut params = Params::test_mode(first_block);
        params.epochs.truncate(4);
        if let Some(last) = params.epochs.last_mut() {
            last.end_block = u32::MAX;
        }
        for (number, epoch) in (1..).zip(&mut params.epochs) {
            let prefix = format!("BLOCKSTACK_EPOCH_{number}");
            if let Some(end) = self.setting(&format!("{prefix}_END_BLOCK")) {
                epoch.end_block = end;
            }
            if let Some(grace) = self.setting(&format!("{prefix}_NAMESPACE_LIFETIME_GRACE_PERIOD"))
            {
                epoch.namespace_lifetime_grace_period = grace;
            }
        }
        let versions = params.addresses;
        let accounts = self
            .genesis_accounts
            .iter()
            .map(|account| account.read(versions));
        params.genesis_accounts = accounts.collect::<Result<_, _>>()?;
        Ok(params)
    }

    fn setting(&self, name: &str) -> Option<u32> {
        u32::try_from(self.settings.get(name)?.as_u64()?).ok()
    }
}

fn address(text: &str, versions: AddressVersions) -> Result<Address, VectorError> {
    Address::decode(text, versions).ok_or_else(|| {
        let problem = "no address of this network";
        content(format!("address {}", text.escape_debug()), problem)
    })
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    decode_hex(text).ok_or_else(|| "a field is no hex".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const SMALL: &str = r#"{"first_block": 7, "settings": {"BLOCKSTACK_EPOCH_1_END_BLOCK": 9}, "blocks": [
        {"height": 7, "transactions": [], "consensus_hash": "2a9148d8b13939723d2aca16c75c6d68"},
        {"height": 8, "transactions": []}]}"#;

    #[test]
    fn the_older_layout_is_read_with_its_settings() {
        let file = VectorFile::parse(SMALL.as_bytes()).expect("a chain file");
        assert_eq!((file.params.first_block, file.blocks.len()), (7, 2));
        assert_eq!(file.params.epochs[0].end_block, 9);
        assert_eq!(file.params.name_import_keyring_size, 5);
        assert!(file.blocks[0].about.is_some() && file.blocks[1].about.is_none());
    }

    #[test]
    fn packed_and_plain_files_are_the_same() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (plain, packed) = (scratch.path().join("a"), scratch.path().join("b"));
        std::fs::write(&plain, SMALL).expect("written");
        let file = File::create(&packed).expect("created");
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        writer.write_all(SMALL.as_bytes()).expect("written");
        writer.finish().expect("written");
        let [plain, packed] =
            [plain, packed].map(|path| VectorFile::open(&path).expect("a chain file"));
        assert_eq!(plain, packed);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("[]", "no chain file"),
            (r#"{"blocks": []}"#, "neither params nor first_block"),
            (
                r#"{"first_block": 1, "blocks": [{"height": 3, "txs": []}]}"#,
                "block 3: it stands where block 1 should",
            ),
            (
                r#"{"first_block": 1, "blocks": [{"height": 1, "txs": [{"hex": "0"}]}]}"#,
                "block 1, transaction 0: a field is no hex",
            ),
        ];
        for (text, message) in cases {
            let error = VectorFile::parse(text.as_bytes()).expect_err("it is wrong");
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
