//! A question, and the labels of its name.
//!
//! DNS compares names without regard to case (RFC 4343), and so does everything behind [`Question::new`]: the name is in
//! lower case from there on. The client's own letters stay with its query and go back in the reply.

use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};

/// A question, its name in lower case (RFC 4343).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name asked for, lower case.
    pub name: DnsName,
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: DNSClass,
}

impl Question {
    /// A question. The name is put into lower case.
    pub fn new(name: &DnsName, rtype: RecordType, class: DNSClass) -> Self {
        Self {
            name: name.to_lowercase(),
            rtype,
            class,
        }
    }
}

/// The last `count` labels of `name`.
pub(super) fn suffix(name: &DnsName, count: usize) -> DnsName {
    let total = name.iter().count();
    if total == count && name.is_fqdn() {
        return name.clone();
    }
    let labels = name.iter().skip(total.saturating_sub(count));
    DnsName::from_labels(labels).expect("the end of a valid name is a valid name")
}
