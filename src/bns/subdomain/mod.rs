//! Names below names: `bar.foo.id`, whose records stand in the zone files of names and not on the chain.
//!
//! A **carrier** is the name whose zone file holds records. Its owner makes a subdomain by a record with sequence 0; from
//! then on only the key of the subdomain's own owner changes it: the carrier's owner can neither take it back nor forge a
//! change. A record in the zone file of another name is *independent*: it changes a subdomain whose own name no longer
//! carries its records.
//!
//! ```text
//! zone file of a name --carrier--> records --history--> which of them are accepted --> owner, zone file, DID
//! ```
//!
//! # Which records count
//!
//! A zone file counts for nothing unless its one `$ORIGIN` is the name that announced it, without a final dot, and it has a
//! `$TTL`. Of several records of one subdomain in one file, that with the lowest sequence counts, the first of equals.
//!
//! The accepted records are a function of the set of records that are known, whatever order they arrived in. They are
//! looked at by sequence, and by the number of their zone file's row ([`Placed::row`]) where sequences are equal:
//!
//! 1. The first one has sequence 0 and is not independent. It needs no signature.
//! 2. The next one has the next sequence, and a signature by the owner in the one before. If it changes the owner, it is not
//!    independent.
//! 3. All others are refused, and change nothing about those that are looked at after them.
//!
//! So a block that is added never takes back what was accepted, and a zone file that arrives late can; a record that came
//! before the one that it follows counts once that one is there. The reference has the same rules, but what it accepts depends on the order of arrival in some cases; and there a record that cannot be the first
//! one keeps others from being it, so that anybody can prevent a subdomain.
//!
//! What is signed says the label alone: a record that is not independent can be carried by another name, where the same
//! address owns a subdomain with the same label and sequence. That is the reference's form, and cannot be changed here.
//!
//! Follows the reference's `subdomains.py` and `blockstack_zones`. Addresses of other networks than the followed one
//! are refused.

mod carrier;
mod did;
mod forecast;
mod history;
mod name;
mod pack;
mod record;

pub use carrier::{Carried, NotCarrier, RefusedRecord, read};
pub use did::Did;
pub use forecast::{Accepted, Forecast, Prospect};
pub use history::{History, Placed, Refusal, Verdict};
pub use name::{InvalidSubdomain, Subdomain};
pub use pack::{Base, BaseError, Packing, without_records};
pub use record::{Malformed, RESERVED, Record};
