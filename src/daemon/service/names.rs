//! How names and namespaces stand, and what they cost.

use super::Service;
use super::answered::{Answered, trouble, usage};
use super::explain::operation;
use crate::api::message::{Reply, Request};
use crate::api::names::{
    LABELS_MAX, NAMES_MAX, NameEvent, NameReply, NameRow, NameState, NamesReply, NamesRequest,
    NamespaceReply, NamespaceState, NamespacesReply, PriceReply, PricesReply, PricesRequest,
    TermReply,
};
use crate::bns::address::Address;
use crate::bns::life::Term;
use crate::bns::price::PriceFunction;
use crate::bns::record::{NameRecord, NamespaceRecord, TokenUnits};
use crate::bns::view::View as _;
use crate::bns::{Name, NamespaceId, life, price};
use crate::hash::encode_hex;
use crate::names::{Names, Standing, rfc3339};
use crate::resolver::Snapshots as _;
use crate::store::{Lookup, StoreError, StoreSnapshot};

impl Service {
    /// Replies to a question about names, namespaces or prices.
    pub(super) fn state_of_names(&self, request: Request) -> Answered<Reply> {
        match request {
            Request::Name(request) => {
                let name = name(&request.name)?;
                self.name(&name).map(|reply| Reply::Name(Box::new(reply)))
            }
            Request::Names(request) => self.list(&request).map(Reply::Names),
            Request::Namespace(request) => {
                let id = namespace_id(&request.id)?;
                let snapshot = self.names.store.snapshot();
                let row = snapshot.namespace(&id).map_err(trouble)?;
                Ok(Reply::Namespace(Box::new(
                    self.namespace(&id, row.as_ref()),
                )))
            }
            Request::Namespaces(_) => self.namespaces().map(Reply::Namespaces),
            Request::Prices(request) => self.prices(&request).map(Reply::Prices),
            _ => Err(usage("this request is answered elsewhere")),
        }
    }
}

impl Service {
    fn name(&self, name: &Name) -> Answered<NameReply> {
        let names = self.names.snapshot();
        let snapshot = names.snapshot();
        let versions = self.names.params.addresses;
        let id = name
            .namespace_id()
            .ok_or_else(|| usage(format!("{name} can belong to no namespace")))?;
        let namespace = snapshot.namespace(&id).map_err(trouble)?;
        let mut reply = NameReply {
            name: name.to_string(),
            price: self.price(name, namespace.as_ref()),
            ..NameReply::default()
        };
        let history = snapshot.name_history(name).map_err(trouble)?;
        if let Some(entry) = history.last() {
            reply.operation = Some(operation(entry.record.op).to_owned());
            reply.txid = Some(entry.record.txid.to_string());
            reply.height = Some(entry.height);
        }
        reply.history = history
            .iter()
            .map(|entry| NameEvent {
                height: entry.height,
                vtxindex: entry.vtxindex,
                txid: entry.record.txid.to_string(),
                operation: operation(entry.record.op).to_owned(),
                owner: entry
                    .record
                    .address()
                    .map(|address| address.encode(versions)),
                zonefile_hash: entry.record.value_hash.map(|hash| hash.to_string()),
            })
            .collect();
        if let Some(record) = snapshot.name(name).map_err(trouble)? {
            self.fill(&mut reply, &record, &names)?;
        }
        Ok(reply)
    }

    fn fill(&self, reply: &mut NameReply, record: &NameRecord, names: &Names) -> Answered<()> {
        let row = self.row(record, names)?;
        reply.state = row.state;
        reply.owner = row.owner;
        reply.owner_script = Some(encode_hex(&record.sender));
        reply.zonefile_hash = row.zonefile_hash;
        reply.term = row.term;
        if let Some(hash) = &record.value_hash {
            let found = self.names.archive.get(hash).map_err(trouble)?;
            reply.zonefile_present = matches!(found, Lookup::Found(_));
        }
        reply.first_registered = Some(record.first_registered);
        reply.last_renewed = Some(record.last_renewed);
        reply.imported = record.is_imported();
        Ok(())
    }

