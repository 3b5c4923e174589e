//! Each adapter of the ports on the emulator, over HTTP; and on a server that misbehaves.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod bucket;
mod calls;
mod dead_letters;
mod index_credentials;
mod layers;
mod misbehaving;
mod requests;
mod versions;

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use accretion_aws::{Clients, DynamoLayers, DynamoTracking};
use accretion_core::Fault as _;
use accretion_core::request::{ProjectName, RequestId, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget, Runtime};
use accretion_core::timestamp::Timestamp;
use accretion_service::ports::PortError;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    VersioningConfiguration,
};
use pipeline_tests::workspace::REGION;
use pipeline_tests::{MiniStack, Options};

/// For how long tables keep what is over.
const RETENTION: Duration = Duration::from_hours(24 * 90);

/// The server that the tests of this binary share. What each needs there, it makes itself.
struct World {
    server: MiniStack,
    /// One for all tests: a client's connections die with the runtime that made them.
    runtime: tokio::runtime::Runtime,
    config: SdkConfig,
    clients: Clients,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adapters/ministack.log");
    let server = MiniStack::start(&log, &Options::default());
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let config = configuration(&server.endpoint());
    World {
        server,
        runtime: tokio::runtime::Runtime::new().unwrap(),
        clients: Clients::from(config.clone()),
        config,
    }
});

/// Runs a test. If it fails, the end of the server's log is shown.
#[track_caller]
fn on_aws(test: impl AsyncFnOnce(&'static World)) {
    struct ShownOnPanic(&'static MiniStack);

    impl Drop for ShownOnPanic {
        #[expect(clippy::print_stderr, reason = "tests speak to people there")]
        fn drop(&mut self) {
            if std::thread::panicking() {
                let (path, tail) = (self.0.log().display(), self.0.log_tail());
                eprintln!("----- the end of {path} -----\n{tail}\n-----");
            }
        }
    }

    let world = &*WORLD;
    let _shown = ShownOnPanic(&world.server);
    world.runtime.block_on(test(world));
}

/// The configuration for a server on this machine: nothing of the environment is read.
fn configuration(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "the emulator's root user");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard())
        .build()
}

/// A name that nobody else has.
fn fresh(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The code of an error that must have happened.
#[track_caller]
fn code<T: std::fmt::Debug>(outcome: Result<T, PortError>) -> &'static str {
    outcome.unwrap_err().code()
}

fn project() -> ProjectName {
    "data-tools".parse().unwrap()
}

fn target() -> LayerTarget {
    LayerTarget::from_slug("py313-arm64").unwrap()
}

/// A layer by its short form. A merged one is for two runtimes.
fn compatibility(slug: &str) -> Compatibility {
    match LayerTarget::from_slug(slug).unwrap() {
        LayerTarget::One(target) => target.into(),
        merged @ LayerTarget::Merged(_) => {
            Compatibility::new(merged, [Runtime::Python312, Runtime::Python313]).unwrap()
        }
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-20T{time}Z").parse().unwrap()
}

/// A request that nobody else has sent.
fn request(time: &str) -> RequestRef {
    RequestRef {
        received_at: at(time),
        id: RequestId::of_message(&fresh("request")),
    }
}

impl World {
    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    async fn bucket_without_versions(&self) -> String {
        let name = fresh("bucket");
        let region = BucketLocationConstraint::from(REGION);
        let location = CreateBucketConfiguration::builder().location_constraint(region);
        let request = self.s3().create_bucket().bucket(&name);
        let request = request.create_bucket_configuration(location.build());
        request.send().await.unwrap();
        name
    }

    /// A new bucket with versions.
    async fn bucket(&self) -> String {
        let (s3, name) = (self.s3(), self.bucket_without_versions().await);
        let versions = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let request = s3.put_bucket_versioning().bucket(&name);
        let request = request.versioning_configuration(versions);
        request.send().await.unwrap();
        name
    }

    /// A new table of requests.
    async fn requests_table(&self) -> String {
        let name = fresh("requests");
        self.table(&name, "RequestId", ["open", "Open", "UpdatedAt"])
            .await;
        name
    }

    /// A new table of layers.
    async fn layers_table(&self) -> String {
        let name = fresh("layers");
        self.table(&name, "LayerName", ["pending", "Pending", "PendingSince"])
            .await;
        name
    }

    /// A table as the template has it, with an index of which the name and both keys are given.
    async fn table(&self, name: &str, partition: &str, [index, shard, time]: [&str; 3]) {
        let key = |name: &str, kind| {
            let key = KeySchemaElement::builder().attribute_name(name);
            key.key_type(kind).build().unwrap()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(index)
            .key_schema(key(shard, KeyType::Hash))
            .key_schema(key(time, KeyType::Range))
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::KeysOnly)
                    .build(),
            );
        let attributes = [partition, "Item", shard, time].map(|name| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            let attribute = attribute.attribute_type(ScalarAttributeType::S);
            attribute.build().unwrap()
        });
        let request = self.dynamodb().create_table().table_name(name);
        let request = request
            .key_schema(key(partition, KeyType::Hash))
            .key_schema(key("Item", KeyType::Range))
            .set_attribute_definitions(Some(attributes.into()))
            .global_secondary_indexes(index.build().unwrap())
            .billing_mode(BillingMode::PayPerRequest);
        request.send().await.unwrap();
    }

    /// Both tables, and the adapters over them.
    async fn tables(&self) -> Tables {
        let (layers, requests) = (self.layers_table().await, self.requests_table().await);
        Tables {
            layers: DynamoLayers::new(&self.clients, &layers, &requests, RETENTION),
            tracking: DynamoTracking::new(&self.clients, &requests, RETENTION),
            layers_table: layers,
            requests_table: requests,
        }
    }

    /// An item of a table as JSON; `Null` if there is none.
    async fn item(&self, table: &str, keys: [(&str, &str); 2]) -> serde_json::Value {
        let mut request = self.dynamodb().get_item().table_name(table);
        for (name, value) in keys {
            let value = aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
            request = request.key(name, value);
        }
        let found = request.consistent_read(true).send().await.unwrap();
        found.item.map_or(serde_json::Value::Null, json)
    }
}

struct Tables {
    layers: DynamoLayers,
    tracking: DynamoTracking,
    layers_table: String,
    requests_table: String,
}

/// An item as JSON.
fn json(
    item: std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>,
) -> serde_json::Value {
    use aws_sdk_dynamodb::types::AttributeValue as A;
    fn value(attribute: A) -> serde_json::Value {
        match attribute {
            A::S(text) => text.into(),
            A::N(number) => serde_json::from_str(&number).unwrap(),
            A::L(list) => list.into_iter().map(value).collect(),
            A::M(map) => json(map),
            other => panic!("{other:?}"),
        }
    }
    let members = item.into_iter().map(|(name, it)| (name, value(it)));
    serde_json::Value::Object(members.collect())
}

/// Every file in this folder has to be a module: a forgotten one would test nothing.
#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adapters");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        let declared = text.contains(&format!("\nmod {module};\n"));
        assert!(
            declared || module == "main",
            "{name} is not a module of main.rs"
        );
    }
}
