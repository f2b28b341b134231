//! What is known of the chain: how far the index is, whether its database is sound, which zone files are missing.

use super::own::Own;
use crate::api::doctor::Finding;
use crate::chain::CHOOSE_A_SOURCE;
use crate::daemon::service::Service;
use crate::resolver::{NameSource as _, Snapshots as _, SyncState};

/// Shows how a sync goes until somebody has seen enough.
const WATCH: &str = "bnsd status --watch";
/// How a command of bnsd begins in a sentence.
const COMMAND: &str = "`bnsd ";

impl Service {
    pub(super) fn sync_finding(&self, own: &Own) -> Finding {
        const CHECK: &str = "sync";
        let names = self.names.snapshot();
        let height = names
            .height()
            .map_or("none yet".to_owned(), |height| format!("block {height}"));
        if names.is_final() {
            return Finding::ok(CHECK, format!("{height}, the network's last"));
        }
        if self.source.is_none() {
            let text = format!(
                "no chain source is configured, so names of the chain are not found: {CHOOSE_A_SOURCE}"
            );
            let command = own.with_section("chain", "source = \"bitcoind\"");
            let command = command.unwrap_or_else(|| "bnsd serve --source bitcoind".to_owned());
            return Finding::warning(CHECK, text, command);
        }
        let trouble = self.names.progress.trouble();
        let because = trouble
            .as_ref()
            .map_or(String::new(), |trouble| format!(": {trouble}"));
        match names.sync() {
            SyncState::Synced => Finding::ok(CHECK, height),
            SyncState::Behind { lag, .. } if lag <= self.handler.policy().max_lag => {
                Finding::ok(CHECK, format!("{height}, {} s behind", lag.as_secs()))
            }
            SyncState::Behind { lag, .. } => Finding::failure(
                CHECK,
                format!(
                    "{height}, {} min behind, so names of the chain are refused{because}",
                    lag.as_secs() / 60
                ),
                WATCH,
            ),
            SyncState::Forked { .. } => self.forked(CHECK, trouble.as_deref(), own),
            SyncState::NeverSynced { .. } => Finding::warning(
                CHECK,
                format!(
                    "{height}: the first synchronisation has not finished, and names that ICANN's tree may hold are asked there{because}"
                ),
                WATCH,
            ),
            SyncState::Filling { .. } => {
                Finding::warning(CHECK, "names are still being registered", WATCH)
            }
            SyncState::Damaged => Finding::unknown(CHECK, "the database is damaged"),
        }
    }

    /// The command stands in the sentence, with the height to go back to.
    fn forked(&self, check: &str, trouble: Option<&String>, own: &Own) -> Finding {
        let text = trouble.map_or("the source's chain is another one", String::as_str);
        let command = text
            .split_once(COMMAND)
            .and_then(|(_, rest)| rest.split_once('`'))
            // A node's words may stand in the sentence too.
            .filter(|(command, _)| command.chars().all(is_plain));
        let finding = Finding::failure(check, text, "");
        Finding {
            command: command.map(|(command, _)| own.while_stopped(command)),
            ..finding
        }
    }

    pub(super) fn database_finding(&self, own: &Own) -> Finding {
        const CHECK: &str = "database";
        let store = &self.names.store;
        if let Some(damage) = store.damage() {
            return Finding::failure(
                CHECK,
                format!("it is damaged ({damage}), so names of the chain are not answered"),
                own.while_stopped("chain verify --repair"),
            );
        }
        match store.failure() {
            Some(failure) => Finding::failure(
                CHECK,
                format!(
                    "it cannot be written ({failure}); it goes on by itself when the disk lets it"
                ),
                "",
            )
            .out_of_reach(),
            None => Finding::ok(CHECK, "no damage was found"),
        }
    }

    pub(super) fn zonefiles_finding(&self) -> Finding {
        const CHECK: &str = "zonefiles";
        let Ok(zonefiles) = self.names.zonefiles(1) else {
            return Finding::unknown(CHECK, "the database cannot be read");
        };
        let (present, missing) = (zonefiles.present, zonefiles.missing_count);
        match zonefiles.missing.first() {
            None => Finding::ok(CHECK, format!("{present} there, none missing")),
            Some(first) => Finding::warning(
                CHECK,
                format!(
                    "{missing} of {} are missing, as that of {} ({}): such names are SERVFAIL until one with this hash is in a watched folder or is published again",
                    present + missing,
                    first.name,
                    first.hash
                ),
                "bnsd zonefile missing",
            ),
        }
    }
}

/// What commands of bnsd are made of.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ' ' || c == '-'
}
