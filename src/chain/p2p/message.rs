//! What is said between Bitcoin peers: the frame of a message, and what of its payload is used.
//!
//! Version 1 of the transport (Bitcoin Core's `net.cpp`): magic of the network, command, length, checksum, payload. A payload
//! has a limit of its own for each command, which is known before the payload is read. A block stays as the bytes that came;
//! it is checked by whoever asked for it. This file is pure.

use std::net::SocketAddr;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, deserialize_partial, serialize};
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256d};
use bitcoin::p2p::address::{AddrV2Message, Address};
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_blockdata::{GetHeadersMessage, Inventory};
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Magic, ServiceFlags};
use bitcoin::{BlockHash, VarInt};

/// Bytes before the payload: magic, command, length, checksum.
pub(super) const HEAD_LENGTH: usize = 24;
/// Bytes of any payload (Bitcoin Core's `MAX_PROTOCOL_MESSAGE_LENGTH`).
const PAYLOAD_MAX: u32 = 4_000_000;
/// Headers of one message (Bitcoin Core's `MAX_HEADERS_RESULTS`); one that has as many is followed by more.
pub(super) const HEADERS_MAX: usize = 2_000;
/// Bytes of a header in a message: a count of transactions follows, always 0.
const HEADER_LENGTH: usize = 81;
/// Bytes of a block without witnesses: they have a weight of 4 each, and a block weighs 4,000,000 (BIP 141).
const BLOCK_MAX: u32 = 1_000_000;
/// Things of one `inv` or `notfound`, of 36 bytes (Bitcoin Core's `MAX_INV_SZ`).
const INVENTORY_MAX: u32 = 50_000;
/// Addresses of one message (Bitcoin Core's `MAX_ADDR_TO_SEND`).
const ADDRESSES_MAX: usize = 1_000;
/// Bytes of an address: time, services, kind, length and 512 bytes of address at most, port (BIP 155).
const ADDRESS_LENGTH_MAX: u32 = 4 + 9 + 1 + 3 + 512 + 2;
/// Bytes of what is short: a version with a user agent of 256 bytes.
const SHORT_MAX: u32 = 1_024;
/// The version of the protocol that is spoken: that of `sendaddrv2` (BIP 155).
const PROTOCOL_VERSION: u32 = 70_016;

/// What a peer sends is not of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    /// The message is for another network, or is none.
    #[error("it is on another network")]
    Network,
    /// The message is longer than one of its kind can be.
    #[error("it sent a message that is too long")]
    Length,
    /// The checksum is that of another payload.
    #[error("it sent a message with a wrong checksum")]
    Checksum,
    /// The payload cannot be read.
    #[error("it sent a malformed message")]
    Malformed,
}

/// The beginning of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    command: Command,
    /// Bytes of the payload.
    pub length: usize,
    checksum: [u8; 4],
}

/// Kinds of messages that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Version,
    Verack,
    Headers,
    GetHeaders,
    Inv,
    NotFound,
    Block,
    Ping,
    Pong,
    Addr,
    AddrV2,
    Other,
}

/// What a peer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Who it is.
    Version(Introduction),
    /// It knows who we are.
    Verack,
    /// Headers, each on the one before.
    Headers(Vec<Header>),
    /// It wants headers.
    GetHeaders,
    /// It has these blocks.
    Blocks(Vec<BlockHash>),
    /// It lacks these blocks.
    NotFound(Vec<BlockHash>),
    /// A block, whatever it holds.
    Block(Vec<u8>),
    /// It wants this number back.
    Ping(u64),
    /// It gives a number back.
    Pong,
    /// Peers that can serve blocks.
    Peers(Vec<SocketAddr>),
    /// Anything else.
    Other,
}

/// What a peer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Introduction {
    /// Version of the protocol.
    pub version: u32,
    /// What it serves.
    pub services: ServiceFlags,
    /// A number by which a connection to oneself is noticed.
    pub nonce: u64,
    /// Height of its best block.
    pub height: u32,
}

impl Head {
    /// The beginning of a message of a network.
    pub fn read(bytes: [u8; HEAD_LENGTH], network: Magic) -> Result<Self, MessageError> {
        let (magic, rest): ([u8; 4], [u8; 20]) = split(bytes);
        let (command, rest): ([u8; 12], [u8; 8]) = split(rest);
        let (length, checksum) = split(rest);
        if magic != network.to_bytes() {
            return Err(MessageError::Network);
        }
        let command = Command::of(command);
        let length = u32::from_le_bytes(length);
        if length > command.payload_max() {
            return Err(MessageError::Length);
        }
        Ok(Self {
            command,
            length: length as usize,
            checksum,
        })
    }

