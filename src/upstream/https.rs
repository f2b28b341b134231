//! DNS over HTTPS with HTTP/2 (RFC 8484): one message up, one message down, nothing else believed.
//!
//! Only status 200 with `application/dns-message` is an answer: redirects are refused, since they could lead
//! anywhere. Age takes away from TTLs (§5.1). The body is bounded by what a message can hold.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{ACCEPT, AGE, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::message::{Judged, Sent, Verdict, judge};
use super::transport::Failed;
use super::upstream::Method;

/// Media type of DNS messages (RFC 8484 §6).
const MESSAGE: &str = "application/dns-message";
/// Longest message.
const BODY_MAX: usize = 65_535;

/// An HTTP/2 connection that queries share.
#[derive(Debug, Clone)]
pub struct Https {
    requests: SendRequest<Once>,
}

impl Https {
    /// Takes a connection over.
    pub async fn start<S>(connection: S) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, conversation) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(connection))
                .await
                .map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            if let Err(error) = conversation.await {
                tracing::debug!("an HTTPS connection to an upstream ended: {error}");
            }
        });
        Ok(Self { requests })
    }

    /// Whether it can still be asked.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Asks for the resource at `uri`; the answer and how old it is, in seconds.
    pub async fn ask(
        &self,
        mut sent: Sent,
        uri: &str,
        method: Method,
    ) -> Result<(Judged, u32), Failed> {
        sent.set_id(0);
        let request = request(&sent, uri, method)?;
        let mut requests = self.requests.clone();
        let response = match requests.send_request(request).await {
            Ok(response) => response,
            Err(_) => return Err(Failed::Closed),
        };
        let age = accept(&response)?;
        let body = read(response.into_body()).await?;
        match judge(&sent, &body) {
            Verdict::Answer(judged) => Ok((*judged, age)),
            Verdict::Headless => Err(Failed::Headless),
            Verdict::WrongCase => Err(Failed::WrongCase),
            Verdict::Truncated | Verdict::Foreign => {
                Err(Failed::Unreachable("another answer than asked for".into()))
            }
        }
    }
}

fn broken(error: &hyper::Error) -> Failed {
    Failed::Unreachable(error.to_string())
}

fn request(sent: &Sent, uri: &str, method: Method) -> Result<Request<Once>, Failed> {
    let builder = Request::builder().header(ACCEPT, MESSAGE);
    let request = match method {
        Method::Get => {
            let query = base64url(&sent.bytes);
            builder
                .uri(format!("{uri}?dns={query}"))
                .body(Once::default())
        }
        Method::Post => builder
            .method(hyper::Method::POST)
            .uri(uri)
            .header(CONTENT_TYPE, MESSAGE)
            .body(Once(Some(Bytes::copy_from_slice(&sent.bytes)))),
    };
    request.map_err(|error| Failed::Unreachable(error.to_string()))
}

/// Whether a response can hold an answer, and its Age.
fn accept(response: &Response<Incoming>) -> Result<u32, Failed> {
    let refused = |why: String| Err(Failed::Unreachable(why));
    if response.status() != StatusCode::OK {
        return refused(format!("HTTP status {}", response.status().as_u16()));
    }
    let text = |name| response.headers().get(name)?.to_str().ok();
    let media = text(CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case(MESSAGE)) {
        return refused("an HTTP answer that is no DNS message".into());
    }
    Ok(text(AGE).map_or(0, |age| seconds(age.trim())))
}

/// An Age: what is too large to count is as old as can be (RFC 9111 §1.2.2), what is no number says nothing.
fn seconds(age: &str) -> u32 {
    let is_number = !age.is_empty() && age.bytes().all(|digit| digit.is_ascii_digit());
    let otherwise = if is_number { u32::MAX } else { 0 };
    age.parse().unwrap_or(otherwise)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY_MAX {
            return Err(Failed::Unreachable("an endless HTTP answer".into()));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A body in one piece.
#[derive(Debug, Default)]
struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// Base64 for URLs, without padding (RFC 4648 §5).
fn base64url(bytes: &[u8]) -> String {
    crate::zonefile::base64::encode(bytes)
        .chars()
        .filter(|&digit| digit != '=')
        .map(|digit| match digit {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_fit_into_a_url() {
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe, 1]), "-__-AQ");
    }

    #[test]
    fn an_age_is_a_number_however_large() {
        let read = ["0", "100", "4294967296", "-1", "", "1.5"].map(seconds);
        assert_eq!(read, [0, 100, u32::MAX, 0, 0, 0]);
    }
}
