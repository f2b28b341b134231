//! Documents as they are read: once, from the first tag to the last.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::{DEPTH_MAX, Response, VALUES_MAX, Value, XmlError};

/// The method and parameters of a call.
pub(in crate::atlas) fn read_call(
    bytes: &[u8],
) -> Result<(Cow<'_, str>, Vec<Value<'_>>), XmlError> {
    let mut document = Document::open(bytes)?;
    document.enter("methodCall")?;
    document.enter("methodName")?;
    let method = document.leaf()?;
    let parameters = match document.next_tag()? {
        Tag::Open("params") => {
            let parameters = document.parameters()?;
            document.leave()?;
            parameters
        }
        Tag::Close => Vec::new(),
        _ => return Err(XmlError::Shape("no parameters")),
    };
    document.end()?;
    Ok((method, parameters))
}

/// What a server says.
pub(in crate::atlas) fn read_response(bytes: &[u8]) -> Result<Response<'_>, XmlError> {
    let mut document = Document::open(bytes)?;
    document.enter("methodResponse")?;
    let response = match document.next_tag()? {
        Tag::Open("params") => {
            let mut parameters = document.parameters()?.into_iter();
            let value = parameters.next().filter(|_| parameters.len() == 0);
            Response::Value(value.ok_or(XmlError::Shape("not one value"))?)
        }
        Tag::Open("fault") => {
            document.enter("value")?;
            let value = document.value()?;
            document.leave()?;
            fault(value)?
        }
        _ => return Err(XmlError::Shape("neither a value nor a fault")),
    };
    document.leave()?;
    document.end()?;
    Ok(response)
}

fn fault(value: Value<'_>) -> Result<Response<'_>, XmlError> {
    let Value::Struct(members) = value else {
        return Err(XmlError::Shape("a fault without a code"));
    };
    let (mut code, mut text) = (None, None);
    for (name, value) in members {
        match (&*name, value) {
            ("faultCode", Value::Int(number)) => code = Some(number),
            ("faultString", Value::Text(words)) => text = Some(words),
            _ => {}
        }
    }
    let fault = code
        .zip(text)
        .ok_or(XmlError::Shape("a fault without a code"));
    fault.map(|(code, text)| Response::Fault { code, text })
}

/// A document that is read once, from its first tag to its last.
struct Document<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
    values: usize,
}

/// A tag without its attributes, which say nothing here.
enum Tag<'a> {
    Open(&'a str),
    Close,
    /// The end of the document.
    End,
}

impl<'a> Document<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, XmlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self {
            reader,
            depth: 0,
            values: 0,
        })
    }

    /// The next tag, and the text before it.
    fn next(&mut self) -> Result<(Cow<'a, str>, Tag<'a>), XmlError> {
        let mut text = Cow::Borrowed("");
        loop {
            let part = match self.reader.read_event()? {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(XmlError::Depth);
                    }
                    return Ok((text, Tag::Open(known(start.name().into_inner()))));
                }
                Event::End(_) => {
                    self.depth -= 1; // every end has its start, or the reader fails
                    return Ok((text, Tag::Close));
                }
                Event::Eof if self.depth > 0 => return Err(XmlError::Shape("it ends too early")),
                Event::Eof => return Ok((text, Tag::End)),
                Event::Text(part) => part.xml10_content().map_err(|_| XmlError::Encoding)?,
                Event::CData(part) => part.xml10_content().map_err(|_| XmlError::Encoding)?,
                Event::GeneralRef(reference) => referenced(&reference)?.into(),
                Event::Decl(declaration) => {
                    check_encoding(&declaration)?;
                    continue;
                }
                Event::Comment(_) => continue,
                Event::DocType(_) | Event::PI(_) => return Err(XmlError::Directive),
                Event::Empty(_) => return Err(XmlError::Shape("an empty element")), // expanded
            };
            if text.is_empty() {
                text = part;
            } else {
                text.to_mut().push_str(&part);
            }
        }
    }

    /// The next tag, with nothing before it.
    fn next_tag(&mut self) -> Result<Tag<'a>, XmlError> {
        let (text, tag) = self.next()?;
        is_blank(&text)?;
        Ok(tag)
    }

    fn enter(&mut self, name: &'static str) -> Result<(), XmlError> {
        match self.next_tag()? {
            Tag::Open(found) if found == name => Ok(()),
            _ => Err(XmlError::Shape("another element than there has to be")),
        }
    }

    fn leave(&mut self) -> Result<(), XmlError> {
        match self.next_tag()? {
            Tag::Close => Ok(()),
            _ => Err(XmlError::Shape("more elements than there can be")),
        }
    }

    fn end(&mut self) -> Result<(), XmlError> {
        match self.next_tag()? {
            Tag::End => Ok(()),
            _ => Err(XmlError::Shape("more than one element")),
        }
    }

    /// The text of an element that is open, to its end.
    fn leaf(&mut self) -> Result<Cow<'a, str>, XmlError> {
        match self.next()? {
            (text, Tag::Close) => Ok(text),
            _ => Err(XmlError::Shape("an element inside of a text")),
        }
    }

    /// The values of a `params` that is open, to its end.
    fn parameters(&mut self) -> Result<Vec<Value<'a>>, XmlError> {
        let mut values = Vec::new();
        loop {
            match self.next_tag()? {
                Tag::Open("param") => {
                    self.enter("value")?;
                    values.push(self.value()?);
                    self.leave()?;
                }
                Tag::Close => return Ok(values),
                _ => return Err(XmlError::Shape("a parameter that is none")),
            }
        }
    }

    /// The value of a `value` that is open, to its end.
    fn value(&mut self) -> Result<Value<'a>, XmlError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(XmlError::Values);
        }
        let kind = match self.next()? {
            (text, Tag::Close) => return Ok(Value::Text(text)),
            (text, Tag::Open(kind)) => {
                is_blank(&text)?;
                kind
            }
            (_, Tag::End) => return Err(XmlError::Shape("it ends too early")),
        };
        let value = match kind {
            "array" => self.array()?,
            "struct" => self.members()?,
            _ => scalar(kind, self.leaf()?)?,
        };
        self.leave()?;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value<'a>, XmlError> {
        self.enter("data")?;
        let mut values = Vec::new();
        loop {
            match self.next_tag()? {
                Tag::Open("value") => values.push(self.value()?),
                Tag::Close => break,
                _ => return Err(XmlError::Shape("an array of something else than values")),
            }
        }
        self.leave()?;
        Ok(Value::Array(values))
    }

    fn members(&mut self) -> Result<Value<'a>, XmlError> {
        let mut members = Vec::new();
        loop {
            match self.next_tag()? {
                Tag::Open("member") => {
                    self.enter("name")?;
                    let name = self.leaf()?;
                    self.enter("value")?;
                    members.push((name, self.value()?));
                    self.leave()?;
                }
                Tag::Close => return Ok(Value::Struct(members)),
                _ => return Err(XmlError::Shape("a struct of something else than members")),
            }
        }
    }
}

