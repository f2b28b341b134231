//! `bnsd namespace reveal`: which namespace it is, and by which rules it works.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::{parse, revealer};
use crate::api::message::{Reply, Request};
use crate::api::names::{PriceFunctionText, PricesRequest};
use crate::cli::name::report_on;
use crate::cli::output::Page;
use crate::cli::own::{Desk, OwnError, Plan, SendOptions};
use crate::cli::{CliError, Context, Exit};
use crate::wallet::operation::Operation;

/// Arguments of `bnsd namespace reveal`.
#[derive(Debug, Args)]
pub struct Reveal {
    /// Its id.
    id: String,
    /// Address that will import names and open it, as in the preorder
    #[arg(long, value_name = "ADDRESS")]
    revealer: Option<String>,
    /// Blocks that a name lives, before the epoch's multiplier; 4294967295 for ever
    #[arg(long, default_value_t = 52_595)]
    lifetime: u32,
    /// 1: fees are burnt; 2: paid to the creator for a year; 3: paid in tokens
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    rules: u16,
    /// TOML file with coeff, base, buckets, nonalpha-discount and no-vowel-discount
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Coefficient of the price, 0 to 255
    #[arg(long, default_value_t = 250)]
    coeff: u8,
    /// Base of the price, 0 to 255
    #[arg(long, default_value_t = 4)]
    base: u8,
    /// Exponents by length of the label, 0 to 15 each; the last holds for all longer ones
    #[arg(long, value_delimiter = ',', default_value = "6,5,4,3,2,1,0")]
    buckets: Vec<u8>,
    /// Divisor, 1 to 15, for labels with a digit, - or _
    #[arg(long, default_value_t = 4)]
    nonalpha_discount: u8,
    /// Divisor, 1 to 15, for labels without a vowel
    #[arg(long, default_value_t = 4)]
    no_vowel_discount: u8,
    #[command(flatten)]
    options: SendOptions,
}

impl Reveal {
    /// Does it.
    pub(super) fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let function = self.function()?;
        let mut page = Page::default();
        write_prices(context, &mut page, function, self.rules)?;
        page.say();
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let revealer = revealer(&desk, self.revealer.as_deref(), &sender)?;
        let (lifetime, version, revealed) = (self.lifetime, self.rules, &id);
        let plan = Plan {
            operation: "NAMESPACE_REVEAL",
            quotes: false,
            sender,
            make: Box::new(move |_| {
                Ok(Operation::namespace_reveal(
                    revealed,
                    revealer,
                    lifetime,
                    function.into(),
                    version,
                ))
            }),
            then: None,
        };
        let progress = desk.single(id.as_str(), "reveal", &[], &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }

    fn function(&self) -> Result<PriceFunctionText, OwnError> {
        let text = match &self.prices {
            Some(path) => {
                #[derive(Deserialize)]
                #[serde(transparent)]
                struct File(PriceFunctionText);
                let text = std::fs::read_to_string(path).map_err(|source| OwnError::File {
                    path: path.clone(),
                    source,
                })?;
                let File(function) = toml::from_str(&text)
                    .map_err(|error| OwnError::Usage(format!("{}: {error}", path.display())))?;
                function
            }
            None => PriceFunctionText {
                coeff: self.coeff,
                base: self.base,
                buckets: self.buckets()?,
                nonalpha_discount: self.nonalpha_discount,
                no_vowel_discount: self.no_vowel_discount,
            },
        };
        let discounts = [text.nonalpha_discount, text.no_vowel_discount];
        if text.buckets.iter().any(|bucket| *bucket > 15) {
            return Err(OwnError::Usage("an exponent is 0 to 15".to_owned()));
        }
        if discounts
            .iter()
            .any(|discount| !(1..=15).contains(discount))
        {
            return Err(OwnError::Usage("a discount is 1 to 15".to_owned()));
        }
        Ok(text)
    }

    fn buckets(&self) -> Result<[u8; 16], OwnError> {
        let last = self
            .buckets
            .last()
            .filter(|_| self.buckets.len() <= 16)
            .copied();
        let last = last.ok_or_else(|| OwnError::Usage("name 1 to 16 exponents".to_owned()))?;
        let mut buckets = [last; 16];
        for (bucket, given) in buckets.iter_mut().zip(&self.buckets) {
            *bucket = *given;
        }
        Ok(buckets)
    }
}

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
pub(super) fn write_prices(
    context: &Context,
    page: &mut Page,
    function: PriceFunctionText,
    version: u16,
) -> Result<(), CliError> {
    let request = PricesRequest {
        function,
        version,
        labels: EXAMPLES.map(str::to_owned).to_vec(),
    };
    let Reply::Prices(reply) = context.ask(&Request::Prices(request))? else {
        return Err(CliError::Unexpected);
    };
    page.heading(format!("prices in {}, as of the next block", reply.unit));
    for (label, price) in EXAMPLES.iter().zip(&reply.prices) {
        let price = price.map_or("beyond all money".to_owned(), |price| price.to_string());
        page.entry(label, &price);
    }
    Ok(())
}
