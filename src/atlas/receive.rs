//! What somebody sends over HTTP, bounded in bytes and in time while it comes in.

use std::pin::pin;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::time::{Instant, timeout_at};

/// How long everything together may take.
pub(super) const WHOLE: Duration = Duration::from_secs(30);
/// After this time there has to be a rate.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes a second, on the average since the beginning.
const RATE_MIN: u64 = 1_024;
/// How often the rate is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why a body did not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It has more bytes than it may have.
    TooLarge,
    /// It comes in too slowly.
    TooSlow,
    /// The connection broke.
    Broken(String),
}

/// Whether the bytes of a body are others than those that are meant.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The bytes of a body, which are at most `max`. A length that is announced is believed only if it is too large: nothing is
/// reserved for bytes that have not come.
pub(super) async fn receive<B>(body: B, max: usize, until: Instant) -> Result<Vec<u8>, Stopped>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    if body.size_hint().lower() > max as u64 {
        return Err(Stopped::TooLarge);
    }
    let mut bytes = Vec::new();
    let start = Instant::now();
    let mut body = pin!(body);
    let mut look = start + GRACE;
    loop {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context));
        match timeout_at(look.min(until), frame).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(frame)) => {
                let frame = frame.map_err(|error| Stopped::Broken(error.to_string()))?;
                let data = frame.into_data().unwrap_or_default();
                if data.len() > max - bytes.len() {
                    return Err(Stopped::TooLarge);
                }
                bytes.extend_from_slice(&data);
            }
            Err(_) => {}
        }
        let now = Instant::now();
        if now >= look {
            let least = RATE_MIN * now.duration_since(start).as_secs();
            if (bytes.len() as u64) < least {
                return Err(Stopped::TooSlow);
            }
            look = now + LOOK;
        }
        if now >= until {
            return Err(Stopped::TooSlow);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use hyper::body::{Frame, SizeHint};
    use tokio::time::{Interval, interval};

    use super::*;

    /// So many bytes at each tick.
    struct Trickle {
        ticks: Interval,
        bytes: usize,
        announced: Option<u64>,
    }

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.ticks.poll_tick(context));
            let data = vec![0; self.bytes];
            Poll::Ready(Some(Ok(Frame::data(data.into()))))
        }

        fn size_hint(&self) -> SizeHint {
            self.announced
                .map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    async fn stopped(bytes: usize, millis: u64, announced: Option<u64>) -> (Stopped, u64) {
        let ticks = interval(Duration::from_millis(millis));
        let body = Trickle {
            ticks,
            bytes,
            announced,
        };
        let start = Instant::now();
        let stopped = receive(body, 1 << 20, start + WHOLE).await;
        (
            stopped.expect_err("it never ends"),
            start.elapsed().as_secs(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_and_the_large_are_stopped() {
        assert_eq!(stopped(1, 1_000, None).await, (Stopped::TooSlow, 5));
        assert_eq!(stopped(1, 100_000, None).await, (Stopped::TooSlow, 5));
        assert_eq!(stopped(2_000, 1_000, None).await, (Stopped::TooSlow, 30));
        assert_eq!(stopped(1 << 19, 1_000, None).await, (Stopped::TooLarge, 2));
        let announced = Some((1 << 20) + 1);
        assert_eq!(stopped(1, 1_000, announced).await, (Stopped::TooLarge, 0));
    }
}
