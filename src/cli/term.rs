//! The end of a name on a page, in the same words in every command.

use super::output::Page;
use crate::api::names::TermReply;

/// A height with its date.
type Block<'a> = (Option<u32>, &'a Option<String>);

/// Writes a line for each of the heights that come.
pub fn write_term(term: &TermReply, page: &mut Page) {
    page.entry_if(
        "grace start",
        block((term.grace_start, &term.grace_start_estimated)),
    );
    page.entry_if(
        "last resolves",
        block((term.last_resolves, &term.last_resolves_estimated)),
    );
    page.entry_if(
        "renewal deadline",
        block((term.renewal_deadline, &term.renewal_deadline_estimated)),
    );
    page.entry_if("free from", free_from(term));
}

/// The first block in which somebody else can register it.
pub fn free_from(term: &TermReply) -> Option<String> {
    block((term.free_from, &term.free_from_estimated))
}

/// What the owner has to know in one line of a list.
pub fn next_end(term: &TermReply) -> Option<String> {
    let deadline = block((term.renewal_deadline, &term.renewal_deadline_estimated));
    deadline.map(|block| format!("renewal deadline {block}"))
}

/// `105 (about 2027-03-01)`: the day is an estimate, and enough.
fn block((height, date): Block<'_>) -> Option<String> {
    let height = height?;
    let day = date.as_ref().and_then(|date| date.split('T').next());
    Some(day.map_or_else(
        || height.to_string(),
        |day| format!("{height} (about {day})"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_stand_beside_their_days() {
        let term = TermReply {
            last_resolves: Some(105),
            last_resolves_estimated: Some("2027-03-01T12:00:00Z".to_owned()),
            free_from: Some(107),
            ..TermReply::default()
        };
        let mut page = Page::default();
        write_term(&term, &mut page);
        let expected = "  last resolves  105 (about 2027-03-01)\n  free from      107\n";
        assert_eq!(page.plain(), expected);
        assert_eq!(next_end(&term), None);
    }
}
