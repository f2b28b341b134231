//! Chains of headers that are mined here, where two or a hundred hashes are work enough.

use bitcoin::CompactTarget;
use bitcoin::hashes::Hash as _;

use super::branches::BRANCHES_MAX;
use super::*;
use crate::chain::header;

/// Late enough for every chain of these tests.
const NOW: u64 = 2_000_000_000;

/// Headers on top of a block, each `seconds` after the one before it, with the target that `bits` gives for a height.
fn mine(below: Header, from: u32, times: &[u32], bits: impl Fn(u32) -> u32) -> Vec<Header> {
    let mut last = below;
    let mined = (from..).zip(times).map(|(height, seconds)| {
        let template = Header {
            prev_blockhash: last.block_hash(),
            time: last.time + seconds,
            bits: CompactTarget::from_consensus(bits(height)),
            ..below
        };
        last = header::find_nonce(template).expect("a nonce");
        last
    });
    mined.collect()
}

fn easy(_: u32) -> u32 {
    header::REGTEST_BITS
}

/// A chain in regtest of this many blocks above the genesis block.
fn regtest(directory: &Path, count: usize) -> HeaderChain {
    let mut chain = HeaderChain::open(directory, Network::Regtest).expect("a file");
    let genesis = chain.header_at(0).expect("a genesis block");
    let headers = mine(genesis, 1, &vec![600; count], easy);
    let accepted = chain.accept(&headers, NOW).expect("good headers");
    assert_eq!((accepted.new, accepted.last), (count, chain.tip()));
    chain
}

fn best(chain: &HeaderChain) -> Vec<Header> {
    chain.headers(0, u32::MAX)
}

#[test]
fn the_target_follows_the_time_that_a_period_took() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let rules = Rules::with_short_periods();
    let mut chain = HeaderChain::with_rules(scratch.path(), rules.clone()).expect("a file");
    let genesis = chain.header_at(0).expect("a genesis block");
    // Eight blocks have one target. The first period takes 7 s of 8, the second 1 s at most a quarter of them, the third
    // 40 s at most four times as many. The targets were computed by a program of a few lines in another language.
    let targets = [0x2003_ffff, 0x2003_7fff, 0x2000_dfff, 0x2003_7ffc];
    let bits = |height: u32| targets[height as usize / 8];
    let mut times = vec![1; 7];
    times.extend([1, 1, 0, 0, 1, 0, 0, 0]);
    times.extend([1, 6, 6, 6, 6, 6, 5, 5]);
    times.extend([1; 8]);
    let all = mine(genesis, 1, &times, bits);
    for wrong in [8, 16, 24] {
        let before = &all[..wrong - 1];
        let stays = |height: u32| bits(height.min(wrong as u32 - 1));
        let last = before.last().expect("headers below");
        let faulty = mine(*last, wrong as u32, &times[wrong - 1..wrong], stays);
        chain.accept(before, NOW).expect("good headers");
        let fault = chain.accept(&faulty, NOW).expect_err("the old target");
        let is_it = matches!(fault, HeaderFault::Target { height, .. } if height == wrong as u32);
        assert!(is_it && fault.blames_sender(), "{fault}");
    }
    chain.accept(&all, NOW).expect("good headers");
    assert_eq!(chain.tip().height, all.len() as u32);
    drop(chain);
    let again = HeaderChain::with_rules(scratch.path(), rules).expect("the same file");
    assert_eq!(again.tip().height, all.len() as u32);
}

#[test]
fn most_work_wins_and_not_most_blocks() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let rules = Rules::with_short_periods();
    let mut chain = HeaderChain::with_rules(scratch.path(), rules).expect("a file");
    let genesis = chain.header_at(0).expect("a genesis block");
    let slow = mine(genesis, 1, &[1; 14], |height| {
        if height < 8 { 0x2003_ffff } else { 0x2003_7fff }
    });
    let fast = mine(genesis, 1, &[1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0], |height| {
        if height < 8 { 0x2003_ffff } else { 0x2001_7fff }
    });
    chain.accept(&slow, NOW).expect("good headers");
    let accepted = chain.accept(&fast, NOW).expect("good headers");
    assert!(accepted.is_new_best, "{accepted:?}");
    assert_eq!(best(&chain)[1..], fast);
    // What was left is known still, and can win again.
    let more = mine(slow[13], 15, &[1], |_| 0x2003_7fff);
    assert_eq!(chain.accept(&more, NOW).expect("it links").new, 1);
}

