//! What a request says beside its path: `name=value` pairs behind the question mark, percent-encoded.

use super::answer::Refusal;

/// The pairs of a query. A name stands in it once.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text behind the question mark.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = || Refusal::bad("the query is no percent-encoded UTF-8");
            let name = decode(name).ok_or_else(wrong)?;
            let value = decode(value).ok_or_else(wrong)?;
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::bad(format!(
                    "the parameter {name:?} is there twice"
                )));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The text that was percent-encoded, with `+` for a blank (as forms do); `None` if it is none.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(digits[0])? * 16 + digit(digits[1])?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = Query::read("page=2&type=A%41&&x+y=%E2%82%ac&empty").expect("a query");
        let found = ["page", "type", "x y", "empty", "none"].map(|name| query.get(name));
        assert_eq!(found, [Some("2"), Some("AA"), Some("€"), Some(""), None]);
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for wrong in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", "%61=1&a=2"] {
            assert!(Query::read(wrong).is_err(), "{wrong}");
        }
    }
}
