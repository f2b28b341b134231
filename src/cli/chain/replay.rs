//! `bnsd chain replay`: the consensus hash of every block, and where it first differs from a given list.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::vec;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::vectorfile::{VectorBlock, VectorFile};
use crate::bns::state::State;
use crate::bns::{Bns, Params};
use crate::chain::{BlockRef, ChainSource, Event, candidates};
use crate::cli::{CliError, Context, Exit, flag};
use crate::config::Profile;
use crate::daemon;
use crate::hash::{ConsensusHash, OpsHash};
use crate::virtualchain::connect_block;

/// Arguments of `bnsd chain replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Where blocks come from, if not from the source that is configured [env: BNSD_CHAIN_SOURCE]
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// Replay a golden chain file (JSON, may be gzipped), with its constants and against its hashes.
    #[arg(long, value_name = "VECTOR", conflicts_with = "source")]
    file: Option<PathBuf>,
    /// Stop after this block.
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u32>,
    /// Compare with the lines `HEIGHT HASH` of this file and stop at the first difference.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
}

/// What is printed for a block, as JSON.
#[derive(Debug, Serialize)]
struct Line {
    height: u32,
    consensus_hash: String,
    ops_hash: String,
}

impl Replay {
    /// Replays.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        let expected = match &self.expect {
            Some(path) => read_expected(path)?,
            None => BTreeMap::new(),
        };
        let (params, mut blocks) = self.blocks(context)?;
        let mut check = Check {
            until: self.until.unwrap_or(u32::MAX),
            progress: Progress::beside_lines(params.first_block),
            bns: Bns::new(params),
            expected,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let json = context.output.is_json();
        let result = check.run(&mut blocks, |height, hashes| {
            print(&mut out, json, height, hashes)
        });
        drop(check);
        match (result, out.flush()) {
            // A reader that has seen enough is no trouble.
            (Err(CliError::Output(error)), _) | (Ok(()), Err(error)) => match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(Exit::Success),
                _ => Err(CliError::Output(error)),
            },
            (result, _) => result.map(|()| Exit::Success),
        }
    }

    fn blocks(&self, context: &Context) -> Result<(Params, Blocks), CliError> {
        if let Some(path) = &self.file {
            let file = VectorFile::open(path);
            let file = file.map_err(|error| trouble(format!("{}: {error}", path.display())))?;
            let last = file.blocks.last().map_or(0, |block| block.height);
            let blocks = file.blocks.into_iter();
            return Ok((file.params, Blocks::OfFile { blocks, last }));
        }
        let flags = flag("chain.source", "SOURCE", self.source.as_slice());
        let config = context.load(Profile::Serve, flags.into_iter().collect())?;
        let params = daemon::params(&config.chain);
        let source = daemon::open_source(&config).map_err(CliError::Trouble)?;
        let source = source.ok_or_else(|| {
            trouble("there is no chain to replay: name a SOURCE, set `chain.source` or use --file")
        })?;
        let blocks = Blocks::OfSource {
            source,
            tip: None,
            first_block: params.first_block,
            magic: params.magic,
        };
        Ok((params, blocks))
    }
}

/// Blocks in ascending order.
enum Blocks {
    OfFile {
        blocks: vec::IntoIter<VectorBlock>,
        last: u32,
    },
    OfSource {
        source: Box<dyn ChainSource>,
        tip: Option<BlockRef>,
        first_block: u32,
        magic: [u8; 2],
    },
}

impl Blocks {
    fn next(&mut self) -> Result<Option<VectorBlock>, CliError> {
        let (source, tip, first_block, magic) = match self {
            Self::OfFile { blocks, .. } => return Ok(blocks.next()),
            Self::OfSource {
                source,
                tip,
                first_block,
                magic,
            } => (source.as_mut(), tip, *first_block, *magic),
        };
        let mut next = || {
            source
                .next(*tip, first_block)
                .map_err(|error| trouble(error.to_string()))
        };
        let mut event = next()?;
        while let Event::Preparing { .. } = event {
            event = next()?;
        }
        match event {
            Event::Preparing { .. } | Event::Idle => Ok(None),
            Event::Disconnect => Err(trouble(
                "the chain was reorganised during the replay: run it again",
            )),
            Event::Connect(block) => {
                *tip = Some(block.at);
                let candidates = candidates(source, &block, magic);
                Ok(Some(VectorBlock {
                    height: block.at.height,
                    candidates: candidates.map_err(|error| trouble(error.to_string()))?,
                    consensus_hash: None,
                }))
            }
        }
    }

