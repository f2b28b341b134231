//! Certificates of names in the stores of this machine's programs: its authority, the address that browsers ask, agents.

mod agents;
mod issuers;
mod system;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::home::{Ended, Home, ended};
use crate::common::http::{Response, get};
use crate::common::person::{Person, World};
use crate::common::ports::free_address;

/// A daemon on the embedded chain with an open namespace `id`, and the home of somebody with browsers.
struct Scene {
    world: World,
    home: Home,
}

impl Scene {
    /// With agents of root, who runs these tests, and names that nobody else has.
    fn new() -> Self {
        Self::in_mode("only")
    }

    /// The same with a mode of the namespace.
    fn in_mode(mode: &str) -> Self {
        let lines = format!(
            "[chain]\nsource = \"dev\"\n[tls]\nusers = [\"root\"]\n[api]\nlisten = [\"127.0.0.1:0\"]\n[namespaces]\nid = \"{mode}\"\n"
        );
        let scene = Self {
            world: World::start_at(free_address().port(), "127.0.0.1:9", &lines),
            home: Home::new(),
        };
        let owner = scene.owner();
        owner.gets(30_000_000_000);
        owner.does(&["namespace", "open", "id"]);
        scene
    }

    fn owner(&self) -> Person<'_> {
        self.world.person("owner")
    }

    /// What an owner makes for a name.
    fn make_keys(&self, name: &str) -> PathBuf {
        let directory = self.world.path(name);
        let path = directory.display().to_string();
        let made = self.world.run(&[
            "tls",
            "init",
            name,
            "--dir",
            &path,
            "--address",
            "93.184.216.34",
        ]);
        assert_eq!(made.code, 0, "{made:?}");
        directory
    }

    /// Registers a name with the zone file that was made for it.
    fn register(&self, name: &str) {
        let zonefile = self.world.path(name).join(format!("{name}.zone"));
        let zonefile = zonefile.display().to_string();
        self.owner()
            .does(&["name", "register", name, "--zonefile", &zonefile]);
    }

    /// The target at which browsers find the certificate of a name's authority.
    fn target(&self, name: &str) -> String {
        let key = self
            .world
            .path(name)
            .join("authority.key")
            .display()
            .to_string();
        let line = "openssl pkey -in \"$1\" -pubout -outform DER | sha256sum | cut -c-64";
        let digest = ended(&mut self.home.command("sh", &["-c", line, "sh", &key]));
        format!("/aia/{name}/{}.cer", digest.stdout.trim())
    }

    fn api(&self) -> SocketAddr {
        let status = self.world.run(&["status", "--json"]).json();
        status["api_listeners"][0]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    fn get(&self, target: &str) -> Response {
        get(self.api(), target)
    }

    fn openssl(&self, words: &[&str]) -> Ended {
        ended(&mut self.home.command("openssl", words))
    }

    /// The authority of this machine, as a file.
    fn root(&self) -> String {
        let told = self.world.run(&["tls", "ca"]);
        assert_eq!(told.code, 0, "{told:?}");
        let path = self.home.path().join("root.pem");
        std::fs::write(&path, told.stdout).unwrap();
        path.display().to_string()
    }

    /// A command of somebody with browsers, who talks to this daemon.
    fn words(&self, words: &[&str]) -> Vec<String> {
        let socket = self.world.path("data/control.sock").display().to_string();
        let words = words.iter().map(|&word| word.to_owned());
        words
            .chain(["--control-socket".to_owned(), socket])
            .collect()
    }

    /// Runs such a command to its end.
    fn run(&self, words: &[&str]) -> Ended {
        let words = self.words(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.home.run(&words)
    }
}

#[test]
fn the_root_is_made_at_first_need_with_its_limits() {
    let scene = Scene::new();
    let directory = scene.world.path("data/trust");
    assert!(!directory.exists(), "nobody needed it yet");
    let root = scene.root();
    let shown = scene
        .openssl(&["x509", "-in", &root, "-noout", "-text"])
        .stdout;
    for limit in [
        "CA:TRUE, pathlen:1",
        "X509v3 Name Constraints: critical",
        "DNS:id\n",
        "DNS:bns.alt\n",
        "DNS:co.id\n",
        "DNS:ponpes.id\n",
        "IP:0.0.0.0/0.0.0.0",
        "IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0",
        "NIST CURVE: P-256",
    ] {
        assert!(shown.contains(limit), "{limit:?} is not in {shown}");
    }
    let told: Value = scene.world.run(&["tls", "ca", "--json"]).json();
    let fingerprint = scene.openssl(&["x509", "-in", &root, "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = fingerprint.stdout.replace(':', "").to_ascii_lowercase();
    let told = told["fingerprint"].as_str().unwrap();
    assert!(fingerprint.contains(told), "{fingerprint}");
    let mode = |name: &str| {
        let metadata = directory.join(name).metadata().unwrap();
        std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777
    };
    assert_eq!((mode("root.key"), mode("root.pem")), (0o600, 0o644));
    let days = scene.openssl(&["x509", "-in", &root, "-noout", "-checkend", "314000000"]);
    assert_eq!(days.code, 0, "3,634 days from now it is valid: {days:?}");
}