/// The elements of XML-RPC.
const ELEMENTS: [&str; 21] = [
    "value",
    "string",
    "param",
    "params",
    "int",
    "i4",
    "i8",
    "boolean",
    "double",
    "base64",
    "nil",
    "array",
    "data",
    "struct",
    "member",
    "name",
    "fault",
    "methodCall",
    "methodName",
    "methodResponse",
    "dateTime.iso8601",
];

/// The name of an element, or nothing for one that XML-RPC lacks.
fn known(name: &[u8]) -> &'static str {
    let mut elements = ELEMENTS.iter();
    elements
        .find(|known| known.as_bytes() == name)
        .unwrap_or(&"")
}

fn scalar<'a>(kind: &str, text: Cow<'a, str>) -> Result<Value<'a>, XmlError> {
    let wrong = || XmlError::Shape("a value that is not of its type");
    Ok(match kind {
        "string" => Value::Text(text),
        "int" | "i4" | "i8" => Value::Int(text.trim().parse().map_err(|_| wrong())?),
        "boolean" => match text.trim() {
            "0" => Value::Bool(false),
            "1" => Value::Bool(true),
            _ => return Err(wrong()),
        },
        "double" => Value::Double(text.trim().parse().map_err(|_| wrong())?),
        "base64" => {
            let bytes = decode_lines(&text).ok_or_else(wrong)?;
            Value::Bytes(bytes)
        }
        "nil" if text.trim().is_empty() => Value::Nil,
        _ => return Err(XmlError::Shape("a value of an unknown type")),
    })
}

/// Base64 in lines, as Python writes it.
fn decode_lines(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    data_encoding::BASE64.decode(&digits).ok()
}

/// The character that a reference stands for: by its number, or one of the five that XML names.
fn referenced(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, XmlError> {
    let character = match &reference[..] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => reference
            .resolve_char_ref()
            .ok()
            .flatten()
            .ok_or(XmlError::Entity)?,
    };
    Ok(character.into())
}

fn check_encoding(declaration: &quick_xml::events::BytesDecl<'_>) -> Result<(), XmlError> {
    let is_ours = match declaration.encoding() {
        None => true,
        Some(Ok(name)) => {
            name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"us-ascii")
        }
        Some(Err(_)) => false,
    };
    is_ours.then_some(()).ok_or(XmlError::Encoding)
}

fn is_blank(text: &str) -> Result<(), XmlError> {
    let is_blank = text.bytes().all(|byte| byte.is_ascii_whitespace());
    let error = XmlError::Shape("a text where there is none");
    is_blank.then_some(()).ok_or(error)
}
