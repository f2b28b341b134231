//! Why an operation was not done, and what to do about it.

use std::path::PathBuf;

use crate::api::owner::{JudgeReply, Verdict};
use crate::cli::Exit;
use crate::wallet::coins::FundingError;
use crate::wallet::fee::TooHigh;
use crate::wallet::journal::JournalError;
use crate::wallet::lock::LockError;
use crate::wallet::node::NodeError;
use crate::wallet::operation::BuildError;
use crate::wallet::passphrase::PassphraseError;
use crate::wallet::phrase::PhraseError;
use crate::wallet::psbt::PsbtError;
use crate::wallet::vault::VaultError;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The keys do not do.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The phrase does not do.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The multisignature address does not do.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal does not do.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The node does not do.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The PSBT does not do.
    #[error(transparent)]
    Psbt(#[from] PsbtError),
    /// The transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The sender has no coins.
    #[error(
        "{address} has no spendable output, and whoever sends an operation has to spend one: send at least 5500 satoshi to it first"
    )]
    NoCoins {
        /// The sender.
        address: String,
    },
    /// The fee is absurd.
    #[error(transparent)]
    Fee(#[from] TooHigh),
    /// A rule would refuse it.
    #[error("{}", refusal(.0))]
    WouldFail(Box<JudgeReply>),
    /// A rule refused it in a block.
    #[error(
        "block {height} holds transaction {txid}, but the rules refused it: {reason}. What it paid is spent; run the command again to try once more"
    )]
    Refused {
        /// Height of the block.
        height: u32,
        /// The transaction.
        txid: String,
        /// The rule.
        reason: String,
    },
    /// The transaction can never be mined.
    #[error(
        "transaction {txid} was not mined, and the node does not take it any more ({reason}): its coins may have been spent elsewhere. See `bnsd name pending`; `--forget {subject}` there gives it up"
    )]
    Lost {
        /// The transaction.
        txid: String,
        /// What the node says.
        reason: String,
        /// What it was for.
        subject: String,
    },
    /// A sale whose consensus hash is too old.
    #[error(
        "the sale quotes a consensus hash that is too old, so the name would not be transferred: make the sale anew with `bnsd name sell`. Nothing was sent"
    )]
    SaleTooOld,
    /// A sale that was taken back.
    #[error(
        "the sale would not transfer the name any more, so the payment was taken back with transaction {txid}: see `bnsd name show`, and make the sale anew with `bnsd name sell`"
    )]
    SaleLapsed {
        /// What spends the buyer's coins instead.
        txid: String,
    },
    /// It is for others to sign and send.
    #[error(
        "the {operation} of {subject} was handed out as a PSBT and is in no block yet: sign it with `bnsd tx sign`, send it with `bnsd tx send`, then run this again; --psbt FILE writes it once more, and `bnsd name pending --forget {subject}` gives it up"
    )]
    HandedOut {
        /// Name or namespace.
        subject: String,
        /// In the reference's words.
        operation: &'static str,
    },
    /// Only signed coins of the right kind can be in an operation.
    #[error(
        "{0} is native segwit, and one such input or owner voids a name operation: use an address that begins with 1, 3, m, n or 2"
    )]
    NativeSegwit(String),
    /// The name belongs to somebody else.
    #[error("no key here is the owner {0}: add it with `bnsd keys import`")]
    NotOurs(String),
    /// There are several keys, or none.
    #[error("{}", which_key(*.0))]
    WhichKey(usize),
    /// Something else is under way on the same subject.
    #[error(
        "{subject} is in the middle of `{goal}`: run that command again to finish it, or give it up with `bnsd name pending --forget {subject}`"
    )]
    UnderWay {
        /// Name or namespace.
        subject: String,
        /// What was begun.
        goal: String,
    },
    /// The same was begun with other terms.
    #[error(
        "{subject} was begun with {what} {before}: run the command with that, or give it up with `bnsd name pending --forget {subject}`"
    )]
    OtherTerms {
        /// Name or namespace.
        subject: String,
        /// Which term.
        what: String,
        /// What it was.
        before: String,
    },
    /// A file of the user cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// The answer is no.
    #[error("{0}")]
    No(String),
    /// It went wrong on the way.
    #[error("{0}")]
    Trouble(String),
}

impl From<FundingError> for OwnError {
    fn from(error: FundingError) -> Self {
        Self::Build(error.into())
    }
}

impl OwnError {
    /// The exit code that tells a script about it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::WouldFail(_)
            | Self::Refused { .. }
            | Self::SaleTooOld
            | Self::SaleLapsed { .. }
            | Self::No(_) => Exit::No,
            Self::Usage(_)
            | Self::WhichKey(_)
            | Self::NativeSegwit(_)
            | Self::OtherTerms { .. } => Exit::WrongUse,
            _ => Exit::Trouble,
        }
    }
}

fn which_key(count: usize) -> String {
    match count {
        0 => "there is no key yet: make one with `bnsd keys new me`".to_owned(),
        count => format!("there are {count} keys: say which one with --key"),
    }
}

