//! `bnsd status`: how the daemon is, on one short page.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::count::count;
use super::output::{Page, Reader};
use super::terminal::{Keys, leaves};
use super::{Context, Exit, Result};
use crate::api::status::{AtlasStatus, StatusReply, StatusRequest, SyncStatus, ZonefilesStatus};
use crate::names::{IndexStatus, Phase, expected};
use crate::system::{Journal, Machine};
use crate::wallet::words::{self, grouped};

/// Arguments of `bnsd status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Show it again every second, with the names that are asked for most, until q or Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Time between two looks.
const REFRESH: Duration = Duration::from_secs(1);

impl Status {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        if self.watch {
            return watch(context);
        }
        let reply = ask(context, StatusRequest::default())?;
        context.output.print(&reply, || page(&reply))?;
        Ok(Exit::Success)
    }
}

/// What the daemon says, and what of its names this machine does not send to it.
fn ask(context: &Context, request: StatusRequest) -> Result<Box<StatusReply>> {
    let mut reply = context.answer(request)?;
    let journal = Journal::read(&Machine::at(Path::new("/")));
    if let Ok(Some(journal)) = journal {
        reply.unrouted = journal.aim.unrouted(&reply.served);
    }
    Ok(reply)
}

/// Ends with q or Ctrl-C, with the daemon, or with whoever reads.
fn watch(context: &Context) -> Result<Exit> {
    let mut keys = Keys::of_reader();
    loop {
        let reply = ask(context, StatusRequest { busiest: true })?;
        let page = || {
            let mut page = page(&reply);
            if keys.is_some() {
                page.note("q ends this");
            }
            page
        };
        if context.output.refresh(&reply, page)? == Reader::Gone {
            return Ok(Exit::Success);
        }
        if leaves(&mut keys, REFRESH) {
            return Ok(Exit::Success);
        }
    }
}

fn page(reply: &StatusReply) -> Page {
    let mut page = Page::default();
    page.heading(format!(
        "bnsd {}, up {}",
        reply.version,
        duration(reply.uptime_seconds)
    ));
    write_chain(reply, &mut page);
    write_service(reply, &mut page);
    write_zonefiles(&reply.zonefiles, &mut page);
    if let Some(atlas) = &reply.atlas {
        write_atlas(atlas, &mut page);
    }
    for busy in &reply.busiest {
        page.entry("busy", &format!("{} {}", busy.queries, busy.name));
    }
    for warning in &reply.warnings {
        page.heading(format!("warning: {warning}"));
    }
    if !reply.unrouted.is_empty() {
        page.heading(format!(
            "warning: this machine does not send questions for {} to bnsd: `bnsd system install` does",
            reply.unrouted.join(", ")
        ));
    }
    page
}

fn write_chain(reply: &StatusReply, page: &mut Page) {
    page.entry("chain", &format!("{}, {}", reply.network, reply.source));
    page.entry("network", &reply.network_meaning);
    page.entry("height", &height(reply));
    page.entry_if("rests on", reply.known.as_ref());
    page.entry_if("sync", reply.sync.as_ref().map(sync));
    let lag = reply.lag_seconds.filter(|lag| *lag > 0);
    page.entry_if("behind", lag.map(duration));
    page.entry_if("consensus hash", reply.consensus_hash.as_ref());
    let published = reply.published.as_ref();
    let published = published.and_then(|published| published.height);
    page.entry_if(
        "log published",
        published.map(|height| format!("up to block {height}")),
    );
    page.entry("names", &reply.names);
    page.entry("in memory", &in_memory(&reply.names_in_memory, reply.names));
    page.entry("namespaces", &reply.namespaces);
    page.entry("preorders", &reply.preorders);
}

