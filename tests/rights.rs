//! Who may read what bnsd keeps, whatever was switched on, and what it is given in secret.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use hickory_proto::rr::RecordType;

use crate::common::demo::Demo;
use crate::common::dns::see;
use crate::common::home::{Home, ended, is_one_sentence};
use crate::common::process::{serve, until};

/// Somebody else; no such user has to be there.
const STRANGER: u32 = 12_345;

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory and all that is in it.
fn all(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// What others have rights on.
fn open_to_others(directory: &Path) -> Vec<String> {
    let mode = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.mode() & 0o7777);
    let mut open = all(directory);
    open.retain(|path| mode(path) != if path.is_dir() { 0o700 } else { 0o600 });
    let shown = open
        .iter()
        .map(|path| format!("{} {:o}", path.display(), mode(path)));
    shown.collect()
}

/// A demo with everything switched on that keeps something, under a umask that takes no rights.
fn careless(home: Home) -> Demo {
    let script = "umask 000; exec \"$0\" demo --listen 127.0.0.1:0 --upstream 127.0.0.1:9";
    let mut command = home.command("sh", &["-c", script, env!("CARGO_BIN_EXE_bnsd")]);
    command.env("BNSD_DNS_TLS_LISTEN", "127.0.0.1:0");
    command.env("BNSD_DNS_HTTPS_LISTEN", "127.0.0.1:0");
    Demo::run(home, command)
}

#[test]
fn what_is_kept_is_for_its_owner_alone_whatever_the_umask_and_whatever_was_there() {
    let mut demo = careless(Home::new());
    let data = demo.home.state().join("demo");
    let socket = data.join("control.sock");
    let prefer = demo.home.run(&[
        "--control-socket",
        socket.to_str().unwrap(),
        "prefer",
        "werner.id",
        "bns",
    ]);
    assert_eq!(prefer.code, 0, "{prefer:?}");
    see(demo.server, "werner.id", RecordType::A);
    assert_eq!(open_to_others(&data), [""; 0]);
    assert!(demo.process.terminate().success());
    assert_eq!(open_to_others(&data), [""; 0]);
    let kept = all(&data);
    for name in [
        "names.redb",
        "names.sums",
        "lock",
        "cache.bin",
        "key.pem",
        "blk00000.dat",
        "rev00000.dat",
        ".lock",
        "00000001.zones",
    ] {
        assert!(
            kept.iter().any(|path| path.ends_with(name)),
            "{name} is not in {kept:?}"
        );
    }
    for path in &kept {
        with_mode(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let again = careless(demo.home);
    until("everything to be private", || {
        open_to_others(&data).is_empty().then_some(())
    });
    let log = again.process.stderr();
    for part in [
        "demo (mode 755): it has mode 700 now",
        "names.redb (mode 644): it has mode 600 now",
    ] {
        assert!(log.contains(part), "{log}");
    }
    see(again.server, "werner.id", RecordType::A);
}

#[test]
fn a_directory_that_is_not_only_ours_is_refused_and_left_alone() {
    let home = Home::new();
    let data = home.folder("shared");
    fs::write(data.join("letter"), "").unwrap();
    with_mode(&data, 0o755);
    let directory = data.to_str().unwrap();
    let start = ["serve", "--listen", "127.0.0.1:0", "--data-dir", directory];
    let refused = home.run(&start);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains(directory), "{refused:?}");
    assert!(
        refused.stderr.contains("choose another data directory"),
        "{refused:?}"
    );
    assert_eq!(all(&data), [data.clone(), data.join("letter")]);
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o755);

    fs::remove_file(data.join("letter")).unwrap();
    if chown(&data, Some(STRANGER), None).is_ok() {
        let refused = home.run(&start);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(
            refused.stderr.contains("it belongs to user 12345"),
            "{refused:?}"
        );
    }
}

/// The error when `command` is run while `secret` is another's or open to others.
fn is_refused(command: &mut Command, secret: &Path) {
    let name = secret.to_str().unwrap();
    for mode in [0o644, 0o640, 0o620, 0o604] {
        with_mode(secret, mode);
        is_one_sentence(
            &ended(command),
            3,
            &[name, "others can read or change it", "`chmod 600` it"],
        );
    }
    with_mode(secret, 0o600);
    if chown(secret, Some(STRANGER), None).is_ok() {
        is_one_sentence(
            &ended(command),
            3,
            &[name, "belongs to user 12345", "`chown` it"],
        );
        chown(secret, Some(0), None).unwrap();
    }
}

#[test]
fn a_given_key_that_others_can_read_is_refused() {
    let home = Home::new();
    let mut daemon = serve(&home, &[("BNSD_DNS_TLS_LISTEN", "127.0.0.1:0")]);
    daemon.ready(&home.state().join("control.sock"));
    assert!(daemon.terminate().success());
    let (certificate, key) = (home.path().join("given.pem"), home.path().join("given.key"));
    fs::copy(home.state().join("tls/certificate.pem"), &certificate).unwrap();
    fs::copy(home.state().join("tls/key.pem"), &key).unwrap();
    let given = [
        ("BNSD_DNS_TLS_LISTEN", "127.0.0.1:0"),
        ("BNSD_DNS_TLS_CERTIFICATE", certificate.to_str().unwrap()),
        ("BNSD_DNS_TLS_KEY", key.to_str().unwrap()),
    ];
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["serve", "--check-config"],
    ] {
        is_refused(home.bnsd(arguments).envs(given), &key);
    }
    let mut daemon = serve(&home, &given);
    daemon.ready(&home.state().join("control.sock"));
}

#[test]
fn a_password_of_a_node_that_others_can_read_is_refused() {
    let home = Home::new();
    let password = home.path().join("password");
    fs::write(&password, "of the node").unwrap();
    let given = [
        ("BNSD_CHAIN_SOURCE", "bitcoind"),
        ("BNSD_CHAIN_RPC_USER", "bnsd"),
        ("BNSD_CHAIN_RPC_PASSWORD_FILE", password.to_str().unwrap()),
    ];
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["serve", "--check-config"],
    ] {
        is_refused(home.bnsd(arguments).envs(given), &password);
    }
    assert_eq!(
        ended(home.bnsd(&["serve", "--check-config"]).envs(given)).code,
        0
    );
}

#[test]
fn a_passphrase_that_others_can_read_is_refused() {
    let home = Home::new();
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "a passphrase of its own").unwrap();
    let mut new = home.bnsd(&["keys", "new", "me"]);
    new.env("BNSD_PASSPHRASE_FILE", &passphrase);
    is_refused(&mut new, &passphrase);
    assert_eq!(ended(&mut new).code, 0);
}
