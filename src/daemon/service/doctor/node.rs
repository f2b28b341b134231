//! The source of blocks: whether the node is there, lets us in, follows the right chain and has all blocks.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::getegid;
use serde::Deserialize;

use super::own::Own;
use crate::api::doctor::{Finding, quoted};
use crate::chain::SourceKind;
use crate::chain::bitcoind::http::{Http, Limits};
use crate::chain::bitcoind::rpc::Rpc;
use crate::config::BitcoinChain;
use crate::daemon::service::Service;
use crate::daemon::source::credentials;
use crate::disk::rights::own_uid;

const CHECK: &str = "node";
/// How long the node may take with an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Largest answer that is read.
const REPLY_MAX: u64 = 1 << 20;

/// What `getblockchaininfo` says.
#[derive(Deserialize)]
struct Chain {
    chain: String,
    blocks: u32,
    headers: u32,
    #[serde(default)]
    initialblockdownload: bool,
    #[serde(default)]
    pruned: bool,
    #[serde(default)]
    pruneheight: u32,
}

/// What `getnetworkinfo` says.
#[derive(Deserialize)]
struct Software {
    subversion: String,
}

impl Service {
    /// How the node is; nothing where none is followed.
    pub(super) fn node_finding(&self, own: &Own) -> Option<Finding> {
        match self.setup.chain.source {
            SourceKind::None | SourceKind::Dev | SourceKind::Log | SourceKind::Final => None,
            SourceKind::Blockfiles => Some(self.block_files()),
            SourceKind::Bitcoind => Some(self.bitcoind(own)),
        }
    }

    fn block_files(&self) -> Finding {
        let directory = self.setup.chain.node.blocks_dir.as_deref();
        let directory = directory.unwrap_or(Path::new("."));
        match fs::read_dir(directory) {
            Ok(_) => Finding::ok(CHECK, format!("block files in {}", directory.display())),
            Err(error) => Finding::failure(
                CHECK,
                format!("cannot read {}: {error}", directory.display()),
                start(&directory.join(".."), self.setup.chain.bitcoin),
            ),
        }
    }

    fn bitcoind(&self, own: &Own) -> Finding {
        let node = &self.setup.chain.node;
        if let Some(finding) = closed_cookie(node.rpc_cookie.as_deref(), own) {
            return finding;
        }
        let rpc = match credentials(node) {
            Ok(credentials) => Rpc::new(Http::new(
                node.rpc_address.clone(),
                credentials,
                Limits {
                    timeout: PATIENCE,
                    reply_bytes: REPLY_MAX,
                },
            )),
            Err(error) => return Finding::failure(CHECK, format!("{error:#}"), "").out_of_reach(),
        };
        match rpc.call::<Chain>("getblockchaininfo", &[]) {
            Err(error) => {
                let command = start(&self.node_directory(), self.setup.chain.bitcoin);
                Finding::failure(CHECK, rpc.explain(error), own.system_or_own(&command))
            }
            Ok(chain) => {
                let software = rpc.call::<Software>("getnetworkinfo", &[]);
                let software = software.map_or_else(|_| String::new(), |it| it.subversion);
                self.node_state(&chain, &format!("{} {software}", rpc.describe()))
            }
        }
    }

    fn node_state(&self, chain: &Chain, node: &str) -> Finding {
        let expected = core_name(self.setup.chain.bitcoin);
        let start = start(&self.node_directory(), self.setup.chain.bitcoin);
        let next = self.names.progress.height().saturating_add(1);
        if chain.chain != expected {
            return Finding::failure(
                CHECK,
                format!("{node} follows {}, and bnsd needs {expected}", chain.chain),
                start,
            );
        }
        if chain.pruned && next < chain.pruneheight {
            return Finding::failure(
                CHECK,
                format!(
                    "{node} has pruned all blocks below {}, and the index needs {next}",
                    chain.pruneheight
                ),
                format!("bitcoin-cli stop; {start} -prune=0 -reindex"),
            );
        }
        if chain.initialblockdownload && chain.blocks < chain.headers {
            return Finding::warning(
                CHECK,
                format!(
                    "{node} is still syncing: block {} of {}",
                    chain.blocks, chain.headers
                ),
                "bnsd status --watch",
            );
        }
        Finding::ok(
            CHECK,
            format!("{node} on {expected}, block {}", chain.blocks),
        )
    }

    /// Where the node keeps its data, by where its cookie is.
    fn node_directory(&self) -> PathBuf {
        let cookie = self.setup.chain.node.rpc_cookie.as_deref();
        let directory = cookie.and_then(Path::parent).unwrap_or(Path::new("."));
        match self.setup.chain.bitcoin {
            BitcoinChain::Main => directory,
            _ => directory.parent().unwrap_or(directory),
        }
        .to_owned()
    }
}

/// What a cookie needs that is there and that we may not read: our group, as long as this cookie lasts.
fn closed_cookie(cookie: Option<&Path>, own: &Own) -> Option<Finding> {
    let cookie = cookie?;
    let error = File::open(cookie).err()?;
    if error.kind() != ErrorKind::PermissionDenied {
        return None; // one that is missing comes with the node
    }
    let is_ours = |owner: u32| own_uid() == 0 || owner == own_uid();
    if fs::metadata(cookie).is_ok_and(|metadata| is_ours(metadata.uid())) {
        let text = format!(
            "the node's cookie {} came after bnsd had given up all files that were not there: start bnsd again",
            cookie.display()
        );
        return Some(Finding::failure(CHECK, text, own.restart()));
    }
    let group = getegid().as_raw();
    let closed = cookie.ancestors().skip(1).filter(|directory| {
        fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
            && fs::metadata(directory).is_ok_and(|metadata| metadata.gid() != group)
    });
    let mut commands: Vec<String> = closed
        .map(|directory| let_in(directory, group, "g+x"))
        .collect();
    commands.reverse();
    commands.push(let_in(cookie, group, "g+r"));
    let command = format!("sh -c {}", quoted(&commands.join(" && ")));
    Some(Finding::failure(
        CHECK,
        format!(
            "the node's cookie {} is not for the user of bnsd ({error}); for every cookie to come, set rpccookieperms=group in bitcoin.conf",
            cookie.display()
        ),
        own.system(&command),
    ))
}

fn let_in(path: &Path, group: u32, right: &str) -> String {
    let path = quoted(&path.display().to_string());
    format!("chgrp {group} {path} && chmod {right} {path}")
}

/// Starts the node: its service, or with its directory.
fn start(directory: &Path, chain: BitcoinChain) -> String {
    let units = ["/etc/systemd/system", "/usr/lib/systemd/system"];
    let is_service = units
        .iter()
        .any(|units| Path::new(units).join("bitcoind.service").exists());
    if is_service {
        return "systemctl restart bitcoind.service".to_owned();
    }
    let directory = quoted(&directory.display().to_string());
    let chain = match chain {
        BitcoinChain::Main => String::new(),
        other => format!(" -{other}"),
    };
    format!("bitcoind -daemonwait{chain} -datadir={directory}")
}

/// The chain as Bitcoin Core calls it (`chaintype.cpp`).
fn core_name(chain: BitcoinChain) -> &'static str {
    match chain {
        BitcoinChain::Main => "main",
        BitcoinChain::Testnet4 => "testnet4",
        BitcoinChain::Signet => "signet",
        BitcoinChain::Regtest => "regtest",
    }
}
