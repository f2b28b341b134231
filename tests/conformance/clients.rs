//! Other people's clients, in a network namespace of their own where bnsd has port 53 and is the only resolver.
//!
//! The namespace leads nowhere, so a client that resolves a name has asked bnsd. Making
//! one takes root; CI and `tests/run` have it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::browser::ALONE;
use crate::common::internet::Internet;
use crate::common::unbound::{configure, resolving};

/// A web server on every address of the namespace, which says by what name it was called.
const WEB: &str = r#"
import http.server, socket
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"<html><body>This is <b>%s</b>.</body></html>" % self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 80), Page).serve_forever()
"#;

/// Where the web server is, under a name of the chain and under a legacy one.
const PLACES: [(&str, &str); 2] = [
    ("werner.id", "192.0.2.10"),
    ("www.example.org", "198.51.100.9"),
];

/// Where the legacy resolver listens in the namespace.
const LEGACY: &str = "127.0.0.1:5399";

/// A namespace with its processes; all of it goes when the value does.
struct Namespace {
    name: String,
    children: Vec<Child>,
    scratch: tempfile::TempDir,
}

impl Namespace {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bnsd-{}-{number}", std::process::id());
        let namespace = Self {
            name,
            children: Vec::new(),
            scratch,
        };
        run("ip", &["netns", "add", &namespace.name]);
        namespace.write(
            "resolv.conf",
            "nameserver 127.0.0.1\noptions edns0 trust-ad\n",
        );
        namespace.write("nsswitch.conf", "hosts: dns\n");
        namespace.write("hosts", "127.0.0.1 localhost\n");
        let ip = |arguments: &[&str]| namespace.ip(arguments);
        ip(&["link", "set", "lo", "up"]);
        // With loopback addresses alone, AI_ADDRCONFIG takes the machine for one without any network.
        ip(&["address", "add", "10.9.9.9/32", "dev", "lo"]);
        for (_, address) in PLACES {
            ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        namespace
    }

    /// The command inside of the namespace, with a resolv.conf that names bnsd alone.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let resolv_conf = self.scratch.path().join("resolv.conf");
        let script = format!(
            "mount --make-rprivate / && mount --bind {0}/resolv.conf $(readlink -f /etc/resolv.conf) \
             && mount --bind {0}/nsswitch.conf /etc/nsswitch.conf \
             && mount --bind {0}/hosts $(readlink -f /etc/hosts) && exec \"$@\"",
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

    /// Changes its network.
    fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name], arguments].concat());
    }

    /// Waits until these names have these addresses.
    fn wait_for(&self, places: &[(&str, &str)]) {
        let start = Instant::now();
        let dig = |name| self.output("dig", &["+short", "+tries=1", "+time=1", name]);
        while !places
            .iter()
            .all(|(name, address)| dig(name).contains(address))
        {
            let read = |name| std::fs::read_to_string(self.scratch.path().join(name));
            let log = read("log").unwrap() + &read("queries.log").unwrap_or_default();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no answers: {log}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.scratch.path().join(name), text).unwrap();
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.scratch.path().join("log"))
            .unwrap();
        let mut command = self.command(program, arguments);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.children.push(child);
    }

    fn spawn_command(&mut self, command: &Command) {
        let arguments: Vec<&str> = command
            .get_args()
            .map(|argument| argument.to_str().unwrap())
            .collect();
        self.spawn(command.get_program().to_str().unwrap(), &arguments);
    }

    fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .command("timeout", &[&["60", program], arguments].concat())
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

/// A namespace in which bnsd and a resolver for legacy names answer.
fn ready() -> Namespace {
    let mut namespace = Namespace::new();
    let directory = namespace.scratch.path().to_owned();
    let internet = Internet::write(&directory);
    let unbound = configure(
        &directory,
        LEGACY.parse().unwrap(),
        &resolving("", &internet),
    );
    let data = directory.join("data").display().to_string();
    let zones = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("zonefiles")
        .display()
        .to_string();
    namespace.spawn_command(&internet.authority());
    namespace.spawn("unbound", &["-d", "-c", &unbound.display().to_string()]);
    namespace.spawn("python3", &["-c", WEB]);
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
        LEGACY,
    ];
    namespace.spawn(bnsd, &arguments);
    namespace.wait_for(&PLACES);
    namespace
}

