//! The gateway: a page about a name that has no address of its own, under that name itself.
//!
//! The resolver leads whoever asks for the address of such a name here, if the configuration has `api.gateway`
//! (`resolver/gateway.rs`). The page says who owns the name, what its zone file says, and with which block and transaction anybody
//! can check that. `Host` decides the name: one that the resolver leads here, also below `bns.alt`; everything else is
//! misdirected, so that nothing else is an origin of ours.
//!
//! There is no script here, and none may run; a zone file is a stranger's text and is escaped. The API is not served here, for its
//! pages would then be of the name's origin.

mod html;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use hyper::Uri;
use hyper::header::{CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

use super::answer::{Api, Refusal, response};
use crate::api::explain::{ExplainReply, ExplainRequest};
use crate::api::names::NameRequest;
use crate::api::owner::ZonefileRequest;
use crate::bns::Name;
use crate::host::Stranger;
use crate::names::NameState;
use crate::resolver::strip_alias;
use crate::wire::ExtendedError;

/// What a page may load: its style from here, and an empty icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Where the style is.
const STYLE: &str = "/gateway.css";

/// What answers at the gateway, whatever the path.
pub fn router(api: Api) -> Router {
    Router::new().fallback(answer).with_state(api)
}

async fn answer(State(api): State<Api>, uri: Uri, headers: HeaderMap) -> Response {
    match page(&api, &uri, &headers).await {
        Ok(response) => response,
        Err(refusal) => {
            let (status, sentence) = refusal.parts();
            let mut response = html_response(html::refusal(sentence).to_string());
            *response.status_mut() = status;
            response
        }
    }
}

fn html_response(text: String) -> Response {
    let mut response = response("text/html; charset=utf-8", text);
    let policy = HeaderValue::from_static(POLICY);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

async fn page(api: &Api, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let called = called(uri, headers).ok_or(Stranger::Host)?;
    let host = host(&called);
    let explained = explain(api, &host).await?;
    match uri.path() {
        "/" => {
            let zonefile = zonefile(api, &explained).await?;
            let text = html::page(&explained, zonefile.as_deref()).to_string();
            Ok(html_response(text))
        }
        STYLE => Ok(response(
            "text/css; charset=utf-8",
            concat!(include_str!("../palette.css"), include_str!("gateway.css")),
        )),
        _ => Err(Refusal::not_found(format!(
            "nothing is here: http://{called}/ says what is known of the name"
        ))),
    }
}

/// Name and port that are called; `None` unless exactly one name is.
fn called(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).into_iter();
    let (first, second) = (hosts.next(), hosts.next());
    match (uri.authority(), second) {
        (_, Some(_)) => None,
        (Some(authority), None) => Some(authority.clone()),
        (None, None) => first?.to_str().ok()?.parse().ok(),
    }
}

/// The name alone, lower case and without a last dot.
fn host(called: &Authority) -> String {
    let host = called.host().to_ascii_lowercase();
    host.strip_suffix('.').unwrap_or(&host).to_owned()
}

/// What is known of a name; misdirected unless the resolver leads whoever asks for it here. Only a registered name is looked
/// up, so that nobody makes upstreams work by calling us names.
async fn explain(api: &Api, host: &str) -> Result<ExplainReply, Refusal> {
    let plain = strip_alias(host).unwrap_or(host);
    let name: Name = plain.parse().map_err(|_| Stranger::Host)?;
    let name = name.to_string();
    let details = api.ask(NameRequest { name }).await?;
    if !matches!(details.state, NameState::Registered | NameState::Grace) {
        return Err(Stranger::Host.into());
    }
    for record_type in ["A", "AAAA"] {
        let request = ExplainRequest {
            name: host.to_owned(),
            record_type: record_type.to_owned(),
        };
        let explained = *api.ask(request).await?;
        if leads_here(&explained) {
            return Ok(explained);
        }
    }
    Err(Stranger::Host.into())
}

fn leads_here(explained: &ExplainReply) -> bool {
    let error = explained
        .answer
        .as_ref()
        .and_then(|answer| answer.ede.as_ref());
    error.is_some_and(|error| error.code == ExtendedError::SYNTHESIZED)
}

/// The text of the zone file, if it is there.
async fn zonefile(api: &Api, explained: &ExplainReply) -> Result<Option<String>, Refusal> {
    let Some(hash) = explained.provenance.registration.zonefile_hash else {
        return Ok(None);
    };
    let reply = api.ask(ZonefileRequest { hash }).await?;
    let text = reply
        .zonefile
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_called_or_none() {
        let named = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            called(&Uri::from_static("/"), &headers).map(|called| host(&called))
        };
        for known in ["me.id", "ME.id", "me.id.", "me.id:8080"] {
            assert_eq!(named(&[known]).as_deref(), Some("me.id"), "{known}");
        }
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["me.id", "me.id"]), None);
        assert_eq!(named(&["me id"]), None);
    }
}
