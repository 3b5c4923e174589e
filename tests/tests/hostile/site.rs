//! The pipeline in memory with a real builder, and what there is of it before and after.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use accretion_core::notification::Event as Told;
use accretion_core::request::Admission;
use accretion_core::request::{IdentityAttributes, RequestId, RequestRef};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_core::{Fault as _, keys};
use accretion_layer::LayerZip;
use accretion_local::Downloader;
use accretion_local::cache::{CacheFolder, WheelCache};
use accretion_local::python::Interpreters;
use accretion_local::uv::{Guard, Settings, Uv};
use accretion_python::request::Request;
use accretion_service::Error;
use accretion_service::build::{self, Build, Built};
use accretion_service::dispatch::{self, Dispatch, Message, Outcome};
use accretion_service::ports::{BuildOrder, Event, Progress};
use accretion_service::publish::{self, Publish};
use accretion_service::python::{Python, PythonPackages, PythonPorts, SourceDistributions};
use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::memory::X86_64;
use integration_tests::memory::cloud::{Cloud, INBOX, LayerItems};
use integration_tests::memory::ports::{Invocation, Shared, lock};
use integration_tests::{python, uv};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::case::{Case, End, Input, request};
use crate::manifests::Forgery;

/// A marker in hostile files, which must not turn up anywhere.
pub(crate) const CANARY: &str = "0f8ce35c-canary";

/// The time limit for an invocation.
const TIMEOUT: Duration = Duration::from_mins(2);

struct Unwatched;

impl Progress for Unwatched {
    fn on(&self, _event: Event) {}
}

/// The folder that all temporary files of this process go to, which is nothing else's.
static TEMPORARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    tempfile::env::override_temp_dir(&folder).unwrap();
    folder
});

/// The pipeline in memory with a builder on this machine.
pub(crate) struct Site {
    /// Nothing that belongs to the builder is here but `a/b/root`: what leaves that folder upwards
    /// is found.
    outer: TempDir,
    shared: Arc<Mutex<Shared>>,
    ports: Invocation,
    pub(crate) index: PackageIndex,
    cache: CacheFolder,
    uv: Arc<Uv>,
    downloader: Arc<Downloader>,
    /// Wheels that may be in the cache, by their SHA-256: there is nothing wrong with them alone.
    sound: Mutex<Vec<String>>,
    /// A service on the builder's machine, which no request may reach.
    service: TcpListener,
    /// The rules of the operator for requests.
    pub(crate) admission: Admission,
    /// A request that was accepted.
    pub(crate) accepted: RequestRef,
    /// A request that was rejected.
    pub(crate) rejected: RequestRef,
    /// A request that was accepted so long ago that nothing is recorded of it any more.
    pub(crate) expired: RequestRef,
}

