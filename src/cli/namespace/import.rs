//! `bnsd namespace import`: many names at once, as [`crate::wallet::task::import`] does it.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::wanted;
use crate::cli::count::count;
use crate::cli::output::Page;
use crate::cli::own::{Next, SendOptions, Tense, namespace, open_to_pay, say_concerns, write_bill};
use crate::cli::{CliError, Context, Exit, Result};
use crate::wallet::task::Wallet;
use crate::wallet::task::bill::Bill;
use crate::wallet::task::import::ImportedName;
use crate::wallet::task::wallet::Event;

/// Arguments of `bnsd namespace import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Its id.
    id: String,
    /// CSV file with lines NAME,OWNER,ZONEFILE (a file or its hash), or a folder of NAME.zone files
    from: PathBuf,
    /// Owner of the names of a folder, by default the revealer
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    options: SendOptions,
}

impl Import {
    /// Imports what is left of the list, with a line on the standard error after each batch.
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        if self.options.psbt.is_some() {
            let text = "an import sends many transactions, which do not fit into one PSBT: import from a machine with the key, or each name with `bnsd name import --psbt`";
            return Err(CliError::Usage(text.to_owned()));
        }
        let mut wallet = open_to_pay(context, &self.options)?;
        wallet.require_open_end()?;
        let (id, means) = (namespace(&self.id)?, self.options.means());
        let owner = match &self.owner {
            Some(owner) => wallet.address(owner)?,
            None => wallet.revealer(&id, means.key.as_ref())?.address(),
        };
        let names = wanted::read(&wallet, &id, &self.from, owner)?;
        if self.options.dry_run {
            wallet.synced_chain()?;
            let left = wallet.still_to_import(&names)?;
            say_concerns(&wallet.review_import(&left, &means)?);
            let bill = wallet.import_bill(&id, &left, &means)?;
            return preview(context, &wallet, &left, &bill);
        }
        wallet.tell = Box::new(progress());
        let paid = wallet.import(&id, &names, &means)?;
        let total = names.len();
        let reply = serde_json::json!({"imported": total, "paid": paid});
        context.output.show(&reply, |page| {
            page.heading(format!("{id} has {}", count(total as u64, "name")));
            write_bill(page, &paid, Tense::Paid);
        })
    }
}

/// What a dry run shows: the names that are still to be imported, each with its owner and zone file hash.
fn preview(
    context: &Context,
    wallet: &Wallet<'_>,
    left: &[&ImportedName],
    bill: &Bill,
) -> Result<Exit> {
    let rows = left.iter().map(|wanted| {
        serde_json::json!({
            "name": wanted.name.to_string(),
            "owner": wallet.text(wanted.owner),
            "zonefile_hash": wanted.zonefile.hash.to_string(),
        })
    });
    let reply = serde_json::json!({ "to_import": rows.collect::<Vec<_>>(), "cost": bill });
    let mut follows = Page::default();
    Next::Imports(left.len() as u64).write(context, &mut follows)?;
    context.output.show(&reply, |page| {
        page.heading(format!(
            "{} would be imported",
            count(left.len() as u64, "name")
        ));
        for wanted in left {
            let owner = wallet.text(wanted.owner);
            page.row([
                wanted.name.to_string(),
                owner,
                wanted.zonefile.hash.to_string(),
            ]);
        }
        write_bill(page, bill, Tense::Ahead);
        page.append(follows);
        page.note("Nothing was sent.");
    })
}

/// Prints a line with rate and time left after each batch.
fn progress() -> impl Fn(Event) {
    let start = Instant::now();
    let before = std::cell::Cell::new(None);
    move |event| {
        let Event::Imported { done, total } = event else {
            return;
        };
        let Some(before) = before.get() else {
            before.set(Some(done)); // imported by earlier runs
            return;
        };
        let seconds = start.elapsed().as_secs_f64().max(0.001);
        let rate = (done - before) as f64 / seconds;
        let left = (total - done) as f64 / rate;
        eprintln!("{done} of {total} names are imported, {rate:.0} names/s, {left:.0} s left");
    }
}
