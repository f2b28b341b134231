//! Names and namespace ids: valid by construction (wf §5).

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;

use crate::hash::{NameHash128, sha256};

/// Longest name in bytes, namespace and dot included (wf §5).
pub const NAME_MAX: usize = 37;
/// Longest namespace id in bytes (wf §5).
pub(super) const NAMESPACE_ID_MAX: usize = 19;

/// Why a text is no name or namespace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No dot, or more than one, or nothing on one side of it.
    #[error("a name has the form LABEL.NAMESPACE with exactly one dot")]
    Shape,
    /// Something other than `a-z 0-9 - _`.
    #[error("only the characters a-z, 0-9, '-' and '_' are allowed")]
    Charset,
    /// More than [`NAME_MAX`] or [`NAMESPACE_ID_MAX`] bytes.
    #[error("a name has at most 37 characters and a namespace at most 19")]
    TooLong,
}

/// A name like `werner.id`: one dot, characters `a-z 0-9 - _`, at most 37 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(ArrayString<NAME_MAX>);

impl Name {
    /// The name that `bytes` spell, exactly as they stand: upper case is invalid (wf §5).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidName> {
        if bytes.len() > NAME_MAX {
            return Err(InvalidName::TooLong);
        }
        let mut parts = bytes.split(|&byte| byte == b'.');
        let (Some(label), Some(namespace), None) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidName::Shape);
        };
        check_charset(label)?;
        NamespaceId::from_bytes(namespace)?;
        text(bytes).map(Self)
    }

    /// The name of a label in a namespace. A label with a dot in it is invalid: it would be another name.
    pub fn in_namespace(label: &[u8], id: &NamespaceId) -> Result<Self, InvalidName> {
        check_charset(label)?;
        let label = std::str::from_utf8(label).map_err(|_| InvalidName::Charset)?;
        let mut name = ArrayString::new();
        for part in [label, ".", id.as_str()] {
            name.try_push_str(part).map_err(|_| InvalidName::TooLong)?;
        }
        Ok(Self(name))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the dot.
    pub fn label(&self) -> &str {
        self.0.split_once('.').map_or("", |(label, _)| label)
    }

    /// The part after the dot.
    pub fn namespace(&self) -> &str {
        self.0
            .split_once('.')
            .map_or("", |(_, namespace)| namespace)
    }

    /// The namespace; every name has one.
    pub fn namespace_id(&self) -> Option<NamespaceId> {
        NamespaceId::from_bytes(self.namespace().as_bytes()).ok()
    }

    /// How transfers refer to the name (wf §5, "name hash").
    pub fn hash128(&self) -> NameHash128 {
        let digest = sha256(self.0.as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        NameHash128(hash)
    }
}

/// A namespace id like `id`: 1 to 19 characters `a-z 0-9 - _`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId(ArrayString<NAMESPACE_ID_MAX>);

impl NamespaceId {
    /// The id that `bytes` spell.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidName> {
        if bytes.len() > NAMESPACE_ID_MAX {
            return Err(InvalidName::TooLong);
        }
        check_charset(bytes)?;
        text(bytes).map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_charset(part: &[u8]) -> Result<(), InvalidName> {
    if part.is_empty() {
        return Err(InvalidName::Shape);
    }
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if part.iter().all(allowed) {
        Ok(())
    } else {
        Err(InvalidName::Charset)
    }
}

/// Text of allowed characters, kept without an allocation: a block holds thousands of names, and every question has one.
fn text<const MAX: usize>(bytes: &[u8]) -> Result<ArrayString<MAX>, InvalidName> {
    let text = std::str::from_utf8(bytes).map_err(|_| InvalidName::Charset)?;
    ArrayString::from(text).map_err(|_| InvalidName::TooLong)
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::from_bytes(text.as_bytes())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type!(Name);
text_type!(NamespaceId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Names sort as their texts, which is the order of their keys in the database.
        #[test]
        fn names_sort_as_texts(
            one in "[a-z0-9_-]{1,4}[.][a-z0-9_-]{1,4}",
            other in "[a-z0-9_-]{1,4}[.][a-z0-9_-]{1,4}",
        ) {
            let name = |text: &str| text.parse::<Name>().expect("a name");
            prop_assert_eq!(name(&one).cmp(&name(&other)), one.cmp(&other));
            prop_assert_eq!(name(&one).to_string(), one);
        }
    }

    #[test]
    fn names_are_split_at_their_dot() {
        let name: Name = "patrickstanley.id".parse().expect("a valid name");
        assert_eq!((name.label(), name.namespace()), ("patrickstanley", "id"));
        assert_eq!(
            name.hash128().to_string(),
            "683a3e1ee5f0296833c56e481cf41b77"
        ); // wf §5, check values
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let id: NamespaceId = "id".parse().expect("a valid id");
        let below = |label: &[u8]| Name::in_namespace(label, &id);
        assert_eq!(below(b"foo").expect("a valid name").as_str(), "foo.id");
        assert_eq!(below(b""), Err(InvalidName::Shape));
        assert_eq!(below(b"a.b"), Err(InvalidName::Charset));
        assert!(below(&[b'a'; 34]).is_ok());
        assert_eq!(below(&[b'a'; 35]), Err(InvalidName::TooLong));
        let long = format!("{}.id", "a".repeat(35));
        let cases = [
            ("foo", InvalidName::Shape),
            ("foo.", InvalidName::Shape),
            (".id", InvalidName::Shape),
            ("a.b.id", InvalidName::Shape),
            ("Foo.id", InvalidName::Charset),
            ("foo+.id", InvalidName::Charset),
            ("foo.id\n", InvalidName::Charset),
            (long.as_str(), InvalidName::TooLong),
            ("a.bbbbbbbbbbbbbbbbbbbb", InvalidName::TooLong),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Name>(), Err(reason), "{text:?}");
        }
        assert!(format!("{}.id", "a".repeat(34)).parse::<Name>().is_ok());
    }
}
