//! The index's side of HTTP.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::time::Duration;

use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::{Distribution, Fault, Request, Shared, State, normalize, page};

const HTML: &str = "application/vnd.pypi.simple.v1+html";
const JSON: &str = "application/vnd.pypi.simple.v1+json";

type Body = BoxBody<Bytes, io::Error>;

/// Serves until told to stop, then drops every connection.
pub(super) fn serve(listener: TcpListener, shared: Shared, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs nothing rare");
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, shared) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: TcpListener, shared: Shared) {
    listener
        .set_nonblocking(true)
        .expect("a socket of ours can be set");
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes sockets");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(&request, &shared);
                std::future::ready(answered.map(|response| counted(response, &shared)))
            });
            // Clients may hang up whenever they like.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A response whose bytes are counted as they are sent.
fn counted(response: Response<Body>, shared: &Shared) -> Response<Body> {
    let shared = shared.clone();
    response.map(|body| {
        let count = move |frame: Frame<Bytes>| {
            shared.lock().sent += frame.data_ref().map_or(0, Bytes::len) as u64;
            frame
        };
        body.map_frame(count).boxed()
    })
}

/// An answer before faults are applied.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("headers here are plain ASCII");
        self.headers.insert(name, value);
        self
    }
}

fn answer(
    request: &hyper::Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path().to_owned();
    let (answer, fault) = {
        let mut state = shared.lock();
        state.requests.push(received(request));
        let fault = due(&mut state, &path);
        (truth(&state, request), fault)
    };
    let head = request.method() == Method::HEAD;
    match fault {
        Some(Fault::DropConnection(_)) => Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "dropped as told",
        )),
        Some(Fault::Status(status) | Fault::StatusTimes(status, _)) => {
            let status = StatusCode::from_u16(status).expect("the test gave a status of HTTP");
            Ok(whole(Answer::new(status, "a fault as told\n"), head))
        }
        Some(Fault::Redirect(url)) => {
            let answer = Answer::new(StatusCode::TEMPORARY_REDIRECT, "");
            Ok(whole(answer.header(header::LOCATION, &url), head))
        }
        fault if head || fault.is_none() => Ok(whole(answer, head)),
        Some(Fault::Corrupt) => {
            let mut answer = answer;
            let middle = answer.body.len() / 2;
            if let Some(byte) = answer.body.get_mut(middle) {
                *byte ^= 1;
            }
            Ok(whole(answer, head))
        }
        Some(Fault::WrongLength) => {
            let mut answer = answer;
            answer.body.pop();
            Ok(whole(answer, head))
        }
        Some(Fault::Truncated(len)) => Ok(in_pieces(answer, Pace::BreakAfter(len))),
        Some(Fault::Stall) => Ok(in_pieces(answer, Pace::Stall)),
        Some(Fault::Endless) => Ok(endless(answer)),
        Some(Fault::Slow(rate)) => Ok(in_pieces(answer, Pace::Rate(rate))),
        None => unreachable!("handled above"),
    }
}

fn received(request: &hyper::Request<Incoming>) -> Request {
    let header = |name| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Request {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        range: header(header::RANGE),
        user_agent: header(header::USER_AGENT),
    }
}

/// The fault for this request; those with a number of times are used up.
fn due(state: &mut State, path: &str) -> Option<Fault> {
    let fault = state.faults.get_mut(path)?;
    if let Fault::StatusTimes(_, times) | Fault::DropConnection(times) = fault {
        *times = times.checked_sub(1)?;
    }
    Some(fault.clone())
}

fn truth(state: &State, request: &hyper::Request<Incoming>) -> Answer {
    let not_found = || Answer::new(StatusCode::NOT_FOUND, "not found\n");
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Answer::new(StatusCode::METHOD_NOT_ALLOWED, "read only\n");
    }
    let given = request.headers().get(header::AUTHORIZATION);
    if let Some(wanted) = &state.authorization
        && given.is_none_or(|given| given.as_bytes() != wanted.as_bytes())
    {
        return Answer::new(StatusCode::UNAUTHORIZED, "who are you?\n")
            .header(header::WWW_AUTHENTICATE, "Basic");
    }
    let path = request.uri().path();
    if let Some(filename) = path.strip_prefix("/files/") {
        return file(state, filename, request.headers()).unwrap_or_else(not_found);
    }
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok());
    let json = state.options.json && accept.is_some_and(|accept| accept.contains(JSON));
    let listed = || state.distributions.iter().filter(|it| it.listed);
    let page = |html: String, value: serde_json::Value| {
        let (kind, body) = if json {
            (JSON, value.to_string())
        } else {
            (HTML, html)
        };
        Answer::new(StatusCode::OK, body).header(header::CONTENT_TYPE, kind)
    };
    match path
        .strip_prefix("/simple/")
        .map(|name| name.trim_end_matches('/'))
    {
        Some("") => {
            let mut names: Vec<_> = listed().map(Distribution::project).collect();
            names.sort();
            names.dedup();
            page(page::projects_html(&names), page::projects_json(&names))
        }
        Some(name) => {
            let name = normalize(name);
            let files: Vec<_> = listed().filter(|it| it.project() == name).collect();
            if files.is_empty() {
                return not_found();
            }
            page(
                page::project_html(&files),
                page::project_json(&name, &files),
            )
        }
        None => not_found(),
    }
}

