//! Other people's clients, in a network namespace of their own where bnsd has port 53 and is the only resolver.
//!
//! The namespace leads nowhere, so a client that resolves a name has asked bnsd. Making
//! one takes root; CI and `tests/run` have it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A legacy resolver in a few lines of Python: every A is 198.51.100.9.
const LEGACY: &str = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 5399))
while True:
    q, c = s.recvfrom(4096)
    end = 12
    while q[end]:
        end += q[end] + 1
    kind = q[end + 1:end + 3]
    rr = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + bytes([198, 51, 100, 9]) if kind == b"\0\1" else b""
    s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if rr else b"\0\0") + b"\0\0\0\0" + q[12:end + 5] + rr, c)
"#;

/// A namespace with its processes; all of it goes when the value does.
struct Namespace {
    name: String,
    children: Vec<Child>,
    scratch: tempfile::TempDir,
}

impl Namespace {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let name = format!("bnsd-{}", std::process::id());
        let namespace = Self {
            name,
            children: Vec::new(),
            scratch,
        };
        run("ip", &["netns", "add", &namespace.name]);
        let ip = |arguments: &[&str]| run("ip", &[&["-n", &namespace.name], arguments].concat());
        ip(&["link", "set", "lo", "up"]);
        // With loopback addresses alone, AI_ADDRCONFIG takes the machine for one without any network.
        ip(&["address", "add", "10.9.9.9/32", "dev", "lo"]);
        namespace
    }

    /// The command inside of the namespace, with a resolv.conf that names bnsd alone.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let resolv_conf = self.scratch.path().join("resolv.conf");
        let script = format!(
            "mount --make-rprivate / && mount --bind {0}/resolv.conf $(readlink -f /etc/resolv.conf) \
             && mount --bind {0}/nsswitch.conf /etc/nsswitch.conf && exec \"$@\"",
            self.scratch.path().display()
        );
        assert!(resolv_conf.is_file());
        let mut command = Command::new("ip");
        command
            .args([
                "netns", "exec", &self.name, "unshare", "--mount", "sh", "-c", &script, "sh",
                program,
            ])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.scratch.path().join(name), text).unwrap();
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let log = std::fs::File::create(self.scratch.path().join("log")).unwrap();
        let mut command = self.command(program, arguments);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.children.push(child);
    }

    fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .command("timeout", &[&["20", program], arguments].concat())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill(); // ended already, if it fails
            let _ = child.wait();
        }
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{program} {arguments:?} (needs root): {text}"
    );
}

#[test]
fn everybodys_clients_resolve_both_kinds_of_names() {
    let mut namespace = Namespace::new();
    namespace.write(
        "resolv.conf",
        "nameserver 127.0.0.1\noptions edns0 trust-ad\n",
    );
    namespace.write("nsswitch.conf", "hosts: dns\n");
    let data = namespace.scratch.path().join("data").display().to_string();
    let zones = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("zonefiles")
        .display()
        .to_string();
    namespace.spawn("python3", &["-c", LEGACY]);
    let bnsd = env!("CARGO_BIN_EXE_bnsd");
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:53",
        "--data-dir",
        &data,
        "--zonefiles",
        &zones,
        "--upstream",
        "127.0.0.1:5399",
    ];
    namespace.spawn(bnsd, &arguments);
    let start = Instant::now();
    while !namespace
        .output("dig", &["+short", "+tries=1", "+time=1", "werner.id"])
        .contains("192.0.2.10")
    {
        let log = std::fs::read_to_string(namespace.scratch.path().join("log")).unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "bnsd does not answer: {log}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let python = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))";
    let node = "require('dns').resolve4(process.argv[1], (e, a) => console.log(e || a[0]))";
    let lookup = "require('dns').lookup(process.argv[1], 4, (e, a) => console.log(e || a))";
    let clients: [(&str, &[&str]); 13] = [
        ("dig", &["+short"]),
        ("dig", &["+tcp", "+short"]),
        ("kdig", &["+short"]),
        ("drill", &[]),
        ("delv", &["+noroot", "-a", "/dev/null", "-i"]),
        ("nslookup", &[]),
        ("host", &[]),
        ("getent", &["ahostsv4"]),
        ("getent", &["ahosts"]),
        ("python3", &["-c", python]),
        ("node", &["-e", node]),
        ("node", &["-e", lookup]),
        ("curl", &["-sv", "--connect-timeout", "1", "-4"]),
    ];
    for (client, arguments) in clients {
        for (name, address) in [
            ("werner.id", "192.0.2.10"),
            ("www.example.org", "198.51.100.9"),
        ] {
            let text = namespace.output(client, &[arguments, &[name]].concat());
            assert!(
                text.contains(address),
                "{client} {arguments:?} {name}: {text}"
            );
        }
    }
}
