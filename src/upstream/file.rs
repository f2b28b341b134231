//! The cache across restarts: one file, written when the daemon stops and read when it starts.
//!
//! ```text
//! "bnsdcach" version: u32  upstreams: SHA-256  written: u64 (seconds since 1970)
//! then for each response   key: u16 + bytes  channel: u8  remaining: u32 (seconds)  message: u16 + bytes
//! last                     SHA-256 of everything before it
//! ```
//!
//! All numbers are big endian. The file is only as good as the disk, so nothing in it is believed before its digest
//! fits and every message has been walked again. Responses belong to the upstreams that gave them: with others in
//! force, or with a clock that went back, the file is not used. It has mode 0600, since it says where a
//! person has been.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};

use super::ask::split_key;
use super::entry::{Channel, Entry};
use super::forwarder::Forwarder;
use crate::disk::{self, rights};

/// What such a file begins with.
const MAGIC: &[u8; 8] = b"bnsdcach";
/// Version of the format.
const VERSION: u32 = 1;
/// Length of a SHA-256.
const DIGEST: usize = 32;

/// Why the file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("the cache's file: {0}")]
    Io(#[from] io::Error),
    /// It is no such file, or not whole.
    #[error("the cache's file is damaged or of another version; it will be written anew")]
    Damaged,
}

impl Forwarder {
    /// Writes what is kept and in date to a file, all of it or nothing.
    pub fn save(&self, path: &Path) -> Result<usize, FileError> {
        let now = self.now();
        let mut bytes = self.file_head();
        let mut count = 0;
        for (key, entry) in self.cache.iter() {
            let remaining = entry.remaining(now);
            if remaining > 0 && bytes.len() < self.file_max() {
                put(&mut bytes, &key, &entry, remaining, now);
                count += 1;
            }
        }
        let digest = sha256::Hash::hash(&bytes);
        bytes.extend(digest.to_byte_array());
        disk::replace(path, &bytes)?;
        Ok(count)
    }

    /// Reads what an earlier run kept; gives the number of responses. No file is no error.
    pub fn load(&self, path: &Path) -> Result<usize, FileError> {
        rights::make_private(path)?;
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(self.file_max() as u64 * 2)
            .read_to_end(&mut bytes)?;
        let whole = bytes
            .split_last_chunk::<DIGEST>()
            .filter(|(body, digest)| sha256::Hash::hash(body).as_byte_array() == *digest);
        let taken = whole.and_then(|(body, _)| self.take_body(body));
        taken.ok_or(FileError::Damaged)
    }

    fn take_body(&self, body: &[u8]) -> Option<usize> {
        let head = self.file_head();
        let (theirs, rest) = body.split_at_checked(head.len())?;
        let (ours, _) = head.split_last_chunk::<8>()?;
        let (theirs, written) = theirs.split_last_chunk::<8>()?;
        if theirs.get(..12) != ours.get(..12) {
            return None;
        }
        // Other upstreams, or a clock that went back: whole, and of no use.
        let passed = self
            .clock
            .unix_time()
            .checked_sub(u64::from_be_bytes(*written));
        let Some(passed) = passed.filter(|_| theirs == ours) else {
            return Some(0);
        };
        let mut rest = rest;
        let mut count = 0;
        while !rest.is_empty() {
            count += usize::from(self.keep(take(&mut rest)?, passed));
        }
        Some(count)
    }

    /// Keeps a response that was in the file for `passed` seconds, unless it is out of date.
    fn keep(&self, (key, channel, remaining, message): Taken<'_>, passed: u64) -> bool {
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        let remaining = remaining.saturating_sub(passed);
        if remaining == 0 || !fits(key, message) {
            return false;
        }
        let times = (passed, remaining);
        let entry = Entry::restore(message.to_vec(), self.now(), times, channel);
        entry
            .map(|entry| self.cache.insert_key(key.into(), Arc::new(entry)))
            .is_some()
    }

    fn file_head(&self) -> Vec<u8> {
        let upstreams: Vec<String> = self.upstreams().iter().map(ToString::to_string).collect();
        // What was not validated is not what somebody wants who validates, and the other way round.
        let terms = self.terms();
        let routes = format!("{:?} {:?}", terms.options.routes, terms.options.anchors);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        let whom = sha256::Hash::hash(format!("{upstreams:?} {routes}").as_bytes());
        bytes.extend(whom.to_byte_array());
        bytes.extend(self.clock.unix_time().to_be_bytes());
        bytes
    }

    fn file_max(&self) -> usize {
        let cache_bytes = self.terms().options.cache_bytes;
        cache_bytes.saturating_add(1 << 20)
    }
}

fn put(bytes: &mut Vec<u8>, key: &[u8], entry: &Entry, remaining: u32, now: Duration) {
    let message = entry.aged(now);
    let channel = match entry.channel {
        // What came from a portal is never kept.
        Channel::Plain | Channel::Portal => 0,
        Channel::Authenticated => 1,
        Channel::Validated => 2,
    };
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend(key);
    bytes.push(channel);
    bytes.extend(remaining.to_be_bytes());
    bytes.extend((message.len() as u16).to_be_bytes());
    bytes.extend(message);
}

/// A response in the file: its key, who vouches for it, the seconds that it held when it was written, and the message.
type Taken<'a> = (&'a [u8], Channel, u32, &'a [u8]);

fn take<'a>(bytes: &mut &'a [u8]) -> Option<Taken<'a>> {
    let key = take_counted(bytes)?;
    let channel = match bytes.split_off_first()? {
        0 => Channel::Plain,
        1 => Channel::Authenticated,
        2 => Channel::Validated,
        _ => return None,
    };
    let (remaining, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let remaining = u32::from_be_bytes(*remaining);
    Some((key, channel, remaining, take_counted(bytes)?))
}

fn take_counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (data, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    *bytes = rest;
    Some(data)
}

/// Whether a message is about the name of its key.
fn fits(key: &[u8], message: &[u8]) -> bool {
    let asked = crate::wire::read_name(message, crate::wire::HEADER);
    let key = split_key(key);
    matches!((key, asked), (Some((name, ..)), Some((asked, _))) if name == asked)
}
