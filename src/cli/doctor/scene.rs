//! What the checks look at: the daemon's word, the configuration, and what is installed in the system's DNS.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use rustix::fs::{Access, access};

use crate::api::client::{Client, ClientError};
use crate::api::doctor::{DoctorReply, DoctorRequest, Finding, quoted, unit};
use crate::api::message::{Question as _, Reply};
use crate::api::status::{StatusReply, StatusRequest};
use crate::cli::{Context, Flag};
use crate::config::{Config, ConfigError, FileChoice, Profile, Sources};
use crate::disk::rights::own_uid;
use crate::system::{Journal, Machine, exchange};
use crate::upstream::SystemResolvers;
use crate::worker;

/// How long the daemon may take, which asks upstreams and its node meanwhile.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a resolver may take with an answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(1);
/// How threads that ask are called.
const THREAD: &str = "doctor";
/// What is wrong with a reply to another request.
const OTHER_REPLY: &str = "the daemon gave no reply to this request: it may be of another version";
/// Questions that are asked at the same time.
const AT_ONCE: usize = 16;
/// Commands that ask the daemon, as it prints them.
const ASKING: [&str; 5] = [
    "bnsd reload",
    "bnsd portal open",
    "bnsd portal close",
    "bnsd status --watch",
    "bnsd zonefile missing",
];
/// Largest reply over UDP that is asked for (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// What the checks look at.
pub(super) struct Scene {
    /// Whether this process may do everything.
    pub is_root: bool,
    /// The configuration that a start would read now.
    pub config: Result<Config, ConfigError>,
    /// How the daemon is.
    pub status: Result<Box<StatusReply>, Absence>,
    /// What it found itself; `Err` is why it does not say it.
    pub reply: Result<Box<DoctorReply>, String>,
    /// This machine.
    pub machine: Machine,
    /// What is installed in its DNS; `Err` is why nobody can say.
    pub journal: Result<Option<Journal>, String>,
    /// Whom its programs ask.
    pub asked: Vec<SocketAddr>,
    /// Options of this run that a printed command needs too.
    options: String,
}

/// Why the daemon does not say how it is.
pub(super) enum Absence {
    /// Nobody is there.
    Nobody(String),
    /// It is for somebody else.
    NotAllowed(String),
    /// Somebody is there and does not reply, or not in a way that makes sense.
    Silent(String),
}

impl Scene {
    /// Asks the daemon, and looks at the files.
    pub fn of(context: &Context) -> Self {
        let is_root = own_uid() == 0;
        let config = load(context, None);
        let client = client(context, &config);
        let requests = [
            StatusRequest::default().request(),
            DoctorRequest { as_root: is_root }.request(),
        ];
        let client = &client;
        let jobs = requests.map(|request| move || client.attempt(&request));
        let replies = worker::together(THREAD, jobs).unwrap_or_default();
        let mut replies = replies.into_iter().flatten();
        let status = status(replies.next());
        let reply = own_findings(replies.next());
        let file = reply.as_ref().ok();
        let file = file.and_then(|reply| reply.config_file.clone());
        let config = match file {
            Some(file) => load(context, Some(file)),
            None => config,
        };
        let machine = Machine::at(Path::new("/"));
        Self {
            is_root,
            config,
            status,
            reply,
            journal: Journal::read(&machine).map_err(|error| error.to_string()),
            machine,
            asked: SystemResolvers::of_machine().named().unwrap_or_default(),
            options: options(context),
        }
    }

    /// A command that needs root.
    pub fn as_root(&self, command: &str) -> String {
        match self.is_root {
            true => command.to_owned(),
            false => format!("sudo {command}"),
        }
    }

    /// A command that changes a file, which may need root.
    pub fn on_file(&self, file: &Path, command: &str) -> String {
        match access(file, Access::WRITE_OK) {
            Ok(()) => command.to_owned(),
            Err(_) => self.as_root(command),
        }
    }

    /// A command of bnsd that needs root.
    pub fn bnsd(&self, command: &str) -> String {
        self.as_root(&format!("bnsd {command}{}", self.options))
    }

    /// Installs what is installed, again.
    pub fn install_again(&self, option: &str) -> String {
        let is_all = matches!(&self.journal, Ok(Some(journal)) if journal.aim.all);
        let all = if is_all { " --all" } else { "" };
        self.bnsd(&format!("system install{all}{option}"))
    }

    /// Where the daemon listens; where it would, if it does not run.
    pub fn listeners(&self) -> Vec<SocketAddr> {
        match (&self.status, &self.config) {
            (Ok(status), _) => status
                .listeners
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            (Err(_), Ok(config)) => config.listen.clone(),
            (Err(_), Err(_)) => Vec::new(),
        }
    }

    /// Where programs of this machine reach the daemon.
    pub fn daemon(&self) -> Option<SocketAddr> {
        self.status.as_ref().ok()?;
        let listeners = self.listeners();
        let here = listeners.iter().find(|address| address.ip().is_loopback());
        let any = listeners
            .iter()
            .find(|address| address.ip().is_unspecified());
        here.copied()
            .or_else(|| any.map(|any| SocketAddr::from(([127, 0, 0, 1], any.port()))))
    }

