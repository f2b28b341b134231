//! Rows of the chain in the words of the reference: its keys and types, as its RPC server gave them (blockstack-core
//! v20.0.8.10, `docs/api-specs.md`). Scripts, keys and hashes are hex, addresses base58 of the followed network.

use bitcoin::Txid;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::detail::opcode_name;
use super::view::{Names, NamesError};
use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::operation::Action;
use crate::bns::record::{Fee, NameRecord, NamespaceOp, NamespaceRecord};
use crate::bns::{Operation, Params};
use crate::hash::{ConsensusHash, PreorderHash, ZonefileHash, encode_hex};
use crate::store::{HistoryEntry, StoredDecision, StoredOperation};
use crate::virtualchain::serialize::first_field;

/// Rows of a name's history on a page.
const PAGE: usize = 20;

/// A row, as an operation left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Record {
    /// Of a name.
    Name(Box<NameRow>),
    /// Of a namespace.
    Namespace(Box<NamespaceRow>),
    /// A commitment to one of them.
    Preorder(Box<CommitmentRow>),
}

/// A row, and the height of its operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordAt {
    /// The height.
    pub height: u32,
    /// The row after it.
    pub record: Record,
}

/// What all operations have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationRow {
    /// Its code on the chain: `:`, `>>`.
    pub op: String,
    /// The same in words: `NAME_REGISTRATION`.
    pub opcode: String,
    /// Its transaction.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// Its place in the block.
    pub vtxindex: u32,
    /// Script of the owner, or of who sent it.
    pub sender: String,
    /// A public key that the inputs revealed.
    pub sender_pubkey: Option<String>,
    /// Address of that script.
    pub address: Option<String>,
    /// Height of the first operation that led to the row.
    pub block_number: u32,
    /// What was paid: satoshi; a fraction where the price of an imported name was one.
    #[schema(value_type = f64)]
    pub op_fee: Number,
    /// What was paid in tokens: µSTX, as a text.
    pub token_fee: String,
}

/// A name after an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NameRow {
    /// The name.
    #[schema(value_type = String)]
    pub name: Name,
    /// What all operations have.
    #[serde(flatten)]
    pub operation: OperationRow,
    /// The consensus hash that the last update or transfer carries.
    #[schema(value_type = Option<String>)]
    pub consensus_hash: Option<ConsensusHash>,
    /// Height at which this life of the name began.
    pub first_registered: u32,
    /// Who imported it: script.
    pub importer: Option<String>,
    /// Address of the importer's public key.
    pub importer_address: Option<String>,
    /// How this life began: `:` or `;`.
    pub last_creation_op: String,
    /// Height of the last registration or renewal.
    pub last_renewed: u32,
    /// First 16 bytes of SHA-256 of the name.
    pub name_hash128: String,
    /// First block of the namespace's row when the name was created.
    pub namespace_block_number: u32,
    /// The namespace.
    pub namespace_id: String,
    /// Height of the preorder of this life.
    pub preorder_block_number: u32,
    /// The commitment that was consumed.
    #[schema(value_type = String)]
    pub preorder_hash: PreorderHash,
    /// Whether the owner revoked it.
    pub revoked: bool,
    /// Hash of the zone file.
    #[schema(value_type = Option<String>)]
    pub value_hash: Option<ZonefileHash>,
}

/// A namespace after an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceRow {
    /// The id.
    pub namespace_id: String,
    /// What all operations have.
    #[serde(flatten)]
    pub operation: OperationRow,
    /// Base of the price function.
    pub base: u8,
    /// Exponents of the price function by length of the label.
    pub buckets: [u8; 16],
    /// Coefficient of the price function.
    pub coeff: u8,
    /// Blocks that a name lives, before the epoch's multiplier; 4294967295 for ever.
    pub lifetime: u32,
    /// Divisor for labels without a vowel.
    pub no_vowel_discount: u8,
    /// Divisor for labels with other characters than letters.
    pub nonalpha_discount: u8,
    /// The commitment that was consumed.
    #[schema(value_type = String)]
    pub preorder_hash: PreorderHash,
    /// Whether names can be registered.
    pub ready: bool,
    /// Height of the opening, 0 until then.
    pub ready_block: u32,
    /// Script of the revealer.
    pub recipient: String,
    /// Address of the revealer.
    pub recipient_address: String,
    /// Height of the reveal.
    pub reveal_block: u32,
    /// 1: fees are burnt; 2: paid to the creator for a while; 3: paid in tokens.
    pub version: u16,
}

