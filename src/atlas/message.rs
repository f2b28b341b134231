//! What peers ask of each other, and how they are answered (ap §1, §2).
//!
//! A call is a document of XML-RPC; its answer is one too, whose only value is a text of JSON. Everything that the protocol
//! bounds is checked here: a [`Call`] that exists can be answered. What replies say to us is read in
//! [`reply`](super::reply).

use super::answer::refuse;
use super::xml::{self, Value, XmlError};
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::peer_address::PeerAddress;
use data_encoding::BASE64;

/// Bytes of a call (ap §1).
pub(super) const CALL_MAX: usize = 512 * 1024;
/// Zone files of a call that asks for them (ap §2).
pub const FETCH_MAX: usize = 100;
/// Zone files of a call that brings them (ap §2).
pub const PUT_MAX: usize = 5;
/// Characters of a zone file in base64: `(4 · 40960) / 3 + 3` (ap §2).
pub(super) const BASE64_MAX: usize = 4 * crate::zonefile::ZONEFILE_MAX / 3 + 3;
/// Bytes of an inventory in one call (ap §2).
pub(super) const INVENTORY_MAX: usize = 524_288;
/// Neighbours that are told (ap §3).
pub(super) const PEERS_MAX: usize = 80;
/// Announcements of a call (ap §2).
const ROWS_MAX: u64 = 100;
/// Consensus hashes of a call (ap §2).
const HEIGHTS_MAX: usize = 32;
/// Operations of a call (ap §2).
const OPERATIONS_MAX: u64 = 10;

/// What somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Ping,
    Info,
    /// Bits of the inventory; both are bytes.
    Inventory {
        offset: usize,
        length: usize,
    },
    Zonefiles(Vec<ZonefileHash>),
    Put(Vec<Vec<u8>>),
    /// Announcements of the blocks `from` to `to`.
    Announced {
        from: u32,
        to: u32,
        offset: usize,
        count: usize,
    },
    Peers,
    /// Neighbours, and where the caller is, if it says that.
    Exchange(Option<PeerAddress>),
    ConsensusAt(u32),
    HeightOf(ConsensusHash),
    ConsensusHashes(Vec<u32>),
    OpsHashAt(u32),
    OperationCount(u32),
    Operations {
        height: u32,
        offset: usize,
        count: usize,
    },
}

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no call.
    Document(XmlError),
    /// Nobody knows the method.
    Method(String),
    /// It asks for what it must not.
    Arguments(&'static str),
}

/// Codes of faults that XML-RPC servers agreed on.
const FAULT_DOCUMENT: i64 = -32_700;
const FAULT_METHOD: i64 = -32_601;
/// Characters of a stranger's text that are repeated.
const SAID_MAX: usize = 100;

impl Request {
    /// Reads a call, whatever its bytes are.
    pub(super) fn read(document: &[u8]) -> Result<Self, Refusal> {
        let (method, parameters) = xml::read_call(document).map_err(Refusal::Document)?;
        Self::from_parts(&method, parameters)
    }

    fn from_parts(method: &str, parameters: Vec<Value<'_>>) -> Result<Self, Refusal> {
        let mut arguments = Arguments(parameters.into_iter());
        let call = match method {
            "ping" => Self::Ping,
            "getinfo" => Self::Info,
            "get_zonefile_inventory" => Self::Inventory {
                offset: arguments.number("invalid offset")?,
                length: arguments.up_to(INVENTORY_MAX as u64, "invalid length")?,
            },
            "get_zonefiles" => Self::Zonefiles(arguments.hashes()?),
            "put_zonefiles" => Self::Put(arguments.files()?),
            "get_zonefiles_by_block" => Self::Announced {
                from: arguments.number("Invalid from_block height")?,
                to: arguments.number("Invalid to_block height")?,
                offset: arguments.number("invalid offset")?,
                count: arguments.up_to(ROWS_MAX, "invalid count")?,
            },
            "get_atlas_peers" => Self::Peers,
            "atlas_peer_exchange" => Self::Exchange(arguments.peer()?),
            "get_consensus_at" => Self::ConsensusAt(arguments.height()?),
            "get_block_from_consensus" => Self::HeightOf(arguments.consensus_hash()?),
            "get_consensus_hashes" => Self::ConsensusHashes(arguments.heights()?),
            "get_blockstack_ops_hash_at" => Self::OpsHashAt(arguments.height()?),
            "get_num_blockstack_ops_at" => Self::OperationCount(arguments.height()?),
            "get_blockstack_ops_at" => Self::Operations {
                height: arguments.height()?,
                offset: arguments.number("Invalid offset")?,
                count: arguments.up_to(OPERATIONS_MAX, "Invalid count")?,
            },
            _ => return Err(Refusal::Method(method.chars().take(SAID_MAX).collect())),
        };
        arguments.end()?;
        Ok(call)
    }

    /// The call as a document.
    pub(super) fn to_document(&self) -> String {
        let (method, arguments) = self.parts();
        xml::write_call(method, &arguments)
    }

