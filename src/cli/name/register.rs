//! `bnsd name register` and its first step, `bnsd name preorder`: a name with a key for TLS, unless somebody says otherwise.
//!
//! The key is made in memory, and written when the price is agreed to: a dry run and whatever is refused leave nothing
//! behind. From then on it is in its directory, where every later run finds it, so that a task that is resumed announces the
//! same zone file.

use std::net::IpAddr;

use clap::Args;
use hickory_proto::rr::RecordType;

use super::choice::ZonefileChoice;
use crate::bns::Name;
use crate::cli::output::Page;
use crate::cli::own::{self, SendOptions, name, report};
use crate::cli::tls::{TlsChoice, add_zonefile, is_bound, save, say_place};
use crate::cli::zonefile::HTTPS;
use crate::cli::{Context, Exit, Result};
use crate::resolver::review;
use crate::trust::owner::OwnerFiles;
use crate::wallet::task::consent::Consent;
use crate::wallet::task::wish::Announced;
use crate::wallet::task::{Outcome, TaskError, Wallet, Wish};
use crate::zonefile::{Node, Zone};

/// The label at which zone files bind keys.
const STATEMENT: &str = "_tlskey";

/// Arguments of `bnsd name preorder` and `bnsd name register`.
#[derive(Debug, Args)]
pub struct Register {
    /// The name, like me.id
    name: String,
    /// Address of the owner, by default that of the sender
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    zonefile: ZonefileChoice,
    /// Address of the name's web server, for a zone file that is made here; can be repeated
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["zonefile", "hash", "no_tls", "owner"])]
    address: Vec<IpAddr>,
    #[command(flatten)]
    tls: TlsChoice,
    #[command(flatten)]
    options: SendOptions,
}

/// What is announced with a name.
struct Announcement {
    zonefile: Option<Announced>,
    key: Option<Key>,
}

/// A key for TLS, as it is or is about to be in its directory.
enum Key {
    /// The zone file that is announced was made with it.
    Announced(OwnerFiles),
    /// The zone file that is announced is somebody's own, and binds no key.
    Unbound(OwnerFiles),
}

impl Register {
    /// Preorders and waits.
    pub fn preorder(self, context: &Context) -> Result<Exit> {
        self.carry_out(context, |wallet, wish| {
            wallet.begin(wish, &self.options.means())
        })
    }

    /// Preorders, registers and waits.
    pub fn run(self, context: &Context) -> Result<Exit> {
        self.carry_out(context, |wallet, wish| {
            wallet.carry_out(wish, &self.options.means())
        })
    }

    fn carry_out(
        &self,
        context: &Context,
        take: impl FnOnce(&Wallet<'_>, &Wish) -> Result<Outcome, TaskError>,
    ) -> Result<Exit> {
        let name = name(&self.name)?;
        let Announcement { zonefile, key } = self.announcement(&name)?;
        let agree = |consent: &Consent<'_>| match &key {
            Some(Key::Announced(files)) => {
                own::ask(context, &self.options, consent)?;
                keep(files)?;
                say_next(files);
                Ok(())
            }
            Some(Key::Unbound(files)) => {
                keep(files)?;
                say_unbound(files);
                own::ask(context, &self.options, consent)
            }
            None => own::ask(context, &self.options, consent),
        };
        let wallet = Wallet {
            consent: Box::new(agree),
            ..own::open(context, &self.options.keys)?
        };
        let owner = self.owner.as_ref();
        let wish = Wish::Register {
            name,
            owner: owner.map(|owner| wallet.address(owner)).transpose()?,
            zonefile,
        };
        let outcome = take(&wallet, &wish)?;
        let psbt = self.options.psbt.as_deref();
        report(context, &wallet, &wish.about(), outcome, psbt)
    }

    /// The zone file that is announced: the one that was named, or one that binds a key. A name for somebody else gets
    /// none, because its key would not be theirs.
    fn announcement(&self, name: &Name) -> Result<Announcement> {
        let named = self.zonefile.announced()?;
        let is_key_wanted = match &named {
            Some(named) => named
                .text
                .as_ref()
                .is_some_and(|text| lacks_key(name, text)),
            None => self.owner.is_none(),
        };
        let files = match is_key_wanted {
            true => self.tls.prepare(name, || self.options.keys.directory())?,
            false => None,
        };
        Ok(match (named, files) {
            (None, Some(mut files)) => {
                add_zonefile(&mut files, &self.address)?;
                let text = files.zonefile().unwrap_or_default().to_vec();
                Announcement {
                    zonefile: Some(Announced::from(text)),
                    key: Some(match is_bound(&files) {
                        true => Key::Announced(files),
                        false => Key::Unbound(files),
                    }),
                }
            }
            (named, files) => Announcement {
                zonefile: named,
                key: files.map(Key::Unbound),
            },
        })
    }
}

/// Whether a zone file has a host and binds no key for TLS. One that nobody can read lacks nothing: it is refused anyway.
fn lacks_key(name: &Name, text: &[u8]) -> bool {
    let Ok(reviewed) = review(name, text) else {
        return false;
    };
    let is_key = |node: &Node| {
        let label = node.name().iter().next();
        let is_statement = label == Some(STATEMENT.as_bytes());
        is_statement || node.rrset(RecordType::TLSA).is_some()
    };
    has_host(&reviewed.zone) && !reviewed.zone.nodes().any(is_key)
}

/// Whether something in a zone has an address, or that of another name.
fn has_host(zone: &Zone) -> bool {
    let hosts = [RecordType::A, RecordType::AAAA, RecordType::CNAME];
    let is_host = |node: &Node| hosts.iter().any(|rtype| node.rrset(*rtype).is_some());
    zone.nodes().any(is_host)
}

fn keep(files: &OwnerFiles) -> Result<(), TaskError> {
    save(files).map_err(TaskError::Trouble)?;
    say_place(files);
    Ok(())
}

/// Says how a zone file that was made without an address gets one.
fn say_next(files: &OwnerFiles) {
    let name = files.name();
    let text = files.zonefile().unwrap_or_default();
    if review(name, text).is_ok_and(|reviewed| !has_host(&reviewed.zone)) {
        let mut page = Page::default();
        page.note(format!(
            "Its zone file has no address yet: add one with `bnsd zonefile edit {name}`, and publish it."
        ));
        page.say();
    }
}

/// Says what a zone file of somebody's own lacks.
fn say_unbound(files: &OwnerFiles) {
    let mut page = Page::default();
    let name = files.name();
    page.caution(format!(
        "The zone file binds no key for https://{name}. With this line it does:"
    ));
    page.row([format!("  {}", files.record(HTTPS))]);
    page.say();
}
