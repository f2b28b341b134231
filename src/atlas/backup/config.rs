//! A backup as the configuration names it: a URI that says what and where, and a file for what nobody may read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a place is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// A directory of this machine.
    Directory,
    /// A bucket of S3 or of what speaks its protocol.
    S3,
    /// A folder of a WebDAV server.
    Webdav,
    /// A directory of a web server, which is only read.
    Http,
    /// A folder of Dropbox.
    Dropbox,
    /// A folder of Google Drive.
    Gdrive,
}

/// Where zone files are backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfig {
    pub(super) service: Service,
    /// An absolute path, or what stands behind the scheme: bucket and folder, or the address of a server.
    pub(super) place: String,
    /// Address of the server of a bucket.
    pub(super) endpoint: Option<String>,
    /// Region of a bucket.
    pub(super) region: Option<String>,
    /// The file of its secrets.
    pub(super) secrets: Option<PathBuf>,
}

/// Why a text is no backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseBackupError {
    /// It begins with nothing that is known.
    #[error(
        "{0:?} is no backup; write fs:/PATH, s3://BUCKET/FOLDER?region=R&secrets=/PATH, webdav+https://HOST/FOLDER?secrets=/PATH, https://HOST/FOLDER, dropbox:/FOLDER?secrets=/PATH or gdrive:/FOLDER?secrets=/PATH"
    )]
    Scheme(String),
    /// It names no place, or one that cannot be.
    #[error("{text:?} needs {needed}")]
    Place {
        /// What was written, without secrets that do not belong there.
        text: String,
        /// What has to be there.
        needed: &'static str,
    },
    /// A user or password stands in it.
    #[error(
        "a URI of a backup holds no user and no password, since others see the configuration: write them into a file with mode 0600 and add `?secrets=/PATH`"
    )]
    Secret,
    /// A parameter that nobody knows.
    #[error(
        "a backup has no parameter {0:?} here; there are secrets, and for s3 endpoint and region"
    )]
    Parameter(String),
    /// Secrets would be sent so that others can read them.
    #[error(
        "{0:?} sends its secrets readably: write webdav+https or https, or leave `secrets` out"
    )]
    Readable(String),
}

impl BackupConfig {
    /// The directory that is written to, if it is one of this machine.
    pub fn directory(&self) -> Option<&Path> {
        (self.service == Service::Directory).then(|| Path::new(&self.place))
    }

    /// The file of its secrets.
    pub fn secrets(&self) -> Option<&Path> {
        self.secrets.as_deref()
    }

    fn check(&self) -> Result<(), ParseBackupError> {
        let (address, _) = self.place.split_once('/').unwrap_or((&self.place, ""));
        let needed = match self.service {
            Service::Directory if !self.place.starts_with('/') => "an absolute path: fs:/PATH",
            Service::S3 if address.is_empty() => "a bucket: s3://BUCKET/FOLDER",
            Service::S3 if self.region.is_none() && self.endpoint.is_none() => {
                "a region, as in ?region=eu-central-1, or the address of its server, as in ?endpoint=https://HOST"
            }
            Service::Dropbox | Service::Gdrive if self.secrets.is_none() => {
                "?secrets=/PATH, the file with its access token"
            }
            Service::Webdav | Service::Http if server(&self.place).is_empty() => "a server",
            _ => return self.check_secrecy(),
        };
        Err(ParseBackupError::Place {
            text: self.to_string(),
            needed,
        })
    }

