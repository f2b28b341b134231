//! What names and namespaces cost (sm §7).
//!
//! Epochs 1 to 3 compute in IEEE-754 doubles and epoch 4 in unbounded integers, as the reference does; the
//! fee of an imported name is the text of that number, so every bit counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::epoch::{Epoch, NamespacePrices, PriceArithmetic};
use super::name::NamespaceId;
use super::params::Params;

/// The price function that a namespace was revealed with (wf §6, `&`); written like this in JSON and TOML.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PriceFunction {
    /// Coefficient.
    pub coeff: u8,
    /// Base of the power.
    pub base: u8,
    /// Exponent by length of the label, 0 to 15 each; the last holds for all longer ones.
    pub buckets: [u8; 16],
    /// Divisor, 1 to 15, for labels with a digit, `-` or `_`.
    pub nonalpha_discount: u8,
    /// Divisor, 1 to 15, for labels without a vowel.
    pub no_vowel_discount: u8,
}

/// The currency of a preorder (sm §1, `token_units`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenUnits {
    /// Satoshi in the burn output.
    Btc,
    /// µSTX of the sender's account.
    Stacks,
}

/// A price as the reference holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Price {
    /// Epochs 1 to 3.
    Double(f64),
    /// Epoch 4 and later.
    Integer(Wide),
}

/// An unsigned integer of up to 192 bits: enough for the dearest name (2^128 times a unit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wide {
    high: u128,
    low: u64,
}

/// µSTX that a name in a version 3 namespace costs at least (sm §7.1).
const NAME_COST_UNIT_STACKS: u64 = 1_733;

impl fmt::Display for PriceFunction {
    /// All its numbers, in the order of the payload (wf §6, `&`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}·{}^", self.coeff, self.base)?;
        let buckets: Vec<String> = self.buckets.iter().map(u8::to_string).collect();
        let (digits, vowels) = (self.nonalpha_discount, self.no_vowel_discount);
        write!(f, "({})/{digits}/{vowels}", buckets.join(" "))
    }
}

impl PriceFunction {
    /// `coeff·base^e` and the discount for a label (sm §7.1). The power fits: 255·255^15 < 2^128.
    fn terms(&self, label: &str) -> (u128, u64) {
        let bucket = label.len().clamp(1, 16) - 1;
        let exponent = u32::from(self.buckets[bucket] & 15);
        let mut discount = 1;
        if !label.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
            discount = discount.max(self.no_vowel_discount);
        }
        if label.contains(|c: char| c.is_ascii_digit() || c == '-' || c == '_') {
            discount = discount.max(self.nonalpha_discount); // quirk MAX-DISCOUNT
        }
        (
            u128::from(self.coeff) * u128::from(self.base).pow(exponent),
            u64::from(discount),
        )
    }
}

/// The price of a name in satoshi by the arithmetic of `epoch` (sm §7.1).
pub fn name_price(function: &PriceFunction, label: &str, params: &Params, epoch: &Epoch) -> Price {
    let (value, discount) = function.terms(label);
    let unit = params.name_cost_unit_satoshis;
    match epoch.price_arithmetic {
        PriceArithmetic::Double { multiplier } => {
            let unit = unit as f64;
            let price = value as f64 / discount as f64 * unit;
            Price::Double(price.max(unit) * multiplier)
        }
        PriceArithmetic::Integer { divisor } => {
            let price = Wide::product(value, unit).divide(discount);
            Price::Integer(price.max(Wide::from(unit)).divide(divisor))
        }
    }
}

/// The price in µSTX of a name in a version 3 namespace (sm §7.1).
pub fn name_price_in_version_3(function: &PriceFunction, label: &str) -> Wide {
    let (value, discount) = function.terms(label);
    Wide::product(value, NAME_COST_UNIT_STACKS)
        .divide(discount)
        .max(Wide::from(NAME_COST_UNIT_STACKS))
}

