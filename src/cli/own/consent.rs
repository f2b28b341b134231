//! The question before something is paid: at a terminal it is asked, elsewhere `--yes` answers it.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use super::SendOptions;
use crate::cli::Context;
use crate::cli::output::Page;
use crate::wallet::task::TaskError;
use crate::wallet::task::concern::Concern;
use crate::wallet::task::consent::Consent;

/// Shows what is to be agreed to, and asks unless `--yes` was given.
pub fn ask(
    context: &Context,
    options: &SendOptions,
    consent: &Consent<'_>,
) -> Result<(), TaskError> {
    say(consent.concerns);
    if options.yes {
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
        page.heading(format!("Note: {concern}."));
    }
    page.say();
}
