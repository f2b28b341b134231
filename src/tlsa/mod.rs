//! Keys that a name binds, and the DNS records that follow from them.
//!
//! Names belong to secp256k1 keys, which TLS stacks refuse. So a name's zone file, which only its owner can announce,
//! vouches for a key that they accept. There are four rules:
//!
//! | rule | the zone file says | what follows |
//! |---|---|---|
//! | T1 [`Rule::Record`] | a TLSA record | that record, as it is |
//! | T2 [`Rule::Key`] | `_tlskey TXT "v=bnstls1 use=ta port=443 spki=BASE64"` | TLSA 2 1 1 and 2 1 0 for `use=ta`, 3 1 1 for `use=ee` |
//! | T3 [`Rule::Delegation`] | the same with a signature by the name's own key ([`delegation`]) | the same |
//! | T4 [`Rule::OwnKey`] | `pubkey TXT "pubkey:data:HEX"` | `_bnskey TXT` with the key and the block that proves it; TLSA 3 1 1 by choice alone (`tls.own-keys`) |
//!
//! A statement stands at `_tlskey` below a host: at `_tlskey.me.id` it is about `me.id` and every host of the zone below it
//! that has addresses, at `_tlskey.www.me.id` about `www.me.id` and below. A subdomain with an owner of its own (a TXT
//! record with `owner=`, `seqn=` and `parts=`) is left out: the name's owner does not speak for it (T5). TLSA records in the zone file come first,
//! port by port.
//!
//! What cannot be believed makes no pin and is one of the [`Problem`]s that `zonefile check` and `explain` show. A zone file
//! that a former owner announced, and that a transfer kept, binds nothing (T6): its key records are left out.
//!
//! [`Bound`] is all that one zone file binds in one block. [`Bound::zone`] adds the records that follow to the zone, so that
//! names of ports exist and "no data" is right without a second rule.
//!
//! Follows RFC 6698 and RFC 7671 (TLSA), RFC 9460 (HTTPS).

mod bound;
pub mod delegation;
#[cfg(test)]
mod fixture;
mod holder;
mod own_key;
mod pin;
mod problem;
mod reading;
mod signed;
mod spki;
mod statement;

#[cfg(test)]
pub(crate) use fixture::p256;

pub use bound::Bound;
pub use holder::{Holder, OwnKeys, Registration};
pub use own_key::OwnKey;
pub use pin::{Pin, PinText, Rule, Usage};
pub use problem::{Problem, Reason};
pub use reading::review;
pub use spki::{KeyKind, Spki};
pub use statement::{Material, Statement};

/// Statements of one zone: a key in use and a key to come, for a few hosts and ports.
const STATEMENTS_MAX: usize = 8;