/// The rule, what to do, and when it would pass.
fn refusal(reply: &JudgeReply) -> String {
    let Some(verdict) = reply
        .verdicts
        .iter()
        .find(|verdict| verdict.reject.is_some())
    else {
        return "the transaction carries no operation".to_owned();
    };
    let mut text = format!(
        "{} would be refused in block {}: {}. Nothing was sent.",
        verdict.operation,
        verdict.height,
        verdict.reason.as_deref().unwrap_or("for no known reason"),
    );
    text.push(' ');
    text.push_str(advice(verdict));
    if let Some(height) = reply.passes_at {
        text.push_str(&format!(" It would pass from block {height} on."));
    }
    text
}

/// What to do about each rule that refuses.
fn advice(verdict: &Verdict) -> &'static str {
    match verdict.reject.as_deref().unwrap_or_default() {
        "Malformed" => "The name or namespace does not fit this epoch's form of the operation.",
        "IllegalName" => "Names have a-z, 0-9, - and _ and one dot.",
        "UnsupportedSenderScript" => "Pay from p2pkh or p2sh coins only.",
        "SenderPubkeyRequired" => "Send it from a p2pkh address.",
        "PreorderHashInUse" => {
            "This preorder is on the chain already: go on with `bnsd name register`, or take another owner address."
        }
        "StaleConsensusHash" => "Build it again: it then quotes the newest consensus hash.",
        "QuotaExceeded" => "An address holds at most 25 names: use another one, --key NAME/1.",
        "WrongBurnAddress" => "Build it again: the fee has to go to the burn address.",
        "NoTokenAccount" | "InsufficientTokens" | "TokensLocked" => {
            "Pay in bitcoin where that is taken, or from an address that holds the tokens."
        }
        "RecipientNotWhitelisted" => "Send them to another address.",
        "ZeroAmount" => "Name an amount.",
        "NameRevoked" => "A revoked name is free again when its term has ended.",
        "NameNotLive" => "Register it first: `bnsd name register`.",
        "NameRegistered" => "Somebody has it; `bnsd name show` says who and until when.",
        "NameInGracePeriod" => "Renew it first: `bnsd name renew`.",
        "NotOwner" | "UnknownNameHash" => {
            "Use the key of the owner; `bnsd name show` says which address that is."
        }
        "NamespaceNotReady" => {
            "Names can be registered once the namespace is opened with `bnsd namespace ready`."
        }
        "NamespaceAlreadyReady" | "NamespaceAlreadyRevealed" => "Choose another namespace.",
        "NamespaceNotRevealed" => "Reveal the namespace first: `bnsd namespace reveal`.",
        "MultisigNotEnabled" => "Use a p2pkh address.",
        "NoMatchingPreorder" => {
            "Preorder first, from the same key and for the same owner; a preorder whose transaction is not mined yet does not count."
        }
        "PreorderExpired" => "Preorder again.",
        "PreorderedBeforeReady" => "Preorder again, now that the namespace is open.",
        "InsufficientPayment" => {
            "Preorder or renew again with the price that `bnsd name price` says."
        }
        "SenderRecipientMismatch" => {
            "In this epoch a renewal cannot change the owner: transfer it afterwards."
        }
        "TransferToSelf" => "Name another address with --to.",
        "VersionNotSupported" => "Choose --rules 1.",
        "FirstImportNotFromRevealer" | "ImporterNotInKeychain" => {
            "Import with the key that revealed the namespace."
        }
        "Collision" => "Send one of them only.",
        "AnnouncerNotWhitelisted" => "Only the owners of configured names can announce.",
        _ => NO_ADVICE,
    }
}

/// For a rule that this program does not know: the daemon is newer.
const NO_ADVICE: &str = "See `bnsd name show` and `bnsd namespace show`.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::Reject;

    #[test]
    fn a_refusal_says_rule_remedy_and_height() {
        let reject = Reject::NameInGracePeriod;
        let reply = JudgeReply {
            height: 7,
            verdicts: vec![Verdict {
                height: 7,
                operation: "NAME_UPDATE".to_owned(),
                reject: Some(format!("{reject:?}")),
                reason: Some(reject.to_string()),
                text: None,
            }],
            passes_at: Some(9),
        };
        let error = OwnError::WouldFail(Box::new(reply));
        assert_eq!(
            error.to_string(),
            "NAME_UPDATE would be refused in block 7: the name is in its grace period, only its renewal is allowed. \
             Nothing was sent. Renew it first: `bnsd name renew`. It would pass from block 9 on."
        );
        assert_eq!(error.exit(), Exit::No);
    }

    #[test]
    fn there_is_advice_on_every_rule() {
        for reject in crate::wallet::tests::rejects::ALL {
            let verdict = Verdict {
                reject: Some(format!("{reject:?}")),
                ..Verdict::default()
            };
            assert_ne!(advice(&verdict), NO_ADVICE, "{reject:?}");
        }
    }
}
