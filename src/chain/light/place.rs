//! Where a log lies: a directory, or a folder of a web server. Files are read from any byte on, with limits.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::Uri;

use super::shared::Ending;
use super::web::Web;

/// Bytes that are handed on at once.
const CHUNK: usize = 256 << 10;
/// Time between two looks at a web server, and at a directory.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(250));

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// An absolute directory.
    Directory(PathBuf),
    /// A folder of a web server, over http or https.
    Url(Uri),
}

impl LogPlace {
    /// The place that a configuration names: a URL, or else a directory.
    pub fn of(text: &str) -> Self {
        match text.parse::<Uri>() {
            Ok(uri) if uri.scheme().is_some() => Self::Url(uri),
            _ => Self::Directory(text.into()),
        }
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Url(uri) => uri.fmt(f),
        }
    }
}

/// Why a file of a log cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// It may be there later.
    #[error("{0}")]
    Unreachable(String),
    /// The place gives what no log has.
    #[error("{0}")]
    Wrong(String),
    /// bnsd is to end.
    #[error("bnsd was told to stop")]
    Stopped,
    /// What came cannot be kept.
    #[error("cannot keep what the log holds: {0}")]
    Kept(io::Error),
}

/// Takes bytes over as they come.
pub(super) type Take<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its name below the place.
    pub(super) name: &'a str,
    /// The first byte.
    pub(super) from: u64,
    /// How many bytes are wanted at most.
    pub(super) most: u64,
    /// What becomes of more.
    pub(super) rest: Rest,
}

/// What becomes of bytes behind those that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They are an error.
    Refused,
    /// They are left where they are.
    Left,
}

impl Wanted<'_> {
    /// What of `part` is wanted when `left` bytes are; whether that is the end.
    pub(super) fn cut<'p>(
        &self,
        part: &'p [u8],
        left: &mut u64,
    ) -> Result<(&'p [u8], bool), PlaceError> {
        let is_more = part.len() as u64 > *left;
        if is_more && self.rest == Rest::Refused {
            let length = self.from.saturating_add(self.most);
            return Err(PlaceError::Wrong(format!(
                "{} is longer than {length} bytes",
                self.name
            )));
        }
        let taken = part.get(..(*left as usize).min(part.len())).unwrap_or(part);
        *left -= taken.len() as u64;
        Ok((taken, is_more || *left == 0 && self.rest == Rest::Left))
    }
}

/// Reads the files of one place.
pub(super) struct Reader {
    place: LogPlace,
    web: Option<Web>,
    /// How the list looked when it was last read.
    seen: Option<(SystemTime, u64)>,
}

impl Reader {
    pub(super) fn new(place: LogPlace, proxy: Option<SocketAddr>, ending: Arc<Ending>) -> Self {
        let web = match &place {
            LogPlace::Directory(_) => None,
            LogPlace::Url(base) => Some(Web::new(base.clone(), proxy, ending)),
        };
        Self {
            place,
            web,
            seen: None,
        }
    }

    /// How often it is asked whether something changed.
    pub(super) fn look_every(&self) -> Duration {
        match self.place {
            LogPlace::Directory(_) => LOOK_EVERY.1,
            LogPlace::Url(_) => LOOK_EVERY.0,
        }
    }

    /// Whether the file `name` is as it was when this was last asked; a web server is not asked.
    pub(super) fn is_unchanged(&mut self, name: &str) -> bool {
        let LogPlace::Directory(directory) = &self.place else {
            return false;
        };
        let now = directory.join(name).metadata().ok();
        let now = now.and_then(|now: Metadata| Some((now.modified().ok()?, now.len())));
        let is_unchanged = now.is_some() && self.seen == now;
        self.seen = now;
        is_unchanged
    }

    /// Forgets how the list looked.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// Gives the bytes of a file to `take`.
    pub(super) fn read(
        &mut self,
        wanted: Wanted<'_>,
        take: &mut Take<'_>,
    ) -> Result<(), PlaceError> {
        match (&self.place, &mut self.web) {
            (LogPlace::Directory(directory), _) => {
                read_file(&directory.join(wanted.name), wanted, take)
            }
            (LogPlace::Url(_), Some(web)) => web.get(wanted, take),
            (LogPlace::Url(uri), None) => Err(PlaceError::Unreachable(uri.to_string())),
        }
    }

    /// The same into memory.
    pub(super) fn bytes(&mut self, wanted: Wanted<'_>) -> Result<Vec<u8>, PlaceError> {
        let mut bytes = Vec::new();
        let mut take = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        self.read(wanted, &mut take)?;
        Ok(bytes)
    }
}

fn read_file(path: &Path, wanted: Wanted<'_>, take: &mut Take<'_>) -> Result<(), PlaceError> {
    let failed = |error: io::Error| PlaceError::Unreachable(format!("{}: {error}", path.display()));
    // Whatever lies there must not hold up the thread.
    let mut file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(PlaceError::Wrong(format!("{} is no file", path.display())));
    }
    file.seek(SeekFrom::Start(wanted.from)).map_err(failed)?;
    let (mut buffer, mut left) = (vec![0; CHUNK], wanted.most);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(());
        };
        let (part, is_end) = wanted.cut(part, &mut left)?;
        take(part).map_err(PlaceError::Kept)?;
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_url_or_a_directory() {
        assert!(matches!(
            LogPlace::of("https://example.com/log"),
            LogPlace::Url(_)
        ));
        let path = LogPlace::of("/var/log of names");
        assert_eq!(path, LogPlace::Directory("/var/log of names".into()));
        assert_eq!(path.to_string(), "/var/log of names");
    }

    #[test]
    fn a_file_is_read_from_any_byte_and_not_beyond_the_limit() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        std::fs::write(scratch.path().join("file"), b"0123456789").expect("a file");
        let place = LogPlace::Directory(scratch.path().to_owned());
        let mut reader = Reader::new(place, None, Arc::default());
        let mut read = |from, most, rest| {
            let name = "file";
            reader.bytes(Wanted {
                name,
                from,
                most,
                rest,
            })
        };
        assert_eq!(read(4, 6, Rest::Refused).expect("bytes"), b"456789");
        assert_eq!(read(10, 0, Rest::Refused).expect("none"), b"");
        assert_eq!(read(4, 3, Rest::Left).expect("a part"), b"456");
        assert!(matches!(
            read(4, 5, Rest::Refused),
            Err(PlaceError::Wrong(_))
        ));
        let nothing = Wanted {
            name: "nothing",
            from: 0,
            most: 9,
            rest: Rest::Left,
        };
        assert!(matches!(
            reader.bytes(nothing),
            Err(PlaceError::Unreachable(_))
        ));
        assert!(!reader.is_unchanged("file") && reader.is_unchanged("file"));
    }
}
