//! The Debian package on a booted system: it installs, serves, is upgraded, and goes without a trace.
//!
//! Everything is done with the commands that a person at that system has.

mod machine;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use machine::Machine;

use crate::common::home::ended;

/// Versions of the package, the second of which upgrades the first.
const VERSIONS: [&str; 2] = ["1.0.0", "1.0.1"];

/// Registers `werner.id` on the embedded chain that the service follows.
const REGISTER: &str = r#"
printf '[chain]\nsource = "dev"\n' >/etc/bnsd/bnsd.toml
systemctl restart bnsd.service
export BNSD_PASSPHRASE_FILE=/root/passphrase
(umask 077 && echo canary-passphrase >/root/passphrase)
bnsd keys new me
bnsd tx faucet me 20000000000
bnsd namespace preorder id --yes
bnsd namespace reveal id --yes
bnsd namespace ready id --yes
bnsd zonefile new werner.id --address 198.51.100.77 >/root/werner.zone
bnsd name register werner.id --zonefile /root/werner.zone --yes
"#;

/// What is on the machine: path, kind, mode, owner and target of everything, and the bytes of files below /etc, /usr and
/// /opt. Left out is what the system writes all the time: logs, its own state, the table of packages.
const LIST: &str = r#"
{
    find /etc /usr /opt /var /run -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \
        -o -path '/var/tmp/systemd-private-*' -o -path /run/log -o -path /run/systemd -o -path /run/NetworkManager \) \
        -prune -o -printf '%p %y %m %U:%G %l\n'
    find /etc /usr /opt -xdev -type f -exec md5sum {} +
} | sort
"#;

/// A directory with a package of each version, made once.
fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = std::fs::remove_dir_all(&to);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/package");
        for version in VERSIONS {
            let mut command = Command::new(script);
            command.args(["--fast", "--version", version]);
            command.args(["--program", env!("CARGO_BIN_EXE_bnsd"), "--to"]);
            let made = ended(command.arg(&to));
            assert_eq!(made.code, 0, "{made:?}");
        }
        to
    })
}

/// A machine without bnsd.
fn boot() -> Machine {
    Machine::boot(packages())
}

fn install(machine: &Machine, version: &str) -> String {
    machine.does(&format!("dpkg --install /mnt/bnsd_{version}_*.deb 2>&1"))
}

/// The lines of a list.
fn list(machine: &Machine) -> BTreeSet<String> {
    let lines = machine.does(LIST);
    lines.lines().map(str::to_owned).collect()
}

/// Names of the chain and all others are found by the C library and over DNS, whoever the system asks.
fn finds_names(machine: &Machine) {
    for (name, address) in [
        ("werner.id", "198.51.100.77"),
        ("www.icann.id", "198.51.100.62"),
        ("www.example.com", "198.51.100.5"),
    ] {
        machine.comes_to(&format!("getent ahostsv4 {name} | grep '^{address} '"));
        machine.comes_to(&format!(
            "dig +short +tries=1 +time=2 {name} | grep -x {address}"
        ));
    }
    let status = machine.does("bnsd system status");
    assert!(status.contains("reaches bnsd  yes"), "{status}");
}

/// Names of the chain are found no more, all others are.
fn finds_names_of_others(machine: &Machine) {
    machine.comes_to("getent ahostsv4 www.icann.id | grep '^198.51.100.62 '");
    machine.comes_to("getent ahostsv4 www.example.com | grep '^198.51.100.5 '");
    assert_eq!(machine.run("getent ahostsv4 werner.id").code, 2);
}

