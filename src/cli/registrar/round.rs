//! One round of the registrar: what was under way is brought to its end, or what waits becomes the next zone file.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bitcoin::Txid;
use serde::Serialize;

use super::pauses::Pauses;
use super::sift::{Found, sift};
use crate::api::subdomain::SubdomainReply;
use crate::bns::Name;
use crate::bns::subdomain::{Packing, Record};
use crate::cli::count::count;
use crate::cli::own::state_of;
use crate::cli::subdomain::{Known, announced_base, ask, records_of};
use crate::cli::{CliError, Context, Result};
use crate::hash::ZonefileHash;
use crate::wallet::spool::{Place, Slip, Spool};
use crate::wallet::task::wallet::Means;
use crate::wallet::task::{Outcome, Wallet, Wish};
use crate::wallet::words;

/// How long the daemon may take to read a zone file that is announced.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long is waited before something is looked at again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// There is nothing left to do in it.
    Through,
    /// A signal came.
    Interrupted,
}

/// All that a round works with.
pub struct Round<'r> {
    /// Says where the daemon is, and how things are printed.
    pub context: &'r Context,
    /// Signs and pays.
    pub wallet: Wallet<'r>,
    /// The name that carries the records.
    pub carrier: Name,
    /// Where the records are.
    pub spool: Spool,
    /// How updates are paid for.
    pub means: Means,
}

/// A zone file in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced {
    height: u32,
    txid: Txid,
    /// What was paid for it, in satoshi; `None` if an earlier run paid.
    satoshi: Option<i64>,
}

/// What is said of an update.
#[derive(Debug, Serialize)]
struct Update<'u> {
    name: &'u Name,
    height: u32,
    txid: Txid,
    satoshi: Option<i64>,
    zonefile_hash: ZonefileHash,
    /// Files whose records are in force.
    accepted: usize,
    /// Files of which a record is refused.
    refused: usize,
}

/// What is said of a file that no update is made for.
#[derive(Debug, Serialize)]
struct Said<'s> {
    file: String,
    /// Why it is refused; `null` if its records are in force already.
    refused: Option<&'s str>,
}

/// What becomes of a file.
enum Fate {
    Done,
    Refused(String),
    /// The daemon has not read its records yet.
    Unread,
}

