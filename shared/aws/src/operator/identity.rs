//! The caller, and the organization of its account.

use accretion_core::request::{AccountId, OrganizationId};
use aws_sdk_organizations::error::ProvideErrorMetadata as _;

use crate::Clients;
use crate::error::{Call, Error, failed};

/// The identity that calls are signed with.
#[derive(Debug, Clone)]
pub struct Identity {
    clients: Clients,
}

impl Identity {
    /// The identity of the clients' credentials.
    pub fn new(clients: &Clients) -> Self {
        Self {
            clients: clients.clone(),
        }
    }

    /// The account.
    pub async fn account(&self) -> Result<AccountId, Error> {
        let call = || Call::new("sts:GetCallerIdentity", "the caller");
        let request = self.clients.sts().get_caller_identity();
        let answer = request
            .send()
            .await
            .map_err(|error| failed(call(), &error))?;
        let id = answer.account().unwrap_or_default();
        id.parse().map_err(|_| Error::ServiceUnavailable {
            call: call(),
            problem: "it names no account".to_owned(),
        })
    }

    /// The ARN of the caller, if AWS tells it.
    pub async fn arn(&self) -> Option<String> {
        let answer = self.clients.sts().get_caller_identity().send().await;
        answer.ok()?.arn
    }

    /// The organization that the account is a member of; `None` if it is of none.
    pub async fn organization(&self) -> Result<Option<OrganizationId>, Error> {
        let call = || Call::new("organizations:DescribeOrganization", "the caller's account");
        let request = self.clients.organizations().describe_organization();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("AWSOrganizationsNotInUseException") => {
                return Ok(None);
            }
            Err(error) => return Err(failed(call(), &error)),
        };
        let id = answer
            .organization()
            .and_then(|it| it.id())
            .unwrap_or_default();
        id.parse().map(Some).map_err(|_| Error::ServiceUnavailable {
            call: call(),
            problem: "it names no organization".to_owned(),
        })
    }
}
