//! What an operation of the name system does, in a sentence, and its fields as JSON.
//!
//! Some operations hide the name that they are about behind a hash. It is told where this machine can know it: from the
//! journal, or because the sender owns a name with that hash.

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use serde::Serialize;

use crate::api::names::NamesRequest;
use crate::bns::address::Address;
use crate::bns::epoch::historical;
use crate::bns::operation::{Action, Burn, NameRenewal, NamespaceReveal, Origin, Recipient};
use crate::bns::price::PriceFunction;
use crate::bns::wire::NameUpdate;
use crate::bns::{Name, Operation, Params, commitment};
use crate::cli::{Context, Result};
use crate::hash::ZonefileHash;
use crate::virtualchain::VirtualTransaction;
use crate::wallet::task::Wallet;
use crate::wallet::task::state::ChainFacts;
use crate::wallet::words::btc;

/// An operation. A field that it does not have, or that is not known here, is left out of the JSON.
#[derive(Debug, Default, Serialize)]
pub(super) struct Described {
    /// In the reference's words; empty if no block would take it.
    pub operation: &'static str,
    /// A sentence without a full stop.
    pub what: String,
    #[serde(flatten)]
    fields: Fields,
}

/// The fields of all operations. Amounts are satoshi.
#[derive(Debug, Default, Serialize)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Who owns the name afterwards, may open the namespace, or gets tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zonefile_hash: Option<ZonefileHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keeps_zonefile: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preorder_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consensus_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    micro_stacks: Option<u64>,
    /// Blocks that a name lives, before the epoch's multiplier.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<PriceFunction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_hash: Option<ZonefileHash>,
}

/// What a transaction asks of the name system, if it asks anything; `spent` are the outputs that it spends, if they are
/// known.
pub(super) fn describe(
    context: &Context,
    wallet: &Wallet<'_>,
    transaction: &Transaction,
    spent: Option<&[TxOut]>,
) -> Result<Option<Described>> {
    let chain = wallet.state.chain()?;
    let inputs = transaction.input.len();
    let candidate = VirtualTransaction {
        vtxindex: 1,
        txid: transaction.compute_txid(),
        transaction: transaction.clone(),
        prevouts: spent.map_or_else(|| vec![somebody(); inputs], <[TxOut]>::to_vec),
    };
    let height = chain.height.unwrap_or_default().saturating_add(1);
    Ok(
        match Operation::parse(&params(wallet, &chain), height, &candidate) {
            None => None,
            Some(Err(reject)) => Some(Described {
                what: format!("an operation that no block takes: {reject}"),
                ..Described::default()
            }),
            Some(Ok(operation)) => {
                let sender = spent.map(|_| &operation.origin);
                let about = hidden(
                    context,
                    wallet,
                    &chain,
                    transaction,
                    sender,
                    &operation.action,
                )?;
                let mut described = Words { wallet, about }.of(&operation.action);
                described.operation = operation.opcode_name();
                described.fields.sender = sender.map(|origin| wallet.text(origin.address));
                Some(described)
            }
        },
    )
}

/// Stands for the owner of a coin that is not known; whom it pays is not shown.
fn somebody() -> TxOut {
    TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes(Address::BURN.script()),
    }
}

/// What reading an operation takes: magic bytes, and the epoch that has the forms that the next block takes.
fn params(wallet: &Wallet<'_>, chain: &ChainFacts) -> Params {
    let epoch = match (chain.names_take_tokens, chain.register_with_value_hash) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 2,
    };
    Params {
        magic: wallet.magic,
        addresses: wallet.versions,
        epochs: vec![historical(epoch, u32::MAX)],
        ..Params::regtest()
    }
}

