//! Compiled forms that are not those of their zone files: of an earlier version of the program, damaged, or put there by somebody
//! who can write to the disk. Records with such a form are appended again.

use std::io;

use crate::hash::ZonefileHash;

use super::{PIECE, Segments, form};

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Forms of another version, or missing ones.
    pub old: usize,
    /// Forms of this version that were others than their zone files have.
    pub wrong: usize,
}

impl Segments {
    /// Compares the forms of these records with what follows from their zone files, and makes those anew that differ. Passes over
    /// zone files that are wrong.
    pub fn renew(&self, hashes: &[ZonefileHash]) -> io::Result<Renewed> {
        let (mut renewed, mut buffer) = (Renewed::default(), Vec::new());
        let (mut files, mut size) = (Vec::new(), 0);
        for hash in hashes {
            let Some(zonefile) = self.to_renew(hash, &mut buffer, &mut renewed)? else {
                continue;
            };
            size += zonefile.len();
            files.push((*hash, zonefile));
            if size >= PIECE {
                self.append_all(&files)?;
                files.clear();
                size = 0;
            }
        }
        self.append_all(&files)?;
        Ok(renewed)
    }

    /// The zone file with this hash, if its record has another form than it should have.
    fn to_renew(
        &self,
        hash: &ZonefileHash,
        buffer: &mut Vec<u8>,
        renewed: &mut Renewed,
    ) -> io::Result<Option<Vec<u8>>> {
        let Some((head, body)) = self.read_record(hash, buffer)? else {
            return Ok(None);
        };
        let (zonefile, form) = body.split_at(head.length);
        let is_whole = head.is_of(body);
        let is_right = is_whole && form == form::of(zonefile);
        match (head.is_of_this_version(), is_right) {
            (true, true) => return Ok(None),
            (true, false) => renewed.wrong += 1,
            (false, _) => renewed.old += 1,
        }
        Ok(Some(zonefile.to_vec()))
    }

    /// Appends zone files anew, if there are any.
    pub(super) fn append_all(&self, files: &[(ZonefileHash, Vec<u8>)]) -> io::Result<()> {
        let files: Vec<_> = files
            .iter()
            .map(|(hash, bytes)| (hash, &bytes[..]))
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        self.append(&files)
    }
}
