//! What peers reply to us (ap §2, §3). Of zone files only what their hashes prove is believed.

use std::fmt;
use std::marker::PhantomData;

use data_encoding::BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::answer::Testnet;
use super::json;
use super::message::{BASE64_MAX, FETCH_MAX, INVENTORY_MAX, PEERS_MAX, PUT_MAX};
use super::xml::{self, Response, Value};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::peer_address::PeerAddress;
use crate::zonefile::ZONEFILE_MAX;

/// First two numbers of the oldest version that a peer may have (ap §3).
const VERSION_MIN: (u32, u32) = (0, 17);
/// Characters of an inventory in base64, at most.
const INVENTORY_BASE64_MAX: usize = INVENTORY_MAX / 3 * 4 + 4;
/// Characters of a peer's words that are repeated.
const SAID_MAX: usize = 200;

/// Why a reply is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyError {
    /// It has not the form that it has to have.
    #[error("its reply is not Atlas: {0}")]
    Malformed(String),
    /// The peer does not answer, and says so.
    #[error("it refuses: {0}")]
    Refused(String),
    /// A file that was not asked for, that has a size that no zone file has, or whose bytes have another hash: all of the
    /// reply is worthless.
    #[error("it sent a zone file that is not what was asked for")]
    WrongFile,
}

/// What a peer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// First two numbers of its version.
    pub version: (u32, u32),
    /// Its network.
    pub testnet: Testnet,
    /// It knows that it is behind.
    pub stale: bool,
    /// Height of the last block that it has read.
    pub last_block_processed: u32,
    /// The consensus hash of that height.
    pub consensus: ConsensusHash,
}

impl PeerInfo {
    /// Whether it can be a peer of a node of `testnet`, as long as the consensus hashes agree (ap §3).
    pub fn is_admissible(&self, testnet: &Testnet) -> bool {
        self.version >= VERSION_MIN && !self.stale && self.testnet == *testnet
    }
}

/// A reply to `getinfo`.
pub(super) fn info(document: &[u8]) -> Result<PeerInfo, ReplyError> {
    let fields = read(document)?;
    let version = required(fields.server_version, "server_version")?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    Ok(PeerInfo {
        version: required(version, "numbers of a version")?,
        testnet: fields.testnet.unwrap_or(Testnet::Is(false)),
        stale: fields.stale.unwrap_or(false),
        last_block_processed: required(fields.last_block_processed, "last_block_processed")?,
        consensus: required(fields.consensus, "consensus")?,
    })
}

/// A reply to `get_zonefile_inventory`.
pub(super) fn inventory(document: &[u8]) -> Result<Vec<u8>, ReplyError> {
    let inventory = required(read(document)?.inv, "inv")?;
    Ok(inventory.0)
}

/// A reply to `get_zonefiles`: the files, each with the hash that was asked for.
pub(super) fn zonefiles(
    document: &[u8],
    asked: &[ZonefileHash],
) -> Result<Vec<(ZonefileHash, Vec<u8>)>, ReplyError> {
    let Zonefiles(files) = required(read(document)?.zonefiles, "zonefiles")?;
    let mut delivered = Vec::with_capacity(files.len());
    for (hash, Base64(bytes)) in files {
        let is_new = !delivered.iter().any(|(other, _)| *other == hash);
        let has_size = (1..=ZONEFILE_MAX).contains(&bytes.len()); // the archive refuses all files with one of another size
        let is_asked = is_new && has_size && asked.contains(&hash);
        if !is_asked || ZonefileHash::of(&bytes) != hash {
            return Err(ReplyError::WrongFile);
        }
        delivered.push((hash, bytes));
    }
    Ok(delivered)
}

/// A reply to `put_zonefiles` with `count` files: which of them were kept.
pub(super) fn saved(document: &[u8], count: usize) -> Result<Vec<bool>, ReplyError> {
    let List(saved) = required(read(document)?.saved, "saved")?;
    if saved.len() != count {
        return malformed("it counts other files than were sent");
    }
    Ok(saved.iter().map(|saved| *saved != 0).collect())
}

/// A reply with neighbours. Those that have no address that can be one are passed over, like ours of IPv6 by others.
pub(super) fn peers(document: &[u8]) -> Result<Vec<PeerAddress>, ReplyError> {
    let List(peers) = required(read(document)?.peers, "peers")?;
    let peers = peers.iter();
    Ok(peers
        .filter_map(|peer| PeerAddress::from_wire(peer).ok())
        .collect())
}

/// All keys that we look for in any reply; others are passed over. A reply with files is large and may hold any of them, so
/// each takes about as much memory as it has bytes.
#[derive(Deserialize)]
struct Fields {
    error: Option<String>,
    traceback: Option<String>,
    server_version: Option<String>,
    testnet: Option<Testnet>,
    stale: Option<bool>,
    last_block_processed: Option<u32>,
    consensus: Option<ConsensusHash>,
    inv: Option<Base64<INVENTORY_BASE64_MAX>>,
    zonefiles: Option<Zonefiles>,
    saved: Option<List<u8, PUT_MAX>>,
    peers: Option<List<String, PEERS_MAX>>,
}

