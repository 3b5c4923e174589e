//! Downloading files whose SHA-256 is known.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::limits::DownloadLimits;
use accretion_python::index::Credentials;
use accretion_python::lock::LockedFile;
use accretion_service::ports::{Event, Progress};
use reqwest::StatusCode;
use sha2::Digest as _;
use tokio::sync::{AcquireError, OnceCell, Semaphore, SemaphorePermit};
use url::Url;

use crate::Error;
use crate::blocking::blocking;
use crate::dns::SharedLookups;
use crate::hosts::AllowedHosts;
use crate::indexes::Indexes;
use crate::origin::{Origins, Refusal};

/// Downloads at the same time.
const DOWNLOADS: usize = 16;
/// The number of attempts at a download.
const ATTEMPTS: u32 = 4;
/// The pause after the first failed attempt; it doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A server that does not take the connection by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that sends nothing for so long sends nothing more.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Downloads files, and makes sure that they are the right ones.
#[derive(Clone)]
pub struct Downloader {
    client: Arc<OnceCell<reqwest::Client>>,
    offline: bool,
    origins: Origins,
    indexes: Arc<Indexes>,
    slots: Arc<Semaphore>,
    progress: Arc<dyn Progress>,
}

/// The limits of the downloads of one build, and their costs so far.
#[derive(Debug)]
pub(crate) struct Allowance {
    limits: DownloadLimits,
    received: AtomicU64,
}

impl Allowance {
    pub(crate) fn new(limits: DownloadLimits) -> Self {
        Self {
            limits,
            received: AtomicU64::new(0),
        }
    }

    /// Checks that there may be so many more bytes, of a file with so many of them.
    fn check(&self, filename: &str, of_file: u64, more: u64) -> Result<(), Error> {
        let DownloadLimits { file, total, .. } = self.limits;
        if of_file > file {
            let (file, limit) = (filename.to_owned(), file);
            return Err(Error::DownloadTooLarge { file, limit });
        }
        let received = self.received.load(Ordering::Relaxed);
        if received.saturating_add(more) > total {
            return Err(Error::DownloadsTooLarge { limit: total });
        }
        Ok(())
    }
}

/// The right to one download.
pub(crate) struct Turn<'a> {
    _slot: Result<SemaphorePermit<'a>, AcquireError>,
}

impl Downloader {
    /// Makes a downloader. `index` is the package index that the user chose, if any: where it is
    /// plain HTTP, so may its files be, and what it wants as credentials, its server wants for
    /// files. With `offline` every download is an error.
    pub fn new(index: Option<&Url>, offline: bool, progress: Arc<dyn Progress>) -> Self {
        let indexes = Indexes::of_default(index);
        Self {
            client: Arc::default(),
            offline,
            origins: Origins {
                indexes: indexes.urls().cloned().collect(),
                ..Origins::default()
            },
            indexes: Arc::new(indexes),
            slots: Arc::new(Semaphore::new(DOWNLOADS)),
            progress,
        }
    }

    /// Refuses addresses of the machine itself, over HTTP and HTTPS alike, unless the index that
    /// was chosen is there: loopback and link-local ones, however a URL, a redirect or a name
    /// leads to them. For machines where what listens there is not for those who make requests,
    /// such as the runtime interface of an AWS Lambda function.
    #[must_use]
    pub fn refusing_local_addresses(mut self) -> Self {
        self.origins.refuse_local = true;
        self.client = Arc::default();
        self
    }

    /// Downloads from some hosts only, and from the index that was chosen.
    #[must_use]
    pub fn allowing(mut self, hosts: AllowedHosts) -> Self {
        self.origins.hosts = hosts;
        self.client = Arc::default();
        self
    }