#[test]
fn a_package_serves_names_through_resolved_and_goes_without_a_trace() {
    let machine = boot();
    let before = list(&machine);
    let said = install(&machine, VERSIONS[0]);
    assert!(said.contains("`bnsd system install` sends"), "{said}");
    machine.does("systemctl is-active bnsd.socket bnsd.service; systemctl is-enabled bnsd.socket bnsd.service");
    assert_eq!(
        machine.does("systemctl show --property Type,NRestarts bnsd.service"),
        "Type=notify\nNRestarts=0\n"
    );
    machine
        .does("ls /usr/share/man/man1/bnsd-serve.1.gz /usr/share/bash-completion/completions/bnsd");
    machine.does(REGISTER);
    machine.does(
        "printf '[log]\\nformat = \"journald\"\\n' >>/etc/bnsd/bnsd.toml; systemctl reload bnsd.service",
    );
    machine.comes_to(
        r#"journalctl --unit bnsd.service --output json | grep '"_TRANSPORT":"journal"' |
            grep '"SYSLOG_IDENTIFIER":"bnsd"' | grep '"PRIORITY":"5"' | grep '"TARGET":"bnsd::'"#,
    );
    let done = machine.does("bnsd system install");
    assert!(done.contains("resolved.conf.d/bnsd.conf"), "{done}");
    finds_names(&machine);

    let said = machine.does("dpkg --remove bnsd 2>&1");
    assert!(said.contains("as it was"), "{said}");
    finds_names_of_others(&machine);
    let kept = ["/etc/bnsd", "/var/lib/bnsd", "/var/lib/private/bnsd"];
    let after = list(&machine);
    let changed: Vec<_> = after.symmetric_difference(&before).collect();
    let is_data = |line: &&&String| kept.iter().any(|path| line.contains(path));
    let trace: Vec<_> = changed.iter().filter(|line| !is_data(line)).collect();
    assert!(trace.is_empty(), "{trace:#?}");
    let holds = |line: &str| after.iter().any(|kept| kept.contains(line));
    assert!(holds("/etc/bnsd/bnsd.toml") && holds("/var/lib/private/bnsd/names.redb"));

    let said = machine.does("dpkg --purge bnsd 2>&1");
    assert!(
        said.contains("removing the index of names, zone files"),
        "{said}"
    );
    let after = list(&machine);
    let trace: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(trace.is_empty(), "{trace:#?}");
    machine.does("ls /root/.local/share/bnsd/keys/me.json");
}

#[test]
fn questions_wait_while_a_killed_daemon_or_another_version_starts() {
    let machine = boot();
    install(&machine, VERSIONS[0]);
    machine.does(REGISTER);
    machine.does("kill -KILL $(systemctl show --property MainPID --value bnsd.service)");
    for way in ["+notcp", "+tcp"] {
        let answer = machine.does(&format!(
            "dig {way} +tries=1 +time=10 +short @127.0.0.1 werner.id"
        ));
        assert_eq!(answer, "198.51.100.77\n", "over {way}");
    }
    let restarts = machine.does("systemctl show --property NRestarts --value bnsd.service");
    assert_eq!(restarts, "1\n");
    let ticks = machine.does(
        "process=$(systemctl show --property MainPID --value bnsd.service)
         spent() { awk '{ print $14 + $15 }' /proc/$process/stat; }
         before=$(spent)
         sleep 2
         echo $(($(spent) - before))",
    );
    let ticks: u32 = ticks.trim().parse().unwrap();
    assert!(ticks < 10, "more than 5 % of a core, idle: {ticks}/200 s"); // 100 ticks a second

    let state = "bnsd --json status | grep -E '\"(height|consensus_hash|names|namespaces)\":'; \
                 ls --inode --directory /var/lib/private/bnsd /var/lib/private/bnsd/names.redb";
    let before = machine.does(state);
    let asked = machine.does(&format!(
        "process=$(systemctl show --property MainPID --value bnsd.service)
         (dpkg --install /mnt/bnsd_{}_*.deb; touch /run/upgraded) >/run/upgrade.log 2>&1 &
         until [ -e /run/upgraded ]; do
             dig +tries=1 +time=10 +short @127.0.0.1 werner.id
         done | sort | uniq
         [ $process != $(systemctl show --property MainPID --value bnsd.service) ]",
        VERSIONS[1]
    ));
    assert_eq!(
        asked,
        "198.51.100.77\n",
        "{}",
        machine.does("cat /run/upgrade.log")
    );
    assert_eq!(machine.does(state), before, "an upgrade keeps the database");
    let version = machine.does("dpkg-query --show --showformat '${Version}' bnsd");
    assert_eq!(version, VERSIONS[1]);
}