#[test]
fn a_run_with_a_fault_changes_nothing() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut chain = regtest(scratch.path(), 20);
    let tip = *best(&chain).last().expect("a tip");
    let good = mine(tip, 21, &[600, 600], easy);
    let below = best(&chain);
    let median = below[15].time;
    let faulty = |change: &dyn Fn(&mut Header)| {
        let mut header = good[1];
        change(&mut header);
        let mined = header::find_nonce(header).unwrap_or(header);
        [good[0], mined]
    };
    let unlinked = faulty(&|header| header.prev_blockhash = tip.prev_blockhash);
    let foreign = [mine(Header { time: 1, ..tip }, 1, &[1], easy)[0]];
    let early = faulty(&|header| header.time = median + 600);
    let late = faulty(&|header| header.time = NOW as u32 + 7_201);
    let target = faulty(&|header| header.bits = CompactTarget::from_consensus(0x2100_ffff));
    let hard = faulty(&|header| header.bits = CompactTarget::from_consensus(0x2010_0000));
    let mut weak = good.clone();
    while header::check_work(&weak[1], bitcoin::Target::MAX_ATTAINABLE_REGTEST).is_ok() {
        weak[1].nonce += 1;
    }
    let runs: [(&[Header], &str); 7] = [
        (&unlinked, "on top of none"),
        (&foreign, "on top of none"),
        (&early, "not above the median"),
        (&late, "two hours ahead"),
        (&target, "not possible on this network"),
        (&hard, "instead of"),
        (&weak, "does not meet its target"),
    ];
    for (run, what) in runs {
        let fault = chain.accept(run, NOW).expect_err(what);
        assert!(fault.to_string().contains(what), "{fault}");
        assert_eq!(best(&chain), below, "{what}");
    }
    assert_eq!(chain.accept(&good, NOW).expect("good headers").new, 2);
}

#[test]
fn a_killed_write_loses_only_what_it_wrote() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let chain = regtest(scratch.path(), 12);
    let whole = best(&chain);
    let path = scratch.path().join(FILE);
    let bytes = std::fs::read(&path).expect("the file");
    drop(chain);
    for length in (0..=bytes.len()).rev().step_by(7) {
        std::fs::write(&path, &bytes[..length]).expect("a shorter file");
        let chain = HeaderChain::open(scratch.path(), Network::Regtest).expect("a file");
        let left = (length / 80).max(1);
        assert_eq!(best(&chain), whole[..left], "{length} bytes");
        let mut chain = chain;
        chain.accept(&whole[1..], NOW).expect("the same again");
        assert_eq!(best(&chain), whole);
    }
    // The same with headers of another branch in front of old ones, and with zeros.
    let other = mine(whole[5], 6, &[601, 601], easy);
    for replaced in [bitcoin::consensus::serialize(&other[0]), vec![0; 80]] {
        let mut mixed = bytes.clone();
        mixed[6 * 80..7 * 80].copy_from_slice(&replaced);
        std::fs::write(&path, &mixed).expect("a mixed file");
        let chain = HeaderChain::open(scratch.path(), Network::Regtest).expect("a file");
        let tip = if replaced == vec![0; 80] { 5 } else { 6 };
        assert_eq!(chain.tip().height, tip);
    }
}