    /// Treats more indexes as chosen by the user.
    #[must_use]
    pub fn trusting<'a>(mut self, indexes: impl IntoIterator<Item = &'a Url>) -> Self {
        self.origins.indexes.extend(indexes.into_iter().cloned());
        self.client = Arc::default();
        self
    }

    /// The same for a build with these indexes: what they want as credentials, their servers want for
    /// files. What was chosen or allowed before stays what it is.
    #[must_use]
    pub fn using(&self, indexes: Arc<Indexes>) -> Self {
        Self {
            indexes,
            ..self.clone()
        }
    }

    /// A request with the credentials of an index where that is the same server. A URL that has its
    /// own keeps them. A redirect takes none to another server.
    fn request(&self, client: &reqwest::Client, url: &Url) -> reqwest::RequestBuilder {
        let request = client.get(url.clone());
        let has_own = !url.username().is_empty() || url.password().is_some();
        match self.indexes.credentials(url).filter(|_| !has_own) {
            Some(Credentials { username, password }) => {
                request.basic_auth(username.reveal(), Some(password.reveal()))
            }
            None => request,
        }
    }

    /// Makes the client before it is needed, which takes a while: it reads the certificates that
    /// the machine trusts.
    pub async fn prepare(&self) {
        // What is wrong will be said by the download that needs the client.
        let _ = self.client().await;
    }

    /// Waits until there may be one more download. Who waits need not have a file open yet: a
    /// build asks for hundreds at once.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn {
            _slot: self.slots.acquire().await,
        }
    }

    /// Downloads a file into `into`, from its start, and checks its SHA-256.
    ///
    /// Tries again where that may help. `into` holds the file only if this returns `Ok`.
    pub(crate) async fn download(
        &self,
        _turn: Turn<'_>,
        filename: &str,
        file: &LockedFile,
        allowance: &Allowance,
        into: &mut File,
    ) -> Result<(), Error> {
        if self.offline {
            return Err(Error::Offline {
                what: format!("`{filename}`"),
            });
        }
        if let Err(refusal) = self.origins.check(&file.url) {
            return Err(refusal.of(quoted(filename)));
        }
        let attempts = self.attempts(filename, file, allowance, into);
        let limit = allowance.limits.time;
        let in_time = tokio::time::timeout(limit, attempts).await;
        in_time.unwrap_or_else(|_| {
            let (host, file) = (host(&file.url), filename.to_owned());
            Err(Error::DownloadTooSlow { host, file, limit })
        })
    }

    async fn attempts(
        &self,
        filename: &str,
        file: &LockedFile,
        allowance: &Allowance,
        into: &mut File,
    ) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.attempt(filename, file, allowance, into).await {
                Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn attempt(
        &self,
        filename: &str,
        locked: &LockedFile,
        allowance: &Allowance,
        into: &mut File,
    ) -> Result<(), Error> {
        let name = || filename.to_owned();
        let host = || host(&locked.url);
        let unavailable = |error: reqwest::Error| Error::UpstreamUnavailable {
            host: host(),
            problem: describe(&error.without_url()),
        };
        let unwritable =
            |error| Error::cache("could not write the download", filename.as_ref(), error);
        into.rewind()
            .and_then(|()| into.set_len(0))
            .map_err(unwritable)?;

        let client = self.client().await?;
        let mut response = match self.request(client, &locked.url).send().await {
            Ok(response) => response,
            Err(error) => {
                return Err(match cause::<Refusal>(&error) {
                    Some(refusal) => refusal.clone().of(quoted(filename)),
                    None => unavailable(error),
                });
            }
        };
        let status = response.status();
        if status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            )
        {
            let problem = format!("HTTP status {}", status.as_u16());
            return Err(Error::UpstreamUnavailable {
                host: host(),
                problem,
            });
        }
        if !status.is_success() {
            return Err(Error::FileNotFound {
                host: host(),
                file: name(),
                status: status.as_u16(),
            });
        }
        let expected = response.content_length();
        if let Some(expected) = expected {
            allowance.check(filename, expected, expected)?;
        }
        self.progress.on(Event::Downloading {
            filename: name(),
            size: expected,
        });
        let (mut received, mut hasher) = (0, sha2::Sha256::new());
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    return Err(match expected {
                        Some(expected) if received < expected && !error.is_timeout() => {
                            Error::DownloadIncomplete {
                                file: name(),
                                received,
                                expected,
                            }
                        }
                        _ => unavailable(error),
                    });
                }
            };
            let length = chunk.len() as u64;
            received += length;
            allowance.check(filename, received, length)?;
            allowance.received.fetch_add(length, Ordering::Relaxed);
            hasher.update(&chunk);
            into.write_all(&chunk).map_err(unwritable)?;
            self.progress.on(Event::Downloaded(length));
        }
        let actual = Sha256(hasher.finalize().into());
        if actual != locked.sha256 {
            return Err(Error::HashMismatch {
                file: name(),
                expected: locked.sha256,
                actual,
            });
        }
        Ok(())
    }

    /// The client, made when it is first needed.
    async fn client(&self) -> Result<&reqwest::Client, Error> {
        let make = || {
            let origins = self.origins.clone();
            blocking(move || client(origins))
        };
        self.client.get_or_try_init(make).await
    }
}

/// Makes a client, which reads the certificates that the machine trusts.
pub(crate) fn client(origins: Origins) -> Result<reqwest::Client, Error> {
    let lookups = SharedLookups::new(origins.clone());
    let redirects = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > 10 {
            return attempt.error("too many redirects");
        }
        match origins.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    });
    reqwest::Client::builder()
        .user_agent(concat!("accretion/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .dns_resolver(lookups)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|error| Error::UpstreamUnavailable {
            host: "any server".to_owned(),
            problem: describe(&error),
        })
}

/// The error of a type among the causes of another.
pub(crate) fn cause<E: std::error::Error + 'static>(error: &dyn std::error::Error) -> Option<&E> {
    std::iter::successors(error.source(), |cause| cause.source())
        .find_map(<dyn std::error::Error>::downcast_ref)
}

fn is_transient(error: &Error) -> bool {
    matches!(
        error,
        Error::UpstreamUnavailable { .. } | Error::DownloadIncomplete { .. }
    )
}

fn quoted(filename: &str) -> String {
    format!("`{filename}`")
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("the server").to_owned()
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_resolver_refuses_is_told_from_what_fails() {
        let client = |refuse_local| {
            client(Origins {
                refuse_local,
                ..Origins::default()
            })
            .unwrap()
        };
        // Nothing listens on this port; to be refused comes before to find out.
        let url = "https://localhost:1/";
        let error = client(true).get(url).send().await.unwrap_err();
        assert!(cause::<Refusal>(&error).is_some(), "{error:?}");
        let error = client(false).get(url).send().await.unwrap_err();
        assert!(cause::<Refusal>(&error).is_none(), "{error:?}");
    }
}
