//! The legacy tree in small: a root of its own, top-level domains and zones below, served by an NSD that a resolver
//! asks. Most of it is signed where a test asks for that, by keys that are made for the run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::unbound::{free_port, server};

/// Zones and what is in them, children before their parents.
const ZONES: [(&str, &str); 11] = [
    (
        "example.com",
        "@ MX 10 mail\n\
         www A 93.184.215.14\n\
         www AAAA 2606:2800:21f:cb07:6820:80da:af6b:8b2c\n\
         www TYPE65280 \\# 4 DEADBEEF\n\
         www.out A 93.184.215.14\n\
         router A 192.168.1.1\n\
         both A 10.0.0.1\n\
         both A 93.184.215.15\n\
         here AAAA ::1\n",
    ),
    (
        "example.org",
        "www A 198.51.100.9\nalias CNAME www\n*.wild A 198.51.100.10\n\
         moved DNAME target\nx.target A 198.51.100.11\nopen CNAME www.example.com.\ntobns CNAME www.good.id.\n",
    ),
    ("forged.org", "www A 198.51.100.13\n"),
    (
        "hashed.org",
        "www A 198.51.100.15\nalias CNAME www\n*.wild A 198.51.100.16\n",
    ),
    ("open.org", "www A 198.51.100.14\n"),
    ("go.id", "www A 198.51.100.62\n"),
    ("com", "example NS a.root.\n"),
    (
        "org",
        "example NS a.root.\nforged NS a.root.\nhashed NS a.root.\nopen NS a.root.\n",
    ),
    ("id", "go NS a.root.\nnosuch A 198.51.100.63\n"),
    ("root", "a A 127.0.0.1\n"),
    (
        "",
        "com NS a.root.\norg NS a.root.\nid NS a.root.\nroot NS a.root.\n",
    ),
];

/// Those that are signed, if any is; the others are delegated without a DS.
const SIGNED: [&str; 7] = [
    "example.org",
    "forged.org",
    "hashed.org",
    "go.id",
    "org",
    "id",
    "",
];

/// Those of them that deny by hashes (RFC 5155), as most top-level domains do; with opt-out.
const HASHED: [&str; 2] = ["hashed.org", "org"];

/// Records that are changed behind the back of their signatures.
const FORGED: (&str, &str) = ("198.51.100.13", "203.0.113.13");

/// The zones as files, and where NSD serves them.
pub struct Internet {
    directory: PathBuf,
    /// Where NSD answers.
    pub address: SocketAddr,
    /// The root's key, for validators; there is none if nothing is signed.
    pub anchor: PathBuf,
}

impl Internet {
    /// Writes the zones as they are.
    pub fn write(directory: &Path) -> Self {
        let internet = Self::in_directory(directory);
        for (origin, records) in ZONES {
            fs::write(internet.file(origin), text(origin, records, "")).expect("a zone file");
        }
        internet
    }

    /// Writes the zones and signs most of them.
    pub fn write_signed(directory: &Path) -> Self {
        let internet = Self::write(directory);
        for (origin, records) in ZONES {
            let below = ZONES
                .iter()
                .map(|(child, _)| *child)
                .filter(|&child| parent(child) == Some(origin));
            let delegations: String = below.map(|child| internet.delegation(child)).collect();
            fs::write(internet.file(origin), text(origin, records, &delegations))
                .expect("a zone file");
            if SIGNED.contains(&origin) {
                internet.sign(origin);
            }
        }
        internet
    }

    fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            address: free_port(),
            anchor: directory.join("root.key"),
        }
    }

    /// The NSD that serves it all, to be started.
    pub fn authority(&self) -> Command {
        let directory = self.directory.display();
        let (ip, port) = (self.address.ip(), self.address.port());
        let zone = |(origin, _): &(&str, &str)| {
            format!(
                "zone:\n name: \"{origin}.\"\n zonefile: \"{}\"\n",
                self.file(origin).display()
            )
        };
        let zones: String = ZONES.iter().map(zone).collect();
        let text = format!(
            "server:\n ip-address: {ip}@{port}\n server-count: 1\n username: \"\"\n database: \"\"\n \
             zonesdir: \"{directory}\"\n pidfile: \"\"\n zonelistfile: \"{directory}/nsd.list\"\n \
             xfrdfile: \"{directory}/nsd.xfrd\"\n xfrdir: \"{directory}\"\n logfile: \"{directory}/nsd.log\"\n \
             rrl-ratelimit: 0\nremote-control:\n control-enable: no\n{zones}"
        );
        let file = self.directory.join("nsd.conf");
        fs::write(&file, text).expect("a file");
        let mut command = server("nsd");
        command.args(["-d", "-c", &file.display().to_string()]);
        command
    }

    /// The lines for unbound's configuration. It is told of each zone, since no delegation can name a port.
    pub fn configuration(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        let zone = |(origin, _): &(&str, &str)| {
            format!("stub-zone:\n name: \"{origin}.\"\n stub-addr: {ip}@{port}\n stub-prime: no\n")
        };
        ZONES.iter().map(zone).collect()
    }

    fn file(&self, origin: &str) -> PathBuf {
        self.directory.join(format!("{origin}.zone"))
    }

    /// The DS records of a signed zone.
    fn delegation(&self, origin: &str) -> String {
        fs::read_to_string(self.directory.join(format!("{origin}.ds"))).unwrap_or_default()
    }

    /// Signs a zone with one new key, and leaves its DS beside it.
    fn sign(&self, origin: &str) {
        let dotted = format!("{origin}.");
        let key = self.run(
            "ldns-keygen",
            &["-r", "/dev/urandom", "-a", "ECDSAP256SHA256", "-k", &dotted],
        );
        let key = key.trim();
        let ds = self.run("ldns-key2ds", &["-n", "-2", &format!("{key}.key")]);
        fs::write(self.directory.join(format!("{origin}.ds")), ds).expect("a file");
        let file = self.file(origin).display().to_string();
        let hashed: &[&str] = match HASHED.contains(&origin) {
            true => &["-n", "-p", "-t", "0"],
            false => &[],
        };
        let usual = ["-o", &dotted, "-f", &file, &file, key];
        self.run("ldns-signzone", &[hashed, &usual].concat());
        let signed = fs::read_to_string(&file).expect("the signed zone");
        fs::write(&file, signed.replace(FORGED.0, FORGED.1)).expect("a zone file");
        if origin.is_empty() {
            fs::copy(self.directory.join(format!("{key}.key")), &self.anchor)
                .expect("the root's key");
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error}; install the Debian package `ldnsutils`")
        });
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The zone that delegates a zone.
fn parent(origin: &str) -> Option<&str> {
    match origin.split_once('.') {
        Some((_, parent)) => Some(parent),
        None => (!origin.is_empty()).then_some(""),
    }
}

fn text(origin: &str, records: &str, delegations: &str) -> String {
    format!(
        "$ORIGIN {origin}.\n$TTL 300\n@ SOA a.root. h.root. 1 3600 600 86400 60\n@ NS a.root.\n{records}{delegations}"
    )
}
