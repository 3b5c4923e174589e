//! Layers of any name, as people publish them, and who may use them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::layer::LambdaLayerName;
use accretion_core::request::Permission;
use accretion_core::target::{Architecture, Runtime};
use accretion_service::ports::LayerVersion;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LayerVersionContentInput;
use serde_json::Value;

use crate::Clients;
use crate::bucket::Bucket;
use crate::error::{Call, Error, Outcome as _};
use crate::versions::{self, NOT_FOUND, Unpublished, signed};

/// The time limit to send a zip, and for Lambda to unpack it.
const PUBLISH: Duration = Duration::from_mins(5);

/// The layers of a region.
#[derive(Debug, Clone)]
pub struct NamedLayers {
    client: Client,
    clients: Clients,
}

/// A version to publish, without its zip.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The layer.
    pub layer: LambdaLayerName,
    /// The version's description.
    pub description: String,
    /// The runtimes that it is for.
    pub runtimes: Vec<Runtime>,
    /// The architectures that it is for.
    pub architectures: Vec<Architecture>,
    /// The version's licence.
    pub license: Option<String>,
    /// SHA-256 of the zip.
    pub sha256: Sha256,
}

/// The way of a zip to Lambda.
#[derive(Debug, Clone)]
pub enum Zip {
    /// In the call, up to [`Zip::DIRECT_BYTES`].
    Bytes(Vec<u8>),
    /// As an object.
    Object {
        /// The bucket, of the layer's region.
        bucket: String,
        /// The key.
        key: String,
    },
}

impl Zip {
    /// Bytes that a zip may have in a call.
    /// Source: AWS Lambda Developer Guide, "Lambda quotas".
    pub const DIRECT_BYTES: u64 = 50 << 20;
}

/// A statement of a version's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its id.
    pub id: String,
    /// The grantee of the version.
    pub grantee: Grantee,
}

/// The grantee of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// A grantee that Lambda's API can name.
    Known(Permission),
    /// Any other grantee: the principal and the condition, as they are.
    Other(String),
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(permission) => permission.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl NamedLayers {
    /// The layers of the clients' region.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: Client::new(clients.config()),
            clients: clients.clone(),
        }
    }

    /// Uploads a zip for Lambda to read. An existing object stays.
    pub async fn upload(
        &self,
        bucket: &str,
        layer: &LambdaLayerName,
        zip: &Path,
        sha256: Sha256,
    ) -> Result<Zip, Error> {
        let key = keys::upload(layer, sha256);
        let uploads = Bucket::new(self.clients.s3(), bucket);
        uploads.upload_new(&key, zip, sha256).await?;
        Ok(Zip::Object {
            bucket: bucket.to_owned(),
            key,
        })
    }

    /// Makes a version. The call has no idempotency token, so it is made once.
    ///
    /// # Errors
    ///
    /// [`Error::PublicationUnknown`] if it is unknown whether there is a new version.
    pub async fn publish(
        &self,
        publication: &Publication,
        zip: Zip,
    ) -> Result<LayerVersion, Error> {
        let layer = publication.layer.as_str();
        let empty = LayerVersionContentInput::builder();
        let content = match zip {
            Zip::Bytes(bytes) => empty.zip_file(Blob::new(bytes)),
            Zip::Object { bucket, key } => empty.s3_bucket(bucket).s3_key(key),
        };
        let (runtimes, architectures) = (&publication.runtimes, &publication.architectures);
        let client = &self.client;
        let request =
            versions::publication(client, layer, content.build(), runtimes, architectures)
                .description(&publication.description)
                .set_license_info(publication.license.clone());
        let problem = match versions::publish(layer, request, PUBLISH).await {
            Ok(version) => return Ok(version),
            Err(Unpublished::Refused(error)) => return Err(error),
            Err(Unpublished::Unknown(error)) => error.to_string(),
            Err(Unpublished::Incomplete(problem)) => problem,
        };
        Err(Error::PublicationUnknown {
            layer: layer.to_owned(),
            problem,
        })
    }

    /// Grants the use of a version. An equal statement that exists is no error.
    pub async fn grant(
        &self,
        layer: &LambdaLayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), Error> {
        let granted = versions::granted(&self.client, layer.as_str(), version, permission).await;
        granted.of(versions::grant_call(layer.as_str(), version))
    }

    /// Removes a statement from a version's policy. A missing statement is no error.
    pub async fn revoke(
        &self,
        layer: &LambdaLayerName,
        version: u64,
        statement: &Statement,
    ) -> Result<(), Error> {
        let outcome = self
            .client
            .remove_layer_version_permission()
            .layer_name(layer.as_str())
            .version_number(signed(version))
            .statement_id(&statement.id)
            .send()
            .await;
        let resource = format!("{layer}:{version}");
        let call = Call::new("lambda:RemoveLayerVersionPermission", resource);
        outcome.unless(NOT_FOUND, call)?;
        Ok(())
    }

    /// The statements of a version's policy; none if it has no policy.
    pub async fn statements(
        &self,
        layer: &LambdaLayerName,
        version: u64,
    ) -> Result<Vec<Statement>, Error> {
        let call = || Call::new("lambda:GetLayerVersionPolicy", format!("{layer}:{version}"));
        let request = self
            .client
            .get_layer_version_policy()
            .layer_name(layer.as_str())
            .version_number(signed(version));
        let Some(answer) = request.send().await.unless(NOT_FOUND, call())? else {
            return Ok(Vec::new());
        };
        statements(answer.policy().unwrap_or_default()).map_err(|problem| {
            Error::ServiceUnavailable {
                call: call(),
                problem,
            }
        })
    }
}

