//! A running `bnsd serve` that forwards, and a client that asks it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};

use super::ports::free_address;

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A daemon in a directory of its own.
pub struct Resolver {
    pub address: SocketAddr,
    directory: tempfile::TempDir,
    config: String,
    process: Option<Child>,
}

impl Resolver {
    /// Starts a daemon whose section `[dns]` has these lines.
    pub fn start(dns: &str) -> Self {
        Self::start_at(free_address(), dns)
    }

    /// The same at an address.
    pub fn start_at(address: SocketAddr, dns: &str) -> Self {
        let config = format!("listen = [\"{address}\"]\n[dns]\nhosts = false\n{dns}\n");
        let mut resolver = Self {
            address,
            directory: tempfile::tempdir().unwrap(),
            config,
            process: None,
        };
        resolver.resume();
        resolver
    }

    /// A daemon that asks these upstreams.
    pub fn asking(upstreams: &[&str]) -> Self {
        Self::start(&format!("upstreams = {upstreams:?}"))
    }

    /// The directory with configuration and data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the process again.
    pub fn resume(&mut self) {
        let file = self.directory().join("bnsd.toml");
        std::fs::write(&file, &self.config).unwrap();
        let child = self
            .command("serve")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.process = Some(child);
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < end, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the process as the system does; gives what it logged.
    pub fn stop(&mut self) -> String {
        let Some(mut child) = self.process.take() else {
            return String::new();
        };
        let pid = child.id().to_string();
        Command::new("kill").arg(&pid).status().unwrap();
        let mut log = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        child.wait().unwrap();
        log
    }

    /// What the process occupies, in megabytes.
    pub fn memory(&self) -> u64 {
        let id = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    }

    /// Runs another command against this daemon.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let (first, rest) = arguments.split_first().unwrap();
        self.command(first).args(rest).output().unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bnsd"));
        command
            .arg(name)
            .arg("--config")
            .arg(self.directory().join("bnsd.toml"))
            .arg("--data-dir")
            .arg(self.directory().join("data"))
            .stdout(Stdio::piped());
        command
    }

    /// Asks over UDP without EDNS.
    pub fn ask(&self, name: &str, rtype: RecordType) -> Answer {
        self.send(&query(name, rtype))
    }

    /// Asks with EDNS.
    pub fn ask_edns(&self, name: &str, rtype: RecordType) -> Answer {
        self.send(&with_edns(query(name, rtype)))
    }

    /// Sends a message over UDP.
    pub fn send(&self, message: &Message) -> Answer {
        self.try_send(message).expect("an answer")
    }

    /// The same, if there is an answer.
    pub fn try_send(&self, message: &Message) -> Option<Answer> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let start = Instant::now();
        socket
            .send_to(&message.to_vec().unwrap(), self.address)
            .unwrap();
        let mut bytes = vec![0; 65_535];
        let length = socket.recv(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(Answer::new(bytes, start.elapsed()))
    }

    /// Asks over TCP.
    pub fn ask_tcp(&self, message: &Message) -> Answer {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = message.to_vec().unwrap();
        stream
            .write_all(&(bytes.len() as u16).to_be_bytes())
            .unwrap();
        stream.write_all(&bytes).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes).unwrap();
        Answer::new(bytes, start.elapsed())
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What came back.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub message: Message,
    pub after: Duration,
}

impl Answer {
    pub fn new(bytes: Vec<u8>, after: Duration) -> Self {
        let message = Message::from_vec(&bytes).expect("a readable answer");
        Self {
            bytes,
            message,
            after,
        }
    }

    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// The addresses in the answer section.
    pub fn addresses(&self) -> Vec<String> {
        let records = self.message.answers.iter();
        records
            .filter(|record| matches!(record.data, RData::A(_) | RData::AAAA(_)))
            .map(|record| record.data.to_string())
            .collect()
    }

    /// The TTL of the first record of the answer section.
    pub fn ttl(&self) -> u32 {
        self.message.answers.first().expect("a record").ttl
    }

    /// The code of the extended error.
    pub fn ede(&self) -> Option<u16> {
        let edns = self.message.edns.as_ref()?;
        let option = edns.option(EdnsCode::from(15))?;
        match option {
            EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
            _ => None,
        }
    }
}

/// A query with RD.
pub fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 0x1234;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    message
}

/// The same with EDNS.
pub fn with_edns(mut message: Message) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}
