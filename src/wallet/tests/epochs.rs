//! What each epoch accepts is accepted with the fields that were meant.

use super::rehearsal::{PRICES, Rehearsal, TOKENS, id, name, numbered, person};
use crate::bns::Reject;
use crate::bns::view::View as _;
use crate::bns::wire::TokenBurn;
use crate::hash::{ConsensusHash, ZonefileHash};
use crate::wallet::coins::DUST;
use crate::wallet::operation::{Fee, OnTransfer, Operation, STACKS};

const VALUE_HASH: ZonefileHash = ZonefileHash([9; 20]);

#[test]
fn every_epoch_accepts_every_operation_that_it_allows() {
    for epoch in 1..=6 {
        let mut chain = Rehearsal::new(epoch);
        let (script, me, other) = (chain.me.script(), chain.me.address(), numbered(8).address());
        let features = chain.bns.params().epoch(1).features;
        let (id, name, imported) = (id("space"), name("name.space"), name("imported.space"));
        let (burn, versions) = (chain.burn(), chain.versions());
        let tokens = features.stacks_buy_namespaces.then_some(6_400_000_000);
        let value = features.register_with_value_hash.then_some(VALUE_HASH);
        let token_field = value.and(features.nameops_cost_tokens.then_some(0));
        let steps: Vec<Box<dyn Fn(ConsensusHash) -> Operation>> = vec![
            Box::new(|ch| {
                Operation::namespace_preorder(&id, &script, (me, versions), ch, tokens, burn)
            }),
            Box::new(|_| Operation::namespace_reveal(&id, me, 1_000, PRICES, 1)),
            Box::new(|_| Operation::name_import(&imported, other, VALUE_HASH)),
            Box::new(|_| Operation::namespace_ready(&id, me)),
            Box::new(|ch| Operation::name_preorder(&name, &script, (me, versions), ch, None, burn)),
            Box::new(|_| Operation::name_register(&name, me, value)),
            Box::new(|ch| Operation::name_update(&name, me, ch, VALUE_HASH)),
            Box::new(|_| Operation::name_renew(&name, me, value, token_field, burn)),
            Box::new(|_| Operation::name_renew(&name, me, None, None, burn)),
            Box::new(|ch| Operation::name_transfer(&name, me, other, ch, OnTransfer::KeepZonefile)),
        ];
        for (number, step) in steps.iter().enumerate() {
            let operation = step(chain.quoted());
            assert_eq!(chain.does(&operation), None, "epoch {epoch}, step {number}");
        }
        let Ok(record) = chain.state.name(&name);
        let record = record.expect("registered");
        assert_eq!(record.address(), Some(other));
        assert_eq!(record.value_hash, Some(VALUE_HASH));
        let revoke = Operation::name_revoke(&name, me);
        assert_eq!(chain.does(&revoke), Some(Reject::NotOwner), "epoch {epoch}");
        let again = Operation::name_register(&name, me, None);
        assert_eq!(
            chain.does(&again),
            Some(Reject::NameRegistered),
            "epoch {epoch}"
        );
    }
}

#[test]
fn tokens_buy_names_and_move_from_the_fourth_epoch_on() {
    for epoch in 4..=6 {
        let mut chain = Rehearsal::open(epoch);
        let (me, other) = (chain.me.address(), person(8));
        let burn = TokenBurn {
            amount: 1_000_000,
            token_type: STACKS.to_vec(),
        };
        let owner = (me, chain.versions());
        let script = chain.me.script();
        let wanted = name("name.space");
        let least = Fee {
            amount: DUST,
            ..chain.burn()
        };
        chain.must(&Operation::name_preorder(
            &wanted,
            &script,
            owner,
            chain.quoted(),
            Some(burn),
            least,
        ));
        chain.must(&Operation::name_register(&wanted, me, Some(VALUE_HASH)));
        let renewal = Operation::name_renew(&wanted, me, Some(VALUE_HASH), Some(1_000_000), least);
        chain.must(&renewal);
        chain.must(&Operation::token_transfer(
            other.address(),
            chain.quoted(),
            5,
            b"note",
        ));
        let account = |address| {
            let Ok(account) = chain.state.account(&address);
            account.map(|account| account.balance())
        };
        let spent = u128::from(TOKENS) - 6_400_000_000 - 2_000_000 - 5;
        assert_eq!(account(me), Some(spent), "epoch {epoch}");
        assert_eq!(account(other.address()), Some(5), "epoch {epoch}");
    }
}
