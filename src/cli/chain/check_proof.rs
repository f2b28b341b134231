//! `bnsd chain check-proof`: what a proof shows, without a database, a daemon or a configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::bns::Params;
use crate::bns::network::Network;
use crate::bns::network_file::NetworkFile;
use crate::bns::shown::{Shown, ShownState, shown};
use crate::cli::output::{Page, print_bytes};
use crate::cli::{CliError, Context, Exit, Result};
use crate::config::{BitcoinChain, network_file};
use crate::hash::ConsensusHash;
use crate::virtualchain::proof::{PROOF_MAX, Proof, ProofChain, chain_of, check};

/// What a proof cannot show.
const NOT_SHOWN: &str = "that nothing followed: a later operation, up to that block or since, can have changed all of this";

/// Arguments of `bnsd chain check-proof`.
#[derive(Debug, Args)]
pub struct CheckProof {
    /// The proof.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The consensus hash that you trust; the proof says of which block.
    #[arg(long, value_name = "HASH")]
    consensus_hash: ConsensusHash,
    /// The block that has this hash, if you know it too.
    #[arg(long, value_name = "HEIGHT")]
    height: Option<u32>,
    /// The network file, if the name is on a network of somebody's own.
    #[arg(long, value_name = "FILE", value_parser = network_file)]
    network_file: Option<NetworkFile>,
    /// The first block of the names, where it is not that of the network.
    #[arg(long, value_name = "HEIGHT")]
    first_block: Option<u32>,
    /// Print the zone file that the proof brings, and nothing else.
    #[arg(long)]
    zonefile: bool,
}

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Whether the proof is right.
    ok: bool,
    /// Why it is not.
    reason: Option<String>,
    /// What it shows.
    #[serde(flatten)]
    shown: Option<Shown>,
    /// Bytes of the zone file that it brings, whose hash is right; 0 for none.
    zonefile_bytes: usize,
    /// What it does not show.
    not_shown: &'static str,
}

impl CheckProof {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let bytes = read(&self.file)?;
        let (shown, proof) = match self.check(&bytes) {
            Ok(checked) => checked,
            Err(reason) => return refuse(&reason, context),
        };
        if self.zonefile && !proof.zonefile.is_empty() {
            print_bytes(&proof.zonefile)?;
            return Ok(Exit::Success);
        }
        if self.zonefile {
            return Err(CliError::No("the proof brings no zone file".to_owned()));
        }
        let report = Report {
            ok: true,
            zonefile_bytes: proof.zonefile.len(),
            not_shown: NOT_SHOWN,
            ..Report::default()
        };
        let page = || page(&shown, &report);
        match context.output.is_json() {
            true => context.output.print(
                &Report {
                    shown: Some(shown),
                    ..report
                },
                Page::default,
            )?,
            false => context.output.print(&(), page)?,
        }
        Ok(Exit::Success)
    }

    fn check(&self, bytes: &[u8]) -> Result<(Shown, Proof), String> {
        let chain = chain_of(bytes).map_err(|fault| fault.to_string())?;
        let mut params = self.params(&chain).ok_or(
            "it is about a chain that is not built in: name its file with --network-file, and its first block with --first-block if that was configured",
        )?;
        let proof = check(bytes, &chain, self.consensus_hash).map_err(|fault| fault.to_string())?;
        if let Some(height) = self.height.filter(|height| *height != proof.height) {
            return Err(format!(
                "it starts from the hash of block {}, and not from that of block {height}",
                proof.height
            ));
        }
        if params.is_after_end(proof.height)
            && let Some(continued) = Network::MainnetContinued.params()
        {
            params = continued; // whoever made it goes on
        }
        let shown = shown(&params, &proof).map_err(|fault| fault.to_string())?;
        Ok((shown, proof))
    }

    /// The constants of the chain that a proof names, if it is the one that is meant or one that is built in. Nothing in
    /// a proof vouches for what it names.
    fn params(&self, chain: &ProofChain) -> Option<Params> {
        let given = self.network_file.as_ref().map(NetworkFile::params);
        let built_in = || [Network::Mainnet, Network::Regtest].map(|network| network.params());
        let known: Vec<Params> = match given {
            Some(params) => vec![params],
            None => built_in().into_iter().flatten().collect(),
        };
        let mut known = known.into_iter().map(|params| Params {
            first_block: self.first_block.unwrap_or(params.first_block),
            ..params
        });
        known.find(|params| {
            let mut carriers = BitcoinChain::ALL.into_iter();
            (params.magic, params.first_block) == (chain.magic, chain.first_block)
                && carriers.any(|carrier| {
                    carrier.addresses() == params.addresses
                        && carrier.network().magic().to_bytes() == chain.network
                })
        })
    }
}

