//! `bnsd config show --reference`: every key with its type, its built-in value and its meaning.
//!
//! The text is a configuration file in which every line is a comment, so that it can be kept and edited.

use serde::Serialize;
use serde_json::Value;

use super::value;
use crate::cli::output::Page;
use crate::config::key::{Effect, KEYS, Shape};
use crate::config::{Config, Setting};

/// A key as the reference shows it.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    /// The key with its section.
    key: &'static str,
    /// The kind of its value, in words.
    #[serde(rename = "type")]
    shape: &'static str,
    /// The built-in value; `null` when the key is left open.
    default: Value,
    /// What applies when it is left open, in words; `null` when there is a built-in value.
    open: Option<&'static str>,
    /// The environment variable that sets it.
    variable: String,
    /// The flag that sets it, if there is one.
    flag: Option<&'static str>,
    /// When a running daemon obeys another value.
    effect: Effect,
    /// What it does.
    meaning: &'static str,
    /// The key and its value as a line of the file.
    #[serde(skip)]
    line: String,
}

/// All keys in the order of the table; in `built_in` nobody has set anything.
pub(super) fn describe(built_in: &Config) -> Vec<Described> {
    let described = KEYS.iter().map(|key| {
        let mut settings = built_in.settings.iter();
        let setting = settings.find(|setting| setting.key == key.name);
        let open = setting.filter(|setting| setting.values.is_empty());
        let default = setting.filter(|_| open.is_none()).map(value);
        let line = match (&default, key.shape) {
            (Some(default), _) => format!("#{} = {default}", key.name),
            (None, Shape::Map) => format!("#{}.NAME = \"VALUE\"", key.name),
            (None, Shape::ListMap) => format!("#{}.\"NAME\" = [\"VALUE\"]", key.name),
            (None, _) => format!("#{} =", key.name),
        };
        Described {
            key: key.name,
            shape: key.shape.as_str(),
            default: default.unwrap_or_default(),
            open: open.map(|setting: &Setting| setting.open),
            variable: key.variable(),
            flag: key.flag(),
            effect: key.effect,
            meaning: key.meaning,
            line,
        }
    });
    described.collect()
}

/// The reference as a file.
pub(super) fn page(keys: &[Described]) -> Page {
    let mut page = Page::default();
    page.note("# Every key of bnsd.toml: what it does, its type, the variable and flag that set it too, its default.");
    page.note(
        "# Variables override the file, flags override both. To set a key, remove the # before it.",
    );
    page.note(
        "# A running daemon obeys a changed file at once, except for keys that need a restart, which `bnsd reload` names.",
    );
    for key in keys {
        page.note("");
        page.note(format!("# {}", key.meaning));
        let flag = key.flag.map(|flag| format!(", {flag}"));
        let flag = flag.unwrap_or_default();
        let effect = match key.effect {
            Effect::Reload => "",
            Effect::Restart => "; needs a restart",
        };
        page.note(format!("# {}; {}{flag}{effect}", key.shape, key.variable));
        let open = key.open.map(|open| format!("   # default: {open}"));
        page.heading(format!("{}{}", key.line, open.unwrap_or_default()));
    }
    page
}
