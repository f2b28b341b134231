//! Keys for tests.

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;

use super::holder::{Holder, OwnKeys, Registration};
use super::spki::Spki;
use crate::hash::ZonefileHash;

impl Holder {
    /// Nobody, in a block of the autumn of 2026.
    pub(crate) fn fixture() -> Self {
        Self {
            registration: Registration {
                magic: *b"id",
                first_block: 373_601,
                height: 521_000,
            },
            owner: None,
            is_former: false,
            time: 1_790_000_000,
            height: 521_000,
            txid: Txid::all_zeros(),
            zonefile: ZonefileHash::of(b""),
            own_keys: OwnKeys::Published,
            subdomains: Some(std::sync::Arc::default()),
        }
    }
}

/// A P-256 key made of one number. Its point is not on the curve; nobody looks.
pub(crate) fn p256(seed: u8) -> Spki {
    let head = data_encoding::HEXLOWER
        .decode(b"3059301306072a8648ce3d020106082a8648ce3d03010703420004")
        .expect("hexadecimal digits");
    let der = [head, vec![seed; 64]].concat();
    Spki::read(&der).expect("the head of a P-256 key")
}
