//! What a command costs, as a table, and what follows when it is agreed to.

use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::Amount;

use crate::api::owner::{ChainReply, ChainRequest};
use crate::chain::SourceKind;
use crate::cli::count::count;
use crate::cli::output::Page;
use crate::cli::{Context, Result};
use crate::names::expected;
use crate::wallet::task::bill::{Bill, Charge, Payment};
use crate::wallet::task::import::BATCH;
use crate::wallet::words;

/// In how many blocks a batch of names is imported: the coins are split in one before.
const BLOCKS_A_BATCH: u64 = 2;

/// Whether a bill is about the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    /// It is shown before anything is signed: only the first transaction is known in full.
    Ahead,
    /// What it says was paid.
    Paid,
}

/// Writes price, fee and what comes back of each transaction, and the total.
pub fn write(page: &mut Page, bill: &Bill, tense: Tense) {
    page.heading(match tense {
        Tense::Ahead => "What it costs",
        Tense::Paid => "What was paid",
    });
    for (place, charge) in bill.charges.iter().enumerate() {
        let is_estimate = tense == Tense::Ahead && (place > 0 || charge.count > 1);
        write_charge(page, charge, is_estimate);
    }
    let total = bill.total();
    let label = match total < 0 {
        true => "total that comes in",
        false => "total that leaves",
    };
    row(page, label, "", &words::gain(total.unsigned_abs().into()));
    let later = bill.later.iter().map(|charge| charge.operation.as_str());
    let later: Vec<&str> = later.collect();
    if !later.is_empty() {
        let cost = words::gain(bill.total_later().into());
        row(
            page,
            &format!("{} later", later.join(", ")),
            "estimated",
            &cost,
        );
    }
}

fn write_charge(page: &mut Page, charge: &Charge, is_estimate: bool) {
    let name = match charge.count {
        1 => charge.operation.clone(),
        many => format!("{} {}", words::grouped(many), charge.operation),
    };
    let mut label = Some(name);
    let mut line = |what: &str, amount: Amount| {
        let label = label.take().unwrap_or_default();
        row(page, &label, what, &words::btc(amount));
    };
    if let Some(price) = &charge.price {
        line(&receiver("price", price), price.satoshi);
    }
    let fee = match is_estimate {
        true => "miner's fee, estimated",
        false => "miner's fee",
    };
    line(fee, charge.miners_fee);
    for payment in &charge.kept_by_others {
        line(&kept(payment), payment.satoshi);
    }
    line("comes back to the keys here", charge.comes_back);
    if let Some(txid) = charge.txid {
        row(page, "", "transaction", &txid.to_string());
    }
}

/// What an output to somebody else is for.
fn kept(payment: &Payment) -> String {
    match (&payment.to, payment.burnt) {
        (None, true) => "lost, names a zone file hash".to_owned(),
        (None, false) => "kept by new owners".to_owned(),
        (Some(_), _) => receiver("kept", payment),
    }
}

fn receiver(what: &str, payment: &Payment) -> String {
    let to = payment.to.as_deref().unwrap_or("a script");
    match payment.burnt {
        true => format!("{what}, burnt to {to}"),
        false => format!("{what}, to {to}"),
    }
}

fn row(page: &mut Page, label: &str, what: &str, value: &str) {
    page.row([format!("  {label}"), what.to_owned(), value.to_owned()]);
}

/// What happens once it is agreed to.
pub enum Next<'n> {
    /// These operations, each when the one before is indexed; then it is in force for a name or namespace.
    Operations(Vec<&'n str>, String),
    /// So many imports.
    Imports(u64),
    /// A signature for the buyer, who sends.
    Signature,
}

