//! What a person can set of Atlas.

use std::net::SocketAddr;

use super::backup::BackupConfig;
use super::rule::PeerRule;
use crate::bns::name::NamespaceId;
use crate::peer_address::PeerAddress;

/// Section `[atlas]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where peers are answered; empty for nowhere.
    pub listen: Vec<SocketAddr>,
    /// Whether the daemon starts without a listener whose port somebody else has: nobody asked for this one.
    pub may_lack_port: bool,
    /// Peers that are known without being told of; they may be of our own network.
    pub peers: Vec<PeerAddress>,
    /// Peers that may be of our own network, whoever names them.
    pub allow: Vec<PeerRule>,
    /// Peers that are never asked, answered or told of.
    pub deny: Vec<PeerRule>,
    /// Namespaces whose zone files are fetched; empty for all.
    pub namespaces: Vec<NamespaceId>,
    /// The SOCKS5 proxy through which peers are asked; it resolves their names.
    pub proxy: Option<SocketAddr>,
    /// Where zone files are backed up.
    pub backups: Vec<BackupConfig>,
}

impl Options {
    /// The only port on which peers find us: the reply to their exchange names it (Atlas §4).
    pub const PORT: u16 = 6264;
}
