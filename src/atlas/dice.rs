//! Randomness as a value that is handed in, so that what the network does can be repeated from a seed.

/// Where random numbers come from.
pub trait Dice {
    /// A number below `bound`, each as likely; 0 if `bound` is 0.
    fn below(&mut self, bound: usize) -> usize;

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64;
}

/// Puts `items` into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T], dice: &mut impl Dice) {
    for end in (1..items.len()).rev() {
        items.swap(end, dice.below(end + 1));
    }
}