/// The price in µSTX of a name in a version 1 or 2 namespace: 650/15 of that in satoshi (sm §7.1).
pub fn name_price_in_stacks(price: Price) -> Wide {
    let satoshi = match price {
        Price::Double(price) => Wide::from(price as u64),
        Price::Integer(price) => price,
    };
    satoshi.times(650).divide(15)
}

/// What the reveal of a namespace has to have paid (sm §7.2); `None`: any fee will do.
pub fn namespace_price(id: &NamespaceId, epoch: &Epoch, units: TokenUnits) -> Option<u64> {
    let table = match (&epoch.namespace_prices, units) {
        (NamespacePrices::Satoshi(table), TokenUnits::Btc)
        | (NamespacePrices::MicroStacks(table), TokenUnits::Stacks) => table,
        // Quirk FREE-REVEAL: the comparison with a missing price always passes.
        _ => return None,
    };
    table.get(id.as_str().len()).or(table.last()).copied()
}

impl Price {
    /// Whether `fee` satoshi are enough.
    pub fn is_met_by(self, fee: u64) -> bool {
        match self {
            // Least sufficient integer; a double beyond u64 saturates, which no fee reaches.
            Self::Double(price) => fee >= price.ceil() as u64,
            Self::Integer(price) => Wide::from(fee) >= price,
        }
    }

    /// As a double, correctly rounded: the fee of an imported name (quirk FLOAT-FEE).
    pub fn to_double(self) -> f64 {
        match self {
            Self::Double(price) => price,
            Self::Integer(price) => price.to_double(),
        }
    }

    /// The least sufficient integer fee in satoshi, if one fits.
    pub fn least_fee(self) -> Option<u64> {
        self.least_integer().to_u64()
    }

    /// The least integer that is not below the price.
    pub fn least_integer(self) -> Wide {
        match self {
            Self::Double(price) => Wide::from_whole_double(price.ceil()),
            Self::Integer(price) => price,
        }
    }
}

/// As the reference prints it: a double always has a point or an exponent, an integer has neither.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(price) => price.fmt(f),
            Self::Double(price) => f.write_str(&shortest(*price).replace('e', "e+")),
        }
    }
}

/// The fewest digits that spell a double, as Python's `repr` chooses them: between two spellings that are
/// equally near it takes the even one, where Rust takes the greater.
fn shortest(price: f64) -> String {
    let plain = price < 1e16;
    let shortest = if plain {
        format!("{price:?}")
    } else {
        format!("{price:e}")
    };
    let fraction = shortest.split(['.', 'e']).nth(1).unwrap_or_default();
    let decimals = if shortest.contains('.') {
        fraction.len()
    } else {
        0
    };
    let even = if plain {
        format!("{price:.decimals$}")
    } else {
        format!("{price:.decimals$e}")
    };
    if even.parse() == Ok(price) {
        even
    } else {
        shortest
    }
}

impl From<u64> for Wide {
    fn from(low: u64) -> Self {
        Self { high: 0, low }
    }
}

impl Wide {
    fn product(value: u128, factor: u64) -> Self {
        let low = u128::from(value as u64) * u128::from(factor);
        let high = (value >> 64) * u128::from(factor) + (low >> 64);
        Self {
            high,
            low: low as u64,
        }
    }

    fn times(self, factor: u64) -> Self {
        let low = u128::from(self.low) * u128::from(factor);
        let high = self
            .high
            .saturating_mul(u128::from(factor))
            .saturating_add(low >> 64);
        Self {
            high,
            low: low as u64,
        }
    }

    fn divide(self, divisor: u64) -> Self {
        let divisor = u128::from(divisor.max(1));
        let rest = self.high % divisor;
        Self {
            high: self.high / divisor,
            low: ((rest << 64 | u128::from(self.low)) / divisor) as u64,
        }
    }

