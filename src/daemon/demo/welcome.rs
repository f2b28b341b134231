//! What the demo prints when it is ready: lines that can be typed, each of which shows something.

use std::io::{IsTerminal as _, Write as _};

use crate::api::lookup::{RecordText, shell_word};
use crate::bns::Name;
use crate::config::Config;
use crate::daemon::running::Daemon;

/// Questions that show more than others, where their records are there: the name, the owner of the record, its type.
const TELLING: [(&str, &str, &str); 4] = [
    ("werner.id", "werner.id", "A"),
    ("judecn.id", "_https._tcp.judecn.id", "URI"),
    ("printer.helloworld", "printer.helloworld", "AAAA"),
    ("werner.id.bns.alt", "werner.id.bns.alt", "MX"),
];
/// Most names that are shown otherwise.
const SHOWN_MAX: usize = 3;

/// Prints what to try with these names, which are on the chain.
pub fn write(names: &[&Name], daemon: &Daemon, config: &Config) -> anyhow::Result<()> {
    let Some(&listener) = daemon.listeners().first() else {
        return Ok(());
    };
    let tip = daemon.names().store.snapshot().tip();
    let height = tip.map_or(0, |tip| tip.height);
    let shown = examples(names, daemon);
    let mut commands: Vec<String> = shown
        .iter()
        .map(|(_, record)| record.dig(listener))
        .collect();
    commands.extend(shown.first().map(|(name, record)| {
        let socket = config.control_socket.display().to_string();
        let (program, socket) = (program(), shell_word(&socket));
        let rtype = &record.record_type;
        format!("{program} explain {name} {rtype} --control-socket {socket}")
    }));
    let (bold, plain) = match std::io::stdout().is_terminal() {
        true => ("\x1b[1m", "\x1b[0m"),
        false => ("", ""),
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "bnsd answers {} names on {listener}, registered on an embedded chain of {height} blocks.",
        names.len()
    )?;
    writeln!(out, "{}", about_others(&daemon.upstreams()))?;
    for listener in daemon.api_listeners() {
        writeln!(out, "The status page is on http://{listener}/.")?;
    }
    if !commands.is_empty() {
        writeln!(out, "Try:")?;
    }
    for command in commands {
        writeln!(out, "  {bold}{command}{plain}")?;
    }
    writeln!(out, "Ctrl-C ends it; run again, it goes on where it was.")?;
    Ok(out.flush()?)
}

fn about_others(upstreams: &[String]) -> String {
    match upstreams {
        [] => "All other names are SERVFAIL, because nobody is asked for them: --upstream ADDRESS names a resolver."
            .to_owned(),
        upstreams => format!("All other names are asked of {}.", upstreams.join(", ")),
    }
}

/// Names as they are asked for, each with a record to ask for.
fn examples(names: &[&Name], daemon: &Daemon) -> Vec<(String, RecordText)> {
    let telling = TELLING.iter().filter_map(|(name, owner, rtype)| {
        let records = daemon.listing(name)?.records.into_iter();
        let mut wanted = records.filter(|record| {
            record.owner.trim_end_matches('.') == *owner && record.record_type == *rtype
        });
        Some(((*name).to_owned(), wanted.next()?))
    });
    let telling: Vec<_> = telling.collect();
    if !telling.is_empty() {
        return telling;
    }
    let any = names.iter().filter_map(|name| {
        let listing = daemon.listing(name.as_str())?;
        Some((name.to_string(), listing.example()?.clone()))
    });
    any.take(SHOWN_MAX).collect()
}

/// How this program was called: by its name where a shell finds it, by its path otherwise (`cargo run`).
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let by_path = std::path::Path::new(&called).components().count() > 1;
    let path = by_path.then(std::env::current_exe).and_then(Result::ok);
    path.map_or("bnsd".to_owned(), |path| {
        shell_word(&path.display().to_string())
    })
}
