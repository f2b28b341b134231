//! Addresses of scripts, in the versions that the followed network uses (wf §2).

use std::fmt;

use super::base58;
use crate::virtualchain::script;

/// Version bytes of a network's base58 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressVersions {
    /// Version of p2pkh addresses: 0 on mainnet, 111 on test networks.
    pub p2pkh: u8,
    /// Version of p2sh addresses: 5 on mainnet, 196 on test networks.
    pub p2sh: u8,
}

impl AddressVersions {
    /// Bitcoin's main network.
    pub const MAINNET: Self = Self { p2pkh: 0, p2sh: 5 };
    /// Testnet and regtest.
    pub const TESTNET: Self = Self {
        p2pkh: 111,
        p2sh: 196,
    };
}

/// The two kinds of script that have an address for our purposes (wf §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Hash of a public key.
    P2pkh([u8; 20]),
    /// Hash of a script.
    P2sh([u8; 20]),
}

impl Address {
    /// The burn address: nobody has a key of which this is the hash.
    pub const BURN: Self = Self::P2pkh([0; 20]);

    /// The address of a script, if it is p2pkh or p2sh.
    pub fn of_script(script: &[u8]) -> Option<Self> {
        script::p2pkh_hash(script)
            .map(Self::P2pkh)
            .or_else(|| script::p2sh_hash(script).map(Self::P2sh))
    }

    /// The script that pays to this address.
    pub fn script(&self) -> Vec<u8> {
        match self {
            Self::P2pkh(hash) => [&[0x76, 0xa9, 0x14][..], hash, &[0x88, 0xac]].concat(),
            Self::P2sh(hash) => [&[0xa9, 0x14][..], hash, &[0x87]].concat(),
        }
    }

    /// The 20 bytes that the address is made of.
    pub fn hash(&self) -> [u8; 20] {
        match self {
            Self::P2pkh(hash) | Self::P2sh(hash) => *hash,
        }
    }

    /// Whether it is the hash of a script.
    pub fn is_p2sh(&self) -> bool {
        matches!(self, Self::P2sh(_))
    }

    /// Base58check text with the version bytes of a network.
    pub fn encode(&self, versions: AddressVersions) -> String {
        let (version, hash) = match self {
            Self::P2pkh(hash) => (versions.p2pkh, hash),
            Self::P2sh(hash) => (versions.p2sh, hash),
        };
        let mut bytes = [version; 21];
        bytes[1..].copy_from_slice(hash);
        base58::encode_check(&bytes)
    }

    /// The address that base58check `text` spells on a network.
    pub fn decode(text: &str, versions: AddressVersions) -> Option<Self> {
        let bytes = bitcoin::base58::decode_check(text).ok()?;
        let (&version, hash) = bytes.split_first()?;
        let hash = hash.try_into().ok()?;
        if version == versions.p2pkh {
            Some(Self::P2pkh(hash))
        } else if version == versions.p2sh {
            Some(Self::P2sh(hash))
        } else {
            None
        }
    }
}

/// Mainnet text, for logs; [`Address::encode`] is what users see.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode(AddressVersions::MAINNET))
    }
}
