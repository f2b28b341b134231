//! The address that stands in every leaf: what it answers, whom it refuses, and what a flood costs.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Scene;
use crate::common::http::{get, request, send};

/// A key that nobody has.
const UNKNOWN: &str =
    "/aia/me.id/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.cer";

#[test]
fn the_certificate_of_a_key_on_the_chain_makes_its_leaf_valid() {
    let scene = Scene::new();
    let keys = scene.make_keys("me.id");
    // A subdomain with an owner of its own, for whom the name's owner does not speak.
    let bob = "bob TXT \"owner=1Q3vTbNzhG7JqmV8CkLUQm3fDc9yVHGGTs\" \"seqn=0\" \"parts=0\"\n";
    let zonefile = keys.join("me.id.zone");
    let text = std::fs::read_to_string(&zonefile).unwrap();
    std::fs::write(&zonefile, text + bob).unwrap();
    scene.register("me.id");
    let target = scene.target("me.id");
    let response = scene.get(&target);
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(
        response.header("content-type"),
        Some("application/pkix-cert")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let file = |name: &str| keys.join(name).display().to_string();
    std::fs::write(file("issuer.cer"), &response.body).unwrap();
    let converted = scene.openssl(&[
        "x509",
        "-inform",
        "DER",
        "-in",
        &file("issuer.cer"),
        "-out",
        &file("issuer.pem"),
    ]);
    assert_eq!(converted.code, 0, "{converted:?}");
    let root = scene.root();
    let verify = |host: &str, leaf: &str| {
        let (issuer, leaf) = (file("issuer.pem"), file(leaf));
        let words = [
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            &root,
            "-untrusted",
            &issuer,
        ];
        scene.openssl(&[&words[..], &["-verify_hostname", host, &leaf]].concat())
    };
    for host in ["me.id", "www.me.id"] {
        let verified = verify(host, "leaf.pem");
        assert_eq!(verified.code, 0, "{host}: {verified:?}");
    }
    // The owner's key may not speak for another name, whatever it signs.
    let forge = "cd \"$1\"; printf 'subjectAltName=DNS:other.id\\nextendedKeyUsage=serverAuth\\n' >extensions
        openssl req -new -key leaf.key -subj /CN=x | openssl x509 -req -CA issuer.pem -CAkey authority.key -days 9 -extfile extensions -out other.pem";
    let directory = keys.display().to_string();
    let forged = crate::common::home::ended(
        &mut scene.home.command("sh", &["-ec", forge, "sh", &directory]),
    );
    assert_eq!(forged.code, 0, "{forged:?}");
    let refused = verify("other.id", "other.pem");
    assert!(
        refused.code != 0 && refused.stderr.contains("permitted subtree violation"),
        "{refused:?}"
    );
    let shown = scene
        .openssl(&["x509", "-in", &file("issuer.pem"), "-noout", "-text"])
        .stdout;
    for limit in [
        "DNS:bob.me.id\n",
        "DNS:me.id.bns.alt\n",
        "pathlen:0",
        "DNS:me.id\n",
        "IP:0.0.0.0/0.0.0.0",
        "Subject: CN = BNS authority ",
    ] {
        assert!(shown.contains(limit), "{limit:?} is not in {shown}");
    }
    let week = scene.openssl(&[
        "x509",
        "-in",
        &file("issuer.pem"),
        "-noout",
        "-checkend",
        "604801",
    ]);
    assert_eq!(week.code, 1, "it is valid for no more than a week");
    let again = scene.get(&target);
    assert_eq!(again.body, response.body, "it was kept");
}

#[test]
fn a_key_that_comes_is_waited_for_and_another_one_never_comes() {
    let scene = Scene::new();
    scene.make_keys("me.id");
    let (address, target) = (scene.api(), scene.target("me.id"));
    let waiting = std::thread::spawn(move || (get(address, &target), Instant::now()));
    let unknown = std::thread::spawn(move || {
        let start = Instant::now();
        (get(address, UNKNOWN), start.elapsed())
    });
    std::thread::sleep(Duration::from_secs(1));
    scene.register("me.id");
    let registered = Instant::now();
    let (response, answered) = waiting.join().unwrap();
    // A browser gives up after ten seconds, and a busy machine may take longer to register.
    if response.status != 200 {
        assert!(answered < registered, "{response:?}");
        assert_eq!(scene.get(&scene.target("me.id")).status, 200);
    }
    let (response, after) = unknown.join().unwrap();
    assert_eq!(response.status, 404, "{response:?}");
    assert!((8..=11).contains(&after.as_secs()), "{after:?}");
}

#[test]
fn a_name_that_is_revoked_has_no_certificate() {
    let scene = Scene::new();
    scene.make_keys("me.id");
    scene.register("me.id");
    let target = scene.target("me.id");
    assert_eq!(scene.get(&target).status, 200);
    scene.owner().does(&["name", "revoke", "me.id"]);
    assert_eq!(scene.get(&target).status, 404);
}

#[test]
fn strangers_and_nonsense_are_refused_at_once() {
    let scene = Scene::new();
    let address = scene.api();
    let start = Instant::now();
    for (method, target, line, status) in [
        ("GET", UNKNOWN, "Host: evil.example", 421),
        ("GET", UNKNOWN, "Origin: https://evil.example", 403),
        ("GET", UNKNOWN, "Sec-Fetch-Site: cross-site", 403),
        ("POST", UNKNOWN, "Accept: */*", 405),
        ("PUT", UNKNOWN, "Accept: */*", 405),
        ("GET", "/aia/me.id/00.cer", "Accept: */*", 400),
        ("GET", "/aia/me.id/nothing", "Accept: */*", 400),
        ("GET", &UNKNOWN.replace("me.id", "me"), "Accept: */*", 400),
        (
            "GET",
            &UNKNOWN.replace("me.id", "ME.id"),
            "Accept: */*",
            400,
        ),
        ("GET", &UNKNOWN.replace(".cer", ""), "Accept: */*", 400),
        ("GET", "/aia/me.id", "Accept: */*", 404),
        ("GET", "/aia/me.id/x/y", "Accept: */*", 404),
    ] {
        let response = request(address, method, target, &[line]);
        assert_eq!(response.status, status, "{method} {target} {line}");
    }
    assert!(start.elapsed() < Duration::from_secs(8), "nothing was held");
}

/// Of the process, in kilobytes.
fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_questions_for_unknown_keys_make_nothing_and_keep_nobody_out() {
    const REQUESTS: usize = 10_000;
    const AT_ONCE: usize = 200;
    let scene = Scene::new();
    let (address, id) = (scene.api(), scene.world.daemon_id());
    scene.get("/v1/status");
    let before = memory(id);
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ask = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return;
            }
            let target = format!("/aia/n{number}.id/{number:064x}.cer");
            let text =
                format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            match send(address, text.as_bytes()) {
                Some(response) => assert_eq!(response.status, 404),
                None => drop(refused.fetch_add(1, Ordering::Relaxed)), // it gave its place to another
            }
        }
    };
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut most = 0;
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(ask);
        }
        while next.load(Ordering::Relaxed) < REQUESTS {
            let asked = Instant::now();
            let status = scene.world.run(&["status"]);
            assert_eq!(status.code, 0, "{status:?}");
            slowest = slowest.max(asked.elapsed());
            let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
            most = most.max(descriptors);
        }
    });
    println!(
        "{REQUESTS} questions in {:?}, slowest status {slowest:?}, {most} descriptors, {} kB more",
        start.elapsed(),
        memory(id).saturating_sub(before)
    );
    assert!(
        !scene.world.path("data/trust").exists(),
        "something was made"
    );
    assert!(
        memory(id) < before + 65_536,
        "{before} kB became {} kB",
        memory(id)
    );
    assert!(most < 300, "{most} descriptors");
    assert_eq!(scene.get("/v1/status").status, 200);
}

/// Whoever leaves gives the place back: a browser that was closed, for instance.
#[test]
fn those_who_wait_keep_no_page_out() {
    let scene = Scene::new();
    let address = scene.api();
    let text = format!("GET {UNKNOWN} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let _held: Vec<TcpStream> = (0..90)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(get(address, "/v1/status").status, 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}
