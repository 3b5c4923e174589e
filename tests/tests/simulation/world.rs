//! The world around the use cases: a clock, invocations that are polled by hand, and what AWS keeps.
//!
//! Nothing happens by itself and nothing waits for real: an invocation runs until it calls a port,
//! and stays there until somebody decides what becomes of the call.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::request::{Admission, AllowedPermissions};
use accretion_core::request::{
    IdentityAttributes, Permission, PermissionDocument, ProjectName, RequestId, Rollback,
};
use accretion_core::retention::Policy;
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};
use accretion_layer::LayerZip;
use accretion_python::request::Request;
use accretion_service::Error;
use accretion_service::build::{self, Build};
use accretion_service::deletion;
use accretion_service::dispatch::{self, Dispatch, Message};
use accretion_service::ports::{
    Artifacts, BuildOrder, Builds, Clock, Inbox, LatestVersions, LayerVersions, Layers, Manifests,
    Progress, Requests, Resolver, Timer, Topic, Tracking, Wheels,
};
use accretion_service::publish::{self, Publish, Reconciled};
use accretion_service::python::{Python, PythonPackages, PythonPorts, SourceDistributions};
use accretion_service::redrive;
use serde_json::json;

use crate::dead_letters::Letters;
use crate::mutations::{Mutant, Mutation};
use crate::old_versions::OldVersions;
use integration_tests::memory::contents::Content;
use integration_tests::memory::dead_letters::Queue;
use integration_tests::memory::ports::{
    Call, CallId, Invocation, InvocationId, Shared, Verdict, Waiting, lock,
};
use integration_tests::memory::{ARM64, MERGED, MERGED_RUNTIMES, X86_64};

/// An operator who lets requests share layers with anyone.
const OPEN: Admission = Admission {
    project_from_key: false,
    permissions: AllowedPermissions::ANYONE,
};

/// The code of a build that fails in a run.
pub(crate) const BUILD_BROKEN: &str = "BuildBroken";

/// The time that an invocation may take.
pub(crate) const TIMEOUT: Duration = integration_tests::deployed::PUBLISHER_TIMEOUT;

/// A request that is to be dropped: for Python 3.13 on x86_64, unless it says more.
#[derive(Debug, Clone)]
pub(crate) struct RequestForge {
    pub(crate) project: ProjectName,
    /// Requests of the same number want the same content.
    pub(crate) content: u32,
    pub(crate) targets: Vec<LayerTarget>,
    pub(crate) permissions: Vec<Permission>,
}

impl RequestForge {
    pub(crate) fn new(project: &str, content: u32) -> Self {
        Self {
            project: project.parse().unwrap(),
            content,
            targets: vec![X86_64],
            permissions: Vec::new(),
        }
    }

    /// With both architectures.
    pub(crate) fn both(self) -> Self {
        let targets = vec![X86_64, ARM64];
        Self { targets, ..self }
    }

    /// Of several runtimes, in one layer.
    pub(crate) fn merged(self) -> Self {
        let targets = vec![MERGED];
        Self { targets, ..self }
    }

    /// With a permission for an account.
    pub(crate) fn grant(mut self, account: &str) -> Self {
        let account = account.parse().unwrap();
        self.permissions.push(Permission::Account(account));
        self
    }

    pub(crate) fn layer(&self, target: LayerTarget) -> LayerName {
        LayerName::new(&self.project, target)
    }

    fn json(&self) -> String {
        let architectures: Vec<_> = self.targets.iter().map(|it| it.architecture()).collect();
        let runtimes = if self.is_merged() {
            MERGED_RUNTIMES.to_vec()
        } else {
            self.targets.iter().filter_map(|it| it.runtime()).collect()
        };
        let details = format!("=={}", self.content);
        let request = json!({
            "Name": self.project.as_str(),
            "Language": "python",
            "Requirements": {
                "Type": "accretion",
                "Requirements": [{"Name": "attrs", "Details": details}],
            },
            "Runtimes": runtimes,
            "Architectures": architectures,
            "Merge": self.is_merged(),
            "Permissions": self.permissions(),
        });
        request.to_string()
    }

    fn is_merged(&self) -> bool {
        self.targets == [MERGED]
    }

