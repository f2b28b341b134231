//! What of a reply everybody on the machine may know.
//!
//! The control socket tells its own user everything. Here every user and every program reads, so that these are left out:
//! the places of files, which name people and say what they run; what in the address of an encrypted upstream is often a
//! customer's number, in its path or in the first label of its name; the names that are asked for most.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::api::explain::{ExplainReply, ZonefileSource};
use crate::api::status::StatusReply;

/// What stands where something was left out.
const LEFT_OUT: &str = "…";
/// What the addresses of encrypted upstreams begin with.
const SCHEMES: [&str; 2] = ["https://", "tls://"];

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
    match (behind, before.strip_suffix(" in ")) {
        (Some(end), _) => format!("{before}{LEFT_OUT}{}", without_paths(&path[end..])),
        (None, Some(before)) => before.to_owned(),
        (None, None) => format!("{before}{LEFT_OUT}"),
    }
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

/// A text in which the addresses of encrypted upstreams say nothing of who asks them.
pub fn without_secret(text: &str) -> String {
    let starts = SCHEMES.iter().filter_map(|scheme| {
        let start = text.find(scheme)?;
        Some((start, start + scheme.len()))
    });
    let Some((_, start)) = starts.min() else {
        return text.to_owned();
    };
    let (before, rest) = text.split_at(start);
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let target = rest[..end].trim_end_matches(|c: char| ",;:.!?)\"'`".contains(c));
    let behind = without_secret(&rest[target.len()..]);
    // A pin can hold slashes, so the path begins behind what stands before `@`.
    let place = target.rfind('@').map_or(0, |at| at + 1);
    let path = target[place..].find('/').map(|path| place + path);
    let (server, path) = target.split_at(path.unwrap_or(target.len()));
    let path = if path.len() > 1 { "/…" } else { path };
    let server: Vec<String> = server.split('@').map(without_customer).collect();
    format!("{before}{}{path}{behind}", server.join("@"))
}

/// A server without the first label of its name, where that is often a customer's number: in names of more than two.
fn without_customer(server: &str) -> String {
    let is_address = server.parse::<SocketAddr>().is_ok() || server.parse::<IpAddr>().is_ok();
    match server.split_once('.') {
        Some((_, rest)) if !is_address && rest.contains('.') => format!("{LEFT_OUT}.{rest}"),
        _ => server.to_owned(),
    }
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
            ("blocks in /home/me/my bitcoin", "blocks"),
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
                "https://dns.example/abc123, 3 ms",
                "https://dns.example/…, 3 ms",
            ),
            ("https://dns.example/abc123", "https://dns.example/…"),
            ("https://dns.example/a,b;c)d", "https://dns.example/…"),
            ("https://dns.example", "https://dns.example"),
            (
                "https://a.example/1 and https://b.example/2: x",
                "https://a.example/… and https://b.example/…: x",
            ),
            (
                "tls://ab12.dns.nextdns.io@192.0.2.1:853, 3 ms",
                "tls://….dns.nextdns.io@192.0.2.1:853, 3 ms",
            ),
            (
                "no answer (tls://ab12.dns.nextdns.io:853)",
                "no answer (tls://….dns.nextdns.io:853)",
            ),
            (
                "https://ab12.d.example@[2001:db8::1]:443/x{?dns}",
                "https://….d.example@[2001:db8::1]:443/…",
            ),
            ("tls://dns.example:853", "tls://dns.example:853"),
            (
                "https://sha256:a/b+c=@192.0.2.1:443/ab12",
                "https://sha256:a/b+c=@192.0.2.1:443/…",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(without_secret(text), expected);
        }
    }
}
