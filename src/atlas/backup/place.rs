//! One place of backups, by the library that speaks to all of them: files are written and read there by their path.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use opendal::services;
use opendal::{ErrorKind, Operator};
use rustls::crypto::ring;
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::config::{BackupConfig, Service};
use crate::disk::rights::{Exposed, check_secret};
use crate::hash::ZonefileHash;
use crate::zonefile::ZONEFILE_MAX;

/// How long a place may take to take or give a file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a file of secrets, at most.
const SECRETS_MAX: u64 = 16_384;

/// Why a backup cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Its secrets cannot be read.
    #[error("cannot read the secrets of the backup {place} in {path}: {reason}", path = .path.display())]
    Secrets {
        /// The backup.
        place: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The library refuses it.
    #[error("the backup {place} cannot be used: {reason}; correct `atlas.backups`")]
    Refused {
        /// The backup.
        place: String,
        /// What the library says.
        reason: String,
    },
    /// This program was built without it.
    #[error(
        "this bnsd was built without the backup {place}: install one with the feature `{feature}`, or take it out of `atlas.backups`"
    )]
    NotBuilt {
        /// The backup.
        place: String,
        /// The feature of the build.
        feature: &'static str,
    },
}

/// Why a file was not written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("it took more than {} s", PATIENCE.as_secs())]
    TooSlow,
    /// It does not answer, or not now; other files would fail as well.
    #[error("{0}")]
    Down(String),
    /// It refuses this file, as far as one can tell.
    #[error("{0}")]
    Failed(String),
    #[error("it gave a file with other bytes")]
    WrongFile,
}

impl PlaceError {
    /// Whether other files would fail as well.
    pub(super) fn is_down(&self) -> bool {
        matches!(self, Self::TooSlow | Self::Down(_))
    }
}

/// What a file of secrets may hold.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Secrets {
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// A place that files are written to and read from.
pub(super) struct Place {
    operator: Operator,
    /// Whether files can be written there.
    pub(super) is_writable: bool,
}

impl Place {
    /// Opens a place; nothing is sent yet.
    pub(super) fn open(config: &BackupConfig) -> Result<Self, BackupError> {
        // The library makes its HTTP client with the provider of the process, and has no other way to name one.
        let _ = ring::default_provider().install_default(); // once is enough
        let secrets = match &config.secrets {
            Some(path) => read_secrets(path).map_err(|reason| BackupError::Secrets {
                place: config.to_string(),
                path: path.clone(),
                reason,
            })?,
            None => Secrets::default(),
        };
        let operator = operator(config, secrets)?;
        let is_writable = operator.info().full_capability().write;
        Ok(Self {
            operator,
            is_writable,
        })
    }

    /// Writes a file, in place of what is there.
    pub(super) async fn write(
        &self,
        hash: &ZonefileHash,
        bytes: Vec<u8>,
    ) -> Result<(), PlaceError> {
        let path = path(hash);
        let written = self.operator.write(&path, bytes);
        let written = timeout(PATIENCE, written)
            .await
            .map_err(|_| PlaceError::TooSlow)?;
        written.map(drop).map_err(|error| failed(&error))
    }

    /// Whether a file with the size is there.
    pub(super) async fn has(&self, hash: &ZonefileHash, size: usize) -> Result<bool, PlaceError> {
        let path = path(hash);
        let found = timeout(PATIENCE, self.operator.stat(&path)).await;
        match found.map_err(|_| PlaceError::TooSlow)? {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            found => Ok(found.map_err(|error| failed(&error))?.content_length() == size as u64),
        }
    }

    /// The file with this hash; `None` if the place has none. Reads one byte more than a zone file may have, at most.
    pub(super) async fn read(&self, hash: &ZonefileHash) -> Result<Option<Vec<u8>>, PlaceError> {
        let bytes = timeout(PATIENCE, self.read_bytes(hash)).await;
        match bytes.map_err(|_| PlaceError::TooSlow)? {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => match bytes.map_err(|error| failed(&error))? {
                bytes if bytes.is_empty() => Ok(None),
                bytes if ZonefileHash::of(&bytes) == *hash => Ok(Some(bytes)),
                _ => Err(PlaceError::WrongFile),
            },
        }
    }

    async fn read_bytes(&self, hash: &ZonefileHash) -> opendal::Result<Vec<u8>> {
        let path = path(hash);
        let reader = self.operator.reader(&path).await?;
        let mut pieces = reader.into_stream(..).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?.to_bytes());
            if bytes.len() > ZONEFILE_MAX {
                break; // no zone file, whatever follows
            }
        }
        Ok(bytes)
    }
}

/// As in the archive, below the place.
fn path(hash: &ZonefileHash) -> String {
    let [first, second, ..] = hash.0;
    format!("{first:02x}/{second:02x}/{hash}.txt")
}

fn failed(error: &opendal::Error) -> PlaceError {
    let text = format!("{}: {}", error.kind(), error.message());
    match error.is_temporary() || error.kind() == ErrorKind::RateLimited {
        true => PlaceError::Down(text),
        false => PlaceError::Failed(text),
    }
}

