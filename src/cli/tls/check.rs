//! `bnsd tls check`: whether the server of a name is the one that the name binds.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::Args;
use rustls::pki_types::{DnsName, UnixTime};
use serde::Serialize;

use crate::api::explain::Side;
use crate::api::keys::{KeysReply, KeysRequest, PORT};
use crate::api::lookup::LookupRequest;
use crate::cli::argument::fold;
use crate::cli::output::Page;
use crate::cli::{CliError, Context, Exit, Result};
use crate::tlsa::{Pin, PinText};
use crate::trust::{CertificateText, Judge, Visit, VisitError, delegation_in, describe, visit};

/// Arguments of `bnsd tls check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The domain name of the server, with its port if that is not 443.
    #[arg(value_name = "NAME[:PORT]")]
    server: Server,
    /// Connect here instead of where the name points.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    connect: Option<Place>,
}

/// A host and a port.
#[derive(Debug, Clone)]
struct Server {
    host: DnsName<'static>,
    port: u16,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port_of(port)?),
            None => (text, PORT),
        };
        let host = DnsName::try_from(fold(host))
            .map_err(|_| format!("{host:?} is no domain name; write me.id or me.id:8443"))?;
        Ok(Self { host, port })
    }
}

/// Where somebody listens; the port of the server if there is none.
#[derive(Debug, Clone, Copy)]
struct Place(IpAddr, Option<u16>);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(Self(address, None));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(Self(address.ip(), Some(address.port()))),
            Err(_) => Err(
                "write an address as 192.0.2.1, 192.0.2.1:8443 or [2001:db8::1]:8443".to_owned(),
            ),
        }
    }
}

fn port_of(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{text:?} is no port: 1 to 65535"))
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    /// The host.
    host: String,
    /// Its TCP port.
    port: u16,
    /// Where the server was found.
    address: SocketAddr,
    /// The version of TLS.
    version: &'static str,
    /// What it showed, its own certificate first.
    shown: Vec<CertificateText>,
    /// The first pin that holds.
    pin: Option<PinText>,
    /// Why no pin holds.
    reason: Option<String>,
    /// The name to which the host belongs.
    name: Option<String>,
    /// The height of the last operation on the name.
    block: Option<u32>,
    /// Its transaction.
    txid: Option<String>,
    /// The hash of the zone file that binds the keys.
    zonefile_hash: Option<String>,
    /// The indexed height.
    height: Option<u32>,
}

impl Check {
    /// Asks, connects and prints.
    pub fn run(self, context: &Context) -> Result<Exit> {
        let Server { host, port } = &self.server;
        let ask = |delegation| {
            context.answer(KeysRequest {
                name: host.as_ref().to_owned(),
                port: Some(*port),
                delegation,
                history: false,
            })
        };
        let mut keys = ask(None)?;
        if keys.side != Side::Bns {
            return Err(CliError::No(format!(
                "{} is no name of the chain: whoever visits it relies on the machine's authorities",
                host.as_ref()
            )));
        }
        let (address, visit) = self.visit(context)?;
        if let Some(text) = visit.chain.first().and_then(delegation_in) {
            keys = ask(Some(text))?;
        }
        let pins: Option<Vec<Pin>> = keys.pins.iter().map(PinText::pin).collect();
        let pins = pins.ok_or_else(|| trouble("the daemon's pins cannot be read: restart it"))?;
        let judged = Judge::default().of_chain((host, *port), &pins, &visit.chain, UnixTime::now());
        let place = |pin: &Pin| pins.iter().position(|known| known == pin);
        let report = Report {
            host: keys.host.clone(),
            port: *port,
            address,
            version: visit.version,
            shown: visit.chain.iter().filter_map(describe).collect(),
            pin: judged
                .as_ref()
                .ok()
                .and_then(|pin| keys.pins.get(place(pin)?).cloned()),
            reason: judged.err().map(|refusal| refusal.to_string()),
            name: keys.name.as_ref().map(ToString::to_string),
            block: keys.block,
            txid: keys.txid.clone(),
            zonefile_hash: keys.zonefile_hash.map(|hash| hash.to_string()),
            height: keys.height,
        };
        context
            .output
            .show(&report, |page| write(&report, &keys, page))?;
        Ok(Exit::success_if(report.pin.is_some()))
    }

    /// What the server shows at the first address that can be reached.
    fn visit(&self, context: &Context) -> Result<(SocketAddr, Visit)> {
        let mut last = None;
        for address in self.addresses(context)? {
            match visit(&self.server.host, address) {
                Ok(visit) => return Ok((address, visit)),
                Err(VisitError::NoTls { address, reason }) => {
                    let error = VisitError::NoTls { address, reason };
                    return Err(CliError::No(error.to_string()));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => trouble(&error.to_string()),
            None => CliError::No(format!(
                "{} has no address: its owner has to put one into the zone file, or name one with --connect",
                self.server.host.as_ref()
            )),
        })
    }

    /// Those that bnsd answers with.
    fn addresses(&self, context: &Context) -> Result<Vec<SocketAddr>> {
        let Server { host, port } = &self.server;
        if let Some(Place(address, other)) = self.connect {
            return Ok(vec![SocketAddr::new(address, other.unwrap_or(*port))]);
        }
        let mut found = Vec::new();
        for rtype in ["A", "AAAA"] {
            let reply = context.answer(LookupRequest {
                name: host.as_ref().to_owned(),
                record_type: rtype.to_owned(),
                at: None,
            })?;
            if !reply.is_answer() {
                let ede = reply
                    .ede
                    .map(|ede| format!(" ({})", ede.text))
                    .unwrap_or_default();
                let text = format!(
                    "bnsd has no answer for {} {rtype}{ede}: see `bnsd explain`",
                    reply.name
                );
                return Err(trouble(&text));
            }
            found.extend(
                reply
                    .addresses()
                    .map(|address| SocketAddr::new(address, *port)),
            );
        }
        Ok(found)
    }
}

fn trouble(text: &str) -> CliError {
    CliError::Trouble(anyhow::Error::msg(text.to_owned()))
}

/// The verdict first, then what it rests on.
fn write(report: &Report, keys: &KeysReply, page: &mut Page) {
    match (&report.pin, &report.reason) {
        (Some(pin), _) => {
            page.heading(format!(
                "{} is who answers at {}.",
                report.host, report.address
            ));
            let PinText {
                usage,
                selector,
                matching,
                data,
                rule,
            } = pin;
            page.entry("pin", &format!("{usage} {selector} {matching} {data}"));
            page.entry("rule", rule);
        }
        (None, Some(reason)) => page.alarm(reason.clone()),
        (None, None) => {}
    }
    page.entry("server", &format!("{}, {}", report.address, report.version));
    for certificate in &report.shown {
        page.entry("shows", &certificate.subject);
        page.entry("  for", &certificate.names.join(", "));
        page.entry("  from", &certificate.issuer);
        page.entry(
            "  valid",
            &format!("{} to {}", certificate.not_before, certificate.not_after),
        );
        page.entry("  key", &certificate.spki_sha256);
    }
    page.entry_if("block", report.block);
    page.entry_if("txid", report.txid.as_ref());
    page.entry_if("zone file", report.zonefile_hash.as_ref());
    for problem in &keys.keys.key_problems {
        page.note(format!("Left out: {problem}"));
    }
}