    fn row(&self, record: &NameRecord, names: &Names) -> Answered<NameRow> {
        let state = names.state(record).map_err(trouble)?;
        let versions = self.names.params.addresses;
        Ok(NameRow {
            name: record.name.to_string(),
            state: match state.standing {
                Standing::Registered => NameState::Registered,
                Standing::Grace => NameState::Grace,
                Standing::Revoked => NameState::Revoked,
                Standing::Expired => NameState::Free,
            },
            owner: record.address().map(|address| address.encode(versions)),
            zonefile_hash: record.value_hash.map(|hash| hash.to_string()),
            term: term_reply(names, &state.term).map_err(trouble)?,
        })
    }

    /// What the name costs in the next block, and whom it is paid to (sm §7.3).
    fn price(&self, name: &Name, namespace: Option<&NamespaceRecord>) -> Option<PriceReply> {
        let namespace = namespace?;
        let (params, next) = (&self.names.params, self.next());
        let epoch = params.epoch(next);
        let period = u64::from(epoch.namespace_receive_fees_period);
        let to_creator =
            namespace.version == 2 && u64::from(namespace.reveal_block) + period >= u64::from(next);
        let pay_to = if to_creator {
            namespace.address
        } else {
            params.burn_address
        };
        let tokens = epoch.features.nameops_cost_tokens;
        let (satoshi, micro_stacks) = if namespace.version == 3 {
            let price = price::name_price_in_version_3(&namespace.price, name.label());
            (None, price.to_u64())
        } else {
            let price = price::name_price(&namespace.price, name.label(), params, epoch);
            let stacks = price::name_price_in_stacks(price).to_u64();
            (price.least_fee(), stacks.filter(|_| tokens && !to_creator))
        };
        Some(PriceReply {
            satoshi,
            micro_stacks,
            pay_to: pay_to.encode(params.addresses),
        })
    }

    fn list(&self, request: &NamesRequest) -> Answered<NamesReply> {
        let names = self.names.snapshot();
        let wanted = self.wanted(names.snapshot(), request)?;
        let last = wanted.records.last().map(|record| record.name.to_string());
        let until = request
            .expiring_within
            .map(|blocks| self.next().saturating_add(blocks));
        let mut rows = Vec::new();
        for record in &wanted.records {
            let state = names.state(record).map_err(trouble)?;
            let due = state.term.due();
            let is_asked = until.is_none_or(|until| due.is_some_and(|due| due <= until));
            if state.standing != Standing::Expired && is_asked {
                rows.push(self.row(record, &names)?);
            }
        }
        Ok(NamesReply {
            names: rows,
            next: last.filter(|_| wanted.more),
        })
    }

    fn wanted(&self, snapshot: &StoreSnapshot, request: &NamesRequest) -> Answered<Wanted> {
        if request.owners.is_empty() {
            let after = request.after.as_deref().map(name).transpose()?;
            let records = snapshot.names(after.as_ref(), NAMES_MAX).map_err(trouble)?;
            let more = records.len() == NAMES_MAX;
            return Ok(Wanted { records, more });
        }
        let mut records = Vec::new();
        for owner in &request.owners {
            let address = self.address(owner)?;
            for name in snapshot
                .names_of_sender(&address.script())
                .map_err(trouble)?
            {
                records.extend(snapshot.name(&name).map_err(trouble)?);
                if records.len() >= NAMES_MAX {
                    return Ok(Wanted {
                        records,
                        more: false,
                    });
                }
            }
        }
        Ok(Wanted {
            records,
            more: false,
        })
    }

    fn address(&self, text: &str) -> Answered<Address> {
        Address::decode(text, self.names.params.addresses)
            .ok_or_else(|| usage(format!("{text:?} is no address of this network")))
    }
}

