//! Latest pointers in the Parameter Store.

use accretion_core::keys;
use accretion_core::request::ProjectName;
use accretion_core::target::LayerTarget;
use accretion_service::ports::{Pointers, PortError};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata as _;
use aws_sdk_ssm::types::ParameterType;

use crate::Clients;
use crate::error::{Call, Error, failed};
use crate::retry;

/// Latest pointers in the Parameter Store of AWS Systems Manager.
#[derive(Debug, Clone)]
pub struct SsmPointers {
    client: Client,
    prefix: String,
}

impl SsmPointers {
    /// The pointers below a prefix, such as `/accretion`.
    pub fn new(clients: &Clients, prefix: impl Into<String>) -> Self {
        Self {
            client: clients.ssm(),
            prefix: prefix.into(),
        }
    }

    /// The start of the names of all pointers.
    #[cfg(feature = "operator")]
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Option<String>, Error> {
        match self.client.get_parameter().name(name).send().await {
            Ok(found) => Ok(found.parameter.and_then(|parameter| parameter.value)),
            Err(error) if error.code() == Some("ParameterNotFound") => Ok(None),
            Err(error) => Err(failed(Call::new("ssm:GetParameter", name), &error)),
        }
    }

    async fn write(&self, name: &str, value: &str) -> Result<(), Error> {
        let call = || {
            let request = self.client.put_parameter().name(name).value(value);
            request.r#type(ParameterType::String).overwrite(true).send()
        };
        match retry::on_conflict(call).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(Call::new("ssm:PutParameter", name), &error)),
        }
    }
}

impl Pointers for SsmPointers {
    async fn point(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError> {
        let name = keys::pointer(&self.prefix, project, target);
        // Reading is allowed far more often than writing.
        if self.read(&name).await?.as_deref() == Some(version_arn) {
            return Ok(());
        }
        Ok(self.write(&name, version_arn).await?)
    }
}
