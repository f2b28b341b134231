//! The lines on the control socket: requests and replies in their envelope.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::audit::AuditRequest;
use super::cache::{CacheReply, CacheRequest};
use super::counters::{CountersReply, CountersRequest};
use super::doctor::{DoctorReply, DoctorRequest};
use super::explain::{ExplainReply, ExplainRequest};
use super::keys::{KeysReply, KeysRequest};
use super::log::{HeadersReply, HeadersRequest, LogReply, LogRequest, PieceReply, PieceRequest};
use super::lookup::{LookupReply, LookupRequest};
use super::peers::{PeersReply, PeersRequest};
use super::portal::{PortalReply, PortalRequest};
use super::prefer::{PreferReply, PreferRequest};
use super::proof::{ProveReply, ProveRequest};
use super::records::{RecordsReply, RecordsRequest};
use super::reload::{ReloadReply, ReloadRequest};
use super::series::{SeriesReply, SeriesRequest};
use super::status::{StatusReply, StatusRequest};
use super::subdomain::{SubdomainReply, SubdomainRequest};
use super::trust::{AuthorityReply, AuthorityRequest, RootReply, RootRequest};
use super::zonefiles::{
    AnnouncedReply, AnnouncedRequest, ImportReply, ImportRequest, MissingReply, MissingRequest,
    ZonefilesReply, ZonefilesRequest,
};
use super::{names, owner};
use crate::chain::light::AuditStatus;
use crate::names::{NameDetails, NameList, NamespaceDetails};
use crate::wallet::task::state::{Judgement, Search};

/// Version of the protocol. It changes only when an old reader would misread a new line.
pub const VERSION: u32 = 1;
/// Longest request in bytes, line end included: a zone file (40,960 bytes) or a batch of transactions in hex.
pub(super) const REQUEST_MAX: usize = 512 * 1024;
/// Longest reply in bytes, line end included: a zone's worth of records (65,535 bytes of message) as text with
/// every byte escaped stays below 1 MiB, the history of a name comes on top.
pub(super) const REPLY_MAX: usize = 4 * 1024 * 1024;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// The records of a name.
    Lookup(LookupRequest),
    /// An answer with its provenance.
    Explain(ExplainRequest),
    /// The keys that a name binds.
    Keys(KeysRequest),
    /// How the daemon is.
    Status(StatusRequest),
    /// Constants and tip of the chain.
    Chain(owner::ChainRequest),
    /// Figures for whoever collects them.
    Counters(CountersRequest),
    /// How a name stands.
    Name(names::NameRequest),
    /// A list of names.
    Names(names::NamesRequest),
    /// A page of names by its number.
    Page(names::PageRequest),
    /// Rows in the reference's words.
    Records(RecordsRequest),
    /// The records of a subdomain.
    Subdomain(SubdomainRequest),
    /// How a namespace stands.
    Namespace(names::NamespaceRequest),
    /// All namespaces.
    Namespaces(names::NamespacesRequest),
    /// What labels would cost by a price function.
    Prices(names::PricesRequest),
    /// A proof of what a name was.
    Prove(ProveRequest),
    /// Unspent preorders.
    Preorder(owner::PreorderRequest),
    /// Whether the next blocks would accept transactions.
    Judge(owner::JudgeRequest),
    /// What became of transactions.
    Operation(Search),
    /// A zone file for the archive.
    Publish(owner::PublishRequest),
    /// A zone file from the archive.
    Zonefile(owner::ZonefileRequest),
    /// The zone files that the chain announces.
    Announced(AnnouncedRequest),
    /// Many zone files from the archive.
    Zonefiles(ZonefilesRequest),
    /// Many zone files for the archive.
    Import(ImportRequest),
    /// The zone files that the archive lacks.
    Missing(MissingRequest),
    /// Which chain a log is of.
    Log(LogRequest),
    /// Headers for a log.
    Headers(HeadersRequest),
    /// What a log says of a run of blocks.
    Piece(PieceRequest),
    /// Spendable outputs on the embedded chain.
    Coins(owner::CoinsRequest),
    /// Transactions for the embedded chain.
    Submit(owner::SubmitRequest),
    /// Blocks on the embedded chain.
    Mine(owner::MineRequest),
    /// Worthless coins of the embedded chain.
    Faucet(owner::FaucetRequest),
    /// A look at old blocks.
    Audit(AuditRequest),
    /// What is kept of upstreams' answers.
    Cache(CacheRequest),
    /// The peers of Atlas.
    Peers(PeersRequest),
    /// The way through a captive portal.
    Portal(PortalRequest),
    /// A choice between chain and legacy tree.
    Prefer(PreferRequest),
    /// What the daemon did in the last hour or day.
    Series(SeriesRequest),
    /// Another look at the configuration.
    Reload(ReloadRequest),
    /// What is wrong.
    Doctor(DoctorRequest),
    /// The root of this machine.
    Root(RootRequest),
    /// The certificate of a name's authority.
    Authority(AuthorityRequest),
}

