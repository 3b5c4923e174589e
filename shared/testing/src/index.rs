//! A package index on loopback, with faults on demand and a log of who asked for what.
//!
//! It speaks the simple repository API: HTML (PEP 503) and JSON (PEP 691), metadata files
//! (PEP 658), `upload-time` and `size` (PEP 700), yanked files (PEP 592), and ranges of bytes.
//! It runs in a thread of its own, so a test may block while a subprocess talks to it, and ends
//! when it is dropped.

mod page;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::forge::{Sdist, Wheel, sha256_hex};

/// A file of the index, and what the index says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    filename: String,
    bytes: Vec<u8>,
    sha256: Option<String>,
    size: Option<u64>,
    metadata: Option<Vec<u8>>,
    requires_python: Option<String>,
    upload_time: Option<String>,
    yanked: Option<String>,
    listed: bool,
}

impl Distribution {
    /// Any bytes under any file name. The project is the name's part before the first hyphen, or
    /// before the version of a source distribution.
    pub fn new(filename: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            filename: filename.into(),
            sha256: Some(sha256_hex(&bytes)),
            size: Some(bytes.len() as u64),
            metadata: None,
            requires_python: None,
            upload_time: Some("2025-01-01T00:00:00.000000Z".to_owned()),
            yanked: None,
            listed: true,
            bytes,
        }
    }

    /// Lists no hash, as some private indexes do.
    #[must_use]
    pub fn without_sha256(mut self) -> Self {
        self.sha256 = None;
        self
    }

    /// Lists some other hash than the file has.
    #[must_use]
    pub fn listed_sha256(mut self, sha256: &str) -> Self {
        self.sha256 = Some(sha256.to_owned());
        self
    }

    /// Lists no size.
    #[must_use]
    pub fn without_size(mut self) -> Self {
        self.size = None;
        self
    }

    /// Lists some other size than the file has.
    #[must_use]
    pub fn listed_size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Serves no metadata file: a resolver has to look into the wheel.
    #[must_use]
    pub fn without_core_metadata(mut self) -> Self {
        self.metadata = None;
        self
    }

    /// Lists the Python versions the file is for.
    #[must_use]
    pub fn requires_python(mut self, specifiers: &str) -> Self {
        self.requires_python = Some(specifiers.to_owned());
        self
    }

    /// Sets the time of the upload, in RFC 3339 and UTC.
    #[must_use]
    pub fn upload_time(mut self, time: &str) -> Self {
        self.upload_time = Some(time.to_owned());
        self
    }

    /// Lists no time of upload.
    #[must_use]
    pub fn without_upload_time(mut self) -> Self {
        self.upload_time = None;
        self
    }

    /// Yanks the file; the reason may be empty.
    #[must_use]
    pub fn yanked(mut self, reason: &str) -> Self {
        self.yanked = Some(reason.to_owned());
        self
    }

    /// Serves the file without listing it, for requirements that are URLs.
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    fn project(&self) -> String {
        let name = match self.filename.strip_suffix(".tar.gz") {
            Some(stem) => stem.rsplit_once('-').map_or(stem, |(name, _)| name),
            None => self.filename.split('-').next().unwrap_or_default(),
        };
        normalize(name)
    }
}

impl From<Wheel> for Distribution {
    fn from(wheel: Wheel) -> Self {
        Self {
            metadata: wheel.metadata,
            requires_python: wheel.requires_python,
            ..Self::new(wheel.filename, wheel.bytes)
        }
    }
}

impl From<&Wheel> for Distribution {
    fn from(wheel: &Wheel) -> Self {
        wheel.clone().into()
    }
}

impl From<Sdist> for Distribution {
    fn from(sdist: Sdist) -> Self {
        Self::new(sdist.filename, sdist.bytes)
    }
}

impl From<&Sdist> for Distribution {
    fn from(sdist: &Sdist) -> Self {
        sdist.clone().into()
    }
}

/// A project's normalised name (PEP 503).
fn normalize(name: &str) -> String {
    crate::forge::escape(name).replace('_', "-")
}

