//! What the proxy shows to browsers in the place of servers.

use std::sync::Arc;

use hickory_proto::rr::Name as DnsName;
use quick_cache::sync::Cache;
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::resolver::host_of_chain;
use crate::tlsa::Spki;
use crate::trust::profile::{self, BACKDATED};
use crate::trust::root::{AUTHORITY_LIFETIME, Root, RootError};

/// Certificates that are kept, of about a kilobyte each.
const KEPT_MAX: usize = 1_024;
/// One with less time than this is made again, in seconds.
const RENEWAL: u64 = AUTHORITY_LIFETIME / 2;

/// Certificates of hosts that were checked, for keys of the proxy that are in memory alone.
pub struct Identities {
    root: Root,
    authority: KeyPair,
    authority_key: Spki,
    server: KeyPair,
    kept: Cache<String, (u64, Arc<CertifiedKey>)>,
}

impl Identities {
    /// Below `root`, with new keys.
    pub fn new(root: Root) -> Result<Self, RootError> {
        let authority = KeyPair::generate()?;
        let authority_key = Spki::read(&authority.subject_public_key_info());
        Ok(Self {
            root,
            authority_key: authority_key.expect("a key of P-256"),
            authority,
            server: KeyPair::generate()?,
            kept: Cache::new(KEPT_MAX),
        })
    }

    /// How a session with a browser is held that wants `host`, which was checked; `protocol` is what the server speaks.
    /// Sessions are not resumed: the server has to be checked again.
    pub fn config(
        &self,
        host: &str,
        protocol: Option<&[u8]>,
        now: u64,
    ) -> Result<ServerConfig, RootError> {
        let shown = self.certificate(host, now)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.alpn_protocols = protocol.iter().map(|protocol| protocol.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn certificate(&self, host: &str, now: u64) -> Result<Arc<CertifiedKey>, RootError> {
        if let Some((until, kept)) = self.kept.get(host)
            && until > now.saturating_add(RENEWAL)
        {
            return Ok(kept);
        }
        let made = Arc::new(self.make(host, now)?);
        let until = now + AUTHORITY_LIFETIME;
        self.kept
            .insert(host.to_owned(), (until, Arc::clone(&made)));
        Ok(made)
    }

    fn make(&self, host: &str, now: u64) -> Result<CertifiedKey, RootError> {
        let whole = DnsName::from_ascii(host).unwrap_or_else(|_| DnsName::root());
        let name = host_of_chain(&whole).map(|(name, _)| name);
        let name = name.ok_or(rcgen::Error::CouldNotParseCertificate)?;
        let authority = self.root.certify(&name, &self.authority_key, &[], now)?;
        let leaf = self.sign(host, name.as_str(), now)?;
        let key = PrivatePkcs8KeyDer::from(self.server.serialize_der());
        let key = ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key));
        let key = key.map_err(|_| rcgen::Error::UnsupportedSignatureAlgorithm)?;
        Ok(CertifiedKey::new(vec![leaf, authority], key))
    }

    /// For one host, since another one below the same name may have an owner of its own.
    fn sign(&self, host: &str, name: &str, now: u64) -> Result<CertificateDer<'static>, RootError> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.serial_number = Some(profile::serial());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        profile::set_validity(
            &mut params,
            now.saturating_sub(BACKDATED),
            now + AUTHORITY_LIFETIME,
        );
        let above = profile::authority(name, &self.authority_key, &[]);
        let issuer = Issuer::from_params(&above, &self.authority);
        Ok(params.signed_by(&self.server, &issuer)?.into())
    }
}
