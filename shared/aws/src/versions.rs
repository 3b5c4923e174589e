//! Layer versions in Lambda.

use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::request::Permission;
use accretion_service::ports::{
    Attempt, LayerVersion, LayerVersions, PortError, StoredArtifact, async_trait,
};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::add_layer_version_permission::builders::AddLayerVersionPermissionFluentBuilder;
use aws_sdk_lambda::operation::publish_layer_version::PublishLayerVersionError;
use aws_sdk_lambda::operation::publish_layer_version::builders::PublishLayerVersionFluentBuilder;
use aws_sdk_lambda::types::{
    Architecture, LayerVersionContentInput, LayerVersionContentOutput, Runtime,
};
use backon::Retryable as _;

use crate::Clients;
use crate::checksum;
use crate::error::{Call, CallError, Error, failed, problem};
use crate::retry::THROTTLED;

/// The time that Lambda has to copy and unpack a layer.
const PUBLISH: Duration = Duration::from_mins(1);

/// Layer versions in Lambda.
#[derive(Debug, Clone)]
pub struct LambdaLayerVersions {
    client: Client,
    bucket: String,
}

impl LambdaLayerVersions {
    /// Publishes from the artifacts of a bucket.
    pub fn new(clients: &Clients, bucket: impl Into<String>) -> Self {
        Self {
            client: clients.lambda(),
            bucket: bucket.into(),
        }
    }

    fn publication(
        &self,
        layer: &LayerName,
        manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> PublishLayerVersionFluentBuilder {
        let content = LayerVersionContentInput::builder()
            .s3_bucket(&self.bucket)
            .s3_key(&artifact.key)
            .set_s3_object_version(artifact.version_id.clone())
            .build();
        let runtimes = manifest
            .runtimes
            .iter()
            .map(|runtime| Runtime::from(runtime.identifier()));
        let architectures = manifest
            .architectures
            .iter()
            .map(|it| Architecture::from(it.name()));
        self.client
            .publish_layer_version()
            .layer_name(layer.as_str())
            .description(&manifest.publish.description)
            .set_license_info(manifest.publish.license_info.clone())
            .content(content)
            .set_compatible_runtimes(Some(runtimes.collect()))
            .set_compatible_architectures(Some(architectures.collect()))
    }

    async fn read(&self, layer: &LayerName, version: u64) -> Result<Option<LayerVersion>, Error> {
        let request = self
            .client
            .get_layer_version()
            .layer_name(layer.as_str())
            .version_number(signed(version));
        let call = Call::new("lambda:GetLayerVersion", format!("{layer}:{version}"));
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => return Err(failed(call, &error)),
        };
        let version = layer_version(&Answer {
            layer_arn: found.layer_arn(),
            version: found.version(),
            version_arn: found.layer_version_arn(),
            content: found.content(),
            created_at: found.created_date(),
        });
        let incomplete = |problem| Error::ServiceUnavailable { call, problem };
        version.map(Some).map_err(incomplete)
    }

    async fn list_above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, Error> {
        let request = self.client.list_layer_versions().layer_name(layer.as_str());
        let mut pages = request.into_paginator().send();
        let mut numbers = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    let versions = page.layer_versions().iter();
                    let known = versions.map(|known| known.version().unsigned_abs());
                    numbers.extend(known.filter(|number| *number > version));
                }
                // A layer without versions is no layer.
                Err(error) if error.code() == Some("ResourceNotFoundException") => break,
                Err(error) => {
                    let call = Call::new("lambda:ListLayerVersions", layer.as_str());
                    return Err(failed(call, &error));
                }
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn add_permission(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), Error> {
        let request = granting(&self.client, layer.as_str(), version, permission);
        match request.send().await {
            Ok(_) => Ok(()),
            // There is a statement of that id, and so of that content.
            Err(error) if error.code() == Some("ResourceConflictException") => Ok(()),
            Err(error) => {
                let resource = format!("{layer}:{version}");
                let call = Call::new("lambda:AddLayerVersionPermission", resource);
                match error.code() {
                    // The version was just deleted: the next attempt sees that.
                    Some("ResourceNotFoundException") => Err(Error::ServiceUnavailable {
                        call,
                        problem: problem(&error),
                    }),
                    _ => Err(failed(call, &error)),
                }
            }
        }
    }
}

#[async_trait]
impl LayerVersions for LambdaLayerVersions {
    async fn publish(
        &self,
        layer: &LayerName,
        manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> Attempt {
        let publication = self.publication(layer, manifest, artifact);
        let call = || {
            let request = publication.clone().customize();
            request.config_override(made_once(PUBLISH)).send()
        };
        let made = match call.retry(THROTTLED).when(is_throttled).await {
            Ok(made) => made,
            Err(error) => {
                return match unsuccessful(layer.as_str(), &error) {
                    (error, true) => Attempt::Refused(error.into()),
                    (error, false) => Attempt::Unknown(error.into()),
                };
            }
        };
        let version = layer_version(&Answer {
            layer_arn: made.layer_arn(),
            version: made.version(),
            version_arn: made.layer_version_arn(),
            content: made.content(),
            created_at: made.created_date(),
        });
        match version {
            Ok(version) => Attempt::Made(version),
            Err(problem) => {
                let call = publish_call(layer.as_str());
                Attempt::Unknown(Error::ServiceUnavailable { call, problem }.into())
            }
        }
    }

    async fn get(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> Result<Option<LayerVersion>, PortError> {
        Ok(self.read(layer, version).await?)
    }

    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError> {
        Ok(self.list_above(layer, version).await?)
    }

    async fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), PortError> {
        Ok(self.add_permission(layer, version, permission).await?)
    }
}

/// The configuration of a call that is made once, and may take so long.
pub(crate) fn made_once(time: Duration) -> aws_sdk_lambda::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(time)
        .operation_attempt_timeout(time)
        .build();
    aws_sdk_lambda::config::Builder::new()
        .timeout_config(timeouts)
        // A repetition of a call that did take effect would make another version.
        .retry_config(RetryConfig::disabled())
}

