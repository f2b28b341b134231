//! What of a reply everybody on the machine may know.
//!
//! The control socket tells its own user everything. Here every user and every program reads, so that these are left out:
//! the places of files, which name people and say what they run; what stands behind the name of an upstream over HTTPS, which
//! is often a customer's number; the names that are asked for most.

use std::path::Path;

use crate::api::explain::{ExplainReply, ZonefileSource};
use crate::api::status::StatusReply;

/// What stands where something was left out.
const LEFT_OUT: &str = "…";
/// Begins the address of a server that is asked over HTTPS.
const SCHEME: &str = "https://";

/// The status for everybody.
pub fn status(mut reply: StatusReply) -> StatusReply {
    reply.busiest.clear();
    reply.source = without_paths(&reply.source);
    for text in &mut reply.warnings {
        *text = without_paths(&without_secret(text));
    }
    // It quotes what somebody wrote, be it a secret.
    if let Some(error) = &mut reply.configuration_error {
        *error = "the new configuration is wrong: `bnsd status` says where".to_owned();
    }
    for upstream in &mut reply.upstreams {
        *upstream = without_secret(upstream);
    }
    for waiting in &mut reply.zonefiles.waiting {
        waiting.file = file_name(&waiting.file);
    }
    reply
}

/// The explanation for everybody.
pub fn explain(mut reply: ExplainReply) -> ExplainReply {
    if let Some(ZonefileSource::Folder { path }) = &mut reply.provenance.zonefile_source {
        *path = file_name(path);
    }
    reply
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(
        || LEFT_OUT.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// A sentence without the absolute paths in it. A path may have blanks, so that the sentence ends at the first one, but for
/// what stands behind a bracket or a quotation mark that encloses it.
fn without_paths(text: &str) -> String {
    let Some(start) = path_start(text) else {
        return text.to_owned();
    };
    let (before, path) = text.split_at(start);
    let close = match before.chars().next_back() {
        Some('(') => Some(')'),
        Some(mark @ ('"' | '\'' | '`')) => Some(mark),
        _ => None,
    };
    let behind = close.and_then(|close| path.find(close));
    let behind = behind.map_or(String::new(), |end| without_paths(&path[end..]));
    format!("{before}{LEFT_OUT}{behind}")
}

/// Where the first absolute path begins: a slash at the beginning of a word.
fn path_start(text: &str) -> Option<usize> {
    let mut before = ' ';
    for (place, character) in text.char_indices() {
        if character == '/' && (before.is_whitespace() || "(\"'`=:".contains(before)) {
            let is_address = text[..place].ends_with(':') && text[place..].starts_with("//");
            if !is_address {
                return Some(place);
            }
        }
        before = character;
    }
    None
}

/// A text in which addresses over HTTPS end with the name of the server.
pub fn without_secret(text: &str) -> String {
    let Some((before, rest)) = text.split_once(SCHEME) else {
        return text.to_owned();
    };
    let end = rest.find(|c: char| c.is_whitespace() || ",;)\"'`".contains(c));
    let (target, behind) = rest.split_at(end.unwrap_or(rest.len()));
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let path = if path.is_empty() { "" } else { "/…" };
    format!("{before}{SCHEME}{host}{path}{}", without_secret(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_left_out() {
        let cases = [
            (
                "Bitcoin Core at 127.0.0.1:8332",
                "Bitcoin Core at 127.0.0.1:8332",
            ),
            ("blocks in /home/me/my bitcoin", "blocks in …"),
            ("cannot read /home/me/x: denied; do y", "cannot read …"),
            ("see (/a b/c) and `/d`: go", "see (…) and `…`: go"),
            (
                "https://dns.example/x is slow",
                "https://dns.example/x is slow",
            ),
            ("1/2 of it", "1/2 of it"),
            ("file:/home/me", "file:…"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_paths(text), expected);
        }
    }

    #[test]
    fn an_upstream_has_no_secret() {
        let cases = [
            ("192.0.2.1:53 (3 ms)", "192.0.2.1:53 (3 ms)"),
            (
                "https://dns.example/abc123 (3 ms)",
                "https://dns.example/… (3 ms)",
            ),
            ("https://dns.example/abc123", "https://dns.example/…"),
            ("https://dns.example", "https://dns.example"),
            (
                "https://a.example/1 and https://b.example/2: x",
                "https://a.example/… and https://b.example/… x",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(without_secret(text), expected);
        }
    }
}
