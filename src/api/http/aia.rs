//! Where browsers look for the issuer of a certificate: the path that stands in every leaf in the world.

use axum::body::Body;
use axum::response::Response;
use data_encoding::BASE64;
use utoipa::PartialSchema as _;

use super::answer::{Api, Refusal, response};
use super::endpoint::{Call, Endpoint, Parameter, Place};
use crate::api::trust::AuthorityRequest;

/// Of a certificate in DER (RFC 2585 §4.1).
const MEDIA_TYPE: &str = "application/pkix-cert";
/// Whose authority it is.
const NAME: Parameter = Parameter {
    name: "name",
    place: Place::Path,
    meaning: "A name of the chain.",
    schema: String::schema,
    example: "werner.id",
};
/// Which one.
const FILE: Parameter = Parameter {
    name: "file",
    place: Place::Path,
    meaning: "`SPKI-SHA256.cer`: the SHA-256 of the authority's SubjectPublicKeyInfo in lower-case hexadecimal.",
    schema: String::schema,
    example: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.cer",
};

/// The endpoint.
pub fn endpoint() -> Endpoint {
    Endpoint::bytes(
        "/aia/{name}/{file}",
        "The certificate of a name's authority, for browsers; held for up to 9 s until the chain has the key.",
        &[NAME, FILE],
        MEDIA_TYPE,
        authority,
    )
}

async fn authority(api: Api, call: Call) -> Result<Response<Body>, Refusal> {
    let request = AuthorityRequest {
        name: call.text(&NAME)?.to_owned(),
        file: call.text(&FILE)?.to_owned(),
    };
    let reply = api.ask(request).await?;
    let certificate = reply.certificate.as_deref().unwrap_or_default();
    match BASE64.decode(certificate.as_bytes()) {
        Ok(der) if !der.is_empty() => Ok(response(MEDIA_TYPE, der)),
        _ => Err(Refusal::not_found("the name binds no such key")),
    }
}
