//! The list and the block headers of a log.

use std::io;
use std::sync::PoisonError;

use bitcoin::block::Header;
use bitcoin::consensus::encode;

use super::fetch::Fetcher;
use super::place::{PlaceError, Rest, Wanted};
use crate::chain::header::HEADER_LENGTH;
use crate::chain::headers::rules::HeaderFault;
use crate::chain::log::manifest::{MANIFEST_BYTES_MAX, Manifest, SegmentEntry};
use crate::clock::Clock as _;

/// The files of a log that say what it has.
const LIST: &str = "log.json";
const HEADERS: &str = "headers";
/// Headers that are checked at once.
const RUN: usize = 2_000;
/// Headers that are asked for again, because a log may have left the best chain for a better one.
const REREAD: u32 = 6;

impl Fetcher {
    /// Reads the list of a log, and its headers if the list is another one than before.
    pub(super) fn read_list(&mut self, at: usize) -> Result<bool, PlaceError> {
        let Some(log) = self.logs.get_mut(at) else {
            return Ok(false);
        };
        if log.reader.is_unchanged(LIST) && log.manifest.is_some() {
            return Ok(false);
        }
        let wanted = Wanted {
            name: LIST,
            from: 0,
            most: MANIFEST_BYTES_MAX as u64,
            rest: Rest::Refused,
        };
        let bytes = log.reader.bytes(wanted)?;
        let manifest =
            Manifest::parse(&bytes).map_err(|fault| PlaceError::Wrong(fault.to_string()))?;
        let of = (manifest.network, manifest.magic, manifest.first_block);
        if of != (self.chain.network, self.chain.magic, self.chain.first_block) {
            return Err(PlaceError::Wrong(format!(
                "it is of another network: {}, from block {} on",
                manifest.network, manifest.first_block
            )));
        }
        if log.manifest.as_ref() == Some(&manifest) {
            return Ok(false);
        }
        self.read_headers(at, &manifest)?;
        if let Some(log) = self.logs.get_mut(at) {
            log.manifest = Some(manifest);
        }
        Ok(true)
    }

    /// Reads the headers that a log has above the best chain, or from where it left that.
    fn read_headers(&mut self, at: usize, manifest: &Manifest) -> Result<(), PlaceError> {
        let starts = {
            let headers = self.headers();
            let is_best =
                |entry: &SegmentEntry| headers.hash_at(entry.to) == Some(entry.block_hash);
            let last = manifest.entries().last();
            let is_known = last.is_some_and(|last| last.to == manifest.headers.to && is_best(last));
            if is_known {
                return Ok(());
            }
            let sealed = manifest.segments.iter().rev().find(|entry| is_best(entry));
            let above = sealed.map_or(1, |entry| entry.to.saturating_add(1)); // all have block 0
            let near = headers
                .tip()
                .height
                .min(manifest.headers.to)
                .saturating_sub(REREAD);
            [near.max(above), above, 1]
        };
        let mut last = None;
        for from in starts
            .into_iter()
            .filter(|from| *from <= manifest.headers.to)
        {
            match self.read_headers_from(at, from, manifest.headers.to) {
                Err(Trouble::Fault(HeaderFault::Unlinked(_))) if from > 1 => {}
                Err(Trouble::Fault(fault)) if fault.blames_sender() => {
                    return Err(PlaceError::Wrong(fault.to_string()));
                }
                Err(Trouble::Fault(fault)) => {
                    return Err(PlaceError::Unreachable(fault.to_string()));
                }
                Err(Trouble::Place(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
            last = Some(from);
        }
        let from = last.unwrap_or(1);
        Err(PlaceError::Wrong(format!(
            "its block headers from {from} on are on top of none that is known"
        )))
    }

    fn read_headers_from(&mut self, at: usize, from: u32, to: u32) -> Result<(), Trouble> {
        let Self {
            headers,
            shared,
            logs,
            clock,
            ..
        } = self;
        let Some(log) = logs.get_mut(at) else {
            return Ok(());
        };
        let count = to - from + 1;
        let mut pending: Vec<u8> = Vec::new();
        let (mut done, mut fault) = (0, None);
        let mut accept = |pending: &mut Vec<u8>, least: usize| {
            while pending.len() >= least * HEADER_LENGTH && pending.len() >= HEADER_LENGTH {
                let length = pending.len().min(RUN * HEADER_LENGTH);
                let length = length - length % HEADER_LENGTH;
                let run: Vec<u8> = pending.drain(..length).collect();
                let run: Result<Vec<Header>, _> = run
                    .chunks_exact(HEADER_LENGTH)
                    .map(encode::deserialize)
                    .collect();
                let run = run.map_err(|_| HeaderFault::Height(from))?;
                let mut headers = headers.lock().unwrap_or_else(PoisonError::into_inner);
                headers.accept(&run, clock.unix_time())?;
                done += run.len() as u32;
                shared.lock().headers = Some((done, count));
            }
            Ok::<(), HeaderFault>(())
        };
        let wanted = Wanted {
            name: HEADERS,
            from: u64::from(from) * HEADER_LENGTH as u64,
            most: u64::from(count) * HEADER_LENGTH as u64,
            rest: Rest::Left,
        };
        let read = log.reader.read(wanted, &mut |part| {
            pending.extend_from_slice(part);
            accept(&mut pending, RUN).map_err(|found| {
                fault = Some(found);
                io::Error::other("a wrong header")
            })
        });
        let rest = match fault {
            None => read
                .map_err(Trouble::Place)
                .and_then(|()| Ok(accept(&mut pending, 1)?)),
            Some(fault) => Err(Trouble::Fault(fault)),
        };
        shared.lock().headers = None;
        rest
    }
}

/// Why headers were not read.
enum Trouble {
    Place(PlaceError),
    Fault(HeaderFault),
}

impl From<HeaderFault> for Trouble {
    fn from(fault: HeaderFault) -> Self {
        Self::Fault(fault)
    }
}
