//! A change of a file as lines, for people who want to see it before it is made.

/// Unchanged lines that are shown around a change.
const AROUND: usize = 2;

/// The lines that go (`-`), those that come (`+`) and a few around them.
pub fn diff(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let start = same(&mut old.iter().zip(&new));
    let rest = old.len().min(new.len()) - start;
    let end = same(&mut old.iter().rev().zip(new.iter().rev())).min(rest);
    let with = |mark: char, lines: &[&str]| -> Vec<String> {
        lines.iter().map(|line| format!("{mark}{line}")).collect()
    };
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    [
        with(' ', &old[start.saturating_sub(AROUND)..start]),
        with('-', &old[start..old_end]),
        with('+', &new[start..new_end]),
        with(' ', &old[old_end..old.len().min(old_end + AROUND)]),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_shown_around_what_changes() {
        for (before, after, expected) in [
            ("", "a\nb\n", "+a +b"),
            ("a\n", "", "-a"),
            ("a\nb\nc\nd\ne\n", "a\nb\nc\nx\ne\n", " b  c -d +x  e"),
            ("a\na\n", "a\na\na\n", " a  a +a"),
            ("a\n", "a\n", " a"),
        ] {
            assert_eq!(diff(before, after).join(" "), expected, "{before:?}");
        }
    }
}