impl Site {
    /// `hosts` are those that the operator allows, besides that of the index.
    pub(crate) async fn new(hosts: &str) -> Self {
        let temporary = LazyLock::force(&TEMPORARY);
        let outer = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
        let root = outer.path().join("a/b/root");
        fs::create_dir_all(&root).unwrap();
        let secret = format!("password = {CANARY}\n");
        for folder in ["a/b/root", "a/b", ""] {
            fs::write(outer.path().join(folder).join("secret.txt"), &secret).unwrap();
        }
        let index = PackageIndex::start([harmless()]);
        let url = index.url().parse().unwrap();
        let cache = CacheFolder::new(root.join("cache"));
        let guard = Guard {
            hosts: hosts.parse().unwrap(),
            ..Guard::default()
        };
        let variables = [("UV_HTTP_RETRIES", "0"), ("UV_HTTP_TIMEOUT", "5")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let temporary_variable = ("TMPDIR".into(), temporary.as_os_str().to_owned());
        let downloader = Downloader::new(Some(&url), false, Arc::new(Unwatched));
        let uv = Uv::new(Settings {
            program: Some(uv().to_owned()),
            path: Some("/usr/bin:/bin".into()),
            environment: variables.into_iter().chain([temporary_variable]).collect(),
            cache: cache.uv(),
            index: Some(url),
            interpreters: Interpreters::new(None, Some(python().path.clone())),
            guard: Some(guard.clone()),
            ..Settings::default()
        });
        let service = TcpListener::bind(("127.0.0.2", 0)).unwrap();
        service.set_nonblocking(true).unwrap();
        let mut shared = Shared::new("2026-11-20T10:00:00Z".parse().unwrap());
        shared.is_free = true;
        let shared = Arc::new(Mutex::new(shared));
        let nobody = |id: &str| RequestRef {
            received_at: "2026-11-20T09:00:00Z".parse().unwrap(),
            id: RequestId::of_message(id),
        };
        let site = Self {
            outer,
            ports: Invocation::new(Arc::clone(&shared), 1, 0),
            shared,
            index,
            cache,
            uv: Arc::new(uv),
            downloader: Arc::new(downloader.refusing_local_addresses().allowing(guard.hosts)),
            sound: Mutex::new(vec![harmless().sha256]),
            service,
            admission: Admission::DEFAULT,
            accepted: nobody("accepted"),
            rejected: nobody("rejected"),
            expired: nobody("expired"),
        };
        site.live_through().await;
        site
    }

    /// Goes through all that happens before anything hostile comes.
    async fn live_through(&self) {
        for (request_ref, name) in [(&self.accepted, "tools"), (&self.expired, "tools")] {
            let mut request = request();
            request["Name"] = name.into();
            let message = self.sent_before(&request.to_string(), request_ref);
            self.dispatch(&message).await.unwrap();
        }
        let rejected = self.sent_before("{\"Name\": \"tools\"}", &self.rejected);
        self.dispatch(&rejected).await.unwrap();
        let expired = &self.expired.id;
        let mut shared = lock(&self.shared);
        let cloud = &mut shared.cloud;
        cloud.requests.remove(expired);
        cloud.targets.retain(|(id, _), _| id != expired);
        cloud
            .executions
            .retain(|_, order| order.request.id != *expired);
        cloud.started.retain(|order| order.request.id != *expired);
        cloud.sent.clear();
    }

    /// The URL of what listens on this machine.
    pub(crate) fn service_url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.service.local_addr().unwrap())
    }

    /// A file that nobody may read.
    pub(crate) fn secret(&self) -> PathBuf {
        self.outer.path().join("secret.txt")
    }

    pub(crate) fn now(&self) -> Timestamp {
        lock(&self.shared).now
    }

    /// A message without attributes.
    pub(crate) fn message(&self, body: &str) -> Message {
        Message {
            id: "5fea7756-0ea4-451a-a703-a558b933e274".to_owned(),
            sent_at: self.now(),
            attributes: IdentityAttributes::default(),
            body: body.to_owned(),
        }
    }

    /// A message that says that it is an earlier request.
    pub(crate) fn sent_before(&self, body: &str, request: &RequestRef) -> Message {
        Message {
            attributes: IdentityAttributes::of(request),
            ..self.message(body)
        }
    }

    /// Stores a new object, and returns the event that S3 sends about it.
    pub(crate) fn drop(&self, key: &str, bytes: &[u8]) -> Value {
        let object = (key.to_owned(), "v1".to_owned());
        lock(&self.shared)
            .cloud
            .inbox
            .insert(object, bytes.to_vec());
        event(key, self.now())
    }

    /// The requests that are kept, and the files that they name, by key.
    pub(crate) fn kept(&self) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
        let cloud = &lock(&self.shared).cloud;
        (
            cloud.stored.values().cloned().collect(),
            cloud.files.clone(),
        )
    }

    /// Puts a wheel into the index.
    pub(crate) fn add(&self, wheel: Wheel) {
        self.index.add(wheel);
    }

    /// Puts a wheel into the index that there is nothing wrong with by itself.
    pub(crate) fn add_sound(&self, wheel: Wheel) {
        self.sound.lock().unwrap().push(wheel.sha256.clone());
        self.add(wheel);
    }

    pub(crate) async fn run(&self, case: Case) -> Result<(), String> {
        let Case { input, end, .. } = case;
        match input {
            Input::Object { key, bytes } => {
                let message = self.message(&self.drop(&key, &bytes).to_string());
                let before = self.snapshot();
                let outcome = self.dispatch(&message).await;
                self.dispatched(end, outcome, &before)
            }
            Input::Message(message) => {
                let message = message(self);
                let before = self.snapshot();
                let outcome = self.dispatch(&message).await;
                self.dispatched(end, outcome, &before)
            }
            Input::Files { objects, files } => {
                for (key, bytes) in objects {
                    self.drop(&key, &bytes);
                }
                let mut request = request();
                request["Files"] = files;
                let message = self.message(&request.to_string());
                let before = self.snapshot();
                let outcome = self.dispatch(&message).await;
                self.dispatched(end, outcome, &before)
            }
            Input::Build(wanted) => {
                let order = self.accept(wanted(self)).await?;
                let before = self.snapshot();
                let outcome = self.build(&order).await;
                let end_was = outcome.map_or_else(
                    |error| Ok(error.code()),
                    |built| Err(format!("it is built: {:?}", built.manifest.installed)),
                )?;
                if end != End::NotBuilt(end_was) {
                    return Err(format!("it comes to {end_was}, not to {end:?}"));
                }
                self.assert_unchanged(&before)
            }
            Input::Manifest(forge) => {
                let order = self
                    .accept(("requirements.txt", "harmless".to_owned()))
                    .await?;
                let built = self.build(&order).await;
                built.map_err(|error| format!("the harmless one: {error}"))?;
                let key = {
                    let mut shared = lock(&self.shared);
                    let mut forgery = Forgery::new(&order, &mut shared.cloud);
                    forge(&mut forgery);
                    forgery.finish()
                };
                let before = self.snapshot();
                let outcome = self.publish(&key).await;
                self.published(end, outcome, &before)
            }
        }
    }

    pub(crate) async fn dispatch(&self, message: &Message) -> Result<Vec<Outcome>, Error> {
        let it = &self.ports;
        let dispatch = Dispatch::<Python>::new(dispatch::Ports {
            inbox: it,
            requests: it,
            manifests: it,
            tracking: it,
            builds: it,
            topic: it,
        });
        dispatch.admitting(&self.admission).message(message).await
    }

    /// Dispatches a good request, and returns what is to be built.
    async fn accept(&self, (kind, requirements): (&str, String)) -> Result<BuildOrder, String> {
        let mut request = request();
        request["Requirements"] = json!({"Type": kind, "Requirements": requirements});
        let message = self.message(&request.to_string());
        let outcome = self.dispatch(&message).await;
        let told = || lock(&self.shared).cloud.sent.clone();
        match outcome.as_deref() {
            Ok([Outcome::Accepted(id)]) => {
                let shared = lock(&self.shared);
                Ok(shared.cloud.executions[&keys::execution(id, X86_64)].clone())
            }
            _ => Err(format!(
                "the request is not accepted: {outcome:?}, {:?}",
                told()
            )),
        }
    }

    /// Dispatches a message in the name of the expired request, and returns what is to be built.
    pub(crate) async fn order_again(&self, body: &str) -> BuildOrder {
        let message = self.sent_before(body, &self.expired);
        self.dispatch(&message).await.unwrap();
        let shared = lock(&self.shared);
        shared.cloud.executions[&keys::execution(&self.expired.id, X86_64)].clone()
    }

    /// Builds a layer as the builder's handler does.
    async fn build(&self, order: &BuildOrder) -> Result<Built, Error> {
        let kept = {
            let shared = lock(&self.shared);
            shared.cloud.stored[&order.request.id].clone()
        };
        let (request, _) = Request::from_json("request.json", kept.as_bytes()).unwrap();
        let _lease = self.cache.lease().await.unwrap();
        let wheels = WheelCache::new(
            self.cache.path(),
            Arc::clone(&self.downloader),
            Arc::clone(&self.uv),
            Limits::default(),
            Arc::new(Unwatched),
        );
        let it = &self.ports;
        let ports = PythonPorts {
            resolver: &*self.uv,
            wheels: &wheels,
        };
        let packages = PythonPackages::new(&request, SourceDistributions::Never, ports, it)?;
        let ports = build::Ports {
            artifacts: it,
            clock: it,
            progress: it,
        };
        let build =
            Build::new(&request, packages, &LayerZip, ports).with_origin(order.request.clone());
        build.layer(&order.target).await
    }

    async fn publish(&self, key: &str) -> Result<publish::Outcome, Error> {
        let it = &self.ports;
        let ports = publish::Ports {
            manifests: it,
            layers: it,
            versions: it,
            latest_versions: it,
            tracking: it,
            topic: it,
            timer: it,
        };
        let deadline = self.now().after(TIMEOUT);
        let publish = Publish::new(ports, "an invocation".to_owned(), deadline);
        publish.manifest(key).await
    }

    /// Holds what a dispatch came to.
    fn dispatched(
        &self,
        end: End,
        outcome: Result<Vec<Outcome>, Error>,
        before: &Snapshot,
    ) -> Result<(), String> {
        let came_to = match &outcome {
            Err(error) => error.code().to_owned(),
            Ok(outcomes) => format!("{outcomes:?}"),
        };
        match (end, outcome) {
            (End::DeadLetter(code), Err(error)) if error.code() == code => {
                self.assert_unchanged(before)
            }
            (End::Nothing, Ok(_)) => self.assert_unchanged(before),
            (End::Rejected(codes), Ok(outcomes)) => {
                let [Outcome::Rejected(id)] = outcomes.as_slice() else {
                    return Err(format!("it comes to {came_to}, not to {end:?}"));
                };
                let after = self.snapshot();
                let expected = [
                    format!("+ table of requests {id}: Rejected"),
                    format!("+ told 0: RequestRejected of {id}: {}", codes.join(", ")),
                ];
                let changes = before.changes(&after);
                if changes != expected {
                    return Err(format!("changes {changes:#?}, and not {expected:#?}"));
                }
                self.assert_unnamed()?;
                self.assert_untold()
            }
            _ => Err(format!("it comes to {came_to}, not to {end:?}")),
        }
    }

    /// Holds what a publication came to.
    fn published(
        &self,
        end: End,
        outcome: Result<publish::Outcome, Error>,
        before: &Snapshot,
    ) -> Result<(), String> {
        let error = match outcome {
            Err(error) => error,
            Ok(outcome) => return Err(format!("it is {outcome:?}")),
        };
        match end {
            End::Unreadable(code) if error.code() == code => self.assert_unchanged(before),
            End::NotPublished(code) if error.code() == code => {
                let after = self.snapshot();
                let is_record = |change: &&String| {
                    change.starts_with("~ table of requests ") && change.contains(": Failed ")
                        || change.starts_with("+ told 0: BuildFailed of ") && change.contains(code)
                };
                let changes = before.changes(&after);
                let others: Vec<_> = changes.iter().filter(|it| !is_record(it)).collect();
                if !others.is_empty() || changes.len() != 2 {
                    return Err(format!("changes {changes:#?}"));
                }
                self.assert_untold()
            }
            _ => Err(format!(
                "it comes to {} ({error}), not to {end:?}",
                error.code()
            )),
        }
    }

    fn assert_unchanged(&self, before: &Snapshot) -> Result<(), String> {
        let changes = before.changes(&self.snapshot());
        if !changes.is_empty() {
            return Err(format!("something has changed: {changes:#?}"));
        }
        self.assert_untold()
    }

    /// Holds that nobody has called what listens on this machine, that no secret is told, and that
    /// nothing hostile has been unpacked anywhere.
    /// Holds that notifications do not bear the name of the project that a request was after, where
    /// keys say whose it is.
    fn assert_unnamed(&self) -> Result<(), String> {
        let sent = &lock(&self.shared).cloud.sent;
        let mut named = sent.iter().map(|it| it.project_name.as_deref());
        if self.admission.project_from_key && named.any(|it| it == Some("tools")) {
            return Err(format!("the project is told of: {sent:?}"));
        }
        Ok(())
    }

    fn assert_untold(&self) -> Result<(), String> {
        match self.service.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => return Err(format!("somebody calls a local service: {outcome:?}")),
        }
        let sent = format!("{:?}", lock(&self.shared).cloud.sent);
        if sent.contains("password") {
            return Err(format!("a secret is told: {sent}"));
        }
        let mut found = Vec::new();
        for folder in [self.outer.path(), &*TEMPORARY] {
            walk(folder, &mut |path, _| {
                let is_secret = path.file_name().is_some_and(|name| name == "secret.txt");
                let text = fs::read(path).unwrap_or_default();
                let has = text.windows(CANARY.len()).any(|it| it == CANARY.as_bytes());
                if has && !is_secret {
                    found.push(path.to_owned());
                }
            });
        }
        if found.is_empty() {
            Ok(())
        } else {
            Err(format!("something hostile is left in {found:?}"))
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let shared = lock(&self.shared);
        let mut entries = cloud_entries(&shared.cloud);
        let root = self.outer.path().join("a/b/root");
        let sound = self.sound.lock().unwrap();
        for folder in [self.outer.path(), &*TEMPORARY] {
            walk(folder, &mut |path, kind| {
                let stem = path.file_stem().unwrap_or_default();
                let is_cached = path.starts_with(root.join("cache/wheels"));
                if is_cached && sound.iter().any(|sha256| stem == sha256.as_str()) {
                    return;
                }
                if is_uvs(&root, path) || is_of_the_cache_itself(&root, path) {
                    return;
                }
                let entry = format!("file {}", path.display());
                entries.insert(entry, kind);
            });
        }
        Snapshot(entries)
    }

    /// Leaves something everywhere, for the test of the proof.
    pub(crate) fn leave_something(&self) {
        let now = self.now();
        let mut shared = lock(&self.shared);
        let cloud = &mut shared.cloud;
        cloud.store(RequestId::of_message("left"), String::new());
        let layer = accretion_core::layer::LayerName::new(&"left".parse().unwrap(), X86_64);
        cloud
            .layers
            .entry(layer.clone())
            .or_default()
            .state
            .revision = 1;
        let written = accretion_core::digest::Written {
            sha256: Sha256::of(b""),
            size: 0,
        };
        cloud.put_artifact("left".to_owned(), written).unwrap();
        cloud.set_latest_version(&"left".parse().unwrap(), X86_64, "left", now);
        fs::write(self.outer.path().join("a/left"), "").unwrap();
    }
}

