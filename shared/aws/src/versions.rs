//! Layer versions in Lambda.

use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::request::Permission;
use accretion_core::target::{Architecture, Runtime};
use accretion_service::ports::{
    Attempt, LayerVersion, LayerVersions, PortError, StoredArtifact, async_trait,
};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_lambda::operation::add_layer_version_permission::AddLayerVersionPermissionError;
use aws_sdk_lambda::operation::get_layer_version::GetLayerVersionOutput;
use aws_sdk_lambda::operation::publish_layer_version::PublishLayerVersionError;
use aws_sdk_lambda::operation::publish_layer_version::builders::PublishLayerVersionFluentBuilder;
use aws_sdk_lambda::types::{LayerVersionContentInput, LayerVersionContentOutput};
use backon::Retryable as _;

use crate::Clients;
use crate::checksum;
use crate::error::{Call, CallError, Error, Outcome as _, failed, problem};
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
            client: Client::new(clients.config()),
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
        let (runtimes, architectures) = (&manifest.runtimes, &manifest.architectures);
        publication(
            &self.client,
            layer.as_str(),
            content,
            runtimes,
            architectures,
        )
        .description(&manifest.publish.description)
        .set_license_info(manifest.publish.license_info.clone())
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
        let request = self.publication(layer, manifest, artifact);
        match publish(layer.as_str(), request, PUBLISH).await {
            Ok(version) => Attempt::Made(version),
            Err(Unpublished::Refused(error)) => Attempt::Refused(error.into()),
            Err(Unpublished::Unknown(error)) => Attempt::Unknown(error.into()),
            Err(Unpublished::Incomplete(problem)) => {
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
        let Some(found) = found(&self.client, layer.as_str(), version).await? else {
            return Ok(None);
        };
        let read = layer_version(
            found.layer_arn(),
            found.version(),
            found.layer_version_arn(),
            found.content(),
            found.created_date(),
        );
        let call = get_call(layer.as_str(), version);
        let incomplete = |problem| Error::ServiceUnavailable { call, problem };
        Ok(read.map(Some).map_err(incomplete)?)
    }

    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError> {
        let request = self.client.list_layer_versions().layer_name(layer.as_str());
        let mut pages = request.into_paginator().send();
        let mut numbers = Vec::new();
        while let Some(outcome) = pages.next().await {
            let call = Call::new("lambda:ListLayerVersions", layer.as_str());
            // A layer without versions is no layer.
            let Some(page) = outcome.unless(NOT_FOUND, call)? else {
                break;
            };
            let versions = page.layer_versions().iter();
            let known = versions.map(|known| known.version().unsigned_abs());
            numbers.extend(known.filter(|number| *number > version));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), PortError> {
        match granted(&self.client, layer.as_str(), version, permission).await {
            // The version was just deleted: the next attempt sees that.
            Err(error) if error.code() == Some(NOT_FOUND) => Err(Error::ServiceUnavailable {
                problem: problem(&error),
                call: grant_call(layer.as_str(), version),
            }
            .into()),
            outcome => Ok(outcome.of(grant_call(layer.as_str(), version))?),
        }
    }
}

/// The code of Lambda's answer about what does not exist.
pub(crate) const NOT_FOUND: &str = "ResourceNotFoundException";

/// The call that publishes a version, without its description and license.
pub(crate) fn publication(
    client: &Client,
    layer: &str,
    content: LayerVersionContentInput,
    runtimes: &[Runtime],
    architectures: &[Architecture],
) -> PublishLayerVersionFluentBuilder {
    let runtimes_of_lambda = runtimes.iter().map(|it| it.identifier().into());
    let architectures_of_lambda = architectures.iter().map(|it| it.name().into());
    client
        .publish_layer_version()
        .layer_name(layer)
        .content(content)
        .set_compatible_runtimes(Some(runtimes_of_lambda.collect()))
        .set_compatible_architectures(Some(architectures_of_lambda.collect()))
}

/// The reason why there is no new version, or may be none.
pub(crate) enum Unpublished {
    /// There certainly is none.
    Refused(Error),
    /// There may be one: the error of the call does not tell.
    Unknown(Error),
    /// There may be one: the answer lacks something.
    Incomplete(String),
}

/// Publishes a version, within a time limit. The call has no idempotency token, so it is made once,
/// unless Lambda throttles it.
pub(crate) async fn publish(
    layer: &str,
    request: PublishLayerVersionFluentBuilder,
    time: Duration,
) -> Result<LayerVersion, Unpublished> {
    let call = || {
        let attempt = request.clone().customize();
        attempt.config_override(made_once(time)).send()
    };
    let made = call.retry(THROTTLED).when(is_throttled).await;
    let answer = made.map_err(|error| unpublished(layer, &error))?;
    layer_version(
        answer.layer_arn(),
        answer.version(),
        answer.layer_version_arn(),
        answer.content(),
        answer.created_date(),
    )
    .map_err(Unpublished::Incomplete)
}

/// Lambda's answer about a version; `None` if there is no such version.
pub(crate) async fn found(
    client: &Client,
    layer: &str,
    version: u64,
) -> Result<Option<GetLayerVersionOutput>, Error> {
    let request = client.get_layer_version().layer_name(layer);
    let outcome = request.version_number(signed(version)).send().await;
    outcome.unless(NOT_FOUND, get_call(layer, version))
}

fn get_call(layer: &str, version: u64) -> Call {
    Call::new("lambda:GetLayerVersion", format!("{layer}:{version}"))
}

pub(crate) fn grant_call(layer: &str, version: u64) -> Call {
    let resource = format!("{layer}:{version}");
    Call::new("lambda:AddLayerVersionPermission", resource)
}

/// The configuration of a call that is made once, and may take so long.
fn made_once(time: Duration) -> aws_sdk_lambda::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(time)
        .operation_attempt_timeout(time)
        .build();
    aws_sdk_lambda::config::Builder::new()
        .timeout_config(timeouts)
        // A repetition of a call that did take effect would make another version.
        .retry_config(RetryConfig::disabled())
}

