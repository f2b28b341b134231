//! How we show a node who we are.
//!
//! The node's cookie comes first. It is read again when the node refuses it, because every start of the node writes
//! a new one. User and password come second (Bitcoin Core, `httprpc.cpp`). None of them is ever shown, neither in
//! an error nor in the log.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hyper::header::HeaderValue;

/// Longest cookie that is read, in bytes; Bitcoin Core's have 75.
const COOKIE_BYTES: u64 = 1 << 10;

/// What a node may be shown.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The node's cookie file, tried first where it is there.
    pub cookie: Option<PathBuf>,
    /// User and password, tried second.
    pub user: Option<UserPassword>,
}

/// A user and a password; never shown.
#[derive(Clone)]
pub struct UserPassword(String);

impl UserPassword {
    /// Joins the two as the node wants them.
    pub fn new(user: &str, password: &str) -> Self {
        Self(format!("{user}:{password}"))
    }
}

impl fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserPassword(not shown)")
    }
}

impl Credentials {
    /// Values of the `Authorization` header, best first; the cookie is read anew.
    pub(super) fn offers(&self) -> Vec<HeaderValue> {
        let cookie = self.cookie.as_deref().and_then(read_cookie);
        let user = self.user.as_ref().map(|user| user.0.clone());
        let texts = cookie.into_iter().chain(user);
        texts.map(|text| basic(&text)).collect()
    }

    /// What was refused, what is not there, and what to do.
    pub(super) fn advice(&self) -> String {
        let cookie = self.cookie.as_deref().map(|path| {
            let is_read = read_cookie(path).is_some();
            (path.display(), is_read)
        });
        let user = "the configured user and password";
        let said = match (cookie, self.user.is_some()) {
            (Some((path, true)), false) => format!("it refuses the cookie in {path}"),
            (Some((path, true)), true) => format!("it refuses the cookie in {path} and {user}"),
            (Some((path, false)), true) => format!("it refuses {user}, and {path} cannot be read"),
            (Some((path, false)), false) => {
                format!("it wants credentials, and {path} cannot be read")
            }
            (None, true) => format!("it refuses {user}"),
            (None, false) => "it wants credentials, and none are configured".to_owned(),
        };
        format!("{said}: set `chain.rpc-cookie`, or `chain.rpc-user` and `chain.rpc-password-file`")
    }
}

/// HTTP's form of user and password (RFC 7617 §2).
pub(super) fn basic(user_and_password: &str) -> HeaderValue {
    let coded = BASE64.encode(user_and_password.as_bytes());
    let value = HeaderValue::try_from(format!("Basic {coded}"));
    let mut value = value.expect("base64 is made of characters that a header may hold");
    value.set_sensitive(true);
    value
}

/// User and password as the node wrote them, in one line.
fn read_cookie(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(COOKIE_BYTES).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    line.contains(':').then(|| line.to_owned())
}
