//! A delegation inside of a server's certificate: what the name's own key says about the key that the certificate shows.
//!
//! The extension is not critical, so that programs that do not know it take the certificate as any other. Its content is the
//! text of [`crate::tlsa::delegation`] as a UTF8String (X.690 §8.23).

use rcgen::CustomExtension;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tlsa::delegation::OID;

/// The tag of a UTF8String.
const UTF8_STRING: u8 = 0x0c;
/// Longest text that is read, in bytes.
const TEXT_MAX: usize = 4_096;

/// The extension with a text; `None` if it is too long for one.
pub(super) fn extension(text: &str) -> Option<CustomExtension> {
    let length = u16::try_from(text.len()).ok()?;
    let head = [UTF8_STRING, 0x82, (length >> 8) as u8, length as u8];
    let head = match text.len() {
        0..=127 => vec![UTF8_STRING, length as u8],
        128..=255 => vec![UTF8_STRING, 0x81, length as u8],
        256..=TEXT_MAX => head.to_vec(),
        _ => return None,
    };
    let content = [&head, text.as_bytes()].concat();
    Some(CustomExtension::from_oid_content(&OID, content))
}

/// The text of the delegation in a certificate, not judged.
pub fn delegation_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut extensions = certificate.extensions().iter();
    let found = extensions.find(|it| it.oid.iter().is_some_and(|arcs| arcs.eq(OID)))?;
    let (tag, rest) = found.value.split_first()?;
    let text = match rest {
        [0x82, high, low, text @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            Some(text).filter(|text| text.len() == length)
        }
        [0x81, length, text @ ..] | [length, text @ ..] => {
            Some(text).filter(|text| text.len() == usize::from(*length))
        }
        [] => None,
    }?;
    let is_text = *tag == UTF8_STRING && text.len() <= TEXT_MAX;
    let text = std::str::from_utf8(text).ok().filter(|_| is_text);
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn carried(content: Option<CustomExtension>) -> Option<String> {
        let mut params = CertificateParams::new(vec!["me.id".to_owned()]).expect("a name");
        params.custom_extensions.extend(content);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        delegation_in(certificate.der())
    }

    #[test]
    fn a_text_comes_back_as_it_was_put_in() {
        for length in [0, 1, 127, 128, 255, 256, 700, TEXT_MAX] {
            let text = "x".repeat(length);
            assert_eq!(carried(extension(&text)), Some(text), "{length}");
        }
        assert!(extension(&"x".repeat(TEXT_MAX + 1)).is_none());
        assert_eq!(carried(None), None);
    }

    #[test]
    fn other_contents_are_no_text() {
        for content in [
            &[][..],
            &[UTF8_STRING],
            &[UTF8_STRING, 2, b'x'],
            &[UTF8_STRING, 1, 0xff],
            &[UTF8_STRING, 0x82, 0],
            &[0x04, 1, b'x'],
        ] {
            let extension = CustomExtension::from_oid_content(&OID, content.to_vec());
            assert_eq!(carried(Some(extension)), None, "{content:?}");
        }
    }
}
