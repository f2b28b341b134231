//! What an owner has on the server: keys, certificates, nginx.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::machine::{Machine, NAME, until_open};
use crate::common::process::Process;

/// The authority and the leaf of a name; the arguments are a directory and the name.
const MAKE: &str = r#"
cd "$1"
for key in authority leaf; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $key.key
done
id=$(openssl pkey -in authority.key -pubout -outform DER | sha256sum | cut -c-32)
openssl req -new -x509 -key authority.key -subj "/CN=BNS authority $id" -days 397 -out authority.pem \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign \
    -addext "nameConstraints=critical,permitted;DNS:$2"
printf 'subjectAltName=DNS:%s,DNS:*.%s\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "$2" "$2" >extensions
openssl req -new -key leaf.key -subj "/CN=$2" |
    openssl x509 -req -CA authority.pem -CAkey authority.key -days 397 -extfile extensions -out leaf.pem
cat leaf.pem authority.pem >chain.pem
"#;

/// Keys of a name and what they sign.
pub struct Keys {
    directory: PathBuf,
}

impl Keys {
    pub fn make(machine: &Machine, directory: &str) -> Self {
        let directory = machine.folder(directory);
        let keys = Self { directory };
        machine.does(MAKE, &[&keys.directory.display().to_string(), NAME]);
        keys
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

/// What a server shows to whoever asks for a host at a port of an address.
pub struct Shown {
    pub address: &'static str,
    pub port: u16,
    pub host: &'static str,
    pub certificates: String,
    pub key: String,
}

/// An nginx with a page at each of these ports.
pub fn serve(machine: &Machine, shown: &[Shown]) -> Process {
    let mut servers = String::new();
    for site in shown {
        let (address, host) = (site.address, site.host);
        let (certificates, key) = (&site.certificates, &site.key);
        writeln!(
            servers,
            "server {{ listen {address}:{} ssl; server_name {host}; ssl_certificate {certificates}; ssl_certificate_key {key}; \
             location / {{ default_type text/html; return 200 \"<title>the page of {host}</title><h1>the page of {host}</h1>\"; }} }}",
            site.port
        )
        .unwrap();
    }
    let folder = machine.folder("nginx");
    let file = folder.join("nginx.conf").display().to_string();
    let text = format!(
        "daemon off; user root; pid {}/pid; events {{}}\nhttp {{ access_log off;\n{servers}}}\n",
        folder.display()
    );
    std::fs::write(&file, text).unwrap();
    let nginx = machine.start("nginx", &["-e", "stderr", "-c", &file]);
    shown
        .iter()
        .for_each(|site| until_open(site.address, site.port));
    nginx
}
