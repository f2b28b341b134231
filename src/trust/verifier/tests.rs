//! Real handshakes, in memory, between a verifying client and servers with certificates of every kind.

use std::sync::Mutex;

use bitcoin::hashes::{Hash as _, sha256, sha512};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _, date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{DnsName, PrivateKeyDer};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::*;
use crate::tlsa::{Pin, Rule};
use crate::trust::SourceError;

const HOST: &str = "judecn.id";
/// Both versions of TLS.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A source that says what it is told.
#[derive(Debug)]
struct Fixed(Mutex<Result<Pins, SourceError>>);

impl Fixed {
    fn of(pins: &[Pin]) -> Arc<Self> {
        Self::saying(Ok(Pins::Bound(pins.to_vec())))
    }

    fn saying(answer: Result<Pins, SourceError>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answer)))
    }

    fn say(&self, answer: Result<Pins, SourceError>) {
        *self.0.lock().expect("one thread") = answer;
    }
}

impl PinSource for Fixed {
    fn pins(&self, host: &DnsName<'_>, port: u16) -> Result<Pins, SourceError> {
        assert_eq!(port, HTTPS);
        match host.as_ref().ends_with("example.com") {
            true => Ok(Pins::NotOurs),
            false => self.0.lock().expect("one thread").clone(),
        }
    }
}

/// Somebody with a key and a certificate for it.
struct Party {
    key: KeyPair,
    params: CertificateParams,
    der: CertificateDer<'static>,
}

impl Party {
    /// Signs itself.
    fn authority(edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = authority_params(edit);
        let der = params.self_signed(&key).expect("a certificate").into();
        Self { key, params, der }
    }

    /// An authority below another one.
    fn sub_authority(&self, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        self.sign(authority_params(|params| {
            params.distinguished_name.push(DnType::CommonName, "below");
            edit(params);
        }))
    }

    /// A server with a certificate of this authority for [`HOST`].
    fn leaf(&self, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        self.sign(leaf_params(HOST, edit))
    }

    fn sign(&self, params: CertificateParams) -> Self {
        self.sign_for(KeyPair::generate().expect("a key"), params)
    }

    fn sign_for(&self, key: KeyPair, params: CertificateParams) -> Self {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let signed = params.signed_by(&key, &issuer).expect("a certificate");
        let der = signed.into();
        Self { key, params, der }
    }

    fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// A pin for the certificate (selector 0) or the key (1), whole (matching 0) or as a digest (1, 2).
    fn pin(&self, usage: u8, selector: u8, matching: u8) -> Pin {
        let whole = match selector {
            0 => self.der.to_vec(),
            _ => self.spki(),
        };
        let data = match matching {
            1 => sha256::Hash::hash(&whole).to_byte_array().to_vec(),
            2 => sha512::Hash::hash(&whole).to_byte_array().to_vec(),
            _ => whole,
        };
        Pin {
            usage,
            selector,
            matching,
            data,
            rule: Rule::Record,
        }
    }
}

fn authority_params(edit: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "BNS authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    edit(&mut params);
    params
}

fn leaf_params(host: &str, edit: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names = vec![host.to_owned(), format!("*.{host}")];
    let mut params = CertificateParams::new(names).expect("names");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    edit(&mut params);
    params
}

fn nothing(_: &mut CertificateParams) {}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn to_come(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2120, 1, 1);
    params.not_after = date_time_ymd(2121, 1, 1);
}

fn other_name(params: &mut CertificateParams) {
    *params = leaf_params("other.id", nothing);
}

fn other_purpose(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// What a server shows: the first party's certificate and key, and the certificates of the others.
fn server(version: &'static SupportedProtocolVersion, chain: &[&Party]) -> ServerConfig {
    with_key(version, chain, &chain[0].key)
}

/// The same with a key that may be another one.
fn with_key(
    version: &'static SupportedProtocolVersion,
    chain: &[&Party],
    key: &KeyPair,
) -> ServerConfig {
    let chain = chain.iter().map(|party| party.der.clone()).collect();
    let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(
        chain,
        signing(key),
    )));
    builder(version).with_cert_resolver(shown)
}

