//! `bnsd system`: system DNS on and off again.

mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use serde::Serialize;

use super::effects::{Effects, foreign};
use super::output::Page;
use super::{CliError, Context, Exit, Result};
use crate::api::status::{StatusReply, StatusRequest};
use crate::config::Profile;
use crate::resolver::ALIAS;
use crate::resolver::policy::of_main_chain;
use crate::system::install::{Foreign, Lock, Plan, Shown, leftovers, uninstall};
use crate::system::mechanism::{MECHANISMS, Mechanism, in_charge, named};
use crate::system::{
    Aim, Changes, Journal, Machine, Scope, SystemError, Wish, exchange, holders, is_bnsd, names,
    service_changes,
};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// How long bnsd may take with an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long its upstreams may take.
const PATIENCE_OTHERS: Duration = Duration::from_secs(6);
/// How long a service that was just started may take.
const START_TIME: Duration = Duration::from_secs(20);

/// What ProtectHome and PrivateTmp of the units hide (systemd.exec(5)).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Arguments of `bnsd system`.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Send this machine's questions for names of the chain to the running daemon.
    Install(Install),
    /// Put everything back as it was.
    Uninstall(Uninstall),
    /// Show what is installed, and whether the machine's questions reach bnsd.
    Status(Tree),
}

/// Which system is meant.
#[derive(Debug, Args)]
pub struct Tree {
    /// Change the tree of an image in this directory instead of this machine; no command is run.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Arguments of `bnsd system install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Send all questions to bnsd, also those for other names; while it is down, no name is found.
    #[arg(long)]
    all: bool,
    /// Who looks after DNS here; found out if it is not said.
    #[arg(long, value_name = "NAME", value_parser = mechanism())]
    mechanism: Option<&'static str>,
    /// Write and start bnsd.socket and bnsd.service too.
    #[arg(long)]
    service: bool,
    /// Only show what would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Overwrite files that somebody changed since they were installed, and send all names even to a bnsd that finds none
    /// of others.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tree: Tree,
}

/// Arguments of `bnsd system uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Remove the service's data and configuration too; keys are kept.
    #[arg(long)]
    purge: bool,
    /// Only show what would be changed.
    #[arg(long)]
    dry_run: bool,
    /// Put files back that somebody changed since they were installed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tree: Tree,
}

fn mechanism() -> impl TypedValueParser<Value = &'static str> {
    let names = MECHANISMS.map(|mechanism| mechanism.name());
    PossibleValuesParser::new(names)
        .map(|name| named(&name).map_or("", |mechanism| mechanism.name()))
}

impl SystemCommand {
    /// Does it and prints what was done.
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Install(install) => install.run(context),
            Self::Uninstall(uninstall) => uninstall.run(context),
            Self::Status(tree) => status::status(&tree, context),
        }
    }
}

impl Tree {
    fn machine(&self) -> Result<Machine> {
        let root = self
            .root
            .canonicalize()
            .map_err(CliError::file(&self.root))?;
        Ok(Machine::at(&root))
    }
}

// ---- install --------------------------------------------------------------------------------------------

/// What was done, or would be.
#[derive(Debug, Default, Serialize)]
struct Done {
    mechanism: Option<String>,
    domains: Vec<String>,
    all: bool,
    server: Option<SocketAddr>,
    #[serde(flatten)]
    effects: Effects,
    #[serde(skip)]
    lines: Vec<Shown>,
}

impl Install {
    fn run(self, context: &Context) -> Result<Exit> {
        let machine = self.tree.machine()?;
        let _lock = Lock::take(&machine)?;
        let was_there = Journal::read(&machine)?.is_some();
        let service = self.service.then(|| service(&machine, context));
        let service = service.transpose()?;
        if let Some(service) = &service
            && !was_there
            && machine.is_this()
            && !self.dry_run
        {
            self.start_service(&machine, service, context)?;
        }
        let installed = self.install(&machine, service.unwrap_or_default(), context);
        if installed.is_err() && !was_there && !self.dry_run {
            uninstall(&machine, Foreign::Kept)?; // a service that was started for nothing
        }
        installed
    }

