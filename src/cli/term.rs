//! The price and the end of a name on a page, in the same words in every command.

use bitcoin::Amount;
use serde::Serialize;

use super::output::Page;
use super::{Context, Exit, Result};
use crate::api::owner::ChainRequest;
use crate::bns::network::Network;
use crate::names::{DatedTerm, Price};
use crate::wallet::words;

/// A price, and the network on which it is one.
#[derive(Debug, Serialize)]
struct Priced<'p> {
    #[serde(flatten)]
    price: &'p Price,
    network: Network,
    network_meaning: String,
}

/// Prints what a name or namespace costs, and on which network.
pub fn show_price(context: &Context, subject: &str, price: &Price) -> Result<Exit> {
    let facts = context.answer(ChainRequest {})?.facts;
    let priced = Priced {
        price,
        network: facts.network,
        network_meaning: facts.network_meaning,
    };
    context.output.show(&priced, |page| {
        write_price(page, subject, price);
        page.entry("network", &priced.network_meaning);
    })
}

fn write_price(page: &mut Page, subject: &str, price: &Price) {
    let tokens = price.micro_stacks.map(|amount| format!("{amount} µSTX"));
    page.heading(subject);
    page.entry_if("price", in_bitcoin(price));
    page.entry_if("or", tokens);
    page.entry("paid to", &price.pay_to);
}

/// A price where bitcoin is taken.
pub fn in_bitcoin(price: &Price) -> Option<String> {
    price.satoshi.map(Amount::from_sat).map(words::btc)
}

/// Writes a line for each of the heights that come.
pub fn write_term(term: &DatedTerm, page: &mut Page) {
    let (grace, last) = (&term.grace_start_estimated, &term.last_resolves_estimated);
    page.entry_if("grace start", block(term, term.heights.grace_start, grace));
    page.entry_if(
        "last resolves",
        block(term, term.heights.last_resolves, last),
    );
    page.entry_if("renewal deadline", renewal_deadline(term));
    page.entry_if("free from", free_from(term));
}

fn renewal_deadline(term: &DatedTerm) -> Option<String> {
    let date = &term.renewal_deadline_estimated;
    block(term, term.heights.renewal_deadline, date)
}

/// The first block in which somebody else can register it.
pub fn free_from(term: &DatedTerm) -> Option<String> {
    block(term, term.heights.free_from, &term.free_from_estimated)
}

/// What the owner has to know in one line of a list.
pub fn next_end(term: &DatedTerm) -> Option<String> {
    let deadline = renewal_deadline(term).map(|block| format!("renewal deadline {block}"));
    deadline.or_else(|| free_from(term).map(|block| format!("free from {block}")))
}

/// A height with its own time if it is there, and with its estimated day otherwise.
fn block(term: &DatedTerm, height: Option<u32>, date: &Option<String>) -> Option<String> {
    let height = height?;
    let is_there = term.estimated_from.is_some_and(|first| height < first);
    let write = if is_there {
        words::block_there
    } else {
        words::block_to_come
    };
    Some(write(height, date.as_deref()))
}

/// Writes a block that is there, if there is one.
pub fn write_past(page: &mut Page, label: &str, height: Option<u32>, time: Option<&String>) {
    let time = time.map(String::as_str);
    page.entry_if(label, height.map(|height| words::block_there(height, time)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::life::Term;

    #[test]
    fn heights_stand_beside_their_days() {
        let date = || Some("2027-03-01T12:00:00Z".to_owned());
        let term = DatedTerm {
            heights: Term {
                grace_start: Some(104),
                last_resolves: Some(105),
                free_from: Some(107),
                ..Term::default()
            },
            grace_start_estimated: date(),
            last_resolves_estimated: date(),
            estimated_from: Some(105),
            ..DatedTerm::default()
        };
        let mut page = Page::default();
        write_term(&term, &mut page);
        let expected = "  grace start    104 (2027-03-01 12:00 UTC)\n  last resolves  105 (about 2027-03-01)\n  free from      107\n";
        assert_eq!(page.plain(), expected);
        assert_eq!(next_end(&term), Some("free from 107".to_owned()));
    }
}
