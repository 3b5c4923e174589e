//! Downloading files whose SHA-256 is known.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::limits::DownloadLimits;
use accretion_core::{Class, Fault as _};
use accretion_egress::{
    AllowedHosts, Error as EgressError, Indexes, Origins, client, describe, refusal,
    with_credentials,
};
use accretion_python::lock::LockedFile;
use accretion_service::blocking;
use accretion_service::ports::{Event, Progress};
use reqwest::StatusCode;
use sha2::Digest as _;
use tokio::sync::{AcquireError, OnceCell, Semaphore, SemaphorePermit};
use url::Url;

use crate::Error;

/// Downloads at the same time.
const DOWNLOADS: usize = 16;
/// The pauses between the attempts at a download, in milliseconds.
const PAUSES: [u64; 3] = [250, 500, 1_000];

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
        let has_own = !url.username().is_empty() || url.password().is_some();
        let credentials = self.indexes.credentials(url).filter(|_| !has_own);
        with_credentials(client.get(url.clone()), credentials)
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
            return Err(refusal.of(quoted(filename)).into());
        }
        let attempts = self.attempts(filename, file, allowance, into);
        let limit = allowance.limits.time;
        let in_time = tokio::time::timeout(limit, attempts).await;
        in_time.unwrap_or_else(|_| {
            let (host, file) = (host_of(&file.url), filename.to_owned());
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
        for pause in PAUSES {
            match self.attempt(filename, file, allowance, into).await {
                Err(error) if error.class() == Class::Transient => {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                outcome => return outcome,
            }
        }
        self.attempt(filename, file, allowance, into).await
    }

    /// Asks for a file. The response is a success.
    async fn response(&self, filename: &str, url: &Url) -> Result<reqwest::Response, Error> {
        let client = self.client().await?;
        let answered = self.request(client, url).send().await;
        let response = answered.map_err(|error| match refusal(&error) {
            Some(refusal) => refusal.clone().of(quoted(filename)).into(),
            None => unavailable(url, describe(&error.without_url())),
        })?;
        let status = response.status();
        if status.is_success() {
            Ok(response)
        } else if status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            )
        {
            let problem = format!("HTTP status {}", status.as_u16());
            Err(unavailable(url, problem))
        } else {
            Err(Error::FileNotFound {
                host: host_of(url),
                file: filename.to_owned(),
                status: status.as_u16(),
            })
        }
    }

    async fn attempt(
        &self,
        filename: &str,
        locked: &LockedFile,
        allowance: &Allowance,
        into: &mut File,
    ) -> Result<(), Error> {
        let name = || filename.to_owned();
        let unwritable = Error::cache("could not write the download", filename.as_ref());
        into.rewind()
            .and_then(|()| into.set_len(0))
            .map_err(unwritable)?;
        let mut response = self.response(filename, &locked.url).await?;
        let expected = response.content_length();
        if let Some(expected) = expected {
            allowance.check(filename, expected, expected)?;
        }
        self.progress.on(Event::Downloading {
            filename: name(),
            size: expected,
        });
        let (mut received, mut hasher) = (0, sha2::Sha256::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| match expected {
            Some(expected) if received < expected && !error.is_timeout() => {
                Error::DownloadIncomplete {
                    file: name(),
                    received,
                    expected,
                }
            }
            _ => unavailable(&locked.url, describe(&error.without_url())),
        })? {
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
        Ok(self.client.get_or_try_init(make).await?)
    }
}

fn unavailable(url: &Url, problem: String) -> Error {
    let host = host_of(url);
    EgressError::UpstreamUnavailable { host, problem }.into()
}

fn quoted(filename: &str) -> String {
    format!("`{filename}`")
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("the server").to_owned()
}
