//! What takes a list of names and zone files onto the chain: every step that is still missing, a batch of names at a time.
//!
//! Each step is looked up in the state, so that what an earlier run left half done is gone on with.

use bitcoin::{Amount, Transaction, TxOut, Txid};

use super::{MARGIN, PRICES, Registrar, RegistrarError, in_memory, namespace_of};
use crate::bns::commitment;
use crate::bns::life;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::record::PreorderKind;
use crate::bns::view::View as _;
use crate::hash::{PreorderHash, ZonefileHash};
use crate::wallet::keys::SigningKey;
use crate::wallet::operation::Operation;

/// What an owner is given on top of the price: a renewal and a thousand operations. The chain creates 15,000 BTC, which
/// is enough for 300,000 owners.
const ALLOWANCE: Amount = Amount::from_sat(5_000_000);
/// Names whose preorders share a block. A block holds about a thousand operations (its limit of signature operations),
/// and a preorder must be followed by its registration within 144 blocks.
const BATCH: usize = 500;
/// Blocks that a name lives before the epoch's multiplier: a year.
pub const LIFETIME: u32 = 52_595;

/// A zone file that was not announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The name that it is for.
    pub name: Name,
    /// Why, as the rest of a sentence about the name.
    pub reason: String,
}

/// What a name needs next.
enum Next {
    /// Its zone file is announced.
    Nothing,
    Preorder,
    Register,
    Update,
    LeaveOut(&'static str),
}

/// A name and the hash of its zone file.
type Wanted = (Name, ZonefileHash);

impl Registrar {
    /// Makes the chain say what `zonefiles` say: namespaces are opened, new names preordered and registered,
    /// changed zone files announced. `time` is in seconds since 1970. What the rules refuse is left out and returned.
    pub fn publish(
        &mut self,
        zonefiles: &[(Name, ZonefileHash)],
        time: u32,
    ) -> Result<Vec<LeftOut>, RegistrarError> {
        let namespaces = self.closed_namespaces(zonefiles)?;
        for batch in namespaces.chunks(BATCH) {
            self.open_namespaces(batch, time)?;
        }
        let mut left_out = Vec::new();
        let mut done = 0;
        for batch in zonefiles.chunks(BATCH) {
            left_out.extend(self.publish_batch(batch, time)?);
            done += batch.len();
            (self.tell)(done);
        }
        Ok(left_out)
    }

    /// The namespaces of these names that are not open.
    fn closed_namespaces(&self, zonefiles: &[Wanted]) -> Result<Vec<NamespaceId>, RegistrarError> {
        let mut closed = Vec::new();
        for (name, _) in zonefiles {
            let id = namespace_of(name)?;
            let record = in_memory(self.state.namespace(&id));
            let is_open = record.as_ref().is_some_and(life::is_ready);
            if !is_open && !closed.contains(&id) {
                closed.push(id);
            }
        }
        Ok(closed)
    }

    /// Preorder, reveal and ready, a block each, from where an earlier run was stopped. The payer is the revealer too.
    fn open_namespaces(&mut self, ids: &[NamespaceId], time: u32) -> Result<(), RegistrarError> {
        let revealed = |registrar: &Self, id: &NamespaceId| {
            let record = in_memory(registrar.state.namespace(id));
            let params = registrar.bns.params();
            record.is_some_and(|row| life::is_revealed(params, &row, registrar.next_height()))
        };
        let hidden: Vec<NamespaceId> = ids
            .iter()
            .filter(|id| !revealed(self, id))
            .cloned()
            .collect();
        let unknown: Vec<NamespaceId> = hidden
            .iter()
            .filter(|id| !self.is_namespace_preordered(id))
            .cloned()
            .collect();
        self.fund_payers(&unknown, time)?;
        self.send_all(&unknown, time, |registrar, id| {
            let key = revealer(id);
            let revealer = (key.address(), registrar.bns.params().addresses);
            let (script, quoted) = (key.script(), registrar.consensus_hash());
            let burn = registrar.burn(registrar.namespace_price(id));
            let operation =
                Operation::namespace_preorder(id, &script, revealer, quoted, None, burn);
            Ok((operation, key))
        })?;
        self.send_all(&hidden, time, |_, id| {
            let key = revealer(id);
            let operation = Operation::namespace_reveal(id, key.address(), LIFETIME, PRICES, 1);
            Ok((operation, key))
        })?;
        self.send_all(ids, time, |_, id| {
            let key = revealer(id);
            Ok((Operation::namespace_ready(id, key.address()), key))
        })
    }

    fn fund_payers(&mut self, ids: &[NamespaceId], time: u32) -> Result<(), RegistrarError> {
        let purses = ids.iter().map(|id| TxOut {
            value: self.namespace_price(id) + MARGIN,
            script_pubkey: revealer(id).script(),
        });
        let purses: Vec<TxOut> = purses.collect();
        match purses.is_empty() {
            true => Ok(()),
            false => self.give(purses, time),
        }
    }

