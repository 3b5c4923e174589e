//! The only way from a resolver to the network, if others choose what it asks for.
//!
//! A resolver follows whatever an index, a requirement or a redirect names. Where it runs for others,
//! it is given a proxy that listens on loopback and connects to nothing that [`Origins`] refuse. What
//! is encrypted passes through as it is: the proxy sees the server's name and counts bytes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, PROXY_AUTHORIZATION};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, client, server};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::origin::Origins;
use crate::routes::{self, Routes};
use crate::rules::{Body, Rules, Stop, empty};

/// The bytes that pass at a time.
const CHUNK: usize = 16 << 10;

/// A proxy for one run of a resolver, gone when dropped, with every connection.
#[derive(Debug)]
pub struct EgressProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    connections: JoinHandle<()>,
    stops: mpsc::Receiver<Stop>,
}

/// The state that all connections share.
#[derive(Debug)]
struct Shared {
    rules: Arc<Rules>,
    routes: Option<Routes>,
}

impl EgressProxy {
    /// Listens for a resolver, which may read `traffic` bytes. `routes` lead to indexes that it is not
    /// to ask by itself.
    pub async fn open(origins: Origins, traffic: u64, routes: Option<Routes>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (rules, stops) = Rules::new(origins, traffic);
        let rules = Arc::new(rules);
        let shared = Arc::new(Shared { rules, routes });
        Ok(Self {
            address: listener.local_addr()?,
            shared: Arc::clone(&shared),
            connections: tokio::spawn(accept(listener, shared)),
            stops,
        })
    }

    /// The value for proxy variables.
    pub fn url(&self) -> String {
        match self.routes() {
            Some(routes) => routes.proxy(self.address),
            None => format!("http://{}", self.address),
        }
    }

    /// The routes to indexes that the resolver does not ask by itself.
    pub fn routes(&self) -> Option<&Routes> {
        self.shared.routes.as_ref()
    }

    /// Waits until there is a reason to stop.
    pub async fn stopped(&mut self) -> Stop {
        match self.stops.recv().await {
            Some(stop) => stop,
            None => future::pending().await,
        }
    }
}

impl Drop for EgressProxy {
    fn drop(&mut self) {
        self.connections.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            },
            // Those that have ended need not be kept.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The tunnel that a connection becomes after `CONNECT`.
type Tunnel = Mutex<Option<(OnUpgrade, TcpStream)>>;

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let tunnel = Tunnel::default();
    let service = service_fn(|request| answer(request, &shared, &tunnel));
    let served = server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    let upgraded_to = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let (Ok(()), Some((upgrade, upstream))) = (served, upgraded_to)
        && let Ok(upgraded) = upgrade.await
    {
        let (from_resolver, to_resolver) = tokio::io::split(TokioIo::new(upgraded));
        let (from_server, to_server) = upstream.into_split();
        // Either side may hang up whenever it likes.
        let _ = tokio::try_join!(
            pass(from_resolver, to_server, &shared.rules),
            pass(from_server, to_resolver, &shared.rules),
        );
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    rules: &Rules,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if !rules.count(length) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// Answers with the status of an error: the resolver gets no details, its caller gets the reason to stop.
async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    tunnel: &Tunnel,
) -> Result<Response<Body>, hyper::Error> {
    let authorization = request.headers().get(PROXY_AUTHORIZATION);
    if let Some(routes) = &shared.routes
        && !routes.let_in(authorization)
    {
        return Ok(empty(StatusCode::PROXY_AUTHENTICATION_REQUIRED));
    }
    let answered = if request.method() == Method::CONNECT {
        connect(request, &shared.rules, tunnel).await
    } else {
        forward(request, shared).await
    };
    Ok(answered.unwrap_or_else(|error| {
        let status = match error.kind() {
            io::ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
            io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_GATEWAY,
        };
        empty(status)
    }))
}

/// Connects, and lets through whatever comes once that is answered.
async fn connect(
    request: Request<Incoming>,
    rules: &Rules,
    tunnel: &Tunnel,
) -> io::Result<Response<Body>> {
    let authority = request.uri().authority().map(ToString::to_string);
    let url = url_of(&format!("https://{}/", authority.unwrap_or_default()))?;
    let upstream = rules.connect(&url).await?;
    let upgrade = hyper::upgrade::on(request);
    *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, upstream));
    Ok(empty(StatusCode::OK))
}

/// Hands on a request over plain HTTP, which only an index may have that the operator chose.
async fn forward(mut request: Request<Incoming>, shared: &Shared) -> io::Result<Response<Body>> {
    let url = url_of(&request.uri().to_string())?;
    if let Some(routes) = &shared.routes
        && url.host_str() == Some(routes::HOST)
    {
        let (method, path) = (request.method(), url.path());
        let answered = routes.answer(method, path, request.headers(), &shared.rules);
        return Ok(answered.await.unwrap_or_else(empty));
    }
    let upstream = shared.rules.connect(&url).await?;
    let path = url[url::Position::BeforePath..url::Position::AfterQuery].parse::<Uri>();
    *request.uri_mut() = path.map_err(|_| io::ErrorKind::InvalidInput)?;
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    // The next request may be for another server.
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(upstream))
        .await
        .map_err(io::Error::other)?;
    // Ends with the response, or when that is dropped.
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    Ok(response
        .map_err(io::Error::other)?
        .map(|body| shared.rules.counted(body)))
}