    /// Whether the payload is only counted and hashed.
    pub fn is_skipped(&self) -> bool {
        self.command == Command::Other
    }

    /// What the message says; `payload` is empty where it is skipped, and `checksum` is of all that came.
    pub fn finish(&self, payload: Vec<u8>, checksum: Checksum) -> Result<Heard, MessageError> {
        if checksum.finish() != self.checksum {
            return Err(MessageError::Checksum);
        }
        self.command.read(payload).ok_or(MessageError::Malformed)
    }
}

/// Cuts an array in two; the lengths are checked by the compiler where both are known, and are those of the frame.
fn split<const N: usize, const A: usize, const B: usize>(bytes: [u8; N]) -> ([u8; A], [u8; B]) {
    const { assert!(A + B == N) };
    let (mut first, mut second) = ([0; A], [0; B]);
    let mut rest = bytes.into_iter();
    first
        .iter_mut()
        .chain(&mut second)
        .for_each(|byte| *byte = rest.next().unwrap_or(0));
    (first, second)
}

/// The checksum of a payload that comes in pieces.
#[derive(Default)]
pub(super) struct Checksum(bitcoin::hashes::sha256::HashEngine);

impl Checksum {
    /// Takes the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.input(piece);
    }

    fn finish(self) -> [u8; 4] {
        let [first, second, third, fourth, ..] = sha256d::Hash::from_engine(self.0).to_byte_array();
        [first, second, third, fourth]
    }
}

impl Command {
    fn of(name: [u8; 12]) -> Self {
        let end = name.iter().position(|byte| *byte == 0);
        match name.split_at(end.unwrap_or(name.len())).0 {
            b"version" => Self::Version,
            b"verack" => Self::Verack,
            b"headers" => Self::Headers,
            b"getheaders" => Self::GetHeaders,
            b"inv" => Self::Inv,
            b"notfound" => Self::NotFound,
            b"block" => Self::Block,
            b"ping" => Self::Ping,
            b"pong" => Self::Pong,
            b"addr" => Self::Addr,
            b"addrv2" => Self::AddrV2,
            _ => Self::Other,
        }
    }

    fn payload_max(self) -> u32 {
        match self {
            Self::Version | Self::Verack | Self::Ping | Self::Pong => SHORT_MAX,
            Self::Headers => 3 + (HEADERS_MAX * HEADER_LENGTH) as u32,
            Self::Inv | Self::NotFound => 3 + INVENTORY_MAX * 36,
            Self::Block => BLOCK_MAX,
            Self::Addr | Self::AddrV2 => 3 + ADDRESSES_MAX as u32 * ADDRESS_LENGTH_MAX,
            Self::GetHeaders | Self::Other => PAYLOAD_MAX,
        }
    }

    fn read(self, payload: Vec<u8>) -> Option<Heard> {
        Some(match self {
            Self::Version => Heard::Version(introduction(&payload)?),
            Self::Verack => Heard::Verack,
            Self::Headers => Heard::Headers(headers(&payload)?),
            Self::GetHeaders => Heard::GetHeaders,
            Self::Inv => Heard::Blocks(blocks(&payload)?),
            Self::NotFound => Heard::NotFound(blocks(&payload)?),
            Self::Block => Heard::Block(payload),
            Self::Ping => Heard::Ping(deserialize(&payload).ok()?),
            Self::Pong => Heard::Pong,
            Self::Addr => Heard::Peers(addresses(&payload)?),
            Self::AddrV2 => Heard::Peers(addresses_v2(&payload)?),
            Self::Other => Heard::Other,
        })
    }
}

/// What a later version of the protocol puts behind is not read.
fn introduction(payload: &[u8]) -> Option<Introduction> {
    let (version, _) = deserialize_partial::<VersionMessage>(payload).ok()?;
    Some(Introduction {
        version: version.version,
        services: version.services,
        nonce: version.nonce,
        height: version.start_height.try_into().unwrap_or(0),
    })
}

fn headers(payload: &[u8]) -> Option<Vec<Header>> {
    let (count, length) = deserialize_partial::<VarInt>(payload).ok()?;
    let rows = payload.get(length..)?;
    let is_whole = count.0 <= HEADERS_MAX as u64 && rows.len() == count.0 as usize * HEADER_LENGTH;
    let rows = is_whole.then(|| rows.chunks_exact(HEADER_LENGTH))?;
    rows.map(|row| {
        let (transactions, header) = row.split_last()?;
        (*transactions == 0).then(|| deserialize(header).ok())?
    })
    .collect()
}

