//! The proxy for browsers, asked by curl and by hand.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::http;
use crate::common::process::PATIENCE;

use super::origin::Origin;
use super::owner::Owner;
use super::site::Keys;

const NAME: &str = "anna.id";

/// A name with a server, and a daemon with the proxy.
struct Scene {
    home: Home,
    owner: Owner,
    origin: Origin,
    proxy: SocketAddr,
    token: String,
}

impl Scene {
    fn start() -> Self {
        let keys = Keys::of(NAME);
        let origin = Origin::start(&keys);
        let mut owner = Owner::with_settings(NAME, &[("BNSD_TLS_PROXY", "127.0.0.1:0")]);
        owner.announce(&keys.statement("ta", origin.address.port()));
        let proxy = owner.world.proxy();
        let token = std::fs::read_to_string(owner.world.data().join("proxy/token"));
        Self {
            home: Home::new(),
            owner,
            origin,
            proxy,
            token: token.unwrap(),
        }
    }

    fn root(&self) -> PathBuf {
        self.owner.world.data().join("proxy/trust/root.pem")
    }

    fn target(&self) -> String {
        format!("{NAME}:{}", self.origin.address.port())
    }

    /// What curl gets of the page of a server through the proxy, on machines whose one authority is the proxy's.
    fn curl(&self, server: &str, more: &[&str]) -> Ended {
        let (root, user) = (
            self.root().display().to_string(),
            format!("me:{}", self.token),
        );
        let (proxy, page) = (
            format!("http://{}", self.proxy),
            format!("https://{server}/"),
        );
        let command = [
            "-sS",
            "--proxy",
            &proxy,
            "--proxy-user",
            &user,
            "--cacert",
            &root,
            "--max-time",
            "20",
            &page,
        ];
        ended(&mut self.home.command("curl", &[&command, more].concat()))
    }

    /// What the proxy replies to CONNECT.
    fn connect(&self, target: &str, token: &str) -> http::Response {
        let line = authorization(token);
        http::request(self.proxy, "CONNECT", target, &[&line])
    }
}

fn authorization(token: &str) -> String {
    let credentials = BASE64.encode(format!("me:{token}").as_bytes());
    format!("Proxy-Authorization: Basic {credentials}")
}

fn text(response: &http::Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

#[test]
fn curl_reads_the_page_of_a_name_over_every_version_of_http() {
    let scene = Scene::start();
    for (option, version) in [
        ("--http1.1", "HTTP/1.1"),
        ("--http2", "HTTP/2.0"),
        ("--no-alpn", "HTTP/1.1"),
    ] {
        let got = scene.curl(&scene.target(), &[option]);
        assert_eq!((got.code, got.stdout.as_str()), (0, version), "{got:?}");
    }
    let alias = format!("{NAME}.bns.alt:{}", scene.origin.address.port());
    let got = scene.curl(&alias, &[]);
    assert_eq!((got.code, got.stdout.as_str()), (0, "HTTP/2.0"), "{got:?}");
    // Whoever does not trust the proxy's authority does not trust the page.
    let got = scene.curl(
        &scene.target(),
        &["--cacert", "/etc/ssl/certs/ca-certificates.crt"],
    );
    assert_eq!(got.code, 60, "{got:?}");
}

#[test]
fn nobody_gets_through_without_a_token_or_to_whom_no_pin_holds_for() {
    let mut scene = Scene::start();
    let refused = scene.connect(&scene.target(), "0123456789abcdef0123456789abcdef");
    assert_eq!(refused.status, 407, "{refused:?}");
    assert_eq!(
        refused.header("proxy-authenticate"),
        Some("Basic realm=\"bnsd\"")
    );
    let refused = http::request(scene.proxy, "CONNECT", &scene.target(), &[]);
    assert_eq!(refused.status, 407, "{refused:?}");
    // Names of others, ports without pins, addresses.
    for (target, status, why) in [
        (
            "example.com:443",
            403,
            "example.com is no name of the chain",
        ),
        ("localhost:443", 403, "localhost is no name of the chain"),
        ("anna.id:1", 403, "nothing is bound to anna.id, port 1"),
        ("nosuch.id:443", 403, "nothing is bound to nosuch.id"),
        ("127.0.0.1:443", 400, "addresses have no names"),
        ("[::1]:443", 400, "addresses have no names"),
        ("anna.id", 400, "write the target as me.id:443"),
        ("anna.id:0", 400, "write the target as me.id:443"),
    ] {
        let refused = scene.connect(target, &scene.token);
        assert_eq!(refused.status, status, "{target}: {refused:?}");
        assert!(text(&refused).contains(why), "{target}: {refused:?}");
    }
    let plain = http::request(
        scene.proxy,
        "GET",
        "http://anna.id/",
        &[&authorization(&scene.token)],
    );
    assert_eq!(plain.status, 405, "{plain:?}");
    assert_eq!(http::get(scene.proxy, "/proxy.pac").status, 404);
    let long = "x".repeat(20_000);
    assert_eq!(http::get(scene.proxy, &format!("/{long}")).status, 400);
    assert!(http::send(scene.proxy, b"\x16\x03\x01\r\n\r\n").is_some_and(|it| it.status == 400));
    // Another key at the same place.
    let stranger = Keys::of(NAME);
    scene
        .owner
        .announce(&stranger.statement("ta", scene.origin.address.port()));
    let refused = scene.connect(&scene.target(), &scene.token);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        text(&refused).contains("no pin holds for it"),
        "{refused:?}"
    );
    let got = scene.curl(&scene.target(), &[]);
    assert_ne!(got.code, 0, "{got:?}");
    assert!(got.stderr.contains("403"), "{got:?}");
}