    /// A double without fraction; none that a price can be is beyond 2^192.
    fn from_whole_double(value: f64) -> Self {
        const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
        let high = (value / TWO_POW_64).floor();
        Self {
            high: high as u128,
            low: (value - high * TWO_POW_64) as u64,
        }
    }

    /// The value, if it fits.
    pub fn to_u64(self) -> Option<u64> {
        (self.high == 0).then_some(self.low)
    }

    /// Rounds to nearest, ties to even, as Python's `float(int)`.
    fn to_double(self) -> f64 {
        let excess = 128 - self.high.leading_zeros().min(128);
        if excess <= 64 {
            return (self.high << 64 | u128::from(self.low)) as f64;
        }
        let shift = excess - 64;
        let kept = self.high << (64 - shift) | u128::from(self.low >> shift);
        let dropped = self.low & ((1 << shift) - 1) != 0;
        (kept | u128::from(dropped)) as f64 * f64::powi(2.0, shift as i32)
    }
}

/// Decimal digits.
impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 1_000_000_000_000_000_000;
        let rest = self.divide(CHUNK);
        // Modulo 2^64 is enough: the difference is below CHUNK.
        let last = self.low.wrapping_sub(rest.low.wrapping_mul(CHUNK));
        if rest == Self::from(0) {
            write!(f, "{last}")
        } else {
            write!(f, "{rest}{last:018}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bns::epoch::historical;

    const ID: PriceFunction = PriceFunction {
        coeff: 250,
        base: 4,
        buckets: [6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        nonalpha_discount: 4,
        no_vowel_discount: 4,
    };

    #[test]
    fn names_in_id_cost_what_they_did() {
        // sm §7.1, table
        let params = Params::mainnet();
        let cases = [
            ("a", 102_400_000, 10_240_000),
            ("john", 1_600_000, 160_000),
            ("johnadam", 25_000, 2_500),
            ("john0001", 6_250, 625),
        ];
        for (label, first, third) in cases {
            let price =
                |number| name_price(&ID, label, &params, &historical(number, u32::MAX)).least_fee();
            assert_eq!(price(1), Some(first), "{label}");
            assert_eq!((price(3), price(4)), (Some(third), Some(third)), "{label}");
        }
    }

    #[test]
    fn wide_integers_round_as_doubles_do() {
        let most = Wide::product(u128::MAX, 1_733);
        assert_eq!(most.to_double(), u128::MAX as f64 * 1_733.0);
        assert_eq!(most.divide(1_733), Wide::product(u128::MAX, 1));
        assert_eq!(Wide::from(u64::MAX).to_double(), u64::MAX as f64);
    }

    #[test]
    fn prices_print_as_in_the_reference() {
        const TIED: f64 = 268_743_870_350_429.0;
        let cases = [
            (Price::Double(233.333_333_333_333_34), "233.33333333333334"),
            (Price::Double(5_163_905_443_290.0), "5163905443290.0"),
            (Price::Double(TIED + 0.125), "268743870350429.12"),
            (Price::Double(TIED + 0.375), "268743870350429.38"),
            (
                Price::Double(2.063_211_398_010_88e16),
                "2.06321139801088e+16",
            ),
            (Price::Integer(Wide::from(u64::MAX)), "18446744073709551615"),
            (
                Price::Integer(Wide::product(u128::MAX, 1_000)),
                "340282366920938463463374607431768211455000",
            ),
            (
                Price::Integer(Wide::product(1 << 60, 1_000_000_000_000_000_000)),
                "1152921504606846976000000000000000000",
            ),
        ];
        for (price, text) in cases {
            assert_eq!(price.to_string(), text);
        }
    }

    #[test]
    fn the_least_fee_of_a_huge_double_is_exact() {
        let price = Price::Double(2f64.powi(130) + 2f64.powi(90));
        let exact = Wide::product((1 << 127) + (1 << 87), 8);
        assert_eq!((price.least_integer(), price.least_fee()), (exact, None));
        assert_eq!(Price::Double(233.3).least_fee(), Some(234));
    }
}