/// Returns whether a path is private to uv: what it has learned from the index.
fn is_uvs(root: &Path, path: &Path) -> bool {
    path.starts_with(root.join("cache/uv"))
}

/// The folders of the cache, and the file of its lease.
fn is_of_the_cache_itself(root: &Path, path: &Path) -> bool {
    let own = ["cache", "cache/wheels", "cache/built", "cache/.lock"];
    !path.is_symlink() && own.iter().any(|it| path == root.join(it))
}

/// A wheel that there is nothing wrong with.
pub(crate) fn harmless() -> Wheel {
    let forge = WheelForge::new("harmless", "1.0");
    forge.file("harmless/__init__.py", "x = 1\n").build()
}

/// The event that S3 sends about a new object of the inbox.
pub(crate) fn event(key: &str, at: Timestamp) -> Value {
    let key: String = percent_encoded(key);
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": at,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": INBOX},
            "object": {"key": key, "versionId": "v1", "sequencer": "0055AED6DCD90281E5"},
        },
    }]})
}

/// A key as events have it.
fn percent_encoded(key: &str) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    key.as_bytes().iter().map(encode).collect()
}

/// All that there is, by name.
pub(crate) struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// The differences: new (`+`), gone (`-`), or different (`~`).
    pub(crate) fn changes(&self, after: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, value) in &after.0 {
            match self.0.get(name) {
                None => changes.push(format!("+ {name}: {value}")),
                Some(before) if before != value => changes.push(format!("~ {name}: {value}")),
                Some(_) => {}
            }
        }
        let gone = self.0.keys().filter(|name| !after.0.contains_key(*name));
        changes.extend(gone.map(|name| format!("- {name}")));
        changes
    }
}