#[test]
fn an_upgraded_connection_lives_until_the_name_is_revoked_and_then_none_begins() {
    let mut scene = Scene::start();
    let mut stream = TcpStream::connect(scene.proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (target, line) = (scene.target(), authorization(&scene.token));
    write!(
        stream,
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{line}\r\n\r\n"
    )
    .unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 200 "));
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(scene.root()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As browsers do for WebSockets.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(NAME).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    write!(
        stream,
        "GET /chat HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    .unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
    for said in [&b"one"[..], &[7; 100_000]] {
        let mut heard = vec![0; said.len()];
        stream.write_all(said).unwrap();
        stream.read_exact(&mut heard).unwrap();
        assert!(heard == said);
    }
    // Another block changes nothing.
    scene.owner.world.mine_empty(1);
    stream.write_all(b"two").unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    scene.owner.revoke();
    stream
        .sock
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let end = stream.read(&mut [0; 1]);
    let is_over = match &end {
        Ok(length) => *length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    assert!(is_over, "{end:?}");
    let refused = scene.connect(&scene.target(), &scene.token);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        text(&refused).contains("nothing is bound to it")
            || text(&refused).contains("nothing is bound to anna.id")
    );
}

/// The head of a response, and not a byte more.
fn head(stream: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_browser_is_told_which_names_come_here_and_files_are_private() {
    let scene = Scene::start();
    let path = format!("/{}/proxy.pac", scene.token);
    let pac = http::get(scene.proxy, &path);
    assert_eq!(pac.status, 200, "{pac:?}");
    assert_eq!(
        pac.header("content-type"),
        Some("application/x-ns-proxy-autoconfig")
    );
    // The world serves `id` alone.
    for line in [
        format!("var proxy = \"PROXY {}\";\n", scene.proxy),
        "var only = {\"id\":1".to_owned(),
        "\"co.id\":1".to_owned(),
    ] {
        assert!(text(&pac).contains(&line), "{line}: {}", text(&pac));
    }
    let directory = scene.owner.world.data().join("proxy");
    for (file, mode) in [("", 0o700), ("token", 0o600), ("trust/root.key", 0o600)] {
        let found = std::fs::metadata(directory.join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    // The same token and authority after the next start.
    let data = scene.owner.world.data().display().to_string();
    let home = Home::new();
    let said = home.run(&["tls", "proxy", "--data-dir", &data]);
    is_one_sentence(&said, 1, &["there is no proxy: set `tls.proxy"]);
    let mut command = home.bnsd(&["tls", "proxy", "--json", "--data-dir", &data]);
    let said = ended(command.env("BNSD_TLS_PROXY", scene.proxy.to_string()));
    let json: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(json["pac"], format!("http://{}{path}", scene.proxy));
    assert_eq!(json["token"], scene.token);
    let root = std::fs::read_to_string(scene.root()).unwrap();
    assert_eq!(json["root"], root);
    let mut command = home.bnsd(&["tls", "proxy", "--ca", "--data-dir", &data]);
    let said = ended(command.env("BNSD_TLS_PROXY", scene.proxy.to_string()));
    assert_eq!(said.stdout, root);
}
