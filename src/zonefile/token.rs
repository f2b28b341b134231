//! From bytes to entries: the lines of a zone file with comments, quotes and parentheses resolved.
//!
//! An entry is one line, or several where parentheses join them (RFC 1035 §5.1). Tokens are slices of
//! the input with their escapes still in place, because a `\.` means something else in a name than in a
//! string. One pass, no token is looked at twice; an entry that cannot be split is given back as the
//! place and the problem, and reading goes on behind it. Line ends are LF or CRLF.

use super::problem::{Ignored, Problem};

/// Where something stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in bytes.
    pub(super) column: u32,
}

impl Position {
    pub(super) fn ignored(self, problem: Problem) -> Ignored {
        Ignored {
            line: self.line,
            column: self.column,
            problem,
        }
    }
}

/// How a token was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A word after blank space.
    Word,
    /// In quotes, after blank space. The quotes are not part of the text.
    Quoted,
    /// In quotes, directly behind the token before it, as in `alpn="h2"`.
    Attached,
}

/// One field of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'z> {
    pub(crate) text: &'z [u8],
    pub(super) form: Form,
    pub(super) position: Position,
}

impl<'z> Token<'z> {
    /// The text of a token that is not in quotes.
    pub(crate) fn word(&self) -> Option<&'z [u8]> {
        (self.form == Form::Word).then_some(self.text)
    }
}

/// The tokens of a record's data, taken one after the other.
pub(super) struct Tokens<'t, 'z> {
    rest: &'t [Token<'z>],
    position: Position,
}

impl<'t, 'z> Tokens<'t, 'z> {
    /// `before` is where the type stands: the place of a problem if there is no token at all.
    pub(super) fn new(tokens: &'t [Token<'z>], before: Position) -> Self {
        Self {
            rest: tokens,
            position: before,
        }
    }

    /// The place of the token that was taken last.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn peek(&self) -> Option<&'t Token<'z>> {
        self.rest.first()
    }

    pub(super) fn next(&mut self) -> Option<&'t Token<'z>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.position = first.position;
        Some(first)
    }

    /// The text of the next token.
    pub(super) fn text(&mut self) -> Result<&'z [u8], Problem> {
        self.next()
            .map(|token| token.text)
            .ok_or(Problem::MissingField)
    }

    /// The texts of all remaining tokens in a row; at least one token.
    pub(super) fn joined(&mut self) -> Result<Vec<u8>, Problem> {
        let mut text = self.text()?.to_vec();
        while let Some(token) = self.next() {
            text.extend(token.text);
        }
        Ok(text)
    }
}

/// One record or directive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'z> {
    /// At least one.
    pub(crate) tokens: Vec<Token<'z>>,
    /// Where its first line begins.
    pub(crate) start: Position,
    /// Whether the first line begins with blank space, so that the owner is the previous one.
    pub(crate) indented: bool,
}

/// Splits a zone file into entries; empty lines are none.
pub(crate) struct Entries<'z> {
    rest: &'z [u8],
    position: Position,
}

impl<'z> Entries<'z> {
    /// A byte order mark at the beginning is skipped: some editors leave one.
    pub(crate) fn new(bytes: &'z [u8]) -> Self {
        Self {
            rest: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            position: Position { line: 1, column: 1 },
        }
    }
}

impl<'z> Iterator for Entries<'z> {
    type Item = Result<Entry<'z>, Ignored>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.entry() {
                Ok(entry) if entry.tokens.is_empty() => {}
                Ok(entry) => return Some(Ok(entry)),
                Err(ignored) => {
                    self.skip_line();
                    return Some(Err(ignored));
                }
            }
        }
        None
    }
}

