//! A web server in the test's own process: HTTP/1.1, HTTP/2 and connections that are upgraded, over TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::site::Keys;

/// A running server; its page is the version of HTTP.
pub struct Origin {
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Origin {
    /// Shows the leaf alone.
    pub fn start(keys: &Keys) -> Self {
        let certificate = CertificateDer::from_pem_slice(keys.leaf_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(keys.leaf.serialize_pem().as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let stream = TokioIo::new(stream);
                    let serving =
                        builder.serve_connection_with_upgrades(stream, service_fn(respond));
                    let _ = serving.await; // clients may go as they like
                });
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut response = Response::new(format!("{:?}", request.version()));
    if request.headers().contains_key(UPGRADE) {
        *response.body_mut() = String::new();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        tokio::spawn(echo(request));
    }
    Ok(response)
}

/// Says everything again that comes over an upgraded connection.
async fn echo(request: Request<Incoming>) {
    let upgraded = hyper::upgrade::on(request).await;
    let mut stream = TokioIo::new(upgraded.expect("an upgrade"));
    let mut chunk = [0; 1_024];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        if stream.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
