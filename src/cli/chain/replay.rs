//! `bnsd chain replay`: the consensus hash of every block, and where it first differs from a given list.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::progress::ProgressLine;
use super::vectorfile::VectorFile;
use crate::bns::{Bns, Params};
use crate::chain::{Blocks, SourceError};
use crate::cli::{CliError, Context, Exit, Result, flag};
use crate::config::Profile;
use crate::daemon;
use crate::hash::{ConsensusHash, OpsHash};
use crate::indexer::{self, ReplayBlock, ReplayError};
use crate::virtualchain::Snapshot;

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
    consensus_hash: ConsensusHash,
    ops_hash: OpsHash,
}

impl Replay {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let expected = match &self.expect {
            Some(path) => read_expected(path)?,
            None => BTreeMap::new(),
        };
        let until = self.until.unwrap_or(u32::MAX);
        let Subject {
            params,
            blocks,
            last,
        } = self.subject(context)?;
        let mut progress = ProgressLine::beside_lines(params.first_block);
        let mut out = BufWriter::new(io::stdout().lock());
        let json = context.output.is_json();
        let replay = indexer::Replay { until, expected };
        let result = replay.run(&Bns::new(params), blocks, |height, hashes| {
            progress.reached(height, last.min(until));
            print(&mut out, json, height, hashes)
        });
        drop(progress);
        exit(result, out.flush())
    }

    /// What is replayed: the file, or the source that is named or configured.
    fn subject(&self, context: &Context) -> Result<Subject> {
        if let Some(path) = &self.file {
            let file = VectorFile::open(path);
            let file = file.map_err(|error| trouble(format!("{}: {error}", path.display())))?;
            return Ok(Subject {
                last: file.blocks.last().map_or(0, |block| block.height),
                params: file.params,
                blocks: Box::new(file.blocks.into_iter().map(Ok)),
            });
        }
        let flags = flag("chain.source", "SOURCE", self.source.as_slice());
        let config = context.load(Profile::Serve, flags.into_iter().collect())?;
        let source = daemon::open_source(&config, None).map_err(CliError::Trouble)?;
        let mut source = source.ok_or_else(|| {
            trouble("there is no chain to replay: name a SOURCE, set `chain.source` or use --file")
        })?;
        let (params, last) = (
            daemon::params(&config.chain),
            source.best_height().unwrap_or(0),
        );
        let blocks = Blocks::new(source, params.first_block, params.magic);
        Ok(Subject {
            params,
            blocks: Box::new(blocks.map(|block| Ok(block?.with(None)))),
            last,
        })
    }
}

/// A chain to replay.
struct Subject {
    params: Params,
    blocks: Box<dyn Iterator<Item = Result<ReplayBlock, SourceError>>>,
    /// The last block that is known of.
    last: u32,
}

/// How the command ends. A reader that has seen enough is no trouble.
fn exit(result: Result<(), ReplayError>, flushed: io::Result<()>) -> Result<Exit> {
    match (result, flushed) {
        (Err(ReplayError::Output(error)), _) | (Ok(()), Err(error)) => match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(Exit::Success),
            _ => Err(CliError::Output(error)),
        },
        (Err(ReplayError::Source(error)), _) => Err(trouble(error.to_string())),
        (Err(error), _) => Err(CliError::No(error.to_string())),
        (Ok(()), Ok(())) => Ok(Exit::Success),
    }
}

fn print(out: &mut impl Write, json: bool, height: u32, hashes: Snapshot) -> io::Result<()> {
    if !json {
        return writeln!(out, "{height} {}", hashes.consensus_hash);
    }
    let line = Line {
        height,
        consensus_hash: hashes.consensus_hash,
        ops_hash: hashes.ops_hash,
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

/// Lines `HEIGHT HASH`, as a replay prints them; empty ones and those that begin with `#` are passed over.
fn read_expected(path: &Path) -> Result<BTreeMap<u32, ConsensusHash>> {
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