    fn parts(&self) -> (&'static str, Vec<Value<'static>>) {
        let number = |number: &usize| Value::Int(*number as i64);
        let height = |height: &u32| Value::Int((*height).into());
        match self {
            Self::Ping => ("ping", vec![]),
            Self::Info => ("getinfo", vec![]),
            Self::Inventory { offset, length } => (
                "get_zonefile_inventory",
                vec![number(offset), number(length)],
            ),
            Self::Zonefiles(hashes) => {
                let texts = hashes.iter().map(|hash| text(hash.to_string()));
                ("get_zonefiles", vec![Value::Array(texts.collect())])
            }
            Self::Put(files) => {
                let texts = files.iter().map(|file| text(BASE64.encode(file)));
                ("put_zonefiles", vec![Value::Array(texts.collect())])
            }
            Self::Announced {
                from,
                to,
                offset,
                count,
            } => (
                "get_zonefiles_by_block",
                vec![height(from), height(to), number(offset), number(count)],
            ),
            Self::Peers => ("get_atlas_peers", vec![]),
            Self::Exchange(peer) => {
                let said = peer.as_ref().map(ToString::to_string);
                ("atlas_peer_exchange", vec![text(said.unwrap_or_default())])
            }
            Self::ConsensusAt(at) => ("get_consensus_at", vec![height(at)]),
            Self::HeightOf(hash) => ("get_block_from_consensus", vec![text(hash.to_string())]),
            Self::ConsensusHashes(heights) => {
                let heights = heights.iter().map(height).collect();
                ("get_consensus_hashes", vec![Value::Array(heights)])
            }
            Self::OpsHashAt(at) => ("get_blockstack_ops_hash_at", vec![height(at)]),
            Self::OperationCount(at) => ("get_num_blockstack_ops_at", vec![height(at)]),
            Self::Operations {
                height: at,
                offset,
                count,
            } => (
                "get_blockstack_ops_at",
                vec![height(at), number(offset), number(count)],
            ),
        }
    }
}

impl Refusal {
    /// The document that says so: an error in the words of the reference, or a fault where nothing was understood.
    pub(super) fn to_document(&self) -> String {
        match self {
            Self::Document(error) => xml::write_fault(FAULT_DOCUMENT, &error.to_string()),
            Self::Method(method) => xml::write_fault(
                FAULT_METHOD,
                &format!("method \"{method}\" is not supported"),
            ),
            Self::Arguments(text) => refuse(text, 400),
        }
    }
}

fn text(text: String) -> Value<'static> {
    Value::Text(text.into())
}

/// The arguments of a call, taken in order.
struct Arguments<'a>(std::vec::IntoIter<Value<'a>>);

