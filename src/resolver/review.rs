//! What resolvers would make of a zone file, before anybody pays for announcing it.
//!
//! A resolver reads a zone file as [`crate::zonefile`] does, and leaves private addresses out. Its person can let them
//! through for a name (`allow-private`), which is of no use to anybody else: here they count as left out.

use hickory_proto::rr::Name as DnsName;

use crate::bns::Name;
use crate::tlsa;
use crate::wire::private::carries_private;
use crate::zonefile::{Ignored, ParseError, Problem, Written, Zone, parse_watched};

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
    Name(Name),
    /// No resolver would read it.
    #[error(transparent)]
    File(#[from] ParseError),
}

/// Reads the zone file of a name as a resolver would that knows nothing of the name.
pub fn review(name: &Name, bytes: &[u8]) -> Result<Reviewed, ReviewError> {
    let labels = [name.label().as_bytes(), name.namespace().as_bytes()];
    let origin = DnsName::from_labels(labels).map_err(|_| ReviewError::Name(name.clone()))?;
    let (mut private, mut private_count) = (Vec::new(), 0);
    let zone = parse_watched(&origin, bytes, &mut |written| {
        if carries_private(written.rtype.into(), written.rdata) {
            private_count += 1;
            private.extend((private_count <= KEPT).then(|| ignored(written)));
        }
    })?;
    let mut unanswered = [zone.ignored(), &private].concat();
    unanswered.sort_by_key(|ignored| (ignored.line, ignored.column));
    Ok(Reviewed {
        keys: tlsa::review(&zone),
        unanswered_count: zone.ignored_count() + private_count,
        unanswered,
        zone,
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
