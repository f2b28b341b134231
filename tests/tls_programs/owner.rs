//! The owner of a name, on a chain of the test's own beneath a running daemon.

use bnsd::wallet::keys::SigningKey;
use bnsd::wallet::operation::Operation;
use bnsd::wallet::registrar::Registrar;
use tempfile::TempDir;

use crate::common::world::{World, name};

/// The owner, and the world in which the name is registered.
pub struct Owner {
    pub world: World,
    key: SigningKey,
    name: &'static str,
    _scratch: TempDir,
}

impl Owner {
    /// Registers a name with an address of this machine, and nothing that binds a key.
    pub fn of(text: &'static str) -> Self {
        Self::with_settings(text, &[])
    }

    /// The same with more settings of the daemon, as variables.
    pub fn with_settings(text: &'static str, settings: &[(&str, &str)]) -> Self {
        let scratch = tempfile::Builder::new().prefix("bnsd-").tempdir();
        let scratch = scratch.expect("a scratch directory");
        // Sites of the tests are on this machine, where no name of the chain points by itself.
        let settings = [settings, &[("BNSD_DNS_ALLOW_PRIVATE", text)]].concat();
        let mut world = World::start_with(scratch.path(), &settings);
        let hash = world.archive(zonefile(text, "").as_bytes());
        world.publish(&[(text, hash)]);
        let key = Registrar::owner(&name(text));
        world.give(&[&key]);
        Self {
            world,
            key,
            name: text,
            _scratch: scratch,
        }
    }

    /// Announces a zone file with these lines beside the address.
    pub fn announce(&mut self, lines: &str) {
        let hash = self.world.archive(zonefile(self.name, lines).as_bytes());
        let quoted = self.world.registrar.consensus_hash();
        let update = Operation::name_update(&name(self.name), self.key.address(), quoted, hash);
        self.world.act(&update, &self.key);
    }

    /// Takes the name back.
    pub fn revoke(&mut self) {
        let revoke = Operation::name_revoke(&name(self.name), self.key.address());
        self.world.act(&revoke, &self.key);
    }

    /// The last block is no longer part of the chain: another one came, and one more on top of it.
    pub fn undo_block(&mut self) {
        let height = self.world.height();
        self.world
            .chain
            .rewind(height - 1)
            .expect("a shorter chain");
        self.world.mine_empty(2);
    }
}

fn zonefile(name: &str, lines: &str) -> String {
    format!("$ORIGIN {name}\n$TTL 3600\n@ A 127.0.0.1\n{lines}")
}
