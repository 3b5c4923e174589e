//! Credentials of package indexes, from Secrets Manager and `CodeArtifact`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use accretion_python::index::{CodeArtifactDomain, Credentials, CredentialsReference, SecretArn};
use accretion_service::ports::{IndexCredentials, PortError};

use crate::Clients;
use crate::error::{Call, Error, Outcome as _};

/// The time for which credentials are cached. A new password takes effect after it.
const CACHED: Duration = Duration::from_mins(5);

/// The validity of a token in seconds: longer than any build that begins while it is cached.
const TOKEN_SECONDS: i64 = 3600;

/// Credentials of package indexes that AWS stores or issues, cached for some minutes.
#[derive(Debug)]
pub struct AwsIndexCredentials {
    clients: Clients,
    cached: Mutex<HashMap<CredentialsReference, (Instant, Credentials)>>,
}

impl AwsIndexCredentials {
    /// Makes no call yet.
    pub fn new(clients: &Clients) -> Self {
        Self {
            clients: clients.clone(),
            cached: Mutex::default(),
        }
    }

    fn cached(&self, reference: &CredentialsReference) -> Option<Credentials> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, credentials) = cached.get(reference)?;
        (since.elapsed() < CACHED).then(|| credentials.clone())
    }

    async fn of_secret(&self, arn: &SecretArn) -> Result<Credentials, Error> {
        let client = self.clients.secrets_manager(arn.region());
        let request = client.get_secret_value().secret_id(arn.as_str());
        let call = Call::new("secretsmanager:GetSecretValue", arn.as_str());
        let answer = request.send().await.of(call)?;
        let unusable = |problem: String| Error::IndexCredentialsInvalid {
            stored_in: format!("the secret `{arn}`"),
            problem,
        };
        let text = answer
            .secret_string()
            .ok_or_else(|| unusable("it is no text".to_owned()))?;
        Credentials::of_secret(text).map_err(|error| unusable(error.to_string()))
    }

    async fn of_domain(&self, domain: &CodeArtifactDomain) -> Result<Credentials, Error> {
        let client = self.clients.code_artifact(&domain.region);
        let request = client
            .get_authorization_token()
            .domain(&domain.name)
            .domain_owner(&domain.owner)
            .duration_seconds(TOKEN_SECONDS);
        let call = Call::new("codeartifact:GetAuthorizationToken", domain.to_string());
        let answer = request.send().await.of(call)?;
        let token = answer
            .authorization_token()
            .ok_or_else(|| Error::IndexCredentialsInvalid {
                stored_in: format!("the CodeArtifact domain {domain}"),
                problem: "it has issued no token".to_owned(),
            })?;
        // Source: AWS CodeArtifact User Guide, "Configure and use pip with CodeArtifact".
        Ok(Credentials::new("aws", token))
    }
}

impl IndexCredentials for AwsIndexCredentials {
    async fn get(&self, reference: &CredentialsReference) -> Result<Credentials, PortError> {
        if let Some(credentials) = self.cached(reference) {
            return Ok(credentials);
        }
        let asked = Instant::now();
        let credentials = match reference {
            CredentialsReference::Secret(arn) => self.of_secret(arn).await?,
            CredentialsReference::CodeArtifact(domain) => self.of_domain(domain).await?,
        };
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.insert(reference.clone(), (asked, credentials.clone()));
        Ok(credentials)
    }
}