    fn install(&self, machine: &Machine, service: Changes, context: &Context) -> Result<Exit> {
        let mechanism = self.mechanism(machine)?;
        let wish = self.wish(machine, context)?;
        if self.all && !self.force && machine.is_this() && !(self.service && self.dry_run) {
            check_others(&wish, context)?;
        }
        let changes = mechanism.changes(&wish, machine)?;
        let changes = service.and(changes);
        let aim = aim(mechanism, &wish);
        let plan = Plan::new(machine, aim, &changes, foreign(self.force))?;
        let lines = plan.shown(machine)?;
        let done = Done {
            mechanism: Some(mechanism.name().to_owned()),
            domains: wish.domains.clone(),
            all: self.all,
            server: Some(wish.server),
            effects: Effects {
                dry_run: self.dry_run,
                ..Effects::of(&plan, &lines)
            },
            lines,
        };
        let is_done = plan.is_done();
        if !self.dry_run {
            plan.carry_out(machine)?;
        }
        context.output.show(&done, |page| {
            write_done(&done, page);
            match (is_done, machine.is_this()) {
                (true, _) => page.note("it is installed already: nothing was changed"),
                (false, true) => {}
                (false, false) => page.note("the commands were not run: this is no running system"),
            }
        })
    }

    /// The one that was named, that of the installation that is there, or the one in charge.
    fn mechanism(&self, machine: &Machine) -> Result<&'static dyn Mechanism> {
        let journal = Journal::read(machine)?;
        let installed = journal.and_then(|journal| journal.aim.mechanism);
        let name = self.mechanism.or(installed.as_deref());
        let mechanism = name.and_then(named);
        Ok(mechanism.unwrap_or_else(|| in_charge(machine)))
    }

    /// Starts the service, so that there is a daemon to ask.
    fn start_service(&self, machine: &Machine, service: &Changes, context: &Context) -> Result<()> {
        let plan = Plan::new(machine, Aim::default(), service, foreign(self.force));
        let started = plan.and_then(|plan| plan.carry_out(machine));
        started.map_err(|error| match error {
            // The sockets are the first that fails where somebody else has the port.
            SystemError::TakenBack(_) => CliError::No(format!("{error}{}", held(DNS_PORT))),
            other => other.into(),
        })?;
        let end = Instant::now() + START_TIME;
        while running(context).is_err() && Instant::now() < end {
            std::thread::sleep(PATIENCE / 10);
        }
        Ok(())
    }

    /// What is sent where: what the running daemon says, or, for an image, what its configuration says.
    fn wish(&self, machine: &Machine, context: &Context) -> Result<Wish> {
        let scope = if self.all { Scope::All } else { Scope::Domains };
        let known = of_main_chain().map(str::to_owned);
        let with_alias = |served: Vec<String>| [vec![ALIAS.to_owned()], served].concat();
        if !machine.is_this() || self.service && self.dry_run {
            let config = context.load(Profile::Serve, Vec::new())?;
            return Ok(Wish {
                scope,
                domains: with_alias(known.collect()),
                server: loopback(&config.listen)?,
            });
        }
        let status = running(context)?;
        let listeners: Vec<SocketAddr> = status
            .listeners
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let server = loopback(&listeners)?;
        match is_bnsd(server, PATIENCE) {
            true => Ok(Wish {
                scope,
                domains: with_alias(status.served),
                server,
            }),
            false => Err(CliError::No(format!(
                "bnsd does not answer on {server}{}: see its log; nothing was changed",
                held(server.port())
            ))),
        }
    }
}

/// The units for this program. They run it apart from homes and temporary files, with a configuration of the system.
fn service(machine: &Machine, context: &Context) -> Result<Changes> {
    if let Some(file) = &context.global.config {
        return Err(CliError::Usage(format!(
            "the service reads /etc/bnsd/bnsd.toml and nothing else: copy {} there and leave --config out",
            file.display()
        )));
    }
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let program = program.unwrap_or_else(|_| PathBuf::from("/usr/bin/bnsd"));
    let is_hidden = HIDDEN
        .iter()
        .any(|directory| program.starts_with(directory));
    if is_hidden && machine.is_this() {
        return Err(CliError::No(format!(
            "a service cannot see {program}: `install -m755 {program} /usr/local/bin/bnsd`, and do it with that one; nothing was changed",
            program = program.display()
        )));
    }
    Ok(service_changes(&program))
}

fn aim(mechanism: &dyn Mechanism, wish: &Wish) -> Aim {
    Aim {
        mechanism: Some(mechanism.name().to_owned()),
        all: wish.scope == Scope::All,
        domains: wish.domains.clone(),
        server: Some(wish.server),
    }
}

