//! A TLS server of OpenSSL, with certificates for a name.

use std::net::SocketAddr;
use std::process::Command;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};

use crate::common::home::Home;
use crate::common::process::{Process, until};

/// A running server.
pub struct Site {
    pub address: SocketAddr,
    _process: Process,
    _home: Home,
}

/// The keys of a name's owner, with a leaf that the authority signed and its own certificate.
pub struct Keys {
    pub authority: KeyPair,
    pub leaf: KeyPair,
    pub authority_pem: String,
    pub leaf_pem: String,
}

impl Keys {
    pub fn of(name: &str) -> Self {
        Self::made(name, |_| ())
    }

    /// Those with a leaf whose time is over.
    pub fn expired(name: &str) -> Self {
        Self::made(name, |leaf| {
            leaf.not_before = date_time_ymd(2020, 1, 1);
            leaf.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn made(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let authority = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_pem = params.self_signed(&authority).expect("signed").pem();
        let leaf = KeyPair::generate().expect("a key");
        let mut own = CertificateParams::new([name.to_owned()]).expect("a name");
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        edit(&mut own);
        let issuer = Issuer::from_params(&params, &authority);
        let leaf_pem = own.signed_by(&leaf, &issuer).expect("signed").pem();
        Self {
            authority,
            leaf,
            authority_pem,
            leaf_pem,
        }
    }

    /// What the zone file says of the authority (`ta`) or of the leaf (`ee`).
    pub fn statement(&self, usage: &str, port: u16) -> String {
        let key = match usage {
            "ta" => &self.authority,
            _ => &self.leaf,
        };
        let spki = BASE64.encode(&key.subject_public_key_info());
        format!("_tlskey TXT \"v=bnstls1 use={usage} port={port} spki={spki}\"\n")
    }
}

impl Site {
    /// Shows the leaf alone.
    pub fn start(keys: &Keys) -> Self {
        Self::run(keys, false)
    }

    /// Shows the leaf and its authority.
    pub fn start_with_authority(keys: &Keys) -> Self {
        Self::run(keys, true)
    }

    fn run(keys: &Keys, has_authority: bool) -> Self {
        let authority = has_authority.then_some(&*keys.authority_pem);
        Self::showing(&keys.leaf_pem, authority, &keys.leaf.serialize_pem())
    }

    /// Shows a leaf, and an authority if there is one, all in PEM.
    pub fn showing(leaf: &str, authority: Option<&str>, key: &str) -> Self {
        let home = Home::new();
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).expect("a scratch file");
            path
        };
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(file("leaf.pem", leaf))
            .arg("-key")
            .arg(file("leaf.key", key));
        if let Some(authority) = authority {
            command
                .arg("-cert_chain")
                .arg(file("authority.pem", authority));
        }
        let mut process = Process::start(&home, command);
        let address = until("openssl s_server to listen", || {
            assert!(!process.has_ended(), "{}", process.stderr());
            let said = process.stdout();
            let line = said.lines().find_map(|line| line.strip_prefix("ACCEPT "))?;
            line.parse().ok()
        });
        Self {
            address,
            _process: process,
            _home: home,
        }
    }
}
