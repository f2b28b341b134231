//! The command line: a file or folder per subcommand, which parses arguments, asks, prints and gives the exit code.
//!
//! `demo` and `serve` become the daemon. `chain`, `config`, `completions` and `man` work without one. All others ask a running daemon over
//! the control socket; those that own names also read keys and, on a real chain, ask the Bitcoin node. What a person
//! reads goes to the standard output, errors and the log to the standard error. The exit code is 0 for success, 1 for
//! "no" (no such name), 2 for wrong use and 3 for trouble on the way; an error is one sentence that says what to do
//! next.

use std::cell::OnceCell;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, FromArgMatches as _, Parser, Subcommand};

use crate::api::ask::Ask as _;
use crate::api::client::Client;
use crate::api::message::Question;
use crate::config::{Config, FileChoice, Flag, Places, Profile, Sources};

mod argument;
mod cache;
mod chain;
mod completions;
mod config;
mod count;
mod definitions;
mod demo;
mod doctor;
mod effects;
mod error;
mod explain;
mod key;
mod keys;
mod log;
mod lookup;
mod man;
mod name;
mod namespace;
mod output;
mod own;
mod passphrase;
mod peers;
mod portal;
mod prefer;
mod registrar;
mod reload;
mod serve;
mod status;
mod subdomain;
mod system;
mod term;
mod terminal;
mod tls;
mod tx;
mod zonefile;

pub use chain::vectorfile;
pub use error::{CliError, Exit, Result};

use output::Output;

/// What `--version` prints: version, commit and its date, as far as `src/build.rs` found them.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("MADE_FROM"));

/// A local DNS resolver and name service for the Blockchain Name System.
#[derive(Debug, Parser)]
#[command(name = "bnsd", version = VERSION, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten, next_help_heading = "Global options")]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a working resolver with names on an embedded chain; needs no node, no root, no network.
    Demo(demo::Demo),
    /// Run the daemon.
    Serve(serve::Serve),
    /// Ask the running daemon for the records of a name.
    Lookup(lookup::Lookup),
    /// Ask the running daemon why an answer is what it is.
    Explain(explain::Explain),
    /// Ask the running daemon how it is.
    Status(status::Status),
    /// Find out what is wrong on this machine, and what mends it.
    Doctor(doctor::Doctor),
    /// Register names and keep them.
    #[command(subcommand)]
    Name(Box<name::NameCommand>),
    /// Open namespaces.
    #[command(subcommand)]
    Namespace(Box<namespace::NamespaceCommand>),
    /// Make and keep the keys that own names.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look at, sign and send transactions.
    #[command(subcommand)]
    Tx(tx::TxCommand),
    /// Write and publish zone files.
    #[command(subcommand)]
    Zonefile(Box<zonefile::ZonefileCommand>),
    /// Make and change names below names, and put them into zone files.
    #[command(subcommand)]
    Subdomain(Box<subdomain::SubdomainCommand>),
    /// Publish the records of subdomains that appear in a directory, again and again.
    Registrar(Box<registrar::Registrar>),
    /// Certificates without an authority: make them, check them, have browsers take them.
    #[command(subcommand)]
    Tls(Box<tls::TlsCommand>),
    /// Print every key that is bound to a name, with its history.
    Key(key::Key),
    /// Show or forget what is kept of other resolvers' answers.
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// List who brings and takes zone files (Atlas).
    Peers(peers::Peers),
    /// Let the login page of a network through that wants one.
    #[command(subcommand)]
    Portal(portal::PortalCommand),
    /// Settle who answers for a name that is on the chain and in the legacy tree.
    Prefer(prefer::Prefer),
    /// Have the running daemon read its configuration again.
    Reload(reload::Reload),
    /// Send this machine's questions to bnsd, and take that back.
    #[command(subcommand)]
    System(system::SystemCommand),
    /// Derive the chain of names again and compare.
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print what a shell has to know to complete these commands.
    Completions(completions::Completions),
    /// Write a manual page for each command.
    Man(man::Man),
}

/// Options that every command has.
#[derive(Debug, Args)]
struct Global {
    /// Read the configuration from this file, which has to be there.
    #[arg(long, global = true, value_name = "FILE", env = "BNSD_CONFIG")]
    config: Option<PathBuf>,
    /// Keep the daemon's data in this directory [env: BNSD_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Unix socket on which the daemon is asked [env: BNSD_CONTROL_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    control_socket: Option<String>,
    /// Print JSON.
    #[arg(long, global = true, env = "BNSD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
    /// How much is logged: off, error, warn, info, debug or trace [env: BNSD_LOG]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
}

