//! The handler: builds a layer for an execution of the state machine.

mod watch;

use std::sync::Arc;

use accretion_aws::{AwsIndexCredentials, S3Artifacts, S3Handover, S3Requests};
use accretion_core::limits::Limits;
use accretion_core::request::{RequestId, RequestRef};
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::{Fault, keys};
use accretion_egress::{DefaultIndex, Indexes, NamedIndex};
use accretion_lambda::{Invocation, SystemClock};
use accretion_layer::LayerZip;
use accretion_local::cache::{Budget, CacheFolder, WheelCache};
use accretion_local::layer_folder::PackedFolder;
use accretion_local::uv::Uv;
use accretion_local::{Downloader, Error as LocalError, Sandboxes};
use accretion_python::index::CredentialsReference;
use accretion_python::request::Request;
use accretion_service::build::{Build, Ports};
use accretion_service::extra::{self, PackedZip};
use accretion_service::ports::{
    self, Event, IndexCredentials as _, PortError, Progress, Requests as _,
};
use accretion_service::python::{
    ChosenIndexes, Offer, PythonPackages, PythonPorts, SourceDistributions,
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, Span, debug, info, info_span, warn};

use self::watch::Watch;

/// The input of a build: that of the execution, and the results of build sandboxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BuildInput {
    request_id: RequestId,
    received_at: Timestamp,
    target: LayerTarget,
    /// The keys of the results that build sandboxes have just made.
    #[serde(default)]
    made: Vec<String>,
}

/// The answer to the execution.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Built(Receipt),
    #[serde(rename_all = "PascalCase")]
    Ordered {
        /// The orders for build sandboxes, to be done first.
        orders: Vec<ports::Order>,
    },
}

/// The outcome of a build.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Receipt {
    manifest_key: String,
    digest: String,
    changed: bool,
    warnings: Vec<String>,
}

