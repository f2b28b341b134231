//! Every rule that refuses: how a builder comes to meet it, or why none can.
//!
//! Each story ends with an operation that the forecast refuses with just this rule, as the block then does. So
//! nothing that would be refused has to be sent to find out.

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut, WPubkeyHash};

use super::rehearsal::{PRICES, Rehearsal, TOKENS, candidate, id, name, numbered, person};
use crate::bns::Reject;
use crate::bns::changes::{Change, Changes};
use crate::bns::record::Account;
use crate::bns::view::View as _;
use crate::bns::wire::TokenBurn;
use crate::hash::{ConsensusHash, OpsHash, ZonefileHash};
use crate::virtualchain::Snapshot;
use crate::wallet::coins::Coin;
use crate::wallet::lock::Lock;
use crate::wallet::operation::{Fee, OnTransfer, Operation, STACKS, Unsigned};

const VALUE_HASH: ZonefileHash = ZonefileHash([9; 20]);

/// How a builder stands to a rule.
enum Meeting {
    /// This is how it meets it.
    So(fn() -> Option<Reject>),
    /// It never does, because.
    Never(&'static str),
}
use Meeting::{Never, So};

/// Every rule once: the compiler wants all of them in the match, and none twice.
macro_rules! meetings {
    ($($reject:ident => $meeting:expr,)*) => {
        /// All rules that refuse.
        pub(crate) const ALL: &[Reject] = &[$(Reject::$reject),*];

        fn meeting(reject: Reject) -> Meeting {
            match reject {
                $(Reject::$reject => $meeting,)*
            }
        }
    };
}

meetings! {
    Malformed => So(a_zone_file_in_a_registration_of_the_second_epoch),
    IllegalName => Never("a name ends in no line feed: `Name` and `NamespaceId` cannot be made so"),
    UnsupportedSenderScript => So(a_coin_of_native_segwit_in_a_sale),
    SenderPubkeyRequired => So(an_import_by_several_signatures),
    PreorderHashInUse => So(a_preorder_again),
    StaleConsensusHash => So(a_preorder_that_waited_too_long),
    QuotaExceeded => So(a_preorder_by_somebody_with_25_names),
    WrongBurnAddress => So(a_namespace_paid_to_somebody),
    NoTokenAccount => So(tokens_of_somebody_without_any),
    InsufficientTokens => So(more_tokens_than_there_are),
    TokensLocked => So(tokens_that_are_locked),
    RecipientNotWhitelisted => So(tokens_for_somebody_who_takes_none),
    ZeroAmount => So(no_tokens),
    NameRevoked => So(a_renewal_of_a_revoked_name),
    NameNotLive => So(a_revocation_of_a_free_name),
    NameRegistered => So(a_registration_again),
    NameInGracePeriod => So(an_update_after_the_term),
    NotOwner => So(a_revocation_by_somebody_else),
    NamespaceNotReady => So(a_registration_before_the_opening),
    NamespaceAlreadyReady => So(a_reveal_after_the_opening),
    NamespaceNotRevealed => So(an_opening_without_a_reveal),
    NamespaceAlreadyRevealed => So(a_reveal_again),
    MultisigNotEnabled => So(a_shared_owner_in_the_first_epoch),
    NoMatchingPreorder => So(a_registration_without_a_preorder),
    PreorderExpired => So(a_registration_that_waited_too_long),
    PreorderedBeforeReady => So(a_registration_of_an_early_preorder),
    InsufficientPayment => So(a_registration_of_a_cheap_preorder),
    SenderRecipientMismatch => So(a_renewal_for_somebody_else),
    UnknownNameHash => So(an_update_by_somebody_else),
    TransferToSelf => So(a_transfer_to_oneself),
    VersionNotSupported => So(a_namespace_of_a_later_version),
    FirstImportNotFromRevealer => So(an_import_by_somebody_else),
    ImporterNotInKeychain => So(a_later_import_by_somebody_else),
    Collision => So(two_registrations_in_a_block),
    AnnouncerNotWhitelisted => So(an_announcement_by_anybody),
}

#[test]
fn every_rule_is_met_or_cannot_be() {
    for &reject in ALL {
        match meeting(reject) {
            So(story) => assert_eq!(story(), Some(reject)),
            Never(why) => assert!(!why.is_empty()),
        }
    }
}

/// A shared address of keys 7 and 8.
fn shared() -> Lock {
    let keys = [7, 8].map(|number| numbered(number).public());
    Lock::multisig(2, keys.to_vec()).expect("two of two")
}

fn import(text: &str) -> Operation {
    Operation::name_import(&name(text), person(7).address(), VALUE_HASH)
}

fn reveal(chain: &Rehearsal, version: u16) -> Operation {
    Operation::namespace_reveal(&id("space"), chain.me.address(), 1_000, PRICES, version)
}

fn ready(chain: &Rehearsal) -> Operation {
    Operation::namespace_ready(&id("space"), chain.me.address())
}

// ---- form -----------------------------------------------------------------------------------------------

fn a_zone_file_in_a_registration_of_the_second_epoch() -> Option<Reject> {
    let mut chain = Rehearsal::open(2);
    chain.must(&chain.preorder("name.space"));
    let me = chain.me.address();
    chain.does(&Operation::name_register(
        &name("name.space"),
        me,
        Some(VALUE_HASH),
    ))
}

/// No coin of ours is of that kind, but a buyer's may be.
fn a_coin_of_native_segwit_in_a_sale() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    let (me, other) = (chain.me.clone(), person(8).address());
    let transfer = Operation::name_transfer(
        &name("name.space"),
        me.address(),
        other,
        chain.quoted(),
        OnTransfer::KeepZonefile,
    );
    let sent = chain.sent(&me, &transfer);
    let segwit = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([1; 20]));
    let spent = [sent.prevouts[0].script_pubkey.clone(), segwit];
    let coins = spent.map(|script_pubkey| {
        let value = Amount::ONE_BTC;
        let output = TxOut {
            value,
            script_pubkey,
        };
        Coin::from((OutPoint::null(), output))
    });
    let sale = Unsigned::exactly(&coins, sent.transaction.output);
    let verdicts = chain.connect(vec![candidate(sale.transaction, sale.prevouts)]);
    verdicts[0]
}

