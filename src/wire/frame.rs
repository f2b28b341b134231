//! How messages travel other than as packets: on a stream behind their length (RFC 7766 §8, RFC 7858 §3.3), and as
//! the body of an HTTP message (RFC 8484 §6).

/// Longest message: its length has two bytes.
pub const MESSAGE_MAX: usize = 65_535;
/// The media type of a message in HTTP (RFC 8484 §6).
pub const MEDIA_TYPE: &str = "application/dns-message";
/// Length of a length.
const LENGTH: usize = 2;

/// Appends a message behind its length; one that is too long for a stream is left out.
pub fn push(message: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(message.len()) {
        out.extend(length.to_be_bytes());
        out.extend_from_slice(message);
    }
}

/// Bytes that arrived on a stream, and the messages that are whole in them.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// Bytes that were dealt with.
    used: usize,
}

impl Incoming {
    /// Where to append what is read, with room for `room` bytes.
    pub fn room(&mut self, room: usize) -> &mut Vec<u8> {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.reserve(room);
        &mut self.bytes
    }

    /// The next whole message.
    pub fn next(&self) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(self.used..)?.split_first_chunk::<LENGTH>()?;
        rest.get(..usize::from(u16::from_be_bytes(*length)))
    }

    /// The next whole message has been dealt with.
    pub fn consume(&mut self) {
        self.used += self.next().map_or(0, |message| message.len() + LENGTH);
    }

    /// Whether the rest of a message has to come.
    pub fn is_partial(&self) -> bool {
        self.used < self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Messages come out as they were pushed, however the stream was cut.
        #[test]
        fn cuts_in_the_stream_do_not_matter(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            size in 1_usize..30,
        ) {
            let mut stream = Vec::new();
            messages.iter().for_each(|message| push(message, &mut stream));
            let (mut incoming, mut found) = (Incoming::default(), Vec::new());
            for piece in stream.chunks(size) {
                incoming.room(size).extend(piece);
                while let Some(message) = incoming.next() {
                    found.push(message.to_vec());
                    incoming.consume();
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(!incoming.is_partial());
        }
    }
}