fn url_of(text: &str) -> io::Result<Url> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::origin::Refusal;

    const HOUR: Duration = Duration::from_hours(1);

    /// A server that sends back what it gets, and where it listens.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn proxy(index: &str, traffic: u64) -> EgressProxy {
        let origins = Origins {
            indexes: vec![index.parse().unwrap()],
            refuse_local: true,
            hosts: "allowed.invalid, localhost, 169.254.169.254"
                .parse()
                .unwrap(),
        };
        EgressProxy::open(origins, traffic, None).await.unwrap()
    }

    /// Returns the first answer of the proxy to a request, and the connection.
    async fn ask(proxy: &EgressProxy, head: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let request = format!("{head}\r\nHost: example.com\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).await.unwrap() == 0 {
                break;
            }
            answer.extend(byte);
        }
        let answer = String::from_utf8(answer).unwrap();
        (answer.lines().next().unwrap_or_default().to_owned(), stream)
    }

    #[tokio::test]
    async fn what_is_allowed_passes_through_and_is_counted() {
        let server = echo().await;
        let mut proxy = proxy(&format!("https://{server}/simple/"), 100).await;
        let (answer, mut stream) = ask(&proxy, &format!("CONNECT {server} HTTP/1.1")).await;
        assert_eq!(answer, "HTTP/1.1 200 OK");
        let mut echoed = [0; 40];
        stream.write_all(&[7; 40]).await.unwrap();
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(echoed, [7; 40]);

        // Both ways count: 80 bytes so far.
        stream.write_all(&[7; 21]).await.unwrap();
        assert_eq!(stream.read(&mut echoed).await.unwrap_or_default(), 0);
        let stop = tokio::time::timeout(HOUR, proxy.stopped()).await.unwrap();
        assert!(matches!(stop, Stop::Traffic), "{stop:?}");
    }

    #[tokio::test]
    async fn connections_end_with_the_proxy() {
        let server = echo().await;
        let proxy = proxy(&format!("https://{server}/simple/"), 100).await;
        let (_, mut stream) = ask(&proxy, &format!("CONNECT {server} HTTP/1.1")).await;
        let address = proxy.address;
        drop(proxy);
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_neither_looked_up_nor_connected_to() {
        let server = echo().await;
        let port = server.port();
        for (head, expected) in [
            (format!("CONNECT 127.0.0.1:{port} HTTP/1.1"), "local"),
            (format!("CONNECT localhost:{port} HTTP/1.1"), "local"),
            (format!("CONNECT LOCALHOST.:{port} HTTP/1.1"), "local"),
            (
                format!("CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1"),
                "local",
            ),
            ("CONNECT 169.254.169.254:443 HTTP/1.1".to_owned(), "local"),
            ("CONNECT 0xa9fea9fe:443 HTTP/1.1".to_owned(), "local"),
            ("CONNECT [fd00:ec2::254]:443 HTTP/1.1".to_owned(), "local"),
            ("CONNECT example.com:443 HTTP/1.1".to_owned(), "host"),
            (
                "CONNECT allowed.invalid.example.com:443 HTTP/1.1".to_owned(),
                "host",
            ),
            ("GET http://allowed.invalid/ HTTP/1.1".to_owned(), "plain"),
            (format!("GET http://127.0.0.1:{port}/ HTTP/1.1"), "local"),
        ] {
            let mut proxy = proxy("https://127.0.0.1:1/simple/", 100).await;
            assert_eq!(
                ask(&proxy, &head).await.0,
                "HTTP/1.1 403 Forbidden",
                "{head}"
            );
            let Stop::Refused(refusal) = proxy.stopped().await else {
                panic!("nothing was read");
            };
            let kind = match refusal {
                Refusal::Plain { .. } => "plain",
                Refusal::Local { .. } => "local",
                Refusal::Host { .. } => "host",
            };
            assert_eq!(kind, expected, "{head}");
        }
    }

    #[tokio::test]
    async fn what_makes_no_sense_or_does_not_answer_is_no_reason_to_stop() {
        let mut proxy = proxy("https://127.0.0.1:1/simple/", 100).await;
        for (head, expected) in [
            ("CONNECT 127.0.0.1:1 HTTP/1.1", "HTTP/1.1 502 Bad Gateway"),
            (
                "CONNECT allowed.invalid:443 HTTP/1.1",
                "HTTP/1.1 502 Bad Gateway",
            ),
            ("CONNECT :443 HTTP/1.1", "HTTP/1.1 400 Bad Request"),
            ("GET / HTTP/1.1", "HTTP/1.1 400 Bad Request"),
        ] {
            assert_eq!(ask(&proxy, head).await.0, expected, "{head}");
        }
        let stopped = tokio::time::timeout(Duration::ZERO, proxy.stopped()).await;
        assert!(stopped.is_err());
    }
}