fn an_import_by_several_signatures() -> Option<Reject> {
    Rehearsal::revealed(3, 1_000).does_as(&shared(), &import("name.space"))
}

// ---- names ----------------------------------------------------------------------------------------------

fn a_preorder_again() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    chain.must(&chain.preorder("name.space"));
    chain.does(&chain.preorder("name.space"))
}

fn a_preorder_that_waited_too_long() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    let preorder = chain.preorder("name.space");
    chain.rest(chain.bns.params().consensus_hash_lifetime);
    chain.does(&preorder)
}

fn a_preorder_by_somebody_with_25_names() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 1_000);
    for number in 0..25 {
        chain.must(&import(&format!("name{number}.space")));
    }
    chain.must(&ready(&chain));
    chain.does(&chain.preorder("name.space"))
}

fn a_renewal_of_a_revoked_name() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    let me = chain.me.address();
    chain.must(&Operation::name_revoke(&name("name.space"), me));
    let burn = chain.burn();
    chain.does(&Operation::name_renew(
        &name("name.space"),
        me,
        None,
        None,
        burn,
    ))
}

fn a_revocation_of_a_free_name() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    let me = chain.me.address();
    chain.does(&Operation::name_revoke(&name("free.space"), me))
}

fn a_registration_again() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    chain.does(&chain.register("name.space"))
}