    fn permissions(&self) -> Vec<PermissionDocument> {
        self.permissions.iter().map(Into::into).collect()
    }

    /// The digest of the request's layer.
    pub(crate) fn digest(&self, target: LayerTarget) -> Digest {
        Content::of(self.content).digest(target)
    }

    /// The SHA-256 of the request's artifacts.
    pub(crate) fn artifact(&self) -> Sha256 {
        Content::of(self.content).artifact()
    }
}

/// A request that was dropped.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) id: RequestId,
    /// Its message in the queue.
    pub(crate) message: Message,
    pub(crate) project: ProjectName,
    /// The key and the version of the object; `None` of a message.
    pub(crate) object: Option<(String, String)>,
}

impl Dropped {
    /// The key of the artifact manifest for a target.
    pub(crate) fn manifest(&self, target: LayerTarget) -> String {
        keys::manifest(&self.project, &self.id, target)
    }
}

/// The job of an invocation.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    Dispatch(Message),
    Build(BuildOrder),
    Publish(String),
    Reconcile,
    /// Record a failed build, which is tried again at a time or never.
    RecordFailure(BuildOrder, Option<Timestamp>),
    Redrive(Queue),
    DeleteOld(Policy),
}

/// The result of an invocation that did not die.
#[derive(Debug)]
pub(crate) enum Ended {
    Dispatched(Result<Vec<dispatch::Outcome>, Error>),
    Built(Result<(), Error>),
    Published(Result<publish::Outcome, Error>),
    Reconciled(Result<Reconciled, Error>),
    FailureRecorded(Result<(), Error>),
    Redriven(Box<redrive::Outcome>),
    DeletedOld(Result<Vec<deletion::Outcome>, Error>),
}

type Running = Pin<Box<dyn Future<Output = Ended>>>;

