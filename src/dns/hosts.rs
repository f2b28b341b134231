//! `/etc/hosts`: names that the machine's owner gave to addresses (hosts(5)).
//!
//! Programs that ask DNS directly do not read the file; here they get its names all the same. A, AAAA and PTR are answered
//! from it; a listed name has no data of other types. The file is read again when its time of change differs, at most
//! once a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable as _;

use crate::resolver::{Answer, Provenance, Question};

/// TTL of its records in seconds: the file can change at any time.
const TTL: u32 = 10;
/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;
/// The file's time of change is looked at once in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// The file, as it was read last.
pub struct Hosts {
    path: PathBuf,
    table: ArcSwap<Table>,
    /// When to look at the file again, in milliseconds of the caller's clock.
    next_look: AtomicU64,
    /// Its time of change.
    changed: Mutex<Option<SystemTime>>,
    /// Whether the file is looked at.
    is_served: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    /// By names in wire form and lower case.
    addresses: HashMap<Box<[u8]>, Vec<IpAddr>>,
    names: HashMap<DnsName, DnsName>,
}

impl Hosts {
    /// Serves a file, usually `/etc/hosts`; it need not be there.
    pub fn new(path: PathBuf) -> Self {
        let hosts = Self {
            path,
            table: ArcSwap::default(),
            next_look: AtomicU64::default(),
            changed: Mutex::default(),
            is_served: AtomicBool::new(true),
        };
        hosts.read_again();
        hosts
    }

    /// From now on the file is looked at, or not.
    pub fn serve(&self, is_served: bool) {
        self.is_served.store(is_served, Ordering::Relaxed);
    }

    /// Reads the file again if it changed; whether it did. `now` is the time on any clock, always the same.
    pub fn look(&self, now: Duration) -> bool {
        let now = now.as_millis() as u64;
        let next = self.next_look.load(Ordering::Relaxed);
        let (next_look, order) = (now + INTERVAL.as_millis() as u64, Ordering::Relaxed);
        now >= next
            && (self.next_look)
                .compare_exchange(next, next_look, order, order)
                .is_ok()
            && self.read_again()
    }

    /// Whether the file has addresses for a name in wire form and lower case.
    pub fn has(&self, name: &[u8]) -> bool {
        self.is_served.load(Ordering::Relaxed) && self.table.load().addresses.contains_key(name)
    }

    /// The answer to a question about a name or an address in the file.
    pub fn answer(&self, question: &Question) -> Option<Answer> {
        let table = self.table.load();
        if question.class != DNSClass::IN || !self.is_served.load(Ordering::Relaxed) {
            return None;
        }
        if question.rtype == RecordType::PTR {
            let name = table.names.get(&question.name)?.clone();
            return Some(answer(question, vec![RData::PTR(PTR(name))]));
        }
        let name = question.name.to_bytes().ok()?;
        let addresses = table.addresses.get(&*name)?;
        let data = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(v4) if question.rtype == RecordType::A => Some(RData::A(A(*v4))),
            IpAddr::V6(v6) if question.rtype == RecordType::AAAA => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        });
        Some(answer(question, data.collect()))
    }

    fn read_again(&self) -> bool {
        let mut before = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let metadata = std::fs::metadata(&self.path).ok();
        let changed = metadata.as_ref().and_then(|data| data.modified().ok());
        if *before == changed {
            return false;
        }
        *before = changed;
        let text = match metadata {
            Some(data) if data.len() <= FILE_MAX => std::fs::read_to_string(&self.path).ok(),
            _ => None,
        };
        self.table.store(Arc::new(parse(&text.unwrap_or_default())));
        true
    }
}

fn answer(question: &Question, data: Vec<RData>) -> Answer {
    if data.is_empty() {
        return Answer::empty(Provenance::Local);
    }
    let record = |data| Record::from_rdata(question.name.clone(), TTL, data);
    Answer::records(Provenance::Local, data.into_iter().map(record).collect())
}

fn parse(text: &str) -> Table {
    let mut table = Table::default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        let Some(address) = address else {
            continue;
        };
        for (word, place) in words.zip(0..) {
            let Some(name) = name(word) else { continue };
            let Ok(wire) = name.to_bytes() else { continue };
            // Reverse names of loopback have fixed answers (RFC 6303 §4.2).
            if place == 0 && !address.is_loopback() {
                let reverse = DnsName::from(address).to_lowercase();
                table.names.entry(reverse).or_insert_with(|| name.clone());
            }
            let addresses = table.addresses.entry(wire.into()).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    table
}

/// A name of the file in lower case. `localhost` is not taken from it (RFC 6761 §6.3).
fn name(word: &str) -> Option<DnsName> {
    let mut name = DnsName::from_ascii(word).ok()?.to_lowercase();
    name.set_fqdn(true);
    let last = name.iter().next_back()?;
    (last != b"localhost").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(hosts: &Hosts, name: &str, rtype: RecordType) -> Option<Vec<String>> {
        let name = DnsName::from_ascii(name).expect("a name");
        let answer = hosts.answer(&Question::new(&name, rtype, DNSClass::IN))?;
        let texts = answer.answers.iter().map(|record| record.data.to_string());
        Some(texts.collect())
    }

    #[test]
    fn names_and_addresses_of_the_file_are_answered() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let path = scratch.path().join("hosts");
        std::fs::write(
            &path,
            "127.0.0.1 localhost\n10.0.0.7 Printer.lan printer # upstairs\nfd00::7 printer.lan\nx y\n",
        )
        .expect("a written file");
        let hosts = Hosts::new(path);
        let list = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(ask(&hosts, "PRINTER.lan.", RecordType::A), list("10.0.0.7"));
        assert_eq!(
            ask(&hosts, "printer.lan.", RecordType::AAAA),
            list("fd00::7")
        );
        assert_eq!(ask(&hosts, "printer.", RecordType::MX), Some(vec![]));
        assert_eq!(
            ask(&hosts, "7.0.0.10.in-addr.arpa.", RecordType::PTR),
            list("printer.lan.")
        );
        assert_eq!(ask(&hosts, "localhost.", RecordType::A), None);
        assert_eq!(ask(&hosts, "example.com.", RecordType::A), None);
        assert!(!hosts.look(Duration::ZERO));
        let gone = std::fs::remove_file(scratch.path().join("hosts"));
        gone.expect("a removed file");
        assert!(!hosts.look(INTERVAL / 2), "not that soon");
        assert!(hosts.look(INTERVAL));
        assert_eq!(ask(&hosts, "printer.lan.", RecordType::A), None);
    }
}
