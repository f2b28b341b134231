//! The row of the table of endpoints: a path, what it takes and replies, and who replies.

use std::collections::HashMap;
use std::future::Future;

use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use hyper::StatusCode;
use serde::Serialize;
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::answer::{Api, Refusal, json_response, response};
use super::query::Query;

/// The status of a reply, as the document writes it.
const OK: &str = "200";

/// A path and everything about it.
pub struct Endpoint {
    /// With parameters in braces: `/v1/names/{name}`.
    pub path: &'static str,
    /// Who replies.
    pub method: MethodRouter<Api>,
    /// What the document says.
    pub operation: Operation,
    /// The types that it names.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

/// Something that a request says.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name, in the braces of the path or in the query.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it means.
    pub meaning: &'static str,
    /// What a value looks like.
    pub schema: fn() -> RefOr<Schema>,
    /// One that makes sense.
    pub example: &'static str,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query, and has to be there.
    Query,
    /// In the query, and may be left out.
    OptionalQuery,
}

/// What a request says, by the names of parameters.
#[derive(Debug, Default)]
pub struct Call {
    path: HashMap<String, String>,
    query: Query,
}

impl Call {
    fn read(path: &RawPathParams, query: Option<&str>) -> Result<Self, Refusal> {
        let path = path.iter();
        Ok(Self {
            path: path
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            query: Query::read(query.unwrap_or_default())?,
        })
    }

    /// What stands for a parameter; an error if it has to be there and is not.
    pub fn text(&self, parameter: &Parameter) -> Result<&str, Refusal> {
        let missing = || Refusal::bad(format!("{}= argument required", parameter.name));
        self.optional(parameter).ok_or_else(missing)
    }

    /// What stands for a parameter that may be left out.
    pub fn optional(&self, parameter: &Parameter) -> Option<&str> {
        match parameter.place {
            Place::Path => self.path.get(parameter.name).map(String::as_str),
            Place::Query | Place::OptionalQuery => self.query.get(parameter.name),
        }
    }
}

impl Endpoint {
    /// One that replies with JSON of the type that `reply` returns.
    pub fn json<T, F, R>(
        path: &'static str,
        meaning: &'static str,
        parameters: &[Parameter],
        reply: F,
    ) -> Self
    where
        T: Serialize + ToSchema + 'static,
        F: Fn(Api, Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        Self::response::<T, _, _>(path, meaning, parameters, move |api, call| {
            let reply = reply(api, call);
            async move { Ok(json_response(&reply.await?)) }
        })
    }

    /// One that makes its response itself, as a rule with JSON of the type `T`.
    pub fn response<T, F, R>(
        path: &'static str,
        meaning: &'static str,
        parameters: &[Parameter],
        reply: F,
    ) -> Self
    where
        T: ToSchema,
        F: Fn(Api, Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        let mut endpoint = Self::new(path, meaning, parameters, reply);
        let schema = endpoint.name_type::<T>();
        endpoint.documents(OK, "what was asked for", "application/json", schema);
        endpoint
    }

    /// The same, and the bytes of a media type instead of JSON if they are asked for.
    pub fn or_bytes(mut self, media_type: &str) -> Self {
        self.documents(OK, "what was asked for", media_type, String::schema());
        self
    }

    /// One that replies with a text.
    pub fn text<F, R>(
        path: &'static str,
        meaning: &'static str,
        media_type: &'static str,
        reply: F,
    ) -> Self
    where
        F: Fn(Api, Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<String, Refusal>> + Send + 'static,
    {
        let mut endpoint = Self::new(path, meaning, &[], move |api, call| {
            let reply = reply(api, call);
            async move { Ok(response(media_type, reply.await?)) }
        });
        let schema = String::schema();
        endpoint.documents(OK, "what was asked for", media_type, schema);
        endpoint
    }

    /// One that replies with the bytes of a media type.
    pub fn bytes<F, R>(
        path: &'static str,
        meaning: &'static str,
        parameters: &[Parameter],
        media_type: &'static str,
        reply: F,
    ) -> Self
    where
        F: Fn(Api, Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        let mut endpoint = Self::new(path, meaning, parameters, reply);
        endpoint.documents(OK, "what was asked for", media_type, String::schema());
        endpoint
    }

    /// The same, and a reply of another type with another status.
    pub fn or<T: ToSchema>(mut self, status: StatusCode, meaning: &str) -> Self {
        let schema = self.name_type::<T>();
        self.documents(status.as_str(), meaning, "application/json", schema);
        self
    }

    fn new<F, R>(
        path: &'static str,
        meaning: &'static str,
        parameters: &[Parameter],
        reply: F,
    ) -> Self
    where
        F: Fn(Api, Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        let handle =
            async move |State(api): State<Api>, path: Result<RawPathParams, _>, RawQuery(query)| {
                let path = path.map_err(|_| Refusal::bad("the path is no percent-encoded UTF-8"));
                let call = path.and_then(|path| Call::read(&path, query.as_deref()));
                let response = match call {
                    Ok(call) => reply(api, call).await,
                    Err(refusal) => Err(refusal),
                };
                response.unwrap_or_else(Refusal::into_response)
            };
        let mut operation = OperationBuilder::new().summary(Some(meaning));
        for parameter in parameters {
            operation = operation.parameter(parameter.documented());
        }
        let mut endpoint = Self {
            path,
            method: get(handle),
            operation: operation.build(),
            schemas: Vec::new(),
        };
        let schema = endpoint.name_type::<Refused>();
        endpoint.documents(
            "default",
            "why there is no other reply",
            "application/json",
            schema,
        );
        endpoint
    }

    /// The schema of a type, which is noted under its name if it has one.
    fn name_type<T: ToSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        let schema = T::schema();
        let has_name = match &schema {
            RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
            RefOr::T(Schema::AllOf(_) | Schema::OneOf(_)) => true,
            _ => false,
        };
        if !has_name {
            return schema; // lists, maps and plain values
        }
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), schema));
        Ref::from_schema_name(name).into()
    }

    fn documents(&mut self, status: &str, meaning: &str, media_type: &str, schema: RefOr<Schema>) {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let responses = &mut self.operation.responses.responses;
        if let Some(RefOr::T(known)) = responses.get_mut(status) {
            known.content.insert(media_type.to_owned(), content.into());
            return;
        }
        let response = ResponseBuilder::new()
            .description(meaning)
            .content(media_type, content);
        responses.insert(status.to_owned(), response.build().into());
    }
}

impl Parameter {
    fn documented(&self) -> utoipa::openapi::path::Parameter {
        let (place, required) = match self.place {
            Place::Path => (ParameterIn::Path, Required::True),
            Place::Query => (ParameterIn::Query, Required::True),
            Place::OptionalQuery => (ParameterIn::Query, Required::False),
        };
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(place)
            .required(required)
            .description(Some(self.meaning))
            .schema(Some((self.schema)()))
            .example(Some(self.example.into()))
            .build()
    }
}

/// Why there is no other reply.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    /// One sentence that says what to do.
    error: String,
}
