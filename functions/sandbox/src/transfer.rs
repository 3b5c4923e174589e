//! Getting what an order is about, and handing over what came of it, with nothing but signed URLs.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use accretion_local::Error;
use accretion_service::ports::SignedUrl;
use reqwest::{Client, Response, StatusCode, Url, header};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an object may take that is as large as may be.
const TIMEOUT: Duration = Duration::from_mins(2);
/// How often a transfer is tried in all.
const ATTEMPTS: u32 = 4;
/// The pause after the first failed attempt; it doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Speaks to the bucket.
pub(crate) struct Transfer {
    client: Result<Client, String>,
}

impl Transfer {
    pub(crate) fn new() -> Self {
        let client = Client::builder()
            .user_agent(concat!("accretion/", env!("CARGO_PKG_VERSION")))
            // A signed URL is for one place.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build();
        Self {
            client: client.map_err(|error| error.to_string()),
        }
    }

    /// Writes an object into a file, as far as there are at most `limit` bytes of it.
    pub(crate) async fn get(
        &self,
        key: &str,
        url: &SignedUrl,
        limit: u64,
        into: &Path,
    ) -> Result<(), Error> {
        let attempt = async |client: &Client, url: Url| {
            let mut response = accepted(key, client.get(url).send().await)?;
            let unwritable = |error| Error::temporary("could not write", into, error);
            let mut file = File::create(into).map_err(unwritable)?;
            let mut received = 0;
            while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
                received += chunk.len() as u64;
                if received > limit {
                    return Err(invalid(key, format!("it has more than {limit} bytes")));
                }
                file.write_all(&chunk).map_err(unwritable)?;
            }
            Ok(())
        };
        self.patiently(key, url, attempt).await
    }

    /// Writes a file's bytes as an object under a file name, unless somebody else was first.
    pub(crate) async fn put(
        &self,
        key: &str,
        url: &SignedUrl,
        filename: &str,
        from: &Path,
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let read = File::open(from).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| Error::temporary("could not read", from, error))?;
        let disposition = format!("attachment; filename=\"{filename}\"");
        let attempt = async |client: &Client, url: Url| {
            let request = client
                .put(url)
                .header(header::IF_NONE_MATCH, "*")
                .header(header::CONTENT_DISPOSITION, &disposition)
                .body(bytes.clone());
            let response = request.send().await;
            if response
                .as_ref()
                .is_ok_and(|response| response.status() == StatusCode::PRECONDITION_FAILED)
            {
                return Ok(());
            }
            accepted(key, response).map(|_| ())
        };
        self.patiently(key, url, attempt).await
    }

    async fn patiently(
        &self,
        key: &str,
        url: &SignedUrl,
        attempt: impl AsyncFn(&Client, Url) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let client = self.client.as_ref();
        let client = client.map_err(|problem| unreachable(problem.clone()))?;
        // What is wrong with it could show it.
        let url: Url = url
            .secret()
            .parse()
            .map_err(|_| invalid(key, "it brings along no URL".to_owned()))?;
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match attempt(client, url.clone()).await {
                Err(Error::UpstreamUnavailable { .. }) => {}
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        attempt(client, url).await
    }
}

/// A response that says yes.
fn accepted(key: &str, response: reqwest::Result<Response>) -> Result<Response, Error> {
    let response = response.map_err(unavailable)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem = format!("HTTP status {}", status.as_u16());
    if status.is_server_error()
        || matches!(
            status,
            StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
    {
        return Err(unreachable(problem));
    }
    Err(invalid(key, format!("S3 said {problem}")))
}

fn unavailable(error: reqwest::Error) -> Error {
    // A signed URL is not to be shown.
    unreachable(error.without_url().to_string())
}

fn unreachable(problem: String) -> Error {
    let host = "the artifacts bucket".to_owned();
    Error::UpstreamUnavailable { host, problem }
}

fn invalid(key: &str, problem: String) -> Error {
    let key = key.to_owned();
    Error::OrderInvalid { key, problem }
}