fn signing(key: &KeyPair) -> Arc<dyn rustls::sign::SigningKey> {
    let der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    ring::sign::any_supported_type(&der).expect("a known kind")
}

fn builder(
    version: &'static SupportedProtocolVersion,
) -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("suites for it")
        .with_no_client_auth()
}

/// A handshake from hello to the end, and what kind of one it was.
fn shake_hands(
    client: &Arc<ClientConfig>,
    host: &str,
    server: &Arc<ServerConfig>,
) -> Result<HandshakeKind, Error> {
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    // Tickets come behind the handshake.
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).expect("memory");
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).expect("memory");
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(client.handshake_kind().expect("a finished handshake"))
}

/// What comes of a visit to `host`, which binds `pins`, when a server shows `chain`: in words, the same in all versions of TLS.
fn visit(host: &str, pins: &[Pin], chain: &[&Party]) -> Result<(), String> {
    let source = Fixed::of(pins);
    let outcomes = VERSIONS.map(|version| {
        let client = Arc::new(Verifier::new(source.clone()).client_config());
        let outcome = shake_hands(&client, host, &Arc::new(server(version, chain)));
        outcome.map(drop).map_err(|error| error.to_string())
    });
    assert_eq!(outcomes[0], outcomes[1]);
    let [outcome, _] = outcomes;
    outcome
}

#[track_caller]
fn accepted(pins: &[Pin], chain: &[&Party]) {
    assert_eq!(visit(HOST, pins, chain), Ok(()));
}

#[track_caller]
fn refused(pins: &[Pin], chain: &[&Party], why: &str) {
    let told = visit(HOST, pins, chain).expect_err("refused");
    assert!(told.contains(why), "{told}");
    assert!(
        told.contains("this is not the server of judecn.id, port 443"),
        "{told}"
    );
}

const OTHER_KEY: &str = "no pin holds for it";
const EXPIRED: &str = "has expired";
const NAME: &str = "for other names";

#[test]
fn a_leaf_is_matched_by_certificate_or_key_whole_or_digested() {
    let authority = Party::authority(nothing);
    let (leaf, other) = (authority.leaf(nothing), authority.leaf(nothing));
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            accepted(&[leaf.pin(3, selector, matching)], &[&leaf]);
            accepted(&[leaf.pin(3, selector, matching)], &[&leaf, &authority]);
            refused(&[other.pin(3, selector, matching)], &[&leaf], OTHER_KEY);
        }
    }
    // A renewed certificate for the same key is another certificate.
    let key = KeyPair::from_pem(&leaf.key.serialize_pem()).expect("our own key");
    let renewed = authority.sign_for(key, leaf_params(HOST, nothing));
    accepted(&[leaf.pin(3, 1, 1)], &[&renewed]);
    refused(&[leaf.pin(3, 0, 1)], &[&renewed], OTHER_KEY);
}

#[test]
fn a_pinned_leaf_may_be_expired_of_another_name_or_for_another_purpose() {
    let authority = Party::authority(nothing);
    for edit in [expired, to_come, other_name, other_purpose] {
        let leaf = authority.leaf(edit);
        accepted(&[leaf.pin(3, 1, 1)], &[&leaf]);
        let why = "no pinned authority vouches for it: ";
        refused(&[authority.pin(2, 1, 1)], &[&leaf, &authority], why);
        refused(&[authority.pin(2, 1, 0)], &[&leaf], why);
    }
    let itself = Party::authority(|params| *params = leaf_params(HOST, nothing));
    accepted(&[itself.pin(3, 1, 1)], &[&itself]);
}

#[test]
fn a_leaf_may_have_every_kind_of_key_that_tls_has() {
    let authority = Party::authority(nothing);
    for kind in [
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ] {
        let key = KeyPair::generate_for(kind).expect("a key");
        let leaf = authority.sign_for(key, leaf_params(HOST, nothing));
        accepted(&[leaf.pin(3, 1, 1)], &[&leaf]);
        accepted(&[authority.pin(2, 1, 0)], &[&leaf]);
    }
}

