//! The best chain of headers, in a file of 80 bytes a block; for each, four bytes of memory.
//!
//! A process that is killed while it writes leaves headers of which some do not follow from those before them. When the
//! file is opened, every header is hashed; from the first one that does not fit on, the file is cut. What is missing then
//! comes again from whoever has it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Network, Work};

use super::rules::Rules;
use crate::chain::BlockRef;
use crate::chain::header::HEADER_LENGTH;
use crate::disk::rights;

/// How many of the newest headers are in memory.
const RECENT: usize = 4_096;
/// How many are read at once.
const PAGE: u32 = 4_096;
/// The work up to every so manieth header is in memory.
const MARK: u32 = 1_024;

/// The networks that a file may belong to.
const NETWORKS: [Network; 5] = [
    Network::Bitcoin,
    Network::Testnet,
    Network::Testnet4,
    Network::Signet,
    Network::Regtest,
];

/// The headers of the best chain, from the genesis block on.
#[derive(Debug)]
pub(super) struct Best {
    file: File,
    /// The first four bytes of each hash, by height.
    short: Vec<u32>,
    /// The newest headers, the tip last.
    recent: VecDeque<Header>,
    /// The work up to and with each [`MARK`]th header.
    marks: Vec<Work>,
    tip: BlockHash,
    work: Work,
}

impl Best {
    /// The chain in the file at `path`, which is made if it is missing. A file of another network is an error.
    pub(super) fn open(path: &Path, rules: &Rules) -> io::Result<Self> {
        let genesis = rules.genesis();
        let mut best = Self {
            file: rights::open_private(path)?,
            short: Vec::new(),
            recent: VecDeque::new(),
            marks: Vec::new(),
            tip: genesis.prev_blockhash,
            work: Work::from_be_bytes([0; 32]),
        };
        match best.read(0, 1).unwrap_or_default().first() {
            Some(first) if *first == genesis => best.read_file(rules)?,
            Some(first) if begins_a_network(first) => return Err(other_network(path)),
            _ => {
                best.file.set_len(0)?;
                best.extend(&[genesis], genesis.block_hash())?;
            }
        }
        Ok(best)
    }

