//! `bnsd chain prove`: a file that shows what a name was to whoever knows one consensus hash.

use std::io::{self, IsTerminal as _};

use clap::Args;

use crate::api::proof::{ProveReply, ProveRequest};
use crate::api::zonefiles::Bytes;
use crate::bns::Name;
use crate::cli::output::{Page, print_bytes};
use crate::cli::zonefile::source::Source;
use crate::cli::{CliError, Context, Exit, Result};

/// Arguments of `bnsd chain prove`.
#[derive(Debug, Args)]
pub struct Prove {
    /// The name.
    name: Name,
    /// Leave the zone file out.
    #[arg(long)]
    bare: bool,
    /// The block whose consensus hash the proof starts from; by default the newest one.
    #[arg(long, value_name = "HEIGHT")]
    at: Option<u32>,
}

impl Prove {
    pub fn run(self, context: &Context) -> Result<Exit> {
        if !context.output.is_json() && io::stdout().is_terminal() {
            return Err(CliError::Usage(format!(
                "a proof is no text: send it into a file, as in `bnsd chain prove {} > FILE`",
                self.name
            )));
        }
        let reply = Source::find(context)?.ask(ProveRequest {
            name: self.name.to_string(),
            at: self.at,
            bare: self.bare,
        })?;
        let ProveReply {
            proof: Some(Bytes(proof)),
            height: Some(height),
            consensus_hash: Some(hash),
            ..
        } = &reply
        else {
            let reason = reply.reason.unwrap_or_default();
            return Err(CliError::No(reason));
        };
        if context.output.is_json() {
            context.output.print(&reply, Page::default)?;
            return Ok(Exit::Success);
        }
        print_bytes(proof)?;
        let mut page = Page::default();
        page.entry("bytes", &proof.len());
        page.entry("block", height);
        page.entry("consensus hash", hash);
        page.note(format!(
            "Who trusts this hash checks it with: bnsd chain check-proof FILE --consensus-hash {hash}"
        ));
        page.say();
        Ok(Exit::Success)
    }
}
