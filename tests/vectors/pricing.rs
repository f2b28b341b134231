//! Prices of names and namespaces.

use bnsd::bns::epoch;
use bnsd::bns::price::{self, PriceFunction};
use bnsd::bns::record::TokenUnits;
use bnsd::bns::{NamespaceId, Params};
use bnsd::virtualchain::serialize::PythonFloat;
use serde_json::{Value, json};

use super::{Tally, rows};
use crate::common::chain_file::{array, number, text};

/// `names.json`: price, least fee and the text of an import's fee.
pub fn names(file: &Value, tally: &mut Tally) {
    let params = Params::mainnet();
    for set in array(&file["sets"]) {
        let function = price_function(&set["namespace"]);
        for name in array(&set["names"]) {
            let label = text(&name["name"]);
            for (key, golden) in name["prices"].as_object().into_iter().flatten() {
                let epoch = epoch::historical(epoch_number(key), u32::MAX);
                let price = price::name_price(&function, &label, &params, &epoch);
                let ours = json!({
                    "price": price.to_string(),
                    "min_fee_satoshis": price.least_integer().to_string(),
                    "import_fee_text": PythonFloat(price.to_double()).to_string(),
                });
                tally.prices += 1;
                let place = format!("{}, {label:?} in {key}", set["namespace"]);
                compare(&place, &ours, golden, tally);
            }
        }
    }
}

/// `namespaces.json`: prices by the length of the id.
pub fn namespaces(file: &Value, tally: &mut Tally) {
    for row in array(&file["lengths"]) {
        let length = number(&row["namespace_id_length"]) as usize;
        // Ids of no or too many characters cannot exist, so nothing is asked about them.
        let Ok(id) = "a".repeat(length).parse::<NamespaceId>() else {
            continue;
        };
        for (key, golden) in row["prices"].as_object().into_iter().flatten() {
            let epoch = epoch::historical(epoch_number(key), u32::MAX);
            let price = |units| price::namespace_price(&id, &epoch, units).map(|p| p.to_string());
            let (satoshis, microstacks) = (price(TokenUnits::Btc), price(TokenUnits::Stacks));
            let ours = json!({
                "unit": if satoshis.is_some() { "BTC" } else { "STACKS" },
                "satoshis": satoshis,
                "microstacks": microstacks,
            });
            tally.prices += 1;
            compare(
                &format!("{length} characters in {key}"),
                &ours,
                golden,
                tally,
            );
        }
    }
}

fn compare(place: &str, ours: &Value, golden: &Value, tally: &mut Tally) {
    let differences = rows::differences(ours, golden);
    let lines = differences.iter().map(|line| format!("{place}: {line}"));
    tally.failures.extend(lines);
}

fn price_function(namespace: &Value) -> PriceFunction {
    let small = |value: &Value| u8::try_from(number(value)).expect("a byte");
    let buckets: Vec<u8> = array(&namespace["buckets"]).iter().map(small).collect();
    PriceFunction {
        coeff: small(&namespace["coeff"]),
        base: small(&namespace["base"]),
        buckets: buckets.try_into().expect("sixteen buckets"),
        nonalpha_discount: small(&namespace["nonalpha_discount"]),
        no_vowel_discount: small(&namespace["no_vowel_discount"]),
    }
}

/// `epoch3` is 3.
fn epoch_number(key: &str) -> u8 {
    let digits = key.strip_prefix("epoch").expect("a key like epoch1");
    digits.parse().expect("the number of an epoch")
}
