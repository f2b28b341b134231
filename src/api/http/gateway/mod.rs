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
use axum::response::{IntoResponse as _, Response};
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
        Err(refusal) => refusal.into_response(),
    }
}

async fn page(api: &Api, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let host = host(uri, headers).ok_or(Stranger::Host)?;
    let explained = explain(api, &host).await?;
    match uri.path() {
        "/" => {
            let zonefile = zonefile(api, &explained).await?;
            let text = html::page(&explained, zonefile.as_deref()).to_string();
            let mut response = response("text/html; charset=utf-8", text);
            let policy = HeaderValue::from_static(POLICY);
            response
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, policy);
            Ok(response)
        }
        STYLE => Ok(response(
            "text/css; charset=utf-8",
            include_str!("gateway.css"),
        )),
        _ => Err(Refusal::not_found(format!(
            "nothing is here: http://{host}/ says what is known of the name"
        ))),
    }
}

/// The name that is called, lower case and without a last dot; `None` unless exactly one is.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(HOST).into_iter();
    let (first, second) = (hosts.next(), hosts.next());
    let authority = match (uri.authority(), second) {
        (_, Some(_)) => return None,
        (Some(authority), None) => authority.clone(),
        (None, None) => first?.to_str().ok()?.parse::<Authority>().ok()?,
    };
    let host = authority.host().to_ascii_lowercase();
    Some(host.strip_suffix('.').unwrap_or(&host).to_owned())
}

/// What is known of a name; misdirected unless the resolver leads whoever asks for it here. Only a registered name is looked
/// up, so that nobody makes upstreams work by calling us names.
async fn explain(api: &Api, host: &str) -> Result<ExplainReply, Refusal> {
    let plain = host.strip_suffix(".bns.alt").unwrap_or(host);
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
        let called = |hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            host(&Uri::from_static("/"), &headers)
        };
        for known in ["me.id", "ME.id", "me.id.", "me.id:8080"] {
            assert_eq!(called(&[known]).as_deref(), Some("me.id"), "{known}");
        }
        assert_eq!(called(&[]), None);
        assert_eq!(called(&["me.id", "me.id"]), None);
        assert_eq!(called(&["me id"]), None);
    }
}
