//! A Debian system that systemd boots, in namespaces of its own (systemd-nspawn(1)): with journald, systemd-resolved,
//! NetworkManager and a network. What it writes is kept in memory and gone when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::MACHINE;
use crate::common::home::{Ended, ended};
use crate::common::process::until;

/// Makes the root of the machine.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/boot/root");
/// What is done in it first.
const NETWORK: &str = include_str!("network.sh");
/// Longest time for one command, in seconds.
const PATIENCE: &str = "120";
/// Starts the machine on a copy of the root `$1` that takes changes, with the directory `$2` as `/mnt`. Where no systemd runs
/// that would make one, it gets the control group `$3`: two machines in one would end each other's services.
const START: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/aside /mnt/machine
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/aside" /mnt/machine
[ -d /run/systemd/system ] || {
    for tree in $(awk '$3 == "cgroup2" || $4 ~ /name=systemd/ { print $2 }' /proc/mounts); do
        mkdir "$tree/$3"
        echo 0 >"$tree/$3/cgroup.procs"
    done
    alone=--keep-unit
}
exec systemd-nspawn --quiet --register=no $alone --console=pipe --machine=bnsd --private-network \
    --directory=/mnt/machine --bind-ro="$2:/mnt" --boot
"#;

/// A machine that runs.
pub struct Machine {
    container: Child,
    /// Its first process, as this machine counts.
    leader: u32,
    /// Its control group, if it has one by us.
    group: String,
}

/// Where trees of control groups are.
const GROUPS: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
];

impl Machine {
    /// Boots one that has the files of `packages` in `/mnt`.
    pub fn boot(packages: &Path) -> Self {
        static BOOTED: AtomicU32 = AtomicU32::new(0);
        let number = BOOTED.fetch_add(1, Ordering::Relaxed);
        let group = format!("bnsd-test-{}-{number}", std::process::id());
        let output = tempfile::tempfile().expect("a file");
        // The machine ends when the test does, however that ends.
        let apart = [
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
        ];
        let mut command = Command::new("setpriv");
        command
            .args(apart)
            .args(["--kill-child", "--mount-proc", "sh", "-c", START, "sh"])
            .arg(root())
            .arg(packages)
            .arg(&group)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output);
        let container = command.spawn().expect("setpriv can be started");
        let mut machine = Self {
            container,
            leader: 0,
            group,
        };
        machine.leader = machine.first_process();
        // While systemd comes up, it may take a question and never answer.
        until("the machine to be up", || {
            let state = ended(&mut machine.enter("2", &["systemctl", "is-system-running"]));
            assert_ne!(state.stdout, "degraded\n", "{}", machine.journal());
            (state.stdout == "running\n").then_some(())
        });
        machine.does(&format!("{MACHINE}{NETWORK}"));
        machine
    }

    /// The child of systemd-nspawn, which is the child of unshare.
    fn first_process(&mut self) -> u32 {
        let shell = self.container.id();
        until("systemd to start", || {
            let ended = self.container.try_wait().expect("a child");
            assert!(
                ended.is_none(),
                "systemd-nspawn of the Debian package systemd-container, run as root: {ended:?}"
            );
            let leader = child(child(shell)?)?;
            let name = fs::read_to_string(format!("/proc/{leader}/comm")).ok()?;
            (name == "systemd\n").then_some(leader)
        })
    }

    /// Runs lines of bash as root, as a service of the machine.
    pub fn run(&self, script: &str) -> Ended {
        // In a file, since systemd would put its own values into the words of a command.
        let leader = self.leader.to_string();
        let path = Path::new("/proc").join(leader).join("root/run/script");
        fs::write(path, script).expect("the machine has a /run");
        let service = [
            "systemd-run",
            "--quiet",
            "--pipe",
            "--wait",
            "--collect",
            "--setenv=HOME=/root",
        ];
        let bash = ["bash", "-euo", "pipefail", "/run/script"];
        ended(&mut self.enter(PATIENCE, &[&service[..], &bash].concat()))
    }

    /// A command of the machine, which may take so many seconds.
    fn enter(&self, patience: &str, words: &[&str]) -> Command {
        let leader = self.leader.to_string();
        let mut command = Command::new("timeout");
        command
            .args([patience, "nsenter", "--target", &leader, "--all"])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// The same, which has to go well; what was printed.
    pub fn does(&self, script: &str) -> String {
        let ended = self.run(script);
        assert_eq!(ended.code, 0, "{script}\n{ended:?}\n{}", self.journal());
        ended.stdout
    }

    /// Waits until lines of bash go well.
    pub fn comes_to(&self, script: &str) -> String {
        until(script, || {
            let ended = self.run(script);
            (ended.code == 0).then_some(ended.stdout)
        })
    }

    /// The last lines of the journal.
    fn journal(&self) -> String {
        ended(&mut self.enter("9", &["journalctl", "--no-pager", "--lines=60"])).stdout
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.container.kill();
        let _ = self.container.wait();
        for tree in GROUPS {
            let group = Path::new(tree).join(&self.group);
            // The last of its processes may need a moment.
            let gone = (0..50).any(|_| {
                remove_group(&group);
                std::thread::sleep(Duration::from_millis(if group.exists() { 100 } else { 0 }));
                !group.exists()
            });
            if !gone {
                eprintln!("{} is left", group.display());
            }
        }
    }
}

/// Removes a control group and those in it.
fn remove_group(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        remove_group(&entry.path());
    }
    let _ = fs::remove_dir(group);
}

/// The only child of a process.
fn child(process: u32) -> Option<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    list.split_whitespace().next()?.parse().ok()
}

/// The root directory that machines are copies of.
fn root() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let made = ended(&mut Command::new(ROOT));
        assert_eq!(made.code, 0, "{ROOT}: {}", made.stderr);
        PathBuf::from(made.stdout.trim())
    })
}