fn an_update_after_the_term() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 5);
    chain.must(&import("name.space"));
    chain.must(&ready(&chain));
    chain.rest(10); // twice the lifetime, from the opening on
    let me = chain.me.address();
    let quoted = chain.quoted();
    chain.does(&Operation::name_update(
        &name("name.space"),
        me,
        quoted,
        VALUE_HASH,
    ))
}

fn a_revocation_by_somebody_else() -> Option<Reject> {
    let other = person(8);
    let revoke = Operation::name_revoke(&name("name.space"), other.address());
    Rehearsal::registered(3).does_as(&other, &revoke)
}

fn a_shared_owner_in_the_first_epoch() -> Option<Reject> {
    let mut chain = Rehearsal::open(1);
    let owner = shared().address();
    let script = chain.me.script();
    let (quoted, burn, versions) = (chain.quoted(), chain.burn(), chain.versions());
    chain.must(&Operation::name_preorder(
        &name("name.space"),
        &script,
        (owner, versions),
        quoted,
        None,
        burn,
    ));
    chain.does(&Operation::name_register(&name("name.space"), owner, None))
}

fn a_registration_without_a_preorder() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    chain.does(&chain.register("name.space"))
}

fn a_registration_that_waited_too_long() -> Option<Reject> {
    let mut chain = Rehearsal::open(4);
    chain.must(&chain.preorder("name.space"));
    chain.rest(chain.bns.params().name_preorder_expire);
    chain.does(&chain.register("name.space"))
}

fn a_registration_of_an_early_preorder() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 1_000);
    chain.must(&chain.preorder("name.space"));
    chain.must(&ready(&chain));
    chain.does(&chain.register("name.space"))
}

fn a_registration_of_a_cheap_preorder() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    let cheap = Fee {
        amount: Amount::ONE_SAT,
        ..chain.burn()
    };
    let owner = (chain.me.address(), chain.versions());
    let script = chain.me.script();
    let quoted = chain.quoted();
    let preorder =
        Operation::name_preorder(&name("name.space"), &script, owner, quoted, None, cheap);
    chain.must(&preorder);
    chain.does(&chain.register("name.space"))
}

fn a_renewal_for_somebody_else() -> Option<Reject> {
    let mut chain = Rehearsal::registered(2);
    let (other, burn) = (person(8).address(), chain.burn());
    chain.does(&Operation::name_renew(
        &name("name.space"),
        other,
        None,
        None,
        burn,
    ))
}

fn an_update_by_somebody_else() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    let other = person(8);
    let quoted = chain.quoted();
    let update = Operation::name_update(&name("name.space"), other.address(), quoted, VALUE_HASH);
    chain.does_as(&other, &update)
}

fn a_transfer_to_oneself() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    let (me, quoted) = (chain.me.address(), chain.quoted());
    let keep = OnTransfer::KeepZonefile;
    chain.does(&Operation::name_transfer(
        &name("name.space"),
        me,
        me,
        quoted,
        keep,
    ))
}

/// Both preorders are good, so each registration is; together they cancel each other (sm §4).
fn two_registrations_in_a_block() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    let (me, other) = (chain.me.clone(), person(8));
    for sender in [&me, &other] {
        let preorder = chain.preorder_of("name.space", sender);
        assert_eq!(chain.does_as(sender, &preorder), None);
    }
    let both = [&me, &other].map(|sender| {
        let register = Operation::name_register(&name("name.space"), sender.address(), None);
        chain.sent(sender, &register)
    });
    let verdicts = chain.connect(both.to_vec());
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts[0]
}

fn an_announcement_by_anybody() -> Option<Reject> {
    let mut chain = Rehearsal::registered(3);
    let me = chain.me.address();
    chain.does(&Operation::announce(VALUE_HASH, me))
}

// ---- namespaces -----------------------------------------------------------------------------------------

fn a_namespace_paid_to_somebody() -> Option<Reject> {
    let mut chain = Rehearsal::new(3);
    let wrong = Fee {
        to: person(8).address(),
        ..chain.burn()
    };
    chain.does(&chain.namespace_preorder_for("space", None, wrong))
}

