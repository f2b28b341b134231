//! What resolvers would make of a zone file, before anybody pays for announcing it.
//!
//! A resolver reads a zone file as [`crate::zonefile`] does, and leaves private addresses out. Its person can let them
//! through for a name (`allow-private`), which is of no use to anybody else: here they count as left out.

use hickory_proto::rr::Name as DnsName;

use crate::bns::Name;
use crate::bns::subdomain::{Subdomain, without_records};
use crate::tlsa;
use crate::wire::private::carries_private;
use crate::zonefile::{Ignored, ParseError, Problem, Written, Zone, parse, parse_watched};

/// Most private addresses that are kept with their place; further ones are only counted.
const KEPT: usize = 100;

/// A zone file as resolvers would see it.
pub struct Reviewed {
    /// What can be read of it, private addresses included.
    pub zone: Zone,
    /// What would not be answered, by its place; at most the first of a great many.
    unanswered: Vec<Ignored>,
    /// How much that is.
    unanswered_count: usize,
    /// Keys that bind nothing. Who signed a delegation is not known here, and so not judged.
    keys: Vec<tlsa::Problem>,
}

impl Reviewed {
    /// What would not be answered, and what binds no key, a sentence each; at most the first of a great many.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let keys = self.keys.iter().map(ToString::to_string);
        self.unanswered.iter().map(ToString::to_string).chain(keys)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.unanswered_count + self.keys.len()
    }
}

/// Why a file cannot be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// DNS has no such names.
    #[error("{0} cannot be written as a domain name, so it can have no zone file")]
    Name(String),
    /// No resolver would read it.
    #[error(transparent)]
    File(#[from] ParseError),
}

/// Reads the zone file of a name as a resolver would that knows nothing of the name.
pub fn review(name: &Name, bytes: &[u8]) -> Result<Reviewed, ReviewError> {
    review_at(&[name.label(), name.namespace()], bytes)
}

/// The same for the zone file of a subdomain.
pub fn review_subdomain(subdomain: &Subdomain, bytes: &[u8]) -> Result<Reviewed, ReviewError> {
    let name = subdomain.name();
    let labels = [subdomain.label(), name.label(), name.namespace()];
    review_at(&labels, bytes)
}

fn review_at(labels: &[&str], bytes: &[u8]) -> Result<Reviewed, ReviewError> {
    let origin = DnsName::from_labels(labels.iter().map(|label| label.as_bytes()));
    let origin = origin.map_err(|_| ReviewError::Name(labels.join(".")))?;
    let (mut private, mut private_count) = (Vec::new(), 0);
    // Records of subdomains need not be of use in DNS.
    let dns = without_records(bytes);
    let answered = parse_watched(&origin, &dns, &mut |written| {
        if carries_private(written.rtype.into(), written.rdata) {
            private_count += 1;
            private.extend((private_count <= KEPT).then(|| ignored(written)));
        }
    })?;
    let mut unanswered = [answered.ignored(), &private].concat();
    unanswered.sort_by_key(|ignored| (ignored.line, ignored.column));
    Ok(Reviewed {
        keys: tlsa::review(&answered),
        unanswered_count: answered.ignored_count() + private_count,
        unanswered,
        zone: parse(&origin, bytes)?,
    })
}

fn ignored(written: &Written<'_>) -> Ignored {
    Ignored {
        line: written.line,
        column: written.column,
        problem: Problem::PrivateAddress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unanswered(text: &str) -> Vec<(u32, Problem)> {
        let name = "me.id".parse().expect("a name");
        let reviewed = review(&name, text.as_bytes()).expect("short enough");
        assert_eq!(reviewed.unanswered.len(), reviewed.unanswered_count);
        let all = reviewed.unanswered.iter();
        all.map(|ignored| (ignored.line, ignored.problem)).collect()
    }

    #[test]
    fn everything_that_is_not_answered_is_told_by_its_line() {
        assert_eq!(unanswered("$ORIGIN me.id\n@ A 192.0.2.1\n"), []);
        let text = "$ORIGIN me.id\nlan A 192.168.1.1\nwww A one\nelse.where.org. A 192.0.2.1\n@ HTTPS 1 . ipv4hint=10.0.0.1\n";
        let expected = [
            (2, Problem::PrivateAddress),
            (3, Problem::BadAddress),
            (4, Problem::OutOfZone),
            (5, Problem::PrivateAddress),
        ];
        assert_eq!(unanswered(text), expected);
        let foreign = "$ORIGIN you.id\n@ A 192.0.2.1\nwww A 192.0.2.1\n";
        let expected = [(2, Problem::OutOfZone), (3, Problem::OutOfZone)];
        assert_eq!(unanswered(foreign), expected);
    }

    #[test]
    fn the_zone_file_of_a_subdomain_is_read_at_its_own_name() {
        let subdomain = "a+b.me.id".parse().expect("a subdomain");
        let text = "$ORIGIN a+b.me.id\n@ A 192.0.2.1\nme.id. A 192.0.2.1\nwww A one\n";
        let reviewed = review_subdomain(&subdomain, text.as_bytes()).expect("short enough");
        let lines: Vec<u32> = reviewed.unanswered.iter().map(|it| it.line).collect();
        assert_eq!(lines, [3, 4]);
    }

    #[test]
    fn a_record_of_a_subdomain_may_have_strings_that_dns_cannot_hold() {
        let long = "x".repeat(300);
        let record = format!("bar TXT \"owner=\" \"seqn=0\" \"parts=0\" \"sig={long}\"\n");
        let text = format!("$ORIGIN me.id\n{record}@ A 192.0.2.1\nwww A one\n");
        assert_eq!(unanswered(&text), [(4, Problem::BadAddress)]);
        let other = record.replace("seqn", "number");
        assert_eq!(unanswered(&other).len(), 1);
    }

    #[test]
    fn what_no_resolver_would_read_cannot_be_reviewed() {
        let name: Name = "me.id".parse().expect("a name");
        let long = vec![b';'; crate::zonefile::ZONEFILE_MAX + 1];
        assert!(matches!(review(&name, &long), Err(ReviewError::File(_))));
        let many = "@ A 10.0.0.1\n".repeat(150);
        let reviewed = review(&name, many.as_bytes()).expect("short enough");
        assert_eq!(
            (reviewed.unanswered.len(), reviewed.unanswered_count),
            (KEPT, 150)
        );
    }
}
