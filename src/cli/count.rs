//! Numbers of things in words.

use crate::wallet::words::grouped;

/// `1 name`, `4,320 names`: a number with its noun, which takes an s.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "zone file"), "0 zone files");
        assert_eq!(count(1, "zone file"), "1 zone file");
        assert_eq!(count(4_320, "zone file"), "4,320 zone files");
    }
}