fn a_registration_before_the_opening() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 1_000);
    chain.must(&chain.preorder("name.space"));
    chain.does(&chain.register("name.space"))
}

fn a_reveal_after_the_opening() -> Option<Reject> {
    let mut chain = Rehearsal::open(3);
    chain.does(&reveal(&chain, 1))
}

fn an_opening_without_a_reveal() -> Option<Reject> {
    let mut chain = Rehearsal::new(3);
    chain.does(&ready(&chain))
}

fn a_reveal_again() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 1_000);
    chain.does(&reveal(&chain, 1))
}

fn a_namespace_of_a_later_version() -> Option<Reject> {
    let mut chain = Rehearsal::new(2);
    chain.must(&chain.namespace_preorder("space"));
    chain.does(&reveal(&chain, 2))
}

fn an_import_by_somebody_else() -> Option<Reject> {
    Rehearsal::revealed(3, 1_000).does_as(&person(8), &import("name.space"))
}

fn a_later_import_by_somebody_else() -> Option<Reject> {
    let mut chain = Rehearsal::revealed(3, 1_000);
    chain.must(&import("name.space"));
    chain.does_as(&person(8), &import("other.space"))
}

// ---- tokens ---------------------------------------------------------------------------------------------

fn tokens_of_somebody_without_any() -> Option<Reject> {
    let mut chain = Rehearsal::open(4);
    let other = person(8);
    let burn = TokenBurn {
        amount: 1,
        token_type: STACKS.to_vec(),
    };
    let owner = (other.address(), chain.versions());
    let (quoted, fee) = (chain.quoted(), chain.burn());
    let script = other.script();
    let preorder =
        Operation::name_preorder(&name("name.space"), &script, owner, quoted, Some(burn), fee);
    chain.does_as(&other, &preorder)
}

fn more_tokens_than_there_are() -> Option<Reject> {
    let mut chain = Rehearsal::new(4);
    let burn = chain.burn();
    chain.does(&chain.namespace_preorder_for("space", Some(TOKENS + 1), burn))
}

fn no_tokens() -> Option<Reject> {
    moves_tokens(&mut Rehearsal::new(4), 0)
}

fn tokens_that_are_locked() -> Option<Reject> {
    let mut chain = Rehearsal::new(4);
    let me = person(7);
    changes_account(&mut chain, &me, |account| {
        account.lock_transfer_block_id = 1_000;
    });
    moves_tokens(&mut chain, 5)
}

fn tokens_for_somebody_who_takes_none() -> Option<Reject> {
    let mut chain = Rehearsal::new(4);
    assert_eq!(moves_tokens(&mut chain, 5), None);
    let other = person(8);
    changes_account(&mut chain, &other, |account| {
        account.receive_whitelisted = false;
    });
    moves_tokens(&mut chain, 5)
}

fn moves_tokens(chain: &mut Rehearsal, amount: u64) -> Option<Reject> {
    let (other, quoted) = (person(8).address(), chain.quoted());
    chain.does(&Operation::token_transfer(other, quoted, amount, b""))
}

/// Accounts with such properties were part of the historical genesis; no operation makes one.
fn changes_account(chain: &mut Rehearsal, owner: &Lock, change: impl FnOnce(&mut Account)) {
    let Ok(before) = chain.state.account(&owner.address());
    let mut after = before.clone().expect("an account");
    change(&mut after);
    let mut changes = Changes::default();
    let after = Some(after);
    changes
        .accounts
        .insert(owner.address(), Change { before, after });
    let snapshot = Snapshot {
        ops_hash: OpsHash([1; 32]),
        consensus_hash: ConsensusHash([1; 16]),
    };
    chain.state.connect(chain.height, &changes, snapshot);
    chain.height += 1;
}
