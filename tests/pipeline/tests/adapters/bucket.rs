//! The inbox and the artifacts bucket.

use std::io::Write as _;

use accretion_aws::{S3Artifacts, S3Inbox, S3Manifests, S3Requests};
use accretion_core::Fault as _;
use accretion_core::delivery::InboxObject;
use accretion_core::digest::Written;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{Builder, LayerManifest, Manifest, Publish, VERSION};
use accretion_core::notification::{LayerRef, ObjectRef};
use accretion_core::request::{RequestId, RequestRef};
use accretion_service::ports::{
    Artifacts as _, Description, Inbox as _, Manifests as _, Requests as _,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;

use crate::{World, at, code, fresh, on_aws, project, request, target};

/// Puts an object, and returns the version's id.
async fn put(world: &World, bucket: &str, key: &str, body: &str) -> Option<String> {
    let body = ByteStream::from(body.as_bytes().to_vec());
    let request = world.s3().put_object().bucket(bucket).key(key).body(body);
    request.send().await.unwrap().version_id
}

fn object(bucket: &str, key: &str, version_id: Option<String>) -> InboxObject {
    InboxObject {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id,
        sequencer: String::new(),
        event_time: at("10:00:00"),
    }
}

#[test]
fn the_inbox_gives_the_version_that_is_asked_for() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let inbox = S3Inbox::new(&world.clients, bucket.as_str());
        let key = "requests/data tools/ün+icode.txt";
        let first = put(world, &bucket, key, "first").await;
        put(world, &bucket, key, "second").await;
        let read = async |version_id| {
            let object = object(&bucket, key, version_id);
            inbox.read(&object, 100).await.unwrap()
        };
        assert_eq!(read(first.clone()).await.unwrap(), b"first");
        assert_eq!(read(None).await.unwrap(), b"second");

        let s3 = world.s3();
        let delete = s3.delete_object().bucket(&bucket).key(key);
        delete.send().await.unwrap();
        assert_eq!(read(None).await, None);
        assert_eq!(read(first.clone()).await.unwrap(), b"first");
        let delete = s3.delete_object().bucket(&bucket).key(key);
        let delete = delete.version_id(first.as_ref().unwrap());
        delete.send().await.unwrap();
        assert_eq!(read(first).await, None);

        let nowhere = fresh("nowhere");
        let elsewhere = S3Inbox::new(&world.clients, nowhere.as_str());
        let object = object(&nowhere, key, None);
        assert_eq!(
            code(elsewhere.read(&object, 100).await),
            "ServiceRefused",
            "a bucket that is not there is no empty one"
        );
    });
}

#[test]
fn what_is_dropped_is_known_by_its_version() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let inbox = S3Inbox::new(&world.clients, bucket.as_str());
        let key = "requests/data-tools/request.json";
        let mut ids = Vec::new();
        for text in ["first", "second"] {
            let dropped = inbox.drop(key, text.into()).await.unwrap();
            let version = Some(dropped.version_id.clone());
            let object = object(&bucket, key, version);
            let read = inbox.read(&object, 100).await.unwrap();
            assert_eq!(read.unwrap(), text.as_bytes());
            let id = RequestId::of_object(&bucket, key, object.version());
            assert_eq!(dropped.id(), id);
            ids.push(id);
        }
        assert_ne!(ids[0], ids[1]);

        // Nobody could say which request that is.
        let without_versions = world.bucket_without_versions().await;
        let inbox = S3Inbox::new(&world.clients, without_versions);
        let error = inbox.drop(key, b"third".to_vec()).await.unwrap_err();
        assert_eq!(error.code(), "ServiceRefused");
        assert!(
            error.to_string().contains("the bucket keeps none"),
            "{error}"
        );
    });
}

#[test]
fn the_inbox_reads_no_more_than_shows_that_there_is_more() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let inbox = S3Inbox::new(&world.clients, bucket.as_str());
        put(world, &bucket, "k", "0123456789").await;
        for (limit, length) in [(100, 10), (10, 10), (9, 10), (4, 5), (0, 1)] {
            let bytes = inbox.read(&object(&bucket, "k", None), limit).await;
            assert_eq!(bytes.unwrap().unwrap(), b"0123456789"[..length]);
        }
    });
}

#[test]
fn a_request_is_kept_as_it_came_first() {
    on_aws(async |world| {
        let requests = S3Requests::new(&world.clients, world.bucket().await);
        let id = RequestId::of_message(&fresh("request"));
        assert_eq!(requests.stored(&id).await.unwrap(), None);
        let rivals = (0..8).map(|rival| requests.store(&id, format!("{{\"Rival\": {rival}}}")));
        for kept in futures_util::future::join_all(rivals).await {
            kept.unwrap();
        }
        let kept = requests.stored(&id).await.unwrap();
        requests.store(&id, "{}".to_owned()).await.unwrap();
        assert_eq!(requests.stored(&id).await.unwrap(), kept);
        assert!(String::from_utf8(kept.unwrap()).unwrap().contains("Rival"));
    });
}

