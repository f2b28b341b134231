//! Why a wish was not carried out, and what to do about it.

use bitcoin::Txid;

use super::concern::UnansweredZone;
use super::outlay::Missing;
use super::state::{Judgement, StateError};
use crate::bns::Reject;
use crate::wallet::coins::FundingError;
use crate::wallet::fee::TooHigh;
use crate::wallet::journal::JournalError;
use crate::wallet::node::NodeError;
use crate::wallet::operation::BuildError;
use crate::wallet::psbt::PsbtError;
use crate::wallet::vault::VaultError;
use crate::wallet::words;

/// What a task returns.
pub type Result<T, E = TaskError> = std::result::Result<T, E>;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The state of the chain cannot be asked.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key file cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The node cannot be asked, or refuses a transaction.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A PSBT cannot be read, signed or finished.
    #[error(transparent)]
    Psbt(#[from] PsbtError),
    /// The transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The coins do not last for all that is wished.
    #[error("{0}")]
    MissingCoins(Box<Missing>),
    /// The fee is more than a tenth of what is spent.
    #[error(transparent)]
    Fee(#[from] TooHigh),
    /// A rule would refuse it.
    #[error("{}", refusal(.0))]
    WouldFail(Box<Judgement>),
    /// A rule refused it in a block.
    #[error(
        "block {block} holds transaction {txid}, but the rules refused it: {reason}. What it paid is spent; run the command again to try once more"
    )]
    Refused {
        /// The block, with its time.
        block: String,
        /// The transaction.
        txid: Txid,
        /// The rule.
        reason: String,
    },
    /// The transaction can never be mined.
    #[error(
        "transaction {txid} was not mined, and the node does not take it any more ({reason}): its coins may have been spent elsewhere. See `bnsd name pending`; `--forget {subject}` there gives it up"
    )]
    Lost {
        /// The transaction.
        txid: Txid,
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
        txid: Txid,
    },
    /// Resolvers would leave out something of zone files.
    #[error("{}\nMend it, or insist with --anyway. Nothing was sent", lines(.0))]
    Unanswered(Vec<UnansweredZone>),
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
    /// What the chain, the journal or a file says contradicts itself.
    #[error("{0} cannot be: see `bnsd name pending`, and report it")]
    Contradiction(&'static str),
    /// Something failed, for this reason.
    #[error("{0}")]
    Trouble(String),
    /// The wish makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The answer is no.
    #[error("{0}")]
    No(String),
}

impl From<FundingError> for TaskError {
    fn from(error: FundingError) -> Self {
        Self::Build(error.into())
    }
}

/// Who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The rules or the state say no.
    Refusal,
    /// Whoever asked has to ask otherwise.
    Usage,
    /// Something failed on the way.
    Trouble,
}

impl TaskError {
    /// Who has to do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::WouldFail(_)
            | Self::Refused { .. }
            | Self::SaleTooOld
            | Self::SaleLapsed { .. }
            | Self::Unanswered(_)
            | Self::No(_) => Fault::Refusal,
            Self::State(StateError::Usage(_)) | Self::Node(NodeError::Absent) | Self::Usage(_) => {
                Fault::Usage
            }
            _ => Fault::Trouble,
        }
    }
}

/// One zone file below the other.
fn lines(zones: &[UnansweredZone]) -> String {
    let zones: Vec<String> = zones.iter().map(ToString::to_string).collect();
    zones.join("\n")
}

/// What is wrong with an address or coin that is native segwit.
pub(super) fn native_segwit(what: &str) -> TaskError {
    TaskError::Usage(format!(
        "{what} is native segwit, and one such input or owner voids a name operation: use an address that begins with 1, 3, m, n or 2"
    ))
}

/// The rule, what to do, and when it would pass.
fn refusal(judgement: &Judgement) -> String {
    let Some((verdict, reject)) = judgement.refusal() else {
        return "the transaction carries no operation".to_owned();
    };
    let mut text = format!(
        "{} would be refused in block {}: {reject}. Nothing was sent. {}",
        verdict.operation,
        words::block_to_come(verdict.height, verdict.height_estimated.as_deref()),
        match (reject, verdict.operation.as_str()) {
            (Reject::PreorderHashInUse, "NAMESPACE_PREORDER") =>
                "This preorder is on the chain already: go on with `bnsd namespace reveal`.",
            _ => advice(reject),
        }
    );
    if let Some(height) = judgement.passes_at {
        let date = judgement.passes_at_estimated.as_deref();
        let block = words::block_to_come(height, date);
        text.push_str(&format!(" It would pass from block {block} on."));
    }
    text
}