/// What is replied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// To [`Request::Lookup`].
    Lookup(LookupReply),
    /// To [`Request::Explain`].
    Explain(Box<ExplainReply>),
    /// To [`Request::Keys`].
    Keys(Box<KeysReply>),
    /// To [`Request::Status`].
    Status(Box<StatusReply>),
    /// To [`Request::Chain`].
    Chain(Box<owner::ChainReply>),
    /// To [`Request::Counters`].
    Counters(Box<CountersReply>),
    /// To [`Request::Name`].
    Name(Box<NameDetails>),
    /// To [`Request::Names`].
    Names(NameList),
    /// To [`Request::Page`].
    Page(names::PageReply),
    /// To [`Request::Records`].
    Records(RecordsReply),
    /// To [`Request::Subdomain`].
    Subdomain(Box<SubdomainReply>),
    /// To [`Request::Namespace`].
    Namespace(Box<NamespaceDetails>),
    /// To [`Request::Namespaces`].
    Namespaces(names::NamespacesReply),
    /// To [`Request::Prices`].
    Prices(names::PricesReply),
    /// To [`Request::Prove`].
    Prove(ProveReply),
    /// To [`Request::Preorder`].
    Preorder(owner::PreorderReply),
    /// To [`Request::Judge`].
    Judge(Judgement),
    /// To [`Request::Operation`].
    Operation(owner::OperationReply),
    /// To [`Request::Publish`] and [`Request::Zonefile`].
    Zonefile(owner::ZonefileReply),
    /// To [`Request::Announced`].
    Announced(AnnouncedReply),
    /// To [`Request::Zonefiles`].
    Zonefiles(ZonefilesReply),
    /// To [`Request::Import`].
    Import(ImportReply),
    /// To [`Request::Missing`].
    Missing(MissingReply),
    /// To [`Request::Log`].
    Log(LogReply),
    /// To [`Request::Headers`].
    Headers(HeadersReply),
    /// To [`Request::Piece`].
    Piece(PieceReply),
    /// To [`Request::Coins`].
    Coins(owner::CoinsReply),
    /// To [`Request::Submit`], [`Request::Mine`] and [`Request::Faucet`].
    Mined(owner::MinedReply),
    /// To [`Request::Cache`].
    Cache(CacheReply),
    /// To [`Request::Peers`].
    Peers(PeersReply),
    /// To [`Request::Audit`].
    Audit(AuditStatus),
    /// To [`Request::Portal`].
    Portal(PortalReply),
    /// To [`Request::Prefer`].
    Prefer(PreferReply),
    /// To [`Request::Series`].
    Series(Box<SeriesReply>),
    /// To [`Request::Reload`].
    Reload(ReloadReply),
    /// To [`Request::Doctor`].
    Doctor(Box<DoctorReply>),
    /// To [`Request::Root`].
    Root(RootReply),
    /// To [`Request::Authority`].
    Authority(AuthorityReply),
    /// To any request that got no other.
    Error(ErrorReply),
}

/// A request, and the type of the reply to it.
pub trait Question {
    /// What is replied if all goes well.
    type Answer;

    /// The request.
    fn request(self) -> Request;

    /// The reply, unless it is one to another request.
    fn answer(reply: Reply) -> Option<Self::Answer>;
}

