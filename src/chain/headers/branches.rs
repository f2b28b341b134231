//! Headers beside the best chain, in bounded memory.
//!
//! Anybody can make endless branches where work is cheap. The ones with most work stay, because only those can become the
//! best chain. This module is pure.

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};

/// How many headers all branches have together, 80 bytes each: as many as the main network had after ten years, so that
/// nobody who came first with a chain of little work can keep the real one out.
pub(super) const HEADERS_MAX: usize = 500_000;
/// How many branches are kept.
pub(super) const BRANCHES_MAX: usize = 64;

/// Headers on top of one of the best chain.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// The height of the highest block that it has in common with the best chain.
    pub fork: u32,
    /// Those above it.
    pub headers: Vec<Header>,
    /// The hash of the last one; of the block at `fork` where there is none.
    pub tip: BlockHash,
    /// The work from the genesis block up to `tip`.
    pub work: Work,
}

impl Branch {
    pub(super) fn height(&self) -> u32 {
        self.fork.saturating_add(self.headers.len() as u32)
    }

    /// Adds a checked header on top.
    pub(super) fn push(&mut self, header: Header, hash: BlockHash) {
        self.headers.push(header);
        self.tip = hash;
        self.work = self.work + header.work();
    }

    /// How many of the headers lead to the block `hash`; none to the one at the fork.
    fn reach(&self, hash: &BlockHash) -> Option<usize> {
        let below = |header: &Header| header.prev_blockhash == *hash;
        let end = (self.tip == *hash).then_some(self.headers.len());
        end.or_else(|| self.headers.iter().position(below))
    }

    /// Its first `count` headers.
    fn cut(&self, count: usize) -> Self {
        let (kept, dropped) = self.headers.split_at(count.min(self.headers.len()));
        let lost = dropped.iter().map(Header::work);
        Self {
            fork: self.fork,
            headers: kept.to_vec(),
            tip: dropped.first().map_or(self.tip, |h| h.prev_blockhash),
            work: lost.fold(self.work, |work, lost| work - lost),
        }
    }
}

/// A branch, or a copy of its lower part, to be made longer.
pub(super) struct Taken {
    pub branch: Branch,
    /// How many of the headers that should follow it has already.
    pub shared: usize,
    /// How long it was when it was taken out; `None` for a copy.
    whole: Option<usize>,
}

impl Taken {
    /// One that was not kept so far.
    pub(super) fn new(branch: Branch) -> Self {
        Self {
            branch,
            shared: 0,
            whole: None,
        }
    }
}

/// All branches.
#[derive(Debug, Default)]
pub(super) struct Branches(Vec<Branch>);

impl Branches {
    /// What leads to the block `previous`, with as many of the headers `next` on top as are known.
    pub(super) fn take(&mut self, previous: &BlockHash, next: &[Header]) -> Option<Taken> {
        let found = self.0.iter().enumerate().filter_map(|(at, branch)| {
            let reach = branch.reach(previous)?;
            let above = branch.headers.get(reach..).unwrap_or_default();
            let shared = above.iter().zip(next).take_while(|(a, b)| a == b).count();
            Some((at, reach, shared))
        });
        let (at, reach, shared) = found.max_by_key(|(_, reach, shared)| reach + shared)?;
        let branch = self.0.get(at)?;
        let length = branch.headers.len();
        let is_whole = reach + shared == length;
        Some(Taken {
            branch: if is_whole {
                self.0.swap_remove(at)
            } else {
                branch.cut(reach + shared)
            },
            shared,
            whole: is_whole.then_some(length),
        })
    }

    /// Puts back what was taken out, as it was.
    pub(super) fn put_back(&mut self, taken: &Taken) {
        if let Some(length) = taken.whole {
            self.keep(taken.branch.cut(length));
        }
    }

    /// Keeps a branch, and drops those with least work where there are too many.
    pub(super) fn keep(&mut self, branch: Branch) {
        if branch.headers.is_empty() {
            return;
        }
        self.0.push(branch);
        while self.0.len() > BRANCHES_MAX || self.headers() > HEADERS_MAX {
            let branches = self.0.iter().enumerate();
            let Some((least, _)) = branches.min_by_key(|(_, branch)| branch.work) else {
                return;
            };
            self.0.swap_remove(least);
        }
    }

    /// Follows the best chain, which left `old`: what was on top of that forks off where that does.
    pub(super) fn fork_with(&mut self, old: &Branch) {
        self.0.retain_mut(|branch| {
            let shared = branch.fork.saturating_sub(old.fork) as usize;
            let Some(shared) = old.headers.get(..shared) else {
                return false;
            };
            if !shared.is_empty() {
                branch.headers.splice(..0, shared.iter().copied());
                branch.fork = old.fork;
            }
            true
        });
    }

    fn headers(&self) -> usize {
        self.0.iter().map(|branch| branch.headers.len()).sum()
    }
}

#[cfg(test)]
impl Branches {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}
