//! Which requests are answered, and what every response tells a browser.
//!
//! A request has to mean this server and come from no stranger's page ([`crate::host`]), ask with GET or HEAD, and have no
//! body. Browsers also say where a request without `Origin` comes from (`Sec-Fetch-Site`); from another site only a person
//! who follows a link is let in. No response carries a header that lets another page read it.

use std::pin::pin;

use axum::body::{Body, HttpBody};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::answer::Refusal;
use crate::api::control::PATIENCE;
use crate::host::{ServerNames, Stranger};

/// Bytes of the target of a request; the longest that we have, with a domain name percent-encoded, is below 1,000.
const TARGET_MAX: usize = 2_048;
/// Bytes of a refused body that are read to its end, or somebody who is still sending may lose the connection before the
/// status.
const BODY_READ: usize = 1 << 20;
/// What may be done here.
const METHODS: &str = "GET, HEAD";

/// For every response that does not say otherwise. A page may load only what this server gives, from nobody else's frame.
const SECURITY: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (CACHE_CONTROL, "no-store"),
];

/// The request without its body, or why it is refused. `names` is `None` where the answer depends on how the server is called.
pub async fn admit(
    request: Request<Incoming>,
    names: Option<&ServerNames>,
) -> Result<Request<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let checked = check(&head, names);
    if has_body(&head.headers) {
        let _ = timeout(PATIENCE, read(body)).await; // the response goes out either way
    }
    checked?;
    Ok(Request::from_parts(head, Body::empty()))
}

fn check(head: &Parts, names: Option<&ServerNames>) -> Result<(), Refusal> {
    if let Some(names) = names {
        names.check("http://", &head.uri, &head.headers)?;
    }
    if is_from_elsewhere(&head.headers) {
        return Err(Stranger::Origin.into());
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        let text = "this API only reads: use GET or HEAD";
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text);
        return Err(refusal.with(ALLOW, METHODS));
    }
    if head.uri.to_string().len() > TARGET_MAX {
        let text = format!("the target has more than {TARGET_MAX} bytes");
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, text));
    }
    if has_body(&head.headers) {
        let text = "a request has no body here";
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(())
}

impl From<Stranger> for Refusal {
    fn from(stranger: Stranger) -> Self {
        Self::new(stranger.status(), stranger.as_str())
    }
}

/// Whether a browser says that another site's page asks, other than by a link that a person follows.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let has = |name: &str, values: &[&str]| {
        let found = headers.get(name).and_then(|value| value.to_str().ok());
        found.is_some_and(|found| values.contains(&found))
    };
    has("sec-fetch-site", &["cross-site", "same-site"]) && !has("sec-fetch-mode", &["navigate"])
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// Reads a body to its end, or as far as anybody who is honest would send.
async fn read(body: Incoming) {
    let (mut body, mut length) = (pin!(body), 0);
    let mut next = async || std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
    while let Some(Ok(frame)) = next().await {
        length += frame.data_ref().map_or(0, |data| data.len());
        if length > BODY_READ {
            return;
        }
    }
}

/// The response as it goes out.
pub fn secure(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// After this response the connection is closed.
pub fn end_connection(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}
