//! `bnsd cache`: what is kept of upstreams' answers.

use clap::Subcommand;

use super::count::count;
use super::output::Page;
use super::{Context, Exit, Result};
use crate::api::cache::{CacheReply, CacheRequest};

/// Arguments of `bnsd cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Forget all answers, or those for a name and the names below it.
    Flush {
        /// The name.
        name: Option<String>,
    },
    /// Show the kept answers and how long they hold.
    Dump,
}

impl CacheCommand {
    /// Asks and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let request = match self {
            Self::Flush { name } => CacheRequest::Flush { name },
            Self::Dump => CacheRequest::Dump {},
        };
        let page = match request {
            CacheRequest::Flush { .. } => flushed,
            CacheRequest::Dump {} => dump,
        };
        let reply = context.answer(request)?;
        context.output.print(&reply, || page(&reply))?;
        Ok(Exit::Success)
    }
}

fn flushed(reply: &CacheReply) -> Page {
    let mut page = Page::default();
    let forgotten = count(reply.flushed, "answer");
    page.note(format!("{forgotten} forgotten, {} kept", reply.count));
    page
}

fn dump(reply: &CacheReply) -> Page {
    let mut page = Page::default();
    for answer in &reply.answers {
        let dnssec = if answer.dnssec { "dnssec" } else { "" };
        page.row([
            answer.name.clone(),
            answer.record_type.clone(),
            format!("{} s", answer.remaining),
            answer.says.clone(),
            dnssec.to_owned(),
        ]);
    }
    page.note(match reply.count {
        0 => "No answer of an upstream is kept.".to_owned(),
        kept => format!("{}, {}", count(kept, "answer"), count(reply.bytes, "byte")),
    });
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cache::KeptAnswer;

    #[test]
    fn a_dump_shows_names_types_and_times() {
        let reply = CacheReply {
            count: 1,
            bytes: 300,
            answers: vec![KeptAnswer {
                name: "example.com.".to_owned(),
                record_type: "A".to_owned(),
                says: "records".to_owned(),
                remaining: 60,
                dnssec: false,
            }],
            ..CacheReply::default()
        };
        let shown = dump(&reply).plain();
        assert!(shown.contains("example.com.  A  60 s  records"), "{shown}");
        assert!(shown.contains("1 answer, 300 bytes"), "{shown}");
    }
}