/// A manifest about some bytes.
fn manifest(request: &RequestRef, digest: Digest, artifact: &[u8]) -> Manifest {
    Manifest {
        manifest_version: VERSION,
        project_name: project().to_string(),
        artifact_s3_key: keys::artifact(&project(), digest),
        runtimes: target().runtime().into_iter().collect(),
        architectures: vec![target().architecture()],
        shape: None,
        requirements: vec![],
        installed: vec![],
        excluded: vec![],
        conflicts: vec![],
        files: None,
        pruned: None,
        digest,
        artifact_sha256: Sha256::of(artifact),
        artifact_size: artifact.len() as u64,
        unzipped_size: 1,
        lock_s3_key: Some(keys::lock(&project(), digest)),
        publish: Publish::default(),
        request: Some(request.clone()),
        input: None,
        rolled_back_to: None,
        builder: Builder {
            version: "0".to_owned(),
            built_at: "2026-11-20T10:00:00.000Z".to_owned(),
        },
    }
}

fn described(manifest: &Manifest) -> Description<'_> {
    Description {
        manifest,
        lock: "lock-version = \"1.0\"\n",
    }
}

fn layer() -> LayerName {
    LayerName::new(&project(), target())
}

fn digest(content: &str) -> Digest {
    Digest(Sha256::of(content.as_bytes()))
}

/// Writes an artifact and commits it with its manifest; tells how that went.
async fn commit(
    artifacts: &S3Artifacts,
    bytes: &[u8],
    manifest: &Manifest,
) -> Result<(), accretion_service::ports::PortError> {
    let mut staged = artifacts.stage(&layer()).unwrap();
    staged.write_all(bytes).unwrap();
    let path = staged.path().to_owned();
    let written = Written {
        sha256: manifest.artifact_sha256,
        size: bytes.len() as u64,
    };
    let committed = artifacts
        .commit(&layer(), staged, written, described(manifest))
        .await;
    assert!(!path.exists(), "{}", path.display());
    committed
}

#[test]
fn an_artifact_is_committed_with_its_checksum_and_its_manifests() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let artifacts = S3Artifacts::new(&world.clients, &bucket, project());
        // More than one piece of any buffer on the way.
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
        let (request, digest) = (request("10:00:00"), digest("a"));
        let manifest = manifest(&request, digest, &bytes);
        assert_eq!(artifacts.find(&layer(), digest).await.unwrap(), None);
        commit(&artifacts, &bytes, &manifest).await.unwrap();

        let stored = world
            .s3()
            .get_object()
            .bucket(&bucket)
            .key(format!("accretion/artifacts/data-tools/{}.zip", digest.0))
            .checksum_mode(ChecksumMode::Enabled);
        let stored = stored.send().await.unwrap();
        assert_eq!(stored.content_type(), Some("application/zip"));
        assert!(stored.checksum_sha256().is_some());
        let stored = stored.body.collect().await.unwrap().to_vec();
        assert!(stored == bytes);

        let manifests = S3Manifests::new(&world.clients, &bucket);
        let description = format!("accretion/artifacts/data-tools/{}.json", digest.0);
        let own = format!(
            "accretion/manifests/data-tools/{}-py313-arm64.manifest",
            request.id
        );
        for key in [&description, &own] {
            let text = manifests.manifest(key).await.unwrap().unwrap();
            assert_eq!(text, manifest.to_json().as_bytes(), "{key}");
        }
        let lock = format!("accretion/manifests/data-tools/pylock.{}.toml", digest.0);
        let text = manifests.manifest(&lock).await.unwrap().unwrap();
        assert_eq!(text, described(&manifest).lock.as_bytes());
        let found = artifacts.find(&layer(), digest).await.unwrap();
        assert_eq!(found, Some(manifest.clone()));

        let seen = manifests.artifact(&manifest.artifact_s3_key).await.unwrap();
        let seen = seen.unwrap();
        assert_eq!(seen.sha256, Some(manifest.artifact_sha256));
        assert_eq!(seen.size, 5_000_000);
        assert!(seen.version_id.is_some());
    });
}

