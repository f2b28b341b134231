//! A machine of its own: own network, own mounts, bnsd as its only resolver. A scene is a thread in it, so that whatever it
//! starts and connects to is in it too; all of it is gone with the last of them.
//!
//! Servers that would start when they are installed are not: `tests/run` unpacks their packages, and here they lie over the
//! directories of the system.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::MACHINE;
use crate::common::apart::apart;
use crate::common::home::{Ended, Home, ended};
use crate::common::person::{Person, World};
use crate::common::process::{Process, until};
use crate::common::regtest::Regtest;

/// The address of the only network (RFC 5737).
pub const ADDRESS: &str = "192.0.2.10";
/// The name that scenes are about.
pub const NAME: &str = "me.id";
/// Somebody without any right: user, number, home.
pub const PERSON: (&str, u32, &str) = ("reader", 4_242, "/mnt/reader");
/// Packages that `tests/run` unpacks where their programs are not installed.
const UNPACKED: [&str; 3] = ["nginx", "openssh-server", "postfix"];
/// What scenes run, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 11] = [
    ("certutil", "libnss3-tools"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("danetool", "gnutls-bin"),
    ("firefox-esr", "firefox-esr"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("posttls-finger", "postfix"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("unbound", "unbound"),
];
/// Blocks that names live on a chain where they end; this epoch doubles them.
const LIFETIME: &str = "30";
/// Seconds that a command may take: far above what a busy machine needs.
const PATIENCE: &str = "60";

/// The arguments are the directories that lie over `/etc`, a colon behind each, and the same for `/usr`.
const MAKE: &str = r#"
ip link set lo up
ip link add lan0 type veth peer name lan1
ip address add 192.0.2.10/24 dev lan0
ip link set lan0 up
ip link set lan1 up
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
layer /mnt etc "$1"
layer /mnt usr "$2"
layer /mnt var
others 127.0.0.2 "bca.co.id. A 192.0.2.10" "google.com. A 192.0.2.10" >/mnt/unbound.conf
mount -t tmpfs tmpfs /run
umount /etc/resolv.conf /etc/hosts 2>/dev/null || true
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.1\noptions edns0 trust-ad\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\n' >/etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >/etc/nsswitch.conf
mkdir -p /run/bnsd /run/sshd /var/lib/nginx /var/log/nginx
printf 'reader:x:4242:4242::/mnt/reader:/bin/sh\n' >>/etc/passwd
printf 'reader:x:4242:\n' >>/etc/group
install -d -m 700 -o reader -g reader /mnt/reader /run/user/4242
grep -q '^sshd:' /etc/passwd || printf 'sshd:x:4243:65534::/run/sshd:/usr/sbin/nologin\n' >>/etc/passwd
"#;

/// Ends well where the system and each browser of whoever runs it have the certificate of a name.
const HELD: &str = r#"
dig +short "$1" | grep -q .
ls /etc/ssl/certs/bnsd-authority-*.pem
for database in "$HOME/.pki/nssdb" "$HOME"/.config/mozilla/firefox/*/; do
    [ ! -f "$database/cert9.db" ] || certutil -L -d "sql:$database" | grep -qF "bnsd authority of $1 "
done
"#;

/// The configuration of a daemon that the system has for all its users, before its chain. Its proxy may speak for the
/// namespaces that are known when it starts first, so `id` is named.
const SERVICE: &str = "control-socket = \"/run/bnsd/control.sock\"\n[tls]\nusers = [\"reader\"]\nproxy = \"127.0.0.1:6271\"\n[namespaces]\nid = \"exact\"\n";

/// A machine whose names come from bnsd, which follows a chain with an open namespace `id`.
pub struct Machine {
    pub world: World,
    regtest: Option<Regtest>,
    home: Home,
    _others: Process,
}

/// Which chain bnsd follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chain {
    Embedded,
    /// That of a Bitcoin Core, on which names end.
    Node,
}

/// Runs a scene on one, with the embedded chain.
pub fn on_a_machine(scene: fn(&Machine)) {
    run_on(Chain::Embedded, scene);
}

/// Runs a scene on one that follows a real node.
pub fn on_a_machine_with_node(scene: fn(&Machine)) {
    run_on(Chain::Node, scene);
}

fn run_on(chain: Chain, scene: fn(&Machine)) {
    apart(move || scene(&Machine::new(chain)));
}

impl Machine {
    fn new(chain: Chain) -> Self {
        let home = Home::new();
        let over = |tree: &str| -> String {
            let packages = UNPACKED.map(|package| packages().join(package).join(tree));
            let there = packages.iter().filter(|directory| directory.is_dir());
            let listed = there.map(|directory| format!("{}:", directory.display()));
            listed.collect()
        };
        let make = format!("{MACHINE}{MAKE}");
        let made =
            ended(&mut home.command("sh", &["-ec", &make, "sh", &over("etc"), &over("usr")]));
        assert_eq!(made.code, 0, "{made:?}");
        for (program, package) in PROGRAMS {
            let found = Self::command_in(&home, "which", &[program]).output();
            let is_there = found.is_ok_and(|found| found.status.success());
            assert!(is_there, "the package {package} is missing: run tests/run");
        }
        let unbound = home.command("unbound", &["-d", "-c", "/mnt/unbound.conf"]);
        let others = Process::start(&home, unbound);
        let regtest = (chain == Chain::Node).then(|| Regtest::start(&home.folder("node")));
        let followed = regtest.as_ref().map(Regtest::followed);
        let embedded = || "[chain]\nsource = \"dev\"\n".to_owned();
        let lines = SERVICE.to_owned() + &followed.unwrap_or_else(embedded);
        let machine = Self {
            world: World::start_at(53, "127.0.0.2", &lines),
            regtest,
            home,
            _others: others,
        };
        machine.open_namespace();
        machine
    }

    fn open_namespace(&self) {
        let owner = self.owner();
        let Some(regtest) = &self.regtest else {
            owner.gets(30_000_000_000);
            owner.does(&["namespace", "open", "id"]);
            return;
        };
        regtest.fund(&self.world, &owner.address());
        owner.does(&["namespace", "preorder", "id"]);
        owner.does(&["namespace", "reveal", "id", "--lifetime", LIFETIME]);
        owner.does(&["namespace", "ready", "id"]);
    }

    /// The node.
    pub fn regtest(&self) -> &Regtest {
        self.regtest.as_ref().expect("a machine with a node")
    }

    /// Who owns the names.
    pub fn owner(&self) -> Person<'_> {
        self.world.person("owner")
    }

    /// Registers [`NAME`] with these lines in its zone file beside its address, or gives it others.
    pub fn publish(&self, lines: &str) {
        let text = format!("$ORIGIN {NAME}\n$TTL 600\n@ A {ADDRESS}\n{lines}\n");
        self.publish_file(NAME, &self.owner().writes("zone", &text));
    }

    /// Registers a name with a zone file, or gives it that.
    pub fn publish_file(&self, name: &str, file: &str) {
        let owner = self.owner();
        if self.world.name(name)["state"] == "registered" {
            owner.does(&["zonefile", "publish", name, file]);
        } else {
            owner.does(&["name", "register", name, "--zonefile", file]);
        }
    }

    /// Lets root and [`PERSON`] trust the root of this machine, as people do.
    pub fn install_root(&self) {
        let bnsd = env!("CARGO_BIN_EXE_bnsd");
        self.does("\"$1\" tls install-ca", &[bnsd]);
        self.does_as_person("\"$1\" tls install-ca --user", &[bnsd]);
    }

    /// The same, and runs the agents of both: the certificates of names come as long as what is returned lives. That of
    /// [`NAME`] is there.
    pub fn trust(&self) -> [Process; 2] {
        self.install_root();
        let bnsd = env!("CARGO_BIN_EXE_bnsd");
        let agents = [
            self.start(bnsd, &["tls", "agent", "--system"]),
            self.start_as_person(bnsd, &["tls", "agent"]),
        ];
        until("the certificate of the name", || {
            let held = self.run_as_person(HELD, &[NAME]);
            (held.code == 0).then_some(())
        });
        agents
    }

    /// A new directory.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.home.folder(name)
    }

    /// Runs a line of a shell to its end, with arguments.
    pub fn run(&self, line: &str, arguments: &[&str]) -> Ended {
        let words = [&[PATIENCE, "bash", "-ec", line, "sh"], arguments].concat();
        ended(&mut self.command("timeout", &words))
    }

    /// The same, which has to go well; what it printed.
    pub fn does(&self, line: &str, arguments: &[&str]) -> String {
        let ended = self.run(line, arguments);
        assert_eq!(ended.code, 0, "{line} {arguments:?}: {ended:?}");
        ended.stdout
    }

    /// A line of [`PERSON`].
    pub fn run_as_person(&self, line: &str, arguments: &[&str]) -> Ended {
        let words = [&[PATIENCE, "bash", "-ec", line, "sh"], arguments].concat();
        ended(&mut self.as_person("timeout", &words))
    }

    /// The same, which has to go well; what it printed.
    pub fn does_as_person(&self, line: &str, arguments: &[&str]) -> String {
        let ended = self.run_as_person(line, arguments);
        assert_eq!(ended.code, 0, "{line} {arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Starts a program that runs as long as what is returned.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        Process::start(&self.home, self.command(program, arguments))
    }

    /// The same as [`PERSON`].
    pub fn start_as_person(&self, program: &str, arguments: &[&str]) -> Process {
        Process::start(&self.home, self.as_person(program, arguments))
    }

    /// A program of [`PERSON`], not started yet.
    pub fn as_person(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(program, arguments);
        command.uid(PERSON.1).gid(PERSON.1).current_dir(PERSON.2);
        let runtime = format!("/run/user/{}", PERSON.1);
        command.env("HOME", PERSON.2).env("USER", PERSON.0);
        command.env("XDG_RUNTIME_DIR", runtime);
        command
    }

    /// A program, not started yet.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        Self::command_in(&self.home, program, arguments)
    }

    fn command_in(home: &Home, program: &str, arguments: &[&str]) -> Command {
        let mut command = home.command(program, arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
    }
}

/// Waits until somebody takes connections.
pub fn until_open(address: &str, port: u16) {
    until(&format!("port {port} of {address}"), || {
        std::net::TcpStream::connect((address, port)).ok()
    });
}

/// Where packages are unpacked.
fn packages() -> PathBuf {
    let named = std::env::var_os("TEST_PACKAGES").map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/packages"))
}
