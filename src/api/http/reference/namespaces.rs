//! Namespaces, and the names in one.

use super::{NAMESPACE, PAGE, page};
use crate::api::http::answer::{Api, Refusal};
use crate::api::http::endpoint::{Call, Endpoint};
use crate::api::names::{NamespacesRequest, PageRequest};
use crate::api::records::RecordsRequest;
use crate::bns::NamespaceId;
use crate::names::{NamespaceRow, NamespaceState, Record};

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::json("/v1/namespaces", "The namespaces that are open.", &[], list),
        Endpoint::json(
            "/v1/namespaces/{namespace}",
            "The rules of a namespace.",
            &[NAMESPACE],
            info,
        ),
        Endpoint::json(
            "/v1/namespaces/{namespace}/names",
            "A page of the names in a namespace.",
            &[NAMESPACE, PAGE],
            names,
        ),
    ]
}

async fn list(api: Api, _call: Call) -> Result<Vec<String>, Refusal> {
    let namespaces = api.ask(NamespacesRequest {}).await?.namespaces.into_iter();
    let open = namespaces.filter(|row| row.state == NamespaceState::Ready);
    Ok(open.map(|row| row.id.to_string()).collect())
}

async fn info(api: Api, call: Call) -> Result<NamespaceRow, Refusal> {
    row(&api, id(&call)?).await
}

async fn names(api: Api, call: Call) -> Result<Vec<String>, Refusal> {
    let (id, page) = (id(&call)?, page(&call, &PAGE)?);
    let namespace = row(&api, id).await?.namespace_id;
    let request = PageRequest {
        namespace: Some(namespace),
        expired: false,
        page,
    };
    let names = api.ask(request).await?.names;
    Ok(names.iter().map(ToString::to_string).collect())
}

/// The id that is asked for.
pub fn id(call: &Call) -> Result<NamespaceId, Refusal> {
    let id = call.text(&NAMESPACE)?.parse();
    id.map_err(|_| Refusal::bad("Invalid namespace"))
}

/// The row of a namespace that was revealed.
async fn row(api: &Api, id: NamespaceId) -> Result<NamespaceRow, Refusal> {
    let request = RecordsRequest {
        namespace: Some(id.to_string()),
        ..RecordsRequest::default()
    };
    let records = api.ask(request).await?.records.into_iter();
    let mut rows = records.filter_map(|row| match row.record {
        Record::Namespace(row) => Some(*row),
        Record::Name(_) | Record::Preorder(_) => None,
    });
    rows.next()
        .ok_or_else(|| Refusal::not_found("No such namespace"))
}
