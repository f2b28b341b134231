//! The configuration file: TOML to keys with their lines.
//!
//! The tree is walked by hand instead of being deserialised, because an error has to name the line, the key
//! and the key that was probably meant, and because the origin of each value is kept.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::key::{self, Key, Shape};
use super::place::{self, Places};
use super::setting::{Given, Origin};
use super::sources::FileChoice;

/// Longest configuration file that is read, in bytes: far above any real one, far below memory.
const FILE_MAX: u64 = 1 << 20;

/// A configuration file as read.
#[derive(Debug)]
pub struct FileText {
    /// Where it stands.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Reads the chosen file; `None` when there is none and none has to be.
pub fn read(choice: &FileChoice, places: &Places) -> Result<Option<FileText>, ConfigError> {
    let (path, required) = match choice {
        FileChoice::Nothing => return Ok(None),
        FileChoice::Named(path) => (path.clone(), true),
        FileChoice::AtItsPlace => match &places.config_file {
            Some(path) => (path.clone(), false),
            None => return Ok(None),
        },
    };
    match place::read_bounded(&path, FILE_MAX) {
        Ok(text) => Ok(Some(FileText { path, text })),
        Err(error) if is_absent(&error) && !required => Ok(None),
        Err(error) if is_absent(&error) => Err(ConfigError::Missing { path }),
        Err(error) => Err(ConfigError::Unreadable {
            path,
            reason: error.to_string(),
        }),
    }
}

/// The keys that the file sets.
pub fn parse(file: &FileText) -> Result<BTreeMap<String, Given>, ConfigError> {
    let table = DeTable::parse(&file.text).map_err(|error| ConfigError::Syntax {
        path: file.path.clone(),
        line: line_of(&file.text, &error.span().unwrap_or_default()),
        message: error.message().replace('\n', "; "),
    })?;
    let mut walk = Walk {
        file,
        given: BTreeMap::new(),
    };
    walk.table("", table.get_ref())?;
    Ok(walk.given)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Walk<'a> {
    file: &'a FileText,
    given: BTreeMap<String, Given>,
}

type Entry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

impl Walk<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        table
            .iter()
            .try_for_each(|entry| self.entry(section, entry))
    }

    fn entry(&mut self, section: &str, (name, value): Entry<'_, '_>) -> Result<(), ConfigError> {
        let full = match section {
            "" => name.get_ref().to_string(),
            _ => format!("{section}.{}", name.get_ref()),
        };
        let line = line_of(&self.file.text, &name.span());
        match (key::find(&full), value.get_ref()) {
            (Some(key), DeValue::Table(map))
                if matches!(key.shape, Shape::Map | Shape::ListMap) =>
            {
                self.map(key, map)
            }
            (Some(key), value) => self.give(full, key.shape, value, line),
            (None, DeValue::Table(table)) if key::is_section(&full) => self.table(&full, table),
            (None, _) => Err(self.unknown(full, line)),
        }
    }

    fn map(&mut self, key: &Key, map: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in map {
            let full = format!("{}.{}", key.name, name.get_ref());
            let line = line_of(&self.file.text, &name.span());
            let shape = match key.shape {
                Shape::ListMap => Shape::List,
                _ => Shape::Text,
            };
            self.give(full, shape, value.get_ref(), line)?;
        }
        Ok(())
    }

    /// Takes in what a key is given.
    fn give(
        &mut self,
        key: String,
        shape: Shape,
        value: &DeValue<'_>,
        line: usize,
    ) -> Result<(), ConfigError> {
        let origin = self.origin(line);
        match self.values(shape, value) {
            Ok(values) => {
                self.given.insert(key, Given { values, origin });
                Ok(())
            }
            Err(problem) => Err(ConfigError::Value {
                origin,
                key,
                problem,
            }),
        }
    }

    fn values(&self, shape: Shape, value: &DeValue<'_>) -> Result<Vec<String>, String> {
        match (shape, value) {
            (Shape::Text, DeValue::String(text)) => Ok(vec![text.to_string()]),
            (Shape::Path, DeValue::String(text)) => Ok(vec![self.path(text)]),
            (Shape::Number, DeValue::Integer(number)) if number.radix() == 10 => {
                Ok(vec![number.as_str().to_owned()])
            }
            (Shape::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
            (Shape::List, DeValue::Array(list)) => texts(list.iter()),
            (Shape::PathList, DeValue::Array(list)) => {
                let paths = texts(list.iter())?;
                Ok(paths.iter().map(|path| self.path(path)).collect())
            }
            (shape, _) => Err(expectation(shape).to_owned()),
        }
    }

    /// A relative path in the file means the same wherever the program is started.
    fn path(&self, text: &str) -> String {
        match self.file.path.parent() {
            Some(directory) if !text.is_empty() => {
                let path = directory.join(place::expand_home(Path::new(text)));
                path.to_string_lossy().into_owned()
            }
            _ => text.to_owned(),
        }
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File {
            path: self.file.path.clone(),
            line,
        }
    }

    fn unknown(&self, key: String, line: usize) -> ConfigError {
        let hint = match key::nearest(&key) {
            Some(known) => format!("; did you mean `{known}`?"),
            None => "; `bnsd config show` lists all keys".to_owned(),
        };
        ConfigError::UnknownKey {
            path: self.file.path.clone(),
            line,
            key,
            hint,
        }
    }
}

fn texts<'a, 'i: 'a>(
    list: impl Iterator<Item = &'a Spanned<DeValue<'i>>>,
) -> Result<Vec<String>, String> {
    list.map(|item| item.get_ref().as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| expectation(Shape::List).to_owned())
}

fn expectation(shape: Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::Path => "expected a text in quotes",
        Shape::Number => "expected a whole number without quotes",
        Shape::Switch => "expected true or false without quotes",
        Shape::List | Shape::PathList => {
            "expected a list of texts in quotes, for example [\"one\", \"two\"]"
        }
        Shape::Map => "expected a section with lines of the form KEY = \"VALUE\"",
        Shape::ListMap => "expected a section with lines of the form \"KEY\" = [\"VALUE\"]",
    }
}
