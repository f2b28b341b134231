//! The system's store, for the root alone: what has to be written where, as text.
//!
//! The layout of the system says where its administrators put authorities, and which program makes its bundles of them. On
//! Debian the links in `/etc/ssl/certs` are made here, as that program would make them, so that taking them back needs
//! nothing but removing them. Firefox takes the root by a policy, from the next start on.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::subject_hash;
use crate::trust::issued::RootCertificate;

/// Where the policies of Firefox are.
pub const POLICIES: &str = "etc/firefox/policies/policies.json";
/// Where OpenSSL looks on Debian.
pub const HASHED: &str = "etc/ssl/certs";

/// Something to put at a path, which is below the root directory and has no first slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A file for everybody to read.
    File(String, String),
    /// A link to this path.
    Link(String, String),
}

/// How a system keeps authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The directory that tells it from others.
    mark: &'static str,
    /// The file of the root.
    root: &'static str,
    /// The program that makes bundles and links of all files.
    refresh: &'static [&'static str],
}

/// Debian and its children; Fedora and its; Arch; openSUSE.
const LAYOUTS: [Layout; 4] = [
    Layout {
        mark: "usr/share/ca-certificates",
        root: "usr/local/share/ca-certificates/bnsd-root.crt",
        refresh: &["update-ca-certificates"],
    },
    Layout {
        mark: "etc/pki/ca-trust/source",
        root: "etc/pki/ca-trust/source/anchors/bnsd-root.pem",
        refresh: &["update-ca-trust"],
    },
    Layout {
        mark: "etc/ca-certificates/trust-source",
        root: "etc/ca-certificates/trust-source/anchors/bnsd-root.crt",
        refresh: &["update-ca-trust"],
    },
    Layout {
        mark: "usr/share/pki/trust",
        root: "etc/pki/trust/anchors/bnsd-root.pem",
        refresh: &["update-ca-certificates"],
    },
];

impl Layout {
    /// That of the system below a root directory; `None` if it is no known one.
    pub fn of(root: &Path) -> Option<Self> {
        LAYOUTS
            .into_iter()
            .find(|layout| root.join(layout.mark).is_dir())
    }

    /// The file of the root, below the root directory.
    pub fn root(&self) -> &'static str {
        self.root
    }

    /// What has to be run when files have changed.
    pub fn refresh(&self) -> Vec<String> {
        self.refresh.iter().map(|&word| word.to_owned()).collect()
    }

    /// What has to be put there. `is_taken` says whether another file is at a path.
    pub fn pieces(
        &self,
        root: &RootCertificate,
        is_taken: impl Fn(&str, &str) -> bool,
    ) -> Vec<Piece> {
        let mut pieces = vec![Piece::File(self.root.to_owned(), root.pem())];
        if *self == LAYOUTS[0] {
            let link = format!("{HASHED}/bnsd-root.pem");
            pieces.push(Piece::Link(link, format!("/{}", self.root)));
            let hash = subject_hash(root.subject());
            let places = (0..100).map(|number| format!("{HASHED}/{hash:08x}.{number}"));
            let target = "bnsd-root.pem";
            let mut free = places.filter(|place| !is_taken(place, target));
            pieces.extend(
                free.next()
                    .map(|place| Piece::Link(place, target.to_owned())),
            );
        }
        pieces
    }
}

/// The policies of Firefox with the root, which is the file `path`; `before` is the text that is there, empty for none. `None`
/// if that is no object, which is left alone.
pub fn policies(before: &str, path: &str) -> Option<String> {
    let mut all: Value = match before.trim().is_empty() {
        true => json!({}),
        false => serde_json::from_str(before).ok()?,
    };
    let policies = child(all.as_object_mut()?, "policies", || json!({}))?.as_object_mut()?;
    let certificates = child(policies, "Certificates", || json!({}))?.as_object_mut()?;
    let install = child(certificates, "Install", || json!([]))?.as_array_mut()?;
    if !install.iter().any(|known| known == path) {
        install.push(json!(path));
    }
    let text = serde_json::to_string_pretty(&all).ok()?;
    Some(text + "\n")
}

fn child<'v>(
    object: &'v mut Map<String, Value>,
    key: &str,
    empty: impl Fn() -> Value,
) -> Option<&'v mut Value> {
    Some(object.entry(key.to_owned()).or_insert_with(empty))
}

/// The commands with which macOS trusts the root in the file `path`, for TLS servers alone; rendered, and never tried.
pub fn macos(path: &str) -> [Vec<String>; 2] {
    const KEYCHAIN: &str = "/Library/Keychains/System.keychain";
    let add = [
        "security",
        "add-trusted-cert",
        "-d",
        "-r",
        "trustRoot",
        "-p",
        "ssl",
        "-k",
        KEYCHAIN,
        path,
    ];
    let remove = ["security", "remove-trusted-cert", "-d", path];
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    [words(&add), words(&remove)]
}