/// The name or namespace that an operation hides, as far as this machine can tell.
fn hidden(
    context: &Context,
    wallet: &Wallet<'_>,
    chain: &ChainFacts,
    transaction: &Transaction,
    sender: Option<&Origin>,
    action: &Action,
) -> Result<Option<String>> {
    let is_meant: Box<dyn Fn(&Name) -> bool> = match action {
        Action::NameUpdate(NameUpdate { update_hash, .. }) => Box::new(|name| {
            let mut quoted = chain.quotable.iter();
            quoted.any(|hash| commitment::update_hash(name, *hash) == *update_hash)
        }),
        Action::NameTransfer(transfer) => {
            Box::new(|name| name.hash128() == transfer.payload.name_hash128)
        }
        Action::NamePreorder(_) | Action::NamespacePreorder(_) => Box::new(|_| false),
        _ => return Ok(None),
    };
    let normalized = transaction.compute_ntxid();
    let noted = wallet.journal.list()?.into_iter().find(|task| {
        let mut attempts = task.steps.iter().flat_map(|step| &step.attempts);
        attempts.any(|attempt| attempt.normalized().contains(&normalized))
    });
    if let Some(task) = noted {
        let subject = match action {
            Action::NamespacePreorder(_) => task.subject.strip_suffix(".preorder"),
            _ => None,
        };
        return Ok(Some(subject.unwrap_or(&task.subject).to_owned()));
    }
    let Some(sender) = sender else {
        return Ok(None);
    };
    let owned = context.answer(NamesRequest {
        owners: vec![wallet.text(sender.address)],
        ..NamesRequest::default()
    })?;
    let mut names = owned.names.iter().map(|listed| &listed.name);
    Ok(names.find(|name| is_meant(name)).map(ToString::to_string))
}

/// Makes sentences.
struct Words<'w> {
    wallet: &'w Wallet<'w>,
    /// What the operation hides, if it is known.
    about: Option<String>,
}

