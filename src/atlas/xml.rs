//! XML-RPC as Python's `xmlrpc` speaks it: a call or a response in a document.
//!
//! Only what XML-RPC needs of XML is read. A document type, a processing instruction, a name that stands for a text other
//! than the five of XML, another encoding than UTF-8, and elements deeper than [`DEPTH_MAX`] are refused, so that no document
//! grows while it is read. Texts are borrowed from the document where they hold no reference.

use std::borrow::Cow;
use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements inside of each other.
pub(super) const DEPTH_MAX: usize = 16;
/// Values in a document; a call has a hundred hashes at most.
const VALUES_MAX: usize = 1_024;
/// What begins every document that is written.
const DECLARATION: &str = "<?xml version='1.0'?>\n";

/// A value of XML-RPC. Dates are none of ours.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// `nil`, which the specification lacks.
    Nil,
    /// `int`, `i4` or `i8`.
    Int(i64),
    /// `boolean`.
    Bool(bool),
    /// `double`.
    Double(f64),
    /// `string`, or a text without a type.
    Text(Cow<'a, str>),
    /// `base64`.
    Bytes(Vec<u8>),
    /// `array`.
    Array(Vec<Value<'a>>),
    /// `struct`.
    Struct(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// What a server says to a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Response<'a> {
    /// Its one value.
    Value(Value<'a>),
    /// Why there is none.
    Fault {
        /// A number.
        code: i64,
        /// The same in words.
        text: Cow<'a, str>,
    },
}

/// Why a document is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum XmlError {
    #[error("not UTF-8")]
    Encoding,
    #[error("no XML: {0}")]
    Syntax(String),
    #[error("a document type or processing instruction, which no call needs")]
    Directive,
    #[error("an unknown entity")]
    Entity,
    #[error("elements deeper than {DEPTH_MAX}")]
    Depth,
    #[error("more than {VALUES_MAX} values")]
    Values,
    #[error("no XML-RPC: {0}")]
    Shape(&'static str),
}

impl From<quick_xml::Error> for XmlError {
    fn from(error: quick_xml::Error) -> Self {
        Self::Syntax(error.to_string())
    }
}

/// The method and parameters of a call.
pub(super) fn read_call(bytes: &[u8]) -> Result<(Cow<'_, str>, Vec<Value<'_>>), XmlError> {
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
pub(super) fn read_response(bytes: &[u8]) -> Result<Response<'_>, XmlError> {
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

/// A call as a document.
pub(super) fn write_call(method: &str, parameters: &[Value<'_>]) -> String {
    let mut out = String::from(DECLARATION);
    out.push_str("<methodCall><methodName>");
    escape(method, &mut out);
    out.push_str("</methodName><params>");
    for parameter in parameters {
        out.push_str("<param>");
        write_value(parameter, &mut out);
        out.push_str("</param>");
    }
    out.push_str("</params></methodCall>");
    out
}

/// What stands before and after the one text of a response.
const TEXT_RESPONSE: [&str; 2] = [
    "<methodResponse><params><param><value><string>",
    "</string></value></param></params></methodResponse>",
];

/// A response of one text that `write` appends, in which nothing has to be escaped. `size` is how long it is about.
pub(super) fn write_text_response(size: usize, write: impl FnOnce(&mut String)) -> String {
    let [before, after] = TEXT_RESPONSE;
    let mut out = String::with_capacity(DECLARATION.len() + before.len() + size + after.len());
    out.push_str(DECLARATION);
    out.push_str(before);
    write(&mut out);
    out.push_str(after);
    out
}

/// A fault as a document.
pub(super) fn write_fault(code: i64, text: &str) -> String {
    let mut out = String::from(DECLARATION);
    out.push_str("<methodResponse><fault>");
    let fault = Value::Struct(vec![
        ("faultCode".into(), Value::Int(code)),
        ("faultString".into(), Value::Text(text.into())),
    ]);
    write_value(&fault, &mut out);
    out.push_str("</fault></methodResponse>");
    out
}

fn write_value(value: &Value<'_>, out: &mut String) {
    out.push_str("<value>");
    match value {
        Value::Nil => out.push_str("<nil/>"),
        Value::Int(number) => {
            // Larger ones have a type that the specification lacks.
            let kind = if i32::try_from(*number).is_ok() {
                "int"
            } else {
                "i8"
            };
            let _ = write!(out, "<{kind}>{number}</{kind}>"); // a text takes all
        }
        Value::Bool(is) => {
            let _ = write!(out, "<boolean>{}</boolean>", u8::from(*is));
        }
        Value::Double(number) => {
            let _ = write!(out, "<double>{number:?}</double>");
        }
        Value::Text(text) => {
            out.push_str("<string>");
            escape(text, out);
            out.push_str("</string>");
        }
        Value::Bytes(bytes) => {
            out.push_str("<base64>");
            data_encoding::BASE64.encode_append(bytes, out);
            out.push_str("</base64>");
        }
        Value::Array(values) => {
            out.push_str("<array><data>");
            values.iter().for_each(|value| write_value(value, out));
            out.push_str("</data></array>");
        }
        Value::Struct(members) => write_struct(members, out),
    }
    out.push_str("</value>");
}

fn write_struct(members: &[(Cow<'_, str>, Value<'_>)], out: &mut String) {
    out.push_str("<struct>");
    for (name, value) in members {
        out.push_str("<member><name>");
        escape(name, out);
        out.push_str("</name>");
        write_value(value, out);
        out.push_str("</member>");
    }
    out.push_str("</struct>");
}

/// Appends a text. A carriage return would come back as a line feed (XML 1.0 §2.11).
pub(super) fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '\r']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        out.push_str(match special.as_bytes()[0] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => "&#13;",
        });
        rest = &special[1..];
    }
    out.push_str(rest);
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

// ---- reading --------------------------------------------------------------------------------------------

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Python 3's `xmlrpc.client.dumps` writes it.
    const PYTHON: &[u8] = b"<?xml version='1.0'?>\n<methodCall>\n<methodName>put</methodName>\n<params>\n\
        <param>\n<value><array><data>\n<value><string>a &lt;&amp;&gt; \"b\"</string></value>\n\
        <value><int>-7</int></value>\n<value><boolean>1</boolean></value>\n<value><nil/></value>\n\
        <value><double>1.5</double></value>\n<value><base64>\n/w==\n</base64></value>\n</data></array></value>\n\
        </param>\n<param>\n<value><struct>\n<member>\n<name>k</name>\n<value>bare</value>\n</member>\n\
        </struct></value>\n</param>\n</params>\n</methodCall>\n";

    fn text(text: &str) -> Value<'static> {
        Value::Text(text.to_owned().into())
    }

    #[test]
    fn what_python_writes_is_read() {
        let (method, parameters) = read_call(PYTHON).expect("a call");
        let list = vec![
            text("a <&> \"b\""),
            Value::Int(-7),
            Value::Bool(true),
            Value::Nil,
            Value::Double(1.5),
            Value::Bytes(vec![0xff]),
        ];
        let members = vec![("k".into(), text("bare"))];
        assert_eq!(method, "put");
        assert_eq!(parameters, [Value::Array(list), Value::Struct(members)]);
        let (_, parameters) =
            read_call(b"<methodCall><methodName>ping</methodName></methodCall>").expect("a call");
        assert!(parameters.is_empty());
    }

    #[test]
    fn texts_without_references_are_borrowed() {
        let document = write_text_response(9, |out| out.push_str("{\"a\": 1}"));
        let Ok(Response::Value(Value::Text(Cow::Borrowed(text)))) =
            read_response(document.as_bytes())
        else {
            panic!("{document}");
        };
        assert_eq!(text, "{\"a\": 1}");
    }

    #[test]
    fn a_fault_comes_back() {
        let fault = write_fault(-32_601, "no <such> method");
        let read = read_response(fault.as_bytes()).expect("a fault");
        let text = "no <such> method".into();
        assert_eq!(
            read,
            Response::Fault {
                code: -32_601,
                text
            }
        );
    }

    #[test]
    fn nothing_grows_and_nothing_is_deep() {
        let call = |inside: &str| {
            let text = format!(
                "<methodCall><methodName>a</methodName><params><param>{inside}</param></params></methodCall>"
            );
            read_call(text.as_bytes()).map(|_| ()).expect_err(inside)
        };
        let laughs = b"<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><methodCall><methodName>&b;</methodName></methodCall>";
        assert_eq!(read_call(laughs), Err(XmlError::Directive));
        assert_eq!(
            read_call(b"<?php 1?><methodCall/>"),
            Err(XmlError::Directive)
        );
        assert_eq!(call("<value>&b;</value>"), XmlError::Entity);
        assert_eq!(call("<value>&#xffffffff;</value>"), XmlError::Entity);
        let deep = "<value><array><data>".repeat(5);
        assert_eq!(call(&deep), XmlError::Depth);
        let many = "<value/>".repeat(VALUES_MAX + 1);
        assert_eq!(
            call(&format!(
                "<value><array><data>{many}</data></array></value>"
            )),
            XmlError::Values
        );
        let latin = b"<?xml version='1.0' encoding='latin-1'?><methodCall/>";
        assert_eq!(read_call(latin), Err(XmlError::Encoding));
        for wrong in [
            &b""[..],
            b"\xff",
            b"<methodCall>",
            b"<methodCall></methodResponse>",
            b"<methodResponse/>",
            b"<methodCall><methodName>a</methodName></methodCall><methodCall/>",
            b"a<methodCall><methodName>a</methodName></methodCall>",
            b"<methodCall><methodName><b/></methodName></methodCall>",
            b"</methodCall>",
        ] {
            assert!(read_call(wrong).is_err(), "{}", wrong.escape_ascii());
        }
        for wrong in [
            "<value><int>x</int></value>",
            "<value><date/></value>",
            "<int>1</int>",
            "<value>1<int>1</int></value>",
        ] {
            assert!(matches!(call(wrong), XmlError::Shape(_)), "{wrong}");
        }
    }

    /// Values that a document can hold: no character that XML lacks, no number that is none.
    fn value() -> impl Strategy<Value = Value<'static>> {
        let text = "[ -~\\t\\n\\ré€😀]{0,12}";
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            (-1e300..1e300).prop_map(Value::Double),
            text.prop_map(|text| Value::Text(text.into())),
            any::<Vec<u8>>().prop_map(Value::Bytes),
        ];
        // Each level takes up to four elements of the sixteen.
        leaf.prop_recursive(2, 24, 4, move |inner| {
            let member = (text.prop_map(Cow::from), inner.clone());
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
                proptest::collection::vec(member, 0..4).prop_map(Value::Struct),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(method in "[a-z_<&]{1,20}", values in proptest::collection::vec(value(), 0..4)) {
            let document = write_call(&method, &values);
            let (found, read) = read_call(document.as_bytes()).expect("our own");
            prop_assert_eq!((&*found, read), (&*method, values));
        }

        #[test]
        fn no_bytes_panic(start in 0usize..600, bytes in any::<Vec<u8>>()) {
            let start = start.min(PYTHON.len());
            let spoilt = [&PYTHON[..start], &bytes, &PYTHON[start..]].concat();
            for document in [&bytes, &spoilt] {
                let _ = read_call(document);
                let _ = read_response(document);
            }
        }
    }
}