fn blocks(payload: &[u8]) -> Option<Vec<BlockHash>> {
    let things: Vec<Inventory> = deserialize(payload).ok()?;
    let blocks = things.into_iter().filter_map(|thing| match thing {
        Inventory::Block(hash) | Inventory::WitnessBlock(hash) => Some(hash),
        _ => None,
    });
    Some(blocks.collect())
}

fn addresses(payload: &[u8]) -> Option<Vec<SocketAddr>> {
    let all: Vec<(u32, Address)> = deserialize(payload).ok()?;
    let serving = all.iter().filter(|(_, address)| serves(address.services));
    let addresses = serving.filter_map(|(_, address)| address.socket_addr().ok());
    (all.len() <= ADDRESSES_MAX).then(|| addresses.collect())
}

fn addresses_v2(payload: &[u8]) -> Option<Vec<SocketAddr>> {
    let all: Vec<AddrV2Message> = deserialize(payload).ok()?;
    let serving = all.iter().filter(|address| serves(address.services));
    let addresses = serving.filter_map(|address| address.socket_addr().ok());
    (all.len() <= ADDRESSES_MAX).then(|| addresses.collect())
}

/// Whether a peer with these services has at least the newest blocks (BIP 159).
pub(super) fn serves(services: ServiceFlags) -> bool {
    services.has(ServiceFlags::NETWORK) || services.has(ServiceFlags::NETWORK_LIMITED)
}

/// The bytes of a message of ours.
pub(super) fn write(message: NetworkMessage, network: Magic) -> Vec<u8> {
    serialize(&RawNetworkMessage::new(network, message))
}

/// Who we are: a name and a version, nothing of the machine. `time` is in seconds since 1970.
pub(super) fn introduce(nonce: u64, time: u64) -> NetworkMessage {
    let nowhere = Address {
        services: ServiceFlags::NONE,
        address: [0; 8],
        port: 0,
    };
    let time = i64::try_from(time).unwrap_or(i64::MAX);
    let agent = format!("/bnsd:{}/", env!("CARGO_PKG_VERSION"));
    let (ours, theirs) = (nowhere.clone(), nowhere);
    let mut version = VersionMessage::new(ServiceFlags::NONE, time, theirs, ours, nonce, agent, 0);
    version.version = PROTOCOL_VERSION;
    NetworkMessage::Version(version)
}

/// Asks for the headers above the first hash of `locator` that the peer has.
pub(super) fn ask_headers(locator: Vec<BlockHash>) -> NetworkMessage {
    let mut ask = GetHeadersMessage::new(locator, BlockHash::all_zeros());
    ask.version = PROTOCOL_VERSION;
    NetworkMessage::GetHeaders(ask)
}

/// Asks for a block without its witnesses.
pub(super) fn ask_block(hash: BlockHash) -> NetworkMessage {
    NetworkMessage::GetData(vec![Inventory::Block(hash)])
}

#[cfg(test)]
mod tests {
    use bitcoin::constants::genesis_block;
    use bitcoin::p2p::address::AddrV2;
    use proptest::prelude::*;

    use super::*;

    const NETWORK: Magic = Magic::REGTEST;

    fn read(bytes: &[u8]) -> Result<Heard, MessageError> {
        let (head, payload) = bytes.split_at(HEAD_LENGTH);
        let head = Head::read(head.try_into().expect("a head"), NETWORK)?;
        assert_eq!(head.length, payload.len());
        let mut checksum = Checksum::default();
        payload.chunks(7).for_each(|piece| checksum.add(piece));
        let payload = if head.is_skipped() {
            Vec::new()
        } else {
            payload.to_vec()
        };
        head.finish(payload, checksum)
    }

    fn said(message: NetworkMessage) -> Result<Heard, MessageError> {
        read(&write(message, NETWORK))
    }