    /// Passwords go only over TLS, or to a server of this machine. S3 signs with its key and sends none.
    fn check_secrecy(&self) -> Result<(), ParseBackupError> {
        let is_plain = self.place.starts_with("http://");
        let host = server(&self.place);
        let is_near = ["127.0.0.1", "localhost", "[::1]"].iter().any(|near| {
            host.strip_prefix(near)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        if is_plain && !is_near && self.secrets.is_some() {
            return Err(ParseBackupError::Readable(self.to_string()));
        }
        Ok(())
    }
}

/// Host and port of an address.
fn server(address: &str) -> &str {
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    rest.split('/').next().unwrap_or_default()
}

impl FromStr for BackupConfig {
    type Err = ParseBackupError;

    fn from_str(text: &str) -> Result<Self, ParseBackupError> {
        let (base, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (service, place) = if let Some(path) = base.strip_prefix("fs:") {
            (Service::Directory, path)
        } else if let Some(place) = base.strip_prefix("s3://") {
            (Service::S3, place)
        } else if let Some(address) = base.strip_prefix("webdav+") {
            (Service::Webdav, address)
        } else if let Some(folder) = base.strip_prefix("dropbox:") {
            (Service::Dropbox, folder)
        } else if let Some(folder) = base.strip_prefix("gdrive:") {
            (Service::Gdrive, folder)
        } else {
            (Service::Http, base)
        };
        let is_web = place.starts_with("https://") || place.starts_with("http://");
        if matches!(service, Service::Webdav | Service::Http) && !is_web {
            let (scheme, _) = base.split_once(':').unwrap_or((base, ""));
            return Err(ParseBackupError::Scheme(scheme.to_owned()));
        }
        if server(place).contains('@') {
            return Err(ParseBackupError::Secret);
        }
        let mut backup = Self {
            service,
            place: place.trim_end_matches('/').to_owned(),
            endpoint: None,
            region: None,
            secrets: None,
        };
        for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.to_owned();
            match (key, service) {
                ("secrets", _) => backup.secrets = Some(value.into()),
                ("endpoint", Service::S3) => backup.endpoint = Some(value),
                ("region", Service::S3) => backup.region = Some(value),
                _ => return Err(ParseBackupError::Parameter(key.to_owned())),
            }
        }
        backup.check()?;
        Ok(backup)
    }
}

/// The place without parameters: what people see of a backup.
impl fmt::Display for BackupConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.service {
            Service::Directory => "fs:",
            Service::S3 => "s3://",
            Service::Webdav => "webdav+",
            Service::Http => "",
            Service::Dropbox => "dropbox:",
            Service::Gdrive => "gdrive:",
        };
        write!(f, "{scheme}{}", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown_without_parameters() {
        for (text, shown) in [
            ("fs:/srv/zonefiles/", "fs:/srv/zonefiles"),
            (
                "s3://bucket/a/b?region=eu-1&secrets=/etc/s3",
                "s3://bucket/a/b",
            ),
            ("s3://bucket?endpoint=http://127.0.0.1:9000", "s3://bucket"),
            (
                "webdav+https://host/dav?secrets=/etc/dav",
                "webdav+https://host/dav",
            ),
            (
                "webdav+http://127.0.0.1:8080/?secrets=/etc/dav",
                "webdav+http://127.0.0.1:8080",
            ),
            ("http://host:8000/files", "http://host:8000/files"),
            (
                "dropbox:/zonefiles?secrets=/etc/dropbox",
                "dropbox:/zonefiles",
            ),
            ("gdrive:/zonefiles?secrets=/etc/gdrive", "gdrive:/zonefiles"),
        ] {
            let backup: BackupConfig = text.parse().expect(text);
            assert_eq!(backup.to_string(), shown);
        }
        let backup: BackupConfig = "s3://b?endpoint=http://h:1&secrets=/s"
            .parse()
            .expect("one");
        assert_eq!(backup.endpoint.as_deref(), Some("http://h:1"));
        assert_eq!(backup.secrets(), Some(Path::new("/s")));
        assert_eq!(backup.directory(), None);
        let backup: BackupConfig = "fs:/a".parse().expect("one");
        assert_eq!(backup.directory(), Some(Path::new("/a")));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, said) in [
            ("ftp://host/x", "\"ftp\" is no backup"),
            ("", "is no backup"),
            ("fs:relative", "an absolute path"),
            ("s3:///folder", "a bucket"),
            ("s3://bucket", "a region"),
            ("gdrive:/x", "secrets=/PATH"),
            ("https:///x", "a server"),
            ("https://anna:hunter2@host/x", "no password"),
            (
                "s3://bucket?secret_access_key=hunter2&region=r",
                "no parameter \"secret_access_key\"",
            ),
            ("webdav+http://host/x?secrets=/s", "readably"),
            ("webdav+http://127.0.0.1.evil.org/x?secrets=/s", "readably"),
        ] {
            let error = text.parse::<BackupConfig>().expect_err(text).to_string();
            assert!(
                error.contains(said) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
