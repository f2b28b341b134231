//! A DNS-over-HTTPS upstream that says what a script says, HTTP head included.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::ports::free_address;
use super::upstream::Certificate;

/// An answer over HTTP.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A message with status 200.
    pub fn message(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/dns-message".to_owned())],
            body,
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

type Script = dyn Fn(&[u8]) -> Reply + Send + Sync;

/// Paths that were asked for, and the queries.
type Seen = Mutex<Vec<(String, Vec<u8>)>>;

/// A scripted upstream for POST. It lives as long as the test process.
pub struct Doh {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Doh {
    pub fn start(
        certificate: &Certificate,
        script: impl Fn(&[u8]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (address, seen) = (free_address(), Arc::default());
        let doh = Self {
            address,
            seen: Arc::clone(&seen),
        };
        let acceptor = tokio_rustls::TlsAcceptor::from(certificate.server(b"h2"));
        let script: Arc<Script> = Arc::new(script);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, script, seen) =
                        (acceptor.clone(), Arc::clone(&script), Arc::clone(&seen));
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let service = service_fn(|request| {
                            answer(request, Arc::clone(&script), Arc::clone(&seen))
                        });
                        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            });
        });
        doh
    }

    pub fn seen(&self) -> Vec<(String, Vec<u8>)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    script: Arc<Script>,
    seen: Arc<Seen>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = to_bytes(Body::new(request.into_body()), 65_535)
        .await
        .unwrap()
        .to_vec();
    seen.lock().unwrap().push((path, query.clone()));
    let reply = script(&query);
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}
