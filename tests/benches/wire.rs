//! What a query costs between its bytes and the bytes of its answer, without sockets: time and allocations, over
//! a store of 10,000 names. `cargo bench --bench wire`; with `-- small`, a hundredth of the queries.
//!
//! The comparison under `compare/` says what an answer costs on the wire; this says which part of that is ours.

#![allow(missing_docs, reason = "a program that prints a table")]

#[path = "compare/peers/fill.rs"]
mod fill;
#[path = "compare/peers/table.rs"]
#[allow(dead_code, reason = "tables are read by the bare servers only")]
mod table;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bnsd::bns::Params;
use bnsd::clock::SystemClock;
use bnsd::dns::{Client, Handled, Handler, Transport};
use bnsd::hash::ZonefileHash;
use bnsd::names::NameStore;
use bnsd::progress::Progress;
use bnsd::resolver::Policy;
use bnsd::store::{Archive, ChainIdentity, Lookup, Store, StoreOptions};
use bnsd::upstream::{ForwardOptions, Forwarder};
use bnsd::zonefile;
use hickory_proto::rr::Name;
use table::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Names in the store; the cold ones are asked once each.
const NAMES: u32 = 10_000;
/// Zone files beside them, and how many are stored together.
const FILES: usize = 100_000;
const BATCH: usize = 1_000;
/// Names that are asked for again and again.
const HOT: u32 = 1_000;
/// Times that the hot names are gone through.
const TURNS: usize = 100;

/// An OPT record without options: 1232 bytes, no flags.
const OPT: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];

/// Who asks.
const CLIENT: Client = Client {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    transport: Transport::Udp,
};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn main() -> Result<()> {
    let small = std::env::args().any(|argument| argument == "small");
    let turns = if small { 1 } else { TURNS };
    let directory = tempfile::tempdir()?;
    fill::fill(directory.path(), NAMES, Row::zonefile)?;
    let handler = handler(directory.path())?;
    println!("{:<34}{:>10}{:>14}", "query", "time", "allocations");
    let hot = |make: fn(u32) -> Vec<u8>| (0..HOT).map(make).collect::<Vec<_>>();
    measure(
        "cold name, A",
        &handler,
        &(HOT..NAMES).map(plain).collect::<Vec<_>>(),
        1,
    );
    let of_known = |number| query(&Row::of(number).name, 28, false);
    measure(
        "known name, AAAA first asked",
        &handler,
        &(HOT..NAMES).map(of_known).collect::<Vec<_>>(),
        1,
    );
    warm(&handler, &hot(plain));
    measure("hot name, A", &handler, &hot(plain), turns);
    measure("hot name, A, EDNS", &handler, &hot(with_edns), turns);
    measure("hot name, letters mixed", &handler, &hot(mixed), turns);
    measure("hot name, NODATA", &handler, &hot(no_data), turns);
    measure(
        "hot name, NXDOMAIN below it",
        &handler,
        &hot(no_such_name),
        turns,
    );
    measure("malformed", &handler, &hot(malformed), turns);
    parts_of_a_cold_answer(directory.path())?;
    zone_files(&directory.path().join("many"))
}

/// What a name that nobody asked for yet costs beside a known one.
fn parts_of_a_cold_answer(directory: &Path) -> Result<()> {
    let archive = Archive::open(&directory.join("zonefiles"))?;
    let rows: Vec<Row> = (HOT..NAMES).map(Row::of).collect();
    let texts: Vec<String> = rows.iter().map(Row::zonefile).collect();
    let texts = || texts.iter().map(String::as_bytes);
    let hashes: Vec<_> = texts().map(ZonefileHash::of).collect();
    time("of a cold name: hash the zone file", texts(), |text| {
        ZonefileHash::of(text);
    });
    time("  find, read and hash it", hashes.iter(), |hash| {
        assert!(matches!(archive.get(hash), Ok(Lookup::Found(_))));
    });
    time("  parse it", rows.iter().zip(texts()), |(row, text)| {
        let origin = Name::from_ascii(&row.name);
        assert!(origin.is_ok_and(|origin| zonefile::parse(&origin, text).is_ok()));
    });
    Ok(())
}

