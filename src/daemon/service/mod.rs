//! What the daemon answers on its control socket: a file for each kind of request.

mod answered;
mod audit;
mod cache;
mod counters;
mod doctor;
mod explain;
mod health;
mod keys;
mod log;
mod lookup;
mod names;
mod node;
mod owner;
mod portal;
mod prefer;
mod proof;
mod reload;
mod status;
mod trust;
mod zonefiles;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use answered::{Answered, trouble, usage};
pub(super) use doctor::Setup;
pub(super) use node::DevNode;
pub use zonefiles::Offline;

use crate::api::ask::Ask;
use crate::api::control::Control;
use crate::api::message::{Reply, Request};
use crate::chain::SourceKind;
use crate::chain::light::Audits;
use crate::config::Network;
use crate::daemon::atlas::Atlas;
use crate::daemon::log_desk::{LogDesk, Published};
use crate::daemon::preferences::Preferences;
use crate::daemon::reload::Reload;
use crate::daemon::samples::Series;
use crate::daemon::trust::Trust;
use crate::dns::{Access, Handler};
use crate::folder::Folders;
use crate::names::NameStore;
use crate::wallet::task::state::StateError;

/// What the answers are made from.
pub struct Service {
    pub(super) handler: Arc<Handler<Arc<NameStore>>>,
    pub(super) names: Arc<NameStore>,
    pub(super) folders: Folders,
    pub(super) preferences: Mutex<Preferences>,
    /// Who may ask over DNS.
    pub(super) access: Arc<Access>,
    /// Whether answers of upstreams are kept in a file at the end.
    pub(super) keeps_cache: AtomicBool,
    /// `None` where there is no configuration to read again.
    pub(super) reload: Option<Reload>,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) tls_listeners: Vec<SocketAddr>,
    pub(super) https_listeners: Vec<SocketAddr>,
    pub(super) api_listeners: Vec<SocketAddr>,
    /// Where the API is not, because somebody else is.
    pub(super) api_taken: Vec<SocketAddr>,
    pub(super) gateway: Option<SocketAddr>,
    pub(super) network: Network,
    pub(super) source: Option<String>,
    pub(super) source_kind: SourceKind,
    /// Where old blocks can be had looked at whole.
    pub(super) audits: Option<Audits>,
    pub(super) confirmations: u32,
    pub(super) node: Option<DevNode>,
    pub(super) series: Series,
    pub(super) setup: Setup,
    pub(super) trust: Trust,
    pub(super) log: Arc<LogDesk>,
    /// `None` where no log is published.
    pub(super) published: Option<Arc<Published>>,
    /// `None` where no peer is asked or answered.
    pub(super) atlas: Option<Atlas>,
}

impl Control for Service {
    async fn handle(&self, request: Request) -> Reply {
        let reply = match request {
            Request::Lookup(request) => self.lookup(&request).await.map(Reply::Lookup),
            Request::Explain(request) => self
                .explain(&request)
                .await
                .map(|reply| Reply::Explain(Box::new(reply))),
            Request::Announced(_)
            | Request::Zonefiles(_)
            | Request::Import(_)
            | Request::Missing(_) => {
                tokio::task::block_in_place(|| zonefiles::answer(&self.names, request))
            }
            Request::Cache(request) => self.cache(&request).map(Reply::Cache),
            Request::Audit(request) => self.audit(&request).map(Reply::Audit),
            Request::Portal(request) => self.portal(&request).map(Reply::Portal),
            Request::Prefer(request) => self.prefer(request).map(Reply::Prefer),
            Request::Series(request) => Ok(Reply::Series(Box::new(self.series.reply(&request)))),
            Request::Reload(_) => tokio::task::block_in_place(|| self.reload()).map(Reply::Reload),
            Request::Peers(_) => Ok(Reply::Peers(self.peers())),
            Request::Counters(_) => Ok(Reply::Counters(Box::new(self.counters()))),
            Request::Doctor(request) => Ok(Reply::Doctor(Box::new(self.doctor(&request).await))),
            Request::Authority(request) => self.authority(&request).await.map(Reply::Authority),
            // It may be made now.
            Request::Root(_) => tokio::task::block_in_place(|| self.root()).map(Reply::Root),
            // A status looks at zone files.
            Request::Status(request) => tokio::task::block_in_place(|| self.status(&request))
                .map(|reply| Reply::Status(Box::new(reply))),
            // Histories, forecasts and mining read and write the disk.
            request => tokio::task::block_in_place(|| self.at_once(request)),
        };
        reply.unwrap_or_else(|reply| *reply)
    }
}

impl Service {
    /// Replies to a request that waits for nobody: the state of names, and what the owner's engine asks.
    fn at_once(&self, request: Request) -> Answered<Reply> {
        match request {
            Request::Name(_)
            | Request::Names(_)
            | Request::Page(_)
            | Request::Records(_)
            | Request::Subdomain(_)
            | Request::Namespace(_)
            | Request::Namespaces(_)
            | Request::Prices(_) => self.state_of_names(request),
            Request::Prove(request) => proof::prove(&self.names, &request).map(Reply::Prove),
            Request::Log(request) => self.log(&request).map(Reply::Log),
            Request::Headers(request) => self.headers(&request).map(Reply::Headers),
            Request::Piece(request) => self.piece(&request).map(Reply::Piece),
            Request::Keys(request) => self
                .keys(&request)
                .map(|reply| Reply::Keys(Box::new(reply))),
            request => self.owner(request),
        }
    }
}

/// A program that runs the daemon in process owns names through this, without a socket.
impl Ask for Service {
    fn exchange(&self, request: &Request) -> Result<Reply, StateError> {
        Ok(self.at_once(request.clone()).unwrap_or_else(|reply| *reply))
    }
}
