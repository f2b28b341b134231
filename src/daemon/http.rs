//! The HTTP API of the daemon: its sockets, and what answers on them.

use std::sync::Arc;

use super::descriptors::Shares;
use super::service::Service;
pub use crate::api::http::Server;
use crate::config::Config;
use crate::worker::Crew;

/// Takes the ports; nothing is served yet.
pub fn bind(config: &Config) -> anyhow::Result<Server> {
    Ok(Server::bind(&config.api)?)
}

/// Begins to answer, with a worker of `crew`.
pub fn start(server: Server, service: &Arc<Service>, config: &Config, crew: &mut Crew) {
    let connections = Shares::of(config).api;
    crew.task("HTTP API", server.serve(Arc::clone(service), connections));
}
