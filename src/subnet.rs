//! Networks of clients and peers, as configurations name them. This module is pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses with a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network; write for example 192.168.0.0/16 or 2001:db8::/32")]
pub struct ParseSubnetError(String);

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let problem = || ParseSubnetError(text.to_owned());
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| problem())?;
        let (longest, _) = masked(address, 0);
        let bits = bits
            .map_or(Ok(longest), str::parse)
            .map_err(|_| problem())?;
        if bits > longest {
            return Err(problem());
        }
        Ok(Self { address, bits })
    }
}

impl Subnet {
    /// Whether an address begins like the network's.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(self.address, self.bits) == masked(address, self.bits)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// How long an address is in bits, and its first `bits`, the rest 0.
pub fn masked(address: IpAddr, bits: u8) -> (u8, u128) {
    let (value, width) = match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32_u8),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let dropped = width.saturating_sub(bits);
    (width, value.checked_shr(dropped.into()).unwrap_or(0))
}
