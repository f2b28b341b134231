//! The names of subdomains.

use std::fmt;
use std::str::FromStr;

use crate::bns::name::{InvalidName, Name};

/// Longest label in bytes: what a domain name can hold (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// Why a text is no subdomain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubdomain {
    /// Not exactly two dots.
    #[error("a subdomain has the form LABEL.NAME.NAMESPACE with exactly two dots")]
    Shape,
    /// The label is empty, too long, or has other characters than `a-z 0-9 - _ +`.
    #[error("the label of a subdomain has 1 to {LABEL_MAX} characters a-z, 0-9, '-', '_' and '+'")]
    Label,
    /// What is behind the label is no name.
    #[error("what is behind the label of a subdomain is no name: {0}")]
    Name(#[from] InvalidName),
}

/// A subdomain like `bar.foo.id`: a label `[a-z0-9-_+]+` below a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdomain {
    name: Name,
    label: Box<str>,
}

impl Subdomain {
    /// The subdomain with a label below a name. Upper case is invalid.
    pub fn new(label: &[u8], name: Name) -> Result<Self, InvalidSubdomain> {
        let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'+');
        let is_label = (1..=LABEL_MAX).contains(&label.len()) && label.iter().all(allowed);
        let label = is_label.then(|| String::from_utf8_lossy(label).into());
        Ok(Self {
            label: label.ok_or(InvalidSubdomain::Label)?,
            name,
        })
    }

    /// What is before the first dot.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is behind the first dot.
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl fmt::Display for Subdomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.label, self.name)
    }
}

impl fmt::Debug for Subdomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Subdomain {
    type Err = InvalidSubdomain;

    fn from_str(text: &str) -> Result<Self, InvalidSubdomain> {
        let (label, name) = text.split_once('.').ok_or(InvalidSubdomain::Shape)?;
        if name.matches('.').count() != 1 {
            return Err(InvalidSubdomain::Shape);
        }
        Self::new(label.as_bytes(), name.parse()?)
    }
}

impl serde::Serialize for Subdomain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Subdomain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subdomain_is_a_label_below_a_name() {
        let subdomain: Subdomain = "a+b_c-1.foo.id".parse().expect("a subdomain");
        assert_eq!(subdomain.label(), "a+b_c-1");
        assert_eq!(subdomain.name().as_str(), "foo.id");
        assert_eq!(subdomain.to_string(), "a+b_c-1.foo.id");
    }

    #[test]
    fn what_is_no_subdomain_is_refused() {
        let long = format!("{}.foo.id", "a".repeat(64));
        for (text, reason) in [
            ("bar", InvalidSubdomain::Shape),
            ("foo.id", InvalidSubdomain::Shape),
            ("a.bar.foo.id", InvalidSubdomain::Shape),
            ("bar.foo.id.", InvalidSubdomain::Shape),
            (".foo.id", InvalidSubdomain::Label),
            ("Bar.foo.id", InvalidSubdomain::Label),
            ("b~r.foo.id", InvalidSubdomain::Label),
            (long.as_str(), InvalidSubdomain::Label),
            ("bar.f+o.id", InvalidSubdomain::Name(InvalidName::Charset)),
            ("bar..id", InvalidSubdomain::Name(InvalidName::Shape)),
        ] {
            assert_eq!(text.parse::<Subdomain>(), Err(reason), "{text}");
        }
    }
}
