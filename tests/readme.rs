//! The commands of the README, run as printed, and what they show.
//!
//! A block `console` holds commands behind `$ ` and below each what it prints; `…` stands for any text, and alone on a line
//! for any lines. All blocks run in one shell, in order, in a network namespace of their own with port 53 free, while
//! `cargo run --release -- demo`, the README's first command, runs as the built program. A command that does not end by
//! itself (`bnsd serve`) runs on in the background. What is written below `/etc` and `/var` stays in the test. The passphrase that a person types comes from a file.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::MACHINE;
use crate::common::home::{Home, ended};

const README: &str = include_str!("../README.md");
const SERVING: &str = include_str!("../src/dns/serving.md");
/// Begins the line before the output of a command, with its number, and the one behind it, with its exit code.
const MARK: &str = "@@@@";
/// What the namespace is made of: a loopback, a resolver for other names, a file of resolvers.
const SURROUNDINGS: &str = r#"
set -u
ip link set lo up
mount --make-rprivate /
layer "$HOME" etc
layer "$HOME" var
rm -f /etc/resolv.conf
cp "$HOME/resolv.conf" "$HOME/nsswitch.conf" /etc
unbound -d -c "$HOME/unbound.conf" >"$HOME/unbound.log" 2>&1 &
cd "$HOME"
answers() {
    for _ in $(seq 600); do
        dig +short +tries=1 +time=1 "$@" 2>&1 | grep -qE '^[0-9.]+$' && return
        sleep 0.1
    done
    echo "waited in vain for dig $*"
}
bnsd demo >demo.log 2>&1 &
answers @127.0.0.1 -p 5300 werner.id
answers @127.0.0.2 example.com
"#;
const UNBOUND: &str = r#"
server:
  interface: 127.0.0.2
  username: ""
  chroot: ""
  use-syslog: no
  pidfile: ""
  local-zone: "example.com." static
  local-data: "example.com. A 192.0.2.80"
  local-data: ". NS a.root-servers.net."
"#;

/// A command of the README, and what it says that it prints.
#[derive(Debug)]
struct Printed {
    command: String,
    output: Vec<String>,
}

/// The blocks of the README in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    blocks_of(README, language)
}

fn blocks_of(document: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let rest = document.split(fence.as_str()).skip(1);
    rest.filter_map(|rest| Some(rest.split_once("```")?.0))
        .collect()
}

