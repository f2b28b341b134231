//! What somebody sees who types something wrong or has a wrong configuration: one sentence on the standard error that
//! says what to do, and an exit code for scripts.

mod codes;
mod decode;
mod generated;
mod reference;
mod status;
mod typed;
mod version;

use std::fs;

use bnsd::config::key::KEYS;
use serde_json::Value;

use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::person::Person;
use crate::common::process::serve;

/// Opens a namespace for somebody, who then has coins left.
pub(crate) fn opens(person: &Person<'_>, id: &str) {
    person.gets(20_000_000_000);
    person.does(&["namespace", "preorder", id]);
    person.does(&["namespace", "reveal", id]);
    person.does(&["namespace", "ready", id]);
}

// ---- configuration --------------------------------------------------------------------------------------

/// What `--check-config` says about a file.
fn check(text: &str) -> Ended {
    let home = Home::new();
    let path = home.path().join("bnsd.toml");
    fs::write(&path, text).expect("a file");
    home.run(&[
        "serve",
        "--check-config",
        "--config",
        &path.display().to_string(),
    ])
}

#[test]
fn a_wrong_configuration_is_an_error_with_its_line() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "listn = [\"127.0.0.1:53\"]\n",
            &[
                "bnsd.toml:1",
                "unknown key `listn`",
                "did you mean `listen`?",
            ],
        ),
        (
            "\n[dns]\nmaxttl = 5\n",
            &["bnsd.toml:3", "did you mean `dns.max-ttl`?"],
        ),
        (
            "[frobnication]\n",
            &[
                "bnsd.toml:1",
                "unknown key",
                "`bnsd config show` lists all keys",
            ],
        ),
        ("listen = [\n", &["bnsd.toml:", "not valid TOML"]),
        (
            "listen = [\"127.0.0.1\"]\n",
            &["bnsd.toml:1", "write for example 127.0.0.1:53"],
        ),
        (
            "listen = []\n",
            &["bnsd.toml:1", "name at least one address"],
        ),
        (
            "listen = 53\n",
            &["bnsd.toml:1", "expected a list of texts"],
        ),
        (
            "[dns]\nmax-ttl = \"long\"\n",
            &["bnsd.toml:2", "expected a whole number"],
        ),
        (
            "[chain]\nsource = \"carrier pigeon\"\n",
            &["bnsd.toml:2", "chain.source"],
        ),
    ];
    for (text, parts) in cases {
        is_one_sentence(&check(text), 2, parts);
    }
}

