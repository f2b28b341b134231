//! DNS over HTTPS with HTTP/2 (RFC 8484): one message up, one message down, nothing else believed.
//!
//! Only status 200 with `application/dns-message` is accepted: redirects are refused, since they could lead
//! anywhere. Age takes away from TTLs (§5.1). The body is bounded by what a message can hold.

use axum::BoxError;
use axum::body::{Body, to_bytes};
use bitcoin::base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{ACCEPT, AGE, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::attempt::Failed;
use super::config::Method;
use super::message::{Judged, Sent, Verdict, judge};
use super::shared::Connection;
use crate::wire::frame::{MEDIA_TYPE, MESSAGE_MAX};
use crate::worker::Tasks;

/// An HTTP/2 connection that queries share.
#[derive(Debug, Clone)]
pub struct Https {
    requests: SendRequest<Body>,
    /// Owns the conversation.
    _tasks: Tasks,
}

impl Https {
    /// Takes a connection over.
    pub async fn start<S>(connection: S) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tasks = Tasks::new("an HTTPS connection to an upstream");
        let (requests, conversation) = http2::handshake(tasks.clone(), TokioIo::new(connection))
            .await
            .map_err(broken)?;
        tasks.spawn(async move {
            if let Err(error) = conversation.await {
                tracing::debug!("an HTTPS connection to an upstream ended: {error}");
            }
        });
        Ok(Self {
            requests,
            _tasks: tasks,
        })
    }

    /// Asks for the resource at `uri`; the response and how old it is, in seconds.
    pub async fn ask(
        mut self,
        mut sent: Sent,
        uri: &str,
        method: Method,
    ) -> Result<(Judged, u32), Failed> {
        sent.set_id(0);
        let request = request(&sent, uri, method)?;
        let response = self.requests.send_request(request).await;
        let response = response.map_err(|_| Failed::Closed)?;
        let age = accept(&response)?;
        let body = to_bytes(Body::new(response.into_body()), MESSAGE_MAX).await;
        match judge(&sent, &body.map_err(broken)?) {
            Verdict::Accepted(judged) => Ok((*judged, age)),
            Verdict::Headless => Err(Failed::Headless),
            Verdict::WrongCase => Err(Failed::WrongCase),
            Verdict::Truncated | Verdict::Foreign => {
                Err(Failed::Unreachable("another answer than asked for".into()))
            }
        }
    }
}

impl Connection for Https {
    fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }
}

fn broken(error: impl Into<BoxError>) -> Failed {
    Failed::Unreachable(error.into().to_string())
}

fn request(sent: &Sent, uri: &str, method: Method) -> Result<Request<Body>, Failed> {
    let builder = Request::builder().header(ACCEPT, MEDIA_TYPE);
    let request = match method {
        Method::Get => {
            let query = BASE64_URL_SAFE_NO_PAD.encode(&sent.bytes);
            builder
                .uri(format!("{uri}?dns={query}"))
                .body(Body::empty())
        }
        Method::Post => builder
            .method(hyper::Method::POST)
            .uri(uri)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(Body::from(sent.bytes.clone())),
    };
    request.map_err(broken)
}

/// The Age of an HTTP response, or why it holds no message.
fn accept(response: &Response<Incoming>) -> Result<u32, Failed> {
    let refused = |why: String| Err(Failed::Unreachable(why));
    if response.status() != StatusCode::OK {
        return refused(format!("HTTP status {}", response.status().as_u16()));
    }
    let text = |name| response.headers().get(name)?.to_str().ok();
    let media = text(CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_fit_into_a_url() {
        let text = BASE64_URL_SAFE_NO_PAD.encode([0xfb, 0xff, 0xfe, 1]);
        assert_eq!(text, "-__-AQ");
    }

    #[test]
    fn an_age_is_a_number_however_large() {
        let read = ["0", "100", "4294967296", "-1", "", "1.5"].map(seconds);
        assert_eq!(read, [0, 100, u32::MAX, 0, 0, 0]);
    }
}
