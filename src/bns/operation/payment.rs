//! Was a name paid for? (sm §7.3)

use crate::bns::address::Address;
use crate::bns::block::{Block, Checked, ensure};
use crate::bns::name::Name;
use crate::bns::price::{self, Wide};
use crate::bns::record::NamespaceRecord;
use crate::bns::reject::Reject;
use crate::bns::view::View;

/// What was paid for a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payment {
    /// Where the satoshi went.
    pub burn_address: Address,
    /// How many.
    pub op_fee: u64,
    /// µSTX, if it was paid in tokens; they then decide alone.
    pub tokens: Option<u64>,
    /// Height whose prices hold.
    pub price_height: u32,
}

impl Payment {
    /// Refuses what is too little, in the wrong currency, or paid to the wrong address (sm §7.3).
    pub(super) fn check<V: View>(
        &self,
        block: &Block<'_, V>,
        name: &Name,
        namespace: &NamespaceRecord,
    ) -> Checked<V> {
        let features = &block.epoch.features;
        let burnt = self.burn_address == block.params.burn_address;
        let tokens = self.tokens.filter(|_| features.nameops_cost_tokens);
        let accepted = match namespace.version {
            1 => burnt && self.covers_price(block, name, namespace, tokens),
            2 if !features.pay_to_creator => false,
            2 if receives_fees(block, namespace) => {
                // Quirk PAY-TO-PAYER: the payer of the reveal, not the revealer.
                self.burn_address == namespace.address
                    && tokens.is_none()
                    && self.covers_price(block, name, namespace, None)
            }
            2 => burnt && self.covers_price(block, name, namespace, tokens),
            _ => {
                let price = price::name_price_in_version_3(&namespace.price, name.label());
                let paid = tokens.is_some_and(|tokens| Wide::from(tokens) >= price);
                features.namespace_pay_with_stacks && burnt && paid
            }
        };
        ensure(accepted, Reject::InsufficientPayment)
    }

    fn covers_price<V: View>(
        &self,
        block: &Block<'_, V>,
        name: &Name,
        namespace: &NamespaceRecord,
        tokens: Option<u64>,
    ) -> bool {
        let epoch = block.params.epoch(self.price_height);
        let price = price::name_price(&namespace.price, name.label(), block.params, epoch);
        match tokens {
            Some(tokens) => Wide::from(tokens) >= price::name_price_in_stacks(price),
            None => price.is_met_by(self.op_fee),
        }
    }
}

/// Whether fees of a version 2 namespace still go to its creator.
fn receives_fees<V: View>(block: &Block<'_, V>, namespace: &NamespaceRecord) -> bool {
    let period = u64::from(block.epoch.namespace_receive_fees_period);
    u64::from(namespace.reveal_block) + period >= u64::from(block.height)
}

/// Refuses unless the account of `address` can pay `tokens` (sm §6.3 rule 10).
pub(super) fn ensure_funded<V: View>(
    block: &Block<'_, V>,
    address: &Address,
    tokens: u64,
) -> Checked<V> {
    block.funded_account(address, tokens).map(|_| ())
}
