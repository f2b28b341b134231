//! Announced zone files in bulk: what there is, taking many out and putting many in.

use bitcoin::Txid;
use serde::{Deserialize, Serialize};

use super::name_store::NameStore;
use super::view::NamesError;
use crate::bns::Name;
use crate::hash::ZonefileHash;
use crate::store::{Lookup, Tried, WantedZonefile};
use crate::zonefile::ZONEFILE_MAX;

/// An announced zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedZonefile {
    /// Its number among all announcements, from 1; the same for every node.
    pub index: u32,
    /// The name that announced it.
    pub name: Name,
    /// Its hash.
    pub hash: ZonefileHash,
    /// The transaction.
    pub txid: Txid,
    /// Height of the transaction.
    pub height: u32,
    /// Whether the archive has it.
    pub present: bool,
}

/// What became of a zone file that somebody brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Imported {
    /// It was stored.
    Stored,
    /// The archive had it.
    Known,
    /// The chain has not announced it.
    Unannounced,
    /// It is empty, or larger than a zone file may be.
    Unusable,
}

/// A zone file that a name asks for and the archive lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingZonefile {
    /// The name.
    pub name: Name,
    /// Its hash.
    pub hash: ZonefileHash,
    /// Since when, seconds since 1970: the time of the block that announced it first.
    pub since: Option<u64>,
    /// Whether it is fetched from others: not if all names that announced it are in namespaces that were not chosen.
    pub chosen: bool,
    /// What was done to get it; `null` if nobody was asked yet.
    pub tried: Option<TriedZonefile>,
}

/// What was done to get a zone file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedZonefile {
    /// The first time, seconds since 1970.
    pub first: u64,
    /// The last time, seconds since 1970.
    pub last: u64,
    /// How often somebody was asked.
    pub times: u32,
    /// Who was asked last: a peer or a backup.
    pub by: String,
}

impl From<Tried> for TriedZonefile {
    fn from(tried: Tried) -> Self {
        Self {
            first: tried.since,
            last: tried.last,
            times: tried.times,
            by: tried.by,
        }
    }
}

impl NameStore {
    /// At most `limit` announced zone files in the order of their indexes, from one on. Looks at a file for each.
    pub fn announced(&self, from: u32, limit: usize) -> Result<Vec<AnnouncedZonefile>, NamesError> {
        let rows = self.store.snapshot().announced_from(from, limit)?;
        let row = |row: crate::store::Announcement| {
            Ok(AnnouncedZonefile {
                index: row.inventory_index,
                name: row.name,
                present: self.archive.contains(&row.hash)?,
                hash: row.hash,
                txid: row.txid,
                height: row.height,
            })
        };
        rows.into_iter().map(row).collect()
    }

    /// The zone files with these hashes that are there.
    pub fn present(&self, hashes: &[ZonefileHash]) -> Result<Vec<Vec<u8>>, NamesError> {
        let mut files = Vec::new();
        for hash in hashes {
            if let Lookup::Found(bytes) = self.archive.get(hash)? {
                files.push(bytes);
            }
        }
        Ok(files)
    }

    /// Stores those of some files whose hashes the chain has announced, together; says what became of each, in order.
    pub fn import(&self, files: &[Vec<u8>]) -> Result<Vec<Imported>, NamesError> {
        let snapshot = self.store.snapshot();
        let (mut fates, mut new) = (Vec::with_capacity(files.len()), Vec::new());
        for bytes in files {
            let hash = ZonefileHash::of(bytes);
            fates.push(if !(1..=ZONEFILE_MAX).contains(&bytes.len()) {
                Imported::Unusable
            } else if !snapshot.is_announced(&hash)? {
                Imported::Unannounced
            } else if self.archive.contains(&hash)? {
                Imported::Known
            } else {
                new.push(bytes);
                Imported::Stored
            });
        }
        self.archive.put_many(&new)?;
        Ok(fates)
    }

    /// At most `limit` of the zone files that are missing, by name, and what was done to get them.
    pub fn missing(&self, limit: usize) -> Result<Vec<MissingZonefile>, NamesError> {
        let missing = self.zonefiles(limit)?.missing;
        missing
            .into_iter()
            .map(|row| self.missing_zonefile(row))
            .collect()
    }

    fn missing_zonefile(&self, row: WantedZonefile) -> Result<MissingZonefile, NamesError> {
        let snapshot = self.store.snapshot();
        let announcements = snapshot.announcements(&row.hash)?;
        let first = announcements.iter().find(|it| it.name == row.name);
        let block = first
            .map(|first| snapshot.block(first.height))
            .transpose()?;
        let tried = match &self.offchain {
            Some(offchain) => offchain.tried(&row.hash)?,
            None => None,
        };
        Ok(MissingZonefile {
            chosen: snapshot.is_announced_in(&row.hash, &self.chosen)?,
            name: row.name,
            hash: row.hash,
            since: block
                .flatten()
                .map(|block| block.time.into())
                .filter(|since| *since > 0),
            tried: tried.map(TriedZonefile::from),
        })
    }
}
