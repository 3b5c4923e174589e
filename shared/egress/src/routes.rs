//! One index in the place of several, for a resolver.
//!
//! A resolver is given one index, of a host that does not exist and that the [egress proxy] answers
//! for. For each package that it asks for, this asks the index that the package comes from: so no
//! package comes from another index than it should, whatever the resolver or a package's metadata
//! says, and the resolver never sees credentials. What indexes answer is read and written anew; files
//! keep their own URLs, spelled so that they lead here.
//!
//! [egress proxy]: crate::EgressProxy

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::mem::take;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

use crate::client::{describe, refusal, with_credentials};
use crate::error::Error;
use crate::indexes::Indexes;
use crate::rules::{Body, Rules, Stop, empty};

mod page;

/// A host that exists nowhere (RFC 2606).
pub(crate) const HOST: &str = "indexes.invalid";

/// The user name that the resolver gives the proxy.
const USER: &str = "resolver";

/// The headers by which a resolver names the version of a page that it has.
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

/// Leads a resolver to the indexes of a build.
#[derive(Debug)]
pub struct Routes {
    indexes: Arc<Indexes>,
    client: reqwest::Client,
    /// The start of the paths of this set of indexes. The resolver's cache knows pages by their URLs,
    /// so it is the same for the same indexes, and packages that could have the resolver ask for a URL
    /// can't guess it.
    key: String,
    /// The password that the resolver gives the proxy: other users of the machine must not use it.
    token: String,
    findings: Mutex<Findings>,
}

/// The answers of indexes that may be why a resolution failed.
#[derive(Debug, Default)]
pub struct Findings {
    /// Packages that are not in the index that they come from alone, and its name.
    pub missing: BTreeMap<String, String>,
    /// The last server that did not answer as it should.
    pub unavailable: Option<Error>,
}

impl Routes {
    /// `cache` is the folder that the resolver's cache is in.
    pub fn new(indexes: Arc<Indexes>, client: reqwest::Client, cache: &Path) -> io::Result<Self> {
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

    /// The URL of the one index.
    pub fn url(&self) -> String {
        format!("http://{HOST}/{}/simple/", self.key)
    }

    /// Returns whether the one index stands for a default index, too. If not, the resolver's own one
    /// comes after it.
    pub fn have_default(&self) -> bool {
        self.indexes.default.is_some()
    }

    /// The URL of the proxy at an address.
    pub(crate) fn proxy(&self, address: SocketAddr) -> String {
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

    /// Takes the findings so far.
    pub fn findings(&self) -> Findings {
        take(&mut *self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request of the resolver; an error is an answer without a body.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        rules: &Arc<Rules>,
    ) -> Result<Response<Body>, StatusCode> {
        let inside = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(&*self.key))
            .ok_or(StatusCode::NOT_FOUND)?;
        if let Some(name) = inside.strip_prefix("/simple/") {
            return self.page(name.trim_end_matches('/'), headers, rules).await;
        }
        let (_, url) = file_of(inside).ok_or(StatusCode::NOT_FOUND)?;
        self.file(method, url, headers, rules).await
    }

    /// A package's files, as the first index that has it lists them.
    async fn page(
        &self,
        package: &str,
        headers: &HeaderMap,
        rules: &Rules,
    ) -> Result<Response<Body>, StatusCode> {
        // Resolvers ask by normalised names.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if package.is_empty() || !package.chars().all(is_name) {
            return Err(StatusCode::NOT_FOUND);
        }
        let sources = self.sources(package);
        for source in &sources {
            // Of several it would be unclear whose page the resolver has.
            let conditions = CONDITIONS.iter().filter(|_| sources.len() == 1);
            let request = self
                .client
                .get(source.url.clone())
                .headers(picked(headers, conditions))
                .header(header::ACCEPT, page::ACCEPT);
            let authorized = with_credentials(request, source.credentials);
            let response = self.send(authorized, package, rules).await?;
            let passed_on = picked(response.headers(), &OF_PAGE);
            let mut answer = match response.status() {
                StatusCode::NOT_FOUND | StatusCode::GONE => continue,
                StatusCode::NOT_MODIFIED => empty(StatusCode::NOT_MODIFIED),
                _ => of_page(&self.read(response, package, source.at, rules).await?),
            };
            answer.headers_mut().extend(passed_on);
            return Ok(answer);
        }
        let mut answer = match self.indexes.pinned(package) {
            // A page without files: what is there is not looked for elsewhere.
            Some((_, named)) => {
                let name = named.index.name.to_string();
                self.locked().missing.insert(package.to_owned(), name);
                of_page(&json!({"meta": {"api-version": "1.0"}, "name": package, "files": []}))
            }
            None => empty(StatusCode::NOT_FOUND),
        };
        let no_store = HeaderValue::from_static("no-store");
        answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
        Ok(answer)
    }

    /// The sources of a package, in order.
    fn sources(&self, package: &str) -> Vec<Source<'_>> {
        let all = self.indexes.all().enumerate();
        let sources = all.filter(|(at, _)| self.indexes.may_have(*at, package));
        let with_pages = sources.map(|(at, (url, credentials))| {
            let path = format!("{}/{package}/", url.path().trim_end_matches('/'));
            let mut page = url.clone();
            page.set_path(&path);
            Source {
                at,
                url: page,
                credentials,
            }
        });
        with_pages.collect()
    }

