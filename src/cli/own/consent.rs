//! The question before something is paid: at a terminal it is asked, elsewhere `--yes` answers it.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use super::SendOptions;
use super::bill::{self, Next, Tense};
use crate::cli::output::Page;
use crate::cli::{CliError, Context};
use crate::wallet::task::TaskError;
use crate::wallet::task::bill::Bill;
use crate::wallet::task::concern::Concern;
use crate::wallet::task::consent::{Consent, Deal};

/// Who has agreed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// Whoever wrote `--yes`.
    Before,
    /// Nobody yet.
    NotYet,
}

impl From<bool> for Agreed {
    fn from(yes: bool) -> Self {
        if yes { Self::Before } else { Self::NotYet }
    }
}

/// Shows what is to be agreed to, and asks unless `--yes` was given.
pub fn ask(
    context: &Context,
    options: &SendOptions,
    consent: &Consent<'_>,
) -> Result<(), TaskError> {
    let mut page = Page::default();
    bill::write(&mut page, consent.bill, Tense::Ahead);
    let next = next(&consent.deal, consent.bill);
    let written = next.write(context, &mut page);
    written.map_err(|error| match error {
        CliError::Task(error) => error,
        error => TaskError::Trouble(error.to_string()),
    })?;
    page.say();
    say(consent.concerns);
    agree(context, options.yes.into())
}

/// What happens once a deal is agreed to.
fn next<'d>(deal: &Deal<'_>, bill: &'d Bill) -> Next<'d> {
    let operations = || {
        let charges = bill.charges.iter();
        charges.map(|charge| charge.operation.as_str()).collect()
    };
    match deal {
        Deal::Wish { wish, .. } => Next::Operations(operations(), wish.about()),
        Deal::Buy { name, .. } => Next::Operations(operations(), name.to_string()),
        Deal::Import { names, .. } => Next::Imports(*names as u64),
        Deal::Sell { .. } => Next::Signature,
    }
}

/// Asks whether to go on, unless somebody has agreed already.
pub fn agree(context: &Context, agreed: Agreed) -> Result<(), TaskError> {
    if agreed == Agreed::Before {
        return Ok(());
    }
    if context.output.is_json() || !stdin().is_terminal() || !stderr().is_terminal() {
        let text =
            "this has to be agreed to and nothing was sent: run it at a terminal, or add --yes";
        return Err(TaskError::Usage(text.to_owned()));
    }
    eprint!("Go on? [y/N] ");
    let _ = stderr().flush(); // a terminal that is gone cannot answer either
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    match read.is_ok() && matches!(answer.as_str(), "y" | "yes") {
        true => Ok(()),
        false => Err(TaskError::No("nothing was sent".to_owned())),
    }
}

/// Says what is probably not meant.
pub fn say(concerns: &[Concern]) {
    let mut page = Page::default();
    for concern in concerns {
        for line in format!("Note: {concern}.").lines() {
            page.heading(line);
        }
    }
    page.say();
}