#[test]
fn a_right_configuration_is_ok() {
    let ended =
        check("listen = [\"127.0.0.1:5301\"]\n[dns]\nmax-ttl = 60\nupstreams = [\"192.0.2.1\"]\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "OK\n", "")
    );
    let exposed = check("listen = [\"0.0.0.0:5301\"]\n");
    assert!(
        exposed.code == 0 && exposed.stdout.contains("warning: DNS on 0.0.0.0:5301"),
        "{exposed:?}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_said() {
    let home = Home::new();
    let path = home.path().join("bnsd.toml").display().to_string();
    let missing = home.run(&["serve", "--config", &path]);
    is_one_sentence(
        &missing,
        2,
        &[
            "there is no configuration file",
            &path,
            "create it, or leave out --config",
        ],
    );
    fs::create_dir(&path).expect("a directory");
    is_one_sentence(
        &home.run(&["serve", "--config", &path]),
        3,
        &["cannot read the configuration file", &path],
    );
    fs::remove_dir(&path).expect("a directory");
    fs::write(&path, b"listen = [\"\xff\"]").expect("a file");
    is_one_sentence(
        &home.run(&["serve", "--config", &path]),
        3,
        &["cannot read the configuration file", "UTF-8"],
    );
}

/// What a start would fail at is told before it.
#[test]
fn a_folder_that_is_not_there_is_told_by_the_check() {
    let ended = check("[zonefiles]\nfolders = [\"/nowhere/zones\"]\n");
    is_one_sentence(
        &ended,
        3,
        &["/nowhere/zones", "create it or correct `zonefiles.folders`"],
    );
}

/// The file at the platform's place is read without being named.
#[test]
fn the_configuration_at_its_place_is_read() {
    let home = Home::new();
    let place = home.folder(".config/bnsd");
    fs::write(place.join("bnsd.toml"), "listn = 1\n").expect("a file");
    for command in [["serve", "--check-config"], ["config", "show"]] {
        is_one_sentence(&home.run(&command), 2, &["bnsd.toml:1", "listn"]);
    }
}

#[test]
fn config_show_lists_every_key_with_its_origin() {
    let home = Home::new();
    let place = home.folder(".config/bnsd");
    fs::write(
        place.join("bnsd.toml"),
        "[dns]\nmax-lag = 99\n[namespaces]\nid = \"only\"\n",
    )
    .expect("a file");
    let show = |arguments: &[&str]| {
        let mut command = home.bnsd(&["config", "show", "--log", "warn"]);
        ended(command.args(arguments).env("BNSD_DNS_MAX_TTL", "77"))
    };
    let page = show(&[]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    for key in KEYS {
        let line = |line: &str| line.split_whitespace().next() == Some(key.name);
        assert!(
            page.stdout.lines().any(line),
            "{} is not in {}",
            key.name,
            page.stdout
        );
    }
    let json: Value = serde_json::from_str(&show(&["--json"]).stdout).expect("JSON");
    let of = |key: &str| {
        let settings = json["settings"].as_array().expect("a list");
        let setting = settings.iter().find(|setting| setting["key"] == key);
        setting.expect("a key").clone()
    };
    let cases: [(&str, Value, &str); 5] = [
        ("dns.max-ttl", 77.into(), "environment"),
        ("dns.max-lag", 99.into(), "file"),
        ("log.level", "warn".into(), "flag"),
        ("chain.source", "none".into(), "default"),
        ("namespaces.id", "only".into(), "file"),
    ];
    for (key, value, kind) in cases {
        let setting = of(key);
        assert_eq!(
            (&setting["value"], &setting["origin"]["kind"]),
            (&value, &Value::from(kind)),
            "{key}"
        );
        let value = value.as_str().map_or(value.to_string(), str::to_owned);
        let shown = |line: &str| line.split_whitespace().take(2).eq([key, value.as_str()]);
        assert!(
            page.stdout.lines().any(shown),
            "{key} is not in {}",
            page.stdout
        );
    }
    assert_eq!(
        of("listen")["value"],
        serde_json::json!(["127.0.0.1:53", "[::1]:53"])
    );
}

// ---- asking a daemon ------------------------------------------------------------------------------------

#[test]
fn without_a_daemon_the_commands_say_so() {
    let home = Home::new();
    // The socket of another daemon on this machine must not be found.
    let socket = home.path().join("control.sock").display().to_string();
    for command in [
        vec!["lookup", "werner.id"],
        vec!["explain", "werner.id"],
        vec!["status"],
    ] {
        let ended = home.run(&[&command[..], &["--control-socket", &socket]].concat());
        is_one_sentence(
            &ended,
            3,
            &[
                "no bnsd is running",
                &socket,
                "start it with `bnsd serve` or `bnsd demo`",
            ],
        );
    }
}

#[test]
fn wrong_questions_are_wrong_use() {
    let home = Home::new();
    let mut daemon = serve(&home, &[]);
    daemon.ready(&home.state().join("control.sock"));
    let no_type = home.run(&["lookup", "werner.id", "FROB"]);
    is_one_sentence(
        &no_type,
        2,
        &["FROB is no record type", "use a name like A or TYPE65280"],
    );
    is_one_sentence(
        &home.run(&["explain", "werner.id", "FROB"]),
        2,
        &["FROB is no record type"],
    );
    let long = format!("{}.id", "a".repeat(64));
    is_one_sentence(&home.run(&["lookup", &long]), 2, &["is no domain name"]);
    let early = home.run(&["lookup", "werner.id", "--at", "5"]);
    is_one_sentence(&early, 2, &["no block is indexed yet", "ask without --at"]);
    for wrong in [
        vec!["frob"],
        vec!["lookup"],
        vec!["serve", "--frob"],
        vec!["lookup", "a.id", "--at", "soon"],
    ] {
        let ended = home.run(&wrong);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
}
