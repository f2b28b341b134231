//! The state of names over HTTP, for programs and people on this machine: read-only, and nothing that is private.
//!
//! ```text
//! connection -> server -> admission -> endpoint -> Api -> Control
//!                             |                      (the same requests as on the control socket)
//!                             +-> refused: another Host, a foreign Origin, not GET, a body
//! ```
//!
//! Every user of the machine, and every program, can read what is said here. So paths of files, secrets in the addresses of
//! upstreams and the names that others ask for stay on the control socket ([`public`]), and nothing can be changed.
//!
//! [`endpoint`] has the table's row: a path, what it takes, what it replies with, and who replies. Router and OpenAPI document
//! are made from the same rows ([`endpoints`]), so that neither can know a path that the other lacks. A new endpoint is a row
//! in the file of its subject.

mod admission;
mod aia;
mod answer;
mod endpoint;
mod gateway;
mod metrics;
mod openapi;
mod page;
mod public;
mod query;
mod reference;
mod server;
mod state;

use axum::Router;

use answer::{Api, Refusal};
use endpoint::Endpoint;
pub use server::{BindError, CONNECTIONS_MAX, IfTaken, Options, Server};

/// All endpoints, in the order of the document.
fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = reference::endpoints();
    endpoints.extend(state::endpoints());
    endpoints.push(metrics::endpoint());
    endpoints.push(aia::endpoint());
    endpoints
}

/// The commit that the program is made from and its date, as `--version` says them; `None` where nobody knows.
fn commit() -> Option<&'static str> {
    let made_from = env!("MADE_FROM").trim_matches([' ', '(', ')']);
    Some(made_from).filter(|commit| !commit.is_empty())
}

/// What answers at each path.
fn router(api: Api) -> Router {
    let endpoints = endpoints();
    let document = openapi::endpoint(&endpoints);
    let mut router = page::router();
    for endpoint in endpoints.into_iter().chain([document]) {
        router = router.route(endpoint.path, endpoint.method);
    }
    let nothing_here =
        || async { Refusal::not_found("nothing is here: /openapi.json lists what is") };
    router.fallback(nothing_here).with_state(api)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::openapi::RefOr;

    use super::*;

    #[test]
    fn the_document_lists_every_endpoint_and_nothing_else() {
        let mut endpoints = endpoints();
        endpoints.push(openapi::endpoint(&endpoints));
        let document = openapi::describe(endpoints.iter());
        let documented: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let routed: BTreeSet<&str> = endpoints.iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(documented, routed);
        assert_eq!(routed.len(), endpoints.len(), "a path stands there once");
        for endpoint in &endpoints {
            let operation = &endpoint.operation;
            assert!(operation.summary.is_some(), "{}", endpoint.path);
            let named = operation.parameters.iter().flatten();
            let named = named.filter(|parameter| match parameter {
                RefOr::T(parameter) => {
                    let place = format!("{{{}}}", parameter.name);
                    endpoint.path.contains(&place)
                }
                RefOr::Ref(_) => false,
            });
            let braces = endpoint.path.matches('{').count();
            assert_eq!(named.count(), braces, "{}", endpoint.path);
        }
    }
}
