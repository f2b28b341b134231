//! Why an operation is refused: one variant per rule that can refuse, each with its section.

/// The rule that refused an operation. Its text says what stands in the way.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
pub enum Reject {
    /// The payload or the outputs are not what the opcode promises (wf §4, §6).
    #[error("the payload or its outputs are malformed")]
    Malformed,
    /// The name ends in a line feed, which the reference's character check lets pass (wf §5).
    #[error("the name is illegal")]
    IllegalName,
    /// An input spends something other than p2pkh or p2sh (wf §1 step 4).
    #[error("every input must spend a p2pkh or p2sh output")]
    UnsupportedSenderScript,
    /// An import whose first input reveals no public key (wf §3).
    #[error("the sender's public key must be visible in an input")]
    SenderPubkeyRequired,
    /// An unspent preorder has this hash (sm §6.1 rule 1, §6.7 rule 1, §4.3).
    #[error("an unspent preorder with the same hash stands in the way")]
    PreorderHashInUse,
    /// The quoted consensus hash is older than the window or unknown (sm §2, CHVALID).
    #[error("the quoted consensus hash is unknown or too old")]
    StaleConsensusHash,
    /// The sender or the new owner holds as many names as one script may (sm §2, QUOTA).
    #[error("a script cannot hold more names")]
    QuotaExceeded,
    /// The fee went to another address than it must (sm §6.1 rule 4, §6.7 rule 3).
    #[error("the fee was not paid to the burn address")]
    WrongBurnAddress,
    /// No token account of this type (sm §6.12 rule 4).
    #[error("the sender has no token account")]
    NoTokenAccount,
    /// Too few tokens (sm §6.12 rule 6).
    #[error("the sender has too few tokens")]
    InsufficientTokens,
    /// Tokens of the sender are locked (sm §6.12 rule 5).
    #[error("the sender's tokens are still locked")]
    TokensLocked,
    /// The receiving account does not accept transfers (sm §6.12 rule 7).
    #[error("the recipient does not accept tokens")]
    RecipientNotWhitelisted,
    /// A transfer of nothing (sm §6.12 rule 1).
    #[error("the amount is zero")]
    ZeroAmount,
    /// The name was revoked and has not expired (sm §6.2 rule 2).
    #[error("the name is revoked")]
    NameRevoked,
    /// The name does not exist or has expired.
    #[error("the name does not exist or has expired")]
    NameNotLive,
    /// The name is registered already (sm §6.2 rule 8).
    #[error("the name is registered already")]
    NameRegistered,
    /// Only a renewal is allowed for now (sm §2, GRACE).
    #[error("the name is in its grace period, only its renewal is allowed")]
    NameInGracePeriod,
    /// The sender, or the new owner before epoch 3, does not own the name.
    #[error("the sender does not own the name")]
    NotOwner,
    /// The namespace takes no names yet (sm §2, READY).
    #[error("the namespace is not ready")]
    NamespaceNotReady,
    /// The namespace is ready already (sm §6.8 rule 3, §6.10 rule 3).
    #[error("the namespace is ready already")]
    NamespaceAlreadyReady,
    /// The namespace is not revealed, or its reveal has lapsed (sm §2, REVEALED).
    #[error("the namespace is not revealed, or its reveal has lapsed")]
    NamespaceNotRevealed,
    /// The namespace is revealed and not lapsed (sm §6.8 rule 2).
    #[error("the namespace is revealed already")]
    NamespaceAlreadyRevealed,
    /// p2sh owners begin with epoch 2 (sm §6.2 rule 5, §6.5 rule 9).
    #[error("script addresses cannot own names in this epoch")]
    MultisigNotEnabled,
    /// No unspent preorder commits to this (sm §6.2 rule 6, §6.8 rule 4).
    #[error("no preorder matches")]
    NoMatchingPreorder,
    /// The preorder is too old (sm §6.2 rules 6 and 7).
    #[error("the preorder has expired")]
    PreorderExpired,
    /// The preorder was made before the namespace was ready (sm §6.2 rule 9).
    #[error("the name was preordered before its namespace was ready")]
    PreorderedBeforeReady,
    /// Too little was paid, in the wrong currency, or to the wrong address (sm §7.3).
    #[error("too little was paid, or not to the right address")]
    InsufficientPayment,
    /// The owner after a renewal must be the sender before epoch 3 (sm §6.3 rule 2).
    #[error("sender and recipient must be the same in this epoch")]
    SenderRecipientMismatch,
    /// No name of the sender fits the update (sm §6.4 rule 2), none the transfer (sm §6.5 rule 1).
    #[error("no name fits the hash in the operation")]
    UnknownNameHash,
    /// Sender and recipient are the same (sm §6.5 rule 5, §6.12 rule 2).
    #[error("sender and recipient are the same")]
    TransferToSelf,
    /// Namespaces of this version begin with a later epoch (sm §6.8 rule 6).
    #[error("namespaces of this version are not supported in this epoch")]
    VersionNotSupported,
    /// The first import must come from the revealer (sm §6.9 rule 4).
    #[error("the first import must be signed by the namespace's revealer")]
    FirstImportNotFromRevealer,
    /// Not a key of the revealer's chain (sm §6.9 rule 4).
    #[error("the sender is not in the namespace's import keychain")]
    ImporterNotInKeychain,
    /// Two valid creations of one name or namespace in a block cancel each other (sm §4).
    #[error("another operation of the same block creates the same name")]
    Collision,
    /// Only the owners of configured names may announce (sm §6.11).
    #[error("the sender is not an announcer")]
    AnnouncerNotWhitelisted,
}
