//! How fast raw blocks are searched for our magic bytes, from memory. `cargo bench --bench scan`.
//!
//! The goal is 3 GB/s on one core. Three kinds of block: payments of one input and two outputs, payments of a
//! few inputs with witnesses, and a block full of operations.

#![allow(missing_docs, reason = "a program that prints a table")]

use std::hint::black_box;
use std::time::Instant;

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, consensus,
};
use bnsd::virtualchain::scan::scan;

/// Bytes scanned for each row of the table.
const VOLUME: usize = 2_000_000_000;
/// Size of a block.
const BLOCK: usize = 1_400_000;
/// Copies of the block that are scanned in turn, so that they come from memory and not from a cache.
const COPIES: usize = 200;

fn main() {
    println!(
        "{:<26}{:>12}{:>14}{:>10}",
        "block of", "bytes", "transactions", "MB/s"
    );
    row("old payments", &|number| payment(number, 1, false));
    row("payments with witnesses", &|number| {
        payment(number, 1 + number % 4, true)
    });
    row("one operation in 1,000", &|number| match number % 1_000 {
        0 => operation(number),
        _ => payment(number, 1 + number % 3, number % 2 == 0),
    });
    row("operations only", &|number| operation(number));
}

fn row(what: &str, make: &dyn Fn(usize) -> Transaction) {
    let mut transactions = Vec::new();
    let mut size = 0;
    while size < BLOCK {
        let transaction = make(transactions.len());
        size += transaction.total_size();
        transactions.push(transaction);
    }
    let mut block = vec![7; 80];
    block.extend(consensus::serialize(&transactions));
    let blocks = vec![block.clone(); COPIES];
    let rounds = VOLUME / block.len();
    let start = Instant::now();
    for block in blocks.iter().cycle().take(rounds) {
        scan(black_box(block), *b"id").expect("a generated block");
    }
    let rate = (rounds * block.len()) as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!(
        "{what:<26}{:>12}{:>14}{rate:>10.0}",
        block.len(),
        transactions.len()
    );
}

/// Bytes that look like hashes and signatures: the same for the same number.
fn noise<const N: usize>(number: usize) -> [u8; N] {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    })
}

fn input(number: usize, segwit: bool) -> TxIn {
    let previous: [u8; 36] = noise(number);
    let signature = [
        &[71][..],
        &noise::<71>(number + 1),
        &[33],
        &noise::<33>(number + 2),
    ]
    .concat();
    let witness = vec![
        noise::<71>(number + 1).to_vec(),
        noise::<33>(number + 2).to_vec(),
    ];
    TxIn {
        previous_output: consensus::deserialize::<OutPoint>(&previous).expect("36 bytes"),
        script_sig: ScriptBuf::from(if segwit { Vec::new() } else { signature }),
        sequence: Sequence::MAX,
        witness: if segwit {
            Witness::from(witness)
        } else {
            Witness::new()
        },
    }
}

fn output(script: Vec<u8>) -> TxOut {
    TxOut {
        value: Amount::from_sat(123_456),
        script_pubkey: ScriptBuf::from(script),
    }
}

fn pay(number: usize) -> TxOut {
    output([&[0x76, 0xa9, 0x14][..], &noise::<20>(number), &[0x88, 0xac]].concat())
}

fn transaction(input: Vec<TxIn>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

fn payment(number: usize, inputs: usize, segwit: bool) -> Transaction {
    let seed = number * 100;
    let inputs = (0..inputs).map(|place| input(seed + place * 5, segwit));
    transaction(inputs.collect(), vec![pay(seed + 50), pay(seed + 51)])
}

fn operation(number: usize) -> Transaction {
    let data = [&[0x6a, 39][..], b"id?", &noise::<36>(number)].concat();
    transaction(vec![input(number, false)], vec![output(data), pay(number)])
}