/// What to do about each rule that refuses.
fn advice(reject: Reject) -> &'static str {
    match reject {
        Reject::Malformed => {
            "The name or namespace does not fit this epoch's form of the operation."
        }
        Reject::IllegalName => "Names have a-z, 0-9, - and _ and one dot.",
        Reject::UnsupportedSenderScript => "Pay from p2pkh or p2sh coins only.",
        Reject::SenderPubkeyRequired => "Send it from a p2pkh address.",
        Reject::PreorderHashInUse => {
            "This preorder is on the chain already: go on with `bnsd name register`, or take another owner address."
        }
        Reject::StaleConsensusHash => "Build it again: it then quotes the newest consensus hash.",
        Reject::QuotaExceeded => {
            "An address holds at most 25 names: use another one, --key NAME/1."
        }
        Reject::WrongBurnAddress => "Build it again: the fee has to go to the burn address.",
        Reject::NoTokenAccount | Reject::InsufficientTokens | Reject::TokensLocked => {
            "Pay in bitcoin where that is taken, or from an address that holds the tokens."
        }
        Reject::RecipientNotWhitelisted => "Send them to another address.",
        Reject::ZeroAmount => "Name an amount.",
        Reject::NameRevoked => "A revoked name is free again when its term has ended.",
        Reject::NameNotLive => "Register it first: `bnsd name register`.",
        Reject::NameRegistered => "`bnsd name show` says whose it is and until when.",
        Reject::NameInGracePeriod => "Renew it first: `bnsd name renew`.",
        Reject::NotOwner => {
            "Use the key of the owner; `bnsd name show` says which address that is."
        }
        Reject::UnknownNameHash => {
            "The sender has no such name, or it is revoked or expired: `bnsd name show` says."
        }
        Reject::NamespaceNotReady => {
            "Names can be registered once the namespace is opened with `bnsd namespace ready`."
        }
        Reject::NamespaceAlreadyReady | Reject::NamespaceAlreadyRevealed => {
            "Choose another namespace."
        }
        Reject::NamespaceNotRevealed => "Reveal the namespace first: `bnsd namespace reveal`.",
        Reject::MultisigNotEnabled => "Use a p2pkh address.",
        Reject::NoMatchingPreorder => {
            "Preorder first, from the same key and for the same owner; a preorder whose transaction is not mined yet does not count."
        }
        Reject::PreorderExpired => {
            "What it burnt is lost, and the same preorder is refused for ever: register with another --key or --owner."
        }
        Reject::PreorderedBeforeReady => "Preorder again, now that the namespace is open.",
        Reject::InsufficientPayment => {
            "Preorder or renew again with the price that `bnsd name price` says."
        }
        Reject::SenderRecipientMismatch => {
            "In this epoch a renewal cannot change the owner: transfer it afterwards."
        }
        Reject::TransferToSelf => "Name another address.",
        Reject::VersionNotSupported => "Choose --rules 1.",
        Reject::FirstImportNotFromRevealer | Reject::ImporterNotInKeychain => {
            "Import with the key that revealed the namespace."
        }
        Reject::Collision => "Send one of them only.",
        Reject::AnnouncerNotWhitelisted => "Only the owners of configured names can announce.",
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Verdict;
    use super::*;

    #[test]
    fn a_refusal_says_rule_remedy_and_height() {
        let reject = Reject::NameInGracePeriod;
        let judgement = Judgement {
            height: 7,
            verdicts: vec![Verdict {
                height: 7,
                height_estimated: Some("2027-03-01T12:00:00Z".to_owned()),
                operation: "NAME_UPDATE".to_owned(),
                reject: Some(reject),
                reason: Some(reject.to_string()),
                text: None,
            }],
            passes_at: Some(9),
            passes_at_estimated: Some("2027-03-02T12:00:00Z".to_owned()),
        };
        let error = TaskError::WouldFail(Box::new(judgement));
        assert_eq!(
            error.to_string(),
            "NAME_UPDATE would be refused in block 7 (about 2027-03-01): the name is in its grace period, only its renewal is allowed. \
             Nothing was sent. Renew it first: `bnsd name renew`. It would pass from block 9 (about 2027-03-02) on."
        );
        assert_eq!(error.fault(), Fault::Refusal);
    }

    #[test]
    fn there_is_advice_on_every_rule() {
        for reject in crate::wallet::tests::rejects::ALL {
            assert!(advice(*reject).ends_with('.'), "{reject:?}");
        }
    }
}
