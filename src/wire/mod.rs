//! DNS messages as bytes: the one place where they are read and written.
//!
//! ```text
//! header    ID, flags and counts                                   RFC 1035 §4.1.1
//! name      names: read through pointers, compared, shortened      RFC 1035 §4.1.4
//! record    one walk over all records of a message                 RFC 1035 §4.1.3
//! alias     where the CNAMEs of a message lead, and which records belong to the question
//! private   addresses that a name on the network must not have
//! edns      OPT, its options, padding                              RFC 6891
//! ede       extended errors                                        RFC 8914
//! frame     messages on a stream and in HTTP                       RFC 7766 §8, RFC 8484
//! writer    a message from records, within a limit                 RFC 2181 §9
//! ```
//!
//! What an upstream sends is passed on byte for byte, so that a record type that nobody here knows survives. That is
//! why messages are walked and not decoded: the walk finds where records begin, what they are called, and where
//! their TTLs stand. Everything that is read here may come from an attacker. Each reader returns `None` at the first
//! byte that does not fit, follows pointers only backwards and only a bounded number of them, and never panics.
//!
//! hickory-proto's value types (names, records, queries) are used where a message is written from records; nothing
//! here opens a socket or keeps anything.

pub mod alias;
pub mod ede;
pub mod edns;
pub mod frame;
pub mod header;
pub mod name;
pub mod private;
pub mod record;
pub mod writer;

pub use ede::ExtendedError;
pub use header::{HEADER, Header, UDP_MAX, UDP_PLAIN, flag, flags};
pub use name::{NAME_MAX, is_within, parent, read_name, skip_name};
pub use record::{Section, Walk, WireRecord, rtype, walk};