fn commands() -> Vec<Printed> {
    let mut commands: Vec<Printed> = Vec::new();
    for line in blocks("console").into_iter().flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(Printed {
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (None, Some(last)) => last.output.push(line.to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// Whether `shown` is what the README prints.
fn is_as_printed(printed: &[String], shown: &[&str]) -> bool {
    match printed.split_first() {
        None => shown.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=shown.len()).any(|skipped| is_as_printed(rest, &shown[skipped..]))
        }
        Some((line, rest)) => shown.split_first().is_some_and(|(first, others)| {
            let line: Vec<&str> = line.split_whitespace().collect();
            let first: Vec<&str> = first.split_whitespace().collect();
            is_line_as_printed(&line.join(" "), &first.join(" ")) && is_as_printed(rest, others)
        }),
    }
}

/// The same for a line, whose columns may be wider or narrower.
fn is_line_as_printed(printed: &str, shown: &str) -> bool {
    match printed.split_once('…') {
        None => printed == shown,
        Some((start, rest)) => shown.strip_prefix(start).is_some_and(|shown| {
            let mut ends = shown.char_indices().map(|(at, _)| at).chain([shown.len()]);
            ends.any(|at| is_line_as_printed(rest, &shown[at..]))
        }),
    }
}

/// One shell script of all commands.
fn script(commands: &[Printed]) -> String {
    let mut script = format!("{MACHINE}{SURROUNDINGS}");
    for (number, Printed { command, .. }) in commands.iter().enumerate() {
        writeln!(script, "echo '{MARK} {number}'").unwrap();
        if command.starts_with("bnsd serve") {
            writeln!(
                script,
                "{command} >serve.log 2>&1 &\nanswers @127.0.0.1 localhost"
            )
            .unwrap();
        } else {
            // What goes to a file is not what a person sees.
            writeln!(script, "{{ {command}\n}} 2>&1").unwrap();
        }
        writeln!(script, "echo \"{MARK} ended with $?\"").unwrap();
    }
    script + "kill $(jobs -p)\n"
}

fn surroundings(home: &Home) -> std::path::PathBuf {
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("resolv.conf", "nameserver 127.0.0.2\n");
    write("nsswitch.conf", "hosts: dns\n");
    write("unbound.conf", UNBOUND);
    let passphrase = home.path().join("passphrase");
    with_mode(&passphrase, "one that a person would type\n", 0o600);
    let programs = home.folder("bin");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bnsd"), programs.join("bnsd")).unwrap();
    // The test is root already.
    with_mode(&programs.join("sudo"), "#!/bin/sh\nexec \"$@\"\n", 0o755);
    programs
}

fn with_mode(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn its_commands_show_what_it_says() {
    let home = Home::new();
    let programs = surroundings(&home);
    let commands = commands();
    std::fs::write(home.path().join("script"), script(&commands)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let passphrase = home.path().join("passphrase");
    let script = home.path().join("script");
    let shell = ["--net", "--mount", "--fork", "--kill-child", "bash"];
    let mut shell = home.command("unshare", &shell);
    shell.arg(script).env("PATH", path);
    let run = ended(shell.env("BNSD_PASSPHRASE_FILE", passphrase));
    let logs = ["demo.log", "serve.log", "unbound.log"]
        .map(|name| std::fs::read_to_string(home.path().join(name)).unwrap_or_default());
    for (number, printed) in commands.iter().enumerate() {
        let begin = format!("{MARK} {number}\n");
        let shown = run.stdout.split_once(&begin);
        let shown = shown.and_then(|(_, rest)| rest.split_once(&format!("{MARK} ended with ")));
        let (shown, rest) = shown.unwrap_or_else(|| panic!("{run:?} {logs:?}"));
        let code = rest.lines().next();
        let shown: Vec<&str> = shown.lines().collect();
        assert!(
            code == Some("0") && is_as_printed(&printed.output, &shown),
            "{}\nends with {code:?} and prints\n{}\nlogs: {logs:#?}",
            printed.command,
            shown.join("\n")
        );
    }
    println!("{} commands of the README run as printed", commands.len());
}

#[test]
fn its_other_commands_are_known_to_a_test() {
    // `cargo run --release -- demo` runs above as the built program, and this test is run by `tests/run`. What browsers need
    // runs in `tls_browsers` and `web`, without the units.
    let known = [
        "cargo run --release -- demo",
        "cargo install --locked --path .    # puts bnsd into ~/.cargo/bin",
        "cargo uninstall bnsd",
        "sudo bnsd tls install-ca                   # the system's store, and Firefox; uninstall-ca puts everything back",
        "sudo systemctl enable --now bnsd-agent     # OpenSSL, curl, Python, Node with --use-openssl-ca",
        "bnsd tls install-ca --user                 # Chromium and Firefox of this user",
        "systemctl --user enable --now bnsd-agent   # their certificates, before the answer leaves",
        "tests/run",
    ];
    let others: Vec<&str> = blocks("sh").into_iter().flat_map(str::lines).collect();
    assert_eq!(others, known);
}

#[test]
fn its_configurations_are_taken() {
    let home = Home::new();
    for block in blocks("toml") {
        let file = home.path().join("bnsd.toml");
        std::fs::write(&file, block).unwrap();
        let file = file.display().to_string();
        let checked = home.run(&["serve", "--check-config", "--config", &file]);
        assert_eq!(checked.code, 0, "{block}{checked:?}");
    }
    let validators = blocks_of(SERVING, "text");
    assert_eq!(validators.len(), 1);
    for block in validators {
        let file = home.path().join("unbound.conf");
        std::fs::write(&file, block).unwrap();
        let checked = ended(&mut home.command("unbound-checkconf", &[file.to_str().unwrap()]));
        assert_eq!(checked.code, 0, "{block}{checked:?}");
    }
}

#[test]
fn it_fits_on_a_few_screens_and_its_links_lead_somewhere() {
    assert!(README.lines().count() <= 250);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(root.join(target).exists(), "{target} is not there");
    }
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    let printed = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let block = printed("height  …\n…\nend");
    assert!(is_as_printed(&block, &["height   5", "a", "b", "end"]));
    assert!(is_as_printed(&block, &["height 5", "end"]));
    assert!(!is_as_printed(&block, &["height 5", "a"]));
    assert!(!is_as_printed(&printed("192.0.2.7"), &["192.0.2.8"]));
    assert!(!is_as_printed(&printed("192.0.2.7"), &[]));
}
