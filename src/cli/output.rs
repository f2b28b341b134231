//! Printing: JSON for programs, aligned text for people, colours on a terminal only.
//!
//! Much of what is shown was written by strangers (names, zone files, errors of other servers). A control
//! character in it could rewrite what the terminal shows, so none is ever printed as text.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::{CliError, Exit, Result};

/// Where and how results are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    colours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

impl Output {
    /// For the standard output of this process.
    pub fn of_terminal(json: bool) -> Self {
        Self {
            format: if json { Format::Json } else { Format::Text },
            colours: colours_are_wanted(io::stdout().is_terminal()),
        }
    }

    /// Whether JSON was asked for.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints `value` as JSON if that was asked for, otherwise the page that `page` makes.
    pub fn print<T: Serialize>(self, value: &T, page: impl FnOnce() -> Page) -> Result<()> {
        let text = match self.format {
            Format::Json => json(serde_json::to_string_pretty(value)),
            Format::Text => page().render(self.colours),
        };
        // A reader that has seen enough (`bnsd status | head`) is no trouble.
        write(text.as_bytes()).map(|_| ()).map_err(CliError::Output)
    }

    /// Prints `value` like [`Output::print`], on a page that `write` fills, and says that all went well.
    pub fn show<T: Serialize>(self, value: &T, write: impl FnOnce(&mut Page)) -> Result<Exit> {
        let page = || {
            let mut page = Page::default();
            write(&mut page);
            page
        };
        self.print(value, page).map(|()| Exit::Success)
    }

    /// Prints `value` again: JSON as a line of its own, a page over the one before where that is a terminal.
    pub fn refresh<T: Serialize>(self, value: &T, page: impl FnOnce() -> Page) -> Result<Reader> {
        let text = match self.format {
            Format::Json => json(serde_json::to_string(value)),
            // Cursor home, and clear from there (ECMA-48 §8.3.21, §8.3.39).
            Format::Text if io::stdout().is_terminal() => {
                format!("\x1b[H\x1b[J{}", page().render(self.colours))
            }
            Format::Text => page().render(self.colours) + "\n",
        };
        write(text.as_bytes()).map_err(CliError::Output)
    }

    /// Prints something that happened: JSON as a line of its own, or a text.
    pub fn tell<T: Serialize>(self, value: &T, text: &str) -> Result<()> {
        let line = match self.format {
            Format::Json => json(serde_json::to_string(value)),
            Format::Text => format!("{}\n", printable(text)),
        };
        write(line.as_bytes()).map(|_| ()).map_err(CliError::Output)
    }
}

/// Prints bytes as they are, for a file or another program.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    write(bytes).map(|_| ()).map_err(CliError::Output)
}

fn json(written: serde_json::Result<String>) -> String {
    written.expect("results have text keys and no failing parts") + "\n"
}

/// Whether somebody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// As far as anyone knows.
    Reading,
    /// The other end is closed.
    Gone,
}

/// Whether colours go there: it is a terminal, and nobody objects (<https://no-color.org>).
pub fn colours_are_wanted(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

fn write(bytes: &[u8]) -> io::Result<Reader> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        result => result.map(|()| Reader::Reading),
    }
}

/// Lines for a person; columns of neighbouring lines are aligned.
#[derive(Debug, Default)]
pub struct Page {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Heading(String),
    Note(String),
    Caution(String),
    Alarm(String),
    Row(Vec<String>),
}

impl Page {
    /// A line that stands out.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Heading(text.into()));
    }

    /// A line that stands back.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Note(text.into()));
    }

    /// A line that warns.
    pub fn caution(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Caution(text.into()));
    }

    /// A line that says what is wrong.
    pub fn alarm(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Alarm(text.into()));
    }

    /// A line with columns.
    pub fn row(&mut self, columns: impl IntoIterator<Item = String>) {
        self.lines.push(Line::Row(columns.into_iter().collect()));
    }

    /// A line `label value`.
    pub fn entry(&mut self, label: &str, value: &(impl ToString + ?Sized)) {
        self.row([format!("  {label}"), value.to_string()]);
    }

    /// A line `label value`, if there is a value.
    pub fn entry_if(&mut self, label: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.entry(label, &value);
        }
    }

    /// The lines of another page behind these.
    pub fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    /// Writes it to the standard error, beside the result of a command.
    pub fn say(&self) {
        eprint!(
            "{}",
            self.render(colours_are_wanted(io::stderr().is_terminal()))
        );
    }

    fn render(&self, colours: bool) -> String {
        let is_row = |line: &Line| matches!(line, Line::Row(_));
        let blocks = self.lines.chunk_by(|a, b| is_row(a) == is_row(b));
        blocks
            .flat_map(|block| render_block(block, colours))
            .collect()
    }
}

fn render_block(block: &[Line], colours: bool) -> Vec<String> {
    let widths = widths(block);
    let paint = |code: &str, text: &str| {
        let text = printable(text);
        if colours {
            format!("\x1b[{code}m{text}\x1b[0m\n")
        } else {
            format!("{text}\n")
        }
    };
    let lines = block.iter().map(|line| match line {
        Line::Heading(text) => paint("1", text),
        Line::Note(text) => paint("2", text),
        Line::Caution(text) => paint("33", text),
        Line::Alarm(text) => paint("1;31", text),
        Line::Row(columns) => align(columns, &widths) + "\n",
    });
    lines.collect()
}

fn widths(block: &[Line]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in block {
        let Line::Row(columns) = line else { continue };
        widths.resize(widths.len().max(columns.len()), 0);
        for (width, column) in widths.iter_mut().zip(columns) {
            *width = (*width).max(printable(column).chars().count());
        }
    }
    widths
}

fn align(columns: &[String], widths: &[usize]) -> String {
    let cells = columns.iter().zip(widths);
    let line: String = cells
        .map(|(column, width)| format!("{:width$}  ", printable(column)))
        .collect();
    line.trim_end().to_owned()
}

/// The text with control characters and those that turn the direction of writing replaced.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
impl Page {
    /// What a terminal without colours shows.
    pub fn plain(&self) -> String {
        self.render(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_neighbouring_rows_are_aligned() {
        let mut page = Page::default();
        page.heading("two");
        page.entry("a", "1");
        page.entry("longer", "2");
        page.note("end");
        assert_eq!(page.plain(), "two\n  a       1\n  longer  2\nend\n");
        assert!(page.render(true).starts_with("\u{1b}[1mtwo\u{1b}[0m\n"));
    }

    #[test]
    fn strangers_cannot_control_the_terminal() {
        let mut page = Page::default();
        page.entry("name", "a\u{1b}[2Jb\u{202e}c\nd");
        assert_eq!(page.plain(), "  name  a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\n");
    }
}
