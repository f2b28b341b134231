//! What there is to know about a name or namespace, and lists of them. Addresses are base58 of the followed network.

use bitcoin::{ScriptBuf, Txid};
use serde::{Deserialize, Serialize};

use super::date::DatedTerm;
use super::price::Price;
use super::state::{NameState, NamespaceState};
use super::view::{Names, NamesError};
use crate::bns::address::Address;
use crate::bns::last_state::{self, c32};
use crate::bns::life;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::PriceFunction;
use crate::bns::record::{NameOp, NameRecord, NamespaceRecord};
use crate::bns::view::View as _;
use crate::hash::ZonefileHash;
use crate::store::{HistoryEntry, StoreError};

/// A lifetime on the chain that never ends (wf §6).
const FOR_EVER: u32 = u32::MAX;

/// A name in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedName {
    /// The name.
    pub name: Name,
    /// How it stands.
    pub state: NameState,
    /// Address of the owner.
    pub owner: Option<String>,
    /// Hash of the zone file.
    pub zonefile_hash: Option<ZonefileHash>,
    /// The end of this life.
    #[serde(flatten)]
    pub term: DatedTerm,
}

/// Names in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameList {
    /// As many as were asked for, or fewer.
    pub names: Vec<ListedName>,
    /// The name behind which the list goes on; `null` at its end.
    pub next: Option<Name>,
}

/// Which names are listed.
pub struct Wanted {
    /// Only those of these addresses; all if empty.
    pub owners: Vec<Address>,
    /// Only those whose term ends within so many blocks, or has ended.
    pub expiring_within: Option<u32>,
    /// Those behind this name.
    pub after: Option<Name>,
}

/// What the chain says about a name. Everything is `null` for one that was never registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registration {
    /// Height of the last operation on the name.
    pub height: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub time: Option<String>,
    /// Its place in the block.
    pub vtxindex: Option<u32>,
    /// Its transaction.
    #[schema(value_type = Option<String>)]
    pub txid: Option<Txid>,
    /// What it was in the reference's words: `NAME_UPDATE`.
    pub operation: Option<String>,
    /// Address of the owner, also of a name that is free again.
    pub owner: Option<String>,
    /// Address of the owner on the later chain to which the names moved, where they come from its export.
    #[serde(default)]
    pub later_owner: Option<String>,
    /// Hash of the zone file.
    #[schema(value_type = Option<String>)]
    pub zonefile_hash: Option<ZonefileHash>,
    /// Height at which this life of the name began.
    pub first_registered: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub first_registered_time: Option<String>,
    /// Height of the last registration or renewal.
    pub last_renewed: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub last_renewed_time: Option<String>,
    /// The end of this life.
    #[serde(flatten)]
    pub term: DatedTerm,
    /// All operations that are known, oldest first.
    pub history: Vec<NameEvent>,
}

/// What an operation made of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NameEvent {
    /// Its height.
    pub height: u32,
    /// Time of its block (RFC 3339).
    #[serde(default)]
    pub time: Option<String>,
    /// Its place in the block.
    pub vtxindex: u32,
    /// Its transaction.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// What it was, in the reference's words.
    pub operation: String,
    /// Address of the owner after it.
    pub owner: Option<String>,
    /// The zone file hash after it.
    #[schema(value_type = Option<String>)]
    pub zonefile_hash: Option<ZonefileHash>,
}

/// What its owner, or somebody who wants it, has to know of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameDetails {
    /// The name.
    pub name: Name,
    /// How it stands.
    pub state: NameState,
    /// Script of the owner.
    pub owner_script: Option<ScriptBuf>,
    /// Whether the archive has its zone file.
    pub zonefile_present: bool,
    /// Whether it was imported.
    pub imported: bool,
    /// What a registration or renewal costs in the next block; `null` if its namespace was never revealed.
    pub price: Option<Price>,
    /// What the chain says.
    #[serde(flatten)]
    pub registration: Registration,
    /// What it rests on where the blocks of a chain are not all read, in one sentence.
    #[serde(default)]
    pub rests_on: Option<String>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceDetails {
    /// The id.
    pub id: NamespaceId,
    /// How it stands.
    pub state: NamespaceState,
    /// What it costs in the next block.
    pub price: Price,
    /// 1: fees are burnt; 2: paid to the creator for a while; 3: paid in tokens.
    pub version: Option<u16>,
    /// Blocks that a name lives, before the epoch's multiplier; 4294967295 for ever.
    pub lifetime: Option<u32>,
    /// Blocks that a name lives by the rules of the epoch in force; `null` for ever, or before the reveal.
    #[serde(default)]
    pub lifetime_in_force: Option<u64>,
    /// Blocks after that in which the owner can still renew it, by the same rules.
    #[serde(default)]
    pub grace_period: Option<u32>,
    /// Its price function.
    pub prices: Option<PriceFunction>,
    /// Who paid for it.
    pub payer: Option<String>,
    /// Who imports names and opens it.
    pub revealer: Option<String>,
    /// Height of the reveal.
    pub reveal_block: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub reveal_time: Option<String>,
    /// Height of the opening.
    pub ready_block: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub ready_time: Option<String>,
    /// First height at which a reveal that was not followed by the opening has lapsed.
    pub lapses_at: Option<u32>,
    /// The date at which that block is expected (RFC 3339), or its own time.
    #[serde(default)]
    pub lapses_at_estimated: Option<String>,
}

