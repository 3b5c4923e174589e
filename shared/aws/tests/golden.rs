//! Golden values: what the tables, the Parameter Store and executions are given, byte for byte.
//!
//! Names and values of attributes, sort keys, indexes and parameters outlive the version that wrote
//! them. **`golden.txt` never changes** unless an item gains an attribute that older versions ignore:
//! a failure here means that the change under test breaks deployments in the field.
//!
//! The adapters send their calls to a server on loopback that answers all of them with `{}`. Set
//! `GOLDEN_NEW=1` to write the file if there is none.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use accretion_aws::{
    Clients, DynamoLayers, DynamoTracking, SsmLatestVersions, StepFunctionsBuilds,
};
use accretion_core::delivery::InboxObject;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::layer::LayerName;
use accretion_core::notification::{Event, LayerRef, Notification};
use accretion_core::publication::{Claim, OrphanCheck, Published};
use accretion_core::request::{RequestId, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_service::ports::{
    Accepted, BuildOrder, Builds as _, ClaimRelease, EndedClaim, LatestVersions as _, LayerChange,
    Layers as _, Origin, OrphanCheckResult, OutboxEntry, Rejected, TargetOutcome, Tracking as _,
};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Map, Value};

const DAY: u64 = 24 * 60 * 60;

/// The calls that a server on loopback has answered with `{}`: operation and body.
#[derive(Default)]
struct Recorder {
    calls: Mutex<Vec<(String, Value)>>,
}

impl Recorder {
    /// Starts the server, and returns clients that call it.
    fn start() -> (Arc<Self>, Clients) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let recorder = Arc::new(Self::default());
        let server = Arc::clone(&recorder);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        let credentials = Credentials::new("test", "test", None, None, "this test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        (recorder, Clients::from(config.build()))
    }

    /// Answers the calls of one connection.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        loop {
            let (mut operation, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or_default() == 0 {
                    return;
                }
                let line = line.trim_end();
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(": ").unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "x-amz-target" => value.clone_into(&mut operation),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            self.calls.lock().unwrap().push((operation, body));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            writer.write_all(answer).unwrap();
        }
    }

    /// Everything that was called, as text with sorted members.
    fn told(&self, since: Timestamp) -> String {
        let calls = self.calls.lock().unwrap();
        let mut text = String::new();
        for (operation, body) in calls.iter() {
            let body = serde_json::to_string_pretty(&masked(body, since)).unwrap();
            writeln!(text, "{operation}\n{body}\n").unwrap();
        }
        text
    }
}

/// Sorts members, and replaces what differs between runs: points in time since the test began, and
/// tokens of the SDK.
fn masked(value: &Value, since: Timestamp) -> Value {
    match value {
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) if time >= since => "[NOW]".into(),
            _ => expiry(text, since).map_or_else(|| text.as_str().into(), Value::from),
        },
        Value::Array(values) => values.iter().map(|it| masked(it, since)).collect(),
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort();
            let mut sorted = Map::new();
            for name in names {
                let member = if name == "ClientRequestToken" {
                    "[TOKEN]".into()
                } else {
                    masked(&members[name], since)
                };
                sorted.insert(name.clone(), member);
            }
            Value::Object(sorted)
        }
        other => other.clone(),
    }
}

