//! From texts to types: takes the given value or the built-in one, parses it, remembers where it came from.

use std::collections::BTreeMap;

use hickory_proto::rr;

use super::error::ConfigError;
use super::key::{self, Shape};
use super::layer::Layers;
use super::setting::{Given, Origin, Setting};
use super::value;
use crate::bns::name::NamespaceId;
use crate::resolver::Mode;
use crate::upstream::UpstreamConfig;

/// Reads each key once, in the order of the table.
pub struct Reader {
    layers: Layers,
    settings: Vec<Setting>,
}

impl Reader {
    /// Starts with everything that is given.
    pub fn new(layers: Layers) -> Self {
        Self {
            layers,
            settings: Vec::new(),
        }
    }

    /// Whether any layer sets the key.
    pub fn is_given(&self, key: &str) -> bool {
        self.layers.given.contains_key(key)
    }

    /// A key with exactly one value.
    pub fn one<T>(
        &mut self,
        key: &'static str,
        built_in: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let given = self.take(key, &[built_in]);
        let text = given.values.first().map_or("", String::as_str);
        let parsed = parse(text).map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, "", given);
        Ok(parsed)
    }

    /// A key that may be left open; `open` says what applies then.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        open: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        if self.is_given(key) {
            return self.one(key, "", parse).map(Some);
        }
        let given = self.take(key, &[]);
        self.note(key, open, given);
        Ok(None)
    }

    /// A key with a list of values; `open` says what applies when it is empty.
    pub fn many<T>(
        &mut self,
        key: &'static str,
        built_in: &[&str],
        open: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let given = self.take(key, built_in);
        let parsed = given.values.iter().map(|text| parse(text));
        let parsed = parsed
            .collect::<Result<_, _>>()
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, open, given);
        Ok(parsed)
    }

    /// The section `[namespaces]`; `open` says what applies to namespaces that it does not list.
    pub fn namespaces(
        &mut self,
        built_in: &[(&str, &str)],
        open: &'static str,
    ) -> Result<BTreeMap<NamespaceId, Mode>, ConfigError> {
        let rest = self.take(NAMESPACES, &[]);
        self.note(NAMESPACES, open, rest);
        let given = &mut self.layers.given;
        for (id, mode) in built_in {
            let built_in = given.entry(format!("{NAMESPACES}.{id}"));
            built_in.or_insert_with(|| Given::built_in(&[mode]));
        }
        let keys: Vec<String> = given
            .keys()
            .filter(|key| entry(key).is_some())
            .cloned()
            .collect();
        keys.iter().map(|key| self.namespace(key)).collect()
    }

    /// The section `[dns.routes]`: domains, each with its own upstreams.
    pub fn routes(
        &mut self,
        open: &'static str,
    ) -> Result<Vec<(rr::Name, Vec<UpstreamConfig>)>, ConfigError> {
        let rest = self.take(ROUTES, &[]);
        self.note(ROUTES, open, rest);
        let prefix = format!("{ROUTES}.");
        let given = self.layers.given.keys();
        let keys: Vec<String> = given
            .filter(|key| key.starts_with(&prefix))
            .cloned()
            .collect();
        keys.iter()
            .map(|key| self.route(key, key.strip_prefix(&prefix).unwrap_or(key)))
            .collect()
    }

    fn route(
        &mut self,
        key: &str,
        domain: &str,
    ) -> Result<(rr::Name, Vec<UpstreamConfig>), ConfigError> {
        let given = self.take(key, &[]);
        let upstreams = given.values.iter().map(|text| text.parse());
        let parsed = value::domain(domain)
            .and_then(|domain| Ok((domain, upstreams.collect::<Result<Vec<_>, String>>()?)))
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, "", given);
        Ok(parsed)
    }

    /// An error for a value that was read already.
    pub fn refuse(&self, key: &str, problem: &str) -> ConfigError {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        ConfigError::Value {
            origin: setting.map_or(Origin::Default, |setting| setting.origin.clone()),
            key: key.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// All settings in the order of the table, and what looked like a mistake.
    pub fn finish(mut self) -> (Vec<Setting>, Vec<String>) {
        let place = |setting: &Setting| {
            let key = setting.key.as_str();
            key::KEYS.iter().position(|known| {
                let free = matches!(known.shape, Shape::Map | Shape::ListMap);
                known.name == key || free && key.starts_with(known.name)
            })
        };
        self.settings.sort_by_key(place);
        (self.settings, self.layers.warnings)
    }

    fn namespace(&mut self, key: &str) -> Result<(NamespaceId, Mode), ConfigError> {
        let given = self.take(key, &[]);
        let text = given.values.first().map_or("", String::as_str);
        let id = entry(key).unwrap_or(key);
        let parsed = value::namespace(id)
            .and_then(|id| Ok((id, value::mode(text)?)))
            .map_err(|problem| value_error(key, &given, problem))?;
        self.note(key, "", given);
        Ok(parsed)
    }

    fn take(&mut self, key: &str, built_in: &[&str]) -> Given {
        let given = self.layers.given.remove(key);
        given.unwrap_or_else(|| Given::built_in(built_in))
    }

    fn note(&mut self, key: &str, open: &'static str, given: Given) {
        let section = match key.starts_with(ROUTES) {
            true => ROUTES,
            false => NAMESPACES,
        };
        let known = key::find(key).or_else(|| key::find(section));
        let known = known.expect("every key that is read stands in the table");
        self.settings.push(Setting {
            key: key.to_owned(),
            variable: known.variable,
            shape: known.shape,
            values: given.values,
            open,
            origin: given.origin,
        });
    }
}

/// The section whose keys are free.
const NAMESPACES: &str = "namespaces";

/// The section whose keys are domains.
const ROUTES: &str = "dns.routes";

/// The free part of a key in that section.
fn entry(key: &str) -> Option<&str> {
    key.strip_prefix(NAMESPACES)?.strip_prefix('.')
}

fn value_error(key: &str, given: &Given, problem: String) -> ConfigError {
    ConfigError::Value {
        origin: given.origin.clone(),
        key: key.to_owned(),
        problem,
    }
}
