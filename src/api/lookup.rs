//! The endpoint `lookup`: the records of a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRequest {
    /// The domain name, with or without the last dot.
    pub name: String,
    /// The record type as in a zone file: `A`, `TYPE256`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The height whose state answers; without it the indexed tip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u32>,
}

/// What a DNS client would get; for the type `ANY` of a name on the chain all records at and below it, where a DNS client
/// gets one RRset (RFC 8482).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LookupReply {
    /// The name that was asked for.
    pub name: String,
    /// The type that was asked for.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The response code by its mnemonic: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`.
    pub rcode: String,
    /// The answer section, in its order.
    pub records: Vec<RecordText>,
    /// The height whose state answered; `null` when the answer came from an upstream.
    pub height: Option<u32>,
    /// Time of that block (RFC 3339).
    #[serde(default)]
    pub time: Option<String>,
    /// Extended error (RFC 8914), if the answer carries one.
    pub ede: Option<ExtendedError>,
    /// Whether the answer comes from a zone of ours (AA).
    pub authoritative: bool,
    /// The types that the name has where the one that was asked for is absent, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
}

/// One resource record as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecordText {
    /// Owner name, fully qualified.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its data as in a zone file (RFC 1035 §5.1, RFC 3597 §5 for unknown types).
    pub data: String,
}

/// Types that a person understands at a glance, the most telling first.
const TELLING: [&str; 5] = ["A", "AAAA", "MX", "TXT", "URI"];

/// An extended error (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExtendedError {
    /// Its registered number.
    pub code: u16,
    /// The text beside it, possibly empty.
    pub text: String,
}

impl RecordText {
    /// The `dig` line that asks the resolver at `listener` for it.
    pub fn dig(&self, listener: SocketAddr) -> String {
        let ip = match listener.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let port = match listener.port() {
            53 => String::new(),
            port => format!(" -p {port}"),
        };
        let owner = self.owner.trim_end_matches('.');
        format!("dig @{ip}{port} {} {}", shell_word(owner), self.record_type)
    }
}

/// A text as one word of a shell's command line; names and paths may hold every character.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

impl LookupReply {
    /// Whether there is at least one record.
    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// The addresses among the records of the type that was asked for, A or AAAA.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let is_asked = |record: &&RecordText| record.record_type == self.record_type;
        let records = self.records.iter().filter(is_asked);
        records.filter_map(|record| record.data.parse().ok())
    }

    /// The record to ask for as an example: one at the name itself where it has one, of a type that tells something.
    pub fn example(&self) -> Option<&RecordText> {
        let rank = |record: &RecordText| {
            let telling = TELLING
                .iter()
                .position(|known| *known == record.record_type);
            let is_below = record.owner.trim_end_matches('.') != self.name;
            (is_below, telling.unwrap_or(TELLING.len()))
        };
        self.records.iter().min_by_key(|record| rank(record))
    }

    /// Whether the question was answered, be it with "no such name" or "no such record".
    pub fn is_answer(&self) -> bool {
        matches!(self.rcode.as_str(), "NOERROR" | "NXDOMAIN")
    }
}
