//! The status page at `/`.

use axum::Router;
use axum::routing::get;

use super::answer::{Api, response};

/// What answers for the page: everything that is no endpoint of the API.
pub fn router() -> Router<Api> {
    let text = "bnsd: /v1/status has the state, /openapi.json lists all endpoints\n";
    Router::new().route(
        "/",
        get(move || async move { response("text/plain; charset=utf-8", text) }),
    )
}