impl Names {
    /// What the chain says about a name.
    pub fn registration(&self, name: &Name) -> Result<Registration, StoreError> {
        let Some(entry) = self.entry(name)? else {
            return Ok(Registration::default());
        };
        if last_state::is_exported(&entry.record.txid) {
            return Ok(self.exported(&entry.record));
        }
        let history = self.snapshot.name_history(name)?;
        let term = self.state(&entry.record.name, entry.record.life())?.1;
        let (first_registered, last_renewed) =
            (entry.record.first_registered, entry.record.last_renewed);
        let last = self.event(&entry)?;
        Ok(Registration {
            height: Some(last.height),
            time: last.time,
            vtxindex: Some(last.vtxindex),
            txid: Some(last.txid),
            operation: Some(last.operation),
            owner: last.owner,
            later_owner: None,
            zonefile_hash: last.zonefile_hash,
            first_registered: Some(first_registered),
            first_registered_time: self.time(first_registered)?,
            last_renewed: Some(last_renewed),
            last_renewed_time: self.time(last_renewed)?,
            term: self.dated(term)?,
            history: history
                .iter()
                .map(|entry| self.event(entry))
                .collect::<Result<_, _>>()?,
        })
    }

    /// What an export says about a name.
    fn exported(&self, record: &NameRecord) -> Registration {
        let address = record.address();
        Registration {
            owner: self.owner(record),
            later_owner: address.map(|address| c32::encode(&address)),
            zonefile_hash: record.value_hash,
            ..Registration::default()
        }
    }

    /// All about a name; `None` if it can belong to no namespace.
    pub fn name_details(&self, name: &Name) -> Result<Option<NameDetails>, NamesError> {
        let Some(id) = name.namespace_id() else {
            return Ok(None);
        };
        let namespace = self.namespace_entry(&id)?;
        let record = self.entry(name)?.map(|entry| entry.record);
        let state = record
            .as_ref()
            .map(|record| self.state(&record.name, record.life()));
        let hash = record.as_ref().and_then(|record| record.value_hash);
        let present = hash.map(|hash| self.from.zones.has(&hash)).transpose()?;
        Ok(Some(NameDetails {
            name: name.clone(),
            state: state.transpose()?.unwrap_or_default().0,
            imported: record.as_ref().is_some_and(NameRecord::is_imported),
            owner_script: record.map(|record| ScriptBuf::from_bytes(record.sender)),
            zonefile_present: present.unwrap_or(false),
            price: namespace.map(|namespace| self.name_price(name, &namespace.record)),
            registration: self.registration(name)?,
            rests_on: None,
        }))
    }

    /// At most `limit` of the wanted names; those that are free are left out.
    pub fn list(&self, wanted: &Wanted, limit: usize) -> Result<NameList, StoreError> {
        let records = self.records(wanted, limit)?;
        let last = records.last().filter(|_| records.len() == limit);
        let next = last.map(|record| record.name.clone());
        let until = wanted
            .expiring_within
            .map(|blocks| self.next().saturating_add(blocks));
        let mut names = Vec::new();
        for record in &records {
            let (state, term) = self.state(&record.name, record.life())?;
            let is_due = until.is_none_or(|until| term.due().is_some_and(|due| due <= until));
            if state != NameState::Free && is_due {
                names.push(ListedName {
                    name: record.name.clone(),
                    state,
                    owner: self.owner(record),
                    zonefile_hash: record.value_hash,
                    term: self.dated(term)?,
                });
            }
        }
        Ok(NameList { names, next })
    }