#[test]
fn only_the_leaf_proves_anything_by_itself() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    // Somebody else shows the pinned certificate behind a leaf of their own.
    let stranger = Party::authority(|params| *params = leaf_params(HOST, nothing));
    refused(&[leaf.pin(3, 1, 1)], &[&stranger, &leaf], OTHER_KEY);
    // A certificate that signs itself has no authority above it.
    refused(&[stranger.pin(2, 1, 1)], &[&stranger], OTHER_KEY);
    // Certificates are public; whoever shows one needs its key.
    for version in VERSIONS {
        let client = Arc::new(Verifier::new(Fixed::of(&[leaf.pin(3, 1, 1)])).client_config());
        let thief = with_key(version, &[&leaf], &stranger.key);
        let outcome = shake_hands(&client, HOST, &Arc::new(thief));
        let told = outcome.expect_err("a signature by another key").to_string();
        assert!(told.contains("BadSignature"), "{told}");
    }
}

#[test]
fn an_authority_is_matched_by_certificate_or_key_whole_or_digested() {
    let authority = Party::authority(nothing);
    let other = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            let pins = [authority.pin(2, selector, matching)];
            accepted(&pins, &[&leaf, &authority]);
            let pins = [other.pin(2, selector, matching)];
            refused(&pins, &[&leaf, &authority], OTHER_KEY);
        }
    }
    // What a server does not show has to be in the pin.
    accepted(&[authority.pin(2, 1, 0)], &[&leaf]);
    refused(&[authority.pin(2, 1, 1)], &[&leaf], OTHER_KEY);
    refused(&[authority.pin(2, 0, 0)], &[&leaf], OTHER_KEY);
    refused(&[other.pin(2, 1, 0)], &[&leaf], OTHER_KEY);
}

#[test]
fn what_an_authority_signed_is_for_the_name_and_valid_now() {
    let authority = Party::authority(nothing);
    let pins = [authority.pin(2, 1, 1), authority.pin(2, 1, 0)];
    for (edit, why) in [
        (expired as fn(&mut CertificateParams), EXPIRED),
        (to_come, "not valid yet"),
        (other_name, NAME),
        (other_purpose, "RequiredEkuNotFound"),
    ] {
        let leaf = authority.leaf(edit);
        refused(&pins, &[&leaf, &authority], why);
        refused(&pins, &[&leaf], why);
    }
    // The one pinned authority is shown, but another one signed.
    let stranger = Party::authority(nothing);
    refused(
        &pins[..1],
        &[&stranger.leaf(nothing), &authority],
        "signature does not count",
    );
    let named = Party::authority(|params| params.distinguished_name.push(DnType::CommonName, "x"));
    refused(
        &pins[..1],
        &[&named.leaf(nothing), &authority],
        "did not sign",
    );
}

#[test]
fn a_certificate_is_for_the_hosts_that_it_names() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    let pins = [authority.pin(2, 1, 1)];
    let visit = |host| visit(host, &pins, &[&leaf, &authority]);
    assert_eq!(visit("www.judecn.id"), Ok(()));
    assert_eq!(visit("WWW.JudeCN.id"), Ok(()));
    // The same name where it cannot be a legacy one.
    assert_eq!(visit("judecn.id.bns.alt"), Ok(()));
    assert_eq!(visit("www.judecn.id.bns.alt"), Ok(()));
    for host in ["a.b.judecn.id", "other.id", "other.id.bns.alt"] {
        let told = visit(host).expect_err("another host");
        assert!(told.contains(NAME), "{told}");
    }
}

