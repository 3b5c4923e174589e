//! Layer versions in Lambda.

use accretion_aws::LambdaLayerVersions;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::layer::LayerName;
use accretion_core::manifest::{Builder, Manifest, Publish, VERSION};
use accretion_core::request::Permission;
use accretion_service::ports::{
    Attempt, LayerVersion, LayerVersions as _, Manifests as _, StoredArtifact,
};
use aws_sdk_lambda::types::{Architecture, Runtime};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use serde_json::Value;

use crate::{World, fresh, on_aws, project, target};

pub(crate) fn manifest(artifact: &StoredArtifact) -> Manifest {
    Manifest {
        manifest_version: VERSION,
        project_name: project().to_string(),
        artifact_s3_key: artifact.key.clone(),
        runtimes: target().runtime().into_iter().collect(),
        architectures: vec![target().architecture()],
        shape: None,
        requirements: vec![],
        installed: vec![],
        excluded: vec![],
        conflicts: vec![],
        files: None,
        pruned: None,
        digest: Digest(Sha256::of(b"wheels")),
        artifact_sha256: artifact.sha256.unwrap(),
        artifact_size: artifact.size,
        unzipped_size: 1,
        lock_s3_key: None,
        publish: Publish {
            description: "1.4.0".to_owned(),
            license_info: Some("MIT".to_owned()),
            permissions: vec![],
        },
        request: None,
        input: None,
        rolled_back_to: None,
        builder: Builder {
            version: "0".to_owned(),
            built_at: String::new(),
        },
    }
}

/// An empty zip with a comment, so that there are as many as are wanted.
fn zip(comment: &str) -> Vec<u8> {
    let mut zip = b"PK\x05\x06".to_vec();
    zip.extend([0; 16]);
    zip.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    zip.extend(comment.as_bytes());
    zip
}

async fn upload(world: &World, bucket: &str, bytes: Vec<u8>) -> StoredArtifact {
    let key = fresh("artifact");
    let put = world.s3().put_object().bucket(bucket).key(&key);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256);
    put.body(ByteStream::from(bytes)).send().await.unwrap();
    let manifests = accretion_aws::S3Manifests::new(&world.clients, bucket);
    manifests.artifact(&key).await.unwrap().unwrap()
}

/// A layer that nobody else has.
fn layer() -> LayerName {
    LayerName::new(&fresh("tools").parse().unwrap(), target())
}

#[track_caller]
fn made(attempt: Attempt) -> LayerVersion {
    match attempt {
        Attempt::Made(version) => version,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_version_is_made_of_the_very_object_that_was_looked_at() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let versions = LambdaLayerVersions::new(&world.clients, &bucket);
        let artifact = upload(world, &bucket, zip("one")).await;
        // Somebody replaces it meanwhile.
        let put = world.s3().put_object().bucket(&bucket).key(&artifact.key);
        put.body(ByteStream::from(zip("two"))).send().await.unwrap();

        let layer = layer();
        let manifest = manifest(&artifact);
        let version = made(versions.publish(&layer, &manifest, &artifact).await);
        assert_eq!(version.version, 1);
        assert_eq!(version.code_sha256, artifact.sha256.unwrap());
        assert_eq!(version.version_arn, format!("{}:1", version.layer_arn));
        assert!(version.layer_arn.ends_with(&format!(":layer:{layer}")));

        let lambda = aws_sdk_lambda::Client::new(&world.config);
        let found = lambda.get_layer_version().layer_name(layer.as_str());
        let found = found.version_number(1).send().await.unwrap();
        assert_eq!(found.description(), Some("1.4.0"));
        assert_eq!(found.license_info(), Some("MIT"));
        let runtimes: Vec<_> = found
            .compatible_runtimes()
            .iter()
            .map(Runtime::as_str)
            .collect();
        assert_eq!(runtimes, ["python3.13"]);
        let architectures = found.compatible_architectures().iter();
        let architectures: Vec<_> = architectures.map(Architecture::as_str).collect();
        assert_eq!(architectures, ["arm64"]);
    });
}

#[test]
fn versions_are_looked_up_and_counted() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let versions = LambdaLayerVersions::new(&world.clients, &bucket);
        let layer = layer();
        let above = async |version| versions.above(&layer, version).await.unwrap();
        assert_eq!(above(0).await, [0_u64; 0]);
        assert_eq!(versions.get(&layer, 1).await.unwrap(), None);
        // Publishing has no memory: each call makes another version, also of the same.
        let artifact = upload(world, &bucket, zip("one")).await;
        let mut made_versions = Vec::new();
        for _ in 0..3 {
            let attempt = versions
                .publish(&layer, &manifest(&artifact), &artifact)
                .await;
            made_versions.push(made(attempt));
        }
        assert_eq!(above(0).await, [1, 2, 3]);
        assert_eq!(above(2).await, [3]);
        assert_eq!(above(3).await, [0_u64; 0]);
        for version in &made_versions {
            let found = versions.get(&layer, version.version).await.unwrap();
            assert_eq!(found.as_ref(), Some(version));
        }
        let lambda = aws_sdk_lambda::Client::new(&world.config);
        let delete = lambda.delete_layer_version().layer_name(layer.as_str());
        delete.version_number(2).send().await.unwrap();
        assert_eq!(versions.get(&layer, 2).await.unwrap(), None);
        assert_eq!(above(0).await, [1, 3]);
    });
}

#[test]
fn more_versions_than_a_page_holds_are_all_counted() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let versions = LambdaLayerVersions::new(&world.clients, &bucket);
        let (layer, artifact) = (layer(), upload(world, &bucket, zip("one")).await);
        let manifest = manifest(&artifact);
        for _ in 0..60 {
            made(versions.publish(&layer, &manifest, &artifact).await);
        }
        let numbers = versions.above(&layer, 0).await.unwrap();
        assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    });
}

#[test]
fn a_permission_is_granted_once() {
    on_aws(async |world| {
        let bucket = world.bucket().await;
        let versions = LambdaLayerVersions::new(&world.clients, &bucket);
        let (layer, artifact) = (layer(), upload(world, &bucket, zip("one")).await);
        made(
            versions
                .publish(&layer, &manifest(&artifact), &artifact)
                .await,
        );
        let organization = Permission::Organization("o-a1b2c3d4e5".parse().unwrap());
        let account = Permission::Account("123456789012".parse().unwrap());
        for permission in [&organization, &account, &organization, &account] {
            versions.grant(&layer, 1, permission).await.unwrap();
        }
        let lambda = aws_sdk_lambda::Client::new(&world.config);
        let policy = lambda.get_layer_version_policy().layer_name(layer.as_str());
        let policy = policy.version_number(1).send().await.unwrap();
        let policy: Value = serde_json::from_str(policy.policy().unwrap()).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 2, "{policy}");
        for statement in statements {
            assert_eq!(statement["Action"], "lambda:GetLayerVersion");
        }
        let text = policy.to_string();
        assert!(
            text.contains("o-a1b2c3d4e5") && text.contains("123456789012"),
            "{text}"
        );

        // Somebody has deleted it: it is to be looked at again.
        let outcome = versions.grant(&layer, 9, &account).await;
        assert_eq!(crate::code(outcome), "ServiceUnavailable");
    });
}