/// Grants the use of a version.
pub(crate) async fn granted(
    client: &Client,
    layer: &str,
    version: u64,
    permission: &Permission,
) -> Result<(), CallError<AddLayerVersionPermissionError>> {
    let request = client
        .add_layer_version_permission()
        .layer_name(layer)
        .version_number(signed(version))
        .statement_id(statement_id(permission))
        .action("lambda:GetLayerVersion")
        .principal(permission.principal())
        .set_organization_id(permission.organization_id().map(ToOwned::to_owned));
    match request.send().await {
        // There is a statement of that id, and so of that content.
        Err(error) if error.code() == Some("ResourceConflictException") => Ok(()),
        outcome => outcome.map(|_| ()),
    }
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
fn is_throttled(error: &CallError<PublishLayerVersionError>) -> bool {
    error.code() == Some("TooManyRequestsException")
}

fn unpublished(layer: &str, error: &CallError<PublishLayerVersionError>) -> Unpublished {
    let is_certain = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_client_error(),
        _ => false,
    };
    let (layer_name, problem) = (layer.to_owned(), problem(error));
    let reason = match error.code() {
        Some("CodeStorageExceededException") => Error::CodeStorageExceeded {
            layer: layer_name,
            problem,
        },
        Some("InvalidParameterValueException" | "RequestTooLargeException") => {
            Error::LayerRefused {
                layer: layer_name,
                problem,
            }
        }
        _ => failed(publish_call(layer), error),
    };
    if is_certain {
        Unpublished::Refused(reason)
    } else {
        Unpublished::Unknown(reason)
    }
}

/// A version out of any of Lambda's answers about it.
fn layer_version(
    layer_arn: Option<&str>,
    version: i64,
    version_arn: Option<&str>,
    content: Option<&LayerVersionContentOutput>,
    created_at: Option<&str>,
) -> Result<LayerVersion, String> {
    let sha256 = content.and_then(LayerVersionContentOutput::code_sha256);
    let time = created_at.and_then(|text| text.parse().ok());
    Ok(LayerVersion {
        layer_arn: layer_arn.ok_or("it has no `LayerArn`")?.to_owned(),
        version: version.unsigned_abs(),
        version_arn: version_arn.ok_or("it has no `LayerVersionArn`")?.to_owned(),
        code_sha256: sha256
            .and_then(checksum::decode)
            .ok_or("it has no usable `CodeSha256`")?,
        created_at: time.ok_or("it has no usable `CreatedDate`")?,
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
        let read = |content: Option<&LayerVersionContentOutput>| {
            let created_at = Some("2026-11-20T10:00:00.123+0000");
            layer_version(
                Some("arn:layer"),
                3,
                Some("arn:layer:3"),
                content,
                created_at,
            )
        };
        let version = read(Some(&content)).unwrap();
        assert_eq!(version.code_sha256, Sha256::of(b"zip"));
        assert_eq!(version.created_at.to_string(), "2026-11-20T10:00:00.123Z");
        let problem = read(None).unwrap_err();
        assert_eq!(problem, "it has no usable `CodeSha256`");
    }
}
