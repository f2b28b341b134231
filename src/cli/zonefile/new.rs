//! `bnsd zonefile new`: a zone file to start from, with a key for TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::bns::Name;
use crate::cli::own::{directory_of_keys, name};
use crate::cli::tls::{TlsChoice, save, say_place};
use crate::cli::{CliError, Context, Exit, Result};
use crate::trust::owner::OwnerFiles;

/// Stand where no address was given (RFC 5737, RFC 3849).
const EXAMPLES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
/// The TCP port of HTTPS.
pub const HTTPS: u16 = 443;
/// That of mail between hosts.
const SMTP: u16 = 25;

/// What a new zone file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A web host with addresses, and the key of its certificate.
    Web,
    /// A profile elsewhere, as most historical names have it.
    Profile,
    /// The same as web, or with --digest a web host whose own TLS key is in the zone file.
    Tls,
    /// A mail host, and the key of its certificate.
    Mail,
    /// Keys of an SSH server.
    Ssh,
}

/// Arguments of `bnsd zonefile new`.
#[derive(Debug, Args)]
pub struct New {
    /// The name.
    name: String,
    /// What it is for
    #[arg(long, value_enum, default_value = "web")]
    template: Template,
    /// IPv4 or IPv6 address of the host; can be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// Where the profile is
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo, or fingerprint of the SSH host key, in hex
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    #[command(flatten)]
    tls: TlsChoice,
    /// Directory of the keys, by default `keys` in the platform's data directory
    #[arg(long, value_name = "DIR", env = "BNSD_KEYS_DIR")]
    keys_dir: Option<PathBuf>,
}

/// A new zone file.
#[derive(Debug, Serialize)]
struct Shown<'s> {
    zonefile: &'s str,
    /// Where the key and certificate for TLS are.
    tls_dir: Option<PathBuf>,
}

impl New {
    /// Makes the key, and prints the file.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let name = name(&self.name)?;
        let files = self.key(&name)?;
        if let Some(files) = &files {
            save(files).map_err(|error| CliError::Trouble(anyhow!(error)))?;
        }
        let text = self.text(&name, files.as_ref());
        let shown = Shown {
            zonefile: &text,
            tls_dir: files.as_ref().map(|files| files.directory().to_owned()),
        };
        let exit = context.output.show(&shown, |page| {
            for line in text.lines() {
                page.heading(line);
            }
        })?;
        if let Some(files) = files.filter(|_| !context.output.is_json()) {
            say_place(&files);
        }
        Ok(exit)
    }

    /// The key for TLS, if what the file is for has use for it.
    fn key(&self, name: &Name) -> Result<Option<OwnerFiles>> {
        let is_used = match self.template {
            Template::Web | Template::Mail => true,
            Template::Tls => self.digest.is_none(),
            Template::Profile | Template::Ssh => false,
        };
        match is_used {
            true => self
                .tls
                .prepare(name, || directory_of_keys(self.keys_dir.as_deref())),
            false => Ok(None),
        }
    }

    /// A file that is sound as it is; examples stand where nothing was given.
    fn text(&self, name: &Name, key: Option<&OwnerFiles>) -> String {
        let digest = self.digest.clone().unwrap_or_else(|| "00".repeat(32));
        let addresses: &[IpAddr] = match (self.template, self.address.as_slice()) {
            (Template::Profile, _) => &[],
            (_, []) => &EXAMPLES,
            (_, given) => given,
        };
        let records = match (self.template, &self.digest) {
            (Template::Tls, None) | (Template::Web, _) => return web(name, addresses, key),
            (Template::Tls, Some(_)) => format!("_443._tcp TLSA 3 1 1 {digest}\n"),
            (Template::Profile, _) => {
                let url = self.url.clone();
                let url = url.unwrap_or_else(|| format!("https://example.com/{name}/profile.json"));
                format!("_http._tcp URI 10 1 \"{url}\"\n")
            }
            (Template::Mail, _) => {
                let key = key.map(|key| key.record(SMTP) + "\n").unwrap_or_default();
                format!("@ MX 10 {name}.\n@ TXT \"v=spf1 mx -all\"\n{key}")
            }
            (Template::Ssh, _) => format!("@ SSHFP 4 2 {digest}\n"),
        };
        format!("{}{records}", head(name, addresses))
    }
}

/// The zone file of a web host with these addresses, and the key of its certificate.
pub fn web(name: &Name, addresses: &[IpAddr], key: Option<&OwnerFiles>) -> String {
    let alias = match addresses {
        [] => String::new(), // it would lead to nothing
        _ => format!("www CNAME {name}.\n"),
    };
    let key = key.map(|key| key.record(HTTPS) + "\n").unwrap_or_default();
    format!("{}{alias}{key}", head(name, addresses))
}

fn head(name: &Name, addresses: &[IpAddr]) -> String {
    let kind = |address: &IpAddr| if address.is_ipv6() { "AAAA" } else { "A" };
    let hosts = addresses.iter();
    let hosts: String = hosts.map(|it| format!("@ {} {it}\n", kind(it))).collect();
    format!("$ORIGIN {name}\n$TTL 3600\n{hosts}")
}