/// A commitment to a name or namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitmentRow {
    /// What all operations have.
    #[serde(flatten)]
    pub operation: OperationRow,
    /// Where the fee went.
    pub burn_address: String,
    /// The consensus hash that it quotes.
    #[schema(value_type = String)]
    pub consensus_hash: ConsensusHash,
    /// The commitment.
    #[schema(value_type = String)]
    pub preorder_hash: PreorderHash,
}

impl Names {
    /// A page of what happened to a name, the last first; the first page has number 0.
    pub fn name_rows(&self, name: &Name, page: u32) -> Result<Vec<RecordAt>, NamesError> {
        let history = self.snapshot.name_history(name)?;
        let skipped = (page as usize).saturating_mul(PAGE);
        let rows = history.iter().rev().skip(skipped).take(PAGE);
        Ok(rows.map(|entry| self.name_row(entry)).collect())
    }

    /// The row of a namespace; none if it was never revealed.
    pub fn namespace_row(&self, id: &NamespaceId) -> Result<Option<RecordAt>, NamesError> {
        let entry = self.namespace_entry(id)?;
        Ok(entry.map(|entry| self.row_of_namespace(&entry)))
    }

    /// The accepted operations of a block, in its order: the rows as each left them. Announcements and transfers of tokens
    /// leave none.
    pub fn rows_of_block(&self, height: u32) -> Result<Vec<RecordAt>, NamesError> {
        let mut rows = Vec::new();
        for stored in self.snapshot.operations_at(height)? {
            if let StoredDecision::Accepted {
                serialized: Some(text),
            } = &stored.decision
            {
                rows.extend(self.row_of_operation(height, text, &stored)?);
            }
        }
        Ok(rows)
    }

    /// The row that an accepted operation left; its canonical text begins with the name or id, if it is about one (ch §1).
    fn row_of_operation(
        &self,
        height: u32,
        text: &str,
        stored: &StoredOperation,
    ) -> Result<Option<RecordAt>, NamesError> {
        let vtxindex = stored.candidate.vtxindex;
        let Some((opcode, subject)) = first_field(text) else {
            return Ok(None);
        };
        Ok(match opcode {
            ':' | '+' | '>' | '~' | ';' => {
                let history = subject.parse().ok();
                let history = history.map(|name| self.snapshot.name_history(&name));
                let history = history.transpose()?.unwrap_or_default();
                let is_this = |entry: &&HistoryEntry<NameRecord>| {
                    (entry.height, entry.vtxindex) == (height, vtxindex)
                };
                history.iter().find(is_this).map(|row| self.name_row(row))
            }
            '&' | '!' => {
                let id: Option<NamespaceId> = subject.parse().ok();
                let entry = id.map(|id| self.snapshot.namespace_at(&id, height));
                let entry = entry.transpose()?.flatten();
                entry.map(|entry| self.row_of_namespace(&entry))
            }
            '?' | '*' => commitment(&self.from.params, height, stored).map(|row| RecordAt {
                height,
                record: Record::Preorder(Box::new(row)),
            }),
            _ => None,
        })
    }

