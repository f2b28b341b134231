//! What a name's owner makes for TLS, and that the programs of others take it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::home::{Ended, Home, ended, is_one_sentence};

mod registered;
mod served;

/// The files that `bnsd tls init me.id` makes.
const FILES: [&str; 10] = [
    "authority.key",
    "authority.pem",
    "leaf.key",
    "leaf.pem",
    "chain.pem",
    "haproxy.pem",
    "nginx.conf",
    "Caddyfile",
    "haproxy.cfg",
    "me.id.zone",
];

/// A home with the files for me.id.
struct Owner {
    home: Home,
    directory: PathBuf,
}

impl Owner {
    fn new() -> Self {
        let home = Home::new();
        let directory = home.path().join("tls");
        let owner = Self { home, directory };
        let made = owner.init(&["--address", "93.184.216.34"]);
        assert_eq!(made.code, 0, "{made:?}");
        owner
    }

    fn init(&self, more: &[&str]) -> Ended {
        let directory = self.directory.to_str().unwrap();
        let init = ["--json", "tls", "init", "me.id", "--dir", directory];
        self.home.run(&[&init[..], more].concat())
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn openssl(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.home.command("openssl", arguments))
    }

    /// The certificate in a file as OpenSSL reads it, without the spaces at the beginnings of lines.
    fn certificate(&self, name: &str) -> Vec<String> {
        let shown = self.openssl(&["x509", "-in", &self.path(name), "-noout", "-text"]);
        assert_eq!(shown.code, 0, "{shown:?}");
        shown
            .stdout
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    }
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

/// The lines that follow a line.
fn below<'l>(lines: &'l [String], heading: &str) -> &'l [String] {
    let at = lines.iter().position(|line| line == heading);
    &lines[at.unwrap_or_else(|| panic!("{heading:?} is not in {lines:#?}")) + 1..]
}

#[test]
fn certificates_are_as_programs_were_measured_to_take_them() {
    let owner = Owner::new();
    let authority = owner.certificate("authority.pem");
    let digest = key_digest(&owner, "authority.pem");
    let subject = format!("CN = BNS authority {}", &digest[..32]);
    assert!(authority.contains(&format!("Subject: {subject}")));
    assert!(authority.contains(&format!("Issuer: {subject}")));
    for (heading, expected) in [
        (
            "X509v3 Basic Constraints: critical",
            &["CA:TRUE, pathlen:0"][..],
        ),
        ("X509v3 Key Usage: critical", &["Certificate Sign"]),
        (
            "X509v3 Extended Key Usage:",
            &["TLS Web Server Authentication"],
        ),
        (
            "X509v3 Name Constraints: critical",
            &[
                "Permitted:",
                "DNS:me.id",
                "Excluded:",
                "IP:0.0.0.0/0.0.0.0",
                "IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0",
            ],
        ),
    ] {
        assert_eq!(
            below(&authority, heading)[..expected.len()],
            *expected,
            "{heading}"
        );
    }
    let leaf = owner.certificate("leaf.pem");
    assert!(leaf.contains(&format!("Issuer: {subject}")));
    let identifier = &below(&authority, "X509v3 Subject Key Identifier:")[0];
    let place = format!("CA Issuers - URI:http://127.0.0.1:6270/aia/me.id/{digest}.cer");
    for (heading, expected) in [
        ("X509v3 Subject Alternative Name:", "DNS:me.id, DNS:*.me.id"),
        ("X509v3 Key Usage: critical", "Digital Signature"),
        (
            "X509v3 Extended Key Usage:",
            "TLS Web Server Authentication",
        ),
        ("X509v3 Authority Key Identifier:", identifier),
        ("Authority Information Access:", &place),
    ] {
        assert_eq!(below(&leaf, heading)[0], expected, "{heading}");
    }
    assert!(leaf.contains(&"Public Key Algorithm: id-ecPublicKey".to_owned()));
    assert!(leaf.contains(&"NIST CURVE: P-256".to_owned()));
    for (file, days) in [("leaf.pem", 397), ("authority.pem", 7_306)] {
        let end = |seconds: u64| {
            let seconds = seconds.to_string();
            owner
                .openssl(&[
                    "x509",
                    "-in",
                    &owner.path(file),
                    "-noout",
                    "-checkend",
                    &seconds,
                ])
                .code
        };
        // A day of it lies before it was made.
        let left = (days - 1) * 86_400;
        assert_eq!((end(left - 600), end(left + 600)), (0, 1), "{file}");
    }
    let verified = owner.openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-verify_hostname",
        "www.me.id",
        "-CAfile",
        &owner.path("authority.pem"),
        &owner.path("leaf.pem"),
    ]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert_eq!(
        owner.text("chain.pem"),
        owner.text("leaf.pem") + &owner.text("authority.pem")
    );
}