impl Arguments<'_> {
    fn number<N: TryFrom<i64>>(&mut self, error: &'static str) -> Result<N, Refusal> {
        match self.0.next() {
            Some(Value::Int(number)) => number.try_into().ok(),
            _ => None,
        }
        .ok_or(Refusal::Arguments(error))
    }

    fn up_to(&mut self, most: u64, error: &'static str) -> Result<usize, Refusal> {
        let number: u64 = self.number(error)?;
        let is_allowed = number <= most;
        is_allowed
            .then_some(number as usize)
            .ok_or(Refusal::Arguments(error))
    }

    fn height(&mut self) -> Result<u32, Refusal> {
        self.number("Invalid block height")
    }

    /// A list of no more than `most` values, each read by `read`.
    fn list<T>(
        &mut self,
        most: usize,
        too_many: &'static str,
        error: &'static str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let Some(Value::Array(values)) = self.0.next() else {
            return Err(Refusal::Arguments(error));
        };
        if values.len() > most {
            return Err(Refusal::Arguments(too_many));
        }
        let items: Option<Vec<T>> = values.iter().map(read).collect();
        items.ok_or(Refusal::Arguments(error))
    }

    fn hashes(&mut self) -> Result<Vec<ZonefileHash>, Refusal> {
        let too_many = "Too many requests (no more than 100 allowed)";
        self.list(
            FETCH_MAX,
            too_many,
            "Invalid zone file hash",
            |value| match value {
                Value::Text(text) => text.parse().ok(),
                _ => None,
            },
        )
    }

    fn files(&mut self) -> Result<Vec<Vec<u8>>, Refusal> {
        let error = "Invalid zone file payload (exceeds 40960 bytes and/or not base64-encoded)";
        self.list(PUT_MAX, "Too many zonefiles", error, |value| match value {
            Value::Text(text) if text.len() <= BASE64_MAX => BASE64.decode(text.as_bytes()).ok(),
            _ => None,
        })
    }

    fn heights(&mut self) -> Result<Vec<u32>, Refusal> {
        let error = "Invalid block height";
        self.list(
            HEIGHTS_MAX,
            "Too many block heights",
            error,
            |value| match value {
                Value::Int(height) => (*height).try_into().ok(),
                _ => None,
            },
        )
    }

    fn peer(&mut self) -> Result<Option<PeerAddress>, Refusal> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(PeerAddress::from_wire(&text).ok()),
            _ => Err(Refusal::Arguments("Invalid remote peer address")),
        }
    }

    fn consensus_hash(&mut self) -> Result<ConsensusHash, Refusal> {
        match self.0.next() {
            Some(Value::Text(text)) => text.parse().ok(),
            _ => None,
        }
        .ok_or(Refusal::Arguments("Not a valid consensus hash"))
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let is_over = self.0.next().is_none();
        is_over
            .then_some(())
            .ok_or(Refusal::Arguments("Too many arguments"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const HASH: ZonefileHash = ZonefileHash([7; 20]);

    fn refused(method: &str, arguments: &[Value<'_>]) -> String {
        let document = xml::write_call(method, arguments);
        match Request::read(document.as_bytes()) {
            Err(refusal) => refusal.to_document(),
            Ok(call) => panic!("{call:?}"),
        }
    }

    #[test]
    fn the_protocols_limits_are_kept() {
        let hashes = |count| Value::Array(vec![text(HASH.to_string()); count]);
        let files = |count, size| Value::Array(vec![text(BASE64.encode(&vec![b'a'; size])); count]);
        let heights = |count| Value::Array(vec![Value::Int(5); count]);
        let (one, most) = (Value::Int(1), Value::Int(i64::from(u32::MAX)));
        for (method, arguments, said) in [
            ("get_zonefiles", vec![hashes(101)], "Too many requests"),
            (
                "get_zonefiles",
                vec![text("a".into())],
                "Invalid zone file hash",
            ),
            (
                "get_zonefiles",
                vec![Value::Array(vec![text("a".into())])],
                "Invalid zone file hash",
            ),
            ("put_zonefiles", vec![files(6, 1)], "Too many zonefiles"),
            (
                "put_zonefiles",
                vec![files(1, 40_963)],
                "Invalid zone file payload",
            ),
            (
                "put_zonefiles",
                vec![Value::Array(vec![text("&".into())])],
                "Invalid zone file payload",
            ),
            (
                "get_consensus_hashes",
                vec![heights(33)],
                "Too many block heights",
            ),
            (
                "get_zonefile_inventory",
                vec![Value::Int(-1), one.clone()],
                "invalid offset",
            ),
            (
                "get_zonefile_inventory",
                vec![one.clone(), Value::Int(524_289)],
                "invalid length",
            ),
            (
                "get_zonefiles_by_block",
                vec![one.clone(), one.clone(), one.clone(), Value::Int(101)],
                "invalid count",
            ),
            (
                "get_blockstack_ops_at",
                vec![one.clone(), one.clone(), Value::Int(11)],
                "Invalid count",
            ),
            (
                "get_consensus_at",
                vec![Value::Int(1 << 32)],
                "Invalid block height",
            ),
            ("get_consensus_at", vec![], "Invalid block height"),
            (
                "get_consensus_at",
                vec![Value::Bool(true)],
                "Invalid block height",
            ),
            (
                "get_block_from_consensus",
                vec![text("ab".into())],
                "Not a valid consensus hash",
            ),
            ("ping", vec![most], "Too many arguments"),
        ] {
            let document = refused(method, &arguments);
            assert!(
                document.contains(said) && document.contains("400"),
                "{document}"
            );
        }
        let fault = refused("get_<all>", &[]);
        assert!(
            fault.contains("faultCode") && fault.contains("get_&lt;all&gt;"),
            "{fault}"
        );
        let call = xml::write_call("put_zonefiles", &[files(5, 40_961)]);
        assert!(
            call.len() < CALL_MAX && Request::read(call.as_bytes()).is_ok(),
            "saved 0, not refused"
        );
    }

    fn call() -> impl Strategy<Value = Request> {
        let at = any::<u32>();
        let hash = any::<[u8; 20]>().prop_map(ZonefileHash);
        prop_oneof![
            Just(Request::Ping),
            Just(Request::Info),
            Just(Request::Peers),
            (0usize..1 << 40, 0..=INVENTORY_MAX)
                .prop_map(|(offset, length)| Request::Inventory { offset, length }),
            vec(hash, 0..=FETCH_MAX).prop_map(Request::Zonefiles),
            vec(vec(any::<u8>(), 0..99), 0..=PUT_MAX).prop_map(Request::Put),
            (at, at, 0usize..1 << 40, 0usize..=100).prop_map(|(from, to, offset, count)| {
                Request::Announced {
                    from,
                    to,
                    offset,
                    count,
                }
            }),
            ("[a-z]{1,9}\\.[a-z]{1,9}", 10u16..)
                .prop_map(|(host, port)| Request::Exchange(format!("{host}:{port}").parse().ok())),
            at.prop_map(Request::ConsensusAt),
            at.prop_map(Request::OpsHashAt),
            at.prop_map(Request::OperationCount),
            any::<[u8; 16]>().prop_map(|hash| Request::HeightOf(ConsensusHash(hash))),
            vec(at, 0..=HEIGHTS_MAX).prop_map(Request::ConsensusHashes),
            (at, 0usize..1 << 40, 0usize..=10).prop_map(|(height, offset, count)| {
                Request::Operations {
                    height,
                    offset,
                    count,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn calls_come_back(call in call()) {
            prop_assert_eq!(Request::read(call.to_document().as_bytes()), Ok(call));
        }
    }
}
