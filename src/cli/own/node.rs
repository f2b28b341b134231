//! Which node a command talks to.

use std::time::Duration;

use crate::api::ask::{Ask, Asking};
use crate::chain::SourceKind;
use crate::chain::bitcoind::http::{Http, Limits};
use crate::config::Config;
use crate::daemon::node_credentials;
use crate::wallet::bitcoind::Bitcoind;
use crate::wallet::node::{Node, NodeError};

/// The node behind the daemon's `source`: that of the configuration, or the embedded chain. Nobody is asked yet.
pub fn choose<'c, A: Ask + 'c>(
    config: &Config,
    source: SourceKind,
    embedded: Asking<A>,
) -> Result<Box<dyn Node + 'c>, NodeError> {
    match source {
        SourceKind::Dev => Ok(Box::new(embedded)),
        SourceKind::Bitcoind | SourceKind::Blockfiles => {
            let credentials = node_credentials(&config.chain.node);
            let credentials =
                credentials.map_err(|error| NodeError::Unavailable(format!("{error:#}")))?;
            let limits = Limits {
                timeout: Duration::from_secs(300), // a scan of all outputs takes minutes
                ..Limits::default()
            };
            let address = config.chain.node.rpc_address.clone();
            Ok(Box::new(Bitcoind::new(Http::new(
                address,
                credentials,
                limits,
            ))))
        }
        SourceKind::None | SourceKind::Log | SourceKind::Final => Err(NodeError::Absent),
    }
}
