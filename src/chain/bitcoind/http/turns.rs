//! Many paths at once, over two connections that take turns.
//!
//! Nodes of Bitcoin Core 31 can answer a request that follows the last reply at once up to 50 ms later (httpserver.cpp: a
//! client's request is marked as served after its reply has left, and then nothing wakes the loop). A request over another
//! connection wakes it, and the node works while a reply is on its way: several times as many blocks come in a second.

use hyper::Request;
use hyper::client::conn::http1::SendRequest;

use super::{Http, HttpError, Reply};

/// A connection, if it is open, and the requests that it takes one after the other.
struct Lane {
    sender: Option<SendRequest<String>>,
    requests: Vec<Request<String>>,
}

impl Lane {
    fn new(kept: Option<SendRequest<String>>) -> Self {
        Self {
            sender: kept.filter(|sender| !sender.is_closed()),
            requests: Vec::new(),
        }
    }

    /// The replies, and the connection for the next time.
    async fn exchange(
        self,
        http: &Http,
    ) -> Result<(Vec<Reply>, Option<SendRequest<String>>), HttpError> {
        let mut sender = self.sender;
        let mut replies = Vec::with_capacity(self.requests.len());
        for request in self.requests {
            let open = match sender.take() {
                Some(open) => open,
                None => http.connect().await?,
            };
            let (reply, open) = http.ask(open, request).await?;
            replies.push(reply);
            sender = Some(open);
        }
        Ok((replies, sender))
    }
}

impl Http {
    /// The replies to paths of the REST interface, in their order, within the time that one may take. Fails as a whole:
    /// asking again one by one tells what is wrong with which.
    pub fn get_all(&self, paths: &[String]) -> Result<Vec<Reply>, HttpError> {
        let mut connection = self.lock();
        let mut lanes = [
            Lane::new(connection.sender.take()),
            Lane::new(connection.second.take()),
        ];
        for (number, path) in paths.iter().enumerate() {
            lanes[number % 2].requests.push(self.get_request(path)?);
        }
        let [first, second] = lanes.map(|lane| lane.exchange(self));
        let both = async { tokio::try_join!(first, second) };
        let both = connection.runtime()?.block_on(self.bounded(both))?;
        let ((even, first), (odd, second)) = both;
        (connection.sender, connection.second) = (first, second);
        let mut odd = odd.into_iter();
        let turns = even.into_iter().flat_map(|even| [Some(even), odd.next()]);
        Ok(turns.flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::super::{Credentials, Limits};
    use super::*;

    /// The path of the next request.
    fn request(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        head.split(' ').nth(1).expect("a path").to_owned()
    }

    /// Replies with the path.
    fn reply(stream: &mut TcpStream, path: &str) {
        let length = path.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}"
        )
        .expect("a client that reads");
    }

    #[test]
    fn no_request_waits_for_the_reply_to_the_one_before() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let node = std::thread::spawn(move || {
            let accept = || listener.accept().expect("a connection").0;
            let mut streams = [accept(), accept()];
            for _ in 0..2 {
                // Nothing is answered before both have been asked.
                let paths = streams.each_mut().map(request);
                for (stream, path) in streams.iter_mut().zip(&paths) {
                    reply(stream, path);
                }
            }
        });
        let nobody = Credentials {
            cookie: None,
            user: None,
        };
        let http = Http::new(address, nobody, Limits::default());
        let paths = |numbers: std::ops::Range<u32>| -> Vec<String> {
            numbers.map(|number| format!("/{number}")).collect()
        };
        let ask = |paths: &[String]| -> Vec<String> {
            let replies = http.get_all(paths).expect("replies").into_iter();
            let text = |reply: Reply| String::from_utf8(reply.body).expect("text");
            replies.map(text).collect()
        };
        assert_eq!(ask(&paths(0..4)), paths(0..4));
        assert_eq!(http.connections(), 2);
        node.join().expect("it was asked as it expects");
    }
}
