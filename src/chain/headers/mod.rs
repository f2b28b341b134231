//! The chain of block headers with most work, of all that anybody shows.
//!
//! Logs and Bitcoin peers hand over headers; [`HeaderChain`] checks them by [`rules`] and keeps the best chain in a flat
//! file, 80 bytes a block. What it says has the work behind it that it claims; whether the blocks are valid is not known
//! here. Headers of who lies cost work, and memory for them is bounded, so that one honest source is enough.

use std::io;
use std::path::Path;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Network};

mod best;
mod branches;
pub mod rules;
#[cfg(test)]
mod tests;

use best::Best;
use branches::{Branch, Branches, HEADERS_MAX, Taken};
use rules::{HeaderFault, Rules};

use super::BlockRef;

/// The file in its directory.
const FILE: &str = "headers";
/// No chain is higher: the main network reaches this after 76 years. It bounds the file where work costs nothing.
const HEIGHT_MAX: u32 = 4_000_000;
/// How many blocks a locator names one by one before its steps grow.
const LOCATOR_STEPS: u32 = 10;

/// Block headers of one network, of which the chain with most work is the best.
#[derive(Debug)]
pub struct HeaderChain {
    rules: Rules,
    best: Best,
    branches: Branches,
}

/// What became of headers that were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The last one of them.
    pub last: BlockRef,
    /// How many were not known.
    pub new: usize,
    /// Whether the best chain is another one now.
    pub is_new_best: bool,
}

impl HeaderChain {
    /// The chain in the file `headers` of a directory, which belongs to this process; the file is made where it is
    /// missing. Every header in it is hashed, and what a crash left behind the last good one is cut off.
    ///
    /// # Errors
    /// When the file cannot be used, or is of another network.
    pub fn open(directory: &Path, network: Network) -> io::Result<Self> {
        Self::with_rules(directory, Rules::of(network))
    }

    fn with_rules(directory: &Path, rules: Rules) -> io::Result<Self> {
        Ok(Self {
            best: Best::open(&directory.join(FILE), &rules)?,
            branches: Branches::default(),
            rules,
        })
    }

    /// Takes a run of headers, each on top of the one before it, the first on top of one that is known, or the genesis
    /// block; a few thousand at once. `now` is in seconds since 1970. After a fault everything is as it was.
    pub fn accept(&mut self, headers: &[Header], now: u64) -> Result<Accepted, HeaderFault> {
        let known = self.count_best(headers);
        let unknown = headers.get(known..).unwrap_or_default();
        let Some(first) = unknown.first() else {
            return Ok(self.all_known(headers));
        };
        let mut taken = self.take(first, unknown)?;
        let unknown = unknown.get(taken.shared..).unwrap_or_default();
        let checked = self.check(&mut taken.branch, unknown, now);
        let branch = &taken.branch;
        let accepted = Accepted {
            last: BlockRef {
                height: branch.height(),
                hash: branch.tip,
            },
            new: unknown.len(),
            is_new_best: branch.work > self.best.work(),
        };
        match checked {
            Ok(()) if accepted.is_new_best => self.follow(&taken.branch)?,
            Ok(()) if accepted.new > 0 => self.branches.keep(taken.branch),
            _ => self.branches.put_back(&taken),
        }
        checked.map(|()| accepted)
    }

    /// The best block.
    pub fn tip(&self) -> BlockRef {
        self.best.tip()
    }

    /// Whether the best chain has at least the work that Bitcoin Core asks of any.
    pub fn has_enough_work(&self) -> bool {
        self.best.work() >= self.rules.minimum_work()
    }

    /// The best chain's header at a height; old ones are read from the file.
    pub fn header_at(&self, height: u32) -> Option<Header> {
        self.best.header_at(height)
    }

