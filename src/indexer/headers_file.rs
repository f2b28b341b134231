//! The file `headers` of a log: 80 bytes a block, from the genesis block to the tip.
//!
//! It grows at its end, where nobody reads who goes by `log.json`. Where blocks were replaced, a whole new file takes its
//! place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};

use crate::chain::header::HEADER_LENGTH;
use crate::chain::{BlockRef, HEADERS_MAX};
use crate::disk;

use super::export_error::{ExportError, failed};
use super::supply::Supply;

/// The file.
pub(super) struct HeadersFile {
    path: PathBuf,
    /// How many headers it has; `None` until it was read.
    count: Option<u32>,
}

impl HeadersFile {
    /// The one at `path`; nothing is read yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, count: None }
    }

    /// The header at a height.
    pub(super) fn at(&self, height: u32) -> Result<Header, ExportError> {
        self.read(height).map_err(failed(&self.path))
    }

    /// Brings the file to `tip`. Gives a height up to which it stayed as it was.
    pub(super) fn follow(
        &mut self,
        tip: BlockRef,
        supply: &mut dyn Supply,
    ) -> Result<u32, ExportError> {
        let had = match self.count {
            Some(count) => count,
            None => self.count_linked().map_err(failed(&self.path))?,
        };
        self.count = Some(had);
        let wanted = tip.height.saturating_add(1);
        let mut kept = had.min(wanted);
        let mut step = 1;
        while kept > 0 {
            let theirs = supply.headers(kept - 1, 1)?;
            if theirs.first() == Some(&self.at(kept - 1)?) {
                break;
            }
            kept = kept.saturating_sub(step);
            step *= 2;
        }
        if kept < wanted || had > wanted {
            self.count = None; // until it is written
            self.write(kept, had, wanted, supply)?;
            self.count = Some(wanted);
        }
        if self.at(tip.height)?.block_hash() != tip.hash {
            return Err(ExportError::Moved);
        }
        Ok(kept.saturating_sub(1))
    }

    /// Writes the headers behind the first `kept`, until there are `wanted`.
    fn write(
        &self,
        kept: u32,
        had: u32,
        wanted: u32,
        supply: &mut dyn Supply,
    ) -> Result<(), ExportError> {
        let grows = kept == had && kept > 0;
        let place = match grows {
            true => self.path.clone(),
            false => self.path.with_extension("new"),
        };
        let failed = failed(&place);
        let file = match grows {
            true => self.open_at(kept),
            false => self.begin(&place, kept),
        };
        let mut file = BufWriter::new(file.map_err(&failed)?);
        let mut next = kept;
        while next < wanted {
            let headers = supply.headers(next, HEADERS_MAX.min(wanted - next))?;
            if headers.is_empty() {
                return Err(ExportError::Moved);
            }
            for header in &headers {
                file.write_all(&serialize(header)).map_err(&failed)?;
            }
            next = next.saturating_add(headers.len() as u32);
        }
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(&failed)?;
        match grows {
            true => Ok(()),
            false => disk::rename(&place, &self.path).map_err(&failed),
        }
    }

    /// The file, to be written on behind its first `kept` headers.
    fn open_at(&self, kept: u32) -> io::Result<File> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        file.set_len(offset(kept))?;
        file.flush()?;
        Ok(file)
    }

    /// A new file with the first `kept` headers of this one.
    fn begin(&self, place: &PathBuf, kept: u32) -> io::Result<File> {
        disk::remove(place)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(place)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?; // whatever the mask says
        if kept > 0 {
            let old = File::open(&self.path)?;
            io::copy(&mut old.take(offset(kept)), &mut file)?;
        }
        Ok(file)
    }

    /// How many headers from the first on are whole and linked.
    fn count_linked(&self) -> io::Result<u32> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => io::BufReader::new(file?),
        };
        let (mut count, mut below) = (0, None);
        let mut bytes = [0; HEADER_LENGTH];
        loop {
            match file.read_exact(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(count),
                read => read?,
            }
            let header: Header = deserialize(&bytes).map_err(io::Error::other)?;
            if below.is_some_and(|below| below != header.prev_blockhash) {
                return Ok(count);
            }
            below = Some(header.block_hash());
            count += 1;
        }
    }

    fn read(&self, height: u32) -> io::Result<Header> {
        let mut bytes = [0; HEADER_LENGTH];
        File::open(&self.path)?.read_exact_at(&mut bytes, offset(height))?;
        deserialize(&bytes).map_err(io::Error::other)
    }
}

/// Where the header at a height begins.
fn offset(height: u32) -> u64 {
    u64::from(height) * HEADER_LENGTH as u64
}
