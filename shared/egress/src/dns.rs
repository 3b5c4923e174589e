//! Looking up host names, each once at a time.
//!
//! A build starts many downloads from one host at once, each with a connection of its own. Resolvers
//! drop bursts of equal questions, and the C library waits five seconds before it asks again.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::origin::Origins;

type Lookup = Shared<BoxFuture<'static, Result<Arc<[SocketAddr]>, Arc<io::Error>>>>;

/// Asks the system's resolver; who asks for a name that is being looked up already waits for that
/// answer.
pub(crate) struct SharedLookups {
    pending: Arc<Mutex<HashMap<String, Lookup>>>,
    origins: Arc<Origins>,
}

impl SharedLookups {
    /// Leaves out addresses that nothing may come from.
    pub(crate) fn new(origins: Origins) -> Self {
        Self {
            pending: Arc::default(),
            origins: Arc::new(origins),
        }
    }
}

impl Resolve for SharedLookups {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let pending = Arc::clone(&self.pending);
        let origins = Arc::clone(&self.origins);
        let lookup = pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(host.clone())
            .or_insert_with(|| look_up(host.clone()).boxed().shared())
            .clone();
        Box::pin(async move {
            let answer = lookup.await;
            // The next to ask gets a fresh answer: addresses change.
            pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&host);
            let addresses = origins.reachable(&host, answer?.iter().copied())?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn look_up(host: String) -> Result<Arc<[SocketAddr]>, Arc<io::Error>> {
    // The port is the client's matter.
    let addresses = tokio::net::lookup_host((host, 0)).await.map_err(Arc::new)?;
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Refusal;

    fn lookups(refuse_local: bool) -> SharedLookups {
        SharedLookups::new(Origins {
            refuse_local,
            ..Origins::default()
        })
    }

    #[tokio::test]
    async fn equal_questions_at_the_same_time_are_one() {
        let lookups = lookups(false);
        let ask = || lookups.resolve("localhost".parse().unwrap());
        let questions: Vec<_> = (0..50).map(|_| ask()).collect();
        assert_eq!(lookups.pending.lock().unwrap().len(), 1);
        for answer in futures_util::future::join_all(questions).await {
            assert!(answer.unwrap().all(|address| address.ip().is_loopback()));
        }
        assert!(lookups.pending.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn names_of_this_machine_can_be_refused() {
        let answer = lookups(true).resolve("localhost".parse().unwrap()).await;
        let error = answer.err().expect("localhost is this machine");
        assert!(
            matches!(error.downcast_ref(), Some(Refusal::Local { host }) if host == "localhost"),
            "{error}"
        );
    }
}
