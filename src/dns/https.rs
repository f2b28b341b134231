//! DNS over HTTPS (RFC 8484) for programs on this machine: GET and POST at `/dns-query`, HTTP/1.1 and HTTP/2.
//!
//! Web pages can send requests to loopback too: [`crate::host`] turns them away. The freshness of an answer is the smallest
//! TTL in it (RFC 8484 §5.1).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use bitcoin::base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::{Client, IDLE_TIMEOUT};
use super::handler::{Handled, Handler};
use crate::connections::Activity;
use crate::host::{ServerNames, Stranger};
use crate::resolver::Snapshots;
use crate::wire::frame::{MEDIA_TYPE, MESSAGE_MAX};
use crate::wire::{Section, walk};
use crate::worker::Tasks;

/// The path of RFC 8484's examples, which every client takes.
const PATH: &str = "/dns-query";
/// Longest body that is read to its end although it is too long for a message: whoever is refused while still
/// sending may lose the connection before the status.
const BODY_MAX: usize = 1 << 20;
/// For a request's head, and again for its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection at the same time.
const STREAMS_MAX: u32 = 100;

/// Serves one connection until either side has had enough.
pub async fn converse<P: Snapshots>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    names: ServerNames,
    handler: Arc<Handler<P>>,
    activity: Arc<Activity>,
) {
    let garbage = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (handler, names) = (Arc::clone(&handler), names.clone());
        let (activity, garbage) = (Arc::clone(&activity), Arc::clone(&garbage));
        let busy = activity.begin();
        async move {
            let answer = answer(request.map(Body::new), client, &names, &handler).await;
            match &answer {
                Ok(Answer::Useful(_)) => activity.ask(),
                Ok(Answer::ToGarbage(_)) | Err(_) if activity.note_garbage() => {
                    garbage.notify_one();
                }
                _ => {}
            }
            drop(busy);
            let response = answer.map(Answer::into_response);
            Ok::<_, Infallible>(response.unwrap_or_else(refusal))
        }
    });
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut seen = activity.progress();
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!("on HTTPS: {error}");
                }
                return;
            }
            // Requests under way still get their responses.
            () = garbage.notified() => connection.as_mut().graceful_shutdown(),
            () = sleep(IDLE_TIMEOUT) => match activity.progress() {
                progress if progress == seen && !activity.is_busy() => return,
                progress => seen = progress,
            },
        }
    }
}

/// HTTP/1.1 and HTTP/2 with our limits.
fn builder() -> auto::Builder<Tasks> {
    let mut builder = auto::Builder::new(Tasks::new("a request over HTTPS"));
    let http1 = &mut builder.http1();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

/// Why a request gets no DNS answer.
struct Refusal(StatusCode, &'static str);

/// A DNS answer.
enum Answer {
    /// To a question.
    Useful(Response<Body>),
    /// To a message that nobody can make sense of.
    ToGarbage(Response<Body>),
}

impl Answer {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Useful(response) | Self::ToGarbage(response) => response,
        }
    }
}

async fn answer<P: Snapshots>(
    request: Request<Body>,
    client: Client,
    names: &ServerNames,
    handler: &Handler<P>,
) -> Result<Answer, Refusal> {
    let (head, body) = request.into_parts();
    let body = timeout(REQUEST_TIMEOUT, receive(body)).await;
    names.check("https://", &head.uri, &head.headers)?;
    if head.uri.path() != PATH {
        return Err(Refusal(StatusCode::NOT_FOUND, "DNS is at /dns-query"));
    }
    let slow = Refusal(StatusCode::REQUEST_TIMEOUT, "too slow");
    let query = query(&head, body.map_err(|_| slow)?)?;
    let mut message = Vec::new();
    match handler.handle(&query, client, &mut message) {
        Handled::Silence => return Err(Refusal(StatusCode::BAD_REQUEST, "not a DNS query")),
        Handled::Garbage => return Ok(Answer::ToGarbage(response(message))),
        Handled::Ready => {}
        Handled::Pending(pending) => handler.finish(*pending, &mut message).await,
    }
    Ok(Answer::Useful(response(message)))
}

/// The response with a DNS message.
fn response(message: Vec<u8>) -> Response<Body> {
    let fresh = format!("max-age={}", freshness(&message));
    let mut response = Response::new(Body::from(message));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Ok(fresh) = HeaderValue::from_str(&fresh) {
        headers.insert(CACHE_CONTROL, fresh);
    }
    response
}

fn refusal(Refusal(status, text): Refusal) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

impl From<Stranger> for Refusal {
    fn from(stranger: Stranger) -> Self {
        Self(stranger.status(), stranger.as_str())
    }
}

/// A body's bytes, or none if they are more than a message may have.
async fn receive(mut body: Body) -> Option<Bytes> {
    let (mut message, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let data = frame.ok()?.into_data().unwrap_or_default();
        length += data.len();
        if length <= MESSAGE_MAX {
            message.extend_from_slice(&data);
        } else if length > BODY_MAX {
            return None;
        }
    }
    (length <= MESSAGE_MAX).then(|| message.into())
}

/// The DNS query in a request (RFC 8484 §4.1).
fn query(head: &Parts, body: Option<Bytes>) -> Result<Bytes, Refusal> {
    match head.method {
        Method::GET => from_url(&head.uri),
        Method::POST => from_body(&head.headers, body),
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST")),
    }
}

fn from_url(uri: &Uri) -> Result<Bytes, Refusal> {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let encoded = parameters.find_map(|parameter| parameter.strip_prefix("dns="));
    let decoded = encoded.and_then(decode).map(Bytes::from);
    decoded.ok_or(Refusal(StatusCode::BAD_REQUEST, "no message in dns="))
}

/// Base64url without padding (RFC 8484 §4.1.1), of no more than a message.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() <= MESSAGE_MAX).then_some(bytes)
}

fn from_body(headers: &HeaderMap, body: Option<Bytes>) -> Result<Bytes, Refusal> {
    let media_type = headers.get(CONTENT_TYPE);
    if media_type.is_none_or(|found| found.as_bytes() != MEDIA_TYPE.as_bytes()) {
        let text = "only application/dns-message";
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    body.ok_or(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "too long for DNS"))
}

/// Seconds for which an answer may be kept: its smallest TTL; without records that of its SOA, or its MINIMUM if
/// that is smaller; nothing for failures.
fn freshness(message: &[u8]) -> u32 {
    let Some(walk) = walk(message) else { return 0 };
    let records = walk.section(Section::Answer);
    let records = records.chain(walk.section(Section::Authority));
    let lifetimes = records.map(|record| match record.soa_minimum(message) {
        Some(minimum) => record.ttl.min(minimum),
        None => record.ttl,
    });
    lifetimes.min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_decoded_strictly() {
        // RFC 8484 §4.1.1.
        let text = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        assert_eq!(decode(text).expect("a message").len(), 33);
        assert_eq!(decode("-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for wrong in ["A", "AB", "AA==", "A+/A", "é"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
