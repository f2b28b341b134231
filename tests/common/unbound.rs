//! A real resolver for legacy names: unbound on a small internet of its own, and a log of what it was asked.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::dns;
use super::home::Home;
use super::internet::Internet;
use super::ports::free_address;
use super::process::{Process, until};
use super::upstream::Certificate;

/// A running unbound.
pub struct Unbound {
    process: Process,
    pub address: SocketAddr,
    log: PathBuf,
    _authority: Option<Process>,
    _home: Home,
}

/// One that can also be asked over TLS and over HTTPS.
pub struct SecureUnbound {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub https: SocketAddr,
    _unbound: Unbound,
}

impl Unbound {
    /// Resolves from a root of its own.
    pub fn start() -> Self {
        let home = Home::new();
        let internet = Internet::write(home.path());
        Self::resolve(home, "", &internet)
    }

    /// The same where most zones are signed. It validates nothing itself. The path is the root's key.
    pub fn start_signed() -> (Self, PathBuf) {
        let home = Home::new();
        let internet = Internet::write_signed(home.path());
        let anchor = internet.anchor.clone();
        (Self::resolve(home, "", &internet), anchor)
    }

    fn resolve(home: Home, more: &str, internet: &Internet) -> Self {
        let authority = Process::start(&home, internet.authority());
        // An authority that is not there at the first question is not asked again for some time.
        until("the authority to answer", || answers(internet.address));
        let mut unbound = Self::run(home, &resolving(more, internet));
        unbound._authority = Some(authority);
        unbound
    }

    /// A validator with this root's key that asks another resolver; `more` are lines of its section `server`.
    pub fn validator(anchor: &Path, forwarder: SocketAddr, more: &str) -> Self {
        let (ip, port) = (forwarder.ip(), forwarder.port());
        let lines = format!(
            " module-config: \"validator iterator\"\n do-not-query-localhost: no\n \
             trust-anchor-file: \"{}\"\n{more}\nforward-zone:\n name: \".\"\n forward-addr: {ip}@{port}\n",
            anchor.display()
        );
        Self::run(Home::new(), &lines)
    }

    /// A stub that asks others for each of these domains.
    pub fn stub(domains: &[(&str, SocketAddr)]) -> Self {
        let zone = |(name, to): &(&str, SocketAddr)| {
            let (ip, port) = (to.ip(), to.port());
            format!("forward-zone:\n name: \"{name}\"\n forward-addr: {ip}@{port}\n")
        };
        let zones: String = domains.iter().map(zone).collect();
        let lines = format!(" module-config: \"iterator\"\n do-not-query-localhost: no\n{zones}");
        Self::run(Home::new(), &lines)
    }

    /// One that knows these records and nothing else.
    pub fn saying(records: &[&str]) -> Self {
        let data = records
            .iter()
            .map(|record| format!(" local-data: \"{record}\"\n"));
        let data: String = data.collect();
        Self::run(Home::new(), &format!(" local-zone: \".\" static\n{data}"))
    }

    fn run(home: Home, lines: &str) -> Self {
        let address = free_port();
        let configuration = configure(home.path(), address, lines);
        let process = Process::start(&home, program(&configuration.display().to_string()));
        let mut unbound = Self {
            process,
            address,
            log: home.path().join("queries.log"),
            _authority: None,
            _home: home,
        };
        unbound.wait();
        unbound
    }

    /// Whether a query log line holds `name`.
    pub fn was_asked(&self, name: &str) -> bool {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let name = format!(" {}. ", name.to_ascii_lowercase());
        // The case of names is random (0x20).
        log.to_ascii_lowercase().contains(&name)
    }

    fn wait(&mut self) {
        until("unbound to answer", || {
            assert!(
                !self.process.has_ended(),
                "unbound ended: {} {}",
                self.process.stderr(),
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            answers(self.address)
        });
    }
}

/// Nothing as long as nobody answers there.
fn answers(server: SocketAddr) -> Option<()> {
    let question = dns::query("ready.invalid", RecordType::A);
    let answer = dns::try_udp(server, &question, Duration::from_millis(200));
    answer.ok().map(drop)
}

impl SecureUnbound {
    /// Resolves from a root of its own, and shows this certificate.
    pub fn start(certificate: &Certificate) -> Self {
        let home = Home::new();
        let internet = Internet::write(home.path());
        let at = |name: &str| home.path().join(name).display().to_string();
        fs::write(at("cert.pem"), &certificate.pem).expect("a file");
        fs::write(at("key.pem"), &certificate.key_pem).expect("a file");
        let (tls, https) = (free_port(), free_port());
        let encrypted = format!(
            " interface: 127.0.0.1@{0}\n interface: 127.0.0.1@{1}\n tls-port: {0}\n https-port: {1}\n \
             tls-service-pem: \"{2}\"\n tls-service-key: \"{3}\"\n",
            tls.port(),
            https.port(),
            at("cert.pem"),
            at("key.pem"),
        );
        let unbound = Unbound::resolve(home, &encrypted, &internet);
        Self {
            plain: unbound.address,
            tls,
            https,
            _unbound: unbound,
        }
    }
}

/// Lines for a resolver that asks this internet; `more` are lines of its section `server`.
pub fn resolving(more: &str, internet: &Internet) -> String {
    format!(
        " module-config: \"iterator\"\n do-not-query-localhost: no\n{more}{}",
        internet.configuration()
    )
}

/// Writes a configuration that ends with these lines, which begin inside of the section `server`.
pub fn configure(directory: &Path, address: SocketAddr, lines: &str) -> PathBuf {
    let file = directory.join("unbound.conf");
    let text = format!(
        "server:\n directory: \"{directory}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
         logfile: \"{directory}/queries.log\"\n log-queries: yes\n num-threads: 1\n do-ip6: no\n \
         interface: {ip}@{port}\n access-control: 127.0.0.0/8 allow\n{lines}\n\
         remote-control:\n control-enable: no\n",
        directory = directory.display(),
        ip = address.ip(),
        port = address.port(),
    );
    fs::write(&file, text).expect("a file");
    file
}

fn program(configuration: &str) -> Command {
    let mut command = server("unbound");
    command.args(["-d", "-c", configuration]);
    command
}

/// A name server. Debian has them in `/usr/sbin`, which is not in everybody's PATH.
pub fn server(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file());
    let missing =
        format!("{name} is needed to stand for the internet: install the Debian package `{name}`");
    Command::new(found.expect(&missing))
}

/// A port of the loopback that is free over UDP and TCP, and that nobody takes by chance.
pub fn free_port() -> SocketAddr {
    free_address()
}