/// How many of so many names are in memory, or why none.
fn in_memory(index: &IndexStatus, names: u64) -> String {
    match index.phase {
        Phase::Off => "no names: `names.index-max` is 0".to_owned(),
        Phase::Building => format!("no names yet, {} % read", index.percent.unwrap_or(0)),
        Phase::Complete => {
            let (held, all) = (grouped(index.names), count(names, "name"));
            format!("{held} of {all}, {} MB", index.bytes.div_ceil(1_000_000))
        }
        Phase::OverLimit => format!(
            "no names: there are more than {}; `names.index-max` raises the limit",
            grouped(index.max)
        ),
        Phase::Refused => {
            "no names: the database cannot say for certain which there are".to_owned()
        }
    }
}

fn height(reply: &StatusReply) -> String {
    let Some(height) = reply.height else {
        return "none yet".to_owned();
    };
    let time = reply
        .block_time
        .map(|time| expected(height, (height, time)));
    let block = words::block_there(height, time.as_deref());
    match reply.best_height {
        _ if reply.is_final => format!("{block}, final"),
        Some(best) if best > height => format!("{block} of {best}"),
        _ => block,
    }
}

/// What is left, how fast it goes, and when it is done.
fn sync(sync: &SyncStatus) -> String {
    let left = format!("{} left", count(sync.blocks_left.into(), "block"));
    let Some(a_minute) = sync.blocks_per_minute.filter(|blocks| *blocks > 0) else {
        return left;
    };
    let rate = match a_minute {
        600.. => format!("{} blocks/s", a_minute / 60),
        60.. => format!("{}.{} blocks/s", a_minute / 60, a_minute % 60 / 6),
        _ => format!("{a_minute} blocks/min"),
    };
    match sync.seconds_left {
        Some(seconds) => format!("{left}, {rate}, done in about {}", duration(seconds)),
        None => format!("{left}, {rate}"),
    }
}

fn write_service(reply: &StatusReply, page: &mut Page) {
    page.entry("listening on", &list(&reply.listeners));
    page.entry_if("TLS on", some(&reply.tls_listeners));
    page.entry_if("HTTPS on", some(&reply.https_listeners));
    let pages: Vec<String> = reply
        .api_listeners
        .iter()
        .map(|at| format!("http://{at}/"))
        .collect();
    let taken = some(&reply.api_taken).map(|taken| format!("none, {taken} is taken"));
    page.entry_if("status page", some(&pages).or(taken));
    page.entry_if("gateway on", reply.gateway.as_ref());
    page.entry("upstreams", &list(&reply.upstreams));
    let counts = reply.queries.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    page.entry("questions", &list(&counts));
    page.entry_if("sandbox", reply.sandbox.clone());
    let mebibytes = reply
        .memory_bytes
        .map(|bytes| format!("{} MiB", bytes >> 20));
    page.entry_if("memory", mebibytes);
}

fn write_zonefiles(zonefiles: &ZonefilesStatus, page: &mut Page) {
    let announced = &zonefiles.announced;
    let counts = format!(
        "{} present, {} missing, {} waiting",
        announced.present, announced.missing_count, zonefiles.waiting_count
    );
    page.entry("zone files", &counts);
    for missing in &announced.missing {
        page.entry("missing", &format!("{} of {}", missing.hash, missing.name));
    }
    for waiting in &zonefiles.waiting {
        page.entry("waiting", &format!("{} for {}", waiting.file, waiting.hash));
    }
}

fn write_atlas(atlas: &AtlasStatus, page: &mut Page) {
    let peers = format!(
        "{}, {}",
        count(atlas.peers, "peer"),
        count(atlas.neighbours, "neighbour")
    );
    page.entry("atlas", &peers);
    page.entry_if("peers ask on", some(&atlas.listeners));
    let left = atlas.wanted.saturating_sub(atlas.present);
    page.entry_if("to fetch", (left > 0).then(|| to_fetch(left, atlas)));
    for backup in &atlas.backups {
        let problem = backup.problem.as_ref();
        let problem = problem.map_or_else(String::new, |problem| format!(", {problem}"));
        let text = format!(
            "{}: {} written, {} waiting, {} read{problem}",
            backup.place, backup.written, backup.waiting, backup.read
        );
        page.entry("backup", &text);
    }
}

