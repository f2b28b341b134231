//! How fast a node without zone files gets all of them from one peer, beside a bare loop that fetches the same bytes over
//! HTTP, hashes them and stores them as durably.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bnsd::api::status::AtlasStatus;
use bnsd::hash::ZonefileHash;
use bnsd::store::{Archive, Lookup};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::common::home::Home;
use crate::common::process::{Process, serve, status};

#[path = "../benches/compare/peers/fill.rs"]
mod fill;
#[path = "../benches/compare/peers/table.rs"]
#[allow(dead_code, reason = "the comparison uses all of it")]
mod table;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Files of a request: as many as one call of Atlas may ask for.
const BATCH: usize = 100;
/// What a zone file is filled up to, in bytes: 70,000 of them are 300 MB.
const SIZE: usize = 4_286;

/// Between two requests of one client: a peer of Atlas lets it make 200 calls a second.
const GAP: Duration = Duration::from_millis(5);
/// Something is wrong then.
const TOO_LONG: Duration = Duration::from_secs(3_600);

/// What was measured.
pub struct Figures {
    pub files: usize,
    pub bytes: usize,
    /// From the start of the process, which finds the peer first, to the last file. What it says of itself is up to a second old.
    pub atlas: Duration,
    pub bare: Duration,
    /// Most memory that the process had, in bytes.
    pub memory: u64,
}

impl Figures {
    /// How fast the node is, of the bare loop.
    pub fn ratio(&self) -> f64 {
        self.bare.as_secs_f64() / self.atlas.as_secs_f64()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} zone files, {} MB: {:.2} s by Atlas and {:.2} s by a bare loop (ratio {:.2}), {} MiB of memory",
            self.files,
            self.bytes / 1_000_000,
            self.atlas.as_secs_f64(),
            self.bare.as_secs_f64(),
            self.ratio(),
            self.memory >> 20
        )
    }
}

/// Measures with so many files.
pub fn measure(files: usize) -> Figures {
    let home = Home::new();
    let (full, empty) = (home.path().join("full"), home.folder("empty"));
    fill::fill(&full, files as u32, text).expect("a data directory");
    for entry in fs::read_dir(&full).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, empty.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    let first = start(&home, &full, "");
    let peer = first.atlas().listeners[0].clone();
    let begin = Instant::now();
    let second = start(&home, &empty, &peer);
    second.wait_for(files);
    let (atlas, memory) = (begin.elapsed(), peak_memory(second.process.id()));
    drop((first, second));
    let numbers = 0..files as u32;
    let hashes = numbers.map(|number| ZonefileHash::of(text(&table::Row::of(number)).as_bytes()));
    let hashes: Vec<ZonefileHash> = hashes.collect();
    let bare = bare(&full.join("zonefiles"), &home.folder("bare"), hashes);
    Figures {
        files,
        bytes: files * SIZE,
        atlas,
        bare: bare.expect("the loop ends"),
        memory,
    }
}

/// A zone file of [`SIZE`] bytes.
fn text(row: &table::Row) -> String {
    let mut text = row.zonefile();
    while text.len() < SIZE {
        let left = (SIZE - text.len()).min(200);
        text.push_str(&";".repeat(left - 1));
        text.push('\n');
    }
    text
}

/// A node that follows no chain: its database is there.
struct Node {
    process: Process,
    socket: PathBuf,
}

fn start(home: &Home, directory: &Path, peer: &str) -> Node {
    let socket = directory.join("control.sock");
    let environment = [
        ("BNSD_DATA_DIR", directory.display().to_string()),
        ("BNSD_CHAIN_NETWORK", "dev".to_owned()),
        ("BNSD_ATLAS_LISTEN", "127.0.0.1:0".to_owned()),
        ("BNSD_ATLAS_PEERS", peer.to_owned()),
    ];
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let set: Vec<(&str, &str)> = set.map(|(key, value)| (*key, &**value)).collect();
    let mut process = serve(home, &set);
    process.ready(&socket);
    Node { process, socket }
}

impl Node {
    fn atlas(&self) -> AtlasStatus {
        let status = status(&self.socket).expect("a status");
        status.atlas.expect("a node of Atlas")
    }

    fn wait_for(&self, files: usize) {
        let begin = Instant::now();
        loop {
            let atlas = self.atlas();
            if atlas.present as usize == files {
                return;
            }
            assert!(begin.elapsed() < TOO_LONG, "{atlas:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kibibytes
        .and_then(|text| text.parse::<u64>().ok())
        .expect("a figure")
        << 10
}

/// Time of the bare loop: one connection, [`BATCH`] files a request, as often as a peer allows, each file hashed, each batch
/// durable before the next.
fn bare(from: &Path, to: &Path, hashes: Vec<ZonefileHash>) -> Result<Duration> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (from, to) = (Archive::open(from)?, Archive::open(to)?);
    let hashes = Arc::new(hashes);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(give(listener, Arc::new(from), Arc::clone(&hashes)));
        let begin = Instant::now();
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut allowed = tokio::time::interval(GAP);
        for (number, wanted) in hashes.chunks(BATCH).enumerate() {
            allowed.tick().await;
            let request = Request::get(format!("/{number}")).body(Empty::<Bytes>::new())?;
            let body = sender
                .send_request(request)
                .await?
                .collect()
                .await?
                .to_bytes();
            let files: Vec<&[u8]> = body.chunks(SIZE).collect();
            let right = files
                .iter()
                .zip(wanted)
                .filter(|(file, hash)| ZonefileHash::of(file) == **hash);
            assert_eq!(right.count(), wanted.len());
            to.put_many(&files)?;
        }
        Ok(begin.elapsed())
    })
}

/// Gives batch N for `GET /N`.
async fn give(listener: TcpListener, archive: Arc<Archive>, hashes: Arc<Vec<ZonefileHash>>) {
    let (stream, _) = listener.accept().await.expect("a client");
    let serve = service_fn(move |request: Request<Incoming>| {
        let number: usize = request.uri().path()[1..].parse().expect("a number");
        let batch = hashes.chunks(BATCH).nth(number).expect("a batch");
        let mut body = Vec::with_capacity(BATCH * SIZE);
        for hash in batch {
            match archive.get(hash) {
                Ok(Lookup::Found(bytes)) => body.extend(bytes),
                other => panic!("{other:?}"),
            }
        }
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
    });
    let connection = server::Builder::new().serve_connection(TokioIo::new(stream), serve);
    let _ = connection.await; // the client leaves
}
