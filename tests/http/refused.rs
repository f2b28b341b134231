//! What is not answered: strangers, other methods, bodies, nonsense, and those who are slow.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::demo;
use crate::common::http::{get, request, send};

#[test]
fn only_requests_that_mean_this_server_are_answered() {
    let (_demo, address) = demo();
    let status = |lines: &[&str]| request(address, "GET", "/v1/status", lines).status;
    let port = address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        assert_eq!(status(&[&format!("Host: {host}:{port}")]), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1", ""] {
        assert_eq!(status(&[&format!("Host: {host}")]), 421, "{host}");
    }
    assert_eq!(status(&["Host: localhost", "Host: evil.example"]), 421);
    for origin in ["https://evil.example", "null", "https://localhost"] {
        assert_eq!(status(&[&format!("Origin: {origin}")]), 403, "{origin}");
    }
    assert_eq!(status(&[&format!("Origin: http://localhost:{port}")]), 200);
    // An image or a script of another site's page; but a person may follow a link.
    assert_eq!(
        status(&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"]),
        403
    );
    assert_eq!(
        status(&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]),
        200
    );
    let absolute = request(address, "GET", "http://evil.example/v1/status", &[]);
    assert_eq!(absolute.status, 421);
}

#[test]
fn what_makes_no_sense_has_its_status() {
    let (_demo, address) = demo();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for target in ["/v1/status", "/", "/nothing"] {
            let refused = request(address, method, target, &[]);
            assert_eq!(refused.status, 405, "{method} {target}");
            assert_eq!(
                refused.header("allow"),
                Some("GET, HEAD"),
                "{method} {target}"
            );
        }
    }
    let cases = [
        ("/nothing", 404),
        ("/v1/", 404),
        ("/v1/status/", 404),
        ("/v1/../v1/status", 404),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("//v1/status", 404),
        ("/v1/lookup/%ff", 400),
        ("/v1/lookup/a%2f..%2fb", 400),
        ("/v1/lookup/werner.id?type=A&type=MX", 400),
        ("/v1/lookup/werner.id?type=%f", 400),
        ("/v1/lookup/%3Cscript%3Ealert(1)%3C%2Fscript%3E", 400),
    ];
    for (target, status) in cases {
        let response = get(address, target);
        assert_eq!(response.status, status, "{target}");
        // Whatever was sent comes back as JSON at most, which no browser shows as a page.
        assert_eq!(
            response.header("content-type"),
            Some("application/json"),
            "{target}"
        );
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{target}"
        );
        assert!(response.json()["error"].is_string(), "{target}");
    }
    let long = format!("/v1/lookup/{}", "a".repeat(3_000));
    assert_eq!(get(address, &long).status, 414);
    let field = format!("X: {}", "a".repeat(20_000));
    assert_eq!(request(address, "GET", "/v1/status", &[&field]).status, 431);
    let many: Vec<String> = (0..100).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(request(address, "GET", "/v1/status", &many).status, 431);
    assert_eq!(send(address, b"nonsense\r\n\r\n").unwrap().status, 400);
}

#[test]
fn bodies_are_refused() {
    let (_demo, address) = demo();
    let head = format!("GET /v1/status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let with = |rest: &str| send(address, format!("{head}{rest}").as_bytes()).unwrap();
    assert_eq!(with("Content-Length: 0\r\n\r\n").status, 200);
    assert_eq!(with("Content-Length: 2\r\n\r\nhi").status, 413);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(with(chunked).status, 413);
    let length = 500_000;
    let large = format!("Content-Length: {length}\r\n\r\n{}", "a".repeat(length));
    assert_eq!(with(&large).status, 413);
}

#[test]
fn no_page_of_another_site_can_read_anything() {
    let (_demo, address) = demo();
    for target in ["/", "/v1/status", "/nothing", "/openapi.json"] {
        let response = get(address, target);
        let header = |name| response.header(name);
        assert_eq!(header("access-control-allow-origin"), None, "{target}");
        assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(header("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(header("cache-control"), Some("no-store"), "{target}");
        let policy = header("content-security-policy").unwrap();
        // What the page loads beyond that, it names one by one.
        assert!(policy.contains("default-src 'none'"), "{target}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{target}: {policy}"
        );
    }
}

#[test]
fn head_is_get_without_a_body() {
    let (_demo, address) = demo();
    let head = request(address, "HEAD", "/v1/status", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("application/json"));
}

/// Those who send nothing, half a head, half a body, and those who take nothing.
#[test]
fn slow_clients_are_closed() {
    let (_demo, address) = demo();
    let begun = Instant::now();
    let open = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let request = format!("GET /v1/status HTTP/1.1\r\nHost: {address}\r\n");
    let silent = open(b"");
    let half = open(request.as_bytes());
    let idle = open(format!("{request}\r\n").as_bytes());
    let body = open(format!("{request}Content-Length: 9\r\n\r\nhalf").as_bytes());
    for (what, mut stream) in [
        ("silent", silent),
        ("half", half),
        ("idle", idle),
        ("body", body),
    ] {
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_ok(), "{what} was not closed: {ended:?}");
    }
    let took = begun.elapsed().as_secs();
    assert!((9..30).contains(&took), "closed after {took} s");
}

/// A thousand who hold a place each keep nobody out, and a client that asks stays.
#[test]
fn a_crowd_keeps_nobody_out() {
    let (_demo, address) = demo();
    let mut client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut ask = || {
        let request = format!("HEAD /v1/status HTTP/1.1\r\nHost: {address}\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut bytes = [0; 2_048];
        let length = client.read(&mut bytes).unwrap();
        assert!(
            bytes[..length].starts_with(b"HTTP/1.1 200"),
            "{:?}",
            &bytes[..length]
        );
    };
    ask();
    let crowd: Vec<TcpStream> = (0..1_000)
        .filter_map(|_| TcpStream::connect(address).ok())
        .collect();
    ask();
    assert_eq!(get(address, "/v1/status").status, 200);
    drop(crowd);
}
