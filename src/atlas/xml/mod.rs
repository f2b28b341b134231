//! XML-RPC as Python's `xmlrpc` speaks it: a call or a response in a document.
//!
//! Only what XML-RPC needs of XML is read. A document type, a processing instruction, a name that stands for a text other
//! than the five of XML, another encoding than UTF-8, and elements deeper than [`DEPTH_MAX`] are refused, so that no document
//! grows while it is read. Texts are borrowed from the document where they hold no reference.

mod read;
mod write;

use std::borrow::Cow;

pub(super) use read::{read_call, read_response};
pub(super) use write::{
    close_text_response, open_text_response, write_call, write_fault, write_text_response,
};

/// Elements inside of each other.
const DEPTH_MAX: usize = 16;
/// Values in a document; a call has a hundred hashes at most.
const VALUES_MAX: usize = 1_024;

/// A value of XML-RPC. Dates are none of ours.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::atlas) enum Value<'a> {
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
pub(in crate::atlas) enum Response<'a> {
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
pub(in crate::atlas) enum XmlError {
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
        let document = write_text_response("{\"a\": 1}");
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