/// A time in seconds, as whole days from now.
fn expiry(text: &str, since: Timestamp) -> Option<String> {
    let seconds: i64 = text.parse().ok()?;
    let ahead = u64::try_from(seconds - since.seconds()).ok()?;
    (ahead % DAY < 3600).then(|| format!("[NOW] + {} days", ahead / DAY))
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn request() -> RequestRef {
    RequestRef {
        received_at: time("2026-11-20T10:00:00.123Z"),
        id: RequestId::of_object("inbox", "requests/data-tools/request.json", "v1"),
    }
}

fn compatibility(slug: &str) -> Compatibility {
    let runtimes = match LayerTarget::from_slug(slug).unwrap() {
        LayerTarget::One(target) => vec![target.runtime],
        LayerTarget::Merged(_) => {
            vec!["python3.12".parse().unwrap(), "python3.13".parse().unwrap()]
        }
    };
    Compatibility::new(LayerTarget::from_slug(slug).unwrap(), runtimes).unwrap()
}

fn published() -> Published {
    Published {
        request: request(),
        digest: Digest(Sha256::of(b"content")),
        artifact_sha256: Sha256::of(b"zip"),
        version: 12,
        layer_arn: "arn:layer".to_owned(),
        version_arn: "arn:layer:12".to_owned(),
        manifest_key: "accretion/manifests/data-tools/x.manifest".to_owned(),
    }
}

/// The outcome of a target, with or without a change of its layer.
fn outcome(event: Event, status: Status, slug: &str, change: Option<LayerChange>) -> TargetOutcome {
    let target = compatibility(slug);
    let mut notification = Notification::of_layer(event, &request(), "data-tools", &target);
    if status == Status::Failed {
        notification.code = Some("PackageNotFound".to_owned());
        notification.reason = Some("golden was not found".to_owned());
        notification.hint = Some("check its name".to_owned());
    } else {
        let (arn, version) = ("arn:layer".to_owned(), 12);
        notification.layer = Some(LayerRef { arn, version });
        notification.version_arn = Some("arn:layer:12".to_owned());
    }
    let has_failed = status == Status::Failed;
    TargetOutcome {
        request: request(),
        status,
        manifest_key: (!has_failed).then(|| "accretion/manifests/data-tools/x.manifest".to_owned()),
        digest: (!has_failed).then(|| Digest(Sha256::of(b"content"))),
        change,
        outbox_entry: OutboxEntry {
            project: "data-tools".parse().unwrap(),
            target: target.target(),
            notification,
        },
    }
}

/// Everything that is written about layers.
async fn write_layers(layers: &DynamoLayers) {
    let layer: LayerName = "data-tools-py313-arm64".parse().unwrap();
    let owner = || "owner-1".to_owned();
    let claim = Claim {
        owner: owner(),
        request: request(),
        manifest_key: "accretion/manifests/data-tools/x.manifest".to_owned(),
        lease_until: time("2026-11-20T10:03:00.000Z"),
    };
    let check = OrphanCheck {
        at: time("2026-11-20T10:10:00.000Z"),
        window_until: Some(time("2026-11-20T12:00:00.000Z")),
    };
    for revision in [0, 7] {
        assert!(layers.claim(&layer, revision, &claim).await.unwrap());
    }
    for may_leave_orphan in [false, true] {
        let release = ClaimRelease {
            may_leave_orphan,
            check,
        };
        layers
            .release_claim(&layer, "owner-1", release)
            .await
            .unwrap();
    }
    for next_at in [None, Some(time("2026-11-20T10:20:00.000Z"))] {
        let result = OrphanCheckResult {
            revision: 9,
            version: 12,
            next_at,
        };
        layers.record_check(&layer, result).await.unwrap();
    }
    let change = |claim| LayerChange {
        revision: 8,
        published: published(),
        claim,
    };
    let ended = EndedClaim {
        owner: owner(),
        check,
    };
    for outcome in [
        outcome(
            Event::LayerPublished,
            Status::Published,
            "py313-arm64",
            Some(change(Some(ended))),
        ),
        outcome(
            Event::LayerUnchanged,
            Status::Unchanged,
            "py-arm64",
            Some(change(None)),
        ),
        outcome(Event::LayerSuperseded, Status::Superseded, "py312", None),
        outcome(Event::BuildFailed, Status::Failed, "py", None),
    ] {
        layers.record(&outcome).await.unwrap();
    }
    let event_id = "0ce4-py313-arm64-LayerPublished";
    layers.state(&layer).await.unwrap_or_default();
    layers.is_recorded(&layer, 12).await.unwrap();
    layers.outbox_entry(&layer, event_id).await.unwrap();
    layers.delete_outbox_entry(&layer, event_id).await.unwrap();
}

/// Everything that is written about requests.
async fn write_requests(tracking: &DynamoTracking) {
    let object = InboxObject {
        bucket: "inbox".to_owned(),
        key: "requests/data-tools/request.json".to_owned(),
        version_id: Some("v1".to_owned()),
        sequencer: "0055".to_owned(),
        event_time: request().received_at,
    };
    let object = Origin::Object(object);
    let message = || Origin::Message("059f36b4-87a3-44ab-83d2-661975830a7d".to_owned());
    for (origin, slugs, rolled_back_to) in [
        (object.clone(), &["py313", "py313-arm64"][..], None),
        (message(), &["py-arm64"], Some("arn:layer:3".to_owned())),
    ] {
        let accepted = Accepted {
            request: request(),
            project: "data-tools".parse().unwrap(),
            origin,
            targets: slugs.iter().map(|slug| compatibility(slug)).collect(),
            rolled_back_to,
        };
        tracking.accept(&accepted).await.unwrap();
    }
    for (origin, project) in [(object, Some("data-tools".to_owned())), (message(), None)] {
        let rejected = Rejected {
            request: request(),
            project,
            origin,
            reason: "error: the request can't be used".to_owned(),
            codes: vec!["NameInvalid".to_owned()],
        };
        tracking.reject(&rejected).await.unwrap();
    }
    tracking.status(&request().id).await.unwrap();
}

#[tokio::test]
async fn items_parameters_and_executions_are_written_as_before() {
    let since = Timestamp::from(jiff::Timestamp::now());
    let (recorder, clients) = Recorder::start();
    let retention = Duration::from_secs(400 * DAY);
    write_layers(&DynamoLayers::new(
        &clients, "layers", "requests", retention,
    ))
    .await;
    write_requests(&DynamoTracking::new(&clients, "requests", retention)).await;
    let builds = StepFunctionsBuilds::new(&clients, "arn:state-machine");
    let parameters = SsmLatestVersions::new(&clients, "/accretion");
    let project = "data-tools".parse().unwrap();
    for slug in ["py313-arm64", "py"] {
        let order = BuildOrder {
            request: request(),
            project: "data-tools".parse().unwrap(),
            target: compatibility(slug),
        };
        builds.start(&order).await.unwrap();
        let target = order.target.target();
        parameters
            .set(&project, target, "arn:layer:12")
            .await
            .unwrap();
    }
    let told = recorder.told(since);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    if std::env::var_os("GOLDEN_NEW").is_some() && !path.exists() {
        fs::write(&path, &told).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    let different = golden.lines().zip(told.lines()).enumerate();
    for (index, (before, now)) in different {
        let line = index + 1;
        assert_eq!(
            before, now,
            "golden.txt:{line}: a stored format has changed"
        );
    }
    assert!(golden == told, "golden.txt: calls were added or left out");
}