/// A fault in the answers for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after so many bytes of the body.
    Truncated(usize),
    /// The middle byte of the body is flipped.
    Corrupt,
    /// Always this status.
    Status(u16),
    /// This status so many times, then the truth.
    StatusTimes(u16, usize),
    /// A temporary redirect (307) to this URL.
    Redirect(String),
    /// The headers come, and then nothing.
    Stall,
    /// Zeros, without an end.
    Endless,
    /// The body lacks its last byte, and its Content-Length agrees: only a hash, or a size known
    /// from elsewhere, tells.
    WrongLength,
    /// So many bytes a second.
    Slow(usize),
    /// The connection is closed without an answer so many times.
    DropConnection(usize),
}

/// A request the index received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD` or whatever it was.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
}

/// The options of the index's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options {
    json: bool,
    ranges: bool,
}

#[derive(Debug)]
struct State {
    distributions: Vec<Distribution>,
    faults: HashMap<String, Fault>,
    requests: Vec<Request>,
    options: Options,
    /// The `Authorization` header without which there is no answer.
    authorization: Option<String>,
    /// Bytes of bodies that were sent.
    sent: u64,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, even one that panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A package index that is being served on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct PackageIndex {
    origin: String,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PackageIndex {
    /// Starts an index of these files. It answers from the moment this returns.
    ///
    /// # Panics
    ///
    /// If there is no port or no thread to be had.
    pub fn start<D: Into<Distribution>>(distributions: impl IntoIterator<Item = D>) -> Self {
        let shared = Shared(Arc::new(Mutex::new(State {
            distributions: distributions.into_iter().map(Into::into).collect(),
            faults: HashMap::new(),
            requests: Vec::new(),
            options: Options {
                json: true,
                ranges: true,
            },
            authorization: None,
            sent: 0,
        })));
        let listener =
            std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel();
        let state = shared.clone();
        let thread = std::thread::Builder::new()
            .name("package-index".to_owned())
            .spawn(move || server::serve(listener, state, stopped))
            .expect("a thread can be started");
        Self {
            origin: format!("http://{address}"),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The root of the simple API, as `--default-index` wants it.
    pub fn url(&self) -> String {
        format!("{}/simple/", self.origin)
    }

    /// The URL of a file.
    pub fn file_url(&self, filename: &str) -> String {
        format!("{}{}", self.origin, path_of(filename))
    }

    /// Adds a file.
    pub fn add(&self, distribution: impl Into<Distribution>) {
        self.shared.lock().distributions.push(distribution.into());
    }

    /// Takes a file away.
    pub fn remove(&self, filename: &str) {
        self.shared
            .lock()
            .distributions
            .retain(|it| it.filename != filename);
    }

    /// Speaks HTML to everybody, as many private indexes do.
    pub fn html_only(&self) {
        self.shared.lock().options.json = false;
    }

    /// Ignores `Range` headers.
    pub fn without_ranges(&self) {
        self.shared.lock().options.ranges = false;
    }

    /// Answers 401 to whoever does not send this `Authorization` header.
    pub fn require_authorization(&self, value: &str) {
        self.shared.lock().authorization = Some(value.to_owned());
    }

    /// Lets the answers for a file go wrong, or for a path if it starts with a slash:
    /// `demo-1.0-py3-none-any.whl`, the same with `.metadata`, or `/simple/demo/`.
    pub fn fault(&self, file: &str, fault: Fault) {
        self.shared.lock().faults.insert(path_of(file), fault);
    }

    /// Lets the answers for a file or path be right again.
    pub fn heal(&self, file: &str) {
        self.shared.lock().faults.remove(&path_of(file));
    }

    /// Bytes of bodies that were sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.lock().sent
    }

    /// The requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The number of requests with GET for a file, or for a path if it starts with a slash.
    /// Requests for ranges count one each.
    pub fn count(&self, file: &str) -> usize {
        let path = path_of(file);
        let state = self.shared.lock();
        state
            .requests
            .iter()
            .filter(|it| it.method == "GET" && it.path == path)
            .count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.lock().requests.clear();
    }
}

impl Drop for PackageIndex {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone if the thread has ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn path_of(file: &str) -> String {
    if file.starts_with('/') {
        file.to_owned()
    } else {
        format!("/files/{file}")
    }
}
