//! The HTTP client of downloads and of the index on loopback.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use accretion_python::index::Credentials;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};

use crate::dns::SharedLookups;
use crate::error::Error;
use crate::origin::{Origins, Refusal};
use crate::rules::CONNECT_TIMEOUT;

/// A server that sends nothing for so long sends nothing more.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes a client, which reads the certificates that the machine trusts.
pub fn client(origins: Origins) -> Result<Client, Error> {
    let lookups = SharedLookups::new(origins.clone());
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > 10 {
            return attempt.error("too many redirects");
        }
        match origins.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    });
    Client::builder()
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

/// A request with credentials, if it needs any.
pub fn with_credentials(
    request: RequestBuilder,
    credentials: Option<&Credentials>,
) -> RequestBuilder {
    match credentials {
        Some(Credentials { username, password }) => {
            request.basic_auth(username.reveal(), Some(password.reveal()))
        }
        None => request,
    }
}

/// The refusal that made a client's request fail, if it was one.
pub fn refusal(error: &reqwest::Error) -> Option<&Refusal> {
    causes(error).find_map(<dyn StdError>::downcast_ref)
}

/// An error with its causes, in one line.
pub fn describe(error: &dyn StdError) -> String {
    causes(error).fold(error.to_string(), |text, cause| {
        let cause_text = cause.to_string();
        if text.ends_with(&cause_text) {
            text
        } else {
            format!("{text}: {cause_text}")
        }
    })
}

fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(error.source(), |&cause| cause.source())
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
        assert!(refusal(&error).is_some(), "{error:?}");
        let error = client(false).get(url).send().await.unwrap_err();
        assert!(refusal(&error).is_none(), "{error:?}");
    }
}