fn read_secrets(path: &Path) -> Result<Secrets, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    check_secret(&metadata).map_err(|exposed: Exposed| exposed.to_string())?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(SECRETS_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    // What the parser says shows the line, and with it a secret.
    toml::from_str(&text).map_err(|_| {
        "write lines KEY = \"VALUE\", of access-key-id, secret-access-key and session-token (s3), username and password or token (webdav, https), access-token or refresh-token, client-id and client-secret (dropbox, gdrive)".to_owned()
    })
}

fn operator(config: &BackupConfig, secrets: Secrets) -> Result<Operator, BackupError> {
    let built = match config.service {
        Service::Directory => build(services::Fs::default().root(&config.place)),
        #[cfg(feature = "backup-s3")]
        Service::S3 => build(s3(config, secrets)),
        #[cfg(feature = "backup-webdav")]
        Service::Webdav => build(webdav(config, secrets)),
        #[cfg(feature = "backup-http")]
        Service::Http => build(http(config, secrets)),
        #[cfg(feature = "backup-dropbox")]
        Service::Dropbox => build(dropbox(config, secrets)),
        #[cfg(feature = "backup-gdrive")]
        Service::Gdrive => build(gdrive(config, secrets)),
        #[allow(unreachable_patterns, reason = "all of them may be built in")]
        service => {
            drop(secrets);
            return Err(BackupError::NotBuilt {
                place: config.to_string(),
                feature: feature(service),
            });
        }
    };
    built.map_err(|error| BackupError::Refused {
        place: config.to_string(),
        reason: error.message().to_owned(),
    })
}

fn feature(service: Service) -> &'static str {
    match service {
        Service::Directory => "default",
        Service::S3 => "backup-s3",
        Service::Webdav => "backup-webdav",
        Service::Http => "backup-http",
        Service::Dropbox => "backup-dropbox",
        Service::Gdrive => "backup-gdrive",
    }
}

fn build(builder: impl opendal::Builder) -> opendal::Result<Operator> {
    Ok(Operator::new(builder)?.finish())
}

/// Bucket and folder, and nothing that the environment says: only what is configured counts.
#[cfg(feature = "backup-s3")]
fn s3(config: &BackupConfig, secrets: Secrets) -> services::S3 {
    let (bucket, folder) = config.place.split_once('/').unwrap_or((&config.place, ""));
    let region = config.region.as_deref().unwrap_or("auto");
    let mut builder = services::S3::default()
        .bucket(bucket)
        .root(&format!("/{folder}"))
        .region(region)
        .disable_config_load()
        .disable_ec2_metadata();
    let endpoint = format!("https://s3.{region}.amazonaws.com");
    builder = builder.endpoint(config.endpoint.as_deref().unwrap_or(&endpoint));
    match (secrets.access_key_id, secrets.secret_access_key) {
        (Some(id), Some(key)) => builder = builder.access_key_id(&id).secret_access_key(&key),
        _ => builder = builder.skip_signature(), // a bucket that everybody may read
    }
    match secrets.session_token {
        Some(token) => builder.session_token(&token),
        None => builder,
    }
}

#[cfg(feature = "backup-webdav")]
fn webdav(config: &BackupConfig, secrets: Secrets) -> services::Webdav {
    let mut builder = services::Webdav::default().endpoint(&config.place);
    if let Some(username) = secrets.username {
        builder = builder.username(&username);
    }
    if let Some(password) = secrets.password {
        builder = builder.password(&password);
    }
    match secrets.token {
        Some(token) => builder.token(&token),
        None => builder,
    }
}

#[cfg(feature = "backup-http")]
fn http(config: &BackupConfig, secrets: Secrets) -> services::Http {
    let mut builder = services::Http::default().endpoint(&config.place);
    if let Some(username) = secrets.username {
        builder = builder.username(&username);
    }
    if let Some(password) = secrets.password {
        builder = builder.password(&password);
    }
    match secrets.token {
        Some(token) => builder.token(&token),
        None => builder,
    }
}

#[cfg(feature = "backup-dropbox")]
fn dropbox(config: &BackupConfig, secrets: Secrets) -> services::Dropbox {
    let mut builder = services::Dropbox::default().root(&config.place);
    if let Some(token) = secrets.access_token {
        builder = builder.access_token(&token);
    }
    if let Some(token) = secrets.refresh_token {
        builder = builder.refresh_token(&token);
    }
    if let Some(id) = secrets.client_id {
        builder = builder.client_id(&id);
    }
    match secrets.client_secret {
        Some(secret) => builder.client_secret(&secret),
        None => builder,
    }
}

#[cfg(feature = "backup-gdrive")]
fn gdrive(config: &BackupConfig, secrets: Secrets) -> services::Gdrive {
    let mut builder = services::Gdrive::default().root(&config.place);
    if let Some(token) = secrets.access_token {
        builder = builder.access_token(&token);
    }
    if let Some(token) = secrets.refresh_token {
        builder = builder.refresh_token(&token);
    }
    if let Some(id) = secrets.client_id {
        builder = builder.client_id(&id);
    }
    match secrets.client_secret {
        Some(secret) => builder.client_secret(&secret),
        None => builder,
    }
}
