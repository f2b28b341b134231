//! The token, which whoever may use the proxy knows.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::ProxyError;
use crate::disk::{self, rights};

/// Its file.
const FILE: &str = "token";
/// Bytes of it.
const LENGTH: usize = 16;

/// A secret of 128 bits in hexadecimal digits.
pub struct Token(Zeroizing<String>);

/// For whoever is allowed to read its file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Token {
    /// That in a directory, made if there is none.
    pub fn open(directory: &Path) -> Result<Self, ProxyError> {
        rights::open_directory(directory).map_err(at(directory))?;
        let path = directory.join(FILE);
        if !path.exists() {
            let mut bytes = Zeroizing::new([0; LENGTH]);
            getrandom::fill(&mut *bytes)
                .expect("the system's generator does not fail once it is up");
            let text = Zeroizing::new(HEXLOWER.encode(&*bytes));
            disk::create(&path, text.as_bytes()).map_err(at(&path))?;
        }
        rights::make_private(&path).map_err(at(&path))?;
        Self::read(directory)
    }

    /// That in a directory.
    pub fn read(directory: &Path) -> Result<Self, ProxyError> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).map(Zeroizing::new);
        let token = Self(text.map_err(at(&path))?);
        match token.0.len() == 2 * LENGTH {
            true => Ok(token),
            false => Err(at(&path)(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Whether somebody said it; how long that takes does not depend on where they are wrong.
    pub fn is(&self, said: &str) -> bool {
        let pairs = self.0.bytes().zip(said.bytes());
        let differences = pairs.fold(0, |all, (a, b)| all | (a ^ b));
        said.len() == self.0.len() && differences == 0
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ProxyError + use<> {
    let path = path.to_owned();
    move |source| ProxyError::File {
        path: path.clone(),
        source,
    }
}
