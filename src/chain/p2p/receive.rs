//! One message of a peer, bounded in bytes and in time while it comes in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bitcoin::p2p::Magic;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

use super::end::{End, Lie};
use super::message::{Checksum, HEAD_LENGTH, Head, Heard};

/// How long a message that has begun may take.
const WHOLE: Duration = Duration::from_secs(120);
/// After this time there has to be a rate.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes a second, on the average since a message began.
const RATE_MIN: u64 = 4_096;
/// How often the rate is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// A message and how many bytes it had. Waits for its beginning as long as it takes; `counter` counts every byte.
pub(super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    network: Magic,
    counter: &AtomicU64,
) -> Result<(Heard, u64), End> {
    let mut head = [0; HEAD_LENGTH];
    let (first, rest) = head.split_at_mut(1);
    read(stream, first, counter).await?;
    let mut pace = Pace::start();
    pace.read_all(stream, rest, counter).await?;
    let head = Head::read(head, network).map_err(Lie::from)?;
    let mut checksum = Checksum::default();
    let mut payload = Vec::new(); // the length is not trusted; room is made for what has come
    let mut left = head.length;
    let mut piece = vec![0; head.length.min(PIECE)];
    while left > 0 {
        let room = piece.get_mut(..left.min(PIECE)).unwrap_or_default();
        let count = pace.read(stream, room, counter).await?;
        let came = room.get(..count).unwrap_or_default();
        checksum.add(came);
        if !head.is_skipped() {
            payload.extend_from_slice(came);
        }
        left -= count;
    }
    let heard = head.finish(payload, checksum).map_err(Lie::from)?;
    Ok((heard, (HEAD_LENGTH + head.length) as u64))
}

/// How fast a message comes.
struct Pace {
    start: Instant,
    bytes: u64,
}

impl Pace {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            bytes: 0,
        }
    }

    async fn read_all(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        mut room: &mut [u8],
        counter: &AtomicU64,
    ) -> Result<(), End> {
        while !room.is_empty() {
            let count = self.read(stream, room, counter).await?;
            room = room.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// The next bytes, at least one.
    async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        room: &mut [u8],
        counter: &AtomicU64,
    ) -> Result<usize, End> {
        loop {
            self.check()?;
            let elapsed = self.start.elapsed();
            let look = self.start + (elapsed + LOOK).max(GRACE);
            if let Ok(came) = timeout_at(look, read(stream, room, counter)).await {
                let count = came?;
                self.bytes += count as u64;
                return Ok(count);
            }
        }
    }

    fn check(&self) -> Result<(), End> {
        let elapsed = self.start.elapsed();
        let is_slow = elapsed >= GRACE && self.bytes < RATE_MIN * elapsed.as_secs();
        if is_slow || elapsed >= WHOLE {
            return Err(End::Slow);
        }
        Ok(())
    }
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    room: &mut [u8],
    counter: &AtomicU64,
) -> Result<usize, End> {
    let read = stream.read(room).await;
    match read.map_err(|error| End::Broken(error.to_string()))? {
        0 => Err(End::Broken("the peer closed it".to_owned())),
        count => {
            counter.fetch_add(count as u64, Ordering::Relaxed);
            Ok(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::p2p::message::NetworkMessage;
    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

    use super::super::message::{MessageError, write};
    use super::*;

    const NETWORK: Magic = Magic::REGTEST;

    /// What is made of bytes that come in pieces of a length, with a pause before each; and after which time.
    async fn sent(bytes: Vec<u8>, length: usize, pause: Duration) -> (Result<Heard, End>, u64) {
        let (mut ours, mut theirs) = duplex(1 << 20);
        let start = Instant::now();
        let send = async move {
            for piece in bytes.chunks(length) {
                sleep(pause).await;
                if theirs.write_all(piece).await.is_err() {
                    break;
                }
            }
            sleep(WHOLE * 2).await; // it stays connected
        };
        let counter = AtomicU64::new(0);
        let received = tokio::select! {
            received = receive(&mut ours, NETWORK, &counter) => received,
            () = send => Err(End::Silent),
        };
        (received.map(|(heard, _)| heard), start.elapsed().as_secs())
    }

    fn unknown(length: usize) -> Vec<u8> {
        let command = "nothing".to_owned().try_into().expect("a command");
        let payload = vec![7; length];
        write(NetworkMessage::Unknown { command, payload }, NETWORK)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_message_is_given_up_and_silence_before_one_is_not() {
        let second = Duration::from_secs(1);
        let ping = write(NetworkMessage::Ping(7), NETWORK);
        let late = sent(ping.clone(), 1_000, second * 100).await;
        assert_eq!(late, (Ok(Heard::Ping(7)), 100));
        let dripped = sent(ping, 1, second).await;
        assert_eq!(dripped, (Err(End::Slow), 6));
        let large = unknown(3_000_000);
        let slow = sent(large.clone(), 2_000, second).await;
        assert_eq!(slow.0, Err(End::Slow));
        assert!((5..10).contains(&slow.1), "{}", slow.1);
        let endless = sent(large.clone(), 10_000, second).await;
        assert_eq!(endless, (Err(End::Slow), 121));
        let fast = sent(large, 100_000, second).await;
        assert_eq!(fast.0, Ok(Heard::Other));
    }

    #[tokio::test(start_paused = true)]
    async fn garbage_is_refused_at_once() {
        let second = Duration::from_secs(1);
        let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
        let lie = |error| Err(End::Lied(Lie::Message(error)));
        assert_eq!(
            sent(page, 100, second).await,
            (lie(MessageError::Network), 1)
        );
        let mut long = unknown(0);
        long[16..20].copy_from_slice(&4_000_001u32.to_le_bytes());
        assert_eq!(
            sent(long, 100, second).await,
            (lie(MessageError::Length), 1)
        );
        let mut changed = unknown(10);
        changed[30] ^= 1;
        assert_eq!(
            sent(changed, 100, second).await,
            (lie(MessageError::Checksum), 1)
        );
    }
}
