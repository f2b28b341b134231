//! Bitcoin peers: headers, the newest blocks and old ones that are looked at whole, without a node of one's own.
//!
//! Connections are only made, never taken. Nobody is believed: headers go through [`HeaderChain`], blocks are asked for by
//! hash and checked by [`super::checked`], so that one honest peer is enough. A stranger learns that bnsd runs here and which
//! blocks it wants, never a name. Messages are those of Bitcoin Core's version 1 transport (BIP 31, 130, 155, 159).
//!
//! | file | holds |
//! |---|---|
//! | `book.rs` (pure) | who can be called |
//! | `circle.rs` (pure) | who is connected, and what is asked of whom |
//! | `end.rs` (pure) | why a conversation ended |
//! | `line.rs` | one connection |
//! | `member.rs` (pure) | one connected peer |
//! | `message.rs` (pure) | messages as bytes |
//! | `node.rs` | the loop over all of it |
//! | `orders.rs` (pure) | blocks that are wanted |
//! | `receive.rs` | a message that comes in, bounded in bytes and time |
//! | `seeds.rs` (pure) | where peers are known from |
//! | `shared.rs` | what the loop and its users have in common |

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::{BlockHash, Network};
use tokio::runtime::Builder;

mod book;
mod circle;
mod end;
#[cfg(fuzzing)]
pub mod fuzz;
mod line;
mod member;
mod message;
mod node;
mod orders;
mod receive;
mod seeds;
mod shared;

use line::Way;
use node::Node;
use shared::Shared;

use super::headers::HeaderChain;
use super::{Block, BlockRef};
use crate::peer_address::{ParseAddressError, PeerAddress};
use crate::worker::Crew;

/// Threads that wait for names to be looked up.
const LOOKUPS_MAX: usize = 4;
/// How long such a thread is waited for at the end.
const STOP_TIME: Duration = Duration::from_millis(500);

/// The number of a connection.
type PeerId = u64;

/// Gives the addresses of a host; blocks while it looks them up.
pub type Resolve = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// Which peers are called, and how.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// The network.
    pub network: Network,
    /// Who is called.
    pub choice: PeerChoice,
    /// A SOCKS5 proxy, which also looks up names.
    pub proxy: Option<SocketAddr>,
    /// How many peers are connected at the same time.
    pub outbound: usize,
    /// Where peers that worked are remembered, in the file `peers`.
    pub directory: PathBuf,
}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerChoice {
    /// Whoever the network's DNS seeds and its peers name.
    Seeds,
    /// These, wherever they are, and nobody else.
    Given(Vec<PeerAddress>),
}

impl PeerChoice {
    /// Peers that a person named, each with the network's usual port where he named none.
    ///
    /// # Errors
    /// The first text that names no peer.
    pub fn given(network: Network, peers: &[String]) -> Result<Self, ParseAddressError> {
        let port = seeds::port(network);
        let peers = peers
            .iter()
            .map(|peer| PeerAddress::parse_with_port(peer, port));
        peers.collect::<Result<_, _>>().map(Self::Given)
    }
}

/// What is known of the peers, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeersStatus {
    /// How many are connected and said who they are.
    pub connected: usize,
    /// The highest block that one of them claims to have. Nothing proves it.
    pub best_claimed: Option<u32>,
    /// How long ago one of them last said anything; `None` if none ever did.
    pub last_heard: Option<Duration>,
    /// Bytes that all peers sent.
    pub bytes_in: u64,
    /// Bytes that were sent to them.
    pub bytes_out: u64,
}

/// The peers, on a thread of their own.
pub struct Peers {
    shared: Arc<Shared>,
}

impl Peers {
    /// Begins to call peers, with a thread of `crew`. Their headers go into `headers`; `resolve` looks up names where there is
    /// no proxy.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        options: PeerOptions,
        headers: Arc<Mutex<HeaderChain>>,
        resolve: Box<Resolve>,
        crew: &mut Crew,
    ) -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUPS_MAX)
            .thread_name("peers")
            .build()?;
        let shared = Arc::new(Shared::new());
        let way = Way {
            proxy: options.proxy,
            resolve: Arc::from(resolve),
        };
        let common = Arc::clone(&shared);
        crew.thread("peers", move || {
            runtime.block_on(async {
                let (node, heard) = Node::new(&options, headers, way, common);
                node.run(heard).await;
            });
            runtime.shutdown_timeout(STOP_TIME);
        })?;
        Ok(Arc::new(Self { shared }))
    }

    /// Wants these blocks, in this order and before all that was wanted earlier. They are asked for until they are taken; of
    /// more than a thousand, and of those that came and that the last wish did not name, the oldest may be given up.
    pub fn want(&self, blocks: &[BlockRef]) {
        self.shared.orders().want(blocks);
        self.shared.wake.notify_one();
    }

    /// A wanted block that has come: without witnesses, and its work and transactions are those of its hash.
    pub fn take(&self, hash: &BlockHash) -> Option<Block> {
        let block = self.shared.orders().take(hash)?;
        self.shared.wake.notify_one(); // there is room for another
        Some(block)
    }

    /// Waits until a better chain of headers or a block has come since the last wait; whether one has.
    pub fn wait(&self, patience: Duration) -> bool {
        self.shared.wait(patience)
    }

    /// What is known of the peers now.
    pub fn status(&self) -> PeersStatus {
        self.shared.status()
    }

    /// Has the thread end.
    pub fn stop(&self) {
        self.shared.stop();
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop();
    }
}
