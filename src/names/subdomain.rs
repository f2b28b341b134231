//! Subdomains at one height: which are accepted, and why the others are not.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use bitcoin::Txid;

use super::provenance::ZonefileSource;
use super::view::{Names, NamesError};
use crate::bns::name::Name;
use crate::bns::subdomain::{self, Did, History, Placed, Subdomain, Verdict};
use crate::hash::ZonefileHash;
use crate::resolver::{AcceptedSubdomain, ZoneStatus};
use crate::store::{StoreError, Subdomains};

/// Most records that are shown of a subdomain, the last ones, and most rows that are missing, the first ones.
const SHOWN_MAX: usize = 100;

/// What stands in every record of a subdomain and hardly anywhere else.
const MARK: &[u8] = b"seqn=";

/// What is known of a subdomain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubdomainDetails {
    /// Which one.
    #[schema(value_type = String)]
    pub name: Subdomain,
    /// The name whose zone file holds the last accepted record; `null` if none is accepted, as all that follows.
    #[schema(value_type = Option<String>)]
    pub carrier: Option<Name>,
    /// Address of its owner.
    pub owner: Option<String>,
    /// Sequence number of the last accepted record.
    pub sequence: Option<u64>,
    /// Its decentralised identifier.
    pub did: Option<String>,
    /// Hash of its zone file.
    #[schema(value_type = Option<String>)]
    pub zonefile_hash: Option<ZonefileHash>,
    /// Where its zone file is.
    pub zonefile_source: Option<ZonefileSource>,
    /// Whether zone files of its name are missing, so that more may be known later.
    pub pending: bool,
    /// The inventory indexes of those, at most the first 100.
    pub missing: Vec<u32>,
    /// How many records there are.
    pub record_count: usize,
    /// The last ones by sequence and inventory index, at most 100.
    pub records: Vec<SubdomainRecord>,
}

/// A record of a subdomain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubdomainRecord {
    /// Inventory index of the zone file that holds it.
    pub inventory_index: u32,
    /// Height of the announcement.
    pub height: u32,
    /// Transaction of the announcement.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// The name whose zone file holds it.
    #[schema(value_type = String)]
    pub carrier: Name,
    /// Its sequence number.
    pub sequence: u64,
    /// Address of the owner from then on.
    pub owner: String,
    /// Hash of the zone file from then on.
    #[schema(value_type = String)]
    pub zonefile_hash: ZonefileHash,
    /// Why it is not accepted; `null` if it is.
    pub refused: Option<String>,
}

impl Names {
    /// What was made of a subdomain up to this height.
    pub(super) fn accepted(
        &self,
        subdomain: &Subdomain,
    ) -> Result<Option<AcceptedSubdomain>, StoreError> {
        let history = self.history_of(subdomain)?;
        let accepted: Vec<&Placed> = history.accepted(self.height_or_zero()).collect();
        let changed = accepted.iter().map(|record| record.height).max();
        Ok(accepted.last().map(|last| AcceptedSubdomain {
            last_change_height: changed.unwrap_or(last.height),
            zonefile_hash: zonefile_of(last),
            subdomain: subdomain.clone(),
        }))
    }

    /// What is known of a subdomain; `None` if no zone file that is here holds a record of it.
    pub fn subdomain_details(
        &self,
        subdomain: &Subdomain,
    ) -> Result<Option<SubdomainDetails>, NamesError> {
        let Some(subdomains) = &self.from.subdomains else {
            return Ok(None);
        };
        let history = self.history_of(subdomain)?;
        let upto = self.height_or_zero();
        let decisions = history.decisions(upto);
        let mut records: Vec<_> = decisions
            .map(|(record, verdict)| self.shown(record, verdict))
            .collect();
        if records.is_empty() {
            return Ok(None);
        }
        let missing = self.missing_of(subdomain.name())?;
        let record_count = records.len();
        let mut details = SubdomainDetails {
            name: subdomain.clone(),
            carrier: None,
            owner: None,
            sequence: None,
            did: None,
            zonefile_hash: None,
            zonefile_source: None,
            pending: !missing.is_empty(),
            missing,
            record_count,
            records: records.split_off(record_count.saturating_sub(SHOWN_MAX)),
        };
        let accepted: Vec<&Placed> = history.accepted(upto).collect();
        if let [first, ..] = accepted[..]
            && let [.., last] = accepted[..]
        {
            let index = subdomains.created_before(&first.owner, first.row, first.offset)?;
            let creator = first.owner;
            details.did = Some(Did { creator, index }.text(self.from.params.addresses));
            self.describe(last, &mut details)?;
        }
        Ok(Some(details))
    }

    /// The inventory indexes of the zone files of a name that are missing and not declared lost, at most the first 100.
    pub fn missing_of(&self, name: &Name) -> Result<Vec<u32>, NamesError> {
        let Some(subdomains) = &self.from.subdomains else {
            return Ok(Vec::new());
        };
        let mut missing = subdomains.missing_of(name)?;
        missing.truncate(SHOWN_MAX);
        Ok(missing)
    }