#[test]
fn an_authority_that_may_not_sign_is_none() {
    type Edit = fn(&mut CertificateParams);
    let edits: [(Edit, &str); 5] = [
        (
            |params| params.is_ca = IsCa::ExplicitNoCa,
            "not that of an authority",
        ),
        (
            |params| params.is_ca = IsCa::NoCa,
            "not that of an authority",
        ),
        (expired, "not valid at this time"),
        (
            |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
            "sign certificates",
        ),
        (other_purpose, "sign for servers"),
    ];
    for (edit, why) in edits {
        let authority = Party::authority(edit);
        let leaf = authority.leaf(nothing);
        refused(&[authority.pin(2, 1, 1)], &[&leaf, &authority], why);
        // The zone file vouches for a whole key, whatever its holder signs about themselves.
        accepted(&[authority.pin(2, 1, 0)], &[&leaf, &authority]);
    }
    let authority = Party::authority(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.id".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let leaf = authority.leaf(nothing);
    refused(
        &[authority.pin(2, 1, 1)],
        &[&leaf, &authority],
        "NameConstraintViolation",
    );
}

#[test]
fn authorities_below_an_authority_are_as_many_as_it_allows() {
    let unbounded = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let (strict, free) = (Party::authority(nothing), Party::authority(unbounded));
    let (below_strict, below_free) = (strict.sub_authority(nothing), free.sub_authority(nothing));
    let leaf = below_strict.leaf(nothing);
    let why = "PathLenConstraintViolated";
    refused(
        &[strict.pin(2, 1, 1)],
        &[&leaf, &below_strict, &strict],
        why,
    );
    let leaf = below_free.leaf(nothing);
    accepted(&[free.pin(2, 1, 1)], &[&leaf, &below_free, &free]);
    // In any order, and with a whole key without its certificate.
    accepted(&[free.pin(2, 1, 1)], &[&leaf, &free, &below_free]);
    accepted(&[free.pin(2, 1, 0)], &[&leaf, &below_free]);
    // The lower one may be the pinned one.
    accepted(&[below_free.pin(2, 1, 1)], &[&leaf, &below_free]);
    // A server's certificate signs nothing.
    let server = free.leaf(|params| params.is_ca = IsCa::NoCa);
    let below_server = server.leaf(nothing);
    refused(
        &[free.pin(2, 1, 1)],
        &[&below_server, &server, &free],
        "EndEntityUsedAsCa",
    );
}

#[test]
fn pins_that_nobody_can_use_are_left_out() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    let edited = |edit: fn(&mut Pin)| {
        let mut pin = leaf.pin(3, 1, 1);
        edit(&mut pin);
        pin
    };
    let useless = [
        edited(|pin| pin.data.truncate(31)),
        edited(|pin| pin.data.push(0)),
        edited(|pin| pin.data.clear()),
        edited(|pin| pin.usage = 4),
        edited(|pin| pin.usage = 255),
        edited(|pin| pin.selector = 2),
        edited(|pin| pin.matching = 3),
        edited(|pin| pin.matching = 2),
        edited(|pin| (pin.matching, pin.data) = (0, Vec::new())),
    ];
    refused(&[], &[&leaf, &authority], "nothing is bound to it");
    for pin in &useless {
        let pin = std::slice::from_ref(pin);
        refused(
            pin,
            &[&leaf, &authority],
            "all its pins (1) are of unknown kinds or damaged",
        );
    }
    let mut pins = useless.to_vec();
    pins.push(leaf.pin(3, 1, 1));
    accepted(&pins, &[&leaf]);
}

#[test]
fn one_pin_that_holds_is_enough_but_a_stronger_digest_counts_alone() {
    let (old, new) = (Party::authority(nothing), Party::authority(nothing));
    let leaf = new.leaf(nothing);
    let stranger = Party::authority(nothing).leaf(nothing);
    let chain = [&leaf, &new];
    accepted(&[stranger.pin(3, 1, 1), new.pin(2, 1, 1)], &chain);
    accepted(&[old.pin(2, 1, 1), leaf.pin(3, 1, 1)], &chain);
    accepted(&[old.pin(2, 1, 1), new.pin(2, 1, 1)], &chain);
    refused(
        &[old.pin(2, 1, 1), stranger.pin(3, 1, 1)],
        &chain,
        OTHER_KEY,
    );
    // RFC 7671 §9
    refused(
        &[stranger.pin(3, 1, 2), leaf.pin(3, 1, 1)],
        &chain,
        OTHER_KEY,
    );
    accepted(&[stranger.pin(3, 0, 2), leaf.pin(3, 1, 1)], &chain);
    accepted(&[stranger.pin(3, 1, 2), leaf.pin(3, 1, 0)], &chain);
}

