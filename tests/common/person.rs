//! A daemon on the embedded chain and the people who use it, all through the binary alone.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ports::free_address;

/// What opens every key of the tests.
pub const PASSPHRASE: &str = "canary-passphrase-7f3a91";

/// A running `bnsd serve`.
pub struct World {
    pub directory: tempfile::TempDir,
    pub port: u16,
    configuration: String,
    daemon: Option<Child>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A daemon with the embedded chain; `more` are lines of its configuration.
    pub fn embedded() -> Self {
        Self::start("[chain]\nsource = \"dev\"\n")
    }

    /// A daemon with these lines in its configuration.
    pub fn start(chain: &str) -> Self {
        let lines = format!("{chain}\n[namespaces]\nid = \"only\"\n");
        Self::start_at(free_address().port(), "127.0.0.1:9", &lines)
    }

    /// One on a port of 127.0.0.1, which asks `upstream` for other names.
    pub fn start_at(port: u16, upstream: &str, lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let configuration = format!(
            "data-dir = \"{root}/data\"\nlisten = [\"127.0.0.1:{port}\"]\n{lines}[dns]\nupstreams = [\"{upstream}\"]\n[log]\nlevel = \"trace\"\n"
        );
        std::fs::write(directory.path().join("bnsd.toml"), &configuration).unwrap();
        let passphrase = directory.path().join("passphrase");
        std::fs::write(&passphrase, PASSPHRASE).unwrap();
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut world = Self {
            directory,
            port,
            configuration,
            daemon: None,
        };
        world.run_daemon();
        world
    }

    /// Starts the daemon and waits until it answers.
    pub fn run_daemon(&mut self) {
        assert!(!self.configuration.is_empty());
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .unwrap();
        let mut command = Command::new(binary());
        command
            .args(["serve", "--config"])
            .arg(self.path("bnsd.toml"));
        command.stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        while self.run(&["status"]).code != 0 {
            assert!(
                Instant::now() < end,
                "the daemon does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The daemon's process.
    pub fn daemon_id(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    pub fn stop_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// A command of somebody without keys.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(&self.command("nobody", arguments).output().unwrap())
    }

    /// A command of a person, not started yet; whatever it costs is agreed to.
    pub fn command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = self.question(person, arguments);
        if pays(arguments) {
            command.arg("--yes");
        }
        command
    }

    /// A command of a person who has agreed to nothing.
    pub fn question(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments);
        command.env("BNSD_CONFIG", self.path("bnsd.toml"));
        command.env("BNSD_KEYS_DIR", self.path(person));
        command.env("BNSD_PASSPHRASE_FILE", self.path("passphrase"));
        command.env("BNSD_LOG", "trace");
        command.stdin(Stdio::null());
        command
    }

    /// A person with a key called `me`.
    pub fn person(&self, name: &str) -> Person<'_> {
        let person = Person {
            world: self,
            name: name.to_owned(),
        };
        if !self.path(name).join("me.json").exists() {
            person.does(&["keys", "new", "me"]);
        }
        person
    }

    /// Asks over UDP; response code and number of answers.
    pub fn dig(&self, name: &str, rtype: u16) -> (u8, u16) {
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend_from_slice(label.as_bytes());
        }
        query.push(0);
        query.extend_from_slice(&rtype.to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket.send_to(&query, ("127.0.0.1", self.port)).unwrap();
        let mut reply = [0; 4096];
        let length = socket.recv(&mut reply).unwrap();
        assert!(length >= 12);
        (reply[3] & 15, u16::from_be_bytes([reply[6], reply[7]]))
    }

    /// Mines on the embedded chain and waits for the index.
    pub fn mine(&self, blocks: u32) {
        let reply = self.run(&["--json", "tx", "mine", &blocks.to_string()]);
        assert_eq!(reply.code, 0, "{reply:?}");
        let height = reply.json()["height"].as_u64().unwrap();
        self.wait_for(height);
    }

