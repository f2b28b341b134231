//! `bnsd tls delegate`: the name's own key signs for the authority of its servers, without an operation on the chain.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use hickory_proto::rr::Name as DnsName;
use serde::Serialize;

use super::choice::{begin, day, shown};
use crate::api::keys::PORT;
use crate::bns::Name;
use crate::cli::own::{KeyOptions, open, state_of};
use crate::cli::{CliError, Context, Exit, Result};
use crate::names::{NameState, rfc3339};
use crate::tlsa::{Registration, delegation};
use crate::trust::owner::{LeafKey, OwnerFiles};
use crate::wallet::keys::SigningKey;

/// In seconds.
const DAY: u64 = 86_400;
/// Most days of a delegation, of the 400 that clients accept: it begins a day earlier, for clocks that are behind.
const DAYS_MAX: u16 = 399;
/// Characters of a string in a TXT record.
const STRING: usize = 255;

/// Arguments of `bnsd tls delegate`.
#[derive(Debug, Args)]
pub struct Delegate {
    /// Directory that `bnsd tls init` filled
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// TCP port of the server
    #[arg(long, default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// For how many days
    #[arg(long, default_value_t = DAYS_MAX, value_parser = clap::value_parser!(u16).range(1..=DAYS_MAX as i64))]
    days: u16,
    #[command(flatten)]
    keys: KeyOptions,
}

/// What was signed.
#[derive(Debug, Serialize)]
struct Delegated {
    name: String,
    /// Its last second (RFC 3339).
    valid_until: String,
    /// The text of the delegation.
    delegation: String,
    /// The same as a line of the zone file.
    record: String,
}

impl Delegate {
    /// Signs, and issues a leaf that carries the delegation.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let now = begin();
        let files = OwnerFiles::renewed(&self.dir, LeafKey::Kept, now)?;
        let (from, until) = (now - DAY, now + u64::from(self.days) * DAY);
        let times = seconds(from).zip(seconds(until)).ok_or_else(|| {
            CliError::Trouble(anyhow!("the clock is far off: set it, then try again"))
        })?;
        let text = self.signed(context, &files, times)?;
        files.save_delegation(&text)?;
        OwnerFiles::renewed(&self.dir, LeafKey::Kept, now)?.replace()?;
        let delegated = Delegated {
            name: files.name().to_string(),
            valid_until: rfc3339(until),
            record: record(&text),
            delegation: text,
        };
        context.output.show(&delegated, |page| {
            page.heading(format!("the key of {} signed for its servers", delegated.name));
            page.entry("valid until", &day(until));
            let dir = shown(&self.dir);
            page.note(format!(
                "The certificate in {dir} carries it: let the server read it again. Programs that check pins accept \
                 it at once; browsers need the key in the zone file."
            ));
            page.note("The same as a line of the zone file:");
            page.note(&delegated.record);
        })
    }

    /// The text, signed by the key that owns the name.
    fn signed(&self, context: &Context, files: &OwnerFiles, times: (u32, u32)) -> Result<String> {
        let name = files.name();
        let wallet = open(context, &self.keys)?;
        let chain = wallet.state.chain()?;
        let details = state_of(context, name)?;
        let registered = details.registration.first_registered;
        let (Some(script), Some(height)) = (&details.owner_script, registered) else {
            return Err(not_ours(name));
        };
        if !matches!(details.state, NameState::Registered | NameState::Grace) {
            return Err(CliError::No(format!(
                "{name} is not registered: nobody believes its keys"
            )));
        }
        let lock = wallet.keyring.owner(script)?;
        let keys = wallet
            .keyring
            .signing_keys(&lock.into_iter().collect::<Vec<_>>())?;
        let is_owner = |key: &&SigningKey| key.script() == *script;
        let key = keys.iter().find(is_owner).ok_or_else(|| not_ours(name))?;
        let registration = Registration {
            magic: chain.magic,
            first_block: chain.first_block,
            height,
        };
        let labels = [name.label().as_bytes(), name.namespace().as_bytes()];
        let host = DnsName::from_labels(labels);
        let host = host.map_err(|error| CliError::No(format!("{name}: {error}")))?;
        let statement = files.statement(host, self.port);
        let digest = delegation::digest(name, &registration, &statement, times);
        let signature = key.sign_digest(digest);
        Ok(delegation::text(
            &statement,
            times,
            &signature,
            &key.public_key(),
        ))
    }
}

fn not_ours(name: &Name) -> CliError {
    CliError::No(format!(
        "no key here owns {name} by itself: `bnsd name show {name}` says whose it is, and shared addresses cannot sign \
         with this command"
    ))
}

fn seconds(time: u64) -> Option<u32> {
    time.try_into().ok()
}

/// The text as a line of a zone file, in strings that are short enough.
fn record(text: &str) -> String {
    let strings = text.as_bytes().chunks(STRING);
    let strings = strings.map(|string| format!("\"{}\"", String::from_utf8_lossy(string)));
    format!("_tlskey TXT {}", strings.collect::<Vec<_>>().join(" "))
}
