//! What a log of the chain is written from, piece by piece.

use bitcoin::consensus::serialize;

use super::{Answered, Service, trouble, usage};
use crate::api::log::{
    HeadersReply, HeadersRequest, LogReply, LogRequest, LoggedBlock, PieceReply, PieceRequest,
};
use crate::api::zonefiles::Bytes;
use crate::chain::HEADERS_MAX;
use crate::indexer::{LogBlock, Supply as _};

impl Service {
    pub(super) fn log(&self, request: &LogRequest) -> Answered<LogReply> {
        let mut desk = &*self.log;
        let facts = desk.facts().map_err(trouble)?;
        let height = request.height;
        let block = height.map(|height| desk.block(height)).transpose();
        Ok(LogReply {
            bitcoin: facts.network,
            magic: facts.magic,
            first_block: facts.first_block,
            tip: facts.tip.map(row),
            block: block.map_err(trouble)?.flatten().map(row),
        })
    }

    pub(super) fn headers(&self, request: &HeadersRequest) -> Answered<HeadersReply> {
        if request.count > HEADERS_MAX {
            return Err(usage(format!("at most {HEADERS_MAX} headers at once")));
        }
        let headers = (&*self.log).headers(request.from, request.count);
        let headers = headers.map_err(trouble)?;
        Ok(HeadersReply {
            headers: Bytes(headers.iter().flat_map(serialize).collect()),
        })
    }

    pub(super) fn piece(&self, request: &PieceRequest) -> Answered<PieceReply> {
        let piece = (&*self.log).piece(request.from, request.to);
        let piece = piece.map_err(trouble)?;
        Ok(PieceReply {
            last: row(piece.last),
            segment: Bytes(piece.bytes),
        })
    }
}

fn row(block: LogBlock) -> LoggedBlock {
    LoggedBlock {
        height: block.at.height,
        hash: block.at.hash,
        consensus_hash: block.consensus_hash,
        candidates: block.candidates,
    }
}
