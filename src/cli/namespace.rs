//! `bnsd namespace`: open a namespace: preorder, reveal, import names, ready.

use std::path::{Path, PathBuf};
use std::thread::sleep;

use bitcoin::{Amount, TxOut};
use clap::{Args, Subcommand};
use serde::Deserialize;

use super::name::report_on;
use super::output::Page;
use super::own::{Desk, OwnError, Plan, SendOptions, Sender};
use super::{CliError, Context, Exit, name};
use crate::api::message::{Reply, Request};
use crate::api::own::{
    NameState, NamespaceReply, NamespaceState, NamespacesRequest, PriceFunctionText,
};
use crate::bns::address::Address;
use crate::bns::price::PriceFunction;
use crate::bns::{Name, NamespaceId, price};
use crate::hash::ZonefileHash;
use crate::wallet::coins::{Coin, DUST, Funding};
use crate::wallet::harden;
use crate::wallet::journal::{Attempt, Step, Task};
use crate::wallet::operation::{Fee, Operation, Unsigned};
use crate::wallet::psbt;

/// How many names are imported together. Each is a transaction of its own.
const BATCH: usize = 100;
/// Size in virtual bytes of an import with one input and no change, rounded up.
const IMPORT_SIZE: u64 = 310;
/// Ending of zone files.
const ENDING: &str = ".zone";

/// Subcommands of `bnsd namespace`.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Say what a namespace costs in the next block.
    Price(One),
    /// Show a namespace.
    Show(One),
    /// List all namespaces.
    List,
    /// Commit to a namespace without saying which.
    Preorder(Preorder),
    /// Say which namespace it is and by which rules it works.
    Reveal(Box<Reveal>),
    /// Put names into a revealed namespace, from a CSV file or a folder of zone files.
    Import(Import),
    /// Open a namespace for everybody.
    Ready(Ready),
}

/// A namespace.
#[derive(Debug, Args)]
pub struct One {
    /// Its id, like id
    id: String,
}

