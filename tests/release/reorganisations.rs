//! A thousand random reorganisation scripts. Arguments: how many, and the first seed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

#[path = "../common/random.rs"]
mod random;
#[path = "../common/scratch.rs"]
mod scratch_directory;
#[path = "../reorg/script.rs"]
mod script;

use scratch_directory::scratch;
use script::{Base, Report};

/// Scripts unless an argument says otherwise.
const SCRIPTS: u64 = 1_000;
/// How often progress is printed.
const EVERY: u64 = 50;

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok());
    let scripts = numbers.next().unwrap_or(SCRIPTS);
    let first: u64 = numbers.next().unwrap_or(0);
    let (base, start) = (Base::mine(), Instant::now());
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut sum = Report::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= scripts || failed.load(Ordering::Relaxed) {
                return sum;
            }
            let seed = first + number;
            match std::panic::catch_unwind(|| script::run(&base, seed)) {
                Ok(report) => sum.add(&report),
                Err(_) => {
                    eprintln!("the script of seed {seed} failed, see above");
                    failed.store(true, Ordering::Relaxed);
                }
            }
            if (number + 1) % EVERY == 0 {
                println!(
                    "{} of {scripts} scripts, {:.0} s",
                    number + 1,
                    start.elapsed().as_secs_f64()
                );
            }
        }
    };
    let mut sum = Report::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            sum.add(&worker.join().unwrap());
        }
    });
    let Report {
        reorganisations,
        disconnected,
        deepest,
        names,
    } = sum;
    println!(
        "{scripts} scripts: {reorganisations} reorganisations, {disconnected} blocks disconnected, deepest {deepest}, {names} names"
    );
    if failed.into_inner() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
