//! The SDK's configuration, and its clients.

use std::time::Duration;

#[cfg(feature = "operator")]
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
#[cfg(feature = "operator")]
use aws_config::profile::ProfileFileCredentialsProvider;
#[cfg(feature = "operator")]
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_lambda::config::SharedHttpClient;
use aws_smithy_http_client::tls;

/// The time limit of a connection attempt.
const CONNECT: Duration = Duration::from_secs(3);

/// The time limit of one attempt, unless a call has its own.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The time limit of a call with all its attempts, unless it has its own.
const OPERATION: Duration = Duration::from_secs(30);

/// The attempts of a call. Lambda's control plane takes few calls a second, and many layers
/// are published at the same time.
const ATTEMPTS: u32 = 5;

/// The common configuration of all adapters: region, credentials, one pool of connections.
///
/// Making it makes no call. Adapters of the same service may be made as often as convenient.
#[derive(Debug, Clone)]
pub struct Clients {
    config: SdkConfig,
}

impl Clients {
    /// Reads the configuration from where every SDK of AWS reads it: environment variables first
    /// (`AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on), then the shared files.
    pub async fn from_environment() -> Self {
        let mut loader = Self::loader();
        // The chain of all other sources makes clients of its own, which takes a while.
        if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
            loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
        }
        Self::from(loader.load().await)
    }

    /// Reads the configuration for a person: from a profile of the shared files, if one is named,
    /// otherwise as [`Self::from_environment`] does. A profile that is named counts before keys in
    /// the environment, as in the AWS CLI and the SAM CLI.
    #[cfg(feature = "operator")]
    pub async fn of_profile(profile: Option<&str>) -> Self {
        let Some(profile) = profile else {
            return Self::from_environment().await;
        };
        let region = DefaultRegionChain::builder().profile_name(profile).build();
        let configuration = ProviderConfig::default().with_region(region.region().await);
        let credentials = ProfileFileCredentialsProvider::builder()
            .configure(&configuration.with_http_client(Self::http_client()))
            .profile_name(profile)
            .build();
        let loader = Self::loader().profile_name(profile);
        Self::from(loader.credentials_provider(credentials).load().await)
    }

    /// The same in another region.
    #[cfg(feature = "operator")]
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let config = self.config.to_builder();
        let region = aws_config::Region::new(region.to_owned());
        Self::from(config.region(region).build())
    }

    /// The region, where the configuration names one.
    #[cfg(feature = "operator")]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref)
    }

    fn http_client() -> SharedHttpClient {
        aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::AwsLc,
            ))
            .build_https()
    }

    fn loader() -> ConfigLoader {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION);
        aws_config::defaults(BehaviorVersion::latest())
            .http_client(Self::http_client())
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
    }

    /// The configuration that a service's client is made of.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        // Emulators have no names for buckets below their own.
        let path_style = self.config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(path_style);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    #[cfg(feature = "credentials")]
    pub(crate) fn secrets_manager(&self, region: &str) -> aws_sdk_secretsmanager::Client {
        let config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        let region = aws_config::Region::new(region.to_owned());
        aws_sdk_secretsmanager::Client::from_conf(config.region(region).build())
    }

    #[cfg(feature = "credentials")]
    pub(crate) fn code_artifact(&self, region: &str) -> aws_sdk_codeartifact::Client {
        let config = aws_sdk_codeartifact::config::Builder::from(&self.config);
        let region = aws_config::Region::new(region.to_owned());
        aws_sdk_codeartifact::Client::from_conf(config.region(region).build())
    }
}

impl From<SdkConfig> for Clients {
    /// Takes a configuration as it is, its timeouts and retries too.
    fn from(config: SdkConfig) -> Self {
        Self { config }
    }
}
