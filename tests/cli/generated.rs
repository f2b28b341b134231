//! Help, completions and manual pages, which come from the same definitions.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::common::home::{Home, ended};

/// The commands that a help page lists.
fn listed(help: &str) -> Vec<String> {
    let (_, commands) = help.split_once("Commands:\n").unwrap_or_default();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let words = lines.filter_map(|line| line.split_whitespace().next());
    words
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

/// All commands as their words, groups included.
fn all_commands(home: &Home) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut next = 0;
    while let Some(path) = commands.get(next).cloned() {
        let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
        words.push("--help");
        let help = home.run(&words);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{words:?}");
        let below = listed(&help.stdout).into_iter();
        commands.extend(below.map(|word| [path.clone(), vec![word]].concat()));
        next += 1;
    }
    commands
}

#[test]
fn the_help_groups_options_and_lists_the_exit_codes() {
    let home = Home::new();
    let help = home.run(&["--help"]).stdout;
    for line in [
        "Global options:",
        "Exit codes:",
        "  0  ",
        "  1  ",
        "  2  ",
        "  3  ",
        "Examples:",
    ] {
        assert!(help.contains(line), "{line:?} is not in\n{help}");
    }
    let register = home.run(&["name", "register", "--help"]).stdout;
    let places = [
        "\nOptions:",
        "\nKeys:",
        "\nPaying and sending:",
        "\nGlobal options:",
        "\nExamples:",
    ];
    let places = places.map(|heading| {
        register
            .find(heading)
            .unwrap_or_else(|| panic!("{heading}"))
    });
    assert!(places.is_sorted(), "{register}");
    let global = &register[places[3]..places[4]];
    for option in [
        "--config",
        "--data-dir",
        "--control-socket",
        "--json",
        "--log",
    ] {
        assert!(global.contains(option), "{option} is not in {global}");
    }
    let mut secret = home.bnsd(&["name", "register", "--help"]);
    let shown = ended(secret.env("BNSD_PASSPHRASE_FILE", "/secret/place"));
    assert!(!shown.stdout.contains("/secret/place"), "{shown:?}");
}

#[test]
fn shells_take_the_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        for word in ["zonefile", "transfer", "drop-zonefile", "completions"] {
            assert!(
                script.stdout.contains(word),
                "{word} is not in that for {shell}"
            );
        }
        fs::write(home.path().join(shell), script.stdout).expect("a file");
    }
    assert_eq!(home.run(&["completions", "tcsh"]).code, 2);
    let script = home.path().join("bash").display().to_string();
    let line = "source \"$1\" && complete -p bnsd && COMP_WORDS=(bnsd name tr) COMP_CWORD=2 \
                && _bnsd bnsd tr name && echo \"${COMPREPLY[@]}\"";
    let completed = ended(&mut home.command("bash", &["-c", line, "bash", &script]));
    assert_eq!(completed.code, 0, "{completed:?}");
    assert!(completed.stdout.contains("-F _bnsd"), "{completed:?}");
    assert!(completed.stdout.ends_with("\ntransfer\n"), "{completed:?}");
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    let home = Home::new();
    let directory = home.path().join("share/man1");
    let written = home.run(&["man", &directory.display().to_string()]);
    let commands = all_commands(&home);
    assert!(commands.len() > 50, "{commands:?}");
    let count = format!("{} pages in {}", commands.len(), directory.display());
    assert!(written.stdout.starts_with(&count), "{written:?}");
    let pages: BTreeSet<String> = commands
        .iter()
        .map(|words| {
            ["bnsd".to_owned()]
                .iter()
                .chain(words)
                .cloned()
                .collect::<Vec<_>>()
                .join("-")
        })
        .collect();
    for page in pages {
        let path = directory.join(format!("{page}.1")).display().to_string();
        let warnings = ["-man", "-Tutf8", "-wall", "-z", &path];
        let rendered = ended(&mut home.command("groff", &warnings));
        assert_eq!(
            (rendered.code, rendered.stderr.as_str()),
            (0, ""),
            "{page}: groff is in the Debian package groff-base: {rendered:?}"
        );
    }
    let mut man = Command::new("groff");
    let path = directory.join("bnsd-name-transfer.1");
    let text = ended(man.args(["-man", "-Tascii", "-P-cbu"]).arg(path)).stdout;
    for words in [
        "ADDRESS",
        "BNSD_KEYS_DIR",
        "EXAMPLES\n",
        "bnsd name transfer me.id ADDRESS                  # with its zone file\n",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}

/// Options of one run: a variable that stays set would change the next one too.
const OF_ONE_RUN: [&str; 6] = [
    "--allow-high-fee",
    "--coin",
    "--dry-run",
    "--no-wait",
    "--psbt",
    "--yes",
];

/// The lines of a help page under a heading, with the option of each.
fn options<'h>(help: &'h str, heading: &str) -> Vec<(&'h str, &'h str)> {
    let start = format!("\n{heading}:\n");
    let (_, rest) = help.split_once(&start).unwrap_or_default();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let option = |line: &'h str| line.split_whitespace().find(|word| word.starts_with("--"));
    lines
        .filter_map(|line| Some((option(line)?, line)))
        .collect()
}

#[test]
fn options_that_hold_for_every_run_can_be_set_in_the_environment() {
    let home = Home::new();
    let mut variables = BTreeSet::new();
    for command in all_commands(&home) {
        let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
        words.push("-h");
        let help = home.run(&words).stdout;
        for heading in ["Keys", "Paying and sending", "Global options"] {
            for (option, line) in options(&help, heading) {
                let variable = line
                    .split_once("[env: ")
                    .and_then(|(_, rest)| rest.split_once(']'));
                assert_ne!(
                    variable.is_some(),
                    OF_ONE_RUN.contains(&option),
                    "{command:?} {option}: name its variable, or list it as one of a single run"
                );
                variables.extend(variable.map(|(name, _)| name.to_owned()));
            }
        }
    }
    assert!(variables.len() > 10, "{variables:?}");
    let mut command = home.bnsd(&["config", "show"]);
    for variable in &variables {
        let text = match variable.as_str() {
            "BNSD_CONFIG" => continue,
            "BNSD_LOG" => "warn",
            "BNSD_JSON" => "no",
            _ => "/somewhere",
        };
        command.env(variable, text);
    }
    let shown = ended(&mut command);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(!shown.stdout.contains("sets nothing"), "{}", shown.stdout);
}

/// A variable does what its option does.
#[test]
fn a_variable_does_what_its_option_does() {
    let home = Home::new();
    let keys = home.path().join("keys").display().to_string();
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "correct horse battery\n").expect("a file");
    fs::set_permissions(
        &passphrase,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("our file");
    let passphrase = passphrase.display().to_string();
    let variables = [
        ("BNSD_KEYS_DIR", keys.as_str()),
        ("BNSD_PASSPHRASE_FILE", &passphrase),
        ("BNSD_NETWORK", "regtest"),
        ("BNSD_JSON", "yes"),
    ];
    let made = ended(home.bnsd(&["keys", "new", "me"]).envs(variables));
    assert_eq!(made.code, 0, "{made:?}");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made["network"], "test");
    let listed = home.run(&["keys", "list", "--keys-dir", &keys, "--network", "regtest"]);
    assert!(listed.stdout.starts_with("me (phrase, test)"), "{listed:?}");
}
