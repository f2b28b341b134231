//! A small DNS client.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Size that clients offer today (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// A query as a stub resolver of today sends it.
pub fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = plain_query(name, rtype);
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    message
}

/// A query without EDNS.
pub fn plain_query(name: &str, rtype: RecordType) -> Message {
    let mut name = Name::from_ascii(name).expect("a domain name");
    name.set_fqdn(true);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, rtype));
    message
}

/// Asks over UDP, once.
pub fn udp(server: SocketAddr, message: &Message) -> Message {
    try_udp(server, message, PATIENCE).expect("an answer over UDP")
}

/// Asks over UDP; fails if there is no answer in time, or nobody there.
pub fn try_udp(server: SocketAddr, message: &Message, patience: Duration) -> io::Result<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(server)?;
    socket.send(&message.to_vec().expect("a message"))?;
    let mut bytes = [0; 65_535];
    let length = loop {
        match socket.recv(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => break received?,
        }
    };
    let answer = Message::from_vec(&bytes[..length]).expect("a well-formed answer");
    assert_eq!(answer.metadata.id, message.metadata.id);
    assert!(length <= usize::from(PAYLOAD), "{length} bytes over UDP");
    Ok(answer)
}

/// Asks over TCP.
pub fn tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let bytes = message.to_vec().expect("a message");
    let length = u16::try_from(bytes.len()).expect("a short message");
    stream
        .write_all(&[&length.to_be_bytes()[..], &bytes].concat())
        .expect("the query can be sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).expect("a message");
    Message::from_vec(&bytes).expect("a well-formed answer")
}

/// What of an answer a test compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub rcode: ResponseCode,
    /// Answers as text, sorted.
    pub answers: Vec<String>,
    /// Types in the authority section.
    pub authorities: Vec<RecordType>,
    /// Code and text of the extended error (RFC 8914).
    pub ede: Option<(u16, String)>,
}

/// Asks over UDP and takes what is compared.
pub fn see(server: SocketAddr, name: &str, rtype: RecordType) -> Seen {
    Seen::of(&udp(server, &query(name, rtype)))
}

impl Seen {
    pub fn of(message: &Message) -> Self {
        let mut answers: Vec<String> = message.answers.iter().map(ToString::to_string).collect();
        answers.sort();
        let authorities = message.authorities.iter();
        Self {
            rcode: message.metadata.response_code,
            answers,
            authorities: authorities.map(|record| record.record_type()).collect(),
            ede: extended_error(message),
        }
    }

    /// The data of address records.
    pub fn has_address(&self, address: &str) -> bool {
        self.answers
            .iter()
            .any(|answer| answer.ends_with(&format!(" {address}")))
    }

    /// NXDOMAIN, or no records, with the SOA that says for how long (RFC 2308).
    pub fn is_negative(&self, rcode: ResponseCode) -> bool {
        self.rcode == rcode && self.answers.is_empty() && self.authorities == [RecordType::SOA]
    }
}

/// Code and text of the extended error.
fn extended_error(message: &Message) -> Option<(u16, String)> {
    const EXTENDED_ERROR: u16 = 15; // RFC 8914 §2
    let options = message.edns.as_ref()?;
    match options.option(EdnsCode::from(EXTENDED_ERROR))? {
        EdnsOption::Unknown(_, bytes) => {
            let (code, text) = bytes.split_first_chunk::<2>()?;
            let text = String::from_utf8_lossy(text).into_owned();
            Some((u16::from_be_bytes(*code), text))
        }
        _ => None,
    }
}
