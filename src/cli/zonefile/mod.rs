//! `bnsd zonefile`: write, check and publish the text that a name says.

mod export;
mod import;
mod index;
mod missing;
mod new;
pub(super) mod source;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::api::lookup::LookupRequest;
use crate::api::owner::ZonefileRequest;
use crate::bns::Name;
use crate::cli::name::read_zonefile;
use crate::cli::output::{Page, print_bytes};
use crate::cli::own::{SendOptions, name, open_to_pay, report, state_of};
use crate::cli::{CliError, Context, Exit, Result};
use crate::hash::ZonefileHash;
use crate::names::NameState;
use crate::resolver::review;
use crate::wallet::harden;
use crate::wallet::task::wish::Announced;
use crate::wallet::task::{Outcome, Wallet, Wish};
use crate::wire::private::carries_private;
use crate::zonefile::{Zone, mnemonic, render_data};
pub use new::{HTTPS, web};

/// How long the own DNS may take to answer with a published zone file.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const PACE: Duration = Duration::from_millis(50);
/// Subcommands of `bnsd zonefile`.
#[derive(Debug, Subcommand)]
pub enum ZonefileCommand {
    /// Print a new zone file to start from.
    New(new::New),
    /// Edit the zone file of a name with $EDITOR, check it, and say what publishing it would announce.
    Edit(Edit),
    /// Say every problem of a zone file with line and column, and what resolvers will see.
    Check(File),
    /// Print the hash that the chain would hold.
    Hash {
        /// The zone file.
        file: PathBuf,
    },
    /// Announce a zone file, hand it to the daemon, and wait until DNS answers with it.
    Publish(Publish),
    /// Print the zone file of a name, or write those of all names somewhere, with a numbered index.
    ///
    /// With --all a directory or a file ending in .tar, .tar.gz or .tgz is written, also where no daemon runs. Its index.tsv has a
    /// line for each announcement of the chain, in their order: number, name, hash, transaction, height, and `present` or
    /// `absent`, separated by tabs. A directory that was begun is completed.
    #[command(arg_required_else_help = true)]
    Export(Export),
    /// Keep the zone files of a directory or archive whose hashes the chain has announced.
    ///
    /// Every hash is checked, the others are counted and listed. The index of an export is compared with the chain: if a row
    /// differs, the import ends and the answer is no. Where no daemon runs, they go to its data directory.
    Import {
        /// A directory, or a file in the format of tar, compressed with gzip or not.
        from: PathBuf,
    },
    /// List the zone files that names ask for and the daemon lacks: since when, and what was tried.
    Missing,
}

/// Arguments of `bnsd zonefile edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// The name.
    name: String,
    /// The file to edit; by default NAME.zone, filled with what the chain announces
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Arguments of `bnsd zonefile export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The name.
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// Where to write all of them: a directory, or a file ending in .tar, .tar.gz or .tgz
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "name")]
    all: Option<PathBuf>,
}

/// A name and its zone file.
#[derive(Debug, Args)]
pub struct File {
    /// The name.
    name: String,
    /// The zone file.
    file: PathBuf,
}

/// Arguments of `bnsd zonefile publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// The name.
    name: String,
    /// The zone file.
    file: PathBuf,
    #[command(flatten)]
    options: SendOptions,
}

impl ZonefileCommand {
    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::New(new) => new.run(context),
            Self::Edit(edit) => edit.run(context),
            Self::Check(file) => file.check(context),
            Self::Hash { file } => hash(&file, context),
            Self::Publish(publish) => publish.run(context),
            Self::Export(Export { all: Some(to), .. }) => export::all(&to, context),
            Self::Export(Export { name, .. }) => export(&name.unwrap_or_default(), context),
            Self::Import { from } => import::import(&from, context),
            Self::Missing => missing::missing(context),
        }
    }
}

// ---- check ----------------------------------------------------------------------------------------------

/// What is wrong with a zone file, and what is not.
#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    hash: String,
    problems: Vec<String>,
    problem_count: usize,
    records: Vec<String>,
}

impl Checked {
    fn of(name: &Name, bytes: &[u8]) -> Result<Self> {
        let reviewed = review(name, bytes).map_err(|error| CliError::No(error.to_string()))?;
        Ok(Self {
            name: name.to_string(),
            hash: ZonefileHash::of(bytes).to_string(),
            problems: reviewed.problems().collect(),
            problem_count: reviewed.count(),
            records: records(&reviewed.zone),
        })
    }

    fn write(&self, page: &mut Page) {
        page.entry("hash", &self.hash);
        if !self.problems.is_empty() {
            page.heading("left out");
        }
        for problem in &self.problems {
            page.row([format!("  {problem}")]);
        }
        page.heading("resolvers will see");
        for record in &self.records {
            page.row([format!("  {record}")]);
        }
    }

    /// No, if parts of the file are ignored.
    fn exit(&self) -> Exit {
        Exit::success_if(self.problem_count == 0)
    }
}

fn records(zone: &Zone) -> Vec<String> {
    let mut records = Vec::new();
    for node in zone.nodes() {
        for set in node.rrsets() {
            let shown = |data: &&[u8]| !carries_private(set.rtype().into(), data);
            for data in set.rdata().filter(shown) {
                let (kind, data) = (mnemonic(set.rtype()), render_data(set.rtype(), data));
                records.push(format!("{} {} {kind} {data}", node.name(), set.ttl()));
            }
        }
    }
    records
}

impl File {
    fn check(self, context: &Context) -> Result<Exit> {
        let bytes = read_zonefile(&self.file)?;
        let checked = Checked::of(&name(&self.name)?, &bytes)?;
        context.output.show(&checked, |page| checked.write(page))?;
        Ok(checked.exit())
    }
}

