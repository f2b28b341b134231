//! How fast a node gets the zone files of a large network from one peer; `-- --quick` takes 2,000 of them.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should say where"
)]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "a benchmark uses a part of it")]
mod common;
#[path = "../atlas/replicate.rs"]
mod replicate;

/// The files of a network, 300 MB.
const FILES: usize = 70_000;
/// Of what a bare loop reaches.
const GOAL: f64 = 0.5;
/// Bytes of memory.
const MEMORY: u64 = 200 << 20;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let figures = replicate::measure(if quick { 2_000 } else { FILES });
    let met = figures.ratio() >= GOAL && figures.memory < MEMORY;
    let verdict = if met { "met" } else { "missed" };
    println!(
        "{figures}; goal: ratio {GOAL}, {} MiB: {verdict}",
        MEMORY >> 20
    );
}