/// The bytes of a file that is not larger than any proof.
fn read(path: &Path) -> Result<Vec<u8>> {
    let unusable = CliError::file(path);
    let file = File::open(path).map_err(unusable)?;
    let mut bytes = Vec::new();
    let most = PROOF_MAX as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(unusable)?;
    match bytes.len() > PROOF_MAX {
        true => Err(CliError::No(format!(
            "{} is no proof: it has more than {PROOF_MAX} bytes",
            path.display()
        ))),
        false => Ok(bytes),
    }
}

fn refuse(reason: &str, context: &Context) -> Result<Exit> {
    let report = Report {
        reason: Some(reason.to_owned()),
        ..Report::default()
    };
    if context.output.is_json() {
        context.output.print(&report, Page::default)?;
    }
    Err(CliError::No(format!("the proof is not right: {reason}")))
}

fn page(shown: &Shown, report: &Report) -> Page {
    let mut page = Page::default();
    page.heading(format!("{} at block {}", shown.name, shown.height));
    page.entry("state", state_text(shown.state));
    page.entry("owner", &shown.owner);
    page.entry_if("zone file hash", shown.zonefile_hash.as_ref());
    page.entry(
        "zone file",
        &match (report.zonefile_bytes, shown.zonefile_hash) {
            (0, Some(_)) => "not in the proof".to_owned(),
            (0, None) => "none".to_owned(),
            (bytes, _) => format!("in the proof, {bytes} bytes, its hash is right"),
        },
    );
    page.entry("operation", operation_text(shown.operation));
    page.entry("at height", &height_text(shown));
    page.entry("transaction", &shown.txid);
    page.entry("registered at", &shown.first_registered);
    page.entry("renewed at", &shown.last_renewed);
    page.entry_if("grace start", shown.term.grace_start);
    page.entry_if("last resolves", shown.term.last_resolves);
    page.entry_if("renewal deadline", shown.term.renewal_deadline);
    page.entry_if("free from", shown.term.free_from);
    page.entry(
        "shown",
        &format!(
            "that this operation was accepted, if the consensus hash of block {} is the given one",
            shown.height
        ),
    );
    page.entry("not shown", NOT_SHOWN);
    page
}

/// The height of the operation. Only the texts of registrations and renewals say it.
fn height_text(shown: &Shown) -> String {
    let height = shown.operation_height;
    match shown.operation {
        ":" | "::" => height.to_string(),
        _ => format!("{height}, as whoever made the proof says"),
    }
}

fn operation_text(opcode: &'static str) -> &'static str {
    match opcode {
        ":" => "a registration",
        "::" => "a renewal",
        "+" => "an update",
        ">>" => "a transfer that keeps the zone file",
        ">~" => "a transfer without the zone file",
        "~" => "a revocation",
        ";" => "an import",
        opcode => opcode,
    }
}

fn state_text(state: ShownState) -> &'static str {
    match state {
        ShownState::Registered => "registered",
        ShownState::Grace => "in its grace period: its owner can only renew it",
        ShownState::Revoked => "revoked by its owner",
        ShownState::Expired => "expired, nobody renewed it in time",
    }
}
