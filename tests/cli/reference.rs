//! `bnsd config show --reference`: all that can be set, and a file to start from.

use std::fs;

use bnsd::config::key::KEYS;
use serde_json::Value;

use crate::common::home::{Home, ended};

#[test]
fn the_reference_has_every_key_with_its_variable_flag_default_and_meaning() {
    let home = Home::new();
    let page = home.run(&["config", "show", "--reference"]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    let json = home.run(&["--json", "config", "show", "--reference"]);
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    let rows = json.as_array().expect("a list");
    assert_eq!(rows.len(), KEYS.len());
    for (key, row) in KEYS.iter().zip(rows) {
        assert_eq!(row["key"], key.name);
        assert_eq!(row["variable"], key.variable());
        assert_ne!(row["default"].is_null(), row["open"].is_null(), "{row}");
        let meaning = row["meaning"].as_str().expect("a sentence");
        assert!(
            meaning.len() > 20 && meaning.ends_with('.'),
            "{}: {meaning}",
            key.name
        );
        let mut wanted = vec![key.variable(), meaning.to_owned(), format!("#{}", key.name)];
        wanted.extend(row["flag"].as_str().map(str::to_owned));
        for text in wanted {
            assert!(
                page.stdout.contains(&text),
                "{text:?} is not in {}",
                page.stdout
            );
        }
    }
    let of = |key: &str| rows.iter().find(|row| row["key"] == key).expect("a row");
    assert_eq!(of("dns.max-ttl")["default"], 600);
    assert_eq!(of("listen")["flag"], "--listen");
    assert_eq!(of("dns.upstreams")["open"], "the system's");
}

/// As it is printed it sets nothing, and without its `#` a line sets what is in force anyway.
#[test]
fn the_reference_is_a_configuration_file() {
    let home = Home::new();
    let text = home.run(&["config", "show", "--reference"]).stdout;
    let settings = |text: &str| {
        let path = home.path().join("bnsd.toml");
        fs::write(&path, text).expect("a file");
        let path = path.display().to_string();
        let shown = home.run(&["--json", "config", "show", "--config", &path]);
        assert_eq!(shown.code, 0, "{shown:?}");
        let json: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        let settings = json["settings"].as_array().expect("a list").clone();
        let values = settings
            .iter()
            .map(|it| (it["key"].clone(), it["value"].clone()));
        values.collect::<Vec<_>>()
    };
    let untouched = settings(&text);
    assert_eq!(untouched, settings(""));
    let uncommented = text.lines().filter_map(|line| line.strip_prefix('#'));
    let given = uncommented.filter(|line| {
        let is_key = KEYS
            .iter()
            .any(|key| line.starts_with(&format!("{} = ", key.name)));
        is_key && !line.contains("# default")
    });
    let given: Vec<&str> = given.collect();
    assert!(given.len() > 15, "{given:?}");
    assert_eq!(settings(&given.join("\n")), untouched);
}

/// What is configured changes nothing in it, not even when it is wrong.
#[test]
fn the_reference_is_there_when_the_configuration_is_wrong() {
    let home = Home::new();
    let expected = home.run(&["config", "show", "--reference"]).stdout;
    let mut command = home.bnsd(&["config", "show", "--reference"]);
    let shown = ended(command.env("BNSD_DNS_MAX_TTL", "for ever"));
    assert_eq!((shown.code, shown.stdout), (0, expected));
}
