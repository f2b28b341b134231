//! `bnsd zonefile export --all`: every zone file that the chain announces, with the numbered index.
//!
//! An archive is written beside its place and moved there when it is whole. A directory gets its files one by one and the index
//! last; begun again, it goes on with what is missing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::index::{HEAD, INDEX, write};
use super::source::{FileLine, Source};
use crate::api::zonefiles::{Bytes, FILES_MAX, ZonefilesRequest};
use crate::cli::count::count;
use crate::cli::{CliError, Context, Exit, Result};
use crate::disk;
use crate::hash::ZonefileHash;

/// What was exported.
#[derive(Debug, Default, Serialize)]
struct Exported {
    /// Rows of the index.
    rows: u64,
    /// Zone files in the export.
    zonefiles: u64,
    /// Rows without a file.
    absent: u64,
}

/// Writes all zone files to a directory, or to an archive if `to` ends in `.tar`, `.tar.gz` or `.tgz`.
pub(super) fn all(to: &Path, context: &Context) -> Result<Exit> {
    let source = Source::find(context)?;
    let list = List::read(&source)?;
    let name = to.to_string_lossy();
    if name.ends_with(".tar") {
        pack(to, |file| file, Ok, &list, &source)?;
    } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        let zip = |file| GzEncoder::new(file, Compression::default());
        pack(to, zip, GzEncoder::finish, &list, &source)?;
    } else {
        fill(to, &list, &source)?;
    }
    context.output.show(&list.exported, |page| {
        let Exported {
            zonefiles, absent, ..
        } = list.exported;
        page.heading(format!("{} exported", count(zonefiles, "zone file")));
        if absent > 0 {
            page.note(format!(
                "{} of the index without a file: `bnsd zonefile missing` says why.",
                count(absent, "row")
            ));
        }
    })
}

/// The announcements, as lines and as files.
struct List {
    index: String,
    /// Each file once.
    hashes: Vec<ZonefileHash>,
    exported: Exported,
}

impl List {
    fn read(source: &Source) -> Result<Self> {
        let mut list = Self {
            index: format!("{HEAD}\n"),
            hashes: Vec::new(),
            exported: Exported::default(),
        };
        loop {
            let next = list.exported.rows as u32 + 1;
            let (rows, _) = source.announced(next)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                write(&row, &mut list.index);
                list.exported.rows += 1;
                match row.present {
                    true => list.hashes.push(row.hash),
                    false => list.exported.absent += 1,
                }
            }
        }
        list.hashes.sort_unstable();
        list.hashes.dedup();
        list.exported.zonefiles = list.hashes.len() as u64;
        Ok(list)
    }

    /// Hands every file to `take`, unless `has` says that it is there.
    fn fetch(
        &self,
        source: &Source,
        has: impl Fn(&ZonefileHash) -> bool,
        mut take: impl FnMut(&ZonefileHash, &[u8]) -> io::Result<()>,
        failed: impl Fn(io::Error) -> CliError + Copy,
    ) -> Result<()> {
        let (mut line, mut done) = (FileLine::new(), 0);
        for hashes in self.hashes.chunks(FILES_MAX) {
            let hashes: Vec<ZonefileHash> =
                hashes.iter().filter(|hash| !has(hash)).copied().collect();
            let reply = source.ask(ZonefilesRequest {
                hashes: hashes.clone(),
            })?;
            if reply.zonefiles.len() != hashes.len() {
                let text = "a zone file was lost while it was exported: begin again";
                return Err(CliError::No(text.to_owned()));
            }
            for Bytes(bytes) in &reply.zonefiles {
                take(&ZonefileHash::of(bytes), bytes).map_err(failed)?;
            }
            done += FILES_MAX as u64;
            let all = self.hashes.len() as u64;
            line.reached(done.min(all), done.min(all), all);
        }
        Ok(())
    }
}

/// The place of a file in an export.
fn place(hash: &ZonefileHash) -> String {
    let [first, second, ..] = hash.0;
    format!("{first:02x}/{second:02x}/{hash}.txt")
}

fn fill(to: &Path, list: &List, source: &Source) -> Result<()> {
    let failed = CliError::file(to);
    disk::create_directory(to).map_err(failed)?;
    let has = |hash: &ZonefileHash| {
        let path = to.join(place(hash));
        fs::read(path).is_ok_and(|bytes| ZonefileHash::of(&bytes) == *hash)
    };
    let take = |hash: &ZonefileHash, bytes: &[u8]| {
        let path = to.join(place(hash));
        disk::create_directory(path.parent().unwrap_or(to))?;
        let beside = path.with_extension("new");
        fs::write(&beside, bytes)?;
        fs::rename(beside, path)
    };
    list.fetch(source, has, take, failed)?;
    disk::replace(&to.join(INDEX), list.index.as_bytes()).map_err(failed)
}

/// Writes an archive through `wrap`, which `finish` brings to its end.
fn pack<W: Write>(
    to: &Path,
    wrap: impl FnOnce(BufWriter<File>) -> W,
    finish: impl FnOnce(W) -> io::Result<BufWriter<File>>,
    list: &List,
    source: &Source,
) -> Result<()> {
    let failed = CliError::file(to);
    let beside = Beside::of(to);
    let file = beside.make().map_err(failed)?;
    let mut builder = tar::Builder::new(wrap(BufWriter::new(file)));
    append(&mut builder, INDEX, list.index.as_bytes()).map_err(failed)?;
    let take = |hash: &ZonefileHash, bytes: &[u8]| append(&mut builder, &place(hash), bytes);
    list.fetch(source, |_| false, take, failed)?;
    let written = builder.into_inner().and_then(finish).map_err(failed)?;
    let file = written
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    disk::rename(&beside.0, to).map_err(failed)
}

/// The same bytes for the same files, whenever they are packed.
fn append<W: Write>(builder: &mut tar::Builder<W>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    builder.append_data(&mut header, path, bytes)
}

/// A file beside its place; removed unless it is moved there.
struct Beside(PathBuf);

impl Beside {
    fn of(to: &Path) -> Self {
        let mut name = to.as_os_str().to_owned();
        name.push(".new");
        Self(name.into())
    }

    fn make(&self) -> io::Result<File> {
        let _ = fs::remove_file(&self.0); // what cannot be removed is an error of the next call
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // after the move there is nothing to remove
    }
}