    /// The last block that is known of.
    fn last(&mut self) -> u32 {
        match self {
            Self::OfFile { last, .. } => *last,
            Self::OfSource { source, .. } => source.best_height().unwrap_or(0),
        }
    }
}

/// A replay under way.
struct Check {
    bns: Bns,
    until: u32,
    expected: BTreeMap<u32, ConsensusHash>,
    progress: Progress,
}

/// What a block derives.
type Hashes = (ConsensusHash, OpsHash);

impl Check {
    fn run(
        &mut self,
        blocks: &mut Blocks,
        mut print: impl FnMut(u32, Hashes) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut state = State::genesis(self.bns.params());
        let last = blocks.last().min(self.until);
        while let Some(block) = blocks.next()?
            && block.height <= self.until
        {
            let height = block.height;
            let Ok(outcome) = connect_block(&self.bns, height, &block.candidates, &state);
            let snapshot = outcome.snapshot;
            print(height, (snapshot.consensus_hash, snapshot.ops_hash))
                .map_err(CliError::Output)?;
            self.compare(&block, snapshot.consensus_hash)?;
            state.connect(height, &outcome.changes, snapshot);
            self.progress.reached(height, last);
            if height == self.until {
                break;
            }
        }
        self.nothing_left()
    }

    fn compare(&mut self, block: &VectorBlock, found: ConsensusHash) -> Result<(), CliError> {
        let height = block.height;
        let listed = self.expected.remove(&height);
        for expected in [listed, block.consensus_hash].into_iter().flatten() {
            if expected != found {
                return Err(CliError::No(format!(
                    "block {height}: expected consensus hash {expected}, found {found}"
                )));
            }
        }
        Ok(())
    }

    /// A list that was not used up would seem to be confirmed.
    fn nothing_left(&self) -> Result<(), CliError> {
        match self.expected.keys().find(|height| **height <= self.until) {
            None => Ok(()),
            Some(height) => Err(CliError::No(format!(
                "block {height} is expected, but the chain has no such block"
            ))),
        }
    }
}

fn print(out: &mut impl Write, json: bool, height: u32, hashes: Hashes) -> io::Result<()> {
    let (consensus_hash, ops_hash) = hashes;
    if !json {
        return writeln!(out, "{height} {consensus_hash}");
    }
    let line = Line {
        height,
        consensus_hash: consensus_hash.to_string(),
        ops_hash: ops_hash.to_string(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

/// Lines `HEIGHT HASH`, as a replay prints them; empty ones and those that begin with `#` are passed over.
fn read_expected(path: &Path) -> Result<BTreeMap<u32, ConsensusHash>, CliError> {
    let place = path.display();
    let text = fs::read_to_string(path).map_err(|error| trouble(format!("{place}: {error}")))?;
    let mut expected = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (height, hash) = parse_line(line).ok_or_else(|| {
            trouble(format!(
                "{place}, line {number}: it should be a height and a consensus hash"
            ))
        })?;
        expected.insert(height, hash);
    }
    if expected.is_empty() {
        return Err(trouble(format!(
            "{place}: there is nothing to compare with"
        )));
    }
    Ok(expected)
}

fn parse_line(line: &str) -> Option<(u32, ConsensusHash)> {
    let mut words = line.split_whitespace();
    let parsed = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(parsed)
}

fn trouble(message: impl Into<String>) -> CliError {
    CliError::Trouble(anyhow!(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_a_height_and_a_hash() {
        let hash = "2a9148d8b13939723d2aca16c75c6d68";
        let parsed = parse_line(&format!(" 7\t{hash} ")).expect("a line");
        assert_eq!((parsed.0, parsed.1.to_string()), (7, hash.to_owned()));
        for line in ["7", "7 2a", &format!("{hash} 7"), &format!("7 {hash} 8")] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }
}