#[test]
fn headers_of_another_network_are_left_alone() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    drop(regtest(scratch.path(), 3));
    let bytes = std::fs::read(scratch.path().join(FILE)).expect("the file");
    let chain = HeaderChain::open(scratch.path(), Network::Bitcoin);
    assert!(chain.is_err_and(|error| error.to_string().contains("another network")));
    let after = std::fs::read(scratch.path().join(FILE)).expect("the file");
    assert_eq!(bytes, after);
}

#[test]
fn old_blocks_are_read_from_the_file() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut chain = regtest(scratch.path(), 6_000);
    let all = best(&chain);
    for height in [0, 1, 1_023, 1_024, 1_900, 1_905, 5_999, 6_000] {
        let header = all[height as usize];
        assert_eq!(chain.header_at(height), Some(header));
        assert_eq!(chain.hash_at(height), Some(header.block_hash()));
        assert_eq!(chain.height_of(&header.block_hash()), Some(height));
    }
    assert_eq!(chain.header_at(6_001), None);
    assert_eq!(chain.hash_at(u32::MAX), None);
    assert_eq!(chain.height_of(&BlockHash::all_zeros()), None);
    assert_eq!(chain.headers(5_998, 10).len(), 3);
    let locator = chain.locator();
    assert_eq!(locator.first(), Some(&chain.tip().hash));
    assert_eq!(locator.last(), chain.hash_at(0).as_ref());
    assert!(locator.len() < 30, "{}", locator.len());
    // A branch from far below what is in memory.
    let branch = mine(all[100], 101, &vec![601; 5_901], easy);
    let (first, rest) = branch.split_at(3_000);
    assert!(!chain.accept(first, NOW).expect("good headers").is_new_best);
    assert!(chain.accept(rest, NOW).expect("good headers").is_new_best);
    assert_eq!(best(&chain)[101..], branch);
    let back = mine(all[6_000], 6_001, &[600, 600], easy);
    let accepted = chain.accept(&back, NOW).expect("the old branch is known");
    assert_eq!((accepted.new, accepted.is_new_best), (2, true));
    assert_eq!(best(&chain)[..6_001], all);
    drop(chain);
    let again = HeaderChain::open(scratch.path(), Network::Regtest).expect("the file");
    assert_eq!(again.tip(), accepted.last);
}

#[test]
fn endless_branches_cost_bounded_memory_and_the_best_wins() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut chain = regtest(scratch.path(), 10);
    let all = best(&chain);
    let honest = mine(all[8], 9, &[601; 2], easy);
    chain.accept(&honest, NOW).expect("good headers");
    for seconds in 1..400 {
        let branch = mine(all[8], 9, &[610 + seconds], easy);
        chain.accept(&branch, NOW).expect("good headers");
    }
    assert!(chain.branches.count() <= BRANCHES_MAX);
    let more = mine(honest[1], 11, &[600], easy);
    assert!(chain.accept(&more, NOW).expect("it is known").is_new_best);
}

#[test]
fn what_is_known_is_no_news() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut chain = regtest(scratch.path(), 10);
    let all = best(&chain);
    let side = mine(all[8], 9, &[601, 601], easy);
    chain.accept(&side, NOW).expect("good headers");
    for run in [&all[1..], &all[3..5], &side, &side[..1], &side[1..]] {
        let accepted = chain.accept(run, NOW).expect("known headers");
        let last = run.last().expect("a header").block_hash();
        assert_eq!((accepted.new, accepted.last.hash), (0, last));
        assert!(!accepted.is_new_best);
    }
    let longer = [&side[..], &mine(side[1], 11, &[600], easy)].concat();
    assert_eq!(chain.accept(&longer, NOW).expect("good headers").new, 1);
    assert_eq!(chain.tip().height, 11);
    assert_eq!(chain.branches.count(), 1, "what was the best chain");
}

#[test]
fn the_main_network_needs_more_work_than_its_first_block_has() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let main = HeaderChain::open(scratch.path(), Network::Bitcoin).expect("a file");
    assert!(!main.has_enough_work());
    let other = tempfile::tempdir().expect("a scratch directory");
    assert!(regtest(other.path(), 0).has_enough_work());
}
