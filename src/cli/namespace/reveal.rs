//! `bnsd namespace reveal`: which namespace it is, and by which rules it works.

use std::path::PathBuf;

use super::prices;
use crate::bns::price::PriceFunction;
use crate::cli::output::Page;
use crate::cli::own::{SendOptions, carry_out, namespace};
use crate::cli::{CliError, Context, Exit, Result};
use crate::wallet::task::Wish;
use clap::Args;

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
    /// Shows the prices, reveals the namespace and waits.
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let revealer = self.revealer.as_ref();
        carry_out(context, &self.options, |wallet| {
            let id = namespace(&self.id)?;
            let function = self.function()?;
            let mut page = Page::default();
            prices::write(context, &mut page, function, self.rules)?;
            page.say();
            Ok(Wish::RevealNamespace {
                id,
                revealer: revealer.map(|text| wallet.address(text)).transpose()?,
                lifetime: self.lifetime,
                prices: function,
                version: self.rules,
            })
        })
    }

    fn function(&self) -> Result<PriceFunction> {
        let text = match &self.prices {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
                toml::from_str(&text)
                    .map_err(|error| usage(&format!("{}: {error}", path.display())))?
            }
            None => PriceFunction {
                coeff: self.coeff,
                base: self.base,
                buckets: self.buckets()?,
                nonalpha_discount: self.nonalpha_discount,
                no_vowel_discount: self.no_vowel_discount,
            },
        };
        if text.buckets.iter().any(|bucket| *bucket > 15) {
            return Err(usage("an exponent is 0 to 15"));
        }
        let is_wrong = |discount| !(1..=15).contains(&discount);
        if is_wrong(text.nonalpha_discount) || is_wrong(text.no_vowel_discount) {
            return Err(usage("a discount is 1 to 15"));
        }
        Ok(text)
    }

    fn buckets(&self) -> Result<[u8; 16]> {
        let given = self.buckets.as_slice();
        let (1..=16, Some(last)) = (given.len(), given.last()) else {
            return Err(usage("name 1 to 16 exponents"));
        };
        let mut buckets = [*last; 16];
        buckets[..given.len()].copy_from_slice(given);
        Ok(buckets)
    }
}

fn usage(text: &str) -> CliError {
    CliError::Usage(text.to_owned())
}
