//! Latest-version parameters in the Parameter Store.

use accretion_core::keys;
use accretion_core::request::ProjectName;
use accretion_core::target::LayerTarget;
use accretion_service::ports::{LatestVersions, PortError, async_trait};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;

use crate::Clients;
use crate::error::{Call, Error, Outcome as _};
use crate::retry;

/// Latest-version parameters in the Parameter Store of AWS Systems Manager.
#[derive(Debug, Clone)]
pub struct SsmLatestVersions {
    client: Client,
    prefix: String,
}

impl SsmLatestVersions {
    /// The parameters below a prefix, such as `/accretion`.
    pub fn new(clients: &Clients, prefix: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            prefix: prefix.into(),
        }
    }

    /// The prefix of the names of all parameters.
    #[cfg(feature = "operator")]
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let outcome = self.client.get_parameter().name(name).send().await;
        let found = outcome.unless("ParameterNotFound", Call::new("ssm:GetParameter", name))?;
        Ok(found.and_then(|found| found.parameter?.value))
    }
}

#[async_trait]
impl LatestVersions for SsmLatestVersions {
    async fn set(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError> {
        let name = keys::latest_version_parameter(&self.prefix, project, target);
        // The quota of reads is far higher than that of writes.
        if self.read(&name).await?.as_deref() == Some(version_arn) {
            return Ok(());
        }
        let call = || {
            let request = self.client.put_parameter().name(&name).value(version_arn);
            request.r#type(ParameterType::String).overwrite(true).send()
        };
        let outcome = retry::on_conflict(call).await;
        outcome.of(Call::new("ssm:PutParameter", &name))?;
        Ok(())
    }
}
