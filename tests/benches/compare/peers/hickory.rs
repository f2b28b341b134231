//! What hickory-server costs when the answer lies in memory: one `RequestHandler` over a map.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use hickory_net::runtime::Time;
use hickory_proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_server::Server;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use super::table::{Row, TTL};
use super::{Result, shared_socket};

/// How long a TCP connection may be silent.
const TCP_PATIENCE: Duration = Duration::from_secs(30);
/// Answers that may wait on one TCP connection.
const TCP_BUFFER: usize = 128;

/// Answers until it is killed.
pub fn serve(address: SocketAddr, workers: usize, tables: &[PathBuf]) -> Result<()> {
    let answers = Answers::read(tables)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut server = Server::new(answers);
        for _ in 0..workers {
            let socket = shared_socket(address)?;
            socket.set_nonblocking(true)?;
            server.register_socket(UdpSocket::from_std(socket.into())?);
        }
        let listener = TcpListener::bind(address).await?;
        server.register_listener(listener, TCP_PATIENCE, TCP_BUFFER);
        server.block_until_done().await?;
        Ok(())
    })
}

struct Answers(HashMap<LowerName, [Record; 2]>);

impl Answers {
    fn read(tables: &[PathBuf]) -> Result<Self> {
        let mut answers = HashMap::new();
        for path in tables {
            for line in std::fs::read_to_string(path)?.lines() {
                let row = Row::parse(line).ok_or_else(|| format!("{line:?} is no row"))?;
                let name = Name::from_ascii(format!("{}.", row.name))?;
                let record = |data| Record::from_rdata(name.clone(), TTL, data);
                let records = [
                    record(RData::A(A(row.v4))),
                    record(RData::AAAA(AAAA(row.v6))),
                ];
                answers.insert(LowerName::new(&name), records);
            }
        }
        Ok(Self(answers))
    }

    fn find(&self, name: &LowerName, rtype: RecordType) -> Option<&Record> {
        let records = self.0.get(name)?;
        records.iter().find(|record| record.record_type() == rtype)
    }
}

#[async_trait]
impl RequestHandler for Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let found = match request.request_info() {
            Ok(info) => self.find(info.query.name(), info.query.query_type()),
            Err(_) => None,
        };
        if found.is_none() {
            metadata.response_code = ResponseCode::NXDomain;
        }
        let builder = MessageResponseBuilder::new(&request.queries, request.edns.as_ref());
        let response = builder.build(metadata, found, None, None, None);
        let sent = handle.send_response(response).await;
        sent.unwrap_or_else(|_| {
            ResponseInfo::from(Header {
                metadata,
                counts: HeaderCounts::default(),
            })
        })
    }
}
