//! `bnsd zonefile import`: zone files from a directory or an archive, kept where the chain has announced their hashes.
//!
//! What is read comes from strangers. Only bytes count: no path of an entry is followed, links and devices are passed over, a
//! file has the size of a zone file or is passed over, and every hash is checked. An export's index is compared with the chain.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use serde::Serialize;

use super::index::{HEAD, INDEX, LINE_MAX, read};
use super::source::{FileLine, Source};
use crate::api::zonefiles::{Bytes, IMPORT_MAX, ImportRequest};
use crate::cli::count::count;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ZonefileHash;
use crate::names::{AnnouncedZonefile, Imported};
use crate::zonefile::ZONEFILE_MAX;

/// Most hashes that are listed.
const LISTED: usize = 20;
/// Directories inside of each other that are looked into: the oldest layout has one for each byte of a hash.
const DEPTH_MAX: usize = 24;

/// What became of the files.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Stored now.
    stored: u64,
    /// In the archive before.
    known: u64,
    /// Not announced by the chain, as far as it is indexed.
    unannounced: u64,
    /// The first of those.
    unannounced_hashes: Vec<ZonefileHash>,
    /// Empty, too large, or no files.
    passed_over: u64,
    /// Rows of an index that agree with the chain.
    index_rows: u64,
    /// Rows of an index that are beyond the indexed chain.
    index_rows_ahead: u64,
}

/// Imports everything below a directory or in an archive.
pub(super) fn import(from: &Path, context: &Context) -> Result<Exit> {
    let failed = CliError::file(from);
    let metadata = fs::metadata(from).map_err(failed)?;
    let source = Source::find(context)?;
    let mut import = Import {
        source: &source,
        batch: Vec::new(),
        size: 0,
        report: Report::default(),
        line: FileLine::new(),
    };
    if metadata.is_dir() {
        import.directory(from)?;
    } else {
        import.archive(from, metadata.len())?;
    }
    import.send()?;
    let report = import.report;
    context.output.show(&report, |page| report.write(page))
}

struct Import<'s> {
    source: &'s Source,
    batch: Vec<Bytes>,
    size: usize,
    report: Report,
    line: FileLine,
}