    /// Takes every step that the names of a batch still need.
    fn publish_batch(
        &mut self,
        batch: &[Wanted],
        time: u32,
    ) -> Result<Vec<LeftOut>, RegistrarError> {
        let mut left_out = Vec::new();
        let (mut new, mut preordered, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in batch {
            match self.next(wanted) {
                Next::Nothing => {}
                Next::Preorder => new.push(wanted.clone()),
                Next::Register => preordered.push(wanted.clone()),
                Next::Update => changed.push(wanted.clone()),
                Next::LeaveOut(reason) => left_out.push(LeftOut {
                    name: wanted.0.clone(),
                    reason: reason.to_owned(),
                }),
            }
        }
        self.fund_owners(&new, time)?;
        preordered.extend(self.send(new, time, &mut left_out, |registrar, (name, _)| {
            registrar.preordering(name)
        })?);
        self.send(preordered, time, &mut left_out, |_, (name, hash)| {
            let key = Self::owner(name);
            let operation = Operation::name_register(name, key.address(), Some(*hash));
            Ok((operation, key))
        })?;
        self.send(changed, time, &mut left_out, |registrar, (name, hash)| {
            let key = Self::owner(name);
            let quoted = registrar.consensus_hash();
            let operation = Operation::name_update(name, key.address(), quoted, *hash);
            Ok((operation, key))
        })?;
        Ok(left_out)
    }

    fn next(&self, (name, hash): &Wanted) -> Next {
        let owner = Self::owner(name).script();
        match self.record(name) {
            Some(record) if record.revoked => Next::LeaveOut("its owner revoked it"),
            Some(record) if record.value_hash == Some(*hash) => Next::Nothing,
            Some(record) if record.sender != owner.as_bytes() => {
                Next::LeaveOut("it belongs to somebody else, who alone can announce a zone file")
            }
            Some(_) => Next::Update,
            None if self.is_preordered(name) => Next::Register,
            None => Next::Preorder,
        }
    }

    fn is_preordered(&self, name: &Name) -> bool {
        let key = Self::owner(name);
        let address = key.address().encode(self.bns.params().addresses);
        let hash = commitment::name_preorder_hash(name, key.script().as_bytes(), &address);
        self.has_preorder(&hash, PreorderKind::Name)
    }

    fn is_namespace_preordered(&self, id: &NamespaceId) -> bool {
        let key = revealer(id);
        let address = key.address().encode(self.bns.params().addresses);
        let hash = commitment::namespace_preorder_hash(id, key.script().as_bytes(), &address);
        self.has_preorder(&hash, PreorderKind::Namespace)
    }

    fn has_preorder(&self, hash: &PreorderHash, kind: PreorderKind) -> bool {
        let rows = in_memory(self.state.preorders(hash));
        rows.iter().any(|row| row.kind == kind)
    }

    fn fund_owners(&mut self, names: &[Wanted], time: u32) -> Result<(), RegistrarError> {
        let mut purses = Vec::new();
        for (name, _) in names {
            purses.push(TxOut {
                value: self.name_price(name)? + ALLOWANCE,
                script_pubkey: Self::owner(name).script(),
            });
        }
        match purses.is_empty() {
            true => Ok(()),
            false => self.give(purses, time),
        }
    }

    /// One operation for each name, all in one block; gives the names whose operation was accepted.
    fn send(
        &mut self,
        names: Vec<Wanted>,
        time: u32,
        left_out: &mut Vec<LeftOut>,
        operation: impl Fn(&Self, &Wanted) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<Vec<Wanted>, RegistrarError> {
        let transactions = self.transactions(&names, operation)?;
        if transactions.is_empty() {
            return Ok(names);
        }
        let txids: Vec<Txid> = transactions.iter().map(Transaction::compute_txid).collect();
        let (_, mut refused) = self.mine_and_read(transactions, time)?;
        let mut accepted = Vec::new();
        for (wanted, txid) in names.into_iter().zip(txids) {
            match refused.remove(&txid) {
                None => accepted.push(wanted),
                Some(reason) => left_out.push(LeftOut {
                    name: wanted.0,
                    reason,
                }),
            }
        }
        Ok(accepted)
    }

    /// One operation for each item, all in one block; an error if one is refused.
    fn send_all<T>(
        &mut self,
        items: &[T],
        time: u32,
        operation: impl Fn(&Self, &T) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<(), RegistrarError> {
        let transactions = self.transactions(items, operation)?;
        if !transactions.is_empty() {
            self.mine(transactions, time)?;
        }
        Ok(())
    }

    fn transactions<T>(
        &self,
        items: &[T],
        operation: impl Fn(&Self, &T) -> Result<(Operation, SigningKey), RegistrarError>,
    ) -> Result<Vec<Transaction>, RegistrarError> {
        let signed = items.iter().map(|item| {
            let (operation, key) = operation(self, item)?;
            self.transaction(&operation, &key)
        });
        signed.collect()
    }
}

/// The key that pays for, reveals and readies a namespace.
fn revealer(id: &NamespaceId) -> SigningKey {
    SigningKey::dev_only_from_label(id.as_str())
}