/// What many small zone files cost: stored, found at a start, read, and on the disk.
fn zone_files(directory: &Path) -> Result<()> {
    let text = |number: usize| format!("$ORIGIN n{number}.id\n{:;<205}", ' ').into_bytes();
    let texts: Vec<Vec<u8>> = (0..FILES).map(text).collect();
    let archive = Archive::open(directory)?;
    let mut hashes = Vec::with_capacity(FILES);
    let start = Instant::now();
    for batch in texts.chunks(BATCH) {
        hashes.extend(archive.put_many(batch)?);
    }
    let each = start.elapsed() / FILES as u32;
    println!("{:<34}{each:>10.2?}", "a zone file: store it, by thousands");
    drop(archive);
    let start = Instant::now();
    let archive = Archive::open(directory)?;
    println!(
        "{:<34}{:>10.2?}",
        "  open an archive of 100,000",
        start.elapsed()
    );
    hashes.sort_unstable(); // another order than on the disk
    time("  find, read and hash it", hashes.iter(), |hash| {
        assert!(matches!(archive.get(hash), Ok(Lookup::Found(_))));
    });
    let sizes = std::fs::read_dir(directory.join("segments"))?;
    let sizes = sizes.map(|entry| Ok(entry?.metadata()?.blocks() * 512));
    let bytes: u64 = sizes.sum::<std::io::Result<u64>>()?;
    let (each, length) = (
        bytes / FILES as u64,
        texts.iter().map(Vec::len).sum::<usize>() / FILES,
    );
    println!("{:<34}{each:>8} B of {length}", "  on the disk");
    Ok(())
}

/// Prints what `work` costs for one of `items`.
fn time<T>(title: &str, items: impl ExactSizeIterator<Item = T>, work: impl FnMut(T)) {
    let (count, start) = (items.len() as u32, Instant::now());
    items.for_each(work);
    println!("{title:<34}{:>10.2?}", start.elapsed() / count);
}

fn plain(number: u32) -> Vec<u8> {
    query(&Row::of(number).name, 1, false)
}

fn with_edns(number: u32) -> Vec<u8> {
    query(&Row::of(number).name, 1, true)
}

fn mixed(number: u32) -> Vec<u8> {
    query(&Row::of(number).name.replace("name", "NaMe"), 1, false)
}

fn no_data(number: u32) -> Vec<u8> {
    query(&Row::of(number).name, 29, false) // LOC
}

fn no_such_name(number: u32) -> Vec<u8> {
    query(&format!("nothing.{}", Row::of(number).name), 1, false)
}

fn malformed(number: u32) -> Vec<u8> {
    let mut bytes = plain(number);
    bytes.truncate(20);
    bytes
}

/// The bytes of a question.
fn query(name: &str, rtype: u16, edns: bool) -> Vec<u8> {
    let mut bytes = vec![0x42, 0x42, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1]);
    if edns {
        bytes.extend(OPT);
    }
    bytes
}

fn warm(handler: &Handler<Arc<NameStore>>, queries: &[Vec<u8>]) {
    let mut answer = Vec::new();
    for query in queries {
        handler.handle(query, CLIENT, &mut answer);
    }
}

/// Goes through the queries `turns` times and prints what one of them costs.
fn measure(title: &str, handler: &Handler<Arc<NameStore>>, queries: &[Vec<u8>], turns: usize) {
    let mut answer = Vec::with_capacity(4096);
    let mut pending = 0;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed);
    let start = Instant::now();
    for query in queries.iter().cycle().take(queries.len() * turns) {
        let handled = handler.handle(query, CLIENT, &mut answer);
        pending += usize::from(matches!(handled, Handled::Pending(_)));
    }
    let count = (queries.len() * turns) as u64;
    let time = start.elapsed().as_nanos() / u128::from(count);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
    let each = allocations as f64 / count as f64;
    println!(
        "{title:<34}{:>10.2?}{each:>14.1}",
        Duration::from_nanos(time as u64)
    );
    assert_eq!(pending, 0, "a query of ours went to an upstream");
}

fn handler(directory: &Path) -> Result<Handler<Arc<NameStore>>> {
    let params = Params::regtest();
    let chain = ChainIdentity::new("dev", &params);
    let store = Store::open(directory, &chain, StoreOptions::default())?;
    let progress = Progress::default();
    progress.set_ever_synced();
    if let Some(tip) = store.snapshot().tip() {
        progress.set_tip(tip.height, tip.time);
    }
    let names = NameStore::new(
        Arc::new(params),
        Arc::new(store),
        Arc::new(Archive::open(&directory.join("zonefiles"))?),
        Arc::new(progress),
        Arc::new(SystemClock::start()),
    );
    let clock = Arc::new(SystemClock::start());
    let forwarder = Forwarder::new(ForwardOptions::default(), clock)?;
    Ok(Handler::new(
        Arc::new(names),
        Policy::default(),
        Arc::new(forwarder),
    ))
}