fn hash(file: &Path, context: &Context) -> Result<Exit> {
    let hash = ZonefileHash::of(&read_zonefile(file)?).to_string();
    let reply = serde_json::json!({ "hash": hash });
    context.output.show(&reply, |page| page.heading(&hash))
}

// ---- edit -----------------------------------------------------------------------------------------------

impl Edit {
    fn run(self, context: &Context) -> Result<Exit> {
        let name = name(&self.name)?;
        let path = self
            .file
            .unwrap_or_else(|| PathBuf::from(format!("{name}.zone")));
        let failed = CliError::file(&path);
        if !path.exists() {
            let before = current(context, &name)?;
            let start =
                before.unwrap_or_else(|| format!("$ORIGIN {name}\n$TTL 3600\n").into_bytes());
            std::fs::write(&path, start).map_err(failed)?;
        }
        let before = std::fs::read(&path).map_err(failed)?;
        edit(&path)?;
        let after = read_zonefile(&path)?;
        let checked = Checked::of(&name, &after)?;
        context.output.show(&checked, |page| {
            for line in differences(&before, &after) {
                page.row([line]);
            }
            checked.write(page);
            let path = path.display();
            page.note(format!(
                "Publish it with `bnsd zonefile publish {name} {path}`."
            ));
        })?;
        Ok(checked.exit())
    }
}

/// Runs $VISUAL or $EDITOR, which may have arguments.
fn edit(path: &Path) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|variable| std::env::var(variable).ok());
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CliError::Trouble(anyhow!("{editor} ended with {status}"))),
        Err(error) => Err(CliError::Trouble(anyhow!(
            "cannot start {editor}: {error}; set $EDITOR"
        ))),
    }
}

/// Lines that only one side has, with `-` and `+`.
fn differences(before: &[u8], after: &[u8]) -> Vec<String> {
    let (old, new) = (
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after),
    );
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let gone = old.iter().filter(|line| !new.contains(line));
    let come = new.iter().filter(|line| !old.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(come.map(|line| format!("+ {line}")))
        .collect()
}

/// The zone file that the chain announces, if it is there.
fn current(context: &Context, name: &Name) -> Result<Option<Vec<u8>>> {
    match state_of(context, name)?.registration.zonefile_hash {
        Some(hash) => Ok(context.answer(ZonefileRequest { hash })?.zonefile),
        None => Ok(None),
    }
}

// ---- publish and the rest -------------------------------------------------------------------------------

impl Publish {
    fn run(self, context: &Context) -> Result<Exit> {
        harden::forbid_dumps();
        let name = name(&self.name)?;
        let bytes = read_zonefile(&self.file)?;
        let wallet = open_to_pay(context, &self.options)?;
        let announced = Announced::from(bytes);
        let zonefile = announced.hash;
        if self.is_announced(context, &wallet, &name, &zonefile)? {
            return hand_over(context, &wallet, &name, &announced);
        }
        let wish = Wish::Update {
            name: name.clone(),
            zonefile: announced,
        };
        let outcome = wallet.carry_out(&wish, &self.options.means())?;
        if let Outcome::Accepted(_) = outcome {
            wait_for_dns(context, &name, &zonefile)?;
        }
        let psbt = self.options.psbt.as_deref();
        report(context, &wallet, name.as_str(), outcome, psbt)
    }

    /// Whether the chain has announced this for as long as nothing is under way, and nothing is only to be looked at.
    fn is_announced(
        &self,
        context: &Context,
        wallet: &Wallet<'_>,
        name: &Name,
        hash: &ZonefileHash,
    ) -> Result<bool> {
        let found = state_of(context, name)?;
        let is_same = found.registration.zonefile_hash == Some(*hash);
        let is_registered = found.state == NameState::Registered;
        let is_begun = wallet.journal.load(name.as_str())?.is_some();
        Ok(is_same && is_registered && !is_begun && !self.options.dry_run)
    }
}

/// Gives the daemon a zone file that the chain announces already, which costs nothing.
fn hand_over(
    context: &Context,
    wallet: &Wallet<'_>,
    name: &Name,
    announced: &Announced,
) -> Result<Exit> {
    if let Some(text) = &announced.text {
        wallet.state.publish(text)?;
    }
    wait_for_dns(context, name, &announced.hash)?;
    let reply = serde_json::json!({ "name": name.to_string(), "hash": announced.hash });
    context.output.show(&reply, |page| {
        page.heading(format!(
            "the chain announces this zone file of {name} already"
        ));
        page.note("The daemon has it; nothing was sent.");
    })
}

/// Waits until a question goes the way of a DNS query and is answered from this zone file.
fn wait_for_dns(context: &Context, name: &Name, hash: &ZonefileHash) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let reply = state_of(context, name)?;
        let is_there = reply.zonefile_present && reply.registration.zonefile_hash == Some(*hash);
        let answer = context.answer(LookupRequest {
            name: name.to_string(),
            record_type: "SOA".to_owned(),
            at: None,
        })?;
        if is_there && answer.rcode == "NOERROR" && answer.authoritative {
            return Ok(());
        }
        if Instant::now() > end {
            let text = format!(
                "{name} is announced, but DNS does not answer with it yet: see `bnsd explain {name}`"
            );
            return Err(CliError::Trouble(anyhow!(text)));
        }
        sleep(PACE);
    }
}

fn export(text: &str, context: &Context) -> Result<Exit> {
    let name = name(text)?;
    let bytes = current(context, &name)?.ok_or_else(|| {
        CliError::No(format!(
            "there is no zone file of {name} here: see `bnsd explain {name}`"
        ))
    })?;
    print_bytes(&bytes)?;
    Ok(Exit::Success)
}
