//! A plain upstream: asked over UDP and, where that does not do, over TCP.
//!
//! What does not do is a cut response, letters that came back in another case, and a cookie that is insisted on. An
//! upstream that does not know EDNS is asked without.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::ask::Ask;
use super::attempt::{Budget, Failed, Received};
use super::entry::Channel;
use super::message::{Judged, Letters, Options, Sent};
use super::random;
use super::shared::Shared;
use super::stream::Stream;
use super::udp::ask_udp;
use crate::wire::edns::{BADCOOKIE, CLIENT_COOKIE};

/// A plain upstream.
pub struct Plain {
    address: SocketAddr,
    tcp: Shared<Stream>,
    /// Our cookie, and the server's behind it once we know that (RFC 7873 §5.1).
    cookie: Mutex<Vec<u8>>,
}

/// How a plain upstream is asked next.
#[derive(Debug, Clone, Copy)]
struct Way {
    tcp: bool,
    edns: bool,
    letters: Letters,
}

impl Plain {
    /// One that is connected to when it is first asked over TCP.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tcp: Shared::default(),
            cookie: Mutex::new(fresh_cookie()),
        }
    }

    /// Asks in one way after the other, until there is a response, the budget is used up, or `deadline`.
    pub async fn ask(
        &self,
        ask: &Ask,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Received, Failed> {
        let mut way = Way {
            tcp: false,
            edns: true,
            letters: Letters::Mixed,
        };
        let mut last = Failed::Timeout;
        while Instant::now() < deadline && budget.take() {
            let failed = match self.once(ask, way, deadline).await {
                Ok(judged) => match self.read(judged, &mut way) {
                    Ok(received) => return Ok(received),
                    Err(again) => again,
                },
                Err(failed) => failed,
            };
            match failed {
                Failed::Truncated | Failed::WrongCase if !way.tcp => way.tcp = true,
                // Only TCP, which nobody beside the path can forge, may do without the letters.
                Failed::WrongCase if way.letters == Letters::Mixed => way.letters = Letters::Lower,
                Failed::Headless if way.edns => way.edns = false,
                Failed::Closed => {}
                failed => return Err(failed),
            }
            last = failed;
        }
        Err(last)
    }

    /// A refusal may concern how we asked rather than what.
    fn read(&self, judged: Judged, way: &mut Way) -> Result<Received, Failed> {
        if let Some(cookie) = &judged.cookie {
            *self.cookie() = cookie.clone();
        }
        let dislikes_edns = matches!(judged.rcode, 1 | 4) && judged.walk.opt.is_none();
        if way.edns && dislikes_edns {
            return Err(Failed::Headless);
        }
        if judged.rcode == BADCOOKIE {
            // Once more with the server's new cookie, over TCP where none is needed (RFC 7873 §5.3).
            way.tcp = judged.cookie.is_none();
            return Err(Failed::Closed);
        }
        Ok(Received {
            judged,
            age: 0,
            channel: Channel::Plain,
        })
    }

    async fn once(&self, ask: &Ask, way: Way, deadline: Instant) -> Result<Judged, Failed> {
        let cookie = self.cookie().clone();
        let options = match way.edns {
            true => Options::Cookie(&cookie),
            false => Options::NoEdns,
        };
        let sent = Sent::new(ask, way.letters, options);
        if !way.tcp {
            let patience = deadline.saturating_duration_since(Instant::now());
            return ask_udp(self.address, &sent, patience).await;
        }
        let ask = |stream: Stream| stream.ask(sent.clone(), deadline);
        self.tcp.ask(deadline, || self.connect(), ask).await
    }

    async fn connect(&self) -> Result<Stream, Failed> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Stream::start(stream))
    }

    /// Closes its connection and forgets the cookie: the network is another one.
    pub fn forget(&self) {
        self.tcp.clear();
        *self.cookie() = fresh_cookie();
    }

    fn cookie(&self) -> MutexGuard<'_, Vec<u8>> {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh_cookie() -> Vec<u8> {
    random::bytes::<CLIENT_COOKIE>().to_vec()
}