impl Import<'_> {
    fn directory(&mut self, from: &Path) -> Result<()> {
        let failed = CliError::file(from);
        let index = from.join(INDEX);
        if index
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file())
        {
            self.index(File::open(&index).map_err(failed)?, &index)?;
        }
        let mut paths = Vec::new();
        collect(from, 0, &mut paths, &mut self.report.passed_over).map_err(failed)?;
        let all = paths.len() as u64;
        for (done, path) in (1..).zip(paths) {
            if path == index {
                continue;
            }
            let mut bytes = Vec::new();
            let file = File::open(&path).map_err(CliError::file(&path))?;
            let read = file.take(ZONEFILE_MAX as u64 + 1).read_to_end(&mut bytes);
            read.map_err(CliError::file(&path))?;
            self.take(bytes)?;
            self.line.reached(done, done, all);
        }
        Ok(())
    }

    fn archive(&mut self, from: &Path, size: u64) -> Result<()> {
        let failed = CliError::file(from);
        let place = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            file: File::open(from).map_err(failed)?,
            place: Arc::clone(&place),
        };
        let mut file = BufReader::new(counted);
        let is_zipped = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]); // RFC 1952 §2.3.1
        let bytes: Box<dyn Read> = match is_zipped {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let mut archive = tar::Archive::new(bytes);
        // Raw: what extends other entries, such as long names, would be read into memory whatever its size.
        let entries = archive.entries().map_err(failed)?.raw(true);
        let mut files = 0;
        for entry in entries {
            let mut entry = entry.map_err(failed)?;
            let kind = entry.header().entry_type();
            let is_file = kind.is_file();
            if is_file && *entry.path_bytes() == *INDEX.as_bytes() {
                self.index(entry, from)?;
                continue;
            }
            if !is_file || entry.size() > ZONEFILE_MAX as u64 {
                self.report.passed_over += u64::from(!kind.is_dir());
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(failed)?;
            self.take(bytes)?;
            files += 1;
            self.line
                .reached(files, place.load(Ordering::Relaxed), size);
        }
        Ok(())
    }

    /// Compares an index with the chain. A row that the chain has otherwise ends the import.
    fn index(&mut self, index: impl Read, path: &Path) -> Result<()> {
        let mut lines = Lines(BufReader::new(index));
        let failed = CliError::file(path);
        if lines.next().map_err(failed)?.as_deref() != Some(HEAD) {
            return Err(no_index(path, 0));
        }
        let mut announced: Vec<AnnouncedZonefile> = Vec::new();
        let (mut number, mut is_ahead) = (0, false);
        while let Some(line) = lines.next().map_err(failed)? {
            number += 1;
            let row = read(&line).filter(|row| row.index == number);
            let row = row.ok_or_else(|| no_index(path, number))?;
            if announced.is_empty() && !is_ahead {
                announced = self.source.announced(number)?.0;
                announced.reverse();
                is_ahead = announced.is_empty(); // so are all rows behind it
            }
            match announced.pop() {
                None => self.report.index_rows_ahead += 1,
                Some(ours) if is_same(&ours, &row) => self.report.index_rows += 1,
                Some(ours) => {
                    let text = format!(
                        "row {number} of the index in {} is {} of {}, and our chain announces {} of {} there: it is of another chain, or somebody changed it; the rest was not imported",
                        path.display(),
                        row.hash,
                        row.name,
                        ours.hash,
                        ours.name
                    );
                    return Err(CliError::No(text));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<()> {
        if !(1..=ZONEFILE_MAX).contains(&bytes.len()) {
            self.report.passed_over += 1;
            return Ok(());
        }
        if self.size + bytes.len() > IMPORT_MAX {
            self.send()?;
        }
        self.size += bytes.len();
        self.batch.push(Bytes(bytes));
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        let zonefiles = std::mem::take(&mut self.batch);
        self.size = 0;
        if zonefiles.is_empty() {
            return Ok(());
        }
        let hashes: Vec<ZonefileHash> = zonefiles
            .iter()
            .map(|Bytes(bytes)| ZonefileHash::of(bytes))
            .collect();
        let reply = self.source.ask(ImportRequest { zonefiles })?;
        for (imported, hash) in reply.imported.into_iter().zip(hashes) {
            match imported {
                Imported::Stored => self.report.stored += 1,
                Imported::Known => self.report.known += 1,
                Imported::Unusable => self.report.passed_over += 1,
                Imported::Unannounced => {
                    self.report.unannounced += 1;
                    if self.report.unannounced_hashes.len() < LISTED {
                        self.report.unannounced_hashes.push(hash);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Report {
    fn write(&self, page: &mut Page) {
        page.heading(format!("{} stored", count(self.stored, "zone file")));
        for (number, what) in [
            (self.known, "in the archive before"),
            (self.unannounced, "not announced by the chain and not kept"),
            (self.passed_over, "passed over: empty, too large or no file"),
        ] {
            if number > 0 {
                page.row([number.to_string(), what.to_owned()]);
            }
        }
        for hash in &self.unannounced_hashes {
            page.row([String::new(), hash.to_string()]);
        }
        let (rows, ahead) = (self.index_rows, self.index_rows_ahead);
        if rows + ahead > 0 {
            page.note(format!(
                "{rows} rows of the index agree with the chain, {ahead} are beyond what is indexed."
            ));
        }
    }
}

/// Whether a row says of an announcement what the chain says; who has the file does not matter.
fn is_same(ours: &AnnouncedZonefile, row: &AnnouncedZonefile) -> bool {
    (&ours.name, ours.hash, ours.txid, ours.height) == (&row.name, row.hash, row.txid, row.height)
}

fn no_index(path: &Path, number: u32) -> CliError {
    CliError::No(format!(
        "line {} of the index in {} is none of an export: export again, or remove {INDEX} and import the files alone",
        number + 1,
        path.display()
    ))
}

/// All files below a directory that are no links, without following any.
fn collect(
    directory: &Path,
    depth: usize,
    paths: &mut Vec<std::path::PathBuf>,
    passed_over: &mut u64,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            collect(&entry.path(), depth + 1, paths, passed_over)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        } else {
            *passed_over += 1;
        }
    }
    Ok(())
}

/// Lines of a bounded length.
struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    /// The next line without its end; `None` after the last one. One that is too long is cut, and no row then.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.0
            .by_ref()
            .take(LINE_MAX as u64)
            .read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let is_end = line.is_empty() && self.0.fill_buf()?.is_empty();
        Ok((!is_end).then(|| String::from_utf8_lossy(&line).into_owned()))
    }
}

/// A file that says how far it was read.
struct Counted {
    file: File,
    place: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.place.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
