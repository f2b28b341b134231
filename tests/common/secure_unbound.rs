//! A real unbound with names of its own, over UDP, TCP, TLS and HTTPS.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::resolver::free_address;
use super::upstream::Certificate;

/// A running unbound.
pub struct SecureUnbound {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub https: SocketAddr,
    _directory: tempfile::TempDir,
    process: Child,
}

impl SecureUnbound {
    /// Starts it with a certificate; it knows `www.example.com` and nothing else below `example.com`.
    pub fn start(certificate: &Certificate) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("cert.pem"), &certificate.pem).unwrap();
        std::fs::write(at("key.pem"), &certificate.key_pem).unwrap();
        let (plain, tls, https) = (free_address(), free_address(), free_address());
        let config = format!(
            "server:\n directory: \"{}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
             interface: 127.0.0.1@{}\n interface: 127.0.0.1@{}\n interface: 127.0.0.1@{}\n \
             tls-port: {}\n https-port: {}\n tls-service-pem: cert.pem\n tls-service-key: key.pem\n \
             module-config: \"iterator\"\n do-not-query-localhost: no\n \
             local-zone: \"example.com.\" static\n \
             local-data: \"example.com. 600 SOA ns.example.com. h.example.com. 1 2 3 4 60\"\n \
             local-data: \"www.example.com. 600 A 198.51.100.80\"\n \
             local-data: \"www.example.com. 600 TYPE65280 \\# 4 DEADBEEF\"\n\
             remote-control:\n control-enable: no\n",
            directory.path().display(),
            plain.port(),
            tls.port(),
            https.port(),
            tls.port(),
            https.port()
        );
        std::fs::write(at("unbound.conf"), config).unwrap();
        let process = Command::new("unbound")
            .args(["-d", "-c", &at("unbound.conf")])
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound is missing: apt-get install unbound");
        let end = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(https).is_err() {
            assert!(Instant::now() < end, "unbound does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            plain,
            tls,
            https,
            _directory: directory,
            process,
        }
    }
}

impl Drop for SecureUnbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
