//! A file as the database uses it: bytes at places. A test puts something else there, to see what was written and to lose a
//! part of it.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes at places.
pub(super) trait Medium: Debug + Send + Sync {
    /// How many bytes there are.
    fn length(&self) -> io::Result<u64>;

    /// Fills `out` from a place on; an error if there is less.
    fn read(&self, out: &mut [u8], place: u64) -> io::Result<()>;

    /// Writes all of `bytes` from a place on. After an error any part of them may be there.
    fn write(&self, bytes: &[u8], place: u64) -> io::Result<()>;

    /// Cuts it off, or goes on with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when everything written survives a loss of power.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, out: &mut [u8], place: u64) -> io::Result<()> {
        self.read_exact_at(out, place)
    }

    fn write(&self, bytes: &[u8], place: u64) -> io::Result<()> {
        self.write_all_at(bytes, place)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