/// Zone files by their hashes, in the order of the reply.
struct Zonefiles(Vec<(ZonefileHash, Base64<BASE64_MAX>)>);

/// At most so many values.
struct List<T, const MAX: usize>(Vec<T>);

/// Bytes as a text of base64 that has at most so many characters.
struct Base64<const MAX: usize>(Vec<u8>);

fn read(document: &[u8]) -> Result<Fields, ReplyError> {
    let text = match xml::read_response(document) {
        Ok(Response::Value(Value::Text(text))) => text,
        Ok(Response::Value(_)) => return malformed("its value is no text"),
        Ok(Response::Fault { text, .. }) => return Err(ReplyError::Refused(shorten(&text))),
        Err(error) => return malformed(error),
    };
    if !json::is_shallow(&text) {
        return malformed("its JSON is too deep");
    }
    let fields: Fields = serde_json::from_str(&text).or_else(malformed)?;
    match fields.error.or(fields.traceback) {
        Some(error) => Err(ReplyError::Refused(shorten(&error))),
        None => Ok(Fields {
            error: None,
            traceback: None,
            ..fields
        }),
    }
}

fn required<T>(value: Option<T>, key: &str) -> Result<T, ReplyError> {
    value.ok_or_else(|| ReplyError::Malformed(format!("it lacks {key}")))
}

fn malformed<T>(why: impl fmt::Display) -> Result<T, ReplyError> {
    Err(ReplyError::Malformed(shorten(&why.to_string())))
}

