//! What names in a namespace cost, shown by examples.

use crate::api::names::PricesRequest;
use crate::bns::price::PriceFunction;
use crate::cli::output::Page;
use crate::cli::{Context, Result};

/// Labels of every length that matters, and with every discount.
const EXAMPLES: [&str; 9] = [
    "a",
    "ab",
    "abc",
    "name",
    "names",
    "surname",
    "longername",
    "a1b2c3",
    "bcdfg",
];

/// What some labels would cost in the next block, so that nobody is surprised by an exponent.
pub(super) fn write(
    context: &Context,
    page: &mut Page,
    function: PriceFunction,
    version: u16,
) -> Result<()> {
    let request = PricesRequest {
        function,
        version,
        labels: EXAMPLES.map(str::to_owned).to_vec(),
    };
    let reply = context.answer(request)?;
    page.heading(format!("prices in {}, as of the next block", reply.unit));
    for (label, price) in EXAMPLES.iter().zip(&reply.prices) {
        let price = price.map_or("beyond all money".to_owned(), |price| price.to_string());
        page.entry(label, &price);
    }
    Ok(())
}
