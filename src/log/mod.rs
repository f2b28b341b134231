//! The log: to the standard error or to the journal, this crate's messages only.
//!
//! The name of a query is logged at no level, unless `log.queries` is on. Libraries do not keep that rule, so no
//! setting lets their messages through. Level and format can be changed at any time. A fault that repeats is said once a
//! minute ([`Repeats`]).

mod repeats;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use repeats::{Repeats, Throttle};

/// How often it is looked whether there is something to say about faults that repeat.
const LOOK: Duration = Duration::from_secs(1);

/// How much is logged. Only this crate's messages are, since those of the libraries can name queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What needs somebody to act.
    Error,
    /// What may need somebody to act.
    Warn,
    /// Starts, stops, blocks and changes of state.
    Info,
    /// Why something was decided.
    Debug,
    /// Every step.
    Trace,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people, on the standard error.
    Text,
    /// A JSON object a line, on the standard error.
    Json,
    /// Fields of an entry of systemd's journal.
    Journald,
}

/// Whether lines for people are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// By their level.
    On,
    /// Not at all.
    Off,
}

/// What can be chosen about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// How much is logged.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// Why nothing can be logged as somebody chose.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot log to the journal: {0}; systemd-journald has to run for that, set `log.format` to text or json where it does not"
)]
pub struct LogError(io::Error);

/// Writes what passes the filter.
type Output = Box<dyn Layer<Filtered> + Send + Sync>;
type Filter = reload::Layer<Targets, Registry>;
type Filtered = Layered<Filter, Registry>;

/// The log of this process.
pub struct Log {
    filter: reload::Handle<Targets, Registry>,
    output: reload::Handle<Output, Filtered>,
    colours: Colours,
    repeats: Arc<Repeats>,
}

/// Options that can be put in force; nothing of them can fail any more.
pub struct Prepared {
    level: LogLevel,
    output: Output,
}

impl Log {
    /// Starts logging. If somebody else in this process logs already, nothing is changed.
    pub fn start(options: LogOptions, colours: Colours) -> Result<Self, LogError> {
        let (filter, filter_handle) = reload::Layer::new(filter(options.level));
        let (output, output_handle) = reload::Layer::new(output(options.format, colours)?);
        let repeats = Arc::<Repeats>::default();
        let output = Throttle {
            inner: output,
            repeats: Arc::clone(&repeats),
        };
        let started = tracing_subscriber::registry()
            .with(filter)
            .with(output)
            .try_init();
        if started.is_err() {
            tracing::debug!("logging had been started before");
        }
        say_finest(options.level);
        Ok(Self {
            filter: filter_handle,
            output: output_handle,
            colours,
            repeats,
        })
    }

    /// Says from time to time how often faults were left out, until it is dropped.
    pub fn say_repeats(&self) -> impl Future<Output = ()> + Send + use<> {
        let repeats = Arc::clone(&self.repeats);
        async move {
            loop {
                tokio::time::sleep(LOOK).await;
                repeats.say();
            }
        }
    }

    /// What it takes to put other options in force. Nothing is changed yet.
    pub fn prepare(&self, options: LogOptions) -> Result<Prepared, LogError> {
        Ok(Prepared {
            level: options.level,
            output: output(options.format, self.colours)?,
        })
    }

    /// Puts other options in force.
    pub fn set(&self, Prepared { level, output }: Prepared) {
        // Both fail only where somebody else in this process logs.
        let _ = self.output.reload(output);
        let _ = self.filter.reload(filter(level));
        say_finest(level);
    }
}

/// Says that a level has nothing more to show, where this program was built without its messages.
fn say_finest(level: LogLevel) {
    if threshold(level) > STATIC_MAX_LEVEL {
        tracing::info!("this build has no messages finer than {STATIC_MAX_LEVEL}");
    }
}

fn filter(level: LogLevel) -> Targets {
    let level = threshold(level).min(STATIC_MAX_LEVEL);
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level)
}

fn threshold(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => Level::ERROR.into(),
        LogLevel::Warn => Level::WARN.into(),
        LogLevel::Info => Level::INFO.into(),
        LogLevel::Debug => Level::DEBUG.into(),
        LogLevel::Trace => Level::TRACE.into(),
    }
}

fn output(format: LogFormat, colours: Colours) -> Result<Output, LogError> {
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours == Colours::On)
        .with_target(false)
        .log_internal_errors(false); // a terminal that is gone takes no complaint about that either
    Ok(match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Journald => journal()?,
    })
}

#[cfg(target_os = "linux")]
fn journal() -> Result<Output, LogError> {
    let journal = tracing_journald::layer().map_err(LogError)?;
    let journal = journal.with_syslog_identifier("bnsd".to_owned());
    Ok(journal.with_field_prefix(Some("BNSD".to_owned())).boxed())
}

#[cfg(not(target_os = "linux"))]
fn journal() -> Result<Output, LogError> {
    Err(LogError(io::Error::other("this system has none")))
}
