//! Why a part of a zone file is not served: one variant per reason, and where it stands.
//!
//! The messages are shown to the owner of the name (`bnsd zonefile check`), so they say what to change.

use std::fmt;

use super::{RDATA_MAX, RECORDS_MAX, RRSET_MAX};

/// A part of the zone file that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored {
    /// Line in the file, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.problem
        )
    }
}

/// Why a part of a zone file is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // Directives.
    /// `$INCLUDE`: a zone file never reads files.
    #[error("$INCLUDE is refused; put the records into this file")]
    IncludeRefused,
    /// `$GENERATE`: a zone file is not expanded.
    #[error("$GENERATE is refused; write the records out")]
    GenerateRefused,
    /// Another word that begins with `$`.
    #[error("unknown directive; $ORIGIN and $TTL are the only ones")]
    UnknownDirective,

    // Text.
    /// A `(` without its `)`; everything after it is lost.
    #[error("this parenthesis is never closed; the rest of the file is ignored")]
    UnclosedParenthesis,
    /// A `)` without its `(`.
    #[error("this parenthesis was never opened")]
    StrayParenthesis,
    /// A string that does not end on its line.
    #[error("this string has no closing quote on its line")]
    UnclosedQuote,
    /// A `\` before nothing, or `\DDD` above 255 or with fewer than three digits.
    #[error("write an escape as \\X or as \\DDD with DDD at most 255")]
    BadEscape,

    // Owner, TTL and type.
    /// A blank owner after an owner that could not be read.
    #[error("the line that this one continues has no readable owner")]
    OwnerUnknown,
    /// A relative name after a `$ORIGIN` that could not be read.
    #[error("the $ORIGIN that this name is relative to could not be read")]
    OriginUnknown,
    /// An empty label, or one above 63 bytes, or more than 255 bytes together.
    #[error("not a domain name: labels have 1 to 63 bytes, the whole name at most 255")]
    BadName,
    /// A record for a name that is not at or below the name of this zone.
    #[error("this name is outside the zone; only the name itself and names below it are served")]
    OutOfZone,
    /// A TTL or time that is no number of seconds below 2^32, with or without units.
    #[error("not a time: write seconds, or units as in 1h30m")]
    BadTtl,
    /// An owner and nothing after it.
    #[error("the record type is missing")]
    MissingType,
    /// A type that has no meaning to us, such as `ALIAS`.
    #[error("unknown record type; any type can be written as TYPE65280 \\# 4 DEADBEEF")]
    UnknownType,
    /// A type that exists in questions or on the way only, such as `ANY` or `OPT`.
    #[error("this type cannot stand in a zone")]
    MetaType,

    /// Left out by whoever answers, and so never by the parser; see `resolver::review`.
    #[error(
        "a private address, which resolvers leave out so that no name leads into their own network"
    )]
    PrivateAddress,

    // Record data.
    /// Fewer fields than the type has.
    #[error("the record data ends too early for its type")]
    MissingField,
    /// More fields than the type has.
    #[error("the record data has more fields than its type")]
    ExtraField,
    /// Not a number, or above the range of its field.
    #[error("not a number in the range of this field")]
    BadNumber,
    /// Not an address of the type's family.
    #[error("not an IP address of this type's family")]
    BadAddress,
    /// Not hexadecimal digits in pairs.
    #[error("not hexadecimal")]
    BadHex,
    /// Not base64 with padding.
    #[error("not base64")]
    BadBase64,
    /// A string above 255 bytes.
    #[error("a string has at most 255 bytes; write several strings")]
    StringTooLong,
    /// A CAA tag with other characters than letters and digits (RFC 8659 §4.1).
    #[error("a CAA tag has 1 to 255 letters and digits")]
    BadTag,
    /// A URI with an empty target (RFC 7553 §4.5).
    #[error("the target of a URI record is empty")]
    EmptyTarget,
    /// The `\#` form with another length than its data (RFC 3597 §5).
    #[error("the length after \\# is not that of the data")]
    BadLength,
    /// The `\#` form of a known type, with data that the type cannot have.
    #[error("the data after \\# is not what this type looks like")]
    BadWire,
    /// A TLSA, SMIMEA, SSHFP or DS digest of another length than its algorithm gives.
    #[error("the digest does not have the length of its algorithm")]
    DigestLength,
    /// More than [`RDATA_MAX`] bytes.
    #[error("the record data is longer than {RDATA_MAX} bytes")]
    RdataTooLong,
    /// A service parameter that RFC 9460 forbids.
    #[error("service parameters: {0}")]
    Svc(#[from] SvcProblem),

    // The zone as a whole.
    /// More than [`RECORDS_MAX`] records; reading ends here.
    #[error("more than {RECORDS_MAX} records; the rest of the file is ignored")]
    TooManyRecords,
    /// More than [`RRSET_MAX`] records of one owner and type.
    #[error("more than {RRSET_MAX} records of this name and type")]
    RrsetFull,
    /// A CNAME whose owner has other records (RFC 1034 §3.6.2): the CNAME goes, the others stay.
    #[error("a CNAME cannot stand beside other records of the same name")]
    CnameBesideOthers,
    /// A second CNAME or DNAME of one owner with another target: the first stays.
    #[error("a name has at most one CNAME and one DNAME")]
    SecondAlias,
    /// A DNAME at the apex beside records other than SOA and NS.
    #[error("a DNAME at the name itself cannot stand beside other records")]
    DnameBesideOthers,
    /// A SOA of another name than that of the zone.
    #[error("a SOA record belongs to the name of the zone itself")]
    ForeignSoa,
    /// A second, different SOA: the first stays.
    #[error("a zone has one SOA record")]
    SecondSoa,
    /// Good SVCB or HTTPS records beside a malformed one: the RRset falls together (RFC 9460 §2.2).
    #[error("the other records of this name and type are not served beside this malformed one")]
    RrsetRejected,
}

/// Which rule of RFC 9460 a record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SvcProblem {
    /// Neither a known key nor `key0` to `key65534` (§2.1, §14.3.2).
    #[error("unknown key; write keys without a name as key65333")]
    UnknownKey,
    /// A key that occurs twice (§2.1).
    #[error("a key occurs twice")]
    DuplicateKey,
    /// In `\#` form: the keys do not ascend, or a length is wrong (§2.2).
    #[error("the keys must ascend and the lengths fit")]
    Layout,
    /// A value that its key cannot have, or a missing one.
    #[error("this key cannot have this value")]
    BadValue,
    /// `mandatory` names itself, a key twice, or a key that is absent (§8).
    #[error("mandatory must list other keys of this record, each once")]
    Mandatory,
    /// `no-default-alpn` without `alpn` (§7.1.1).
    #[error("no-default-alpn needs alpn beside it")]
    NoDefaultAlpnAlone,
}
