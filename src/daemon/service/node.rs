//! The embedded chain as wallets see a node: coins, transactions that wait for a block, mining on demand.
//!
//! It is what a Bitcoin node's memory pool is, made small: a transaction may spend what others that wait
//! create, and one that conflicts with waiting ones takes their place if it pays more. Waiting transactions
//! are forgotten when the daemon stops; whoever cares sends them again.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut};

use super::answered::{Answered, trouble, usage};
use crate::api::owner::{
    CoinRow, CoinsReply, CoinsRequest, FaucetRequest, MineRequest, MinedReply, SubmitRequest,
};
use crate::bns::address::{Address, AddressVersions};
use crate::chain::dev::{DevChain, MineError};
use crate::clock::{Clock as _, SystemClock};
use crate::names::expected;
use crate::wallet::coins::{Coin, Funding};
use crate::wallet::keys::SigningKey;
use crate::wallet::operation::Unsigned;
use crate::wallet::psbt;

/// Most transactions that wait for a block.
const WAITING_MAX: usize = 5_000;
/// Most blocks at once: each is signed off to disk and then indexed.
const BLOCKS_MAX: u32 = 500;
/// Most satoshi that the faucet gives at once.
const GIFT_MAX: Amount = Amount::from_int_btc(500);

/// A node's view of the embedded chain.
pub struct DevNode {
    chain: DevChain,
    clock: SystemClock,
    /// Blocks that a transaction needs until it is indexed.
    depth: u32,
    pool: Mutex<Pool>,
}

struct Pool {
    waiting: Vec<Transaction>,
    automatic: bool,
}

impl DevNode {
    /// A node whose index is `confirmations` blocks behind.
    pub(in crate::daemon) fn new(chain: DevChain, confirmations: u32) -> Self {
        Self {
            chain,
            clock: SystemClock::start(),
            depth: confirmations.saturating_add(1),
            pool: Mutex::new(Pool {
                waiting: Vec::new(),
                automatic: true,
            }),
        }
    }

    /// Mines what it takes until the block `first` is indexed, so that a new chain can be used at once.
    pub(in crate::daemon) fn begin(&self, first: u32) {
        let wanted = first.saturating_add(self.depth - 1);
        let missing = wanted.saturating_sub(self.height());
        if missing > 0 && self.mine_empty(missing).is_err() {
            tracing::warn!("the embedded chain has no block yet: `bnsd tx mine` makes one");
        }
    }

    /// Height of the best block, whether it is indexed or not.
    pub(super) fn height(&self) -> u32 {
        self.chain.tip().height
    }

    /// Coins that the next block's transactions may spend; those that waiting ones spend are left out.
    pub(super) fn coins(&self, request: &CoinsRequest) -> Answered<CoinsReply> {
        let pool = self.pool();
        let spent = spent_by(&pool.waiting);
        let mut coins = Vec::new();
        for script in &request.scripts {
            let found = self.chain.spendable(script).into_iter();
            coins.extend(
                found
                    .filter(|(outpoint, _)| !spent.contains(outpoint))
                    .map(|(outpoint, output)| row(outpoint, &output)),
            );
        }
        Ok(CoinsReply { coins })
    }

    /// Takes transactions in; mines them at once unless told not to.
    pub(super) fn submit(&self, request: SubmitRequest) -> Answered<MinedReply> {
        let mut pool = self.pool();
        for transaction in request.transactions {
            self.accept(&mut pool, transaction)?;
        }
        if pool.automatic && !pool.waiting.is_empty() {
            self.mine_waiting(&mut pool)?;
            if self.depth > 1 {
                self.mine_empty(self.depth - 1)?;
            }
        }
        Ok(self.stand(&pool))
    }

    /// Mines blocks, the first with everything that waits.
    pub(super) fn mine(&self, request: &MineRequest) -> Answered<MinedReply> {
        if request.blocks > BLOCKS_MAX {
            return Err(usage(format!("at most {BLOCKS_MAX} blocks at once")));
        }
        let mut pool = self.pool();
        pool.automatic = request.automatic.unwrap_or(pool.automatic);
        let mut blocks = request.blocks;
        if blocks > 0 && !request.empty {
            self.mine_waiting(&mut pool)?;
            blocks -= 1;
        }
        if blocks > 0 {
            self.mine_empty(blocks)?;
        }
        Ok(self.stand(&pool))
    }