/// Refuses to send all names to a bnsd that finds nobody else's. Their root is asked for, unvalidated: whatever they reply,
/// they are there.
fn check_others(wish: &Wish, context: &Context) -> Result<()> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.metadata.checking_disabled = true;
    query.add_query(Query::query(Name::root(), RecordType::NS));
    let reply = exchange(wish.server, &query, PATIENCE_OTHERS);
    let code = reply.map(|reply| reply.metadata.response_code);
    if code.is_some_and(|code| matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)) {
        return Ok(());
    }
    let upstreams = match running(context)?.upstreams {
        none if none.is_empty() => "it has no upstreams".to_owned(),
        upstreams => format!("its upstreams are {}", upstreams.join("; ")),
    };
    Err(CliError::No(format!(
        "bnsd finds no names of others, so with --all this machine would find none: {upstreams}; correct `dns.upstreams`, \
         leave --all out, or give --force; nothing was changed"
    )))
}

/// The daemon that runs, or who holds its port.
fn running(context: &Context) -> Result<Box<StatusReply>> {
    context.answer(StatusRequest::default()).map_err(|error| {
        let text = format!("{error}{}; nothing was changed", held(DNS_PORT));
        CliError::No(text)
    })
}

/// The address that programs of this machine can ask.
fn loopback(listeners: &[SocketAddr]) -> Result<SocketAddr> {
    let mut here = listeners
        .iter()
        .copied()
        .filter(|address| address.ip().is_loopback());
    let any = listeners
        .iter()
        .find(|address| address.ip().is_unspecified());
    let any = any.map(|address| SocketAddr::from(([127, 0, 0, 1], address.port())));
    here.next().or(any).ok_or_else(|| {
        CliError::No(
            "bnsd does not listen on a loopback address: add 127.0.0.1:53 to `listen`; nothing was changed".to_owned(),
        )
    })
}

fn held(port: u16) -> String {
    let holders = holders(port);
    match holders.is_empty() {
        true => String::new(),
        false => format!("; port {port} is held by {}", names(&holders)),
    }
}

fn write_done(done: &Done, page: &mut Page) {
    for shown in &done.lines {
        page.heading(shown.path.display().to_string());
        for line in &shown.lines {
            page.note(format!("  {line}"));
        }
    }
    done.effects.write(page);
    if done.effects.dry_run {
        page.note("nothing was changed");
    }
}

// ---- uninstall ------------------------------------------------------------------------------------------

impl Uninstall {
    fn run(self, context: &Context) -> Result<Exit> {
        let machine = self.tree.machine()?;
        let _lock = Lock::take(&machine)?;
        let mut done = Done::default();
        let was_there = Journal::read(&machine)?.is_some();
        match self.dry_run {
            true => self.look(&machine, &mut done)?,
            false => {
                let undone = uninstall(&machine, foreign(self.force))?;
                done.effects = undone.unwrap_or_default().into();
            }
        }
        done.effects.dry_run = self.dry_run;
        if self.purge {
            purge(&machine, &mut done.effects)?;
        }
        context.output.print(&done, || {
            let mut page = Page::default();
            write_done(&done, &mut page);
            for path in done.effects.changed.iter().filter(|_| !self.dry_run) {
                page.entry("as it was", &path.display());
            }
            if !was_there {
                page.note("nothing was installed");
            }
            page
        })?;
        Ok(Exit::success_if(done.effects.kept.is_empty()))
    }

    /// What would be put back.
    fn look(&self, machine: &Machine, done: &mut Done) -> Result<()> {
        let Some(journal) = Journal::read(machine)? else {
            return Ok(());
        };
        let nothing = Changes::default();
        let plan = Plan::new(machine, Aim::default(), &nothing, Foreign::Overwritten);
        done.lines = plan.and_then(|plan| plan.shown(machine))?;
        let effects = &mut done.effects;
        if !self.force {
            effects.kept = journal.changed_since(machine)?;
            done.lines
                .retain(|shown| !effects.kept.contains(&shown.path));
        }
        effects.changed = done.lines.iter().map(|shown| shown.path.clone()).collect();
        let commands = journal.before_undoing.iter().chain(&journal.after_undoing);
        effects.commands = commands.map(|words| words.join(" ")).collect();
        Ok(())
    }
}

/// Removes what the service keeps. The keys of names are in their owners' homes and stay there.
fn purge(machine: &Machine, effects: &mut Effects) -> Result<()> {
    for path in leftovers(machine) {
        effects.warnings.push(format!(
            "{} {}: its index and cache are made again from the chain, its zone files may not be found again",
            if effects.dry_run { "would remove" } else { "removed" },
            path.display()
        ));
        if effects.dry_run {
            continue;
        }
        let removed = match path.is_symlink() {
            true => std::fs::remove_file(&path),
            false => std::fs::remove_dir_all(&path),
        };
        removed.map_err(CliError::file(&path))?;
    }
    Ok(())
}