    /// A response that can be used or says that there is nothing; otherwise the status to answer the
    /// resolver with, which tries again where that may help.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        what: &str,
        rules: &Rules,
    ) -> Result<reqwest::Response, StatusCode> {
        let built = request.build().map_err(|_| StatusCode::BAD_GATEWAY)?;
        let url = built.url().clone();
        // Redirects, and what names stand for, the client asks about itself.
        if let Err(refusal) = rules.origins.check(&url) {
            rules.stop(Stop::Refused(refusal));
            return Err(StatusCode::FORBIDDEN);
        }
        let response = match self.client.execute(built).await {
            Ok(response) => response,
            Err(error) => {
                if let Some(refusal) = refusal(&error) {
                    rules.stop(Stop::Refused(refusal.clone()));
                    return Err(StatusCode::FORBIDDEN);
                }
                self.unavailable(&url, describe(&error.without_url()));
                return Err(StatusCode::BAD_GATEWAY);
            }
        };
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let host = host_of(&url);
                rules.stop(Stop::Forbidden(format!(
                    "{host} answers {status} to a request for `{what}`"
                )));
                Err(StatusCode::FORBIDDEN)
            }
            _ if !is_usable(status) => {
                self.unavailable(&url, format!("HTTP status {}", status.as_u16()));
                Err(status)
            }
            _ => {
                // The resolver has tried again: what failed before is no reason any more.
                self.locked().unavailable = None;
                Ok(response)
            }
        }
    }

    /// Notes that the server of a URL did not answer as it should.
    fn unavailable(&self, url: &Url, problem: String) {
        let host = host_of(url).to_owned();
        self.locked().unavailable = Some(Error::UpstreamUnavailable { host, problem });
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
        // Status of a page that will not be another one next time.
        let useless = |problem| {
            self.unavailable(&base, problem);
            StatusCode::UNPROCESSABLE_ENTITY
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| {
            self.unavailable(&base, describe(&error.without_url()));
            StatusCode::BAD_GATEWAY
        })? {
            if !rules.count(chunk.len()) || bytes.len() + chunk.len() > LIMIT {
                return Err(useless(format!("the page of `{package}` has no end")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let read = page::read(&bytes, is_json, package, &base, |url| self.spell(at, url));
        let none = || format!("the page of `{package}` is none of a package index");
        read.ok_or_else(|| useless(none()))
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
    ) -> Result<Response<Body>, StatusCode> {
        let asked = CONDITIONS.iter().chain([&header::RANGE]);
        let request = self.client.request(method.clone(), url.clone());
        let picked_request = request.headers(picked(headers, asked));
        let authorized = with_credentials(picked_request, self.indexes.credentials(&url));
        let file = url.path().rsplit('/').next().unwrap_or_default();
        let response = self.send(authorized, file, rules).await?;
        let (status, passed_on) = (response.status(), picked(response.headers(), &OF_FILE));
        let mut answer = Response::new(rules.counted(reqwest::Body::from(response)));
        *answer.status_mut() = status;
        answer.headers_mut().extend(passed_on);
        Ok(answer)
    }

    /// A text of the resolver's with the URLs that files and indexes have elsewhere.
    pub fn restore(&self, text: &str) -> String {
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

    /// Checks that every package of a lock, as the resolver writes it, comes from where it may.
    pub fn check(&self, lock: &Lock) -> Result<(), Error> {
        let prefix = format!("http://{HOST}/{}", self.key);
        for (package, url) in lock.urls() {
            let path = url.strip_prefix(prefix.as_str());
            let found = path.and_then(|path| Some(file_of(path)?.0));
            let pinned = self.indexes.pinned(&package);
            if !found.map_or(pinned.is_none(), |at| self.indexes.may_have(at, &package)) {
                let index = pinned.map(|(_, named)| named.index.name.to_string());
                return Err(Error::PinNotKept {
                    package,
                    index: index.unwrap_or_else(|| "another index".to_owned()),
                });
            }
        }
        Ok(())
    }
}

/// Returns whether a response can be used, or says that there is nothing.
fn is_usable(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::NOT_MODIFIED
                | StatusCode::NOT_FOUND
                | StatusCode::GONE
                | StatusCode::RANGE_NOT_SATISFIABLE
        )
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or("the package index")
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

/// The headers of these names.
fn picked<'a>(headers: &HeaderMap, names: impl IntoIterator<Item = &'a HeaderName>) -> HeaderMap {
    let picked = names.into_iter().filter_map(|name| {
        let value = headers.get(name)?.clone();
        Some((name.clone(), value))
    });
    picked.collect()
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
