//! A real resolver for legacy names: unbound with names of its own, and a log of what it was asked.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::dns;
use super::home::Home;
use super::process::{Process, until};

/// What it knows. Everything else does not exist.
const NAMES: &str = r#"
    local-zone: "." static
    local-zone: "example.com." static
    local-data: "example.com. 3600 IN SOA ns.example.com. hostmaster.example.com. 1 3600 600 86400 60"
    local-data: "example.com. 3600 IN MX 10 mail.example.com."
    local-data: "www.example.com. 300 IN A 93.184.215.14"
    local-data: "www.example.com. 300 IN AAAA 2606:2800:21f:cb07:6820:80da:af6b:8b2c"
    local-data: "www.out.example.com. 300 IN A 93.184.215.14"
    local-data: "router.example.com. 300 IN A 192.168.1.1"
    local-data: "both.example.com. 300 IN A 10.0.0.1"
    local-data: "both.example.com. 300 IN A 93.184.215.15"
    local-data: "here.example.com. 300 IN AAAA ::1"
"#;

/// A running unbound.
pub struct Unbound {
    process: Process,
    pub address: SocketAddr,
    log: PathBuf,
    _home: Home,
}

impl Unbound {
    /// Starts it on a free port and waits until it answers.
    pub fn start() -> Self {
        let home = Home::new();
        let address = free_port();
        let log = home.path().join("queries.log");
        let configuration = home.path().join("unbound.conf");
        fs::write(&configuration, configure(&home, address)).expect("a file");
        let process = Process::start(&home, program(&configuration.display().to_string()));
        let mut unbound = Self {
            process,
            address,
            log,
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
        let question = dns::query("www.example.com", RecordType::A);
        until("unbound to answer", || {
            assert!(
                !self.process.has_ended(),
                "unbound ended: {}",
                self.process.stderr()
            );
            dns::try_udp(self.address, &question, Duration::from_millis(200)).ok()
        });
    }
}

/// Debian has it in `/usr/sbin`, which is not in everybody's PATH.
fn program(configuration: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("unbound"))
        .find(|program| program.is_file())
        .expect(
            "unbound is needed to stand for the internet: install the Debian package `unbound`",
        );
    let mut command = Command::new(found);
    command.args(["-d", "-c", configuration]);
    command
}

fn configure(home: &Home, address: SocketAddr) -> String {
    let directory = home.path().display();
    format!(
        "server:
    directory: \"{directory}\"
    chroot: \"\"
    username: \"\"
    pidfile: \"\"
    use-syslog: no
    logfile: \"{directory}/queries.log\"
    log-queries: yes
    num-threads: 1
    do-ip6: no
    interface: {ip}
    port: {port}
    access-control: 127.0.0.0/8 allow
    module-config: \"iterator\"
    {NAMES}",
        ip = address.ip(),
        port = address.port(),
    )
}

/// A port of the loopback that is free over UDP and TCP, at least for now.
pub fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