/// Reads a policy.
fn statements(policy: &str) -> Result<Vec<Statement>, String> {
    let problem = |problem: &str| format!("the policy {problem}");
    let document: Value = serde_json::from_str(policy).map_err(|_| problem("is not JSON"))?;
    let statements = document["Statement"]
        .as_array()
        .ok_or_else(|| problem("has no statements"))?;
    let read = |statement: &Value| Statement {
        id: statement["Sid"].as_str().unwrap_or_default().to_owned(),
        grantee: grantee(statement),
    };
    Ok(statements.iter().map(read).collect())
}

fn grantee(statement: &Value) -> Grantee {
    let principal = match &statement["Principal"] {
        Value::String(name) => Some(name.as_str()),
        other => other["AWS"].as_str(),
    };
    let condition = &statement["Condition"];
    let organization = condition["StringEquals"]["aws:PrincipalOrgID"].as_str();
    let permission = match (principal, organization) {
        (Some("*"), Some(id)) => id.parse().ok().map(Permission::Organization),
        (Some("*"), None) if condition.is_null() => Some(Permission::Everyone),
        (Some(principal), None) if condition.is_null() => {
            // An account is its id, or its root: `arn:aws:iam::123456789012:root`.
            let root = principal.strip_suffix(":root");
            let id = root.and_then(|arn| arn.rsplit(':').next());
            id.unwrap_or(principal)
                .parse()
                .ok()
                .map(Permission::Account)
        }
        _ => None,
    };
    permission.map_or_else(
        || {
            let principal = &statement["Principal"];
            Grantee::Other(if condition.is_null() {
                principal.to_string()
            } else {
                format!("{principal} if {condition}")
            })
        },
        Grantee::Known,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whom_a_policy_lets_in() {
        let policy = r#"{"Version": "2012-10-17", "Id": "default", "Statement": [
            {"Sid": "a", "Principal": "*"},
            {"Sid": "b", "Principal": {"AWS": "arn:aws-cn:iam::123456789012:root"}},
            {"Sid": "c", "Principal": {"AWS": "123456789012"}},
            {"Sid": "d", "Principal": "*",
             "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}},
            {"Sid": "e", "Principal": {"AWS": "AIDAEXAMPLE"}},
            {"Sid": "f", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}
        ]}"#;
        let read = statements(policy).unwrap();
        let told: Vec<_> = read
            .iter()
            .map(|it| format!("{}: {}", it.id, it.grantee))
            .collect();
        assert_eq!(
            told,
            [
                "a: everyone",
                "b: the account 123456789012",
                "c: the account 123456789012",
                "d: the organization o-a1b2c3d4e5",
                r#"e: {"AWS":"AIDAEXAMPLE"}"#,
                r#"f: "*" if {"Bool":{"aws:SecureTransport":"true"}}"#,
            ]
        );
        assert!(statements("").is_err() && statements("{}").is_err());
    }
}
