//! Names as people type them: in any case, with the dot at the end that DNS knows, or under the alias.
//!
//! The rules of the chain know one spelling only, so what is typed is folded here and nowhere below.

use super::{CliError, Result};
use crate::bns::{Name, NamespaceId};
use crate::resolver::strip_alias;

/// A name as an argument.
pub fn name(text: &str) -> Result<Name> {
    let name: Result<Name, _> = fold_name(text).parse();
    name.map_err(|error| CliError::Usage(format!("{text:?} is no name: {error}")))
}

/// A name or subdomain as the rules spell it.
pub fn fold_name(text: &str) -> String {
    let folded = fold(text);
    let plain = strip_alias(&folded).map(str::to_owned);
    plain.unwrap_or(folded)
}

/// A namespace as an argument.
pub fn namespace(text: &str) -> Result<NamespaceId> {
    let id: Result<NamespaceId, _> = fold(text).parse();
    id.map_err(|error| CliError::Usage(format!("{text:?} is no namespace: {error}")))
}

/// In lower case and without the dot of the root (RFC 4343, RFC 1034 §3.1).
pub fn fold(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_dns_takes_them() {
        for text in [
            "me.id",
            "ME.id",
            "Me.ID.",
            "me.id.bns.alt",
            "ME.ID.BNS.ALT.",
        ] {
            assert_eq!(name(text).expect("a name").as_str(), "me.id");
        }
        for text in [
            "",
            ".",
            "me",
            "me.id..",
            "a.me.id",
            "m\u{e9}.id",
            "bns.alt.me",
        ] {
            let error = name(text).expect_err("no name").to_string();
            assert!(
                error.starts_with(&format!("{text:?} is no name")),
                "{error}"
            );
        }
        assert_eq!(namespace("ID.").expect("a namespace").as_str(), "id");
    }
}
