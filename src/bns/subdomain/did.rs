//! The decentralised identifier of a subdomain: who made it, and which of that address's subdomains it is.

use crate::bns::address::{Address, AddressVersions};

/// Version bytes of p2pkh and p2sh addresses in identifiers of subdomains, on the main network and on others.
const MAINNET: AddressVersions = AddressVersions {
    p2pkh: 63,
    p2sh: 50,
};
const TESTNET: AddressVersions = AddressVersions {
    p2pkh: 127,
    p2sh: 142,
};

/// `did:stack:v0:ADDRESS-INDEX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Did {
    /// The first owner.
    pub creator: Address,
    /// How many subdomains with that first owner were created before.
    pub index: u64,
}

impl Did {
    /// Its text on the network whose addresses have these versions.
    pub fn text(&self, versions: AddressVersions) -> String {
        let versions = match versions {
            AddressVersions::MAINNET => MAINNET,
            _ => TESTNET,
        };
        let address = self.creator.encode(versions);
        format!("did:stack:v0:{address}-{}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses begin as those of the reference do.
    #[test]
    fn identifiers_of_subdomains_have_addresses_of_their_own() {
        let key = Address::P2pkh([7; 20]);
        let script = Address::P2sh([7; 20]);
        let text = |creator, versions| Did { creator, index: 3 }.text(versions);
        for (creator, versions, begins) in [
            (key, AddressVersions::MAINNET, "did:stack:v0:S"),
            (script, AddressVersions::MAINNET, "did:stack:v0:M"),
            (key, AddressVersions::TESTNET, "did:stack:v0:t"),
            (script, AddressVersions::TESTNET, "did:stack:v0:z"),
        ] {
            let text = text(creator, versions);
            assert!(text.starts_with(begins) && text.ends_with("-3"), "{text}");
        }
    }
}