#[test]
fn everybodys_clients_resolve_both_kinds_of_names() {
    let namespace = ready();
    let python = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))";
    let node = "require('dns').resolve4(process.argv[1], (e, a) => console.log(e || a[0]))";
    let lookup = "require('dns').lookup(process.argv[1], 4, (e, a) => console.log(e || a))";
    let clients: [(&str, &[&str]); 12] = [
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
    ];
    for (client, arguments) in clients {
        for (name, address) in PLACES {
            let text = namespace.output(client, &[arguments, &[name]].concat());
            assert!(
                text.contains(address),
                "{client} {arguments:?} {name}: {text}"
            );
        }
    }
}

/// The profile is new, so that nothing is remembered.
#[test]
fn web_clients_show_pages_under_both_kinds_of_names() {
    let namespace = ready();
    let profile = namespace.scratch.path().join("profile");
    let profile = format!("--user-data-dir={}", profile.display());
    let chromium = [&ALONE[..], &["--headless", &profile, "--dump-dom"]].concat();
    let curl = ["-sS", "--max-time", "10"];
    for (name, _) in PLACES {
        let url = format!("http://{name}/");
        for (client, arguments) in [("curl", &curl[..]), ("chromium", &chromium[..])] {
            let text = namespace.output(client, &[arguments, &[&url]].concat());
            assert!(
                text.contains(&format!("This is <b>{name}</b>.")),
                "{client} {name}: {text}"
            );
        }
    }
}

/// A router's resolver on a link-local address: every A is 198.51.100.53.
const ROUTER: &str = r#"
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("fe80::53", 53, 0, socket.if_nametoindex("lo")))
while True:
    q, c = s.recvfrom(4096)
    end = 12
    while q[end]:
        end += q[end] + 1
    rr = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + bytes([198, 51, 100, 53]) if q[end + 1:end + 3] == b"\0\1" else b""
    s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if rr else b"\0\0") + b"\0\0\0\0" + q[12:end + 5] + rr, c)
"#;

/// Without a configuration: `/etc/resolv.conf` names bnsd itself and the router, on its link.
#[test]
fn row_48_rfc4007_the_systems_resolvers_and_hosts_are_used_as_they_stand_there() {
    let mut namespace = Namespace::new();

    namespace.ip(&["address", "add", "fe80::53/64", "dev", "lo"]);
    namespace.write(
        "resolv.conf",
        "search lan\nnameserver 127.0.0.1\nnameserver fe80::53%lo\n",
    );
    namespace.write(
        "hosts",
        "127.0.0.1 localhost\n198.51.100.77 printer.example\n",
    );
    let data = namespace.scratch.path().join("data").display().to_string();
    namespace.spawn("python3", &["-c", ROUTER]);
    let bnsd = env!("CARGO_BIN_EXE_bnsd");
    let arguments = ["serve", "--listen", "127.0.0.1:53", "--data-dir", &data];
    namespace.spawn(bnsd, &arguments);
    namespace.wait_for(&[
        ("www.example.net", "198.51.100.53"),
        ("printer.example", "198.51.100.77"),
    ]);
    let name = namespace.output("dig", &["+short", "-x", "198.51.100.77"]);
    assert_eq!(name.trim(), "printer.example.");
    let status = namespace.output(bnsd, &["status", "--json", "--data-dir", &data]);
    let status: serde_json::Value = serde_json::from_str(&status).expect(&status);
    let upstreams = status["upstreams"].as_array().unwrap();
    assert_eq!(upstreams.len(), 1, "bnsd itself is left out: {upstreams:?}");
}
