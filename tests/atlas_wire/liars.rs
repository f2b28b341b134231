//! Rows of the table of bad input that are the client's: what a peer sends that is none, or means harm.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use bnsd::atlas::{CallError, Client, ClientOptions, FETCH_MAX, Failure};
use bnsd::hash::ZonefileHash;
use data_encoding::BASE64;

use super::{client, peer, wait};
use crate::common::form::form;
use crate::common::ports::free_address;
use crate::common::random::Random;

/// A peer that reads one request of each connection and writes `response`, in pieces with a pause before each.
fn liar(pieces: Vec<Vec<u8>>, pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 65_536];
            let _ = stream.read(&mut request);
            for piece in &pieces {
                thread::sleep(pause);
                if stream.write_all(piece).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn response(json: &str) -> Vec<u8> {
    let body = format!(
        "<methodResponse><params><param><value><string>{json}</string></value></param></params></methodResponse>"
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn says(bytes: &[u8]) -> SocketAddr {
    liar(vec![bytes.to_vec()], Duration::ZERO)
}

#[test]
fn what_is_no_reply_is_not_believed() {
    let hash = ZonefileHash::of(b"a");
    let ask = |address| {
        let asked = wait(client().zonefiles(&peer(address), &[hash]));
        asked.expect_err("it lies")
    };
    let is_malformed = |bytes: &[u8]| {
        let error = ask(says(bytes));
        assert_eq!(error.failure(), Failure::Malformed, "{error}");
        error.to_string()
    };
    let moved = is_malformed(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(moved.contains("302"), "{moved}");
    is_malformed(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nanything.",
    );
    let large = is_malformed(b"HTTP/1.1 200 OK\r\nContent-Length: 6144001\r\n\r\n");
    assert!(large.contains("larger"), "{large}");
    is_malformed(b"SSH-2.0-OpenSSH_9.2\r\n");
    is_malformed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    is_malformed(&response("{}"));
    is_malformed(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<!DOCTYPE a [<!ENTITY b 'c'>]><methodResponse>&b;</methodResponse>                                 ");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut endless = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
    endless.extend(vec![chunk; 200]);
    let error = ask(liar(endless, Duration::ZERO));
    assert_eq!(error.failure(), Failure::Malformed, "{error}");

    // The bytes of "b" under the hash of "a", and a file that nobody asked for.
    for (named, bytes) in [(hash, "Yg=="), (ZonefileHash::of(b"b"), "Yg==")] {
        let lie = format!("{{\"status\": true, \"zonefiles\": {{\"{named}\": \"{bytes}\"}}}}");
        assert_eq!(ask(says(&response(&lie))), CallError::WrongFile);
    }
    let busy = ask(says(
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ));
    assert!(matches!(busy, CallError::Refused(_)), "{busy}");
    let refused = ask(says(&response(
        "{\"error\": \"overloaded\", \"http_status\": 429}",
    )));
    assert_eq!(refused, CallError::Refused("overloaded".into()));
}

#[test]
fn an_inventory_that_is_longer_than_the_chain_is_a_lie() {
    let inventory = |base64: &str, rows| {
        let lie = format!("{{\"status\": true, \"inv\": \"{base64}\"}}");
        wait(client().inventory(&peer(says(&response(&lie))), rows))
    };
    let error = inventory("//8=", 8).expect_err("two bytes for eight rows");
    assert_eq!(error.failure(), Failure::Malformed, "{error}");
    let ahead = inventory("/w==", 3).expect("a byte for three rows");
    assert_eq!(
        ahead.as_bytes(),
        [0xe0],
        "what we cannot know of yet is dropped"
    );
}

#[test]
fn who_is_slow_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    let trickle: Vec<Vec<u8>> = std::iter::once(head)
        .chain((0..60).map(|_| vec![b' '; 100]))
        .collect();
    let address = liar(trickle, Duration::from_millis(500));
    let start = Instant::now();
    let asked = wait(client().zonefiles(&peer(address), &[ZonefileHash::of(b"a")]));
    assert_eq!(asked, Err(CallError::TooSlow));
    let seconds = start.elapsed().as_secs();
    assert!((5..10).contains(&seconds), "{seconds}");

    let silent = liar(vec![vec![b' ']], Duration::from_secs(60));
    let start = Instant::now();
    assert_eq!(wait(client().info(&peer(silent))), Err(CallError::TooSlow));
    assert!((3..8).contains(&start.elapsed().as_secs()));

    let nobody = wait(client().info(&peer(free_address()))).expect_err("nobody is there");
    assert_eq!(nobody.failure(), Failure::Unreachable, "{nobody}");
}

#[test]
fn nobody_sends_us_to_our_own_network() {
    let address = says(&response("{}"));
    let strict = Client::new(ClientOptions::default());
    let by_name = format!("localhost:{}", address.port())
        .parse()
        .expect("an address");
    for there in [peer(address), by_name] {
        let error = wait(strict.info(&there)).expect_err("private");
        assert!(matches!(error, CallError::Forbidden(_)), "{error}");
        assert!(error.to_string().contains("atlas.allow"), "{error}");
    }
    let deny = vec!["127.0.0.1".parse().expect("a rule")];
    let allow = vec!["127.0.0.0/8".parse().expect("a rule")];
    let denying = Client::new(ClientOptions {
        allow,
        deny,
        ..ClientOptions::default()
    });
    let error = wait(denying.info(&peer(address))).expect_err("denied");
    assert!(matches!(error, CallError::Forbidden(_)), "{error}");
}

/// 2,000 files; 100,000 in the release form.
#[test]
fn no_tampered_file_is_ever_taken() {
    let count = form(2_000, 100_000);
    let files: Vec<Vec<u8>> = (0..FETCH_MAX)
        .map(|number| format!("$ORIGIN n{number}.id\n$TTL 3600\n@ TXT \"{number}\"\n").into_bytes())
        .collect();
    let hashes: Vec<ZonefileHash> = files.iter().map(|file| ZonefileHash::of(file)).collect();
    let mut random = Random::new(14);
    let (client, mut offered) = (client(), 0);
    while offered < count {
        let rows = hashes.iter().zip(&files).map(|(hash, file)| {
            let tampered = tamper(file, &mut random);
            assert_ne!(ZonefileHash::of(&tampered), *hash);
            format!("\"{hash}\": \"{}\"", BASE64.encode(&tampered))
        });
        let rows: Vec<String> = rows.collect();
        let lie = format!(
            "{{\"status\": true, \"zonefiles\": {{{}}}}}",
            rows.join(", ")
        );
        let asked = wait(client.zonefiles(&peer(says(&response(&lie))), &hashes));
        assert_eq!(asked, Err(CallError::WrongFile));
        offered += files.len();
    }
    println!("{offered} tampered files were offered, none was taken");
}

/// A file with a bit flipped, cut off, longer, with other line ends, a mark before it or a NUL behind it.
fn tamper(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let place = random.below(bytes.len());
    match random.below(6) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes.truncate(place),
        2 => bytes.push(b'\n'),
        3 => {
            bytes = String::from_utf8_lossy(file)
                .replace('\n', "\r\n")
                .into_bytes();
        }
        4 => bytes = [b"\xef\xbb\xbf", file].concat(),
        _ => bytes.push(0),
    }
    bytes
}
