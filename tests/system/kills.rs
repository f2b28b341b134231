//! Ended at any system call that changes something, an installation or uninstallation leaves nothing that `uninstall`
//! does not put back.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use super::Tree;

/// The calls that make, change, move and sync files, as strace calls them.
const CALLS: [&str; 14] = [
    "openat", "write", "rename", "link", "symlink", "unlink", "unlinkat", "mkdir", "rmdir",
    "fchmod", "chmod", "fchown", "lchown", "fsync",
];

/// Runs the command under strace, which kills it at the call with this number; whether there was one.
fn killed_at(tree: &Tree, words: &[&str], (call, number): (&str, usize)) -> bool {
    let command = tree.command(words);
    let inject = format!("inject={call}:signal=KILL:when={number}");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e"]);
    strace.args([&format!("trace={call}"), "-e", &inject]);
    strace.arg(command.get_program()).args(command.get_args());
    strace.env_clear().env("HOME", tree.home.path());
    let output = strace.output();
    let output = output.expect("strace: install the Debian package `strace`");
    if output.status.code() == Some(0) {
        return false;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "{text}");
    true
}

fn kill_everywhere(make: impl Fn() -> Tree, install: &[&str]) {
    let tree = make();
    let before = tree.contents("");
    let mut kills = 0;
    for call in CALLS {
        for number in 1.. {
            let place = (call, number);
            let was_killed = killed_at(&tree, install, place);
            tree.do_it(&["uninstall"]);
            assert_eq!(tree.contents(""), before, "install, killed at {place:?}");
            tree.do_it(install);
            let was_killed_too = killed_at(&tree, &["uninstall"], place);
            tree.do_it(&["uninstall"]);
            assert_eq!(tree.contents(""), before, "uninstall, killed at {place:?}");
            if !was_killed && !was_killed_too {
                break;
            }
            kills += usize::from(was_killed) + usize::from(was_killed_too);
        }
    }
    assert!(kills > 50, "{kills} kills");
}

#[test]
fn a_drop_in_is_taken_back_wherever_it_ended() {
    kill_everywhere(Tree::of_resolved, &["install"]);
}

#[test]
fn a_link_that_became_a_file_is_taken_back_wherever_it_ended() {
    let install = [
        "install",
        "--all",
        "--mechanism",
        "resolv.conf",
        "--service",
    ];
    kill_everywhere(Tree::of_resolved, &install);
}

#[test]
fn a_file_with_owner_and_mode_is_taken_back_wherever_it_ended() {
    let make = || {
        let tree = Tree::new();
        std::os::unix::fs::chown(tree.at("etc/resolv.conf"), Some(2), Some(3)).unwrap();
        tree
    };
    kill_everywhere(make, &["install", "--all"]);
}
