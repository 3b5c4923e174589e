//! The caller, and the organization of its account.

use accretion_core::request::{AccountId, OrganizationId};
use aws_sdk_organizations::Client as Organizations;
use aws_sdk_sts::Client as Sts;

use crate::Clients;
use crate::error::{Call, Error, Outcome as _};

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
        let request = Sts::new(self.clients.config()).get_caller_identity();
        let answer = request.send().await.of(call())?;
        let id = answer.account().unwrap_or_default();
        id.parse().map_err(|_| Error::ServiceUnavailable {
            call: call(),
            problem: "it names no account".to_owned(),
        })
    }

    /// The ARN of the caller, if AWS tells it.
    pub async fn arn(&self) -> Option<String> {
        let request = Sts::new(self.clients.config()).get_caller_identity();
        request.send().await.ok()?.arn
    }

    /// The organization that the account is a member of; `None` if it is of none.
    pub async fn organization(&self) -> Result<Option<OrganizationId>, Error> {
        let call = || Call::new("organizations:DescribeOrganization", "the caller's account");
        let request = Organizations::new(self.clients.config()).describe_organization();
        let outcome = request.send().await;
        let Some(answer) = outcome.unless("AWSOrganizationsNotInUseException", call())? else {
            return Ok(None);
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
