//! A Bitcoin Core in regtest that mines a block whenever a transaction waits for one, as long as nobody tells it to stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoincore_rpc::RpcApi as _;
use serde_json::{Value, json};

use super::bitcoind::Node;
use super::person::World;
use super::process::until;

/// The burn address: its rewards are nobody's.
const NOBODY: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";
/// Between two looks at what waits.
const PAUSE: Duration = Duration::from_millis(50);

/// Blocks that one call mines at most.
const BLOCKS_OF_CALL: u64 = 100;

/// The node and its miner.
pub struct Regtest {
    pub node: Arc<Node>,
    mines: Arc<AtomicBool>,
    lives: Arc<AtomicBool>,
    miner: Option<JoinHandle<()>>,
}

impl Regtest {
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with more arguments for the node.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Self {
        let node = Arc::new(Node::start(directory, &[&["-rest=1"], arguments].concat()));
        let _: Value = node.call("generatetoaddress", &[json!(1), json!(NOBODY)]);
        let [mines, lives] = [(); 2].map(|()| Arc::new(AtomicBool::new(true)));
        let (told, alive, client) = (Arc::clone(&mines), Arc::clone(&lives), node.client());
        let miner = std::thread::spawn(move || {
            while alive.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                let waiting = client.get_raw_mempool().unwrap_or_default();
                if !waiting.is_empty() && told.load(Ordering::Relaxed) {
                    let mined =
                        client.call::<Value>("generatetoaddress", &[json!(1), json!(NOBODY)]);
                    mined.expect("a block");
                }
            }
        });
        Self {
            node,
            mines,
            lives,
            miner: Some(miner),
        }
    }

    /// Lines of a configuration that follows it.
    pub fn followed(&self) -> String {
        format!(
            "[chain]\nsource = \"bitcoind\"\nnetwork = \"regtest\"\nrpc-address = \"{}\"\nrpc-cookie = \"{}\"\n",
            self.node.address(),
            self.node.cookie().display()
        )
    }

    /// Gives an address coins that can be spent.
    pub fn fund(&self, world: &World, address: &str) {
        let _: Value = self
            .node
            .call("generatetoaddress", &[json!(4), json!(address)]);
        self.mine(100);
        world.wait_for(u64::from(self.node.height()));
    }

    /// Mines at once, not too many blocks in a call: it has to end before the client gives up.
    pub fn mine(&self, blocks: u64) {
        let whole = std::iter::repeat_n(BLOCKS_OF_CALL, (blocks / BLOCKS_OF_CALL) as usize);
        for blocks in whole.chain([blocks % BLOCKS_OF_CALL]) {
            let arguments = [json!(blocks), json!(NOBODY)];
            let _: Value = self.node.call("generatetoaddress", &arguments);
        }
    }

    /// From now on transactions wait.
    pub fn stop_mining(&self) {
        self.mines.store(false, Ordering::Relaxed);
    }

    /// Waits until a transaction does.
    pub fn until_something_waits(&self) {
        until("a transaction", || {
            let waiting: Vec<String> = self.node.call("getrawmempool", &[]);
            (!waiting.is_empty()).then_some(())
        });
    }
}

impl Drop for Regtest {
    fn drop(&mut self) {
        self.lives.store(false, Ordering::Relaxed);
        if let Some(miner) = self.miner.take() {
            let _ = miner.join();
        }
    }
}
