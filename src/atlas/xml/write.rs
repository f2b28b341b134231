//! Documents as they are written.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Value;

/// What begins every document that is written.
const DECLARATION: &str = "<?xml version='1.0'?>\n";

/// A call as a document.
pub(in crate::atlas) fn write_call(method: &str, parameters: &[Value<'_>]) -> String {
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
const BEFORE_TEXT: &str = "<methodResponse><params><param><value><string>";
const AFTER_TEXT: &str = "</string></value></param></params></methodResponse>";

/// The beginning of a response of one text of about `size` bytes, which are appended as they are.
pub(in crate::atlas) fn open_text_response(size: usize) -> String {
    let around = DECLARATION.len() + BEFORE_TEXT.len() + AFTER_TEXT.len();
    let mut out = String::with_capacity(around + size);
    out.push_str(DECLARATION);
    out.push_str(BEFORE_TEXT);
    out
}

/// Ends it.
pub(in crate::atlas) fn close_text_response(out: &mut String) {
    out.push_str(AFTER_TEXT);
}

/// A response of one text.
pub(in crate::atlas) fn write_text_response(text: &str) -> String {
    let mut out = open_text_response(text.len());
    escape(text, &mut out);
    close_text_response(&mut out);
    out
}

/// A fault as a document.
pub(in crate::atlas) fn write_fault(code: i64, text: &str) -> String {
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
fn escape(text: &str, out: &mut String) {
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