impl<'z> Entries<'z> {
    fn entry(&mut self) -> Result<Entry<'z>, Ignored> {
        let mut entry = Entry {
            tokens: Vec::new(),
            start: self.position,
            indented: matches!(self.rest.first(), Some(b' ' | b'\t')),
        };
        let mut open = Vec::new();
        while let Some(&byte) = self.rest.first() {
            match byte {
                b'\n' => {
                    self.advance(1);
                    if open.is_empty() {
                        break;
                    }
                }
                b' ' | b'\t' | b'\r' => self.advance(1),
                b';' => self.skip_comment(),
                b'(' => {
                    open.push(self.position);
                    self.advance(1);
                }
                b')' => {
                    let stray = self.position.ignored(Problem::StrayParenthesis);
                    open.pop().ok_or(stray)?;
                    self.advance(1);
                }
                b'"' => {
                    let quoted = self.quoted(entry.tokens.last())?;
                    entry.tokens.push(quoted);
                }
                _ => entry.tokens.push(self.word()),
            }
        }
        match open.first() {
            Some(position) => Err(position.ignored(Problem::UnclosedParenthesis)),
            None => Ok(entry),
        }
    }

    fn word(&mut self) -> Token<'z> {
        let length = word_length(self.rest);
        let position = self.position;
        Token {
            text: self.take(length),
            form: Form::Word,
            position,
        }
    }

    fn quoted(&mut self, before: Option<&Token<'z>>) -> Result<Token<'z>, Ignored> {
        let position = self.position;
        let form = if before.is_some_and(|token| self.is_behind(token)) {
            Form::Attached
        } else {
            Form::Quoted
        };
        self.advance(1);
        let length =
            quoted_length(self.rest).ok_or_else(|| position.ignored(Problem::UnclosedQuote))?;
        let text = self.take(length);
        self.advance(1);
        Ok(Token {
            text,
            form,
            position,
        })
    }

    /// Whether nothing stands between the word `token` and the place of reading.
    fn is_behind(&self, token: &Token<'_>) -> bool {
        token.form == Form::Word && std::ptr::eq(token.text.as_ptr_range().end, self.rest.as_ptr())
    }

    fn skip_comment(&mut self) {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        self.advance(end.unwrap_or(self.rest.len()));
    }

    fn skip_line(&mut self) {
        self.skip_comment();
        self.advance(1);
    }

    fn advance(&mut self, count: usize) {
        self.take(count);
    }

    fn take(&mut self, count: usize) -> &'z [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        for &byte in taken {
            self.step(byte);
        }
        taken
    }

    fn step(&mut self, byte: u8) {
        // The input has at most ZONEFILE_MAX bytes, so neither number can reach its end.
        if byte == b'\n' {
            self.position.line = self.position.line.saturating_add(1);
            self.position.column = 1;
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
    }
}

/// How far a word reaches; a backslash protects the byte behind it, except a line end.
fn word_length(text: &[u8]) -> usize {
    length_until(text, |byte| {
        matches!(
            byte,
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"'
        )
    })
}

/// How far a quoted string reaches; `None` if its line ends first.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let length = length_until(text, |byte| matches!(byte, b'"' | b'\n'));
    (text.get(length) == Some(&b'"')).then_some(length)
}

fn length_until(text: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    let mut protected = false;
    let end = text.iter().position(|&byte| {
        let ending = byte == b'\n' || (!protected && ends(byte));
        protected = !protected && byte == b'\\';
        ending
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let entry = Entries::new(line.as_bytes()).next();
        let entry = entry.expect("an entry").expect("a readable one");
        let text = |token: &Token<'_>| String::from_utf8_lossy(token.text).into_owned();
        entry.tokens.iter().map(text).collect()
    }

    #[test]
    fn words_quotes_comments_and_parentheses() {
        assert_eq!(texts("a b\t\"c d;\" ; no\n"), ["a", "b", "c d;"]);
        assert_eq!(
            texts("a ( b ; one\n\"c\" ; two\n d)e\nf"),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(
            texts(r#"a\ b \"c "d\"e" f\;g"#),
            [r"a\ b", r#"\"c"#, r#"d\"e"#, r"f\;g"]
        );
        assert_eq!(texts("a b\r\nc"), ["a", "b"]);
        assert_eq!(texts("\u{feff}$TTL 1"), ["$TTL", "1"]);
    }

    #[test]
    fn a_quoted_value_knows_the_word_it_belongs_to() {
        let mut entries = Entries::new(b"x alpn=\"h2\" \"q\" \"r\"\"s\"");
        let entry = entries.next().expect("an entry").expect("a readable one");
        let forms: Vec<_> = entry.tokens.iter().map(|token| token.form).collect();
        assert_eq!(
            forms,
            [
                Form::Word,
                Form::Word,
                Form::Attached,
                Form::Quoted,
                Form::Quoted,
                Form::Quoted
            ]
        );
    }

    #[test]
    fn reading_goes_on_behind_a_broken_line() {
        let text = b"a )\nb \"x\nc d\n\n  e (\nf\n";
        let found: Vec<_> = Entries::new(text).collect();
        let problems: Vec<_> = found
            .iter()
            .filter_map(|entry| entry.as_ref().err())
            .map(|ignored| (ignored.line, ignored.column, ignored.problem))
            .collect();
        assert_eq!(
            problems,
            [
                (1, 3, Problem::StrayParenthesis),
                (2, 3, Problem::UnclosedQuote),
                (5, 5, Problem::UnclosedParenthesis),
            ]
        );
        assert!(matches!(&found[2], Ok(entry) if entry.start.line == 3 && !entry.indented));
    }
}
