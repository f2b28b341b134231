//! The status page at `/`: how the daemon is, as `bnsd status` says it, and a search that explains a name.
//!
//! The page is plain HTML, style and script, compiled in: it works without the internet, and nothing is built. It asks the same
//! endpoints as everybody else, once a second while somebody looks. Whatever it shows of names is strangers' input, so the
//! scripts set text alone, and the policy that is sent along lets nothing run that is not from here.
//!
//! Charts are drawn by uPlot 1.6.32 (MIT, `uplot.LICENSE`), as it comes from the npm registry.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::answer::{Api, response};

/// What the page may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// The files with their paths and media types.
const FILES: [(&str, &str, &str); 13] = [
    ("/", HTML, include_str!("index.html")),
    (
        "/page/page.css",
        STYLE,
        concat!(include_str!("../palette.css"), include_str!("page.css")),
    ),
    ("/page/uplot.css", STYLE, include_str!("uplot.css")),
    ("/page/icon.svg", IMAGE, include_str!("icon.svg")),
    ("/page/uplot.js", SCRIPT, include_str!("uplot.js")),
    ("/page/main.js", SCRIPT, include_str!("main.js")),
    ("/page/api.js", SCRIPT, include_str!("api.js")),
    ("/page/charts.js", SCRIPT, include_str!("charts.js")),
    ("/page/dom.js", SCRIPT, include_str!("dom.js")),
    ("/page/explain.js", SCRIPT, include_str!("explain.js")),
    ("/page/overview.js", SCRIPT, include_str!("overview.js")),
    ("/page/samples.js", SCRIPT, include_str!("samples.js")),
    ("/page/words.js", SCRIPT, include_str!("words.js")),
];

/// What answers for the page: everything that is no endpoint of the API.
pub fn router() -> Router<Api> {
    FILES
        .into_iter()
        .fold(Router::new(), |router, (path, media_type, text)| {
            router.route(path, get(move || async move { file(media_type, text) }))
        })
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let mut response = response(media_type, text);
    let policy = HeaderValue::from_static(POLICY);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}
