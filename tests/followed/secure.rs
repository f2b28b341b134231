//! A log on a web server that speaks TLS.

use std::fs;
use std::path::Path;

use super::Scene;
use crate::common::home::Home;
use crate::common::process::{Process, status, until};
use crate::common::upstream::Certificate;

/// Python's web server with a certificate; prints its port.
const SERVER: &str = "
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// Serves a directory with a certificate for localhost; the URL.
fn serve(home: &Home, directory: &Path, certificate: &Certificate) -> (Process, String) {
    let file = home.path().join("server.pem");
    fs::write(&file, [&*certificate.pem, &certificate.key_pem].concat()).expect("a file");
    let (directory, file) = (directory.display().to_string(), file.display().to_string());
    let server = home.command("python3", &["-c", SERVER, &directory, &file]);
    let server = Process::start(home, server);
    let port = until("the port", || server.stdout().trim().parse::<u16>().ok());
    (server, format!("https://localhost:{port}/"))
}

#[test]
fn a_log_over_tls_is_followed_if_the_system_trusts_its_certificate() {
    let (scene, certificate) = (Scene::new(), Certificate::new("localhost"));
    let (_server, url) = serve(&scene.home, &scene.log, &certificate);
    let trusted = scene.home.path().join("trusted.pem");
    fs::write(&trusted, &certificate.pem).expect("a file");
    let daemon = |logs: &str| {
        let mut command = scene.serving();
        command
            .env("BNSD_CHAIN_LOGS", logs)
            .env("SSL_CERT_FILE", &trusted);
        Process::start(&scene.home, command)
    };
    let mut follower = daemon(&url);
    scene.wait();
    follower.terminate();

    // Nobody that the system trusts vouches for the server now.
    fs::write(&trusted, Certificate::new("localhost").pem).expect("a file");
    fs::remove_dir_all(scene.home.state()).expect("a data directory");
    let alone = daemon(&url);
    let named = format!("{url} cannot be read");
    until("what is wrong with the log", || {
        let warnings = status(&scene.socket())?.warnings;
        let mut warnings = warnings.iter();
        let warning = warnings.find(|warning| warning.contains(&named))?;
        assert!(warning.contains("certificate"), "{warning}");
        Some(())
    });
    drop(alone);
    let beside = daemon(&format!("{url},{}", scene.log.display()));
    scene.wait();
    let known = status(&scene.socket()).and_then(|status| status.known);
    assert_eq!(known.expect("what it rests on").sources, 1);
    let log = beside.stderr();
    assert!(log.contains(&named) && log.contains("certificate"), "{log}");
}