/// The world.
pub(crate) struct World {
    shared: Arc<Mutex<Shared>>,
    invocations: BTreeMap<InvocationId, Running>,
    /// The verdicts on the next calls of a kind; those without an entry are done.
    faults: VecDeque<(Call, Verdict)>,
    /// The deliberate mistake of the ports.
    mutation: Option<Mutation>,
    /// The operator's rules.
    pub(crate) admission: Admission,
    dropped: u32,
    begun: InvocationId,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::mutated(None)
    }

    /// A world whose ports do not keep what the protocol relies on.
    pub(crate) fn mutated(mutation: Option<Mutation>) -> Self {
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        let mut shared = Shared::new(now);
        shared.cloud.is_unranked = mutation == Some(Mutation::StatusesUnranked);
        Self {
            shared: Arc::new(Mutex::new(shared)),
            invocations: BTreeMap::new(),
            faults: VecDeque::new(),
            mutation,
            admission: OPEN,
            dropped: 0,
            begun: 0,
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared().now
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, duration: Duration) {
        let mut shared = self.shared();
        shared.now = shared.now.after(duration);
    }

    /// Drops a request into the inbox, a millisecond after what was dropped last.
    pub(crate) fn drop(&mut self, request: &RequestForge) -> Dropped {
        self.pass(Duration::from_millis(1));
        self.drop_now(request)
    }

    /// Drops a request into the inbox.
    pub(crate) fn drop_now(&mut self, request: &RequestForge) -> Dropped {
        self.drop_text(&request.project, &request.json())
    }

    /// Drops a text into the folder of a project.
    pub(crate) fn drop_text(&mut self, project: &ProjectName, text: &str) -> Dropped {
        let mut shared = lock(&self.shared);
        let sent_at = shared.now;
        let key = format!("requests/{project}/request.json");
        let version = format!("v{}", self.dropped);
        self.dropped += 1;
        let object = (key.clone(), version.clone());
        shared.cloud.inbox.insert(object.clone(), text.into());
        Dropped {
            object: Some(object),
            id: RequestId::of_object("inbox", &key, &version),
            message: Message {
                id: format!("message of {version}"),
                sent_at,
                attributes: IdentityAttributes::default(),
                body: event(&key, &version, sent_at),
            },
            project: project.clone(),
        }
    }

    /// Drops a rollback to a version of a layer, a millisecond after what was dropped last.
    pub(crate) fn roll_back(&mut self, layer: &LayerName, version: u64) -> Dropped {
        self.pass(Duration::from_millis(1));
        let (project, _) = layer.parts();
        self.drop_text(&project, &rollback(layer, version))
    }

    /// Sends a request to the queue itself.
    pub(crate) fn send_now(&mut self, request: &RequestForge) -> Dropped {
        self.send_text(&request.project, request.json())
    }

    /// Sends a text to the queue itself.
    pub(crate) fn send_text(&mut self, project: &ProjectName, body: String) -> Dropped {
        let id = format!("message {}", self.dropped);
        self.dropped += 1;
        Dropped {
            object: None,
            id: RequestId::of_message(&id),
            message: Message {
                id,
                sent_at: self.now(),
                attributes: IdentityAttributes::default(),
                body,
            },
            project: project.clone(),
        }
    }

    /// Begins an invocation that calls something: it runs until its first call.
    pub(crate) fn begin(&mut self, job: Job, skew: i64) -> InvocationId {
        let started = self.start(job, skew);
        started.unwrap_or_else(|ended| panic!("it ends without a call: {ended:?}"))
    }

    /// Begins an invocation: it runs until its first call, or to its end if it makes none.
    pub(crate) fn start(&mut self, job: Job, skew: i64) -> Result<InvocationId, Ended> {
        self.begun += 1;
        let id = self.begun;
        let ports = Invocation::new(Arc::clone(&self.shared), id, skew);
        let now = Timestamp::from_milliseconds(self.now().milliseconds() + skew).unwrap();
        let (owner, deadline) = (format!("invocation {id}"), now.after(TIMEOUT));
        let admission = self.admission.clone();
        let running: Running = match (self.mutation, job) {
            (mutation, Job::Redrive(queue)) => {
                let letters = Letters {
                    ports,
                    queue,
                    mutation,
                };
                Box::pin(async move { Ended::Redriven(letters.redrive().await.into()) })
            }
            (mutation, Job::DeleteOld(policy)) => {
                let versions = OldVersions::new(ports, mutation);
                Box::pin(async move { Ended::DeletedOld(versions.delete_all(policy).await) })
            }
            (None, job) => Box::pin(invoke(ports, job, owner, deadline, admission)),
            (Some(mutation), job) => {
                let mutant = Mutant::new(ports, mutation);
                Box::pin(invoke(mutant, job, owner, deadline, admission))
            }
        };
        self.invocations.insert(id, running);
        match self.poll(id, false) {
            None => Ok(id),
            Some(ended) => Err(ended),
        }
    }

    /// Lets an invocation run until its next call, or to its end. One that `is_dying` makes no call
    /// any more.
    fn poll(&mut self, id: InvocationId, is_dying: bool) -> Option<Ended> {
        let _threads = RUNTIME.enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            let running = self.invocations.get_mut(&id)?;
            if let Poll::Ready(ended) = running.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.kill(id);
                return Some(ended);
            }
            if is_dying || self.waiting(id).is_some() {
                return None;
            }
            // A layer is being written, on a thread of its own.
            thread::park();
        }
    }

    /// Ends an invocation where it stands.
    pub(crate) fn kill(&mut self, id: InvocationId) {
        self.invocations.remove(&id);
        self.shared().forget(id);
    }

    /// Decides upon a call and lets its invocation go on.
    pub(crate) fn decide(&mut self, waiting: &Waiting, verdict: Verdict) -> Option<Ended> {
        self.shared().decide(waiting.id, verdict);
        let ended = self.poll(waiting.invocation, verdict.is_death());
        if verdict.is_death() {
            self.kill(waiting.invocation);
        }
        ended
    }

    /// Lets an invocation die, and decides upon its calls.
    pub(crate) fn die(&mut self, id: InvocationId, verdicts: &[(Waiting, Verdict)]) {
        for (waiting, verdict) in verdicts {
            self.shared().decide(waiting.id, *verdict);
        }
        self.poll(id, true);
        self.kill(id);
    }

    /// The first call that an invocation waits for.
    fn waiting(&self, id: InvocationId) -> Option<Waiting> {
        let shared = self.shared();
        let mut waiting = shared.waiting.iter();
        waiting.find(|waiting| waiting.invocation == id).cloned()
    }

    /// Decides upon the next call of a kind, whoever makes it.
    pub(crate) fn fault(&mut self, call: Call, verdict: Verdict) {
        self.faults.push_back((call, verdict));
    }

    /// Lets an invocation go on until it is about to make a call of a kind.
    pub(crate) fn run_to(&mut self, id: InvocationId, call: Call) {
        loop {
            let waiting = self.waiting(id).expect("the invocation makes that call");
            if waiting.call == call {
                return;
            }
            let ended = self.go_on(&waiting);
            assert!(
                ended.is_none(),
                "it makes that call before it ends: {ended:?}"
            );
        }
    }

    /// Lets an invocation go on to its end; `None` if it dies.
    pub(crate) fn finish(&mut self, id: InvocationId) -> Option<Ended> {
        while let Some(waiting) = self.waiting(id) {
            if let Some(ended) = self.go_on(&waiting) {
                return Some(ended);
            }
        }
        None
    }

    fn go_on(&mut self, waiting: &Waiting) -> Option<Ended> {
        if let Some(until) = waiting.until {
            let mut shared = self.shared();
            shared.now = shared.now.max(until);
        }
        let fault = self
            .faults
            .iter()
            .position(|(call, _)| *call == waiting.call);
        let fault = fault.and_then(|at| self.faults.remove(at));
        let verdict = fault.map_or(Verdict::Done, |(_, verdict)| verdict);
        self.decide(waiting, verdict)
    }

    /// Lets everything that is late take effect.
    pub(crate) fn land(&self) {
        let mut shared = self.shared();
        let late: Vec<CallId> = shared.late.iter().map(|(id, _)| *id).collect();
        for id in late {
            shared.land(id);
        }
    }

    /// Invokes the dispatcher with what it makes no call for.
    pub(crate) fn dispatch_idle(
        &mut self,
        message: &Message,
    ) -> Result<Vec<dispatch::Outcome>, Error> {
        match self.start(Job::Dispatch(message.clone()), 0) {
            Ok(id) => panic!("{:?}", self.waiting(id)),
            Err(Ended::Dispatched(result)) => result,
            Err(ended) => unreachable!("{ended:?}"),
        }
    }

    /// Invokes the dispatcher; `None` if it dies.
    pub(crate) fn dispatch(
        &mut self,
        message: &Message,
    ) -> Option<Result<Vec<dispatch::Outcome>, Error>> {
        let id = self.begin(Job::Dispatch(message.clone()), 0);
        match self.finish(id) {
            Some(Ended::Dispatched(result)) => Some(result),
            None => None,
            ended => unreachable!("{ended:?}"),
        }
    }

    /// Invokes the publisher for a manifest; `None` if it dies.
    pub(crate) fn publish(&mut self, key: &str) -> Option<Result<publish::Outcome, Error>> {
        let id = self.begin(Job::Publish(key.to_owned()), 0);
        self.published(id)
    }

    /// [`Self::finish`] for an invocation of the publisher.
    pub(crate) fn published(
        &mut self,
        id: InvocationId,
    ) -> Option<Result<publish::Outcome, Error>> {
        match self.finish(id) {
            Some(Ended::Published(result)) => Some(result),
            None => None,
            ended => unreachable!("{ended:?}"),
        }
    }

    /// Invokes the reconciler; `None` if it dies.
    pub(crate) fn reconcile(&mut self) -> Option<Result<Reconciled, Error>> {
        let id = self.begin(Job::Reconcile, 0);
        match self.finish(id) {
            Some(Ended::Reconciled(result)) => Some(result),
            None => None,
            ended => unreachable!("{ended:?}"),
        }
    }

    /// Hands a failed build to the publisher; `None` if it dies.
    pub(crate) fn record_failure(
        &mut self,
        build: &BuildOrder,
        next_attempt_at: Option<Timestamp>,
    ) -> Option<Result<(), Error>> {
        let id = self.begin(Job::RecordFailure(build.clone(), next_attempt_at), 0);
        match self.finish(id) {
            Some(Ended::FailureRecorded(result)) => Some(result),
            None => None,
            ended => unreachable!("{ended:?}"),
        }
    }

    /// Records a status of a request's only target, as its execution does; `false` if it comes too
    /// late.
    pub(crate) fn record(&mut self, dropped: &Dropped, status: Status) -> bool {
        let now = self.now();
        self.shared().cloud.raise(&dropped.id, X86_64, status, now)
    }

    /// Runs the executions that were started and have written no manifest so far.
    pub(crate) fn build(&mut self) {
        let orders = self.shared().cloud.started.clone();
        for order in orders {
            let (id, target) = (&order.request.id, order.target.target());
            let key = keys::manifest(&order.project, id, target);
            if self.shared().cloud.manifests.contains_key(&key) {
                continue;
            }
            let builder = self.begin(Job::Build(order.clone()), 0);
            match self.finish(builder) {
                Some(Ended::Built(built)) => built.unwrap(),
                ended => unreachable!("{ended:?}"),
            }
            let now = self.now();
            self.shared().cloud.raise(id, target, Status::Built, now);
        }
    }
}