impl Cli {
    /// What this process was started with. Help is printed and wrong use refused here, which ends the process.
    pub fn of_process() -> Self {
        let matches = definitions::definitions().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Does what the arguments ask for.
    pub fn run(self) -> Result<Exit> {
        let context = Context {
            output: Output::of_terminal(self.global.json),
            global: self.global,
            places: Places::of_platform(),
            config: OnceCell::new(),
        };
        match self.command {
            Command::Demo(demo) => demo.run(&context),
            Command::Serve(serve) => serve.run(&context),
            Command::Lookup(lookup) => lookup.run(&context),
            Command::Explain(explain) => explain.run(&context),
            Command::Status(status) => status.run(&context),
            Command::Doctor(doctor) => doctor.run(&context),
            Command::Name(name) => name.run(&context),
            Command::Namespace(namespace) => namespace.run(&context),
            Command::Keys(keys) => keys.run(&context),
            Command::Tx(tx) => tx.run(&context),
            Command::Zonefile(zonefile) => zonefile.run(&context),
            Command::Subdomain(subdomain) => subdomain.run(&context),
            Command::Registrar(registrar) => registrar.run(&context),
            Command::Cache(cache) => cache.run(&context),
            Command::Peers(peers) => peers.run(&context),
            Command::Portal(portal) => portal.run(&context),
            Command::Prefer(prefer) => prefer.run(&context),
            Command::Tls(command) => command.run(&context),
            Command::Key(key) => key.run(&context),
            Command::Reload(reload) => reload.run(&context),
            Command::System(system) => system.run(&context),
            Command::Chain(chain) => chain.run(&context),
            Command::Config(config) => config.run(&context),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(&context),
        }
    }
}

/// What every command works with.
struct Context {
    global: Global,
    places: Places,
    output: Output,
    /// That of the daemon, read when it is first needed.
    config: OnceCell<Config>,
}

impl Context {
    /// The configuration with the flags of this command on top.
    fn load(&self, profile: Profile, flags: Vec<Flag>) -> Result<Config> {
        Ok(Config::load(&self.sources(profile, flags))?)
    }

    /// Where that is read from.
    fn sources(&self, profile: Profile, flags: Vec<Flag>) -> Sources {
        let file = match (&self.global.config, profile) {
            (Some(path), _) => FileChoice::Named(path.clone()),
            (None, Profile::Serve) => FileChoice::AtItsPlace,
            // The demo is the same for everybody, whatever a real daemon on this machine is told.
            (None, Profile::Demo) => FileChoice::Nothing,
        };
        let mut all = self.global.flags();
        all.extend(flags);
        Sources {
            profile,
            file,
            environment: environment(),
            flags: all,
            places: self.places.clone(),
        }
    }

    /// The configuration of the daemon, read once.
    fn config(&self) -> Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.load(Profile::Serve, Vec::new())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// Reaches the running daemon.
    fn client(&self) -> Result<Client> {
        Ok(Client::new(self.control_candidates()?))
    }

    /// Where it may be. A daemon goes on when its file has become wrong, and can be asked then too.
    fn control_candidates(&self) -> Result<Vec<PathBuf>> {
        let error = match self.config() {
            Ok(config) => return Ok(config.control_candidates(&self.places)),
            Err(error) => error,
        };
        let mut sources = self.sources(Profile::Serve, Vec::new());
        sources.file = FileChoice::Nothing;
        let candidates = Config::load(&sources)?.control_candidates(&self.places);
        match candidates.iter().any(|socket| socket.exists()) {
            true => Ok(candidates),
            false => Err(error),
        }
    }

    /// The running daemon's answer to a question.
    fn answer<Q: Question>(&self, question: Q) -> Result<Q::Answer> {
        Ok(self.client()?.ask(question)?)
    }
}

impl Global {
    fn flags(&self) -> Vec<Flag> {
        [
            flag("data-dir", "--data-dir", self.data_dir.as_slice()),
            flag(
                "control-socket",
                "--control-socket",
                self.control_socket.as_slice(),
            ),
            flag("log.level", "--log", self.log.as_slice()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A flag with its key, if it was given.
fn flag(key: &'static str, flag: &'static str, values: &[String]) -> Option<Flag> {
    let values = values.to_vec();
    (!values.is_empty()).then_some(Flag { key, flag, values })
}

/// Variables that are no text cannot be ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_sets_a_key_that_exists() {
        let cli = Cli::parse_from([
            "bnsd",
            "--data-dir=/d",
            "serve",
            "--listen=127.0.0.1:1",
            "--upstream=9.9.9.9",
            "--user=bnsd",
            "--control-socket=/c",
            "--log=debug",
        ]);
        let mut flags = cli.global.flags();
        let Command::Serve(serve) = cli.command else {
            panic!("another command");
        };
        flags.extend(serve.flags());
        let sources = Sources {
            profile: Profile::Serve,
            file: FileChoice::Nothing,
            environment: Vec::new(),
            flags,
            places: Places::default(),
        };
        let config = Config::load(&sources).expect("a configuration");
        let set = config
            .settings
            .iter()
            .filter(|s| s.origin.to_string().starts_with("--"));
        assert_eq!(set.count(), 6);
    }

    #[test]
    fn the_unit_files_name_only_flags_that_exist() {
        let units = [
            include_str!("../../systemd/bnsd.service"),
            include_str!("../../systemd/bnsd-standalone.service"),
            include_str!("../../systemd/bnsd-agent.service"),
            include_str!("../../systemd/user/bnsd-agent.service"),
        ];
        let commands = units.map(|unit| {
            let mut lines = unit.lines();
            let line = lines.find_map(|line| line.strip_prefix("ExecStart="));
            line.expect("a command").split_whitespace().collect()
        });
        let plist = include_str!("../../launchd/org.bnsd.bnsd.plist");
        let arguments = plist.split("<key>ProgramArguments</key>").nth(1);
        let arguments = arguments.and_then(|rest| rest.split("</array>").next());
        let strings: Vec<&str> = arguments
            .expect("a command")
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("<string>")?
                    .strip_suffix("</string>")
            })
            .collect();
        for command in commands.into_iter().chain([strings]) {
            assert!(Cli::try_parse_from(&command).is_ok(), "{command:?}");
        }
    }
}