fn cloud_entries(cloud: &Cloud) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    let mut add = |name: String, value: String| {
        assert!(entries.insert(name.clone(), value).is_none(), "{name}");
    };
    for (key, content) in &cloud.files {
        add(format!("kept file {key}"), Sha256::of(content).to_string());
    }
    for (id, request) in &cloud.stored {
        add(format!("request {id}"), request.clone());
    }
    for (id, status) in &cloud.requests {
        add(format!("table of requests {id}"), status.to_string());
    }
    for ((id, target), item) in &cloud.targets {
        let name = format!("table of requests {id} {}", target.slug());
        add(name, format!("{} {item:?}", item.status));
        assert_ne!(item.status, Status::Published);
    }
    for (name, order) in &cloud.executions {
        add(format!("execution {name}"), format!("{order:?}"));
    }
    for (key, text) in &cloud.manifests {
        add(format!("manifest {key}"), Sha256::of(text).to_string());
    }
    for (key, artifact) in &cloud.artifacts {
        add(format!("artifact {key}"), format!("{artifact:?}"));
    }
    for (key, manifest) in &cloud.descriptions {
        add(format!("description {key}"), manifest.to_json());
    }
    for ((layer, version), manifest) in &cloud.layer_manifests {
        add(format!("manifest of {layer}:{version}"), manifest.to_json());
    }
    let nothing = format!("{:?}", LayerItems::default());
    for (layer, items) in &cloud.layers {
        let items = format!("{items:?}");
        if items != nothing {
            add(format!("table of layers {layer}"), items);
        }
    }
    for (layer, versions) in &cloud.lambda {
        add(format!("layer {layer}"), format!("{versions:?}"));
    }
    for (name, arn) in &cloud.parameters {
        add(format!("pointer {name}"), arn.clone());
    }
    for (index, told) in cloud.sent.iter().enumerate() {
        let codes = match told.event {
            Told::RequestRejected => told.codes.join(", "),
            _ => format!("{:?}", told.code),
        };
        let (event, id) = (told.event.name(), &told.request_id);
        add(format!("told {index}"), format!("{event} of {id}: {codes}"));
    }
    entries
}

/// Calls for everything in a folder, without following links: the path, and what is there.
fn walk(folder: &Path, found: &mut impl FnMut(&Path, String)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found(&path, "folder".to_owned());
            walk(&path, found);
        } else if metadata.is_file() {
            let bytes = fs::read(&path).unwrap();
            found(&path, format!("{} {}", bytes.len(), Sha256::of(&bytes)));
        } else {
            found(&path, format!("{:?}", metadata.file_type()));
        }
    }
}
