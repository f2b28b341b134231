//! What names in a namespace cost, shown by examples.

use bitcoin::Amount;

use crate::api::names::PricesRequest;
use crate::bns::price::PriceFunction;
use crate::cli::output::Page;
use crate::cli::{Context, Result};
use crate::wallet::words;

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
    let written = |price: u64| match reply.unit.as_str() {
        "satoshi" => words::btc(Amount::from_sat(price)),
        unit => format!("{price} {unit}"),
    };
    page.heading("prices of names, as of the next block");
    for (label, price) in EXAMPLES.iter().zip(&reply.prices) {
        let price = price.map_or("beyond all money".to_owned(), written);
        page.entry(label, &price);
    }
    Ok(())
}
