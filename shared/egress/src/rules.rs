//! The rules for every connection of a resolver, and the reasons to stop it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{self, Bytes};
use hyper::{Response, StatusCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc;
use url::Url;

use crate::origin::{Origins, Refusal};

/// A server that does not take the connection by then is not there.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of an answer to the resolver.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The reason to stop a resolver.
#[derive(Debug)]
pub enum Stop {
    /// It has asked for what is not allowed.
    Refused(Refusal),
    /// It has read more bytes than it may.
    Traffic,
    /// An index refuses access: its answer, as a sentence.
    Forbidden(String),
}

/// The rules for every connection.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) origins: Origins,
    /// Bytes that may still be read.
    left: AtomicU64,
    stop: mpsc::Sender<Stop>,
}

impl Rules {
    /// Rules that allow to read `traffic` bytes, and what the first reason to stop is sent to.
    pub(crate) fn new(origins: Origins, traffic: u64) -> (Self, mpsc::Receiver<Stop>) {
        let (stop, stops) = mpsc::channel(1);
        let left = AtomicU64::new(traffic);
        let rules = Self {
            origins,
            left,
            stop,
        };
        (rules, stops)
    }

    /// Tells that the resolver is not to go on. The first reason counts.
    pub(crate) fn stop(&self, stop: Stop) {
        let _ = self.stop.try_send(stop);
    }

    /// Counts bytes that were read. Returns whether there may be more.
    pub(crate) fn count(&self, bytes: usize) -> bool {
        let take = |left: u64| left.checked_sub(bytes as u64);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            self.stop(Stop::Traffic);
        }
        taken.is_ok()
    }

    /// The body of a server's response, whose bytes are counted.
    pub(crate) fn counted<B>(self: &Arc<Self>, body: B) -> Body
    where
        B: body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let rules = Arc::clone(self);
        let counted = body.map_frame(move |frame| {
            rules.count(frame.data_ref().map_or(0, Bytes::len));
            frame
        });
        counted.map_err(io::Error::other).boxed_unsync()
    }

    /// Connects to the host and port of a URL, if that is allowed.
    pub(crate) async fn connect(&self, url: &Url) -> io::Result<TcpStream> {
        let refused = |refusal: Refusal| {
            self.stop(Stop::Refused(refusal.clone()));
            io::Error::new(io::ErrorKind::PermissionDenied, refusal)
        };
        self.origins.check(url).map_err(refused)?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        // An IPv6 address stands in brackets.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let connect = async {
            let addresses = lookup_host((name, port)).await?;
            let addresses = self.origins.reachable(host, addresses).map_err(refused)?;
            TcpStream::connect(&*addresses).await
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect).await?
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