    /// The daemon's data directory.
    pub fn data_dir(&self) -> Option<PathBuf> {
        match (&self.reply, &self.config, &self.status) {
            (Ok(reply), _, _) => Some(reply.data_dir.clone()),
            (Err(_), _, Err(Absence::NotAllowed(_))) => None, // the configuration is another one
            (Err(_), Ok(config), _) => Some(config.data_dir.clone()),
            (Err(_), Err(_), _) => None,
        }
    }

    /// The daemon's finding with a command that reaches this daemon.
    pub fn reaching(&self, finding: &Finding) -> Finding {
        let command = finding.command.as_ref().map(|command| {
            let is_asking = ASKING.iter().any(|asking| command.ends_with(asking));
            let options = if is_asking { &self.options } else { "" };
            format!("{command}{options}")
        });
        Finding {
            command,
            ..finding.clone()
        }
    }
}

/// The configuration as a start would read it, from this file if one is named.
fn load(context: &Context, file: Option<PathBuf>) -> Result<Config, ConfigError> {
    let named = file.or_else(|| context.global.config.clone());
    let file = named.map_or(FileChoice::AtItsPlace, FileChoice::Named);
    sources(context, file, context.global.flags())
}

fn sources(context: &Context, file: FileChoice, flags: Vec<Flag>) -> Result<Config, ConfigError> {
    Config::load(&Sources {
        profile: Profile::Serve,
        file,
        environment: crate::cli::environment(),
        flags,
        places: context.places.clone(),
    })
}

/// Reaches the daemon, also with a configuration that cannot be read: a daemon may run with an older one.
fn client(context: &Context, config: &Result<Config, ConfigError>) -> Client {
    let without_file = || sources(context, FileChoice::Nothing, context.global.flags()).ok();
    let config = config.as_ref().ok().cloned().or_else(without_file);
    let sockets = config.map(|config| config.control_candidates(&context.places));
    Client::new(sockets.unwrap_or_default()).with_patience(PATIENCE)
}

fn status(reply: Option<Result<Reply, ClientError>>) -> Result<Box<StatusReply>, Absence> {
    let other = || Absence::Silent(OTHER_REPLY.to_owned());
    match reply.ok_or_else(other)? {
        Ok(Reply::Error(error)) => Err(Absence::Silent(error.message)),
        Ok(reply) => StatusRequest::answer(reply).ok_or_else(other),
        Err(error) => {
            let text = error.to_string();
            Err(match error {
                ClientError::NotRunning(_) => Absence::Nobody(text),
                ClientError::NotOurs(_) => Absence::NotAllowed(text),
                ClientError::Io { .. } | ClientError::Message { .. } => Absence::Silent(text),
            })
        }
    }
}

fn own_findings(reply: Option<Result<Reply, ClientError>>) -> Result<Box<DoctorReply>, String> {
    match reply {
        Some(Ok(Reply::Error(error))) => Err(error.message),
        Some(Ok(reply)) => DoctorRequest::answer(reply).ok_or_else(|| OTHER_REPLY.to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(OTHER_REPLY.to_owned()),
    }
}

fn options(context: &Context) -> String {
    let global = &context.global;
    let config = global
        .config
        .as_ref()
        .map(|path| path.display().to_string());
    let options = [
        ("--config", config.as_ref()),
        ("--data-dir", global.data_dir.as_ref()),
        ("--control-socket", global.control_socket.as_ref()),
    ];
    options
        .iter()
        .filter_map(|(option, value)| Some(format!(" {option} {}", quoted(value.as_ref()?))))
        .collect()
}

/// The system's service that a process belongs to.
pub(super) fn unit_of(process: u32) -> Option<String> {
    unit(&fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?)
}

/// What is wanted of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The answer.
    Answer,
    /// And whether it was verified (AD, RFC 6840 §5.7).
    Verified,
    /// Though it may not be (CD, RFC 4035 §3.2.2).
    Unverified,
}

/// What a server says about the SOA of a domain.
fn ask(server: SocketAddr, domain: &str, wanted: Wanted) -> Option<Message> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.metadata.authentic_data = wanted == Wanted::Verified;
    query.metadata.checking_disabled = wanted == Wanted::Unverified;
    let mut name = Name::from_ascii(domain).ok()?;
    name.set_fqdn(true);
    query.add_query(Query::query(name, RecordType::SOA));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    query.set_edns(edns);
    exchange(server, &query, ANSWER_TIME)
}

/// The replies to questions that are asked at the same time; once all of some are silent, the others are not asked.
pub(super) fn ask_all(questions: &[(SocketAddr, &str, Wanted)]) -> Vec<Option<Message>> {
    let mut replies = Vec::new();
    for some in questions.chunks(AT_ONCE) {
        let before = replies.len();
        let jobs = some.iter();
        let jobs = jobs.map(|&(server, domain, wanted)| move || ask(server, domain, wanted));
        let asked = worker::together(THREAD, jobs).unwrap_or_default();
        replies.extend(asked.into_iter().map(Option::flatten));
        if replies.iter().skip(before).all(Option::is_none) {
            break;
        }
    }
    replies.resize(questions.len(), None);
    replies
}

/// Whether a server answers at all, asked for what every resolver knows.
pub(super) fn answers(server: SocketAddr) -> bool {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::root(), RecordType::NS));
    exchange(server, &query, ANSWER_TIME).is_some()
}

/// The SOA in an answer, as text.
pub(super) fn soa(reply: &Message) -> Option<String> {
    let mut answers = reply.answers.iter();
    let record = answers.find(|record| record.record_type() == RecordType::SOA)?;
    Some(record.data.to_string())
}
