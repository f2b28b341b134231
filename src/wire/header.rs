//! The header of a message: ID, flags and counts (RFC 1035 §4.1.1, RFC 4035 §3.2 for AD and CD).

/// Length of a DNS header.
pub const HEADER: usize = 12;
/// Largest message that is sent over UDP, in either direction: it fits into every path (DNS flag day 2020).
pub const UDP_MAX: u16 = 1232;
/// Largest UDP message for those who do not speak EDNS (RFC 1035 §4.2.1).
pub const UDP_PLAIN: u16 = 512;

/// Bits of the flags.
pub mod flag {
    /// The message is a response.
    pub const QR: u16 = 0x8000;
    /// The four bits of the opcode.
    pub const OPCODE: u16 = 0x7800;
    /// The data comes from who is responsible for it.
    pub const AA: u16 = 0x0400;
    /// The message was cut.
    pub const TC: u16 = 0x0200;
    /// The client wants a whole answer.
    pub const RD: u16 = 0x0100;
    /// The server gives whole answers.
    pub const RA: u16 = 0x0080;
    /// The data was validated.
    pub const AD: u16 = 0x0020;
    /// The client validates by itself.
    pub const CD: u16 = 0x0010;
    /// The low four bits of the response code.
    pub const RCODE: u16 = 0x000f;
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// ID.
    pub id: u16,
    /// Flags, see [`flag`].
    pub flags: u16,
    /// Questions, answers, authorities, additionals.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the first twelve bytes of a message.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [i1, i2, f1, f2, a1, a2, b1, b2, c1, c2, d1, d2] = *bytes.first_chunk::<HEADER>()?;
        let counts = [[a1, a2], [b1, b2], [c1, c2], [d1, d2]];
        Some(Self {
            id: u16::from_be_bytes([i1, i2]),
            flags: u16::from_be_bytes([f1, f2]),
            counts: counts.map(u16::from_be_bytes),
        })
    }

    /// Writes itself over the first bytes of a message; a shorter one stays as it is.
    #[inline]
    pub fn put(self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.counts;
        let fields = [self.id, self.flags, a, b, c, d];
        if let Some(place) = bytes.first_chunk_mut::<HEADER>() {
            for (place, field) in place.chunks_exact_mut(2).zip(fields) {
                place.copy_from_slice(&field.to_be_bytes());
            }
        }
    }

    /// Changes the header of a message where it stands.
    #[inline]
    pub fn edit(bytes: &mut [u8], change: impl FnOnce(&mut Self)) {
        if let Some(mut header) = Self::read(bytes) {
            change(&mut header);
            header.put(bytes);
        }
    }

    /// The kind of query; 0 is a question.
    pub fn opcode(self) -> u8 {
        ((self.flags & flag::OPCODE) >> 11) as u8
    }
}

/// The flags of a message, the low bits of its response code included; 0 if it is too short to have any.
pub fn flags(bytes: &[u8]) -> u16 {
    match bytes {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// A bit of the flags, or none.
pub fn bit_if(condition: bool, bit: u16) -> u16 {
    if condition { bit } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let bytes: Vec<u8> = (1..=14).collect();
        let header = Header::read(&bytes).expect("twelve bytes");
        assert_eq!((header.id, header.counts[3]), (0x0102, 0x0b0c));
        let mut copy = vec![0; 14];
        header.put(&mut copy);
        assert_eq!(copy[..HEADER], bytes[..HEADER]);
        Header::edit(&mut copy, |header| header.flags |= flag::QR);
        assert_eq!(flags(&copy), 0x8304);
        assert!(Header::read(&bytes[..11]).is_none());
    }
}
