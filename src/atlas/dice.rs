//! Randomness as a value that is handed in, so that what the network does can be repeated from a seed.

/// Where random numbers come from.
pub trait Dice {
    /// A number below `bound`, each as likely; 0 if `bound` is 0.
    fn below(&mut self, bound: usize) -> usize;

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64;
}

/// One of `items`, each as likely; `None` if there is none.
pub(super) fn pick<'i, T>(items: &'i [T], dice: &mut impl Dice) -> Option<&'i T> {
    items.get(dice.below(items.len()))
}

/// Puts `items` into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(items: &mut [T], dice: &mut impl Dice) {
    for end in (1..items.len()).rev() {
        items.swap(end, dice.below(end + 1));
    }
}

/// Dice for tests.
#[cfg(test)]
pub(super) mod fixture {
    use super::Dice;

    /// Numbers that follow from a seed (SplitMix64, Steele, Lea, Flood 2014).
    pub struct Seeded(u64);

    impl Seeded {
        /// The numbers of `seed`.
        pub fn new(seed: u64) -> Self {
            Self(seed)
        }

        fn draw(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }

    impl Dice for Seeded {
        fn below(&mut self, bound: usize) -> usize {
            ((u128::from(self.draw()) * bound as u128) >> 64) as usize
        }

        fn unit(&mut self) -> f64 {
            (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
        }
    }
}
