//! What an owner has on the server: what `bnsd tls init` made, and nginx.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::machine::{ADDRESS, Machine, until_open};
use crate::common::process::Process;

/// The files of a name, whose server is at [`ADDRESS`].
pub struct Keys {
    name: String,
    directory: PathBuf,
}

impl Keys {
    pub fn make(machine: &Machine, name: &str, directory: &str) -> Self {
        let directory = machine.world.path(directory);
        let path = directory.display().to_string();
        let init = ["tls", "init", name, "--dir", &path, "--address", ADDRESS];
        let made = machine.world.run(&init);
        assert_eq!(made.code, 0, "{made:?}");
        Self {
            name: name.to_owned(),
            directory,
        }
    }

    /// Registers the name with the zone file that was made, or gives it that.
    pub fn publish(&self, machine: &Machine) {
        let zone = self.file(&format!("{}.zone", self.name));
        machine.publish_file(&self.name, &zone);
    }

    /// The path of a file.
    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The data of a TLSA record about a key: the whole of it, or its SHA-256 (RFC 6698 §2.1.3).
    pub fn pin(&self, machine: &Machine, key: &str, matching: u8) -> String {
        let line = "openssl pkey -in \"$1\" -pubout -outform DER | if [ $2 = 1 ]; then openssl sha256 -binary; else cat; fi | od -An -v -tx1 | tr -d ' \\n'";
        machine.does(line, &[&self.file(key), &matching.to_string()])
    }
}

/// What a server shows to whoever asks for a host at a port.
pub struct Shown<'a> {
    /// As nginx has it: a port, or an address with a port.
    pub listen: &'a str,
    pub host: &'a str,
    pub certificates: String,
    pub key: String,
}

/// The page of every server.
const PAGE: &str = "<title>the page of its owner</title><h1>the page of its owner</h1>";

/// An nginx with the configuration that was made with some keys, if there are any, and with more servers.
pub fn serve(machine: &Machine, keys: Option<&Keys>, shown: &[Shown<'_>]) -> Process {
    let mut servers = String::new();
    if let Some(keys) = keys {
        writeln!(servers, "include {};", keys.file("nginx.conf")).unwrap();
    }
    for site in shown {
        let (listen, host) = (site.listen, site.host);
        let (certificates, key) = (&site.certificates, &site.key);
        writeln!(
            servers,
            "server {{ listen {listen} ssl; server_name {host}; ssl_certificate {certificates}; ssl_certificate_key {key}; root /var/www/html; }}"
        )
        .unwrap();
    }
    let folder = machine.folder("nginx");
    let file = folder.join("nginx.conf").display().to_string();
    let text = format!(
        "daemon off; master_process off; user root; pid {}/pid; events {{}}\nhttp {{ access_log off; default_type text/html;\n{servers}}}\n",
        folder.display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir_all("/var/www/html").unwrap(); // of this machine alone
    std::fs::write("/var/www/html/index.html", PAGE).unwrap();
    let nginx = machine.start("nginx", &["-e", "stderr", "-c", &file]);
    let own = keys.map(|_| "443");
    for listen in own.into_iter().chain(shown.iter().map(|site| site.listen)) {
        let (address, port) = listen.rsplit_once(':').unwrap_or((ADDRESS, listen));
        until_open(address, port.parse().expect("a port"));
    }
    nginx
}
