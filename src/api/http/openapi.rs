//! The OpenAPI document of all endpoints, made from their types and served at `/openapi.json`.

use std::sync::Arc;

use serde::Serialize;
use utoipa::openapi::path::{HttpMethod, PathItem, PathsBuilder};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::endpoint::Endpoint;

/// The endpoint with the document, which lists itself too.
pub fn endpoint(others: &[Endpoint]) -> Endpoint {
    let row = |document: Arc<Document>| {
        let meaning = "This document.";
        Endpoint::json("/openapi.json", meaning, &[], move |_, _| {
            let document = Arc::clone(&document);
            async move { Ok(Shared(document)) }
        })
    };
    let itself = row(Arc::default());
    row(Arc::new(Document(describe(others.iter().chain([&itself])))))
}

/// The document.
pub fn describe<'e>(endpoints: impl Iterator<Item = &'e Endpoint>) -> OpenApi {
    let (mut paths, mut components) = (PathsBuilder::new(), ComponentsBuilder::new());
    for endpoint in endpoints {
        let item = PathItem::new(HttpMethod::Get, endpoint.operation.clone());
        paths = paths.path(endpoint.path, item);
        for (name, schema) in &endpoint.schemas {
            components = components.schema(name, schema.clone());
        }
    }
    let info = InfoBuilder::new()
        .title("bnsd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Names of the Blockchain Name System as this daemon has them. Everything is read-only.",
        ));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

#[derive(Default)]
struct Document(OpenApi);

/// A document that many replies are made from.
#[derive(Serialize)]
#[serde(transparent)]
struct Shared(#[serde(serialize_with = "document")] Arc<Document>);

fn document<S: serde::Serializer>(
    document: &Arc<Document>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    document.0.serialize(serializer)
}

/// Any object: the OpenAPI specification says what is in it.
impl PartialSchema for Shared {
    fn schema() -> RefOr<Schema> {
        serde_json::Value::schema()
    }
}

impl ToSchema for Shared {}