    /// Takes over what the file holds, and cuts off what does not follow from that.
    fn read_file(&mut self, rules: &Rules) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let count = u32::try_from(length / HEADER_LENGTH as u64).unwrap_or(u32::MAX);
        let mut from = 0;
        'pages: while from < count {
            let page = self.read(from, PAGE.min(count - from))?;
            for (height, header) in (from..).zip(&page) {
                match rules.check_work(header, height) {
                    Ok(hash) if header.prev_blockhash == self.tip => self.push(*header, hash),
                    _ => break 'pages,
                }
            }
            from += PAGE;
        }
        let whole = self.count() * HEADER_LENGTH as u64;
        if whole < length {
            tracing::info!(
                height = self.short.len().saturating_sub(1),
                "cut off what was not written to its end of the block headers"
            );
            self.file.set_len(whole)?;
        }
        Ok(())
    }

    pub(super) fn tip(&self) -> BlockRef {
        BlockRef {
            height: self.height(),
            hash: self.tip,
        }
    }

    /// The work of all of it.
    pub(super) fn work(&self) -> Work {
        self.work
    }

    pub(super) fn height(&self) -> u32 {
        self.short.len().saturating_sub(1) as u32
    }

    /// The work up to and with the block at a height of this chain.
    pub(super) fn work_at(&self, height: u32) -> io::Result<Work> {
        let mark = height / MARK;
        let Some(work) = self.marks.get(mark as usize) else {
            return Ok(self.work);
        };
        let above = self.read(mark * MARK + 1, height % MARK)?;
        Ok(above
            .iter()
            .fold(*work, |work, header| work + header.work()))
    }

    pub(super) fn header_at(&self, height: u32) -> Option<Header> {
        let first = self.short.len() - self.recent.len();
        match (height as usize).checked_sub(first) {
            Some(at) => self.recent.get(at).copied(),
            None => self.headers(height, 1).first().copied(),
        }
    }

    pub(super) fn hash_at(&self, height: u32) -> Option<BlockHash> {
        if height == self.height() {
            return Some(self.tip);
        }
        Some(self.header_at(height.checked_add(1)?)?.prev_blockhash)
    }

    /// The height of a block of this chain.
    pub(super) fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let wanted = short(hash);
        let like = (0..=self.height()).rev().zip(self.short.iter().rev());
        let mut like = like.filter(|(_, short)| **short == wanted);
        like.find_map(|(height, _)| (self.hash_at(height) == Some(*hash)).then_some(height))
    }

    /// At most `count` headers from a height on; fewer at the tip, and none where they cannot be read.
    pub(super) fn headers(&self, from: u32, count: u32) -> Vec<Header> {
        let count = count.min((self.short.len() as u32).saturating_sub(from));
        self.read(from, count).unwrap_or_else(|error| {
            tracing::warn!("cannot read block headers from {from} on: {error}");
            Vec::new()
        })
    }

    /// Puts `headers` in place of those above `fork`; `tip` is the hash of the last one. They were checked.
    pub(super) fn replace_above(
        &mut self,
        fork: u32,
        headers: &[Header],
        tip: BlockHash,
    ) -> io::Result<()> {
        let work = self.work_at(fork)?;
        let hash = self.hash_at(fork).ok_or(io::ErrorKind::UnexpectedEof)?;
        let height = self.height();
        let kept = fork as usize + 1;
        let stays = self.recent.len().saturating_sub((height - fork) as usize);
        self.short.truncate(kept);
        self.recent.truncate(stays);
        self.marks.truncate((fork / MARK) as usize + 1);
        (self.tip, self.work) = (hash, work);
        self.extend(headers, tip)?;
        if self.height() < height {
            self.file.set_len(self.count() * HEADER_LENGTH as u64)?;
        }
        Ok(())
    }

    /// Puts `headers` on top; `tip` is the hash of the last one. They were checked.
    pub(super) fn extend(&mut self, headers: &[Header], tip: BlockHash) -> io::Result<()> {
        let bytes: Vec<u8> = headers.iter().flat_map(encode::serialize).collect();
        let at = self.count() * HEADER_LENGTH as u64;
        self.file.write_all_at(&bytes, at)?;
        let above = headers.iter().skip(1).map(|header| header.prev_blockhash);
        for (header, hash) in headers.iter().zip(above.chain([tip])) {
            self.push(*header, hash);
        }
        Ok(())
    }

    fn push(&mut self, header: Header, hash: BlockHash) {
        self.work = self.work + header.work();
        if self.short.len().is_multiple_of(MARK as usize) {
            self.marks.push(self.work);
        }
        self.short.push(short(&hash));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(header);
        self.tip = hash;
    }

    fn count(&self) -> u64 {
        self.short.len() as u64
    }

    fn read(&self, from: u32, count: u32) -> io::Result<Vec<Header>> {
        let mut bytes = vec![0; count as usize * HEADER_LENGTH];
        let at = u64::from(from) * HEADER_LENGTH as u64;
        self.file.read_exact_at(&mut bytes, at)?;
        let headers = bytes.chunks_exact(HEADER_LENGTH).map(encode::deserialize);
        headers
            .collect::<Result<_, _>>()
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn short(hash: &BlockHash) -> u32 {
    let first = hash.as_byte_array().first_chunk();
    u32::from_le_bytes(*first.expect("a hash has 32 bytes"))
}

/// Whether it is the first header of a network of Bitcoin.
fn begins_a_network(header: &Header) -> bool {
    NETWORKS
        .iter()
        .any(|network| genesis_block(network).header == *header)
}

fn other_network(path: &Path) -> io::Error {
    let path = path.display();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} holds block headers of another network: remove it"),
    )
}