    /// Gives coins away, in a block of its own.
    pub(super) fn faucet(
        &self,
        request: &FaucetRequest,
        versions: AddressVersions,
    ) -> Answered<MinedReply> {
        let value = request.satoshi;
        if value > GIFT_MAX || value == Amount::ZERO {
            return Err(usage(format!("the faucet gives up to {GIFT_MAX}")));
        }
        let to = Address::decode(&request.address, versions)
            .ok_or_else(|| usage(format!("{:?} is no address", request.address)))?;
        let output = TxOut {
            value,
            script_pubkey: ScriptBuf::from_bytes(to.script()),
        };
        let pool = self.pool();
        let _turn = self.chain.turn(); // the registrar of the demo has the same purse
        let treasury = treasury();
        let coins = self.treasury_coins(value)?;
        let script = treasury.script();
        let funding = Funding {
            sender: &script,
            coins: &coins,
            change: &script,
            rate: FeeRate::from_sat_per_vb_u32(5),
        };
        let unsigned = Unsigned::payment(&funding, None, vec![output]).map_err(trouble)?;
        let signed = psbt::signed(&unsigned, &[&treasury]).map_err(trouble)?;
        self.mined(self.chain.mine(&script, vec![signed], self.now()))?;
        if self.depth > 1 {
            self.mine_empty(self.depth - 1)?;
        }
        Ok(self.stand(&pool))
    }

    /// The purse of the treasury, with enough in it for a gift and its fee.
    fn treasury_coins(&self, value: Amount) -> Answered<Vec<Coin>> {
        let script = treasury().script();
        let enough = value + Amount::from_sat(10_000_000);
        let filled = self.chain.mine_until(&script, enough, self.now());
        filled.map_err(trouble)?;
        let coins = self.chain.spendable(&script).into_iter();
        Ok(coins.map(Coin::from).collect())
    }

    fn accept(&self, pool: &mut Pool, transaction: Transaction) -> Answered<()> {
        let txid = transaction.compute_txid();
        if pool
            .waiting
            .iter()
            .any(|known| known.compute_txid() == txid)
        {
            return Ok(());
        }
        if pool.waiting.len() >= WAITING_MAX {
            return Err(trouble("too many transactions wait for a block: mine one"));
        }
        let mut waiting = without_conflicts(&pool.waiting, &transaction);
        if waiting.len() < pool.waiting.len() && !self.pays_more(&pool.waiting, &transaction) {
            return Err(usage(
                "it conflicts with a waiting transaction and does not pay more",
            ));
        }
        waiting.push(transaction);
        self.chain
            .check(&waiting)
            .map_err(|refused| usage(refused.to_string()))?;
        pool.waiting = waiting;
        Ok(())
    }

    /// Whether the outputs give less away than those of every transaction that would be replaced. Both
    /// spend the same coins when a wallet replaces what it sent.
    fn pays_more(&self, waiting: &[Transaction], new: &Transaction) -> bool {
        let given = |transaction: &Transaction| -> Amount {
            transaction.output.iter().map(|output| output.value).sum()
        };
        let ours = outpoints(new);
        waiting
            .iter()
            .filter(|old| outpoints(old).intersection(&ours).next().is_some())
            .all(|old| given(new) < given(old) || new.input.len() > old.input.len())
    }

    fn mine_waiting(&self, pool: &mut Pool) -> Answered<()> {
        let transactions = std::mem::take(&mut pool.waiting);
        let kept = transactions.clone();
        let mined = self
            .chain
            .mine(&treasury().script(), transactions, self.now());
        if mined.is_err() {
            pool.waiting = kept;
        }
        self.mined(mined)
    }

    fn mine_empty(&self, blocks: u32) -> Answered<()> {
        self.mined(
            self.chain
                .mine_empty(&treasury().script(), blocks, self.now()),
        )
    }

    fn mined<T>(&self, result: Result<T, MineError>) -> Answered<()> {
        result.map(|_| ()).map_err(trouble)
    }

    fn stand(&self, pool: &Pool) -> MinedReply {
        let tip = self.chain.tip();
        let time = self.chain.time_of(tip).ok(); // left out where the block cannot be read
        MinedReply {
            height: tip.height,
            time: time.map(|time| expected(tip.height, (tip.height, time))),
            waiting: pool.waiting.len(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u32 {
        u32::try_from(self.clock.unix_time()).unwrap_or(u32::MAX)
    }
}

/// The key that mines; the registrar of the demo has the same.
fn treasury() -> SigningKey {
    SigningKey::dev_only_from_label("treasury")
}

fn outpoints(transaction: &Transaction) -> HashSet<OutPoint> {
    let inputs = transaction.input.iter();
    inputs.map(|input| input.previous_output).collect()
}

fn spent_by(transactions: &[Transaction]) -> HashSet<OutPoint> {
    transactions.iter().flat_map(outpoints).collect()
}

/// The waiting transactions that neither conflict with `new` nor depend on one that does.
fn without_conflicts(waiting: &[Transaction], new: &Transaction) -> Vec<Transaction> {
    let taken = outpoints(new);
    let mut dropped = HashSet::new();
    let mut kept = Vec::new();
    for transaction in waiting {
        let conflicts = transaction.input.iter().any(|input| {
            taken.contains(&input.previous_output) || dropped.contains(&input.previous_output.txid)
        });
        if conflicts {
            dropped.insert(transaction.compute_txid());
        } else {
            kept.push(transaction.clone());
        }
    }
    kept
}

fn row(outpoint: OutPoint, output: &TxOut) -> CoinRow {
    CoinRow {
        txid: outpoint.txid,
        vout: outpoint.vout,
        output: output.into(),
    }
}
