//! Numbers of things in words.

/// `1 name`, `2 names`: a number with its noun, which takes an s.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "zone file"), "0 zone files");
        assert_eq!(count(1, "zone file"), "1 zone file");
        assert_eq!(count(2, "zone file"), "2 zone files");
    }
}