#[test]
fn an_artifact_is_found_only_if_it_is_whole() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let artifacts = S3Artifacts::new(&world.clients, &bucket, project());
        let find = async |content| artifacts.find(&layer(), digest(content)).await.unwrap();
        let key = |content| keys::artifact(&project(), digest(content));
        let description = |content| keys::artifact_description(&project(), digest(content));
        let of = |content: &str| manifest(&request("10:00:00"), digest(content), b"zip");

        for content in ["replaced", "described wrongly", "undescribed", "gone"] {
            commit(&artifacts, b"zip", &of(content)).await.unwrap();
            assert!(find(content).await.is_some());
        }
        put(world, &bucket, &key("replaced"), "piz").await;
        put(world, &bucket, &description("described wrongly"), "{}").await;
        let s3 = world.s3();
        for key in [description("undescribed"), key("gone")] {
            let delete = s3.delete_object().bucket(&bucket).key(key);
            delete.send().await.unwrap();
        }
        for content in ["replaced", "described wrongly", "undescribed", "gone"] {
            assert_eq!(find(content).await, None, "{content}");
        }
        // What is not whole is made whole by building again, where nothing else is in its place.
        for content in ["described wrongly", "undescribed", "gone"] {
            commit(&artifacts, b"zip", &of(content)).await.unwrap();
            assert!(find(content).await.is_some(), "{content}");
        }
        let again = commit(&artifacts, b"zip", &of("replaced")).await;
        assert_eq!(code(again), "ArtifactDiffers");
    });
}

#[test]
fn artifacts_and_manifests_are_never_overwritten() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let artifacts = S3Artifacts::new(&world.clients, &bucket, project());
        let manifests = S3Manifests::new(&world.clients, &bucket);
        let request = request("10:00:00");
        let first = manifest(&request, digest("a"), b"one");
        let other = manifest(&request, digest("a"), b"other");
        // Two builders of the same at the same time.
        let (one, two) = tokio::join!(
            commit(&artifacts, b"one", &first),
            commit(&artifacts, b"one", &first)
        );
        one.unwrap();
        two.unwrap();
        let outcome = commit(&artifacts, b"other", &other).await;
        assert_eq!(code(outcome), "ArtifactDiffers");
        let stored = manifests.artifact(&first.artifact_s3_key).await.unwrap();
        assert_eq!(stored.unwrap().sha256, Some(first.artifact_sha256));

        // A request's own manifest stays what it was, too.
        artifacts.keep(&layer(), described(&other)).await.unwrap();
        let key = keys::manifest(&project(), &request.id, target());
        let text = manifests.manifest(&key).await.unwrap().unwrap();
        assert_eq!(text, first.to_json().as_bytes());
    });
}

#[test]
fn an_artifact_that_was_damaged_on_its_way_is_refused() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let artifacts = S3Artifacts::new(&world.clients, &bucket, project());
        let manifest = manifest(&request("10:00:00"), digest("a"), b"what was meant");
        let outcome = commit(&artifacts, b"what has come", &manifest).await;
        assert_eq!(code(outcome), "ServiceRefused");
        let manifests = S3Manifests::new(&world.clients, &bucket);
        let key = &manifest.artifact_s3_key;
        assert_eq!(manifests.artifact(key).await.unwrap(), None);
    });
}

#[test]
fn a_manifest_without_a_request_belongs_nowhere() {
    on_aws(async |world| {
        let artifacts = S3Artifacts::new(&world.clients, world.bucket().await, project());
        let mut manifest = manifest(&request("10:00:00"), digest("a"), b"zip");
        manifest.request = None;
        let outcome = artifacts.keep(&layer(), described(&manifest)).await;
        assert_eq!(code(outcome), "ManifestInvalid");
    });
}

#[test]
fn the_library_says_what_is_not_there_and_what_has_no_checksum() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let manifests = S3Manifests::new(&world.clients, &bucket);
        assert_eq!(manifests.bucket(), bucket);
        assert_eq!(manifests.manifest("nothing").await.unwrap(), None);
        assert_eq!(manifests.artifact("nothing").await.unwrap(), None);
        put(world, &bucket, "unchecked", "zip").await;
        let unchecked = manifests.artifact("unchecked").await.unwrap().unwrap();
        assert_eq!((unchecked.sha256, unchecked.size), (None, 3));
    });
}

#[test]
fn the_manifest_of_a_layer_version_can_be_written_again() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let manifests = S3Manifests::new(&world.clients, &bucket);
        for version_arn in ["arn:layer:7", "arn:layer:007"] {
            let manifest = LayerManifest {
                layer: LayerRef {
                    arn: "arn:layer".to_owned(),
                    version: 7,
                },
                artifact_manifest: ObjectRef {
                    bucket: bucket.clone(),
                    key: "m".to_owned(),
                },
                version_arn: version_arn.to_owned(),
                digest: digest("a"),
                published_at: at("10:00:00"),
            };
            manifests
                .store_layer_manifest(&layer(), &manifest)
                .await
                .unwrap();
            let key = "accretion/layers/data-tools-py313-arm64/7.json";
            let text = manifests.manifest(key).await.unwrap().unwrap();
            assert_eq!(text, manifest.to_json().as_bytes());
        }
    });
}