/// The runtime for blocking work.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap()
});

/// Wakes the thread of a run.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The invocation of a function, as its handler does it.
async fn invoke<P>(
    ports: P,
    job: Job,
    owner: String,
    deadline: Timestamp,
    admission: Admission,
) -> Ended
where
    P: Inbox
        + Requests
        + Tracking
        + Builds
        + Topic
        + Manifests
        + LayerVersions
        + LatestVersions
        + Layers
        + Timer
        + Resolver
        + Wheels
        + Artifacts
        + Progress,
{
    let it = &ports;
    let publish = || {
        let ports = publish::Ports {
            manifests: it,
            layers: it,
            versions: it,
            latest_versions: it,
            tracking: it,
            topic: it,
            timer: it,
        };
        Publish::new(ports, owner, deadline).sharing_with(&admission.permissions)
    };
    match job {
        Job::Dispatch(message) => {
            let dispatch = Dispatch::<Python>::new(dispatch::Ports {
                inbox: it,
                requests: it,
                manifests: it,
                tracking: it,
                builds: it,
                topic: it,
            });
            let dispatch = dispatch.admitting(&admission);
            Ended::Dispatched(dispatch.message(&message).await)
        }
        Job::Build(order) => Ended::Built(build(it, &order).await),
        Job::Publish(key) => Ended::Published(publish().manifest(&key).await),
        Job::Reconcile => Ended::Reconciled(publish().reconcile().await),
        Job::RecordFailure(build, next_attempt_at) => {
            let failure = Failure {
                code: BUILD_BROKEN.to_owned(),
                reason: "it cannot be built".to_owned(),
                hint: None,
            };
            Ended::FailureRecorded(match next_attempt_at {
                Some(at) => publish().delay_build(&build, &failure, at).await,
                None => publish().fail_build(&build, &failure).await,
            })
        }
        Job::Redrive(_) | Job::DeleteOld(_) => unreachable!("it has ports of its own"),
    }
}