macro_rules! questions {
    ($($request:ty, $variant:ident => $reply:ident($answer:ty);)*) => {$(
        impl Question for $request {
            type Answer = $answer;

            fn request(self) -> Request {
                Request::$variant(self)
            }

            fn answer(reply: Reply) -> Option<$answer> {
                match reply {
                    Reply::$reply(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    )*};
}

questions! {
    owner::ChainRequest, Chain => Chain(Box<owner::ChainReply>);
    names::NameRequest, Name => Name(Box<NameDetails>);
    names::NamesRequest, Names => Names(NameList);
    names::PageRequest, Page => Page(names::PageReply);
    RecordsRequest, Records => Records(RecordsReply);
    SubdomainRequest, Subdomain => Subdomain(Box<SubdomainReply>);
    names::NamespaceRequest, Namespace => Namespace(Box<NamespaceDetails>);
    names::NamespacesRequest, Namespaces => Namespaces(names::NamespacesReply);
    names::PricesRequest, Prices => Prices(names::PricesReply);
    ProveRequest, Prove => Prove(ProveReply);
    owner::PreorderRequest, Preorder => Preorder(owner::PreorderReply);
    owner::JudgeRequest, Judge => Judge(Judgement);
    Search, Operation => Operation(owner::OperationReply);
    owner::PublishRequest, Publish => Zonefile(owner::ZonefileReply);
    owner::ZonefileRequest, Zonefile => Zonefile(owner::ZonefileReply);
    AnnouncedRequest, Announced => Announced(AnnouncedReply);
    ZonefilesRequest, Zonefiles => Zonefiles(ZonefilesReply);
    ImportRequest, Import => Import(ImportReply);
    MissingRequest, Missing => Missing(MissingReply);
    LogRequest, Log => Log(LogReply);
    HeadersRequest, Headers => Headers(HeadersReply);
    PieceRequest, Piece => Piece(PieceReply);
    owner::CoinsRequest, Coins => Coins(owner::CoinsReply);
    owner::SubmitRequest, Submit => Mined(owner::MinedReply);
    owner::MineRequest, Mine => Mined(owner::MinedReply);
    owner::FaucetRequest, Faucet => Mined(owner::MinedReply);
    LookupRequest, Lookup => Lookup(LookupReply);
    ExplainRequest, Explain => Explain(Box<ExplainReply>);
    KeysRequest, Keys => Keys(Box<KeysReply>);
    CacheRequest, Cache => Cache(CacheReply);
    PeersRequest, Peers => Peers(PeersReply);
    AuditRequest, Audit => Audit(AuditStatus);
    PortalRequest, Portal => Portal(PortalReply);
    PreferRequest, Prefer => Prefer(PreferReply);
    SeriesRequest, Series => Series(Box<SeriesReply>);
    ReloadRequest, Reload => Reload(ReloadReply);
    CountersRequest, Counters => Counters(Box<CountersReply>);
    DoctorRequest, Doctor => Doctor(Box<DoctorReply>);
    StatusRequest, Status => Status(Box<StatusReply>);
    RootRequest, Root => Root(RootReply);
    AuthorityRequest, Authority => Authority(AuthorityReply);
}

/// Why there is no other reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Who has to do something about it.
    pub kind: ErrorKind,
    /// One sentence that says what.
    pub message: String,
}

/// Sorts errors by who can do something about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorKind {
    /// The request makes no sense: no such type, no such height.
    Usage,
    /// The daemon could not do it.
    Trouble,
}

impl Reply {
    /// The request makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::error(ErrorKind::Usage, message)
    }

    /// The daemon could not do it.
    pub fn trouble(message: impl Into<String>) -> Self {
        Self::error(ErrorKind::Trouble, message)
    }

    fn error(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Error(ErrorReply { kind, message })
    }
}

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// No JSON, or not what the version prescribes.
    #[error("not a message of the control protocol: {0}")]
    Malformed(serde_json::Error),
    /// Another version.
    #[error(
        "the other side speaks version {theirs} of the control protocol and this one {VERSION}: \
         restart the daemon after an upgrade"
    )]
    Version {
        /// What the line says.
        theirs: u32,
    },
}

/// A message as one line, line end included.
pub fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let envelope = Envelope { v: VERSION, body };
    let mut line =
        serde_json::to_vec(&envelope).expect("messages have text keys and no failing parts");
    line.push(b'\n');
    line
}

/// The message in a line.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, MessageError> {
    let version: Version = serde_json::from_slice(line).map_err(MessageError::Malformed)?;
    if version.v != VERSION {
        return Err(MessageError::Version { theirs: version.v });
    }
    let envelope: Envelope<T> = serde_json::from_slice(line).map_err(MessageError::Malformed)?;
    Ok(envelope.body)
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_documented_lines() {
        let request = Request::Lookup(LookupRequest {
            name: "werner.id".to_owned(),
            record_type: "A".to_owned(),
            at: Some(7),
        });
        let line = encode(&request);
        let text = String::from_utf8_lossy(&line);
        assert_eq!(
            text,
            "{\"v\":1,\"lookup\":{\"name\":\"werner.id\",\"type\":\"A\",\"at\":7}}\n"
        );
        assert_eq!(decode::<Request>(&line).expect("a request"), request);
        let status: Request = decode(b"{\"v\":1,\"status\":{}}").expect("a request");
        assert_eq!(status, Request::Status(StatusRequest::default()));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let cases: [&[u8]; 6] = [
            b"",
            b"{}",
            b"{\"v\":1}",
            b"{\"v\":1,\"drop\":{}}",
            b"{\"v\":1,\"lookup\":{\"name\":\"a.id\",\"type\":\"A\",\"force\":true}}",
            b"\xff\xfe",
        ];
        for line in cases {
            let error = decode::<Request>(line).expect_err("no request");
            assert!(matches!(error, MessageError::Malformed(_)));
        }
        let newer = decode::<Request>(b"{\"v\":2,\"status\":{}}");
        assert!(matches!(newer, Err(MessageError::Version { theirs: 2 })));
    }

    #[test]
    fn replies_survive_the_way() {
        let reply = Reply::trouble("the disk is full: make room");
        assert_eq!(decode::<Reply>(&encode(&reply)).expect("a reply"), reply);
        let reply = Reply::Explain(Box::default());
        assert_eq!(decode::<Reply>(&encode(&reply)).expect("a reply"), reply);
    }
}
