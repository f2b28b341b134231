//! JSON as peers send it, checked before it is read.

/// Objects and lists inside of each other.
const DEPTH_MAX: usize = 16;

/// Whether nothing in a text of JSON is deeper than it may be.
pub(super) fn is_shallow(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let mut depth = 0usize;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = behind_string(rest),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// What follows a string whose quotation mark has been read.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    while let Some(at) = rest.iter().position(is_special) {
        let length = if rest[at] == b'"' { 1 } else { 2 };
        rest = rest.get(at + length..).unwrap_or_default();
        if length == 1 {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_shallow(&nested(DEPTH_MAX)) && !is_shallow(&nested(DEPTH_MAX + 1)));
        let text = format!(
            "{{\"{}\\\"{}\\\\\": {}}}",
            "[".repeat(99),
            "{".repeat(99),
            nested(3)
        );
        assert!(is_shallow(&text));
        let hidden = format!("\"\\\\\"{}", nested(99));
        assert!(!is_shallow(&hidden) && is_shallow("\"[[[[\\"));
    }
}
