//! EDNS: the OPT record, its options, and padding (RFC 6891).
//!
//! OPT is a record whose fields mean other things: its class is a payload size, its TTL holds the upper bits of the
//! response code, a version and flags, and its data is a list of options, each behind its code and its length.

use super::header::UDP_MAX;

/// Length of an OPT record without options.
pub const OPT: usize = 11;
/// Length of an option without data.
const OPTION: usize = 4;
/// Length of a client cookie (RFC 7873 §4).
pub const CLIENT_COOKIE: usize = 8;
/// Rcode BADCOOKIE (RFC 7873 §8).
pub const BADCOOKIE: u16 = 23;
/// DO, in the third byte of the TTL field (RFC 3225 §3).
const DNSSEC_OK: u8 = 0x80;

/// Option codes.
pub mod option {
    /// Cookies (RFC 7873 §4).
    pub const COOKIE: u16 = 10;
    /// How long a connection may idle (RFC 7828 §3.1).
    pub const KEEPALIVE: u16 = 11;
    /// Zeros that hide a message's length (RFC 7830 §3).
    pub const PADDING: u16 = 12;
    /// An extended error (RFC 8914 §2).
    pub const EXTENDED_ERROR: u16 = 15;
}

/// What an OPT record of version 0 says besides its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// Largest UDP message that the sender takes.
    pub payload: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// DO: the sender wants DNSSEC records.
    pub dnssec_ok: bool,
}

impl Opt {
    /// One that we send.
    pub fn ours(rcode: u16, dnssec_ok: bool) -> Self {
        Self {
            payload: UDP_MAX,
            extended_rcode: (rcode >> 4) as u8,
            dnssec_ok,
        }
    }

    /// Appends the record to a message; the caller counts it.
    #[inline]
    pub fn write(self, options: &[u8], out: &mut Vec<u8>) {
        let [p1, p2] = self.payload.to_be_bytes();
        let [l1, l2] = (options.len() as u16).to_be_bytes();
        let flags = if self.dnssec_ok { DNSSEC_OK } else { 0 };
        out.extend_from_slice(&[0, 0, 41, p1, p2, self.extended_rcode, 0, flags, 0, l1, l2]);
        out.extend_from_slice(options);
    }

    /// Reads a client's record, if it is of version 0, has no options and no other flag than DO.
    #[inline]
    pub fn read_bare(bytes: &[u8]) -> Option<Self> {
        let opt: &[u8; OPT] = bytes.try_into().ok()?;
        let [0, 0, 41, p1, p2, 0, 0, flags @ (0 | DNSSEC_OK), 0, 0, 0] = *opt else {
            return None;
        };
        Some(Self {
            payload: u16::from_be_bytes([p1, p2]),
            extended_rcode: 0,
            dnssec_ok: flags != 0,
        })
    }
}

/// Appends an option.
pub fn write_option(code: u16, data: &[u8], options: &mut Vec<u8>) {
    options.extend(code.to_be_bytes());
    options.extend((data.len() as u16).to_be_bytes());
    options.extend(data);
}

/// The options in the data of an OPT record, up to the first that does not fit.
pub fn options(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let ([c1, c2, l1, l2], rest) = data.split_first_chunk::<OPTION>()?;
        let length = u16::from_be_bytes([*l1, *l2]);
        let (option, rest) = rest.split_at_checked(length.into())?;
        data = rest;
        Some((u16::from_be_bytes([*c1, *c2]), option))
    })
}

/// Appends a padding option that makes a message a multiple of `block` long (RFC 8467 §4), unless the options would
/// then take more than `room`. The message has `before` bytes, those of OPT included, and then the options.
pub fn pad(options: &mut Vec<u8>, before: usize, block: usize, room: usize) {
    let length = before + options.len() + OPTION;
    let zeros = length.next_multiple_of(block) - length;
    if options.len() + OPTION + zeros <= room {
        write_option(option::PADDING, &vec![0; zeros], options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        let opt = Opt::ours(0, true);
        opt.write(&[], &mut bytes);
        assert_eq!(bytes, [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(Opt::read_bare(&bytes), Some(opt));
        let mut data = Vec::new();
        write_option(option::COOKIE, b"8 bytes.", &mut data);
        pad(&mut data, 100, 128, 1000);
        assert_eq!((100 + data.len()) % 128, 0);
        let found: Vec<u16> = options(&data).map(|(code, _)| code).collect();
        assert_eq!(found, [option::COOKIE, option::PADDING]);
        let length = data.len();
        assert_eq!(options(&data[..length - 1]).count(), 1);
        pad(&mut data, 100, 128, length);
        assert_eq!(data.len(), length);
    }
}
