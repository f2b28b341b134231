//! Rows 25, 28 and the serving side of 26: DNS over TLS and over HTTPS, asked by kdig and curl.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::LazyLock;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::bench::{Bench, Query, option};

const ENCRYPTED: &str = "[dns.tls]\nlisten = [\"127.0.0.1:0\"]\n[dns.https]\nlisten = [\"127.0.0.1:0\"]\nhosts = [\"dns.lan\"]";

fn bench() -> &'static Bench {
    static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::start(ENCRYPTED, &[]));
    &BENCH
}

fn https() -> SocketAddr {
    bench().daemon().https_listeners()[0]
}

fn authority() -> String {
    bench()
        .path("data/tls/certificate.pem")
        .display()
        .to_string()
}

/// Runs a client that has to be there.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}; install what tests/run names"))
}

fn kdig(arguments: &[&str]) -> String {
    let address = bench().daemon().tls_listeners()[0];
    let (ip, port) = (format!("@{}", address.ip()), address.port().to_string());
    let ca = format!("+tls-ca={}", authority());
    let mut all = vec![&ip[..], "-p", &port, "+tls", &ca, "+tls-hostname=localhost"];
    all.extend(arguments);
    let output = run("kdig", &all);
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn row_26_rfc7858_the_certificate_proves_who_answers() {
    let text = kdig(&["good.id", "A", "slow.tls.example", "A", "+keepopen"]);
    assert!(
        text.contains("192.0.2.1") && text.contains("198.51.100.9"),
        "{text}"
    );
    let address = bench().daemon().tls_listeners()[0];
    let wrong = run(
        "kdig",
        &[
            &format!("@{}", address.ip()),
            "-p",
            &address.port().to_string(),
            "+tls-ca",
            "+tls-hostname=localhost",
            "good.id",
        ],
    );
    assert!(
        !String::from_utf8_lossy(&wrong.stdout).contains("192.0.2.1"),
        "a strict client refuses a stranger"
    );
}

#[test]
fn row_25_rfc8467_padded_queries_get_padded_answers() {
    for name in ["good.id", "big.id", "nx.good.id", "padding.example"] {
        let text = kdig(&[name, "A", "+padding=128"]);
        let size = text
            .lines()
            .find_map(|line| line.strip_prefix(";; Received "))
            .expect(&text);
        let size: usize = size.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(size % 468, 0, "{name}: {text}");
    }
    let plain = kdig(&["good.id", "A", "+nopadding"]);
    assert!(!plain.contains("PADDING"), "{plain}");
    let udp = bench().udp(
        &Query::new("good.id", RecordType::A)
            .edns(1232)
            .option(12, &[0; 9])
            .bytes(),
    );
    assert_eq!(option(&udp, 12), None, "only where it hides something");
}

#[test]
fn row_24_rfc7828_keepalive_over_tls() {
    let text = kdig(&["good.id", "A", "+ednsopt=11", "+edns"]);
    assert!(
        text.contains("150") || text.contains("0096") || text.contains("15.0"),
        "{text}"
    );
}

/// curl's headers and body; the arguments come before the address.
fn curl(path: &str, arguments: &[&str]) -> (String, Vec<u8>) {
    let url = format!("https://localhost:{}{path}", https().port());
    let ca = authority();
    let mut all = vec!["-s", "-i", "--max-time", "10", "--cacert", &ca, "--ipv4"];
    all.extend(arguments);
    all.push(&url);
    let output = run("curl", &all).stdout;
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&output[..end]).to_lowercase();
    (head, output[end + 4..].to_vec())
}

fn file(name: &str, bytes: &[u8]) -> String {
    let path = bench().path(name);
    std::fs::write(&path, bytes).unwrap();
    format!("@{}", path.display())
}

#[test]
fn row_28_rfc8484_get_and_post_over_both_versions() {
    let query = Query::new("www.good.id", RecordType::A).id(0).bytes();
    let body = file("query", &query);
    let path = format!("/dns-query?dns={}", base64url(&query));
    for version in ["--http1.1", "--http2"] {
        let post = curl(
            "/dns-query",
            &[
                version,
                "--data-binary",
                &body,
                "-H",
                "Content-Type: application/dns-message",
            ],
        );
        let get = curl(&path, &[version]);
        for (head, body) in [post, get] {
            assert!(head.lines().next().unwrap().contains(" 200"), "{head}");
            assert!(
                head.contains("content-type: application/dns-message"),
                "{head}"
            );
            assert!(
                head.contains("cache-control: max-age=60\r"),
                "the smallest TTL: {head}"
            );
            assert!(!head.contains("access-control"), "{head}");
            let answer = Message::from_vec(&body).unwrap();
            assert_eq!((answer.answers.len(), answer.metadata.id), (2, 0));
        }
    }
    let negative = Query::new("nx.good.id", RecordType::A).id(0).bytes();
    let (head, _) = curl(&format!("/dns-query?dns={}", base64url(&negative)), &[]);
    assert!(head.contains("cache-control: max-age=60"), "{head}");
    let forwarded = Query::new("doh.example", RecordType::A).id(0).bytes();
    let (head, _) = curl(&format!("/dns-query?dns={}", base64url(&forwarded)), &[]);
    assert!(head.contains(" 200"), "{head}");
    let broken = Query::new("badhash.id", RecordType::A).id(0).bytes();
    let (head, _) = curl(&format!("/dns-query?dns={}", base64url(&broken)), &[]);
    assert!(head.contains("max-age=0"), "{head}");
}

#[test]
fn row_28_rfc8484_wrong_requests_have_their_status() {
    let query = Query::new("good.id", RecordType::A).id(0).bytes();
    let body = file("good", &query);
    let long = file("long", &vec![0; 65_536]);
    let response = file("response", &{
        let mut bytes = query.clone();
        bytes[2] |= 0x80;
        bytes
    });
    let dns = "Content-Type: application/dns-message";
    let get = format!("/dns-query?dns={}", base64url(&query));
    let cases: [(&str, &str, Vec<&str>, &str); 11] = [
        (
            "another media type",
            "/dns-query",
            vec!["--data-binary", &body],
            "415",
        ),
        (
            "too long",
            "/dns-query",
            vec!["--data-binary", &long, "-H", dns],
            "413",
        ),
        (
            "a response",
            "/dns-query",
            vec!["--data-binary", &response, "-H", dns],
            "400",
        ),
        ("no message", "/dns-query", vec![], "400"),
        ("padding", "/dns-query?dns=AAA=", vec![], "400"),
        ("another path", "/", vec![], "404"),
        ("another method", "/dns-query", vec!["-X", "PUT"], "405"),
        (
            "a rebound name",
            &get,
            vec!["-H", "Host: evil.example"],
            "421",
        ),
        (
            "a web page",
            &get,
            vec!["-H", "Origin: https://evil.example"],
            "403",
        ),
        ("a sandboxed page", &get, vec!["-H", "Origin: null"], "403"),
        (
            "a configured name",
            &get,
            vec!["-H", "Host: dns.lan"],
            "200",
        ),
    ];
    // Again and again: a refusal must not overtake what the client still sends.
    for (case, path, arguments, status) in cases.iter().cycle().take(5 * cases.len()) {
        let (head, _) = curl(path, arguments);
        let first = head.lines().next().unwrap().to_owned();
        assert!(first.contains(&format!(" {status}")), "{case}: {first}");
        assert!(!head.contains("access-control"), "{case}");
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}