#[test]
fn what_cannot_be_told_is_refused() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    let source = Fixed::of(&[]);
    let client = Arc::new(Verifier::new(source.clone()).client_config());
    let server = Arc::new(server(&TLS13, &[&leaf, &authority]));
    let told = || {
        let outcome = shake_hands(&client, HOST, &server);
        outcome.expect_err("refused").to_string()
    };
    source.say(Err(SourceError::Silent {
        place: "127.0.0.1:6270".to_owned(),
        reason: "refused".to_owned(),
    }));
    assert!(
        told().contains("cannot tell what key judecn.id has: no bnsd answers"),
        "{}",
        told()
    );
    source.say(Err(SourceError::Unknown("the index is behind".to_owned())));
    assert!(told().contains("the index is behind"), "{}", told());
    source.say(Ok(Pins::NotOurs));
    assert!(!told().contains("judecn.id has"), "{}", told());
}

#[test]
fn a_key_that_is_taken_back_is_refused_in_the_next_handshake() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    for version in VERSIONS {
        let source = Fixed::of(&[leaf.pin(3, 1, 1)]);
        let client = Arc::new(Verifier::new(source.clone()).client_config());
        // The server would resume.
        let server = Arc::new(server(version, &[&leaf]));
        for _ in 0..3 {
            let kind = shake_hands(&client, HOST, &server).expect("accepted");
            assert!(matches!(kind, HandshakeKind::Full), "{kind:?}");
        }
        source.say(Ok(Pins::Bound(Vec::new())));
        let told = shake_hands(&client, HOST, &server).expect_err("refused");
        assert!(
            told.to_string().contains("nothing is bound to it"),
            "{told}"
        );
    }
}

/// A verifier on a machine that trusts one authority.
fn trusting(source: Arc<Fixed>, authority: &Party) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).expect("a certificate");
    let provider = Arc::new(ring::default_provider());
    let platform = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let verifier = Verifier::new(source);
    let platform: Arc<dyn ServerCertVerifier> = platform.build().expect("an authority");
    assert!(verifier.judge.platform.set(Ok(platform)).is_ok());
    Arc::new(verifier.client_config())
}

#[test]
fn other_names_are_checked_as_the_machine_does() {
    let (public, own) = (Party::authority(nothing), Party::authority(nothing));
    let shop = public.sign(leaf_params("example.com", nothing));
    let forged = own.sign(leaf_params("example.com", nothing));
    // Pins that are not the host's say nothing about it.
    let client = trusting(Fixed::of(&[forged.pin(3, 1, 1), own.pin(2, 1, 0)]), &public);
    let visit = |host, party: &Party| shake_hands(&client, host, &server(&TLS13, &[party]).into());
    visit("example.com", &shop).expect("the machine's authority");
    visit("www.example.com", &shop).expect("the machine's authority");
    assert!(visit("example.com", &forged).is_err());
    assert!(visit("127.0.0.1", &forged).is_err());
    // The machine's authorities say nothing about names of the chain.
    let bought = public.leaf(nothing);
    let told = visit(HOST, &bought).expect_err("not pinned").to_string();
    assert!(told.contains(OTHER_KEY), "{told}");
}