/// What is left, how fast it comes, and when it is there.
fn to_fetch(left: u64, atlas: &AtlasStatus) -> String {
    let left = format!("{} of {}", count(left, "zone file"), atlas.wanted);
    match atlas.seconds_left {
        Some(seconds) => format!(
            "{left}, {} a minute, done in about {}",
            atlas.zonefiles_per_minute,
            duration(seconds)
        ),
        None => left,
    }
}

fn some(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| list(texts))
}

fn list(texts: &[String]) -> String {
    match texts {
        [] => "none".to_owned(),
        texts => texts.join(", "),
    }
}

/// The two largest units of a span of time.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::ZonefileHash;
    use crate::names::Zonefiles;
    use crate::store::WantedZonefile;

    #[test]
    fn the_page_says_what_counts() {
        let reply = StatusReply {
            version: "0.1.0".to_owned(),
            network: "dev".to_owned(),
            source: "embedded chain".to_owned(),
            height: Some(120),
            best_height: Some(130),
            queries: [("answered".to_owned(), 3), ("failed".to_owned(), 0)].into(),
            uptime_seconds: 3_700,
            zonefiles: ZonefilesStatus {
                announced: Zonefiles {
                    missing_count: 1,
                    missing: vec![WantedZonefile {
                        name: "werner.id".parse().expect("a name"),
                        hash: ZonefileHash([0xab; 20]),
                    }],
                    ..Zonefiles::default()
                },
                ..ZonefilesStatus::default()
            },
            warnings: vec!["no upstream".to_owned()],
            ..StatusReply::default()
        };
        let shown = page(&reply).plain();
        for line in [
            "bnsd 0.1.0, up 1 h 1 min\n",
            "  height        120 of 130\n",
            "  questions     3 answered\n",
            &format!("  missing       {} of werner.id\n", "ab".repeat(20)),
            "warning: no upstream\n",
        ] {
            assert!(shown.contains(line), "{line:?} is not in\n{shown}");
        }
    }

    #[test]
    fn names_in_memory_are_counted_or_it_is_said_why_not() {
        let index = |phase| IndexStatus {
            phase,
            names: 999_000,
            max: 5_000_000,
            bytes: 61_500_001,
            percent: Some(40),
        };
        let cases = [
            (Phase::Complete, "999,000 of 1,000,000 names, 62 MB"),
            (Phase::Building, "no names yet, 40 % read"),
            (Phase::Off, "no names: `names.index-max` is 0"),
            (
                Phase::OverLimit,
                "no names: there are more than 5,000,000; `names.index-max` raises the limit",
            ),
        ];
        for (phase, text) in cases {
            assert_eq!(in_memory(&index(phase), 1_000_000), text);
        }
    }

    #[test]
    fn what_is_left_of_a_sync_has_rate_and_time() {
        let shown = |blocks_left, blocks_per_minute| {
            sync(&SyncStatus {
                blocks_left,
                blocks_per_minute,
                seconds_left: blocks_per_minute.map(|rate| u64::from(blocks_left) * 60 / rate),
            })
        };
        let cases = [
            (1, None, "1 block left"),
            (
                10,
                Some(5),
                "10 blocks left, 5 blocks/min, done in about 2 min 0 s",
            ),
            (
                90,
                Some(90),
                "90 blocks left, 1.5 blocks/s, done in about 1 min 0 s",
            ),
            (
                72_000,
                Some(12_000),
                "72,000 blocks left, 200 blocks/s, done in about 6 min 0 s",
            ),
        ];
        for (left, rate, text) in cases {
            assert_eq!(shown(left, rate), text);
        }
    }

    #[test]
    fn spans_of_time_have_two_units() {
        let cases = [
            (5, "5 s"),
            (65, "1 min 5 s"),
            (7_260, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