/// Arguments of `bnsd namespace preorder`.
#[derive(Debug, Args)]
pub struct Preorder {
    /// Its id.
    id: String,
    /// Address that will reveal, import and open it, by default that of the sender
    #[arg(long, value_name = "ADDRESS")]
    revealer: Option<String>,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd namespace reveal`.
#[derive(Debug, Args)]
pub struct Reveal {
    /// Its id.
    id: String,
    /// Address that will import names and open it, as in the preorder
    #[arg(long, value_name = "ADDRESS")]
    revealer: Option<String>,
    /// Blocks that a name lives, before the epoch's multiplier; 4294967295 for ever
    #[arg(long, default_value_t = 52_595)]
    lifetime: u32,
    /// 1: fees are burnt; 2: paid to the creator for a year; 3: paid in tokens
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    rules: u16,
    /// TOML file with coeff, base, buckets, nonalpha-discount and no-vowel-discount
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Coefficient of the price, 0 to 255
    #[arg(long, default_value_t = 250)]
    coeff: u8,
    /// Base of the price, 0 to 255
    #[arg(long, default_value_t = 4)]
    base: u8,
    /// Exponents by length of the label, 0 to 15 each; the last holds for all longer ones
    #[arg(long, value_delimiter = ',', default_value = "6,5,4,3,2,1,0")]
    buckets: Vec<u8>,
    /// Divisor, 1 to 15, for labels with a digit, - or _
    #[arg(long, default_value_t = 4)]
    nonalpha_discount: u8,
    /// Divisor, 1 to 15, for labels without a vowel
    #[arg(long, default_value_t = 4)]
    no_vowel_discount: u8,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd namespace import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Its id.
    id: String,
    /// CSV file with lines NAME,OWNER,ZONEFILE (a file or its hash), or a folder of NAME.zone files
    from: PathBuf,
    /// Owner of the names of a folder, by default the revealer
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    options: SendOptions,
}

/// Arguments of `bnsd namespace ready`.
#[derive(Debug, Args)]
pub struct Ready {
    /// Its id.
    id: String,
    #[command(flatten)]
    options: SendOptions,
}

impl NamespaceCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Exit, CliError> {
        harden::forbid_dumps();
        match self {
            Self::Price(one) => one.price(context),
            Self::Show(one) => one.show(context),
            Self::List => list(context),
            Self::Preorder(preorder) => preorder.run(context),
            Self::Reveal(reveal) => reveal.run(context),
            Self::Import(import) => import.run(context),
            Self::Ready(ready) => ready.run(context),
        }
    }
}

fn parse(id: &str) -> Result<NamespaceId, OwnError> {
    let parsed: Result<NamespaceId, _> = id.parse();
    parsed.map_err(|error| OwnError::Usage(format!("{id:?} is no namespace: {error}")))
}

impl One {
    fn ask(&self, context: &Context) -> Result<NamespaceReply, CliError> {
        let id = parse(&self.id)?.to_string();
        match context.ask(&Request::Namespace(crate::api::own::NamespaceRequest {
            id,
        }))? {
            Reply::Namespace(reply) => Ok(*reply),
            _ => Err(CliError::Unexpected),
        }
    }

    fn price(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        context.output.print(&reply.price, || {
            let mut page = Page::default();
            page.heading(&reply.id);
            page.entry_if(
                "price",
                reply
                    .price
                    .satoshi
                    .map(|satoshi| format!("{satoshi} satoshi")),
            );
            page.entry_if(
                "or",
                reply
                    .price
                    .micro_stacks
                    .map(|amount| format!("{amount} µSTX")),
            );
            page.entry("paid to", &reply.price.pay_to);
            page
        })?;
        Ok(Exit::Success)
    }

    fn show(self, context: &Context) -> Result<Exit, CliError> {
        let reply = self.ask(context)?;
        context.output.print(&reply, || page(&reply))?;
        Ok(match reply.state {
            NamespaceState::Free => Exit::No,
            _ => Exit::Success,
        })
    }
}

fn list(context: &Context) -> Result<Exit, CliError> {
    let Reply::Namespaces(reply) = context.ask(&Request::Namespaces(NamespacesRequest {}))? else {
        return Err(CliError::Unexpected);
    };
    context.output.print(&reply.namespaces, || {
        let mut page = Page::default();
        for namespace in &reply.namespaces {
            let revealer = namespace.revealer.clone().unwrap_or_default();
            page.row([
                namespace.id.clone(),
                state(namespace.state).to_owned(),
                revealer,
            ]);
        }
        page
    })?;
    Ok(Exit::Success)
}

fn state(state: NamespaceState) -> &'static str {
    match state {
        NamespaceState::Free => "free",
        NamespaceState::Revealed => "revealed, not open",
        NamespaceState::Ready => "open",
    }
}

fn page(reply: &NamespaceReply) -> Page {
    let mut page = Page::default();
    page.heading(&reply.id);
    page.entry("state", state(reply.state));
    page.entry_if("version", reply.version);
    page.entry_if("lifetime", reply.lifetime);
    page.entry_if("payer", reply.payer.as_ref());
    page.entry_if("revealer", reply.revealer.as_ref());
    page.entry_if("revealed at", reply.reveal_block);
    page.entry_if("opened at", reply.ready_block);
    page.entry_if("lapses at", reply.lapses_at);
    if let Some(prices) = reply.prices {
        write_prices(&mut page, &prices.into());
    }
    page
}

/// What some labels would cost today, so that nobody is surprised by an exponent.
fn write_prices(page: &mut Page, function: &PriceFunction) {
    page.heading("prices in satoshi, by today's arithmetic");
    let params = crate::bns::Params::regtest();
    let epoch = params.epoch(params.first_block);
    for label in [
        "a",
        "ab",
        "abc",
        "name",
        "names",
        "surname",
        "longername",
        "a1b2c3",
        "bcdfg",
    ] {
        let price = price::name_price(function, label, &params, epoch).least_fee();
        let price = price.map_or("beyond all money".to_owned(), |price| price.to_string());
        page.entry(label, &price);
    }
}

impl Preorder {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let revealer = revealer(&desk, self.revealer.as_deref(), &sender)?;
        let script = sender.lock.script();
        let (desk_again, preordered) = (&desk, &id);
        let plan = Plan {
            operation: "NAMESPACE_PREORDER",
            quotes: true,
            sender: sender.clone(),
            make: Box::new(move |chain| {
                let price = desk_again.namespace(preordered)?.price;
                let amount = price.satoshi.ok_or_else(|| {
                    OwnError::No(
                        "namespaces are paid in tokens in this epoch, which this command cannot do"
                            .to_owned(),
                    )
                })?;
                let burn = Fee {
                    to: desk_again.address(&price.pay_to)?,
                    amount: Amount::from_sat(amount),
                };
                let quoted = chain
                    .consensus_hash
                    .parse()
                    .map_err(|_| CliError::Unexpected)?;
                let revealer = (revealer, desk_again.versions);
                Ok(Operation::namespace_preorder(
                    preordered, &script, revealer, quoted, None, burn,
                ))
            }),
            then: None,
        };
        let subject = format!("{id}.preorder");
        let terms = [
            ("revealer", desk.text(revealer)),
            ("sender", desk.text(sender.address())),
        ];
        let progress = desk.single(&subject, "preorder", &terms, &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }
}

fn revealer(desk: &Desk<'_>, given: Option<&str>, sender: &Sender) -> Result<Address, CliError> {
    given.map_or(Ok(sender.address()), |text| desk.address(text))
}

impl Reveal {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let function = self.function()?;
        let mut page = Page::default();
        write_prices(&mut page, &function);
        page.say();
        let sender = desk.sender(self.options.key.as_ref(), None)?;
        let revealer = revealer(&desk, self.revealer.as_deref(), &sender)?;
        let (lifetime, version, revealed) = (self.lifetime, self.rules, &id);
        let plan = Plan {
            operation: "NAMESPACE_REVEAL",
            quotes: false,
            sender,
            make: Box::new(move |_| {
                Ok(Operation::namespace_reveal(
                    revealed, revealer, lifetime, function, version,
                ))
            }),
            then: None,
        };
        let progress = desk.single(id.as_str(), "reveal", &[], &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }

    fn function(&self) -> Result<PriceFunction, OwnError> {
        let text = match &self.prices {
            Some(path) => {
                #[derive(Deserialize)]
                #[serde(transparent)]
                struct File(PriceFunctionText);
                let text = std::fs::read_to_string(path).map_err(|source| OwnError::File {
                    path: path.clone(),
                    source,
                })?;
                let File(function) = toml::from_str(&text)
                    .map_err(|error| OwnError::Usage(format!("{}: {error}", path.display())))?;
                function
            }
            None => PriceFunctionText {
                coeff: self.coeff,
                base: self.base,
                buckets: self.buckets()?,
                nonalpha_discount: self.nonalpha_discount,
                no_vowel_discount: self.no_vowel_discount,
            },
        };
        let discounts = [text.nonalpha_discount, text.no_vowel_discount];
        if text.buckets.iter().any(|bucket| *bucket > 15) {
            return Err(OwnError::Usage("an exponent is 0 to 15".to_owned()));
        }
        if discounts
            .iter()
            .any(|discount| !(1..=15).contains(discount))
        {
            return Err(OwnError::Usage("a discount is 1 to 15".to_owned()));
        }
        Ok(text.into())
    }

    fn buckets(&self) -> Result<[u8; 16], OwnError> {
        let last = self
            .buckets
            .last()
            .filter(|_| self.buckets.len() <= 16)
            .copied();
        let last = last.ok_or_else(|| OwnError::Usage("name 1 to 16 exponents".to_owned()))?;
        let mut buckets = [last; 16];
        for (bucket, given) in buckets.iter_mut().zip(&self.buckets) {
            *bucket = *given;
        }
        Ok(buckets)
    }
}

impl Ready {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        let sender = revealers_key(&desk, &id, &self.options)?;
        let (address, opened) = (sender.address(), &id);
        let plan = Plan {
            operation: "NAMESPACE_READY",
            quotes: false,
            sender,
            make: Box::new(move |_| Ok(Operation::namespace_ready(opened, address))),
            then: None,
        };
        let progress = desk.single(id.as_str(), "ready", &[], &plan, &self.options)?;
        report_on(&desk, id.as_str(), progress)
    }
}

/// The key that the reveal named.
fn revealers_key(
    desk: &Desk<'_>,
    id: &NamespaceId,
    options: &SendOptions,
) -> Result<Sender, CliError> {
    let revealer = desk.namespace(id)?.revealer.ok_or_else(|| {
        OwnError::No(format!(
            "{id} was never revealed: `bnsd namespace reveal {id}`"
        ))
    })?;
    let script = crate::hash::encode_hex(&desk.address(&revealer)?.script());
    desk.sender(options.key.as_ref(), Some(&script))
}

// ---- import ---------------------------------------------------------------------------------------------

/// A name to be imported.
struct Wanted {
    name: Name,
    owner: Address,
    hash: ZonefileHash,
    zonefile: Option<Vec<u8>>,
}

impl Import {
    fn run(self, context: &Context) -> Result<Exit, CliError> {
        let desk = Desk::open(context, &self.options.keys)?;
        let id = parse(&self.id)?;
        desk.synced_chain()?;
        let sender = revealers_key(&desk, &id, &self.options)?;
        let wanted = self.wanted(&desk, &id, &sender)?;
        let total = wanted.len();
        let subject = format!("{id}.import");
        let _held = desk.journal.hold(&subject).map_err(OwnError::from)?;
        self.finish_begun(&desk, &subject)?;
        let mut left = Vec::new();
        for wish in wanted {
            if !is_imported(&desk, &wish)? {
                left.push(wish);
            }
        }
        let mut done = total - left.len();
        for batch in left.chunks(BATCH) {
            self.batch(&desk, &sender, &subject, batch)?;
            done += batch.len();
            eprintln!("{done} of {total} names are imported");
        }
        context
            .output
            .print(&serde_json::json!({"imported": total}), || {
                let mut page = Page::default();
                page.heading(format!("{total} names are in {id}"));
                page
            })?;
        Ok(Exit::Success)
    }

    /// What an earlier run sent is awaited first.
    fn finish_begun(&self, desk: &Desk<'_>, subject: &str) -> Result<(), CliError> {
        if let Some(mut task) = desk.journal.load(subject).map_err(OwnError::from)? {
            desk.await_batch(&mut task)?;
            desk.journal.remove(subject).map_err(OwnError::from)?;
        }
        Ok(())
    }

    fn batch(
        &self,
        desk: &Desk<'_>,
        sender: &Sender,
        subject: &str,
        batch: &[Wanted],
    ) -> Result<(), CliError> {
        for wish in batch {
            if let Some(bytes) = &wish.zonefile {
                name::store(desk.context, bytes)?;
            }
        }
        let node = desk.node()?;
        let rate = desk.rate(&*node, &self.options, None)?;
        let fee = rate.fee_vb(IMPORT_SIZE).ok_or(CliError::Unexpected)?;
        let value = DUST * 2 + fee;
        let coins = self.split(desk, sender, subject, batch.len(), value)?;
        let mut transactions = Vec::new();
        let mut blocks = Vec::new();
        let mut keys = None;
        for (wish, coin) in batch.iter().zip(coins) {
            let operation = Operation::name_import(&wish.name, wish.owner, wish.hash);
            let mut outputs = vec![operation.data_output(desk.magic).map_err(OwnError::from)?];
            let pay = |to: Address| TxOut {
                value: DUST,
                script_pubkey: bitcoin::ScriptBuf::from_bytes(to.script()),
            };
            outputs.extend([pay(wish.owner), pay(Address::P2pkh(wish.hash.0))]);
            let draft = super::own::Draft {
                unsigned: Unsigned::exactly(std::slice::from_ref(&coin), outputs),
                locks: vec![sender.lock.clone()],
                rate,
            };
            blocks.push(draft.judged());
            if !self.options.dry_run {
                if keys.is_none() {
                    keys = Some(desk.signing_keys(&draft.locks)?);
                }
                let keys: Vec<_> = keys.iter().flatten().collect();
                let mut psbt = psbt::create(&draft.unsigned, &draft.locks, |_| None);
                psbt::sign(&mut psbt, &keys).map_err(OwnError::from)?;
                transactions.push(psbt::finish(&psbt).map_err(OwnError::from)?);
            }
        }
        desk.judge(vec![blocks], subject)?;
        let mut task = Task::new(subject, "import");
        let height = desk.chain()?.height.unwrap_or(0);
        task.steps.push(Step {
            operation: "NAME_IMPORT".to_owned(),
            attempts: vec![Attempt::new(height, None, rate, &transactions, &[])],
            done: None,
        });
        desk.journal.store(&task).map_err(OwnError::from)?;
        desk.await_batch(&mut task)?;
        Ok(desk.journal.remove(subject).map_err(OwnError::from)?)
    }

    /// So many coins of one worth; made from larger ones unless an earlier run left them.
    fn split(
        &self,
        desk: &Desk<'_>,
        sender: &Sender,
        subject: &str,
        count: usize,
        value: Amount,
    ) -> Result<Vec<Coin>, CliError> {
        let node = desk.node()?;
        let locks = [sender.lock.clone()];
        let fitting = |desk: &Desk<'_>| -> Result<(Vec<Coin>, Vec<Coin>), CliError> {
            let coins = desk.coins(&*node, &locks, &self.options, subject, None)?;
            Ok(coins
                .into_iter()
                .partition(|coin| coin.output.value == value))
        };
        let (mut fit, larger) = fitting(desk)?;
        if fit.len() < count {
            let script = sender.lock.script();
            let funding = Funding {
                sender: &script,
                coins: &larger,
                change: &script,
                rate: desk.rate(&*node, &self.options, None)?,
            };
            let output = TxOut {
                value,
                script_pubkey: script.clone(),
            };
            let unsigned = Unsigned::payment(&funding, vec![output; count - fit.len()])
                .map_err(OwnError::from)?;
            let draft = super::own::Draft {
                unsigned,
                locks: locks.to_vec(),
                rate: funding.rate,
            };
            let transaction = desk.sign(&*node, &draft)?;
            node.send(&[transaction]).map_err(OwnError::from)?;
            while fit.len() < count {
                sleep(node.pace());
                fit = fitting(desk)?.0;
            }
        }
        fit.truncate(count);
        Ok(fit)
    }

    fn wanted(
        &self,
        desk: &Desk<'_>,
        id: &NamespaceId,
        sender: &Sender,
    ) -> Result<Vec<Wanted>, CliError> {
        let owner = match &self.owner {
            Some(owner) => desk.address(owner)?,
            None => sender.address(),
        };
        let wanted = if self.from.is_dir() {
            from_folder(&self.from, owner)?
        } else {
            from_csv(desk, &self.from)?
        };
        if let Some(foreign) = wanted
            .iter()
            .find(|wish| wish.name.namespace_id().as_ref() != Some(id))
        {
            let text = format!("{} does not belong into {id}", foreign.name);
            return Err(OwnError::Usage(text).into());
        }
        Ok(wanted)
    }
}

fn is_imported(desk: &Desk<'_>, wish: &Wanted) -> Result<bool, CliError> {
    let reply = desk.name(&wish.name)?;
    Ok(reply.state == NameState::Registered
        && reply.owner == Some(desk.text(wish.owner))
        && reply.zonefile_hash == Some(wish.hash.to_string()))
}

fn from_folder(folder: &Path, owner: Address) -> Result<Vec<Wanted>, OwnError> {
    let failed = |source| OwnError::File {
        path: folder.to_owned(),
        source,
    };
    let mut wanted = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ENDING));
        let Some(name) = name.and_then(|name| name.parse().ok()) else {
            continue;
        };
        let bytes = name::read_zonefile(&path)?;
        wanted.push(Wanted {
            name,
            owner,
            hash: ZonefileHash::of(&bytes),
            zonefile: Some(bytes),
        });
    }
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(wanted)
}

fn from_csv(desk: &Desk<'_>, path: &Path) -> Result<Vec<Wanted>, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| OwnError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut wanted = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (number == 1 && line.starts_with("name,")) {
            continue;
        }
        let wrong =
            |what: &str| OwnError::Usage(format!("{}, line {number}: {what}", path.display()));
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, owner, zonefile] = fields.as_slice() else {
            return Err(wrong("write NAME,OWNER,ZONEFILE").into());
        };
        let name = name.parse().map_err(|_| wrong("no name"))?;
        let owner = desk
            .address(owner)
            .map_err(|error| wrong(&error.to_string()))?;
        let (hash, zonefile) = match zonefile.parse::<ZonefileHash>() {
            Ok(hash) => (hash, None),
            Err(_) => {
                let near = path.parent().unwrap_or(Path::new("")).join(zonefile);
                let bytes = name::read_zonefile(&near)?;
                (ZonefileHash::of(&bytes), Some(bytes))
            }
        };
        wanted.push(Wanted {
            name,
            owner,
            hash,
            zonefile,
        });
    }
    Ok(wanted)
}