#[test]
fn pins_of_public_certificates_need_pin_and_machine_to_agree() {
    let (public, own) = (Party::authority(nothing), Party::authority(nothing));
    let (bought, made) = (public.leaf(nothing), own.leaf(nothing));
    let visit = |pins: &[Pin], chain: &[&Party]| {
        let client = trusting(Fixed::of(pins), &public);
        let outcome = shake_hands(&client, HOST, &server(&TLS13, chain).into());
        outcome.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(visit(&[bought.pin(1, 1, 1)], &[&bought]), Ok(()));
    assert_eq!(visit(&[public.pin(0, 1, 1)], &[&bought, &public]), Ok(()));
    assert_eq!(visit(&[public.pin(0, 1, 0)], &[&bought]), Ok(()));
    for (pin, chain) in [
        (made.pin(1, 1, 1), [&made, &own]),
        (own.pin(0, 1, 1), [&made, &own]),
    ] {
        let told = visit(&[pin], &chain).expect_err("the machine refuses");
        assert!(told.contains("the machine's authorities"), "{told}");
    }
    for (pin, chain) in [
        (made.pin(1, 1, 1), [&bought, &public]),
        (own.pin(0, 1, 1), [&bought, &public]),
        // Anybody can append a certificate.
        (own.pin(0, 1, 1), [&bought, &own]),
    ] {
        visit(&[pin], &chain).expect_err("the pin is for another one");
    }
    let late = public.leaf(expired);
    visit(&[late.pin(1, 1, 1)], &[&late]).expect_err("expired");
}

#[test]
fn a_key_without_a_certificate_needs_a_pin() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    let show = |party: &Party| {
        let key = CertificateDer::from(party.spki());
        let shown = CertifiedKey::new(vec![key], signing(&party.key));
        let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::new(shown));
        Arc::new(builder(&TLS13).with_cert_resolver(Arc::new(resolver)))
    };
    let client = |pins: &[Pin]| {
        let verifier = Verifier::new(Fixed::of(pins)).of_raw_keys();
        Arc::new(verifier.client_config())
    };
    let visit =
        |pins: &[Pin], host, server: Arc<ServerConfig>| shake_hands(&client(pins), host, &server);
    for matching in [0, 1, 2] {
        visit(&[leaf.pin(3, 1, matching)], HOST, show(&leaf)).expect("pinned");
    }
    for pin in [
        authority.pin(3, 1, 1),
        leaf.pin(2, 1, 0),
        leaf.pin(3, 0, 1),
        leaf.pin(1, 1, 1),
    ] {
        let told = visit(&[pin], HOST, show(&leaf)).expect_err("refused");
        assert!(told.to_string().contains(OTHER_KEY), "{told}");
    }
    let pins = [leaf.pin(3, 1, 1)];
    visit(&pins, "example.com", show(&leaf)).expect_err("no authority vouches for a key");
    // A server with a certificate alone has nothing to show.
    visit(&pins, HOST, server(&TLS13, &[&leaf]).into()).expect_err("another form");
    // And whoever takes certificates takes no key without one.
    let client = Arc::new(Verifier::new(Fixed::of(&pins)).client_config());
    shake_hands(&client, HOST, &show(&leaf)).expect_err("another form");
}

#[test]
fn damaged_certificates_are_no_authorities_and_no_leaves() {
    let authority = Party::authority(nothing);
    let leaf = authority.leaf(nothing);
    let damaged = Party {
        key: KeyPair::generate().expect("a key"),
        params: CertificateParams::default(),
        der: CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]),
    };
    accepted(&[authority.pin(2, 1, 1)], &[&leaf, &damaged, &authority]);
    refused(&[damaged.pin(2, 0, 0)], &[&leaf, &damaged], OTHER_KEY);
    refused(&[damaged.pin(3, 0, 0)], &[&damaged], "cannot be read");
    // Keys that are no DER, or have something behind them.
    let mut pin = authority.pin(2, 1, 0);
    pin.data.push(0);
    refused(&[pin], &[&leaf], OTHER_KEY);
    let mut pin = authority.pin(2, 1, 0);
    pin.data = vec![7; 91];
    refused(&[pin], &[&leaf], OTHER_KEY);
}
