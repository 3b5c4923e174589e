//! Who may use a version of a layer.

use accretion_aws::Clients;
use accretion_aws::operator::{
    Catalogue, Grantee, Identity, ListedVersion, NamedLayers, Statement,
};
use accretion_core::layer::LambdaLayerName;
use accretion_core::request::{AccountId, OrganizationId, Permission, PermissionDocument};
use serde::Serialize;

use super::{AwsOptions, Error, LayerSpec, Placed, Region};

/// Who is to use a layer version, or not any more.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Who may use it")]
pub(crate) struct Who {
    /// An AWS account, by its id of 12 digits [may be repeated]
    #[arg(long = "account", value_name = "ID")]
    accounts: Vec<AccountId>,
    /// Your own account, which may use it anyway
    #[arg(long)]
    my_account: bool,
    /// All accounts of an organization, by its id
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// All accounts of the organization that your account is a member of
    #[arg(long)]
    my_organization: bool,
    /// Everybody
    #[arg(long)]
    public: bool,
}

impl Who {
    /// As Lambda has it. AWS is asked who calls, if need be.
    pub(crate) async fn permissions(&self, clients: &Clients) -> Result<Vec<Permission>, Error> {
        let identity = Identity::new(clients);
        let mut permissions: Vec<_> = self
            .accounts
            .iter()
            .cloned()
            .map(Permission::Account)
            .collect();
        if self.my_account {
            permissions.push(Permission::Account(identity.account().await?));
        }
        let organization = if self.my_organization {
            let own = identity.organization().await?;
            Some(own.ok_or(Error::OrganizationMissing)?)
        } else {
            self.organization.clone()
        };
        permissions.extend(organization.map(Permission::Organization));
        if self.public {
            permissions.push(Permission::Everyone);
        }
        permissions.sort();
        permissions.dedup();
        Ok(permissions)
    }
}

/// Somebody, for people.
pub(crate) fn who(permission: &Permission) -> String {
    permission.to_string()
}

/// Somebody, for programs.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct PermissionRecord(PermissionDocument);

impl From<&Permission> for PermissionRecord {
    fn from(permission: &Permission) -> Self {
        Self(permission.into())
    }
}

/// A statement of a policy, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StatementRecord {
    statement_id: String,
    /// What [`Permission`] can't say is said in `Other`.
    permission: Option<PermissionRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
}

impl From<&Statement> for StatementRecord {
    fn from(statement: &Statement) -> Self {
        let (permission, other) = match &statement.grantee {
            Grantee::Known(permission) => (Some(permission.into()), None),
            Grantee::Other(text) => (None, Some(text.clone())),
        };
        Self {
            statement_id: statement.id.clone(),
            permission,
            other,
        }
    }
}

/// What `grant` and `revoke` have in common: which version of which layer.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionToShare {
    #[command(flatten)]
    placed: Placed<LayerSpec>,
}

/// A version that is there.
pub(crate) struct Shared {
    pub(crate) region: Region,
    pub(crate) clients: Clients,
    pub(crate) layer: LambdaLayerName,
    pub(crate) version: ListedVersion,
}

impl VersionToShare {
    /// The region that it is about.
    pub(crate) fn region(&self) -> &Region {
        &self.placed.at.region
    }

    /// Looks for the version: the latest one, if none is named.
    pub(crate) async fn find(self, aws: &AwsOptions) -> Result<Shared, Error> {
        let Placed { at, of } = self.placed;
        at.stacks()?;
        let region = at.region;
        let clients = aws.clients().await.in_region(region.as_str());
        let catalogue = Catalogue::new(&clients);
        let LayerSpec { layer, version } = of;
        let found = match version {
            Some(version) => catalogue.describe(layer.as_str(), version).await?,
            None => catalogue.latest(layer.as_str()).await?,
        };
        let version = found.ok_or_else(|| Error::LayerVersionUnknown {
            region: region.clone(),
            layer: layer.to_string(),
            version,
        })?;
        Ok(Shared {
            region,
            clients,
            layer,
            version: version.listed,
        })
    }
}

impl Shared {
    /// The statements of the version's policy.
    pub(crate) async fn statements(&self) -> Result<Vec<Statement>, Error> {
        let layers = NamedLayers::new(&self.clients);
        Ok(layers.statements(&self.layer, self.version.version).await?)
    }
}