/// Builds as the builder's handler does.
async fn build<P>(ports: &P, order: &BuildOrder) -> Result<(), Error>
where
    P: Requests + Resolver + Wheels + Artifacts + Clock + Progress,
{
    let id = &order.request.id;
    let missing = || Error::RequestMissing { id: id.clone() };
    let text = ports.stored(id).await?.ok_or_else(missing)?;
    let (request, _) = Request::from_json(&keys::request(id), &text).expect("it is a request");
    let of_packages = PythonPorts {
        resolver: ports,
        wheels: ports,
    };
    let allowed = SourceDistributions::AsRequested;
    let packages = PythonPackages::new(&request, allowed, of_packages, ports)?;
    let of_build = build::Ports {
        artifacts: ports,
        clock: ports,
        progress: ports,
    };
    let build =
        Build::new(&request, packages, &LayerZip, of_build).with_origin(order.request.clone());
    build.layer(&order.target).await.map(|_| ())
}

/// The text of a rollback.
pub(crate) fn rollback(layer: &LayerName, version: u64) -> String {
    let layer = layer.clone();
    Rollback { layer, version }.to_json()
}

/// S3's event of a new object.
pub(crate) fn event(key: &str, version: &str, at: Timestamp) -> String {
    let event = json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": at,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "inbox"},
            "object": {"key": key, "versionId": version, "sequencer": "0055AED6DCD90281E5"},
        },
    }]});
    event.to_string()
}
