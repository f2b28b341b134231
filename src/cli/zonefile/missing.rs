//! `bnsd zonefile missing`: which zone files are not here, since when, and what was tried.

use crate::api::zonefiles::MissingRequest;
use crate::cli::count::count;
use crate::cli::{Context, Exit, Result};
use crate::names::{MissingZonefile, rfc3339};

pub(super) fn missing(context: &Context) -> Result<Exit> {
    let reply = context.answer(MissingRequest {})?;
    context.output.show(&reply.missing, |page| {
        page.note(match reply.count {
            0 => "No zone file is missing.".to_owned(),
            missing => format!("{} missing", count(missing, "zone file")),
        });
        for file in &reply.missing {
            page.row([
                file.hash.to_string(),
                file.name.to_string(),
                since(file),
                tried(file),
            ]);
        }
    })
}

fn since(file: &MissingZonefile) -> String {
    let time = file.since.map(rfc3339);
    time.map_or_else(String::new, |time| format!("since {time}"))
}

fn tried(file: &MissingZonefile) -> String {
    match &file.tried {
        None if !file.chosen => "not fetched, its namespace is not chosen".to_owned(),
        None => "nobody was asked".to_owned(),
        Some(tried) => format!(
            "asked {}, the last time {} at {}",
            count(u64::from(tried.times), "time"),
            tried.by,
            rfc3339(tried.last)
        ),
    }
}
