//! Fetches a page from the server of a name, which has to be the one that the name binds.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bnsd::trust::{DaemonPins, Verifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Stream};

/// `server` is an address that DNS gives for `name`, `daemon` one at which bnsd serves its API.
pub fn fetch(
    name: &str,
    server: SocketAddr,
    daemon: SocketAddr,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let verifier = Verifier::new(Arc::new(DaemonPins::new(daemon))).on_port(server.port());
    // One configuration serves all names; a program keeps it.
    let config = Arc::new(verifier.client_config());
    let host = ServerName::try_from(name.to_owned())?;
    let mut session = ClientConnection::new(config, host)?;
    let mut connection = TcpStream::connect(server)?;
    let mut stream = Stream::new(&mut session, &mut connection);
    write!(stream, "GET / HTTP/1.0\r\nHost: {name}\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