    /// Adds what the last accepted record says.
    fn describe(&self, last: &Placed, details: &mut SubdomainDetails) -> Result<(), NamesError> {
        let hash = zonefile_of(last);
        let source = hash.map(|hash| self.source_of(&details.name, &hash));
        details.carrier = Some(last.carrier.clone());
        details.owner = Some(last.owner.encode(self.from.params.addresses));
        details.sequence = Some(last.sequence);
        details.zonefile_hash = hash;
        details.zonefile_source = source.transpose()?;
        Ok(())
    }

    /// Whether every announced zone file that is here was looked at since the index of subdomains was opened or made anew;
    /// the files of new blocks come a little later. What was read of subdomains before this was asked is true only then.
    pub fn subdomains_are_read(&self) -> Result<bool, NamesError> {
        let is_caught_up = |subdomains: &Arc<Subdomains>| subdomains.is_caught_up();
        Ok(self.from.subdomains.as_ref().is_none_or(is_caught_up)
            || self.subdomains_are_current()?)
    }

    /// The labels of the subdomains of a name that have an owner of their own, of whatever zone file; `None`
    /// while they are not known.
    pub(super) fn labels_below(
        &self,
        name: &Name,
    ) -> Result<Option<Arc<BTreeSet<String>>>, NamesError> {
        let labels = match &self.from.subdomains {
            Some(subdomains) if subdomains.are_below(name) => subdomains.created_below(name)?,
            _ => Arc::default(),
        };
        Ok(self.subdomains_are_read()?.then_some(labels))
    }

    /// Whether every zone file was looked at that is announced up to the tip: their records are read a little later.
    pub fn subdomains_are_current(&self) -> Result<bool, NamesError> {
        let count = self.snapshot.counts()?.announcements;
        let newest = self.snapshot.announcement(count as u32)?; // numbered from 1, without gaps
        let first = self.from.params.first_subdomain_block;
        let (Some(newest), Some(subdomains)) = (newest, &self.from.subdomains) else {
            return Ok(count == 0);
        };
        let read = subdomains.last_row()?.map(|read| read.announcement);
        Ok(newest.height < first || read == Some(newest))
    }

    /// What in the zone file of a name looks like a record of a subdomain and is none, one sentence each; why the whole file
    /// carries none, if something in it looks like one.
    pub(super) fn refused_records(
        &self,
        name: &Name,
        hash: &ZonefileHash,
    ) -> Result<Vec<String>, NamesError> {
        let Ok(bytes) = self.from.zones.read_bytes(hash)? else {
            return Ok(Vec::new());
        };
        let is_meant = bytes.windows(MARK.len()).any(|window| window == MARK);
        Ok(
            match subdomain::read(name, &bytes, self.from.params.addresses) {
                Ok(carried) => carried.refused.iter().map(ToString::to_string).collect(),
                Err(reason) if is_meant => {
                    vec![format!("the zone file carries no subdomains: {reason}")]
                }
                Err(_) => Vec::new(),
            },
        )
    }

    /// Its records, without those of rows that are not on this chain: they are read a little later than the chain.
    fn history_of(&self, subdomain: &Subdomain) -> Result<History, StoreError> {
        let Some(subdomains) = &self.from.subdomains else {
            return Ok(History::new(subdomain.clone(), Vec::new()));
        };
        let mut history = subdomains.history(subdomain)?;
        // Records that are refused either way do no harm.
        while let Some(row) = self.stale_row(&history)? {
            history.forget(row);
        }
        Ok(history)
    }

    /// A row with an accepted record that is not on this chain.
    fn stale_row(&self, history: &History) -> Result<Option<u32>, StoreError> {
        for record in history.accepted(self.height_or_zero()) {
            let announced = self.snapshot.announcement(record.row)?;
            let place = announced.map(|row| (row.height, row.txid, row.name));
            if place != Some((record.height, record.txid, record.carrier.clone())) {
                return Ok(Some(record.row));
            }
        }
        Ok(None)
    }

    fn shown(&self, record: &Placed, verdict: Verdict) -> SubdomainRecord {
        SubdomainRecord {
            inventory_index: record.row,
            height: record.height,
            txid: record.txid,
            carrier: record.carrier.clone(),
            sequence: record.sequence,
            owner: record.owner.encode(self.from.params.addresses),
            zonefile_hash: record.zonefile,
            refused: match verdict {
                Verdict::Accepted => None,
                Verdict::Refused(refusal) => Some(refusal.to_string()),
            },
        }
    }

    fn source_of(
        &self,
        subdomain: &Subdomain,
        hash: &ZonefileHash,
    ) -> Result<ZonefileSource, NamesError> {
        Ok(
            match self
                .from
                .zones
                .read(&subdomain.to_string(), hash, self.now)?
            {
                ZoneStatus::Missing(_) => ZonefileSource::Missing,
                ZoneStatus::Tampered(_) => ZonefileSource::Tampered,
                ZoneStatus::Loaded(_) | ZoneStatus::Unreadable(..) => ZonefileSource::Archive,
            },
        )
    }

    fn height_or_zero(&self) -> u32 {
        self.at.unwrap_or(0)
    }
}

/// The zone file of a record; an empty one is none.
fn zonefile_of(record: &Placed) -> Option<ZonefileHash> {
    Some(record.zonefile).filter(|hash| *hash != ZonefileHash::of(b""))
}