    fn name_row(&self, entry: &HistoryEntry<NameRecord>) -> RecordAt {
        let (record, versions) = (&entry.record, self.from.params.addresses);
        let address = |address: Option<Address>| address.map(|address| address.encode(versions));
        let namespace_id = record.name.namespace_id();
        let row = NameRow {
            operation: OperationRow {
                op: record.op.as_str().to_owned(),
                opcode: opcode_name(record.op).to_owned(),
                txid: record.txid,
                vtxindex: record.vtxindex,
                sender: encode_hex(&record.sender),
                sender_pubkey: record.sender_pubkey.as_deref().map(encode_hex),
                address: address(record.address()),
                block_number: record.block_number,
                op_fee: match record.op_fee {
                    Fee::Satoshi(satoshi) => satoshi.into(),
                    // A price is finite.
                    Fee::Float(fee) => Number::from_f64(fee).unwrap_or_else(|| 0.into()),
                },
                token_fee: record.token_fee.to_string(),
            },
            consensus_hash: record.consensus_hash,
            first_registered: record.first_registered,
            importer: record.importer.as_deref().map(encode_hex),
            importer_address: address(record.importer_address),
            last_creation_op: if record.is_imported() { ";" } else { ":" }.to_owned(),
            last_renewed: record.last_renewed,
            name_hash128: record.name.hash128().to_string(),
            namespace_block_number: record.namespace_block_number,
            namespace_id: namespace_id.map_or_else(String::new, |id| id.to_string()),
            preorder_block_number: record.preorder_block_number,
            preorder_hash: record.preorder_hash,
            revoked: record.revoked,
            value_hash: record.value_hash,
            name: record.name.clone(),
        };
        RecordAt {
            height: entry.height,
            record: Record::Name(Box::new(row)),
        }
    }

    fn row_of_namespace(&self, entry: &HistoryEntry<NamespaceRecord>) -> RecordAt {
        let (record, versions) = (&entry.record, self.from.params.addresses);
        let (op, opcode) = match record.op {
            NamespaceOp::Reveal => ("&", "NAMESPACE_REVEAL"),
            NamespaceOp::Ready => ("!", "NAMESPACE_READY"),
        };
        let row = NamespaceRow {
            namespace_id: record.namespace_id.to_string(),
            operation: OperationRow {
                op: op.to_owned(),
                opcode: opcode.to_owned(),
                txid: record.txid,
                vtxindex: record.vtxindex,
                sender: encode_hex(&record.sender),
                sender_pubkey: record.sender_pubkey.as_deref().map(encode_hex),
                address: Some(record.address.encode(versions)),
                block_number: record.block_number,
                op_fee: record.op_fee.into(),
                token_fee: record.token_fee.to_string(),
            },
            base: record.price.base,
            buckets: record.price.buckets,
            coeff: record.price.coeff,
            lifetime: record.lifetime,
            no_vowel_discount: record.price.no_vowel_discount,
            nonalpha_discount: record.price.nonalpha_discount,
            preorder_hash: record.preorder_hash,
            ready: record.op == NamespaceOp::Ready,
            ready_block: record.ready_block,
            recipient: encode_hex(&record.recipient),
            recipient_address: record.recipient_address.encode(versions),
            reveal_block: record.reveal_block,
            version: record.version,
        };
        RecordAt {
            height: entry.height,
            record: Record::Namespace(Box::new(row)),
        }
    }
}

/// The row of a preorder, which the database drops once it is consumed: read again from its transaction.
fn commitment(params: &Params, height: u32, stored: &StoredOperation) -> Option<CommitmentRow> {
    let operation = Operation::parse(params, height, &stored.candidate)?.ok()?;
    let opcode = operation.opcode_name();
    let (op, hashes, burn, tokens) = match operation.action {
        Action::NamePreorder(preorder) => {
            let payload = preorder.payload;
            let hashes = (payload.preorder_hash, payload.consensus_hash);
            let tokens = payload.tokens.map_or(0, |tokens| tokens.amount);
            ("?", hashes, preorder.burn, tokens)
        }
        Action::NamespacePreorder(preorder) => {
            let payload = preorder.payload;
            let hashes = (payload.preorder_hash, payload.consensus_hash);
            ("*", hashes, preorder.burn, payload.tokens.unwrap_or(0))
        }
        _ => return None,
    };
    let origin = &operation.origin;
    Some(CommitmentRow {
        operation: OperationRow {
            op: op.to_owned(),
            opcode: opcode.to_owned(),
            txid: origin.txid,
            vtxindex: origin.vtxindex,
            sender: encode_hex(&origin.sender),
            sender_pubkey: origin.sender_pubkey().as_deref().map(encode_hex),
            address: Some(origin.address.encode(params.addresses)),
            block_number: height,
            op_fee: burn.op_fee.into(),
            token_fee: tokens.to_string(),
        },
        burn_address: burn.burn_address.encode(params.addresses),
        consensus_hash: hashes.1,
        preorder_hash: hashes.0,
    })
}