    pub fn wait_for(&self, height: u64) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.height() < height {
            assert!(Instant::now() < end, "the index does not follow");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn height(&self) -> u64 {
        self.run(&["--json", "status"]).json()["height"]
            .as_u64()
            .unwrap_or(0)
    }

    /// What the embedded chain holds for addresses of the test networks, in satoshi.
    pub fn worth(&self, addresses: &[String]) -> u64 {
        use std::io::{BufRead as _, BufReader, Write as _};
        let script = |address: &String| {
            let bytes = bitcoin::base58::decode_check(address).unwrap();
            let hash = bnsd::hash::encode_hex(&bytes[1..]);
            match bytes[0] {
                196 => format!("a914{hash}87"),
                _ => format!("76a914{hash}88ac"),
            }
        };
        let scripts: Vec<String> = addresses.iter().map(script).collect();
        let path = self.path("data/control.sock");
        let mut socket = std::os::unix::net::UnixStream::connect(path).unwrap();
        let request = serde_json::json!({"v": 1, "coins": {"scripts": scripts}});
        socket.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap();
        let coins = reply["coins"]["coins"].as_array().unwrap().iter();
        coins.filter_map(|coin| coin["satoshi"].as_u64()).sum()
    }

    /// What the chain says about a name.
    pub fn name(&self, name: &str) -> Value {
        self.run(&["--json", "name", "show", name]).json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_daemon();
    }
}

/// Somebody with a directory of keys.
pub struct Person<'w> {
    pub world: &'w World,
    pub name: String,
}

impl Person<'_> {
    /// Runs a command.
    pub fn tries(&self, arguments: &[&str]) -> Ran {
        ran(&self.world.command(&self.name, arguments).output().unwrap())
    }

    /// Runs a command without agreeing to what it costs.
    pub fn asks(&self, arguments: &[&str]) -> Ran {
        ran(&self.world.question(&self.name, arguments).output().unwrap())
    }

    /// Runs a command that has to succeed.
    pub fn does(&self, arguments: &[&str]) -> Value {
        let all = [&["--json"], arguments].concat();
        let ran = self.tries(&all);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap_or(Value::Null)
    }

    /// Runs a command that has to fail, with this in what it says.
    pub fn cannot(&self, arguments: &[&str], why: &str) {
        let ran = self.tries(arguments);
        assert_ne!(ran.code, 0, "{arguments:?}: {ran:?}");
        assert!(
            ran.stderr.contains(why),
            "{arguments:?}: {why:?} is not in {ran:?}"
        );
    }

    /// The address of key `me`.
    pub fn address(&self) -> String {
        let keys = self.does(&["keys", "list"]);
        keys[0]["addresses"][0]["address"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Gives coins of the embedded chain.
    pub fn gets(&self, satoshi: u64) {
        let mined = self.does(&["tx", "faucet", &self.address(), &satoshi.to_string()]);
        self.world.wait_for(mined["height"].as_u64().unwrap());
    }

    /// Writes a file and says where it is.
    pub fn writes(&self, file: &str, text: &str) -> String {
        let path = self.world.path(&format!("{}-{file}", self.name));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or(Value::Null)
    }
}

/// Whether a command is one of those that have to be agreed to.
fn pays(arguments: &[&str]) -> bool {
    const PAYING: [(&str, &[&str]); 4] = [
        (
            "name",
            &[
                "preorder", "register", "update", "transfer", "renew", "revoke", "import", "sell",
                "buy",
            ],
        ),
        ("namespace", &["preorder", "reveal", "import", "ready"]),
        ("zonefile", &["publish"]),
        ("tx", &["send"]),
    ];
    let mut pairs = arguments.windows(2);
    pairs.any(|pair| {
        let of_group = PAYING.iter().find(|(group, _)| *group == pair[0]);
        of_group.is_some_and(|(_, commands)| commands.contains(&pair[1]))
    })
}

fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bnsd"))
}
