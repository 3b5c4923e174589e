//! Transfers of the input and the result of an order, by signed URLs alone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use accretion_core::{Class, Fault as _};
use accretion_local::Error;
use accretion_service::ports::SignedUrl;
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Client, Response, StatusCode, Url, header};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for an object of the largest size.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The pauses between the four attempts of a transfer.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_times(3);

/// The client of the artifacts bucket.
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

    /// Downloads an object of at most `limit` bytes into a file.
    pub(crate) async fn get(
        &self,
        key: &str,
        url: &SignedUrl,
        limit: u64,
        into: &Path,
    ) -> Result<(), Error> {
        let attempt = async |client: &Client, url: Url| {
            let mut response = accepted(key, client.get(url).send().await)?;
            let unwritable = Error::temporary("could not write", into);
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
        self.retried(key, url, attempt).await
    }

    /// Uploads a file's bytes as an object under a file name, unless the object exists.
    pub(crate) async fn put(
        &self,
        key: &str,
        url: &SignedUrl,
        filename: &str,
        from: &Path,
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let read = File::open(from).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(Error::temporary("could not read", from))?;
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
        self.retried(key, url, attempt).await
    }

    async fn retried(
        &self,
        key: &str,
        url: &SignedUrl,
        attempt: impl AsyncFn(&Client, Url) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let client = self
            .client
            .as_ref()
            .map_err(|problem| unreachable(problem.clone()))?;
        // The parser's error could quote the URL.
        let parsed: Url = url
            .secret()
            .parse()
            .map_err(|_| invalid(key, "it has no valid URL".to_owned()))?;
        (|| attempt(client, parsed.clone()))
            .retry(PAUSES)
            .when(|error| error.class() == Class::Transient)
            .await
    }
}

/// The response, if it is a success.
fn accepted(key: &str, outcome: reqwest::Result<Response>) -> Result<Response, Error> {
    let response = outcome.map_err(unavailable)?;
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
    // A signed URL is a secret.
    unreachable(error.without_url().to_string())
}

fn unreachable(problem: String) -> Error {
    let host = "the artifacts bucket".to_owned();
    accretion_egress::Error::UpstreamUnavailable { host, problem }.into()
}

fn invalid(key: &str, problem: String) -> Error {
    Error::OrderInvalid {
        key: key.to_owned(),
        problem,
    }
}
