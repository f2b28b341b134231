//! A TLS server of OpenSSL, with certificates for a name.

use std::net::SocketAddr;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::common::home::Home;
use crate::common::process::{Process, until};

/// A running server.
pub struct Site {
    pub address: SocketAddr,
    _process: Process,
    _home: Home,
}

/// The key of a name's server, with a certificate that the owner's authority signed.
pub struct Keys {
    pub leaf: KeyPair,
    pub leaf_pem: String,
}

impl Keys {
    pub fn of(name: &str) -> Self {
        let authority = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let leaf = KeyPair::generate().expect("a key");
        let mut own = CertificateParams::new([name.to_owned()]).expect("a name");
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::from_params(&params, &authority);
        let leaf_pem = own.signed_by(&leaf, &issuer).expect("signed").pem();
        Self { leaf, leaf_pem }
    }
}

impl Site {
    /// Shows the leaf alone.
    pub fn start(keys: &Keys) -> Self {
        let home = Home::new();
        let file = |name: &str, text: String| {
            let path = home.path().join(name);
            std::fs::write(&path, text).expect("a scratch file");
            path
        };
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(file("leaf.pem", keys.leaf_pem.clone()))
            .arg("-key")
            .arg(file("leaf.key", keys.leaf.serialize_pem()));
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