/// What a stranger said, for a line of the log.
fn shorten(text: &str) -> String {
    let shown = text.chars().take(SAID_MAX);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl<'de, const MAX: usize> Deserialize<'de> for Base64<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const MAX: usize>;

        impl<const MAX: usize> Visitor<'_> for Text<MAX> {
            type Value = Base64<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} characters of base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base64<MAX>, E> {
                if text.len() > MAX {
                    return Err(E::invalid_length(text.len(), &self));
                }
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(Base64).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Zonefiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Files;

        impl<'de> Visitor<'de> for Files {
            type Value = Zonefiles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {FETCH_MAX} zone files by their hashes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Zonefiles, A::Error> {
                let mut files = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if files.len() == FETCH_MAX {
                        return Err(A::Error::invalid_length(FETCH_MAX + 1, &self));
                    }
                    files.push(entry);
                }
                Ok(Zonefiles(files))
            }
        }

        deserializer.deserialize_map(Files)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Values<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T, MAX>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    if values.len() == MAX {
                        return Err(A::Error::invalid_length(MAX + 1, &self));
                    }
                    values.push(value);
                }
                Ok(List(values))
            }
        }

        deserializer.deserialize_seq(Values(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{self, Answer, Files, Standing};
    use super::*;

    const ZONE: &[u8] = b"$ORIGIN foo.test\n";
    const STANDING: Standing = Standing {
        indexing: false,
        lastblock: 300,
        stale: false,
    };

    fn document(json: &str) -> Vec<u8> {
        xml::write_text_response(json).into_bytes()
    }

    fn files(files: &[(ZonefileHash, &[u8])]) -> Vec<u8> {
        let mut document = Files::new(STANDING);
        files
            .iter()
            .for_each(|(hash, bytes)| document.push(hash, bytes));
        document.finish().into_bytes()
    }

    #[test]
    fn files_are_what_their_hashes_say_or_the_reply_is_discarded() {
        let (one, other) = (ZonefileHash::of(ZONE), ZonefileHash::of(b"other"));
        let both = files(&[(one, ZONE), (other, b"other")]);
        let read = zonefiles(&both, &[other, one]).expect("both were asked for");
        assert_eq!(read, [(one, ZONE.to_vec()), (other, b"other".to_vec())]);
        assert_eq!(zonefiles(&files(&[]), &[one]), Ok(vec![]));
        let wrong = Err(ReplyError::WrongFile);
        assert_eq!(zonefiles(&both, &[one]), wrong, "unasked");
        assert_eq!(
            zonefiles(&files(&[(one, ZONE), (other, b"else")]), &[one, other]),
            wrong
        );
        assert_eq!(
            zonefiles(&files(&[(one, ZONE), (one, ZONE)]), &[one]),
            wrong
        );
        for size in [0, ZONEFILE_MAX + 1] {
            let bytes = vec![b';'; size];
            let hash = ZonefileHash::of(&bytes);
            let reply = files(&[(one, ZONE), (hash, &bytes)]);
            assert_eq!(zonefiles(&reply, &[one, hash]), wrong, "{size} bytes");
        }
    }

    #[test]
    fn replies_have_their_limits() {
        let hash = ZonefileHash::of(ZONE);
        let is_malformed =
            |document: &[u8]| matches!(zonefiles(document, &[hash]), Err(ReplyError::Malformed(_)));
        let too_long = "A".repeat(BASE64_MAX + 4);
        assert!(is_malformed(&document(&format!(
            "{{\"zonefiles\": {{\"{hash}\": \"{too_long}\"}}}}"
        ))));
        let many: Vec<_> = (0..=FETCH_MAX).map(|_| (hash, ZONE)).collect();
        assert!(is_malformed(&files(&many)));
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(17), "]".repeat(17));
        assert!(is_malformed(&document(&deep)));
        for wrong in [
            "",
            "1",
            "{}",
            "{\"zonefiles\": []}",
            "{\"zonefiles\": {\"a\": \"\"}}",
        ] {
            assert!(is_malformed(&document(wrong)), "{wrong}");
        }
        let many: Vec<String> = (0..=PEERS_MAX)
            .map(|n| format!("\"8.8.8.8:{}\"", 100 + n))
            .collect();
        let many = document(&format!("{{\"peers\": [{}]}}", many.join(",")));
        assert!(matches!(peers(&many), Err(ReplyError::Malformed(_))));
        let others = (0..=PEERS_MAX).map(|_| "\"\"").collect::<Vec<_>>();
        let others = format!("{{\"zonefiles\": {{}}, \"peers\": [{}]}}", others.join(","));
        assert!(
            is_malformed(&document(&others)),
            "also beside what was asked for"
        );
        let six = document("{\"saved\": [1, 1, 1, 1, 1, 1]}");
        assert!(matches!(saved(&six, 6), Err(ReplyError::Malformed(_))));
        let three = document("{\"peers\": [\"8.8.8.8:6264\", \"[::1]:80\", \"a b\"]}");
        assert_eq!(peers(&three).expect("one").len(), 1);
    }

    #[test]
    fn refusals_are_told_in_words_that_cannot_spoil_a_log() {
        let said = |document: &[u8]| match inventory(document) {
            Err(ReplyError::Refused(said)) => said,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(answer::overloaded().as_bytes()), "overloaded");
        assert_eq!(
            said(answer::failed().as_bytes()),
            "this node cannot answer now"
        );
        assert_eq!(said(&document("{\"error\": \"a\\nb\"}")), "a b");
        assert_eq!(
            said(&document(
                "{\"traceback\": \"Traceback\", \"status\": true}"
            )),
            "Traceback"
        );
        let long = format!("{{\"error\": \"{}\"}}", "x".repeat(9_000));
        assert_eq!(said(&document(&long)).len(), SAID_MAX);
    }

    #[test]
    fn a_peer_says_what_it_is() {
        // As blockstack-core 20.0.8.10 answers.
        let reply = "{\"status\": true, \"server_version\": \"20.0.8.10\", \"testnet\": false, \"consensus\": \"17ac43c1d8549c3181b200f1bf97eb7d\", \"last_block_processed\": 500000, \"last_block_seen\": 500006, \"server_alive\": true, \"zonefile_count\": 7, \"indexing\": false, \"first_block\": 373601}";
        let info = info(&document(reply)).expect("it is whole");
        assert_eq!(
            (info.version, info.last_block_processed),
            ((20, 0), 500_000)
        );
        assert!(info.is_admissible(&Testnet::Is(false)) && !info.is_admissible(&Testnet::Is(true)));
        let older = PeerInfo {
            version: (0, 16),
            ..info.clone()
        };
        let stale = PeerInfo {
            stale: true,
            ..info
        };
        assert!(
            ![older, stale]
                .iter()
                .any(|peer| peer.is_admissible(&Testnet::Is(false)))
        );
    }

    #[test]
    fn a_network_is_a_truth_or_a_name_in_any_reply() {
        let said = |network: &str| {
            let json = format!("{{\"zonefiles\": {{}}, \"testnet\": {network}}}");
            zonefiles(&document(&json), &[])
        };
        for network in ["true", "\"7879\"", "null"] {
            assert_eq!(said(network), Ok(vec![]), "{network}");
        }
        for network in ["[0, 0]", "{\"a\": 0}", "7"] {
            let error = said(network).expect_err("no network");
            assert!(
                error.to_string().contains("the name of a network"),
                "{error}"
            );
        }
    }

    #[test]
    fn inventories_and_receipts_come_back() {
        let inv = BASE64.encode(&[0xb1, 0]);
        let answer = STANDING.respond(&Answer::Inventory { inv });
        assert_eq!(inventory(answer.as_bytes()), Ok(vec![0xb1, 0]));
        let answer = STANDING.respond(&Answer::Saved { saved: vec![0, 1] });
        assert_eq!(saved(answer.as_bytes(), 2), Ok(vec![false, true]));
        assert!(saved(answer.as_bytes(), 3).is_err());
    }
}
