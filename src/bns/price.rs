//! What names and namespaces cost (sm §7).

/// The price function that a namespace was revealed with (wf §6, `&`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
