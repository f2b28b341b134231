//! How names and namespaces stand, and what they cost: the values of the room [`crate::names`] as replies.

use super::Service;
use super::answered::{Answered, trouble, usage};
use crate::api::message::{Reply, Request};
use crate::api::names::{
    LABELS_MAX, NAMES_MAX, NamesRequest, NamespacesReply, PageReply, PageRequest, PricesReply,
    PricesRequest,
};
use crate::api::records::{RecordsReply, RecordsRequest};
use crate::api::subdomain::SubdomainReply;
use crate::bns::address::Address;
use crate::bns::{Name, NamespaceId};
use crate::names::{NameDetails, NameList, NamePage, Names, Selection, Wanted};
use crate::resolver::Snapshots as _;

impl Service {
    /// Replies to a question about names, namespaces or prices.
    pub(super) fn state_of_names(&self, request: Request) -> Answered<Reply> {
        let names = self.names.snapshot();
        match request {
            Request::Name(request) => {
                let mut details = details(&names, &name(&request.name)?)?;
                details.rests_on = self.rests_on();
                Ok(Reply::Name(Box::new(details)))
            }
            Request::Names(request) => self.list(&names, &request).map(Reply::Names),
            Request::Page(request) => page(&names, &request).map(Reply::Page),
            Request::Records(request) => records(&names, &request).map(Reply::Records),
            Request::Subdomain(request) => {
                let reply = subdomain(&names, &request.name)?;
                Ok(Reply::Subdomain(Box::new(reply)))
            }
            Request::Namespace(request) => {
                let details = names.namespace_details(namespace_id(&request.id)?);
                Ok(Reply::Namespace(Box::new(details.map_err(trouble)?)))
            }
            Request::Namespaces(_) => {
                let namespaces = names.namespaces().map_err(trouble)?;
                Ok(Reply::Namespaces(NamespacesReply { namespaces }))
            }
            Request::Prices(request) => prices(&names, &request).map(Reply::Prices),
            _ => Err(usage("this request is answered elsewhere")),
        }
    }

    fn list(&self, names: &Names, request: &NamesRequest) -> Answered<NameList> {
        let owners = request.owners.iter().map(|text| {
            Address::decode(text, self.names.params.addresses)
                .ok_or_else(|| usage(format!("{text:?} is no address of this network")))
        });
        let wanted = Wanted {
            owners: owners.collect::<Answered<_>>()?,
            expiring_within: request.expiring_within,
            after: request.after.as_deref().map(name).transpose()?,
        };
        names.list(&wanted, NAMES_MAX).map_err(trouble)
    }
}

fn page(names: &Names, request: &PageRequest) -> Answered<PageReply> {
    let namespace = request.namespace.as_deref().map(namespace_id).transpose()?;
    let selection = Selection {
        namespace,
        expired: request.expired,
    };
    let NamePage { names, count } = names.page(&selection, request.page).map_err(trouble)?;
    Ok(PageReply { names, count })
}

fn records(names: &Names, request: &RecordsRequest) -> Answered<RecordsReply> {
    let found = match (&request.name, &request.namespace, request.height) {
        (Some(text), None, None) => names.name_rows(&name(text)?, request.page),
        (None, Some(id), None) => {
            let row = names.namespace_row(&namespace_id(id)?);
            row.map(|row| row.into_iter().collect())
        }
        (None, None, Some(height)) => names.rows_of_block(height),
        _ => return Err(usage("say which: a name, a namespace or a height")),
    };
    let records = found.map_err(trouble)?;
    Ok(RecordsReply { records })
}

fn subdomain(names: &Names, text: &str) -> Answered<SubdomainReply> {
    let subdomain = text.parse();
    let subdomain =
        subdomain.map_err(|error| usage(format!("{text:?} is no subdomain: {error}")))?;
    Ok(SubdomainReply {
        current: names.subdomains_are_current().map_err(trouble)?,
        subdomain: names.subdomain_details(&subdomain).map_err(trouble)?,
        missing: names.missing_of(subdomain.name()).map_err(trouble)?,
    })
}

fn details(names: &Names, name: &Name) -> Answered<NameDetails> {
    let details = names.name_details(name).map_err(trouble)?;
    details.ok_or_else(|| usage(format!("{name} can belong to no namespace")))
}

/// Prices by the arithmetic of the next block's epoch (sm §7.1).
fn prices(names: &Names, request: &PricesRequest) -> Answered<PricesReply> {
    let PricesRequest {
        function,
        version,
        labels,
    } = request;
    if labels.len() > LABELS_MAX {
        return Err(usage(format!(
            "at most {LABELS_MAX} labels can be asked for at once"
        )));
    }
    if function.nonalpha_discount == 0 || function.no_vowel_discount == 0 {
        return Err(usage("a discount is 1 to 15"));
    }
    let price = |label: &String| names.label_price(function, *version, label);
    Ok(PricesReply {
        unit: if *version == 3 { "µSTX" } else { "satoshi" }.to_owned(),
        prices: labels.iter().map(price).collect(),
    })
}

fn name(text: &str) -> Answered<Name> {
    text.parse()
        .map_err(|error| usage(format!("{text:?} is no name: {error}")))
}

fn namespace_id(text: &str) -> Answered<NamespaceId> {
    text.parse()
        .map_err(|error| usage(format!("{text:?} is no namespace: {error}")))
}
