//! Lines for web servers that serve a name with its certificate, as they stand.

use std::path::{Path, PathBuf};

/// What nginx and Caddy show: the leaf, then the authority.
pub(super) const CHAIN: &str = "chain.pem";
/// The key that they sign with.
pub(super) const LEAF_KEY: &str = "leaf.key";
/// Chain and key together, for HAProxy.
pub(super) const TOGETHER: &str = "haproxy.pem";

/// A directory that can stand between quotes in the configuration of each server.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    text: String,
}

impl Place {
    /// The absolute path of a directory, which need not be there yet. `None` for characters that mean something to a server:
    /// quotes, and those that begin a variable or a placeholder.
    pub(super) fn new(directory: &Path) -> Option<Self> {
        // Without a slash at the end. `..` stays, because it may lead through a link.
        let path: PathBuf = std::path::absolute(directory).ok()?.components().collect();
        let text = path.to_str()?.to_owned();
        let is_plain = |c: char| c.is_alphanumeric() || " /._-+@,=".contains(c);
        text.chars().all(is_plain).then_some(Self { path, text })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> String {
        format!("\"{}/{name}\"", self.text)
    }
}

/// For nginx: a file of its own below `/etc/nginx/conf.d`, or an `include` in the `http` block.
pub(super) fn nginx(place: &Place, name: &str) -> Vec<u8> {
    let (chain, key) = (place.file(CHAIN), place.file(LEAF_KEY));
    let text = format!(
        "\
# https://{name} with nginx: include this file in the http block, for instance as
# /etc/nginx/conf.d/{name}.conf, then run `systemctl reload nginx`.
server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {name} *.{name};
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    root /var/www/html;
    index index.html index.htm index.nginx-debian.html;
}}
"
    );
    text.into_bytes()
}

/// For Caddy: the whole Caddyfile, or a part of it.
pub(super) fn caddy(place: &Place, name: &str) -> Vec<u8> {
    let (chain, key) = (place.file(CHAIN), place.file(LEAF_KEY));
    let text = format!(
        "\
# https://{name} with Caddy: add this to /etc/caddy/Caddyfile, let Caddy read the files
# (`cd DIR; chgrp caddy . chain.pem leaf.key; chmod g+rX . chain.pem leaf.key`), then run
# `systemctl reload caddy`.
{name}, *.{name} {{
    tls {chain} {key}
    root * /var/www/html
    file_server
}}
"
    );
    text.into_bytes()
}

/// For HAProxy, in front of a web server on port 80 of the same machine.
pub(super) fn haproxy(place: &Place, name: &str) -> Vec<u8> {
    let together = place.file(TOGETHER);
    let text = format!(
        "\
# https://{name} with HAProxy, in front of a web server on port 80: add this to
# /etc/haproxy/haproxy.cfg, then run `systemctl reload haproxy`.
frontend {name}
    mode http
    timeout client 30s
    bind :::443 v4v6 ssl crt {together} alpn h2,http/1.1
    default_backend {name}-web

backend {name}-web
    mode http
    timeout connect 5s
    timeout server 30s
    server web 127.0.0.1:80
"
    );
    text.into_bytes()
}
