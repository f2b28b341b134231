//! The price and the end of a name on a page, in the same words in every command.

use super::output::Page;
use crate::names::{DatedTerm, Price};

/// Writes what a name or namespace costs.
pub fn write_price(page: &mut Page, subject: &str, price: &Price) {
    let satoshi = price.satoshi.map(|satoshi| format!("{satoshi} satoshi"));
    let tokens = price.micro_stacks.map(|amount| format!("{amount} µSTX"));
    page.heading(subject);
    page.entry_if("price", satoshi);
    page.entry_if("or", tokens);
    page.entry("paid to", &price.pay_to);
}

/// Writes a line for each of the heights that come.
pub fn write_term(term: &DatedTerm, page: &mut Page) {
    let (grace, last) = (&term.grace_start_estimated, &term.last_resolves_estimated);
    page.entry_if("grace start", block(term.heights.grace_start, grace));
    page.entry_if("last resolves", block(term.heights.last_resolves, last));
    page.entry_if("renewal deadline", renewal_deadline(term));
    page.entry_if("free from", free_from(term));
}

fn renewal_deadline(term: &DatedTerm) -> Option<String> {
    block(
        term.heights.renewal_deadline,
        &term.renewal_deadline_estimated,
    )
}

/// The first block in which somebody else can register it.
pub fn free_from(term: &DatedTerm) -> Option<String> {
    block(term.heights.free_from, &term.free_from_estimated)
}

/// What the owner has to know in one line of a list.
pub fn next_end(term: &DatedTerm) -> Option<String> {
    renewal_deadline(term).map(|block| format!("renewal deadline {block}"))
}

/// `105 (about 2027-03-01)`: the day is an estimate, and enough.
fn block(height: Option<u32>, date: &Option<String>) -> Option<String> {
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
    use crate::bns::life::Term;

    #[test]
    fn heights_stand_beside_their_days() {
        let term = DatedTerm {
            heights: Term {
                last_resolves: Some(105),
                free_from: Some(107),
                ..Term::default()
            },
            last_resolves_estimated: Some("2027-03-01T12:00:00Z".to_owned()),
            ..DatedTerm::default()
        };
        let mut page = Page::default();
        write_term(&term, &mut page);
        let expected = "  last resolves  105 (about 2027-03-01)\n  free from      107\n";
        assert_eq!(page.plain(), expected);
        assert_eq!(next_end(&term), None);
    }
}
