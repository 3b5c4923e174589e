//! One index in the place of several, for uv.
//!
//! uv is given one index, of a host that does not exist and that the [egress proxy](crate::egress) answers
//! for. For each package that uv asks for, this asks the index that the package comes from: so no
//! package comes from another index than it should, whatever uv or a package's metadata says, and uv
//! never sees credentials. What indexes answer is read and written anew; files keep their own URLs,
//! spelled so that they lead here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use accretion_core::digest::Sha256;
use accretion_python::index::Credentials;
use accretion_python::lock::Lock;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use url::Url;

use crate::Error;
use crate::egress::{Body, Rules, Stop, empty};
use crate::indexes::Indexes;
use crate::origin::Refusal;

mod page;

/// A host that exists nowhere (RFC 2606).
pub(crate) const HOST: &str = "indexes.invalid";

/// The user name that uv gives the proxy.
const USER: &str = "uv";

/// The headers by which uv names the version of a page that it has.
static CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// The headers of a page's answer that are passed on.
static OF_PAGE: [HeaderName; 4] = [
    header::AGE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// The headers of a file's answer that are passed on.
static OF_FILE: [HeaderName; 8] = [
    header::ACCEPT_RANGES,
    header::AGE,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Leads uv to the indexes of a build.
#[derive(Debug)]
pub(crate) struct Routes {
    indexes: Arc<Indexes>,
    client: reqwest::Client,
    /// The start of the paths of this set of indexes. uv's cache knows pages by their URLs, so it
    /// is the same for the same indexes, and packages that could have uv ask for a URL can't guess it.
    key: String,
    /// The password that uv gives the proxy: other users of the machine must not use it.
    token: String,
    findings: Mutex<Findings>,
}

/// The findings so far.
#[derive(Debug, Default)]
struct Findings {
    /// Packages that are not in the index that they come from alone, and its name.
    missing: BTreeMap<String, String>,
    /// The last server that did not answer as it should, and what happened.
    unavailable: Option<(String, String)>,
}

impl Routes {
    /// `cache` is the folder that uv's cache is in.
    pub(crate) fn new(
        indexes: Arc<Indexes>,
        client: reqwest::Client,
        cache: &Path,
    ) -> io::Result<Self> {
        let identity = format!("{}\n{}", indexes.identity(), salt(cache)?);
        let mut token = [0; 24];
        random(&mut token)?;
        Ok(Self {
            indexes,
            client,
            key: Sha256::of(identity.as_bytes()).to_string()[..32].to_owned(),
            token: URL_SAFE_NO_PAD.encode(token),
            findings: Mutex::default(),
        })
    }

    /// The variable that tells uv of the index, and its value.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        // Without a default index of ours there is uv's own, after what is found here.
        let name = match &self.indexes.default {
            Some(_) => "UV_DEFAULT_INDEX",
            None => "UV_INDEX",
        };
        (name, format!("http://{HOST}/{}/simple/", self.key))
    }

    /// The URL of the proxy at an address.
    pub(crate) fn proxy(&self, address: std::net::SocketAddr) -> String {
        format!("http://{USER}:{}@{address}", self.token)
    }

    /// Returns whether a client may use the proxy.
    pub(crate) fn let_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let expected = format!(
            "Basic {}",
            STANDARD.encode(format!("{USER}:{}", self.token))
        );
        authorization.is_some_and(|given| given.as_bytes() == expected.as_bytes())
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request of uv.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        rules: &Arc<Rules>,
    ) -> io::Result<Response<Body>> {
        let Some(path) = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(&*self.key))
        else {
            return Ok(empty(StatusCode::NOT_FOUND));
        };
        if let Some(name) = path.strip_prefix("/simple/") {
            return self.page(name.trim_end_matches('/'), headers, rules).await;
        }
        match file_of(path) {
            Some((_, url)) => self.file(method, url, headers, rules).await,
            None => Ok(empty(StatusCode::NOT_FOUND)),
        }
    }

    /// A package's files, as the first index that has it lists them.
    async fn page(
        &self,
        package: &str,
        headers: &HeaderMap,
        rules: &Arc<Rules>,
    ) -> io::Result<Response<Body>> {
        // uv asks by normalised names.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if package.is_empty() || !package.chars().all(is_name) {
            return Ok(empty(StatusCode::NOT_FOUND));
        }
        let pinned = self.indexes.pinned(package);
        let sources = self.sources(package);
        for source in &sources {
            let mut request = self.request(Method::GET, source.url.clone(), source.credentials);
            request = request.header(header::ACCEPT, page::ACCEPT);
            // Of several it would be unclear whose page uv has.
            for name in CONDITIONS.iter().filter(|_| sources.len() == 1) {
                if let Some(value) = headers.get(name) {
                    request = request.header(name, value);
                }
            }
            let response = match self.send(request, &source.url, package, rules).await {
                Ok(response) => response,
                Err(status) => return Ok(empty(status)),
            };
            let mut answer = match response.status() {
                StatusCode::NOT_FOUND | StatusCode::GONE => continue,
                StatusCode::NOT_MODIFIED => empty(StatusCode::NOT_MODIFIED),
                _ => {
                    let kept = kept(&response, &OF_PAGE);
                    let page = match self.read(response, package, source.at, rules).await {
                        Ok(page) => page,
                        Err(status) => return Ok(empty(status)),
                    };
                    let mut answer = of_page(&page);
                    answer.headers_mut().extend(kept);
                    return Ok(answer);
                }
            };
            answer.headers_mut().extend(kept(&response, &OF_PAGE));
            return Ok(answer);
        }
        let mut answer = match pinned {
            // A page without files: what is there is not looked for elsewhere.
            Some((_, named)) => {
                let name = named.index.name.to_string();
                self.findings().missing.insert(package.to_owned(), name);
                of_page(&json!({"meta": {"api-version": "1.0"}, "name": package, "files": []}))
            }
            None => empty(StatusCode::NOT_FOUND),
        };
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// The sources of a package, in order.
    fn sources(&self, package: &str) -> Vec<Source<'_>> {
        let at = |at: usize| {
            let (url, credentials) = if let Some(named) = self.indexes.named.get(at) {
                (&named.index.url, &named.credentials)
            } else {
                let default = self.indexes.default.as_ref()?;
                (&default.url, &default.credentials)
            };
            let mut page = url.clone();
            let path = format!("{}/{package}/", url.path().trim_end_matches('/'));
            page.set_path(&path);
            Some(Source {
                at,
                url: page,
                credentials: credentials.as_ref(),
            })
        };
        if let Some((pinned, _)) = self.indexes.pinned(package) {
            return at(pinned).into_iter().collect();
        }
        let named = self.indexes.named.iter().enumerate();
        named
            .filter(|(_, named)| named.index.packages.is_none())
            .map(|(place, _)| place)
            .chain([self.indexes.named.len()])
            .filter_map(at)
            .collect()
    }

    fn request(
        &self,
        method: Method,
        url: Url,
        credentials: Option<&Credentials>,
    ) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url);
        match credentials {
            Some(Credentials { username, password }) => {
                request.basic_auth(username.reveal(), Some(password.reveal()))
            }
            None => request,
        }
    }

    /// An answer that can be used or says that there is nothing; otherwise what to tell uv, which
    /// tries again where that may help.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        url: &Url,
        what: &str,
        rules: &Rules,
    ) -> Result<reqwest::Response, StatusCode> {
        let host = || url.host_str().unwrap_or("the package index").to_owned();
        let unavailable = |problem: String| {
            self.findings().unavailable = Some((host(), problem));
        };
        // Redirects, and what names stand for, the client asks about itself.
        if let Err(refusal) = rules.origins.check(url) {
            rules.stop(Stop::Refused(refusal));
            return Err(StatusCode::FORBIDDEN);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                if let Some(refusal) = crate::download::cause::<Refusal>(&error) {
                    rules.stop(Stop::Refused(refusal.clone()));
                    return Err(StatusCode::FORBIDDEN);
                }
                unavailable(crate::download::describe(&error.without_url()));
                return Err(StatusCode::BAD_GATEWAY);
            }
        };
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            rules.stop(Stop::Forbidden(format!(
                "{} answers {status} to a request for `{what}`",
                host()
            )));
            return Err(StatusCode::FORBIDDEN);
        }
        let usable = status.is_success()
            || matches!(
                status,
                StatusCode::NOT_MODIFIED
                    | StatusCode::NOT_FOUND
                    | StatusCode::GONE
                    | StatusCode::RANGE_NOT_SATISFIABLE
            );
        if usable {
            // uv has tried again: what failed before is no reason any more.
            self.findings().unavailable = None;
            Ok(response)
        } else {
            unavailable(format!("HTTP status {}", status.as_u16()));
            Err(status)
        }
    }

    /// Reads an index's page.
    async fn read(
        &self,
        mut response: reqwest::Response,
        package: &str,
        at: usize,
        rules: &Rules,
    ) -> Result<Value, StatusCode> {
        /// Bytes of the page of a package. The largest there are have some ten millions.
        const LIMIT: usize = 128 << 20;

        let base = response.url().clone();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_json =
            kind.is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
        let mut bytes = Vec::new();
        let failed = |status: StatusCode, problem: String| {
            let host = base.host_str().unwrap_or_default().to_owned();
            self.findings().unavailable = Some((host, problem));
            status
        };
        // What will not be another page next time.
        let useless = |problem| failed(StatusCode::UNPROCESSABLE_ENTITY, problem);
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                let problem = crate::download::describe(&error.without_url());
                failed(StatusCode::BAD_GATEWAY, problem)
            })?;
            let Some(chunk) = chunk else { break };
            if !rules.count(chunk.len()) || bytes.len() + chunk.len() > LIMIT {
                return Err(useless(format!("the page of `{package}` has no end")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let read = page::read(&bytes, is_json, package, &base, |url| self.spell(at, url));
        read.ok_or_else(|| {
            useless(format!(
                "the page of `{package}` is none of a package index"
            ))
        })
    }

    /// The URL of a file, so that it leads here.
    fn spell(&self, at: usize, url: &Url) -> Option<String> {
        let file = url.path_segments()?.next_back()?;
        let url = URL_SAFE_NO_PAD.encode(url.as_str());
        let key = &self.key;
        Some(format!("http://{HOST}/{key}/files/{at}/{url}/{file}"))
    }

    async fn file(
        &self,
        method: &Method,
        url: Url,
        headers: &HeaderMap,
        rules: &Arc<Rules>,
    ) -> io::Result<Response<Body>> {
        let credentials = self.indexes.credentials(&url);
        let mut request = self.request(method.clone(), url.clone(), credentials);
        for name in CONDITIONS.iter().chain([&header::RANGE]) {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let file = url.path().rsplit('/').next().unwrap_or_default();
        let response = match self.send(request, &url, file, rules).await {
            Ok(response) => response,
            Err(status) => return Ok(empty(status)),
        };
        let (status, kept) = (response.status(), kept(&response, &OF_FILE));
        let rules = Arc::clone(rules);
        let body = reqwest::Body::from(response).map_err(io::Error::other);
        let counted = body.map_frame(move |frame| {
            rules.count(frame.data_ref().map_or(0, Bytes::len));
            frame
        });
        let mut answer = Response::new(counted.boxed_unsync());
        *answer.status_mut() = status;
        answer.headers_mut().extend(kept);
        Ok(answer)
    }

    /// A text of uv's with the URLs that files and indexes have elsewhere.
    pub(crate) fn restore(&self, text: &str) -> String {
        let prefix = format!("http://{HOST}/{}", self.key);
        let mut parts = text.split(prefix.as_str());
        let mut restored = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_end = |c: char| c.is_whitespace() || "\"'`<>(),".contains(c);
            let (path, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
            if let Some((_, url)) = file_of(path) {
                restored.push_str(url.as_str());
            } else {
                restored.push_str("the-index");
                restored.push_str(path.strip_prefix("/simple").unwrap_or_default());
            }
            restored.push_str(rest);
        }
        restored
    }

    /// Checks that every package of a lock, as uv writes it, comes from where it may.
    pub(crate) fn check(&self, lock: &Lock) -> Result<(), Error> {
        let prefix = format!("http://{HOST}/{}", self.key);
        for (package, url) in lock.urls() {
            let path = url.strip_prefix(prefix.as_str());
            let found = path.and_then(|path| Some(file_of(path)?.0));
            let expected = self.indexes.pinned(&package);
            let is_kept = match (expected, found) {
                (Some((expected, _)), found) => found == Some(expected),
                (None, None) => true,
                (None, Some(found)) => self
                    .indexes
                    .named
                    .get(found)
                    .is_none_or(|named| named.index.packages.is_none()),
            };
            if !is_kept {
                let index = expected.map(|(_, named)| named.index.name.to_string());
                return Err(Error::PinNotKept {
                    package,
                    index: index.unwrap_or_else(|| "another index".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// The findings about why a resolution failed. `explanation` is uv's.
    pub(crate) fn reason(&self, error: Error) -> Error {
        let findings = std::mem::take(&mut *self.findings());
        match (error, findings.unavailable) {
            (
                Error::PackageNotFound { explanation }
                | Error::RequirementsUnsatisfiable { explanation, .. },
                _,
            ) if !findings.missing.is_empty() => {
                let all = findings.missing.into_iter();
                let packages = all.map(|(package, index)| format!("`{package}` of `{index}`"));
                Error::PinnedPackageNotFound {
                    packages: packages.collect::<Vec<_>>().join(", "),
                    explanation,
                }
            }
            (Error::UpstreamUnavailable { .. } | Error::UvFailed { .. }, Some((host, problem))) => {
                Error::UpstreamUnavailable { host, problem }
            }
            (error, _) => error,
        }
    }
}

/// Parses the path of a file: the place of its index, and its URL.
fn file_of(path: &str) -> Option<(usize, Url)> {
    let (at, rest) = path.strip_prefix("/files/")?.split_once('/')?;
    let (encoded, file) = rest.split_once('/')?;
    let url = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let mut url: Url = String::from_utf8(url).ok()?.parse().ok()?;
    if !matches!(url.scheme(), "https" | "http") {
        return None;
    }
    // PEP 658: a file's metadata is beside it.
    if file.ends_with(".metadata") && !url.path().ends_with(".metadata") {
        let path = format!("{}.metadata", url.path());
        url.set_path(&path);
    }
    Some((at.parse().ok()?, url))
}

/// One of the indexes that may have a package.
struct Source<'a> {
    at: usize,
    url: Url,
    credentials: Option<&'a Credentials>,
}

fn kept(response: &reqwest::Response, names: &[HeaderName]) -> HeaderMap {
    let headers = response.headers();
    let kept = names
        .iter()
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    kept.collect()
}

fn of_page(page: &Value) -> Response<Body> {
    let text = Full::new(Bytes::from(page.to_string()));
    let mut response = Response::new(text.map_err(|never| match never {}).boxed_unsync());
    let kind = HeaderValue::from_static(page::JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    fs::File::open("/dev/urandom")?.read_exact(bytes)
}

/// The salt that makes this cache's keys differ from those of all other caches.
fn salt(cache: &Path) -> io::Result<String> {
    let path = cache.join(".routes");
    let read = || {
        fs::read_to_string(&path)
            .ok()
            .filter(|salt| !salt.is_empty())
    };
    if let Some(salt) = read() {
        return Ok(salt);
    }
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    let salt = URL_SAFE_NO_PAD.encode(bytes);
    let mut file = NamedTempFile::new_in(cache)?;
    file.write_all(salt.as_bytes())?;
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(salt),
        // Another process may have been first.
        Err(error) => read().ok_or(error.error),
    }
}

#[cfg(test)]
mod tests;
