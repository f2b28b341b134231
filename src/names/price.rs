//! What names and namespaces cost in the next block.

use serde::{Deserialize, Serialize};

use super::view::Names;
use crate::bns::address::Address;
use crate::bns::name::{Name, NamespaceId};
use crate::bns::price::{self, PriceFunction};
use crate::bns::record::{NamespaceRecord, TokenUnits};

/// A price and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// In satoshi; `null` where bitcoin is not taken, or no amount would do.
    pub satoshi: Option<u64>,
    /// In µSTX; `null` where tokens are not taken.
    pub micro_stacks: Option<u64>,
    /// Whom it is paid to.
    pub pay_to: String,
}

impl Names {
    /// What a registration or renewal costs, and whom it is paid to (sm §7.3).
    pub(super) fn name_price(&self, name: &Name, namespace: &NamespaceRecord) -> Price {
        let epoch = self.from.params.epoch(self.next());
        let until =
            u64::from(namespace.reveal_block) + u64::from(epoch.namespace_receive_fees_period);
        let to_creator = namespace.version == 2 && until >= u64::from(self.next());
        let pay_to = match to_creator {
            true => namespace.address,
            false => self.from.params.burn_address,
        };
        if namespace.version == 3 {
            let price = self.label_price(&namespace.price, 3, name.label());
            return self.price(None, price, pay_to);
        }
        let price = price::name_price(&namespace.price, name.label(), &self.from.params, epoch);
        let stacks = price::name_price_in_stacks(price).to_u64();
        let takes_tokens = epoch.features.nameops_cost_tokens && !to_creator;
        self.price(price.least_fee(), stacks.filter(|_| takes_tokens), pay_to)
    }

    /// What a namespace costs; it is always burnt.
    pub(super) fn namespace_price(&self, id: &NamespaceId) -> Price {
        let epoch = self.from.params.epoch(self.next());
        let price = |units| price::namespace_price(id, epoch, units);
        let stacks = price(TokenUnits::Stacks).filter(|_| epoch.features.stacks_buy_namespaces);
        self.price(
            price(TokenUnits::Btc),
            stacks,
            self.from.params.burn_address,
        )
    }

    /// What a label costs by a price function in a namespace of a version (sm §7.1): satoshi, or µSTX in version 3. `None`
    /// where no amount would do.
    pub fn label_price(&self, function: &PriceFunction, version: u16, label: &str) -> Option<u64> {
        if version == 3 {
            return price::name_price_in_version_3(function, label).to_u64();
        }
        let epoch = self.from.params.epoch(self.next());
        price::name_price(function, label, &self.from.params, epoch).least_fee()
    }

    fn price(&self, satoshi: Option<u64>, micro_stacks: Option<u64>, pay_to: Address) -> Price {
        Price {
            satoshi,
            micro_stacks,
            pay_to: pay_to.encode(self.from.params.addresses),
        }
    }
}
