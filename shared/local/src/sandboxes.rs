//! Source distributions where no package's code may run: build sandboxes do that, elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::request::RequestId;
use accretion_core::target::Target;
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::wheel::WheelFilename;
use accretion_service::ports::{
    Handover, Order, OrderedSource, PortError, Resolution, Resolver, StoredWheel, Wheels,
    async_trait,
};
use futures_util::future::try_join_all;

use crate::Error;
use crate::cache::WheelCache;
use crate::uv::Uv;

/// The number of orders in one answer, so that a state machine can pass them on.
const ORDERS: usize = 20;

/// Resolves, and has wheels, without running any package's code. What takes running it is taken from
/// where build sandboxes leave it; what is not there is [ordered](Self::orders), and is an error until then.
pub struct Sandboxes<'a, H> {
    request: RequestId,
    uv: &'a Uv,
    cache: &'a WheelCache,
    handover: &'a H,
    orders: Mutex<Vec<Order>>,
    /// The wheels that build sandboxes have left, and what was downloaded for each.
    made: Mutex<HashMap<(Sha256, Target), Made>>,
}

type Made = (Arc<StoredWheel>, Option<u64>);

impl<'a, H: Handover> Sandboxes<'a, H> {
    /// For one build of a request.
    pub fn new(request: RequestId, uv: &'a Uv, cache: &'a WheelCache, handover: &'a H) -> Self {
        Self {
            request,
            uv,
            cache,
            handover,
            orders: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// The orders that build sandboxes have to fulfil before the build can succeed.
    pub fn orders(&self) -> Vec<Order> {
        let mut all = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut orders = std::mem::take(&mut *all);
        // A merged layer has those of several runtimes; the others come in the next round.
        orders.truncate(ORDERS);
        orders
    }

    async fn order(
        &self,
        key: String,
        input: &str,
        source: Option<OrderedSource>,
        target: Target,
    ) -> Result<Order, PortError> {
        Ok(Order {
            request_id: self.request.clone(),
            runtime: target.runtime,
            architecture: target.architecture,
            source,
            input: self.handover.readable(input).await?,
            output: self.handover.writable(&key).await?,
            key,
        })
    }

    fn ordered(&self, orders: Vec<Order>) -> PortError {
        let count = orders.len();
        let mut all = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(orders);
        Error::SandboxResultsPending { orders: count }.into()
    }

    async fn order_wheel(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Order, PortError> {
        let input = keys::source(file.sha256);
        if !self.handover.has(&input).await? {
            let source = self.cache.fetch(filename, file).await?;
            let left = self
                .handover
                .leave_source(&input, source.path(), file.sha256);
            left.await?;
        }
        let key = keys::built_wheel(file.sha256, target);
        let source = OrderedSource {
            filename: filename.to_owned(),
            sha256: file.sha256,
        };
        self.order(key, &input, Some(source), target).await
    }

    /// A wheel that is in the cache already, or that a build sandbox has left.
    async fn made(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Option<Made>, PortError> {
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = lock().get(&(file.sha256, target)) {
            return Ok(Some(made.clone()));
        }
        let made = self.find(filename, file, target).await?;
        if let Some(made) = &made {
            lock().insert((file.sha256, target), made.clone());
        }
        Ok(made)
    }

    async fn find(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Option<Made>, PortError> {
        if let Some(known) = self.cache.built(file.sha256, target).await? {
            return Ok(Some((known, None)));
        }
        let mut partial = self.cache.temporary()?;
        let key = keys::built_wheel(file.sha256, target);
        let left = self.handover.wheel(&key, partial.as_file_mut()).await?;
        let Some(name) = left else {
            return Ok(None);
        };
        let built: WheelFilename = name.parse().map_err(|error| {
            let (wheel, problem) = (key.clone(), format!("of `{filename}`: {error}"));
            accretion_python::Error::WheelInvalid { wheel, problem }
        })?;
        let kept = self.cache.keep(file.sha256, target, built, partial).await?;
        let downloaded = kept.layout.archive_size;
        Ok(Some((kept, Some(downloaded))))
    }
}

#[async_trait]
impl<H: Handover> Resolver for Sandboxes<'_, H> {
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError> {
        if !resolution.allow_source_distributions {
            return self.uv.resolve(resolution).await;
        }
        if self.uv.is_private() {
            // Build sandboxes get nothing that opens an index.
            let from_wheels = Resolution {
                allow_source_distributions: false,
                ..resolution
            };
            let resolved = self.uv.resolve(from_wheels).await;
            return resolved.map_err(|error| match error.cause() {
                Some(Error::WheelNotFound { .. }) => Error::SandboxOutOfReach {
                    problem: error.to_string(),
                }
                .into(),
                _ => error,
            });
        }
        let target = resolution.target;
        let key = keys::resolution(&self.request, target);
        let Some(text) = self.handover.lock(&key).await? else {
            let request = keys::request(&self.request);
            let order = self.order(key, &request, None, target).await?;
            return Err(self.ordered(vec![order]));
        };
        let lock = Lock::parse(&String::from_utf8_lossy(&text))?;
        // It is the lock of the whole request.
        Ok(match resolution.located {
            Some(_) => lock.only(resolution.requirements),
            None => lock,
        })
    }
}

#[async_trait]
impl<H: Handover> Wheels for Sandboxes<'_, H> {
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        self.cache.get(filename, file).await
    }

    async fn admit(
        &self,
        filename: &WheelFilename,
        sha256: Sha256,
        wheel: Vec<u8>,
    ) -> Result<Arc<StoredWheel>, PortError> {
        self.cache.admit(filename, sha256, wheel).await
    }

    async fn prepare(
        &self,
        sources: &[(&str, &LockedFile)],
        target: Target,
    ) -> Result<(), PortError> {
        let mut missing = Vec::new();
        let mut seen = BTreeSet::new();
        for (filename, file) in sources {
            let is_new = seen.insert(file.sha256);
            if is_new && self.made(filename, file, target).await?.is_none() {
                missing.push((*filename, *file));
            }
            if missing.len() == ORDERS {
                break;
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let orders = missing
            .into_iter()
            .map(|(filename, file)| self.order_wheel(filename, file, target));
        Err(self.ordered(try_join_all(orders).await?))
    }

    async fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        match self.made(filename, file, target).await? {
            Some((wheel, downloaded)) => {
                self.cache.ready(downloaded);
                Ok(wheel)
            }
            None => Err(self.ordered(vec![self.order_wheel(filename, file, target).await?])),
        }
    }
}