struct Wanted {
    records: Vec<NameRecord>,
    more: bool,
}

impl Service {
    fn namespaces(&self) -> Answered<NamespacesReply> {
        let rows = self.names.store.snapshot().namespaces().map_err(trouble)?;
        let namespaces = rows
            .iter()
            .map(|row| self.namespace(&row.namespace_id, Some(row)));
        Ok(NamespacesReply {
            namespaces: namespaces.collect(),
        })
    }

    fn namespace(&self, id: &NamespaceId, row: Option<&NamespaceRecord>) -> NamespaceReply {
        let (params, next) = (&self.names.params, self.next());
        let epoch = params.epoch(next);
        let tokens = epoch.features.stacks_buy_namespaces;
        let price = |units| price::namespace_price(id, epoch, units);
        let mut reply = NamespaceReply {
            id: id.to_string(),
            price: PriceReply {
                satoshi: price(TokenUnits::Btc),
                micro_stacks: price(TokenUnits::Stacks).filter(|_| tokens),
                pay_to: params.burn_address.encode(params.addresses),
            },
            ..NamespaceReply::default()
        };
        let Some(row) = row else {
            return reply;
        };
        reply.state = if life::is_ready(row) {
            NamespaceState::Ready
        } else if life::is_revealed(params, row, next.saturating_sub(1)) {
            NamespaceState::Revealed
        } else {
            NamespaceState::Free
        };
        reply.version = Some(row.version);
        reply.lifetime = Some(row.lifetime);
        reply.prices = Some(row.price.into());
        reply.payer = Some(row.address.encode(params.addresses));
        reply.revealer = Some(row.recipient_address.encode(params.addresses));
        reply.reveal_block = Some(row.reveal_block);
        reply.ready_block = Some(row.ready_block).filter(|_| life::is_ready(row));
        reply.lapses_at = Some(
            row.reveal_block
                .saturating_add(params.namespace_reveal_expire),
        )
        .filter(|_| !life::is_ready(row));
        reply
    }
}

impl Service {
    /// Prices by the arithmetic of the next block's epoch (sm §7.1).
    fn prices(&self, request: &PricesRequest) -> Answered<PricesReply> {
        if request.labels.len() > LABELS_MAX {
            return Err(usage(format!(
                "at most {LABELS_MAX} labels can be asked for at once"
            )));
        }
        let function: PriceFunction = request.function.into();
        if function.nonalpha_discount == 0 || function.no_vowel_discount == 0 {
            return Err(usage("a discount is 1 to 15"));
        }
        let params = &self.names.params;
        let epoch = params.epoch(self.next());
        let in_tokens = request.version == 3;
        let price = |label: &String| {
            if in_tokens {
                price::name_price_in_version_3(&function, label).to_u64()
            } else {
                price::name_price(&function, label, params, epoch).least_fee()
            }
        };
        Ok(PricesReply {
            unit: if in_tokens { "µSTX" } else { "satoshi" }.to_owned(),
            prices: request.labels.iter().map(price).collect(),
        })
    }
}

/// The end of a name with its dates.
pub(super) fn term_reply(names: &Names, term: &Term) -> Result<TermReply, StoreError> {
    let date = |height: Option<u32>| -> Result<Option<String>, StoreError> {
        let seconds = height.map(|height| names.date(height)).transpose()?;
        Ok(seconds.flatten().map(rfc3339))
    };
    Ok(TermReply {
        grace_start: term.grace_start,
        grace_start_estimated: date(term.grace_start)?,
        last_resolves: term.last_resolves,
        last_resolves_estimated: date(term.last_resolves)?,
        renewal_deadline: term.renewal_deadline,
        renewal_deadline_estimated: date(term.renewal_deadline)?,
        free_from: term.free_from,
        free_from_estimated: date(term.free_from)?,
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