impl Words<'_> {
    fn of(self, action: &Action) -> Described {
        match action {
            Action::NamePreorder(it) => {
                let tokens = it.payload.tokens.as_ref().map(|burn| burn.amount);
                let hash = it.payload.preorder_hash.to_string();
                let mut described = self.preorder("name", &it.burn, hash, tokens);
                described.fields.consensus_hash = Some(it.payload.consensus_hash.to_string());
                described.fields.name = self.about;
                described
            }
            Action::NamespacePreorder(it) => {
                let hash = it.payload.preorder_hash.to_string();
                let mut described = self.preorder("namespace", &it.burn, hash, it.payload.tokens);
                described.fields.consensus_hash = Some(it.payload.consensus_hash.to_string());
                described.fields.namespace = self.about;
                described
            }
            Action::NameRegistration(it) => {
                let name = &it.payload.name;
                let what = format!("registration of {name} to {}", self.to(&it.recipient));
                self.named(what, name, &it.recipient, it.payload.value_hash)
            }
            Action::NameRenewal(it) => self.renewal(it),
            Action::NameUpdate(it) => self.update(it),
            Action::NameTransfer(it) => {
                let (name, to) = (self.name_or_hidden(), self.to(&it.recipient));
                let file = match it.payload.keep_data {
                    true => "keeping",
                    false => "without",
                };
                let what = format!("transfer of {name} to {to}, {file} its zone file");
                Described::new(what, |fields| {
                    fields.recipient = Some(to);
                    fields.keeps_zonefile = Some(it.payload.keep_data);
                    fields.consensus_hash = Some(it.payload.consensus_hash.to_string());
                    fields.name = self.about;
                })
            }
            Action::NameRevoke(it) => {
                let what = format!("revocation of {}, which nobody can undo", it.name);
                Described::new(what, |fields| fields.name = Some(it.name.to_string()))
            }
            Action::NameImport(it) => {
                let what = format!("import of {} to {}", it.name, self.to(&it.recipient));
                self.named(what, &it.name, &it.recipient, Some(it.value_hash))
            }
            Action::NamespaceReveal(it) => self.reveal(it),
            Action::NamespaceReady(it) => {
                let id = it.namespace_id.to_string();
                let what = format!("opening of the namespace {id} for everybody");
                Described::new(what, |fields| fields.namespace = Some(id))
            }
            Action::Announce(it) => {
                let what = format!("announcement of the message {}", it.message_hash);
                Described::new(what, |fields| fields.message_hash = Some(it.message_hash))
            }
            Action::TokenTransfer(it) => {
                let (amount, to) = (it.payload.amount, self.to(&it.recipient));
                Described::new(format!("transfer of {amount} µSTX to {to}"), |fields| {
                    fields.micro_stacks = Some(amount);
                    fields.recipient = Some(to);
                    fields.consensus_hash = Some(it.payload.consensus_hash.to_string());
                })
            }
            Action::Unregistrable => {
                let what = "an operation on a name that ends in a line feed, which no block takes";
                Described::new(what.to_owned(), |_| ())
            }
        }
    }

    fn to(&self, recipient: &Recipient) -> String {
        self.wallet.text(recipient.address)
    }

    fn name_or_hidden(&self) -> String {
        self.about.clone().unwrap_or("a hidden name".to_owned())
    }

    fn preorder(
        &self,
        kind: &str,
        burn: &Burn,
        preorder_hash: String,
        tokens: Option<u64>,
    ) -> Described {
        let paid_to = self.wallet.text(burn.burn_address);
        let about = match &self.about {
            Some(about) => format!("the {kind} {about}, which it does not say"),
            None => format!("a {kind} that it does not say"),
        };
        let price = match tokens {
            Some(tokens) => format!("{tokens} µSTX"),
            None => format!("{} to {paid_to}", btc(Amount::from_sat(burn.op_fee))),
        };
        Described::new(format!("preorder of {about}, for {price}"), |fields| {
            fields.preorder_hash = Some(preorder_hash);
            fields.price = Some(burn.op_fee);
            fields.paid_to = Some(paid_to);
            fields.micro_stacks = tokens;
        })
    }

    /// An operation that says its name, who owns it then, and perhaps its zone file.
    fn named(
        &self,
        what: String,
        name: &Name,
        recipient: &Recipient,
        zonefile: Option<ZonefileHash>,
    ) -> Described {
        let file = zonefile.map(|hash| format!(" with the zone file hash {hash}"));
        let what = what + &file.unwrap_or_default();
        Described::new(what, |fields| {
            fields.name = Some(name.to_string());
            fields.recipient = Some(self.to(recipient));
            fields.zonefile_hash = zonefile;
        })
    }

    fn renewal(&self, it: &NameRenewal) -> Described {
        let (name, to) = (&it.payload.name, self.to(&it.recipient));
        let price = btc(Amount::from_sat(it.op_fee));
        let what = format!("renewal of {name} for {to}, for {price}");
        let mut described = self.named(what, name, &it.recipient, it.payload.value_hash);
        described.fields.price = Some(it.op_fee);
        described.fields.paid_to = it.burn_address.map(|address| self.wallet.text(address));
        described.fields.micro_stacks = it.payload.tokens;
        described
    }

    fn update(self, it: &NameUpdate) -> Described {
        let (hash, name) = (it.value_hash, self.name_or_hidden());
        Described::new(format!("zone file hash {hash} for {name}"), |fields| {
            fields.zonefile_hash = Some(hash);
            fields.name = self.about;
        })
    }

    fn reveal(&self, it: &NamespaceReveal) -> Described {
        let (payload, to) = (&it.payload, self.to(&it.recipient));
        let lifetime = match payload.lifetime {
            u32::MAX => "for ever".to_owned(),
            blocks => format!("{blocks} blocks before the epoch's multiplier"),
        };
        let fees = match payload.version {
            1 => "fees are burnt",
            2 => "fees go to its creator for a year",
            _ => "fees are tokens",
        };
        let id = payload.namespace_id.to_string();
        let what =
            format!("reveal of the namespace {id}, opened by {to}: names live {lifetime}, {fees}");
        Described::new(what, |fields| {
            fields.namespace = Some(id);
            fields.recipient = Some(to);
            fields.lifetime = Some(payload.lifetime);
            fields.version = Some(payload.version);
            fields.prices = Some(payload.price);
        })
    }
}

impl Described {
    fn new(what: String, fill: impl FnOnce(&mut Fields)) -> Self {
        let mut described = Self {
            what,
            ..Self::default()
        };
        fill(&mut described.fields);
        described
    }
}