/// The longest name, one with an internationalised label, and characters that names of hosts do not have.
#[test]
fn openssl_takes_the_certificates_of_every_name() {
    let home = Home::new();
    for name in [
        "abcdefghijklmnopqrstuvwxyz0123456.id",
        "xn--caf-dma.id",
        "_a.id",
        "a-_b.id",
        "-a.my_space",
    ] {
        let directory = home.path().join(name);
        let place = directory.to_str().unwrap();
        let made = home.run(&[
            "tls",
            "init",
            "--dir",
            place,
            "--address",
            "93.184.216.34",
            "--",
            name,
        ]);
        assert_eq!(made.code, 0, "{made:?}");
        let zone = directory.join(format!("{name}.zone")).display().to_string();
        let checked = home.run(&["zonefile", "check", "--", name, &zone]);
        assert_eq!(checked.code, 0, "{checked:?}");
        for host in [name.to_owned(), format!("www.{name}")] {
            let verify = [
                "verify",
                "-x509_strict",
                "-purpose",
                "sslserver",
                "-verify_hostname",
            ];
            let verify = [
                &verify[..],
                &[&host, "-CAfile", "authority.pem", "leaf.pem"],
            ]
            .concat();
            let verified = ended(home.command("openssl", &verify).current_dir(&directory));
            assert_eq!(verified.code, 0, "{host}: {verified:?}");
        }
    }
}

/// SHA-256 of the public key in a certificate, in hex, as OpenSSL computes it.
fn key_digest(owner: &Owner, certificate: &str) -> String {
    let script = "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER | openssl sha256 -r";
    let shown = ended(
        &mut owner
            .home
            .command("sh", &["-c", script, "sh", &owner.path(certificate)]),
    );
    let digest = shown.stdout.split_whitespace().next().unwrap_or_default();
    assert_eq!(digest.len(), 64, "{shown:?}");
    digest.to_owned()
}

#[test]
fn a_second_init_changes_nothing_and_says_so() {
    let owner = Owner::new();
    let before = FILES.map(|name| std::fs::read(owner.path(name)).unwrap());
    let again = json(&owner.init(&[]));
    assert_eq!(again["made"], serde_json::json!([]));
    assert_eq!(again["kept"].as_array().unwrap().len(), FILES.len());
    assert_eq!(again["is_bound"], true);
    let other = owner.init(&["--address", "93.184.216.35"]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(
        other
            .stderr
            .contains("is there already and says something else"),
        "{other:?}"
    );
    assert_eq!(
        FILES.map(|name| std::fs::read(owner.path(name)).unwrap()),
        before
    );
    // A zone file of the owner's own is left alone, and the line that it lacks is said.
    std::fs::write(
        owner.path("me.id.zone"),
        "$ORIGIN me.id\n$TTL 60\n@ A 93.184.216.34\n",
    )
    .unwrap();
    let again = json(&owner.init(&[]));
    assert_eq!(again["is_bound"], false);
    let record = again["record"].as_str().unwrap();
    assert!(
        record.starts_with("_tlskey TXT \"v=bnstls1 use=ta port=443 spki=MFkw"),
        "{record}"
    );
    let page = owner
        .home
        .run(&["tls", "init", "me.id", "--dir", &owner.path("")]);
    assert!(page.stdout.contains(record), "{page:?}");
}

#[test]
fn its_zone_file_is_sound_and_binds_the_authority() {
    let owner = Owner::new();
    let checked = owner.home.run(&[
        "--json",
        "zonefile",
        "check",
        "me.id",
        &owner.path("me.id.zone"),
    ]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let text = owner.text("me.id.zone");
    for line in ["@ A 93.184.216.34\n", "www CNAME me.id.\n"] {
        assert!(text.contains(line), "{text}");
    }
    let private = Home::new();
    let directory = private.path().join("tls").display().to_string();
    let init = [
        "tls",
        "init",
        "me.id",
        "--dir",
        &directory,
        "--address",
        "192.168.1.7",
    ];
    let refused = private.run(&init);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("a private address"), "{refused:?}");
    assert!(!Path::new(&directory).exists(), "nothing is written");
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let owner = Owner::new();
    let keys = owner.path("");
    let empty = owner.home.folder("empty").display().to_string();
    for (code, reason, arguments) in [
        (
            1,
            "name another directory",
            ["init", "you.id", "--dir", &keys],
        ),
        (
            1,
            "has no authority.key: make it with",
            ["issue", "--dir", &empty, "--new-key"],
        ),
        (
            3,
            "Not a directory",
            ["init", "me.id", "--dir", "/dev/null/tls"],
        ),
    ] {
        let ended = owner.home.run(&[&["tls"], &arguments[..]].concat());
        is_one_sentence(&ended, code, &[reason]);
    }
    let new = ["zonefile", "new", "me.id", "--tls-dir", "/proc/tls"];
    is_one_sentence(&owner.home.run(&new), 3, &["or make no key with --no-tls"]);
    let home = owner.home.path().display().to_string();
    let shared = ["tls", "init", "me.id", "--dir", &home];
    std::fs::set_permissions(owner.home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let reason = "others can enter it, and it holds files that are not of bnsd";
    is_one_sentence(&owner.home.run(&shared), 3, &[reason]);
}
