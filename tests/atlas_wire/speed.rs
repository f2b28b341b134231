//! How many files a second one peer gives another, beside a loop that fetches the same bytes over HTTP, one by one. Both
//! ends are of the same build; where it is made for tests, the figures say which part is slow, not how fast a release is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use bnsd::hash::ZonefileHash;

use super::{Peer, client, peer};
use crate::common::home::Home;
use crate::common::world::World;

/// Bytes of a file: 300 MB in 70,000.
const SIZE: usize = 4_285;
const FILES: usize = 1_500;

fn file(number: usize) -> Vec<u8> {
    let mut bytes = format!("$ORIGIN name{number}.id\n$TTL 3600\n").into_bytes();
    bytes.resize(SIZE, b';');
    bytes
}

/// An HTTP server that gives a file for each request on a connection.
fn plain(files: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(stream.try_clone().expect("a socket"));
        for file in files {
            let mut line = String::from("GET");
            while !line.trim().is_empty() {
                line.clear();
                lines.read_line(&mut line).expect("a request");
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
            let response = [head.as_bytes(), &file].concat();
            stream.write_all(&response).expect("it reads");
        }
    });
    address
}

/// Fetches and hashes every file; gives files a second.
fn bare_loop(files: &[Vec<u8>]) -> f64 {
    let mut stream = TcpStream::connect(plain(files.to_vec())).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut body = vec![0; SIZE];
    let start = Instant::now();
    for file in files {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        stream.read_exact(&mut body).expect("a body");
        assert_eq!(ZonefileHash::of(&body), ZonefileHash::of(file));
    }
    files.len() as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn files_go_in_hundreds() {
    let home = Home::new();
    let world = World::start(home.path(), &[]);
    let files: Vec<Vec<u8>> = (0..FILES).map(file).collect();
    let archive = &world.names().archive;
    let hashes = archive.put_many(&files).expect("they fit");
    let (server, client) = (Peer::of(world.names()), client());
    let there = peer(server.address);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let start = Instant::now();
    let fetched: usize = runtime.block_on(async {
        client.inventory(&there, 8).await.expect("a reply"); // as whoever replicates does first
        let mut fetched = 0;
        for hashes in hashes.chunks(100) {
            let files = client.zonefiles(&there, hashes).await.expect("a reply");
            fetched += files.len();
        }
        fetched
    });
    assert_eq!(fetched, FILES);
    let rate = FILES as f64 / start.elapsed().as_secs_f64();
    let bare = bare_loop(&files);
    println!(
        "atlas: {rate:.0} files/s by XML-RPC, {bare:.0} files/s by a bare loop: {:.2}",
        rate / bare
    );
    assert!(rate > 100.0, "{rate} files/s");
}
