//! System DNS on and off again, on trees of files: what is written, and that nothing of it stays.
//!
//! The real programs that read these files run in `tests/system/stub.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::home::{Ended, Home, ended, is_one_sentence};

/// The Debian package on a system that systemd booted.
mod boot;

/// A kill at every system call that changes something.
mod kills;

/// With systemd-resolved and with resolvconf.
pub mod stub;

const RESOLV_CONF: &str = "nameserver 192.0.2.1\nsearch lan\n";

/// A tree with what a system has before bnsd comes.
struct Tree {
    home: Home,
}

/// What is at each path: kind, mode, owner, group, bytes or target.
type Contents = BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)>;

impl Tree {
    fn new() -> Self {
        let home = Home::new();
        let tree = Self { home };
        for directory in ["etc", "var/lib", "run"] {
            fs::create_dir_all(tree.root().join(directory)).unwrap();
        }
        tree.write("etc/resolv.conf", RESOLV_CONF);
        fs::set_permissions(
            tree.at("etc/resolv.conf"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        tree
    }

    /// One whose DNS is systemd-resolved's.
    fn of_resolved() -> Self {
        let tree = Self::new();
        fs::remove_file(tree.at("etc/resolv.conf")).unwrap();
        symlink(
            "../run/systemd/resolve/stub-resolv.conf",
            tree.at("etc/resolv.conf"),
        )
        .unwrap();
        tree.write(
            "run/systemd/resolve/stub-resolv.conf",
            "nameserver 127.0.0.53\n",
        );
        tree
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    fn at(&self, inside: &str) -> PathBuf {
        self.root().join(inside)
    }

    fn write(&self, inside: &str, text: &str) {
        let path = self.at(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.at(inside)).unwrap_or_default()
    }

    fn command(&self, words: &[&str]) -> Command {
        let root = self.root().display().to_string();
        self.home
            .bnsd(&[&["system"], words, &["--root", &root]].concat())
    }

    fn run(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    /// The same, which has to go well.
    fn do_it(&self, words: &[&str]) -> String {
        let ended = self.run(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        ended.stdout
    }

    /// Everything below a directory.
    fn contents(&self, inside: &str) -> Contents {
        let mut contents = Contents::new();
        let mut open = vec![self.at(inside)];
        while let Some(path) = open.pop() {
            let metadata = path.symlink_metadata().unwrap();
            let bytes = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_dir() {
                let entries = fs::read_dir(&path).unwrap();
                open.extend(entries.map(|entry| entry.unwrap().path()));
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let who = (metadata.uid(), metadata.gid());
            contents.insert(path, (metadata.mode(), who.0, who.1, bytes));
        }
        contents
    }
}

#[test]
fn domains_of_the_chain_go_to_bnsd_and_nothing_of_it_stays() {
    let tree = Tree::of_resolved();
    let before = tree.contents("");
    tree.do_it(&["install"]);
    let drop_in = tree.read("etc/systemd/resolved.conf.d/bnsd.conf");
    assert!(drop_in.contains("\nDNS=127.0.0.1\n"), "{drop_in}");
    assert!(
        drop_in.contains("~bns.alt") && drop_in.contains("~id"),
        "{drop_in}"
    );
    let anchors = tree.read("etc/dnssec-trust-anchors.d/bnsd.negative");
    assert!(anchors.lines().any(|line| line == "id"), "{anchors}");
    let status = tree.run(&["status"]).stdout;
    assert!(status.contains("installed in  resolved"), "{status}");
    assert!(tree.do_it(&["uninstall"]).contains("as it was"));
    assert_eq!(tree.contents(""), before);
    assert!(tree.do_it(&["uninstall"]).contains("nothing was installed"));
    assert_eq!(tree.contents(""), before);
}

#[test]
fn twice_is_once_and_another_wish_takes_the_place_of_the_first() {
    let tree = Tree::of_resolved();
    let before = tree.contents("etc");
    tree.do_it(&["install"]);
    let installed = tree.contents("");
    let again = tree.do_it(&["install"]);
    assert!(again.contains("installed already"), "{again}");
    assert_eq!(tree.contents(""), installed);
    tree.do_it(&["install", "--all", "--mechanism", "resolv.conf"]);
    assert!(!tree.at("etc/systemd").exists());
    let plain = tree.read("etc/resolv.conf");
    assert!(
        plain.contains("nameserver 127.0.0.1\noptions edns0 trust-ad\n"),
        "{plain}"
    );
    let refused = tree.run(&["install", "--service"]);
    assert_eq!(refused.code, 1, "it stays with its mechanism: {refused:?}");
    tree.do_it(&["install", "--service", "--mechanism", "resolved"]);
    let unit = tree.read("etc/systemd/system/bnsd.service");
    assert!(
        unit.contains(" serve --data-dir") && unit.contains("DynamicUser=yes"),
        "{unit}"
    );
    for wanted in [
        "sockets.target.wants/bnsd.socket",
        "multi-user.target.wants/bnsd.service",
    ] {
        let link = tree.at("etc/systemd/system").join(wanted);
        let name = link.file_name().unwrap();
        let target = Path::new("/etc/systemd/system").join(name);
        assert_eq!(fs::read_link(&link).unwrap(), target);
        assert!(tree.at("etc/systemd/system").join(name).exists());
    }
    assert!(tree.at("etc/resolv.conf").is_symlink());
    tree.do_it(&["uninstall"]);
    assert_eq!(tree.contents("etc"), before);
}

#[test]
fn a_plain_resolv_conf_takes_all_or_nothing_and_comes_back_with_owner_and_mode() {
    let tree = Tree::new();
    std::os::unix::fs::chown(tree.at("etc/resolv.conf"), Some(2), Some(3)).unwrap();
    let before = tree.contents("");
    let refused = tree.run(&["install"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("give --all"), "{refused:?}");
    assert_eq!(tree.contents(""), before);
    tree.do_it(&["install", "--all"]);
    let text = tree.read("etc/resolv.conf");
    assert!(
        text.contains("search lan\n") && text.contains("# bnsd asks 192.0.2.1\n"),
        "{text}"
    );
    assert!(!text.contains("nameserver 192.0.2.1"), "{text}");
    let made = tree.at("etc/resolv.conf").metadata().unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (2, 3, 0o640));
    tree.do_it(&["uninstall"]);
    assert_eq!(tree.contents(""), before);
}

#[test]
fn a_dry_run_shows_every_change_and_makes_none() {
    let tree = Tree::of_resolved();
    tree.write("etc/resolvconf.conf", "resolv_conf=/etc/resolv.conf\n");
    let before = tree.contents("");
    let shown = tree.do_it(&["install", "--dry-run"]);
    for part in [
        "/etc/systemd/resolved.conf.d/bnsd.conf\n",
        "+[Resolve]",
        "systemctl try-restart systemd-resolved.service",
        "nothing was changed",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let shown = tree.do_it(&["install", "--dry-run", "--all", "--mechanism", "openresolv"]);
    assert!(
        shown.contains("   resolv_conf=/etc/resolv.conf\n  +# Written by"),
        "{shown}"
    );
    assert_eq!(tree.contents(""), before);
    tree.do_it(&["install"]);
    let installed = tree.contents("");
    let shown = tree.do_it(&["uninstall", "--dry-run"]);
    assert!(shown.contains("-[Resolve]"), "{shown}");
    assert_eq!(tree.contents(""), installed);
}

#[test]
fn what_somebody_changed_since_is_kept_and_said() {
    let tree = Tree::of_resolved();
    let before = tree.contents("etc");
    tree.do_it(&["install"]);
    let drop_in = "etc/systemd/resolved.conf.d/bnsd.conf";
    tree.write(drop_in, "[Resolve]\nDNS=192.0.2.7\n");
    let again = tree.run(&["install"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("bnsd.conf was changed"), "{again:?}");
    let status = tree.run(&["status"]).stdout;
    assert!(
        status.contains("bnsd.conf was changed by somebody else"),
        "{status}"
    );
    let kept = tree.run(&["uninstall"]);
    assert_eq!(kept.code, 1, "{kept:?}");
    assert!(kept.stdout.contains("kept: "), "{kept:?}");
    assert_eq!(tree.read(drop_in), "[Resolve]\nDNS=192.0.2.7\n");
    assert!(!tree.at("etc/dnssec-trust-anchors.d").exists());
    tree.do_it(&["uninstall", "--force"]);
    assert_eq!(tree.contents("etc"), before);
}

#[test]
fn what_cannot_be_written_to_is_refused_before_any_change() {
    let tree = Tree::new();
    let before = tree.contents("");
    let root = tree.root().display().to_string();
    // Read-only, and with a file that a container made.
    for hindrance in [
        "mount --bind ROOT/etc ROOT/etc && mount -o remount,bind,ro ROOT/etc",
        "mount --bind ROOT/etc/resolv.conf ROOT/etc/resolv.conf",
    ] {
        let script = format!("set -e; {}; exec \"$@\"", hindrance.replace("ROOT", &root));
        let program = env!("CARGO_BIN_EXE_bnsd");
        let install = ["system", "install", "--all", "--root", &root];
        let apart = ["--mount", "sh", "-c", &script, "sh", program];
        let arguments = [&apart[..], &install].concat();
        let refused = ended(&mut tree.home.command("unshare", &arguments));
        assert_eq!(refused.code, 3, "{hindrance}: {refused:?}");
        assert!(
            refused.stderr.contains("nothing was changed"),
            "{refused:?}"
        );
        assert_eq!(tree.contents(""), before, "{hindrance}");
    }
    let file = tree.at("etc/resolv.conf");
    let chattr = |flag: &str| {
        let status = Command::new("chattr").arg(flag).arg(&file).status();
        status.is_ok_and(|status| status.success())
    };
    assert!(
        chattr("+i"),
        "chattr of the Debian package `e2fsprogs`, on a file system that knows it"
    );
    let refused = tree.run(&["install", "--all"]);
    assert!(chattr("-i"));
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("lsattr"), "{refused:?}");
    assert_eq!(tree.contents(""), before);
}

#[test]
fn two_at_once_do_not_meet() {
    let tree = Tree::of_resolved();
    let lock = fs::File::open(tree.at("etc")).unwrap();
    lock.lock().unwrap();
    let before = tree.contents("");
    for words in [&["install"][..], &["uninstall"]] {
        let refused = tree.run(words);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(
            refused.stderr.contains("another `bnsd system`"),
            "{refused:?}"
        );
    }
    assert_eq!(tree.contents(""), before);
}

#[test]
fn purging_says_what_is_lost_and_keeps_keys() {
    let tree = Tree::of_resolved();
    tree.write("etc/bnsd/bnsd.toml", "");
    tree.write("var/lib/private/bnsd/names.redb", "");
    symlink("private/bnsd", tree.at("var/lib/bnsd")).unwrap();
    let keys = "root/.local/share/bnsd/keys/me.json";
    tree.write(keys, "precious");
    tree.do_it(&["install"]);
    let shown = tree.do_it(&["uninstall", "--purge", "--dry-run"]);
    assert!(shown.contains("would remove") && tree.at("etc/bnsd/bnsd.toml").exists());
    let shown = tree.do_it(&["uninstall", "--purge"]);
    assert!(
        shown.contains("removed") && shown.contains("zone files"),
        "{shown}"
    );
    for gone in [
        "etc/bnsd",
        "var/lib/bnsd",
        "var/lib/private/bnsd",
        "etc/systemd",
    ] {
        assert!(tree.at(gone).symlink_metadata().is_err(), "{gone}");
    }
    assert_eq!(tree.read(keys), "precious");
}

/// What a unit hides, or does not read, is refused before it is written.
#[test]
fn a_service_is_only_installed_where_it_can_run() {
    let home = Home::new();
    let program = home.path().join("bnsd").display().to_string();
    fs::copy(env!("CARGO_BIN_EXE_bnsd"), &program).unwrap();
    let install = ["system", "install", "--service", "--dry-run"];
    let refused = ended(&mut home.command(&program, &install));
    let advice = format!("`install -m755 {program} /usr/local/bin/bnsd`");
    is_one_sentence(&refused, 1, &[&advice, "nothing was changed"]);
    let refused = home.run(&[&install[..], &["--config", "/etc/hosts"]].concat());
    is_one_sentence(&refused, 2, &["/etc/bnsd/bnsd.toml", "leave --config out"]);
}

#[test]
fn without_a_daemon_nothing_is_changed_on_this_machine() {
    let home = Home::new();
    let socket = home.path().join("nobody.sock").display().to_string();
    let refused = home.run(&["system", "install", "--all", "--control-socket", &socket]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for part in ["no bnsd is running", "nothing was changed"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    assert!(!Path::new("/var/lib/bnsd-system").exists());
}

#[test]
fn the_service_reads_its_configuration_without_a_home() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("etc/bnsd")).unwrap();
    fs::write(
        home.path().join("etc/bnsd/bnsd.toml"),
        "[dns]\nmax-ttl = 77\n",
    )
    .unwrap();
    for unit in ["bnsd", "bnsd-standalone"] {
        let unit = fs::read_to_string(format!("systemd/{unit}.service")).unwrap();
        assert!(
            unit.contains("\nEnvironment=XDG_CONFIG_HOME=%E\n"),
            "%E is /etc"
        );
    }
    let nobody = 54_321; // a user that nobody knows, as DynamicUser= makes one without libnss-systemd
    let program = home.path().join("program").display().to_string();
    let copied = ended(&mut home.command("cp", &[env!("CARGO_BIN_EXE_bnsd"), &program]));
    assert_eq!(copied.code, 0, "{copied:?}");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command(&program, &["config", "show", "--data-dir", "/nowhere"]);
    command
        .env_remove("HOME")
        .env("XDG_CONFIG_HOME", home.path().join("etc"));
    command.current_dir("/");
    if unsafe { libc::geteuid() } == 0 {
        use std::os::unix::process::CommandExt as _;
        command.uid(nobody).gid(nobody);
    }
    let shown = ended(&mut command);
    let found = shown.stdout.lines().find(|line| line.contains("max-ttl"));
    assert!(found.is_some_and(|line| line.contains("77")), "{shown:?}");
}

/// launchd's own parser is on a Mac only; that of Python reads the same format. The addresses are those of the socket unit.
#[test]
fn the_plist_is_sound_and_hands_over_the_same_sockets_as_the_unit() {
    let script = "import plistlib, sys
plist = plistlib.load(open(sys.argv[1], 'rb'))
assert plist['UserName'] == '_bnsd' and plist['ProgramArguments'][1] == 'serve'
kinds = {'dgram': 'ListenDatagram', 'stream': 'ListenStream'}
for socket in plist['Sockets']['dns']:
    host = socket['SockNodeName']
    assert (':' in host) == (socket['SockFamily'] == 'IPv6')
    host = '[' + host + ']' if ':' in host else host
    print(kinds[socket['SockType']] + '=' + host + ':' + socket['SockServiceName'])";
    let home = Home::new();
    let words = ["-c", script, "launchd/org.bnsd.bnsd.plist"];
    let read = ended(&mut home.command("python3", &words));
    assert_eq!(read.code, 0, "{read:?}");
    let unit = fs::read_to_string("systemd/bnsd.socket").unwrap();
    let listens = unit.lines().filter(|line| line.starts_with("Listen"));
    assert_eq!(
        read.stdout.lines().collect::<Vec<_>>(),
        listens.collect::<Vec<_>>()
    );
    assert!(unit.contains("\nFileDescriptorName=dns\n"));
}
