//! What differs between the configuration in force and a new one.

use super::key::{self, Effect, KEYS};
use super::options::Config;
use super::setting::Setting;
use super::value;
use crate::resolver::Policy;

/// The folders with zone files.
pub const FOLDERS: &str = "zonefiles.folders";

/// A key with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key with its section.
    pub key: String,
    /// When the new value is obeyed.
    pub effect: Effect,
    /// The value in force, as `bnsd config show` prints it.
    pub before: String,
    /// The new one.
    pub after: String,
}

impl Config {
    /// The keys whose value is another one in `after`, in the order of the table.
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let both = self.settings.iter().chain(&after.settings);
        let mut keys: Vec<&str> = both.map(|setting| setting.key.as_str()).collect();
        keys.sort_by_key(|key| (key::row_of(key), *key));
        keys.dedup();
        let differ = |key: &&str| values(self, key) != values(after, key);
        let changed = keys.into_iter().filter(differ);
        changed
            .map(|key| Change {
                key: key.to_owned(),
                effect: effect(key),
                before: text(self, key),
                after: text(after, key),
            })
            .collect()
    }

    /// The new configuration as far as a running daemon obeys it. Its settings of keys that need a restart are those in
    /// force, so that a later comparison names these keys again; their typed values are nobody's business until then. So is
    /// it with the folders if they are `put_off`.
    #[must_use]
    pub fn obeyed(&self, after: Self, put_off: Option<&str>) -> Self {
        let with = |config: &Self, wanted: Effect| -> Vec<Setting> {
            let settings = config.settings.iter();
            let effect = |key: &str| match put_off == Some(key) {
                true => Effect::Restart,
                false => effect(key),
            };
            let settings = settings.filter(|setting| effect(&setting.key) == wanted);
            settings.cloned().collect()
        };
        let mut settings = with(self, Effect::Restart);
        settings.extend(with(&after, Effect::Reload));
        settings.sort_by_key(|setting| key::row_of(&setting.key));
        let zonefiles = match put_off {
            Some(FOLDERS) => self.zonefiles.clone(),
            _ => after.zonefiles.clone(),
        };
        Self {
            settings,
            zonefiles,
            ..after
        }
    }
}

fn effect(key: &str) -> Effect {
    let row = key::row_of(key).expect("every setting has a row in the table");
    KEYS[row].effect
}

/// The values of a key; none where it is left open or its section does not list it.
fn values<'c>(config: &'c Config, key: &str) -> &'c [String] {
    let setting = config.settings.iter().find(|setting| setting.key == key);
    setting.map_or(&[], |setting| &setting.values)
}

/// What applies to a namespace that its section does not list.
fn by_itself(key: &str) -> Option<String> {
    let id = value::namespace(key.strip_prefix("namespaces.")?).ok()?;
    let mode = Policy::default().mode(&id).mode();
    let text = serde_json::to_value(mode).ok()?;
    Some(format!("{} by default", text.as_str()?))
}

/// A value for people.
fn text(config: &Config, key: &str) -> String {
    let row = key::row_of(key).map_or("", |row| KEYS[row].name);
    let of = |key: &str| config.settings.iter().find(|setting| setting.key == key);
    match (of(key), of(row)) {
        (Some(setting), _) => setting.shown(),
        (None, Some(section)) => by_itself(key).unwrap_or_else(|| section.shown()),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileChoice, Places, Profile, Sources};

    fn config(environment: &[(&str, &str)]) -> Config {
        let pairs = environment.iter();
        let sources = Sources {
            profile: Profile::Serve,
            file: FileChoice::Nothing,
            environment: pairs
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            flags: Vec::new(),
            places: Places {
                state: Some("/state".into()),
                config_file: None,
            },
        };
        Config::load(&sources).expect("a configuration")
    }

    #[test]
    fn what_needs_a_restart_is_said_until_there_is_one() {
        let start = config(&[("BNSD_NAMESPACES", "id=exact,x=only")]);
        let after = config(&[
            ("BNSD_NAMESPACES", "id=off"),
            ("BNSD_LISTEN", "127.0.0.1:5300"),
            ("BNSD_DNS_UPSTREAMS", "192.0.2.1,192.0.2.2"),
        ]);
        let shown = |changes: Vec<Change>| -> Vec<(String, Effect, String, String)> {
            let rows = changes.into_iter();
            rows.map(|row| (row.key, row.effect, row.before, row.after))
                .collect()
        };
        let row = |key: &str, effect, before: &str, after: &str| {
            (key.to_owned(), effect, before.to_owned(), after.to_owned())
        };
        let listen = row(
            "listen",
            Effect::Restart,
            "127.0.0.1:53, [::1]:53",
            "127.0.0.1:5300",
        );
        let upstreams = "192.0.2.1, 192.0.2.2";
        let expected = [
            listen.clone(),
            row("dns.upstreams", Effect::Reload, "the system's", upstreams),
            row("namespaces.id", Effect::Reload, "exact", "off"),
            row("namespaces.x", Effect::Reload, "only", "only by default"),
        ];
        assert_eq!(shown(start.changes(&after)), expected);
        let in_force = start.obeyed(after.clone(), None);
        assert_eq!(shown(in_force.changes(&after)), [listen]);
        assert_eq!(in_force.obeyed(start.clone(), None).changes(&start), []);
    }
}
