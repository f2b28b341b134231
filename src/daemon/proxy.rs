//! The proxy for browsers, where it is configured.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::lookups;
use super::service::Service;
use crate::config::Config;
use crate::resolver::policy::protected_names;
use crate::resolver::{Policy, Snapshots as _};
use crate::trust::proxy::{Proxy, Surroundings};
use crate::trust::{ChainPins, Constraints, Terms};
use crate::worker::Crew;

/// Starts the proxy with a worker of `crew`; gives where it is.
pub fn start(
    config: &Config,
    service: &Arc<Service>,
    crew: &mut Crew,
) -> anyhow::Result<Option<SocketAddr>> {
    let Some(address) = config.tls.proxy else {
        return Ok(None);
    };
    let surroundings = Arc::new(DaemonSurroundings(Arc::clone(service)));
    let terms: Arc<dyn Terms> = surroundings.clone();
    let pins = Arc::new(ChainPins::new(Arc::clone(&service.names), terms));
    let (changed, changes) = watch::channel(());
    service.names.store.subscribe(move |_| {
        changed.send_replace(());
    });
    let proxy = Proxy::open(address, &config.data_dir, pins, surroundings, changes)?;
    let address = proxy.address();
    crew.task("proxy", proxy.serve());
    Ok(Some(address))
}

/// The daemon, as the proxy sees it.
struct DaemonSurroundings(Arc<Service>);

impl Terms for DaemonSurroundings {
    fn policy(&self) -> Arc<Policy> {
        self.0.handler.policy()
    }

    fn constraints(&self) -> Constraints {
        Constraints {
            namespaces: self.0.served(&self.0.names.snapshot()),
            protected: protected_names().collect(),
        }
    }
}

impl Surroundings for DaemonSurroundings {
    fn addresses(&self, host: &str) -> BoxFuture<'_, Vec<IpAddr>> {
        let host = host.to_owned();
        Box::pin(async move { lookups::addresses(&self.0, &host).await })
    }

    fn now(&self) -> u64 {
        self.0.names.clock.unix_time()
    }
}