    /// The next records of all names, or of the names that some addresses have.
    fn records(&self, wanted: &Wanted, limit: usize) -> Result<Vec<NameRecord>, StoreError> {
        let after = wanted.after.as_ref();
        if wanted.owners.is_empty() {
            return self.snapshot.names(after, limit);
        }
        let mut names = Vec::new();
        for owner in &wanted.owners {
            names.extend(self.snapshot.names_of_sender(&owner.script())?);
        }
        names.retain(|name| after.is_none_or(|after| name > after));
        names.sort_unstable();
        names.dedup();
        let names = names.iter().take(limit);
        let records = names.map(|name| self.snapshot.name(name));
        records.filter_map(Result::transpose).collect()
    }

    /// Every namespace that was ever revealed, in ascending order.
    pub fn namespaces(&self) -> Result<Vec<NamespaceDetails>, StoreError> {
        let rows = self.snapshot.namespaces()?;
        let details = |row: &NamespaceRecord| self.details(row.namespace_id.clone(), Some(row));
        rows.iter().map(details).collect()
    }

    /// All about a namespace.
    pub fn namespace_details(&self, id: NamespaceId) -> Result<NamespaceDetails, StoreError> {
        let row = self.namespace_entry(&id)?;
        self.details(id, row.as_ref().map(|entry| &entry.record))
    }

    fn details(
        &self,
        id: NamespaceId,
        row: Option<&NamespaceRecord>,
    ) -> Result<NamespaceDetails, StoreError> {
        let (params, height) = (&self.from.params, self.next().saturating_sub(1));
        let epoch = params.epoch(self.next());
        let state = row.map(|row| NamespaceState::of(params, row, height));
        let ready = row.filter(|_| state == Some(NamespaceState::Ready));
        let unready = row.filter(|_| ready.is_none());
        let lapse = |row: &NamespaceRecord| {
            row.reveal_block
                .saturating_add(params.namespace_reveal_expire)
        };
        // An export has no heights.
        let dated = row.filter(|row| !last_state::is_exported(&row.txid));
        let (reveal_block, lapses_at) = (dated.map(|row| row.reveal_block), unready.map(lapse));
        let ready_block = ready.and(dated).map(|row| row.ready_block);
        let time = |height: Option<u32>| height.map_or(Ok(None), |height| self.time(height));
        let ends = row.filter(|row| row.lifetime != FOR_EVER);
        Ok(NamespaceDetails {
            price: self.namespace_price(&id),
            id,
            state: state.unwrap_or_default(),
            version: row.map(|row| row.version),
            lifetime: row.map(|row| row.lifetime),
            lifetime_in_force: ends.map(|row| life::lifetime(row, epoch)),
            grace_period: ends.map(|_| epoch.namespace_lifetime_grace_period),
            prices: row.map(|row| row.price),
            payer: row.map(|row| row.address.encode(params.addresses)),
            revealer: row.map(|row| row.recipient_address.encode(params.addresses)),
            reveal_block,
            reveal_time: time(reveal_block)?,
            ready_block,
            ready_time: time(ready_block)?,
            lapses_at,
            lapses_at_estimated: self.date(lapses_at)?,
        })
    }

    fn event(&self, entry: &HistoryEntry<NameRecord>) -> Result<NameEvent, StoreError> {
        Ok(NameEvent {
            height: entry.height,
            time: self.time(entry.height)?,
            vtxindex: entry.vtxindex,
            txid: entry.record.txid,
            operation: opcode_name(entry.record.op).to_owned(),
            owner: self.owner(&entry.record),
            zonefile_hash: entry.record.value_hash,
        })
    }

    fn owner(&self, record: &NameRecord) -> Option<String> {
        let address = record.address()?;
        Some(address.encode(self.from.params.addresses))
    }
}

/// The reference's name of an operation.
pub(super) fn opcode_name(op: NameOp) -> &'static str {
    match op {
        NameOp::Register => "NAME_REGISTRATION",
        NameOp::Renew => "NAME_RENEWAL",
        NameOp::Update => "NAME_UPDATE",
        NameOp::TransferKeep | NameOp::TransferDrop => "NAME_TRANSFER",
        NameOp::Revoke => "NAME_REVOKE",
        NameOp::Import => "NAME_IMPORT",
    }
}
