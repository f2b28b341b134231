//! The record types that can be written with their own fields: one table, shared by reading and writing.
//!
//! A type that is missing here is no loss: it can be written as RFC 3597 says, `TYPE65280 \# 4 DEADBEEF`.
//! Numbers are those of the IANA registry "Resource Record (RR) TYPEs".

use std::borrow::Cow;

use hickory_proto::rr::RecordType;

use super::field::Field;

/// One known record type.
#[derive(Debug)]
pub(super) struct TypeRow {
    pub(super) code: u16,
    pub(super) mnemonic: &'static str,
    /// Its record data, field by field; a field that takes the rest of the record stands last.
    pub(super) fields: &'static [Field],
}

const fn row(code: u16, mnemonic: &'static str, fields: &'static [Field]) -> TypeRow {
    TypeRow {
        code,
        mnemonic,
        fields,
    }
}

/// The code numbers that rules refer to.
pub(super) mod code {
    pub(in super::super) const NS: u16 = 2;
    pub(in super::super) const CNAME: u16 = 5;
    pub(in super::super) const SOA: u16 = 6;
    pub(in super::super) const DNAME: u16 = 39;
    pub(in super::super) const DS: u16 = 43;
    pub(in super::super) const SSHFP: u16 = 44;
    pub(in super::super) const TLSA: u16 = 52;
    pub(in super::super) const SMIMEA: u16 = 53;
    pub(in super::super) const CDS: u16 = 59;
    pub(in super::super) const SVCB: u16 = 64;
    pub(in super::super) const HTTPS: u16 = 65;
    pub(in super::super) const URI: u16 = 256;
}

use Field::{
    Algorithm, Base64, CertificateType, Eui48, Eui64, Hex, Ipv4, Ipv6, LongText, Name, Seconds,
    SvcParams, Tag, Text, Texts, U8, U16, U32,
};

static TYPES: &[TypeRow] = &[
    row(1, "A", &[Ipv4]),
    row(code::NS, "NS", &[Name]),
    row(code::CNAME, "CNAME", &[Name]),
    row(
        code::SOA,
        "SOA",
        &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds],
    ),
    row(12, "PTR", &[Name]),
    row(13, "HINFO", &[Text, Text]),
    row(15, "MX", &[U16, Name]),
    row(16, "TXT", &[Texts]),
    row(17, "RP", &[Name, Name]),
    row(18, "AFSDB", &[U16, Name]),
    row(28, "AAAA", &[Ipv6]),
    row(33, "SRV", &[U16, U16, U16, Name]), // RFC 2782
    row(35, "NAPTR", &[U16, U16, Text, Text, Text, Name]), // RFC 3403
    row(36, "KX", &[U16, Name]),
    row(37, "CERT", &[CertificateType, U16, Algorithm, Base64]), // RFC 4398
    row(code::DNAME, "DNAME", &[Name]),                          // RFC 6672
    row(code::DS, "DS", &[U16, Algorithm, U8, Hex]),             // RFC 4034
    row(code::SSHFP, "SSHFP", &[U8, U8, Hex]),                   // RFC 4255
    row(48, "DNSKEY", &[U16, U8, Algorithm, Base64]),            // RFC 4034
    row(49, "DHCID", &[Base64]),
    row(code::TLSA, "TLSA", &[U8, U8, U8, Hex]), // RFC 6698
    row(code::SMIMEA, "SMIMEA", &[U8, U8, U8, Hex]), // RFC 8162
    row(code::CDS, "CDS", &[U16, Algorithm, U8, Hex]),
    row(60, "CDNSKEY", &[U16, U8, Algorithm, Base64]),
    row(61, "OPENPGPKEY", &[Base64]),                   // RFC 7929
    row(code::SVCB, "SVCB", &[U16, Name, SvcParams]),   // RFC 9460
    row(code::HTTPS, "HTTPS", &[U16, Name, SvcParams]), // RFC 9460
    row(99, "SPF", &[Texts]), // RFC 4408, obsolete but in historical files
    row(108, "EUI48", &[Eui48]), // RFC 7043
    row(109, "EUI64", &[Eui64]), // RFC 7043
    row(code::URI, "URI", &[U16, U16, LongText]), // RFC 7553
    row(257, "CAA", &[U8, Tag, LongText]), // RFC 8659
];

/// The fields of a type, if its record data is known to us.
pub(super) fn fields(code: u16) -> Option<&'static [Field]> {
    let row = TYPES.iter().find(|row| row.code == code);
    row.map(|row| row.fields)
}

/// The type that `text` names: a mnemonic or `TYPE` with a number, in either case (RFC 3597 §5).
///
/// URI comes out as `Unknown(256)`, because hickory has no name for it.
pub fn record_type(text: &[u8]) -> Option<RecordType> {
    let row = TYPES
        .iter()
        .find(|row| row.mnemonic.as_bytes().eq_ignore_ascii_case(text));
    let code = row.map(|row| row.code).or_else(|| generic_code(text));
    code.map(RecordType::from)
}

/// How a zone file writes a type: its mnemonic, or `TYPE` with its number.
pub fn mnemonic(rtype: RecordType) -> Cow<'static, str> {
    let code = u16::from(rtype);
    match TYPES.iter().find(|row| row.code == code) {
        Some(row) => Cow::Borrowed(row.mnemonic),
        None => Cow::Owned(format!("TYPE{code}")),
    }
}

/// Whether the type exists in questions or on the way only (RFC 6895 §3.1), or is reserved.
pub(super) fn is_meta(code: u16) -> bool {
    matches!(code, 0 | 41 | 128..=255 | u16::MAX)
}

fn generic_code(text: &[u8]) -> Option<u16> {
    let (prefix, digits) = text.split_at_checked(4)?;
    if !prefix.eq_ignore_ascii_case(b"TYPE") {
        return None;
    }
    super::scalar::decimal(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_both_ways() {
        for row in TYPES {
            let rtype = record_type(row.mnemonic.to_lowercase().as_bytes());
            assert_eq!(rtype, Some(RecordType::from(row.code)), "{}", row.mnemonic);
            assert_eq!(mnemonic(RecordType::from(row.code)), row.mnemonic);
        }
        assert_eq!(record_type(b"type65280"), Some(RecordType::from(65280)));
        assert_eq!(record_type(b"TYPE1"), Some(RecordType::A));
        assert_eq!(mnemonic(RecordType::from(65280)), "TYPE65280");
        for unknown in ["ALIAS", "TYPE", "TYPE65536", "TYPE+1", "", "IN"] {
            assert_eq!(record_type(unknown.as_bytes()), None, "{unknown}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_takes_the_rest_last() {
        assert!(TYPES.is_sorted_by(|a, b| a.code < b.code));
        for row in TYPES {
            let before_last = row.fields.split_last().map_or(&[][..], |(_, rest)| rest);
            assert!(before_last.iter().all(|field| !field.takes_rest()));
        }
    }
}