    /// The hash of the best chain's block at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.best.hash_at(height)
    }

    /// The best chain's headers from a height on, at most `count`.
    pub fn headers(&self, from: u32, count: u32) -> Vec<Header> {
        self.best.headers(from, count)
    }

    /// The height of a block of the best chain.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.best.height_of(hash)
    }

    /// Hashes of the best chain by which a peer finds where its own leaves it: the tip first, the genesis block last.
    pub fn locator(&self) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        let (mut height, mut step) = (self.best.height(), 1);
        while height > 0 {
            hashes.extend(self.hash_at(height));
            if hashes.len() as u32 >= LOCATOR_STEPS {
                step *= 2;
            }
            height = height.saturating_sub(step);
        }
        hashes.extend(self.hash_at(0));
        hashes
    }

    /// How many of the headers are the best chain's, from the first on; that may be the genesis block.
    fn count_best(&self, headers: &[Header]) -> usize {
        let Some(first) = headers.first() else {
            return 0;
        };
        let from = match self.height_of(&first.prev_blockhash) {
            Some(below) => below.saturating_add(1),
            None => 0,
        };
        let best = self.headers(from, headers.len() as u32);
        best.iter().zip(headers).take_while(|(a, b)| a == b).count()
    }

    fn all_known(&self, headers: &[Header]) -> Accepted {
        let hash = headers.last().map(Header::block_hash);
        let height = hash.and_then(|hash| self.height_of(&hash));
        let last = height
            .zip(hash)
            .map(|(height, hash)| BlockRef { height, hash });
        Accepted {
            last: last.unwrap_or(self.tip()),
            new: 0,
            is_new_best: false,
        }
    }

    /// The branch on which `unknown` go on, the first of which is not on the best chain.
    fn take(&mut self, first: &Header, unknown: &[Header]) -> Result<Taken, HeaderFault> {
        let previous = first.prev_blockhash;
        if let Some(taken) = self.branches.take(&previous, unknown) {
            return Ok(taken);
        }
        let unlinked = || HeaderFault::Unlinked(first.block_hash());
        let fork = self.height_of(&previous).ok_or_else(unlinked)?;
        let work = self.best.work_at(fork).map_err(|error| disk(&error))?;
        Ok(Taken::new(Branch {
            fork,
            headers: Vec::new(),
            tip: previous,
            work,
        }))
    }

    /// Puts headers on top of a branch, each checked against those below it.
    fn check(&self, branch: &mut Branch, headers: &[Header], now: u64) -> Result<(), HeaderFault> {
        for header in headers {
            if header.prev_blockhash != branch.tip {
                return Err(HeaderFault::Unlinked(header.block_hash()));
            }
            let height = branch.height() + 1;
            if height > HEIGHT_MAX {
                return Err(HeaderFault::Height(height));
            }
            let below = |height: u32| match height.checked_sub(branch.fork + 1) {
                Some(at) => branch.headers.get(at as usize).copied(),
                None => self.best.header_at(height),
            };
            let hash = self.rules.check(header, height, &below, now)?;
            branch.push(*header, hash);
        }
        Ok(())
    }

    /// Makes a branch the best chain, and what it replaces a branch.
    fn follow(&mut self, branch: &Branch) -> Result<(), HeaderFault> {
        let tip = self.best.tip();
        if branch.fork == tip.height {
            return self
                .best
                .extend(&branch.headers, branch.tip)
                .map_err(|error| disk(&error));
        }
        let depth = tip.height - branch.fork;
        let kept = if depth as usize > HEADERS_MAX {
            0
        } else {
            depth
        };
        let mut headers = self.best.headers(branch.fork + 1, kept);
        if headers.len() < kept as usize {
            headers.clear();
        }
        let old = Branch {
            fork: branch.fork,
            headers,
            tip: tip.hash,
            work: self.best.work(),
        };
        self.best
            .replace_above(branch.fork, &branch.headers, branch.tip)
            .map_err(|error| disk(&error))?;
        self.branches.fork_with(&old);
        self.branches.keep(old);
        Ok(())
    }
}

/// The fault for a disk that fails.
fn disk(error: &io::Error) -> HeaderFault {
    tracing::warn!("cannot read or write the block headers: {error}");
    HeaderFault::Disk
}