#[test]
fn a_package_serves_names_through_network_manager() {
    let machine = boot();
    // As on a system that never had resolved: its package answers to `resolvconf`, which NetworkManager would use.
    machine.does(
        "dpkg --purge libnss-resolve systemd-resolved; systemctl restart NetworkManager.service",
    );
    machine.comes_to("grep 'nameserver 192.0.2.1' /etc/resolv.conf");
    install(&machine, VERSIONS[0]);
    machine.does(REGISTER);
    let before = list(&machine);
    let refused = machine.run("bnsd system install");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("listens on 127.0.0.1:53 itself"),
        "{refused:?}"
    );
    machine.does("bnsd system install --all");
    machine.does("grep -x 'nameserver 127.0.0.1' /etc/resolv.conf");
    finds_names(&machine);
    machine.does("bnsd system uninstall");
    assert_eq!(list(&machine), before);

    // Some domains, through NetworkManager's dnsmasq, which has port 53.
    machine.does(
        "mkdir /etc/systemd/system/bnsd.socket.d
         printf '[Socket]\\nListenDatagram=\\nListenStream=\\nListenDatagram=127.0.0.1:5300\\nListenStream=127.0.0.1:5300\\n' \
            >/etc/systemd/system/bnsd.socket.d/port.conf
         systemctl daemon-reload
         systemctl restart bnsd.socket bnsd.service",
    );
    let before = list(&machine);
    machine.does("bnsd system install");
    machine.comes_to("grep 'nameserver 127.0.0.1' /etc/resolv.conf");
    finds_names(&machine);
    machine.does("bnsd system uninstall");
    machine.comes_to("grep 'nameserver 192.0.2.1' /etc/resolv.conf");
    assert_eq!(list(&machine), before);
    finds_names_of_others(&machine);
}

#[test]
fn a_package_heeds_what_is_there_and_what_somebody_decided() {
    let machine = boot();
    let before = list(&machine);
    // Somebody else has port 53.
    machine.does(
        "sed 's/192.0.2.1@53/127.0.0.1@53/' /run/outside.conf >/run/holder.conf
         systemd-run --unit holder unbound -d -c /run/holder.conf",
    );
    machine.comes_to("dig +short @127.0.0.1 www.icann.id | grep 198.51.100.62");
    let said = install(&machine, VERSIONS[0]);
    assert!(said.contains("the service is not running"), "{said}");
    machine
        .does("systemctl stop holder.service; rm /run/holder.conf; systemctl start bnsd.service");

    // Somebody changed what `bnsd system install` wrote: nothing is removed before that is settled.
    machine.does("bnsd system install; echo '# mine' >>/etc/systemd/resolved.conf.d/bnsd.conf");
    let refused = machine.run("dpkg --remove bnsd 2>&1");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.contains("uninstall --force"), "{refused:?}");
    machine.does("systemctl is-active bnsd.socket bnsd.service; bnsd status");
    machine.does("bnsd system uninstall --force");

    // Somebody took the other unit.
    machine.does("systemctl disable --now bnsd.socket bnsd.service");
    install(&machine, VERSIONS[1]);
    let state = machine
        .run("systemctl is-active bnsd.socket bnsd.service")
        .stdout;
    assert_eq!(state, "inactive\ninactive\n");
    machine.does("systemctl enable --now bnsd-standalone.service");
    machine.comes_to("dig +short @127.0.0.1 www.icann.id | grep 198.51.100.62");
    machine.does("dpkg --purge bnsd");
    let after = list(&machine);
    let trace: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(trace.is_empty(), "{trace:#?}");
}