    #[test]
    fn what_is_used_is_read() {
        let block = genesis_block(bitcoin::Network::Regtest);
        let hash = block.block_hash();
        let things = vec![Inventory::Block(hash), Inventory::Error];
        let reachable = AddrV2Message {
            time: 0,
            services: ServiceFlags::NETWORK,
            addr: AddrV2::Ipv4([8, 8, 8, 8].into()),
            port: 8_333,
        };
        let silent = AddrV2Message {
            services: ServiceFlags::NONE,
            ..reachable.clone()
        };
        let onion = AddrV2Message {
            addr: AddrV2::TorV3([1; 32]),
            ..reachable.clone()
        };
        let there: SocketAddr = "8.8.8.8:8333".parse().expect("an address");
        let old = (0, Address::new(&there, ServiceFlags::NETWORK_LIMITED));
        for (message, heard) in [
            (NetworkMessage::Verack, Heard::Verack),
            (
                NetworkMessage::Headers(vec![block.header; 3]),
                Heard::Headers(vec![block.header; 3]),
            ),
            (
                NetworkMessage::Inv(things.clone()),
                Heard::Blocks(vec![hash]),
            ),
            (
                NetworkMessage::NotFound(things),
                Heard::NotFound(vec![hash]),
            ),
            (
                NetworkMessage::Block(block.clone()),
                Heard::Block(serialize(&block)),
            ),
            (NetworkMessage::Ping(7), Heard::Ping(7)),
            (
                NetworkMessage::AddrV2(vec![silent, onion, reachable]),
                Heard::Peers(vec![there]),
            ),
            (NetworkMessage::Addr(vec![old]), Heard::Peers(vec![there])),
            (NetworkMessage::FeeFilter(1), Heard::Other),
            (ask_headers(vec![hash]), Heard::GetHeaders),
            (ask_block(hash), Heard::Other),
        ] {
            assert_eq!(said(message), Ok(heard));
        }
    }

    #[test]
    fn we_tell_a_name_and_a_version_and_nothing_else() {
        let NetworkMessage::Version(version) = introduce(5, 9) else {
            panic!("no version");
        };
        assert_eq!(
            version.user_agent,
            format!("/bnsd:{}/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!((version.start_height, version.relay), (0, false));
        assert_eq!(version.services, ServiceFlags::NONE);
        for address in [version.sender, version.receiver] {
            assert_eq!((address.address, address.port), ([0; 8], 0));
        }
    }

    #[test]
    fn what_is_too_long_or_of_another_network_is_refused_by_its_head() {
        let head = |magic: Magic, command: &[u8], length: u32| {
            let mut bytes = [0; HEAD_LENGTH];
            bytes[..4].copy_from_slice(&magic.to_bytes());
            bytes[4..4 + command.len()].copy_from_slice(command);
            bytes[16..20].copy_from_slice(&length.to_le_bytes());
            Head::read(bytes, NETWORK).map(|head| head.length)
        };
        assert_eq!(head(NETWORK, b"block", 1_000_000), Ok(1_000_000));
        assert_eq!(
            head(NETWORK, b"block", 1_000_001),
            Err(MessageError::Length)
        );
        assert_eq!(
            head(NETWORK, b"unheard-of", 4_000_001),
            Err(MessageError::Length)
        );
        assert_eq!(head(NETWORK, b"headers", 162_003), Ok(162_003));
        assert_eq!(
            head(NETWORK, b"headers", 162_004),
            Err(MessageError::Length)
        );
        assert_eq!(head(NETWORK, b"version", 1_025), Err(MessageError::Length));
        assert_eq!(
            head(Magic::BITCOIN, b"verack", 0),
            Err(MessageError::Network)
        );
    }

    #[test]
    fn what_changed_on_the_way_or_contradicts_itself_is_refused() {
        let mut bytes = write(NetworkMessage::Ping(7), NETWORK);
        bytes[HEAD_LENGTH] ^= 1;
        assert_eq!(read(&bytes), Err(MessageError::Checksum));
        let header = genesis_block(bitcoin::Network::Regtest).header;
        let malformed = |payload: Vec<u8>, command: Command| {
            assert_eq!(command.read(payload), None, "{command:?}");
        };
        let row = [serialize(&header), vec![0]].concat();
        malformed([vec![2], row.clone()].concat(), Command::Headers);
        malformed(
            [vec![1], row[..80].to_vec(), vec![1]].concat(),
            Command::Headers,
        );
        malformed([vec![0xff; 9], row].concat(), Command::Headers);
        malformed(vec![0xfe, 0xff, 0xff, 0xff, 0xff], Command::Inv);
        malformed(vec![0; 7], Command::Ping);
        malformed(vec![0; 40], Command::Version);
        let many = vec![
            (
                0u32,
                Address::new(&([8, 8, 8, 8], 1).into(), ServiceFlags::NETWORK)
            );
            1_001
        ];
        malformed(serialize(&many), Command::Addr);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(command in 0..11usize, payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let commands = [
                Command::Version, Command::Verack, Command::Headers, Command::GetHeaders, Command::Inv, Command::NotFound,
                Command::Block, Command::Ping, Command::Pong, Command::Addr, Command::AddrV2,
            ];
            let _ = commands[command].read(payload);
        }
    }
}
