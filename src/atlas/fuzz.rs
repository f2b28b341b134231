//! What the fuzzer calls (`tests/fuzz`): compiled for it alone.

use super::message::Request;
use super::{answer, reply, xml};
use crate::hash::ZonefileHash;

/// Takes bytes as the call of a stranger, as the reply of one, and as the JSON in a reply: each is read or refused, and a call
/// that was read can be written and read again.
///
/// # Panics
///
/// If it comes back as another one.
pub fn document_of_stranger(bytes: &[u8]) {
    match Request::read(bytes) {
        Ok(request) => {
            let document = request.to_document();
            assert_eq!(Request::read(document.as_bytes()), Ok(request));
        }
        Err(refusal) => {
            let document = refusal.to_document();
            xml::read_response(document.as_bytes()).expect("our own document");
        }
    }
    take_reply(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        take_reply(answer::refuse(text, 400).as_bytes());
        take_reply(xml::write_text_response(text).as_bytes());
    }
}

fn take_reply(document: &[u8]) {
    let _ = reply::info(document);
    let _ = reply::inventory(document);
    let _ = reply::peers(document);
    let _ = reply::saved(document, 1);
    let asked = [ZonefileHash::of(b"a"), ZonefileHash::of(b"b")];
    if let Ok(files) = reply::zonefiles(document, &asked) {
        let is_right = |(hash, bytes): &(ZonefileHash, Vec<u8>)| ZonefileHash::of(bytes) == *hash;
        assert!(files.iter().all(is_right), "a file of another hash");
    }
}