/// An error of a build.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error("the request {id} in the artifacts bucket is not one: {codes}")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: restore the object, or drop the \
                request again"
    )]
    RequestInvalid { id: RequestId, codes: String },
    #[error(transparent)]
    #[fault(transparent)]
    Build(#[from] accretion_service::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    #[fault(transparent)]
    Local(#[from] LocalError),
}

/// The adapters and settings, made once for all invocations.
pub(crate) struct Builder {
    pub(crate) clients: accretion_aws::Clients,
    pub(crate) requests: S3Requests,
    pub(crate) handover: S3Handover,
    pub(crate) bucket: String,
    pub(crate) cache: CacheFolder,
    pub(crate) budget: Budget,
    pub(crate) limits: Limits,
    /// True if build sandboxes exist.
    pub(crate) sandboxes: bool,
    pub(crate) offer: Offer,
    pub(crate) credentials: AwsIndexCredentials,
    pub(crate) downloader: Arc<Downloader>,
    pub(crate) uv: Arc<Uv>,
}

impl Builder {
    /// Builds one layer of a request, or finds that there is one of the same content, and writes
    /// its manifest.
    ///
    /// If that requires running a package's code, the answer has the orders for build sandboxes.
    pub(crate) async fn handle(&self, invocation: Invocation<BuildInput>) -> Result<Answer, Error> {
        let Invocation {
            event: input,
            metrics,
            ..
        } = invocation;
        // From here on every line of the invocation has it.
        Span::current().record("request_id", input.request_id.as_str());
        let (runtime, architecture) = (input.target.python(), input.target.architecture());
        let span = info_span!("build", runtime, %architecture);
        let watch = Arc::new(Watch::new());
        let build = self.build(input.clone(), Arc::clone(&watch));
        let outcome = Box::pin(build).instrument(span).await;
        watch.write(&metrics, &input, outcome.as_ref().err());
        outcome
    }

    async fn build(&self, input: BuildInput, watch: Arc<Watch>) -> Result<Answer, Error> {
        let request = self.request(&input.request_id).await?;
        let target = input.target;
        let wanted = request.layer(target);
        self.prune().await;
        let _lease = self.cache.lease().await?;
        // Made for each build: the cache may have been pruned since the last one.
        let indexes = Arc::new(self.indexes(&request).await?);
        let uv = Arc::new(self.uv.using(Arc::clone(&indexes)));
        let wheels = WheelCache::new(
            self.cache.path(),
            Arc::new(self.downloader.using(indexes)),
            Arc::clone(&uv),
            self.limits,
            Arc::clone(&watch) as _,
        );
        let project = request.name.clone();
        let artifacts = S3Artifacts::new(&self.clients, self.bucket.as_str(), project.clone());
        let origin = RequestRef {
            id: input.request_id.clone(),
            received_at: input.received_at,
        };
        let manifest_key = keys::manifest(&project, &origin.id, target);
        let allowed = if self.sandboxes {
            SourceDistributions::InSandboxes
        } else {
            SourceDistributions::Never
        };
        let id = origin.id.clone();
        let sandboxes = Sandboxes::new(id, &uv, &wheels, &self.handover);
        let ports = PythonPorts {
            resolver: &sandboxes,
            wheels: &sandboxes,
        };
        let mut packages = PythonPackages::new(&request, allowed, ports, &*watch)?;
        let packed = match extra::supply(&request, &self.requests, &mut packages).await? {
            Some(PackedZip { bytes, sha256 }) => {
                Some(PackedFolder::of_zip(bytes, sha256).await?.into_parts())
            }
            None => None,
        };
        // The packed files are deleted with their path.
        let (files, _path) = packed.unzip();
        let ports = Ports {
            artifacts: &artifacts,
            clock: &SystemClock,
            progress: &*watch,
        };
        let build = Build::new(&request, packages, &LayerZip, ports)
            .with_origin(origin)
            .with_files(files);
        let layer = match Box::pin(build.layer(&wanted)).await {
            Ok(layer) => layer,
            Err(error) => return pending(sandboxes.orders(), &input.made, &watch, error),
        };
        watch.built(&layer);
        let (name, digest) = (&layer.layer, layer.manifest.digest);
        info!(layer = %name, %digest, changed = layer.changed, "built");
        Ok(Answer::Built(Receipt {
            manifest_key,
            digest: digest.to_string(),
            changed: layer.changed,
            warnings: layer.warnings,
        }))
    }

    /// The request as the dispatcher stored it.
    async fn request(&self, id: &RequestId) -> Result<Request, Error> {
        let text = self
            .requests
            .stored(id)
            .await?
            .ok_or_else(|| accretion_service::Error::RequestMissing { id: id.clone() })?;
        let name = keys::request(id);
        let (request, _) = Request::from_json(&name, &text).map_err(|report| {
            let codes = report.problems.iter().map(|problem| problem.code);
            Error::RequestInvalid {
                id: id.clone(),
                codes: codes.collect::<Vec<_>>().join(", "),
            }
        })?;
        Ok(request)
    }

    /// Makes room for a build. A build without enough room fails by itself.
    async fn prune(&self) {
        match self.cache.prune(self.budget).await {
            Ok(Some(pruned)) if pruned.removed > 0 => {
                info!(
                    wheels = pruned.wheels,
                    bytes = pruned.removed,
                    "pruned the cache"
                );
            }
            Ok(_) => {}
            Err(error) => {
                let (text, _) = error.logged();
                warn!(
                    code = error.code(),
                    error = text,
                    "the cache could not be pruned"
                );
            }
        }
    }

    /// The indexes of a request's packages, with their credentials.
    async fn indexes(&self, request: &Request) -> Result<Indexes, Error> {
        let ChosenIndexes { default, named } = self.offer.choose(request)?;
        let of = async |reference: Option<&CredentialsReference>| match reference {
            Some(reference) => self.credentials.get(reference).await.map(Some),
            None => Ok(None),
        };
        let mut indexes = Indexes::default();
        if let Some((url, reference)) = default {
            let credentials = of(reference.as_ref()).await?;
            indexes.default = Some(DefaultIndex { url, credentials });
        }
        for index in named {
            let credentials = of(index.credentials.as_ref()).await?;
            indexes.named.push(NamedIndex { index, credentials });
        }
        Ok(indexes)
    }
}

/// The answer of a build without a layer: orders, if it waits for results of build sandboxes.
fn pending(
    orders: Vec<ports::Order>,
    made: &[String],
    watch: &Watch,
    error: accretion_service::Error,
) -> Result<Answer, Error> {
    // Otherwise the same order would repeat without end.
    if let Some(order) = orders.iter().find(|order| made.contains(&order.key)) {
        let key = order.key.clone();
        return Err(accretion_service::Error::SandboxResultMissing { key }.into());
    }
    if !matches!(
        error.cause(),
        Some(LocalError::SandboxResultsPending { .. })
    ) {
        return Err(error.into());
    }
    watch.ordered();
    info!(orders = orders.len(), "ordered from build sandboxes");
    Ok(Answer::Ordered { orders })
}

/// Logs what happens during a build.
pub(crate) struct Log;

impl Progress for Log {
    fn on(&self, event: Event) {
        // One for each piece of a download: too many for a log.
        if !matches!(event, Event::Downloaded(_)) {
            debug!(?event, "building");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use accretion_core::Class;
    use accretion_core::target::{Architecture, Runtime};
    use accretion_service::ports::SignedUrl;
    use serde_json::Value;

    use super::*;

    fn order(key: &str) -> ports::Order {
        ports::Order {
            request_id: RequestId::of_message("1"),
            runtime: Runtime::Python313,
            architecture: Architecture::Arm64,
            source: None,
            input: SignedUrl::new("https://input".to_owned()),
            output: SignedUrl::new("https://output".to_owned()),
            key: key.to_owned(),
        }
    }

    #[test]
    fn orders_answer_a_build_that_waits_and_never_hide_an_error() {
        let answer = |made: &[String], error: LocalError| {
            let error = accretion_service::Error::Port(error.into());
            pending(vec![order("a")], made, &Watch::new(), error)
        };
        let waits = || LocalError::SandboxResultsPending { orders: 1 };
        let answered = answer(&[], waits());
        assert!(matches!(answered, Ok(Answer::Ordered { orders }) if orders.len() == 1));
        let failed = answer(&[], LocalError::PythonMissing).unwrap_err();
        assert_eq!(failed.code(), "PythonMissing");
        // A build sandbox has just made it, and it is missing.
        let missing = answer(&["a".to_owned()], waits()).unwrap_err();
        assert_eq!(missing.code(), "SandboxResultMissing");
        let of_runtime = accretion_service::Error::OfRuntime {
            runtime: Runtime::Python313,
            error: Box::new(accretion_service::Error::Port(waits().into())),
        };
        assert!(pending(vec![order("a")], &[], &Watch::new(), of_runtime).is_ok());
    }

    /// The codes of class `Transient` that a build or a build sandbox may end with.
    fn transient(tables: &[&[(&'static str, Class)]]) -> BTreeSet<&'static str> {
        let rows = tables.iter().copied().flatten();
        rows.filter(|(_, class)| *class == Class::Transient)
            .map(|(code, _)| *code)
            // These are about publishing, and about what is published.
            .filter(|code| !["LayerBusy", "LayerUnreadable", "PublicationUnknown"].contains(code))
            .collect()
    }

    /// At once, and then after pauses.
    #[test]
    fn the_state_machine_tries_what_is_transient_again_and_no_other_error_of_ours() {
        let of_build = transient(&[
            accretion_aws::Error::CODES,
            accretion_python::Error::CODES,
            accretion_layer::Error::CODES,
            accretion_lambda::Error::CODES,
            accretion_egress::Error::CODES,
            accretion_local::Error::CODES,
            accretion_service::Error::CODES,
            Error::CODES,
        ]);
        // A build sandbox calls no service of AWS, and has no codes of its own.
        let of_sandbox = transient(&[
            accretion_python::Error::CODES,
            accretion_layer::Error::CODES,
            accretion_lambda::Error::CODES,
            accretion_egress::Error::CODES,
            accretion_local::Error::CODES,
            accretion_service::Error::CODES,
        ]);
        let definition = include_str!("../../../statemachine/build_layer.asl.json");
        let definition: Value = serde_json::from_str(definition).unwrap();
        let states = definition["States"].as_object().unwrap();
        let fill_orders = &states["FillOrders"]["ItemProcessor"]["States"];
        for (name, state) in states.iter().chain(fill_orders.as_object().unwrap()) {
            let retriers = state["Retry"].as_array().into_iter().flatten();
            let names = retriers
                .flat_map(|retrier| retrier["ErrorEquals"].as_array().unwrap())
                .map(|name| name.as_str().unwrap());
            // Those of AWS have a dot.
            let retried: BTreeSet<_> = names.filter(|name| !name.contains('.')).collect();
            let transient = match name.as_str() {
                "Build" => of_build.clone(),
                "FillOrder" => of_sandbox.clone(),
                // They have retriers for all errors.
                _ => BTreeSet::new(),
            };
            assert_eq!(retried, transient, "{name}");
        }
        let can_wait = &definition["States"]["CanWait"]["Choices"][0]["Condition"];
        let (_, list) = can_wait.as_str().unwrap().split_once('[').unwrap();
        let (list, _) = list.split_once(']').unwrap();
        let waited_for = list.split(", ").map(|code| code.trim_matches('\''));
        assert_eq!(waited_for.collect::<BTreeSet<_>>(), of_build);
    }
}