impl Round<'_> {
    /// Makes a round.
    pub fn run(&self, pauses: &mut Pauses) -> Result<Went> {
        self.wallet.synced_chain()?; // what is accepted is known up to here
        if let Some(zonefile) = self.spool.zonefile()? {
            let hash = ZonefileHash::of(&zonefile);
            let task = self.wallet.journal.load(self.carrier.as_str())?;
            let is_noted = |value: &String| *value == hash.to_string();
            if task.is_some_and(|task| task.terms.values().any(is_noted)) {
                return self.publish(zonefile, pauses);
            }
            if let Some(announced) = self.announced(hash)? {
                return self.settle(hash, announced, pauses);
            }
        }
        // Nothing of it was signed.
        self.spool.give_back()?;
        match self.gather()? {
            Some(zonefile) => self.publish(zonefile, pauses),
            None => Ok(Went::Through),
        }
    }

    /// The block that announced a zone file of the carrier.
    fn announced(&self, hash: ZonefileHash) -> Result<Option<Announced>> {
        let details = state_of(self.context, &self.carrier)?;
        let mut events = details.registration.history.iter(); // a renewal repeats it
        let event = events.find(|event| event.zonefile_hash == Some(hash));
        Ok(event.map(|event| Announced {
            height: event.height,
            txid: event.txid,
            satoshi: None,
        }))
    }

    // ---- a new zone file ------------------------------------------------------------------------------------

    /// The next zone file, with as many of the files that wait as it has room for; those that are of no use are put aside.
    fn gather(&self) -> Result<Option<Vec<u8>>> {
        let slips = self.spool.slips(Place::Waiting)?;
        if slips.is_empty() {
            return Ok(None);
        }
        let versions = self.wallet.versions;
        let base = announced_base(self.context, &self.carrier, versions)?;
        let mut packing = Packing::new(&base, versions);
        let mut taken = Vec::new();
        let mut left = HashSet::new();
        for (name, records) in self.sifted(slips)? {
            // A record goes into no earlier zone file than the one that it follows.
            let is_behind = records.iter().any(|it| left.contains(&it.subdomain));
            if !is_behind && packing.add(&records) {
                taken.push(name);
                continue;
            }
            left.extend(records.iter().map(|record| record.subdomain.clone()));
            if !Packing::new(&base, versions).add(&records) {
                let reason = "its records do not fit into one zone file, or two of them are of one subdomain: write them into files of their own";
                self.refuse(&name, reason)?;
            }
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let zonefile = packing.into_zonefile();
        self.spool.take(&taken, &zonefile)?;
        Ok(Some(zonefile))
    }

    /// The files whose records would be accepted one after the other. Those of which nothing is certain yet stay where they are,
    /// all others are put aside.
    fn sifted(&self, slips: Vec<Slip>) -> Result<Vec<Found>> {
        let versions = self.wallet.versions;
        let mut read = Vec::new();
        for Slip { name, bytes } in slips {
            match bytes.and_then(|bytes| records_of(&self.carrier, &bytes, versions)) {
                Ok(records) => read.push((name, records)),
                Err(reason) => self.refuse(&name, &reason)?,
            }
        }
        let mut known = Known::default();
        let records = read.iter().flat_map(|(_, records)| records);
        let subdomains = records.map(|record| &record.subdomain);
        known.learn(self.context, subdomains, versions)?;
        let sifted = sift(read, &mut known, versions);
        for (name, refusal) in sifted.refused {
            self.refuse(&name, &refusal.to_string())?;
        }
        for name in sifted.known {
            self.spool.done(Place::Waiting, &name)?;
            self.say(&name, None)?;
        }
        for gap in sifted.gaps {
            tracing::warn!("records wait: {gap}");
        }
        Ok(sifted.wanted)
    }

    fn refuse(&self, name: &OsString, reason: &str) -> Result<()> {
        self.spool.refused(Place::Waiting, name, reason)?;
        self.say(name, Some(reason))
    }

    fn say(&self, name: &OsString, refused: Option<&str>) -> Result<()> {
        let file = name.to_string_lossy().into_owned();
        let text = match refused {
            Some(reason) => format!("{file} is refused: {reason}"),
            None => format!("{file} is in force already"),
        };
        self.context.output.tell(&Said { file, refused }, &text)
    }

    // ---- a zone file under way ------------------------------------------------------------------------------

    /// Announces a zone file, from where an earlier run stopped, and waits until its block is indexed.
    fn publish(&self, zonefile: Vec<u8>, pauses: &mut Pauses) -> Result<Went> {
        let hash = ZonefileHash::of(&zonefile);
        let wish = Wish::Update {
            name: self.carrier.clone(),
            zonefile: zonefile.into(),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            match self.wallet.carry_out(&wish, &self.means)? {
                Outcome::Accepted(accepted) => {
                    let announced = Announced {
                        height: accepted.height,
                        txid: accepted.txid,
                        satoshi: Some(accepted.paid.total()),
                    };
                    return self.settle(hash, announced, pauses);
                }
                Outcome::Sent(_) | Outcome::Noted => {}
                _ => return Err(CliError::Trouble(anyhow!("an update was not sent"))),
            }
            if pauses.interrupted_within(pause) {
                return Ok(Went::Interrupted);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until the daemon has read the zone file, and puts each file where it belongs.
    fn settle(
        &self,
        hash: ZonefileHash,
        announced: Announced,
        pauses: &mut Pauses,
    ) -> Result<Went> {
        let end = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let (mut accepted, mut refused) = (0, 0);
        loop {
            let mut unread = 0;
            for (name, fate) in self.fates(announced)? {
                match fate {
                    Fate::Done => {
                        self.spool.done(Place::Publishing, &name)?;
                        accepted += 1;
                    }
                    Fate::Refused(reason) => {
                        self.spool.refused(Place::Publishing, &name, &reason)?;
                        refused += 1;
                    }
                    Fate::Unread => unread += 1,
                }
            }
            if unread == 0 {
                break;
            }
            if Instant::now() > end {
                let carrier = &self.carrier;
                return Err(CliError::Trouble(anyhow!(
                    "the daemon has not read the zone file of {carrier} in block {}: see `bnsd explain {carrier}`",
                    announced.height
                )));
            }
            if pauses.interrupted_within(pause) {
                return Ok(Went::Interrupted);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.spool.finish()?;
        if accepted + refused == 0 {
            return Ok(Went::Through); // an earlier run has told it
        }
        self.report(&Update {
            name: &self.carrier,
            height: announced.height,
            txid: announced.txid,
            satoshi: announced.satoshi,
            zonefile_hash: hash,
            accepted,
            refused,
        })?;
        Ok(Went::Through)
    }

    /// What became of the files whose zone file is in a block.
    fn fates(&self, announced: Announced) -> Result<Vec<(OsString, Fate)>> {
        let versions = self.wallet.versions;
        let mut known = HashMap::new();
        let mut fates = Vec::new();
        for Slip { name, bytes } in self.spool.slips(Place::Publishing)? {
            let records = bytes.and_then(|bytes| records_of(&self.carrier, &bytes, versions));
            let records = match records {
                Ok(records) => records,
                Err(reason) => {
                    fates.push((name, Fate::Refused(reason)));
                    continue;
                }
            };
            let mut fate = Fate::Done;
            for record in &records {
                if !known.contains_key(&record.subdomain) {
                    let details = ask(self.context, &record.subdomain)?;
                    known.insert(record.subdomain.clone(), details);
                }
                let details = known.get(&record.subdomain);
                match details.map_or(Fate::Unread, |it| self.fate(it, record, announced)) {
                    Fate::Done => {}
                    other => {
                        fate = other;
                        break;
                    }
                }
            }
            fates.push((name, fate));
        }
        Ok(fates)
    }

    /// What became of a record.
    fn fate(&self, reply: &SubdomainReply, record: &Record, announced: Announced) -> Fate {
        let (sequence, owner) = (record.sequence, self.wallet.text(record.owner));
        let hash = ZonefileHash::of(&record.zonefile);
        let details = reply.subdomain.as_ref();
        let is_last = details.is_some_and(|last| {
            let zonefile = last.zonefile_hash.unwrap_or(ZonefileHash::of(&[]));
            last.sequence == Some(sequence)
                && last.owner.as_ref() == Some(&owner)
                && zonefile == hash
        });
        let records = details.map_or(&[][..], |details| &details.records);
        let mut same = records.iter().filter(|known| {
            known.sequence == sequence && known.owner == owner && known.zonefile_hash == hash
        });
        if is_last || same.clone().any(|known| known.refused.is_none()) {
            return Fate::Done;
        }
        let refused = same.find(|known| known.txid == announced.txid);
        match refused.and_then(|known| known.refused.clone()) {
            Some(reason) => Fate::Refused(reason),
            None if reply.current => Fate::Refused(format!(
                "the zone file in transaction {} does not carry it",
                announced.txid
            )),
            None => Fate::Unread,
        }
    }

    fn report(&self, update: &Update<'_>) -> Result<()> {
        let files = count(update.accepted as u64, "file");
        let refused = match update.refused {
            0 => String::new(),
            many => format!(", {} refused", count(many as u64, "file")),
        };
        let cost = update.satoshi.map_or_else(
            || "paid for by an earlier run".to_owned(),
            |satoshi| format!("for {}", words::gain(satoshi.into())),
        );
        let Update {
            name, height, txid, ..
        } = update;
        let text = format!(
            "{name}: {files} in force since block {height}{refused}; transaction {txid} {cost}"
        );
        self.context.output.tell(update, &text)
    }
}