fn file(state: &State, filename: &str, headers: &HeaderMap) -> Option<Answer> {
    let named = |name: &str| state.distributions.iter().find(|it| it.filename == name);
    let body = match named(filename) {
        Some(distribution) => &distribution.bytes,
        None => named(filename.strip_suffix(".metadata")?)?
            .metadata
            .as_ref()?,
    };
    let whole = || Answer::new(StatusCode::OK, body.clone());
    let answer = match headers.get(header::RANGE).and_then(|it| it.to_str().ok()) {
        Some(range) if state.options.ranges => match parse_range(range, body.len()) {
            Some(range) => {
                let content_range =
                    format!("bytes {}-{}/{}", range.start, range.end - 1, body.len());
                Answer::new(StatusCode::PARTIAL_CONTENT, &body[range])
                    .header(header::CONTENT_RANGE, &content_range)
            }
            None => Answer::new(StatusCode::RANGE_NOT_SATISFIABLE, "")
                .header(header::CONTENT_RANGE, &format!("bytes */{}", body.len())),
        },
        _ => whole(),
    };
    let units = if state.options.ranges {
        "bytes"
    } else {
        "none"
    };
    Some(
        answer
            .header(header::ACCEPT_RANGES, units)
            .header(header::CONTENT_TYPE, "application/octet-stream"),
    )
}

/// The one range of a header like `bytes=0-9`, `bytes=5-` or `bytes=-5`, if it can be served.
fn parse_range(text: &str, len: usize) -> Option<Range<usize>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (start, end) {
        ("", last) => len.saturating_sub(last.parse().ok()?)..len,
        (start, "") => start.parse().ok()?..len,
        (start, end) => start.parse().ok()?..end.parse::<usize>().ok()?.saturating_add(1).min(len),
    };
    (range.start < range.end).then_some(range)
}

fn whole(answer: Answer, head: bool) -> Response<Body> {
    let len = answer.body.len();
    if !head && len > PIECE {
        return in_pieces(answer, Pace::Free);
    }
    let body = if head {
        Bytes::new()
    } else {
        Bytes::from(answer.body)
    };
    respond(
        answer.status,
        answer.headers,
        len,
        Full::new(body).map_err(|never| match never {}).boxed(),
    )
}

/// The number of bytes of a body that are sent at a time.
const PIECE: usize = 64 << 10;

/// The pace of a body that is not sent at once.
#[derive(Clone, Copy)]
enum Pace {
    Free,
    BreakAfter(usize),
    Stall,
    Rate(usize),
}

fn in_pieces(answer: Answer, pace: Pace) -> Response<Body> {
    let len = answer.body.len();
    let body = Bytes::from(answer.body);
    let (mut sender, receiver) = Channel::new(1);
    tokio::spawn(async move {
        match pace {
            Pace::Free => {
                let mut rest = body;
                while !rest.is_empty() {
                    let piece = rest.split_to(PIECE.min(rest.len()));
                    if sender.send_data(piece).await.is_err() {
                        return;
                    }
                }
            }
            Pace::BreakAfter(after) => {
                let _ = sender.send_data(body.slice(..after.min(body.len()))).await;
                // Otherwise the break may overtake the bytes before it.
                tokio::time::sleep(Duration::from_millis(50)).await;
                sender.abort(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "broken as told",
                ));
            }
            Pace::Stall => {
                // The body ends when its sender is dropped.
                std::future::pending::<()>().await;
                drop(sender);
            }
            Pace::Rate(rate) => {
                const TICKS: usize = 20;
                let mut rest = body;
                while !rest.is_empty() {
                    let piece = rest.split_to((rate / TICKS).max(1).min(rest.len()));
                    if sender.send_data(piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1) / 20).await;
                }
            }
        }
    });
    respond(answer.status, answer.headers, len, receiver.boxed())
}

/// Zeros for as long as somebody takes them.
fn endless(answer: Answer) -> Response<Body> {
    let (mut sender, receiver) = Channel::new(1);
    tokio::spawn(async move {
        let zeros = Bytes::from(vec![0; PIECE]);
        while sender.send_data(zeros.clone()).await.is_ok() {}
    });
    let mut response = Response::new(receiver.boxed());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn respond(status: StatusCode, headers: HeaderMap, len: usize, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    response
}
