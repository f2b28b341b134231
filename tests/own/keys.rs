//! Keys through the binary: made, taken in, opened at a terminal.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::World;
use crate::common::person::{PASSPHRASE, binary};

/// Private key 1 for the test networks, compressed, and its address.
const WIF: &str = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA";
const ADDRESS: &str = "mrCDrCybB6J1vRfbwM5hemdJz73FwDBC8r";
/// The same for the main network, and without compression.
const WIF_MAIN: &str = "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWn";
const WIF_LONG: &str = "91avARGdfge8E4tZfYLoxeJ5sGBdNJQH4kvjJoQFacbgwmaKkrx";
/// The standard's phrase of zeros (BIP 39).
const PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

#[test]
fn keys_come_from_files_and_from_the_standard_input() {
    let world = World::embedded();
    let alice = world.person("alice");
    let import = |name: &str, text: &str| {
        let file = alice.writes("secret", text);
        alice.tries(&["--json", "keys", "import", name, "--file", &file])
    };
    let single = import("single", &format!("{WIF}\n")).json();
    assert_eq!(single["kind"], "key");
    assert_eq!(single["addresses"][0]["address"], ADDRESS);
    let words = import("words", PHRASE).json();
    assert_eq!(words["kind"], "phrase");
    let refused = [
        (WIF_MAIN, "the key is for another network"),
        (WIF_LONG, "uncompressed public keys are not supported"),
        ("abandon abandon", ""),
        ("", ""),
    ];
    for (text, why) in refused {
        let ran = import("other", text);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    assert_eq!(import("single", WIF).code, 3, "a key is never written over");

    let mut piped = world
        .command(
            "alice",
            &["--json", "keys", "import", "piped", "--file", "-"],
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped
        .stdin
        .take()
        .unwrap()
        .write_all(WIF.as_bytes())
        .unwrap();
    let output = piped.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains(ADDRESS));

    // What comes out is what went in, and a descriptor shows no secret.
    let export = |more: &[&str]| alice.tries(&[&["--json", "keys", "export"], more].concat());
    assert_eq!(export(&["single"]).json()["secret"], WIF);
    assert_eq!(export(&["words"]).json()["secret"], PHRASE);
    let descriptor = export(&["words", "--descriptor"]);
    assert!(descriptor.stdout.contains("pkh(") && !descriptor.stdout.contains("abandon"));
    let kinds = alice.does(&["keys", "list"]);
    assert_eq!(kinds.as_array().unwrap().len(), 4);
}

#[test]
fn shared_addresses_are_checked() {
    let world = World::embedded();
    let alice = world.person("alice");
    let shared = ["keys", "import", "team", "--member", "me", "--multisig"];
    alice.cannot(
        &[&shared[..], &["2"]].concat(),
        "more signatures than it has keys",
    );
    alice.cannot(&[&shared[..], &["0"]].concat(), "needs at least one");
    alice.cannot(
        &[
            "keys",
            "import",
            "team",
            "--multisig",
            "1",
            "--member",
            "nobody",
        ],
        "nobody",
    );
    alice.does(&[&shared[..], &["1"]].concat());
    let refused = [
        "keys",
        "import",
        "again",
        "--multisig",
        "1",
        "--member",
        "team",
    ];
    alice.cannot(&refused, "a member is a public key");
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal_and_not_shown() {
    let world = World::embedded();
    let at_terminal = |answers: &[&str], arguments: &[&str]| {
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/at_terminal.py"))
            .args(answers)
            .arg("--")
            .arg(binary())
            .args(arguments)
            .env("BNSD_CONFIG", world.path("bnsd.toml"))
            .env("BNSD_KEYS_DIR", world.path("typist"));
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown)
    };
    let make = ["keys", "new", "me"];
    let (code, shown) = at_terminal(&[PASSPHRASE, "something else"], &make);
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    let (code, shown) = at_terminal(&["Ctrl-C\u{3}"], &make);
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");
    let (code, shown) = at_terminal(&["short"], &make);
    assert_eq!(code, Some(3), "{shown}");
    let (code, shown) = at_terminal(&[PASSPHRASE, PASSPHRASE], &make);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Passphrase for the new key:"), "{shown}");
    assert!(shown.contains("The same again:"), "{shown}");
    let export = ["keys", "export", "me"];
    let (code, opened) = at_terminal(&[PASSPHRASE], &export);
    assert_eq!(code, Some(0), "{opened}");
    let (wrong, refused) = at_terminal(&["wrong passphrase"], &export);
    assert_eq!(wrong, Some(3), "{refused}");
    for shown in [shown, opened, refused] {
        assert!(!shown.contains(PASSPHRASE) && !shown.contains("wrong passphrase"));
    }

    // Without a terminal it is said what to do.
    let ran = world
        .command("typist", &export)
        .env_remove("BNSD_PASSPHRASE_FILE")
        .process_group_of_its_own()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("--passphrase-file"), "{said}");
}

/// `setsid`: a process without a terminal, wherever the tests are started.
trait Detached {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl Detached for Command {
    fn process_group_of_its_own(&mut self) -> &mut Self {
        let program = self.get_program().to_owned();
        let arguments: Vec<_> = self.get_args().map(ToOwned::to_owned).collect();
        let variables: Vec<_> = self
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        *self = Self::new("setsid");
        self.arg("--wait").arg(program).args(arguments);
        for (name, value) in variables {
            match value {
                Some(value) => self.env(name, value),
                None => self.env_remove(name),
            };
        }
        self
    }
}
