//! How an endpoint gets at the state, and what it replies.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::api::control::{ANSWER_TIME, Control};
use crate::api::message::{ErrorKind, ErrorReply, Question, Reply, Request};

/// Requests that read the database or files at the same time. Each takes a thread of the runtime for itself meanwhile.
const READERS_MAX: usize = 4;

/// The daemon, as endpoints see it.
#[derive(Clone)]
pub struct Api {
    daemon: Arc<dyn Replies>,
    readers: Arc<Semaphore>,
}

/// [`Control`] behind a pointer.
trait Replies: Send + Sync {
    fn reply(&self, request: Request) -> BoxFuture<'_, Reply>;
}

impl<C: Control> Replies for C {
    fn reply(&self, request: Request) -> BoxFuture<'_, Reply> {
        Box::pin(self.handle(request))
    }
}

impl Api {
    /// Asks `control`.
    pub fn new<C: Control>(control: Arc<C>) -> Self {
        Self {
            daemon: control,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// The answer to a question, which is bounded in time.
    pub async fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, Refusal> {
        let request = question.request();
        let reply = async {
            let _reader = match waits_for_others(&request) {
                true => None,
                false => self.readers.acquire().await.ok(),
            };
            self.daemon.reply(request).await
        };
        let reply = match timeout(ANSWER_TIME, reply).await {
            Ok(Reply::Error(error)) => return Err(error.into()),
            Ok(reply) => reply,
            Err(_) => {
                let text = "the daemon found no answer in time: try again, or see its log";
                return Err(Refusal::unavailable(text));
            }
        };
        let other = "the daemon replied to another request";
        Q::answer(reply).ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, other))
    }
}

/// Whether a request may wait for upstreams, and reads little.
fn waits_for_others(request: &Request) -> bool {
    matches!(
        request,
        Request::Lookup(_) | Request::Explain(_) | Request::Authority(_)
    )
}

/// Why there is no other reply: a status, and as a rule one sentence under the key `error`.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    body: Value,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    /// With one sentence that says what to do.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self::with_body(status, json!({ "error": message.into() }))
    }

    /// With an object of its own.
    pub fn with_body(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            header: None,
        }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// It cannot be done now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The status, and the sentence if there is one.
    pub fn parts(&self) -> (StatusCode, &str) {
        (self.status, self.body["error"].as_str().unwrap_or_default())
    }

    /// The same with a header field.
    pub fn with(self, name: HeaderName, value: &'static str) -> Self {
        let header = Some((name, value));
        Self { header, ..self }
    }
}

impl From<ErrorReply> for Refusal {
    fn from(error: ErrorReply) -> Self {
        match error.kind {
            ErrorKind::Usage => Self::bad(error.message),
            ErrorKind::Trouble => Self::unavailable(error.message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_response(&self.body);
        *response.status_mut() = self.status;
        if let Some((name, value)) = self.header {
            let headers = response.headers_mut();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A value as JSON.
pub fn json_response<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => response("application/json", text),
        Err(error) => {
            tracing::error!("a reply of the HTTP API cannot be written as JSON: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A text of a media type.
pub fn response(media_type: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
