//! `bnsd chain export`: the log of the chain, for those who have no node.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use clap::Args;

use super::open_even_damaged;
use super::progress::ProgressLine;
use crate::api::ask::Ask as _;
use crate::api::client::Client;
use crate::api::log::{HeadersRequest, LogReply, LogRequest, LoggedBlock, PieceRequest};
use crate::api::message::Question;
use crate::api::zonefiles::Bytes;
use crate::chain::BlockRef;
use crate::chain::header::HEADER_LENGTH;
use crate::cli::count::count;
use crate::cli::{CliError, Context, Exit, Result};
use crate::daemon;
use crate::indexer::{
    ExportError, Exported, Exporter, LocalSupply, LogBlock, LogFacts, Piece, Supply,
};

/// Arguments of `bnsd chain export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Where the log is written: an empty directory, or one with a log of this chain, which is brought up to date
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let mut supply = supply(context)?;
        let mut exporter = Exporter::open(&self.directory).map_err(cli_error)?;
        let first = supply.facts().map_err(cli_error)?.first_block;
        let mut progress = ProgressLine::on_terminal(first);
        let mut reached = |height, last| progress.reached(height, last);
        let exported = exporter.update(&mut *supply, &mut reached);
        let exported = exported.map_err(cli_error)?;
        drop(progress);
        context.output.show(&exported, |page| {
            let Exported { from, to, .. } = exported;
            page.heading(format!("The log tells of the blocks {from} to {to}"));
            page.entry("consensus hash", &exported.consensus_hash);
            let written = count(exported.written, "segment");
            page.entry("sealed now", &written);
            page.entry("sealed in all", &exported.segments);
            page.entry("bytes", &exported.bytes);
            page.note("Any web server, disk or stick can hand the directory on; others name it in `chain.logs`.");
        })
    }
}

/// The daemon if one listens; otherwise its database and its source, for as long as this lives.
fn supply(context: &Context) -> Result<Box<dyn Supply>> {
    let sockets = context.control_candidates()?;
    let mut sockets = sockets.iter();
    if sockets.any(|socket| UnixStream::connect(socket).is_ok()) {
        return Ok(Box::new(Daemon(context.client()?)));
    }
    let (store, _, config) = open_even_damaged(context)?;
    let store = Arc::new(store);
    let source = daemon::open_source(&config, Some(&store)).map_err(CliError::Trouble)?;
    let source = source.ok_or_else(|| {
        CliError::No("no chain is followed, so there is no log: set `chain.source`".to_owned())
    })?;
    let network = config.chain.bitcoin.network();
    let supply = LocalSupply::new(store, source, network);
    Ok(Box::new(supply))
}

/// A running daemon.
struct Daemon(Client);

impl Daemon {
    fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, ExportError> {
        let reply = self.0.ask(question);
        reply.map_err(|error| ExportError::Daemon(error.to_string()))
    }

    fn log(&self, height: Option<u32>) -> Result<LogReply, ExportError> {
        self.ask(LogRequest { height })
    }
}

impl Supply for Daemon {
    fn facts(&mut self) -> Result<LogFacts, ExportError> {
        let reply = self.log(None)?;
        Ok(LogFacts {
            network: reply.bitcoin,
            magic: reply.magic,
            first_block: reply.first_block,
            tip: reply.tip.map(block),
        })
    }

    fn block(&mut self, height: u32) -> Result<Option<LogBlock>, ExportError> {
        Ok(self.log(Some(height))?.block.map(block))
    }

    fn headers(&mut self, from: u32, count: u32) -> Result<Vec<Header>, ExportError> {
        let reply = self.ask(HeadersRequest { from, count })?;
        let Bytes(bytes) = reply.headers;
        let headers = bytes.chunks(HEADER_LENGTH);
        let headers: Option<_> = headers.map(|bytes| deserialize(bytes).ok()).collect();
        headers.ok_or_else(|| ExportError::Daemon("the daemon sent no headers".to_owned()))
    }

    fn piece(&mut self, from: u32, to: u32) -> Result<Piece, ExportError> {
        let reply = self.ask(PieceRequest { from, to })?;
        let Bytes(bytes) = reply.segment;
        Ok(Piece {
            last: block(reply.last),
            bytes,
        })
    }
}

fn block(block: LoggedBlock) -> LogBlock {
    LogBlock {
        at: BlockRef {
            height: block.height,
            hash: block.hash,
        },
        consensus_hash: block.consensus_hash,
        candidates: block.candidates,
    }
}

fn cli_error(error: ExportError) -> CliError {
    match error {
        ExportError::Directory { .. } | ExportError::Empty => CliError::No(error.to_string()),
        error => CliError::Trouble(error.into()),
    }
}
