//! `bnsd config show`: what is in force, and where every value came from; with `--reference`, what can be set.

mod reference;

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::output::Page;
use super::{Context, Exit, Result};
use crate::config::key::Shape;
use crate::config::{Config, FileChoice, Origin, Profile, Setting, Sources};

/// Subcommands of `bnsd config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key, its value in force and where that came from.
    Show(Show),
}

/// Arguments of `bnsd config show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Print what every key means and its default instead, as a configuration file to start from
    #[arg(long)]
    reference: bool,
}

impl ConfigCommand {
    /// Prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let Self::Show(show) = self;
        if show.reference {
            return print_reference(context);
        }
        let config = context.load(Profile::Serve, Vec::new())?;
        context
            .output
            .print(&Shown::of(&config), || page(&config))?;
        Ok(Exit::Success)
    }
}

/// Prints the reference, which is the same whatever is configured.
fn print_reference(context: &Context) -> Result<Exit> {
    let nobody = Sources {
        profile: Profile::Serve,
        file: FileChoice::Nothing,
        environment: Vec::new(),
        flags: Vec::new(),
        places: context.places.clone(),
    };
    let keys = reference::describe(&Config::load(&nobody)?);
    context.output.print(&keys, || reference::page(&keys))?;
    Ok(Exit::Success)
}

/// The JSON form.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    /// The file that was read; `null` when there is none.
    file: Option<&'a Path>,
    /// Every key.
    settings: Vec<ShownSetting<'a>>,
    /// What was probably not meant, one sentence each.
    warnings: &'a [String],
}

/// One key in the JSON form.
#[derive(Debug, Serialize)]
struct ShownSetting<'a> {
    /// The key with its section.
    key: &'a str,
    /// A text, a number, a list of texts, or `null` when it is left open.
    value: Value,
    /// The environment variable that sets it.
    variable: &'a str,
    /// Where the value came from; its `kind` is `default`, `file`, `environment` or `flag`.
    origin: &'a Origin,
}

impl<'a> Shown<'a> {
    fn of(config: &'a Config) -> Self {
        let settings = config.settings.iter().map(|setting| ShownSetting {
            key: &setting.key,
            value: value(setting),
            variable: &setting.variable,
            origin: &setting.origin,
        });
        Self {
            file: config.file.as_deref(),
            settings: settings.collect(),
            warnings: &config.warnings,
        }
    }
}

fn value(setting: &Setting) -> Value {
    let first = setting.values.first();
    match setting.shape {
        Shape::List | Shape::PathList | Shape::ListMap => Value::from(setting.values.clone()),
        Shape::Number => first.map_or(Value::Null, |text| {
            text.parse::<u64>()
                .map_or(Value::from(text.as_str()), Value::from)
        }),
        Shape::Switch => first.map_or(Value::Null, |text| Value::from(text == "true")),
        Shape::Text | Shape::Path | Shape::Map => Value::from(first.cloned()),
    }
}

fn page(config: &Config) -> Page {
    let mut page = Page::default();
    for setting in &config.settings {
        let origin = setting.origin.to_string();
        page.row([setting.key.clone(), setting.shown(), origin]);
    }
    for warning in &config.warnings {
        page.note(format!("warning: {warning}"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileChoice, Places, Sources};

    fn config() -> Config {
        let sources = Sources {
            profile: Profile::Demo,
            file: FileChoice::Nothing,
            environment: vec![("BNSD_DNS_MAX_TTL".to_owned(), "60".to_owned())],
            flags: Vec::new(),
            places: Places {
                state: Some("/state".into()),
                config_file: None,
            },
        };
        Config::load(&sources).expect("a configuration")
    }

    #[test]
    fn the_table_has_value_and_origin() {
        let shown = page(&config()).plain();
        for words in [
            vec!["data-dir", "/state/demo", "default"],
            vec!["chain.first-block", "the", "network's", "default"],
            vec!["dns.upstreams", "the", "system's", "default"],
            vec![
                "dns.max-ttl",
                "60",
                "environment",
                "variable",
                "BNSD_DNS_MAX_TTL",
            ],
        ] {
            let found = shown
                .lines()
                .any(|line| line.split_whitespace().eq(words.iter().copied()));
            assert!(found, "{words:?} is not in\n{shown}");
        }
    }

    #[test]
    fn json_has_typed_values() {
        let config = config();
        let json = serde_json::to_value(Shown::of(&config)).expect("JSON");
        let settings = json["settings"].as_array().expect("a list");
        let of = |key: &str| {
            settings
                .iter()
                .find(|setting| setting["key"] == key)
                .expect("a key")
        };
        assert_eq!(of("dns.max-ttl")["value"], 60);
        assert_eq!(of("dns.max-ttl")["origin"]["kind"], "environment");
        assert_eq!(of("listen")["value"][0], "127.0.0.1:5300");
        assert_eq!(of("chain.first-block")["value"], Value::Null);
        assert_eq!(of("log.level")["origin"]["kind"], "default");
    }
}