impl Next<'_> {
    /// Writes it with blocks and times.
    pub fn write(&self, context: &Context, page: &mut Page) -> Result<()> {
        let chain = context.answer(ChainRequest {})?;
        match self {
            Self::Operations(operations, subject) => {
                write_operations(&Calendar::of(&chain), operations, subject, page);
            }
            Self::Imports(names) => {
                let blocks = names.div_ceil(BATCH as u64) * BLOCKS_A_BATCH;
                let blocks = blocks * Calendar::of(&chain).step();
                let mut text = format!("It takes {} or more", count(blocks, "block"));
                if chain.source != SourceKind::Dev {
                    text = format!("{text} ({})", words::span(blocks));
                }
                page.note(format!("{text}; stopped, it goes on where it was."));
            }
            Self::Signature => {
                page.note("Nothing is sent from here: the buyer signs last, and sends it.");
            }
        }
        Ok(())
    }
}

fn write_operations(calendar: &Calendar<'_>, operations: &[&str], subject: &str, page: &mut Page) {
    let mut height = calendar.next();
    for (place, operation) in operations.iter().enumerate() {
        let block = calendar.block(height);
        page.note(match place {
            0 => format!("{operation} is in block {block} or later."),
            _ => {
                let depth = count(calendar.step(), "confirmation");
                format!("{operation} follows when that has {depth}, in block {block} or later.")
            }
        });
        if place + 1 == operations.len() {
            page.note(format!("It is in force for {subject} from that block on."));
        }
        height = height.saturating_add(u32::try_from(calendar.step()).unwrap_or(u32::MAX));
    }
}

/// When blocks will be.
struct Calendar<'c> {
    chain: &'c ChainReply,
    /// Seconds since 1970.
    now: u32,
}

impl<'c> Calendar<'c> {
    fn of(chain: &'c ChainReply) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        Self {
            chain,
            now: u32::try_from(now).unwrap_or(u32::MAX),
        }
    }

    /// The first block that can hold something that is sent now.
    fn next(&self) -> u32 {
        self.chain.facts.best_height.saturating_add(1)
    }

    /// After how many blocks, its own included, something is indexed.
    fn step(&self) -> u64 {
        u64::from(self.chain.facts.confirmations) + 1
    }

    fn block(&self, height: u32) -> String {
        if self.chain.source == SourceKind::Dev {
            return format!("{height} (at once)");
        }
        let known = (self.chain.facts.best_height, self.now);
        words::block_soon(height, &expected(height, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(operation: &str, price: Option<u64>, fee: u64, back: u64) -> Charge {
        let price = price.map(|satoshi| Payment {
            to: Some("1burn".to_owned()),
            burnt: true,
            satoshi: Amount::from_sat(satoshi),
        });
        let paid = price.as_ref().map_or(Amount::ZERO, |price| price.satoshi);
        Charge {
            operation: operation.to_owned(),
            count: 1,
            txid: None,
            miners_fee: Amount::from_sat(fee),
            kept_by_others: Vec::new(),
            spent: paid + Amount::from_sat(fee + back),
            comes_back: Amount::from_sat(back),
            price,
        }
    }

    #[test]
    fn the_table_shows_every_part_and_the_total() {
        let bill = Bill {
            charges: vec![
                charge("NAME_PREORDER", Some(56_000), 1_000, 43_000),
                charge("NAME_REGISTRATION", None, 1_200, 41_800),
            ],
            later: Vec::new(),
        };
        let mut page = Page::default();
        write(&mut page, &bill, Tense::Ahead);
        let shown = page.plain();
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
            .collect();
        let back = "comes back to the keys here";
        let expected: [&[&str]; 7] = [
            &["What it costs"],
            &[
                "NAME_PREORDER",
                "price, burnt to 1burn",
                "0.00056000 BTC (56,000 satoshi)",
            ],
            &["miner's fee", "0.00001000 BTC (1,000 satoshi)"],
            &[back, "0.00043000 BTC (43,000 satoshi)"],
            &[
                "NAME_REGISTRATION",
                "miner's fee, estimated",
                "0.00001200 BTC (1,200 satoshi)",
            ],
            &[back, "0.00041800 BTC (41,800 satoshi)"],
            &["total that leaves", "0.00058200 BTC (58,200 satoshi)"],
        ];
        let cells: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.iter().map(|cell| cell.trim()).collect())
            .collect();
        assert_eq!(cells, expected);
    }
}