/// The call that grants the use of a version.
pub(crate) fn granting(
    client: &Client,
    layer: &str,
    version: u64,
    permission: &Permission,
) -> AddLayerVersionPermissionFluentBuilder {
    client
        .add_layer_version_permission()
        .layer_name(layer)
        .version_number(signed(version))
        .statement_id(statement_id(permission))
        .action("lambda:GetLayerVersion")
        .principal(permission.principal())
        .set_organization_id(permission.organization_id().map(ToOwned::to_owned))
}

/// Lambda counts with signed numbers, from 1.
pub(crate) fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Follows from what is granted, so that the same is never granted twice.
fn statement_id(permission: &Permission) -> String {
    let organization = permission.organization_id().unwrap_or_default();
    let content = format!("{}\n{organization}\n", permission.principal());
    let mut digits = Sha256::of(content.as_bytes()).to_string();
    digits.truncate(16);
    format!("accretion-{digits}")
}

fn publish_call(layer: &str) -> Call {
    Call::new("lambda:PublishLayerVersion", layer)
}

/// Checks if Lambda has refused a call before it read it.
pub(crate) fn is_throttled(error: &CallError<PublishLayerVersionError>) -> bool {
    error.code() == Some("TooManyRequestsException")
}

/// The error of a failed attempt, and whether it certainly has made no version.
pub(crate) fn unsuccessful(
    layer: &str,
    error: &CallError<PublishLayerVersionError>,
) -> (Error, bool) {
    let layer_name = layer.to_owned();
    let is_certain = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_client_error(),
        _ => false,
    };
    let error = match error.code() {
        Some("CodeStorageExceededException") => Error::CodeStorageExceeded {
            layer: layer_name,
            problem: problem(error),
        },
        Some("InvalidParameterValueException" | "RequestTooLargeException") => {
            Error::LayerRefused {
                layer: layer_name,
                problem: problem(error),
            }
        }
        _ => failed(publish_call(layer), error),
    };
    (error, is_certain)
}

/// Lambda's answer about a version, of any of its calls.
pub(crate) struct Answer<'a> {
    pub(crate) layer_arn: Option<&'a str>,
    pub(crate) version: i64,
    pub(crate) version_arn: Option<&'a str>,
    pub(crate) content: Option<&'a LayerVersionContentOutput>,
    pub(crate) created_at: Option<&'a str>,
}

pub(crate) fn layer_version(answer: &Answer<'_>) -> Result<LayerVersion, String> {
    let sha256 = answer
        .content
        .and_then(LayerVersionContentOutput::code_sha256);
    let created_at = answer.created_at.and_then(|text| text.parse().ok());
    Ok(LayerVersion {
        layer_arn: answer.layer_arn.ok_or("it has no `LayerArn`")?.to_owned(),
        version: answer.version.unsigned_abs(),
        version_arn: answer
            .version_arn
            .ok_or("it has no `LayerVersionArn`")?
            .to_owned(),
        code_sha256: sha256
            .and_then(checksum::decode)
            .ok_or("it has no usable `CodeSha256`")?,
        created_at: created_at.ok_or("it has no usable `CreatedDate`")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_permission_has_the_same_statement() {
        let permissions = [
            Permission::Everyone,
            Permission::Organization("o-a1b2c3d4e5".parse().unwrap()),
            Permission::Account("123456789012".parse().unwrap()),
        ];
        let ids = permissions.each_ref().map(statement_id);
        // printf '*\n\n' | sha256sum | cut -c-16
        assert_eq!(ids[0], "accretion-174803236587a643");
        assert_eq!(ids, permissions.each_ref().map(statement_id));
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }

    #[test]
    fn reads_what_lambda_says_of_a_version() {
        let content = LayerVersionContentOutput::builder()
            .code_sha256(checksum::encode(Sha256::of(b"zip")))
            .build();
        let answer = Answer {
            layer_arn: Some("arn:layer"),
            version: 3,
            version_arn: Some("arn:layer:3"),
            content: Some(&content),
            created_at: Some("2026-11-20T10:00:00.123+0000"),
        };
        let version = layer_version(&answer).unwrap();
        assert_eq!(version.code_sha256, Sha256::of(b"zip"));
        assert_eq!(version.created_at.to_string(), "2026-11-20T10:00:00.123Z");
        let answer = Answer {
            content: None,
            ..answer
        };
        let problem = layer_version(&answer).unwrap_err();
        assert_eq!(problem, "it has no usable `CodeSha256`");
    }
}
