//! Permissions to use a layer version.

use accretion_aws::Clients;
use accretion_aws::operator::{
    Catalogue, Grantee, Identity, ListedVersion, NamedLayers, Statement,
};
use accretion_core::layer::LambdaLayerName;
use accretion_core::request::{Permission, PermissionDocument};
use serde::Serialize;

use super::Error;
use crate::args::{AwsOptions, GranteeOptions, LayerSpec, Placed, Region};
use crate::print;

impl GranteeOptions {
    /// The permissions. Asks AWS for the caller's account or organization if necessary.
    pub(crate) async fn permissions(&self, clients: &Clients) -> Result<Vec<Permission>, Error> {
        let identity = Identity::new(clients);
        let accounts = self.accounts.iter().cloned();
        let mut permissions: Vec<_> = accounts.map(Permission::Account).collect();
        if self.my_account {
            permissions.push(Permission::Account(identity.account().await?));
        }
        let organization = if self.my_organization {
            let found = identity.organization().await?;
            Some(found.ok_or(Error::OrganizationMissing)?)
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

/// A statement of a policy, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StatementRecord {
    statement_id: String,
    /// `None` for a statement that no [`Permission`] describes; `other` has its text.
    permission: Option<PermissionDocument>,
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

/// A layer version that the command shares or stops sharing.
pub(crate) struct Shared {
    pub(crate) region: Region,
    pub(crate) layer: LambdaLayerName,
    pub(crate) version: ListedVersion,
    pub(crate) clients: Clients,
    pub(crate) layers: NamedLayers,
}

/// The permissions of a version, for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a, T> {
    region: &'a str,
    layer: &'a str,
    version: u64,
    version_arn: &'a str,
    #[serde(flatten)]
    change: T,
    permissions: Vec<StatementRecord>,
}

impl Shared {
    /// Finds a version, or the latest version if none is named.
    pub(crate) async fn find(placed: Placed<LayerSpec>, aws: &AwsOptions) -> Result<Self, Error> {
        let Placed { at, of } = placed;
        at.stacks()?;
        let region = at.region;
        let clients = aws.clients().await.in_region(region.as_str());
        let catalogue = Catalogue::new(&clients);
        let LayerSpec { layer, version } = of;
        let found = match version {
            Some(version) => catalogue.describe(layer.as_str(), version).await?,
            None => catalogue.latest(layer.as_str()).await?,
        };
        let Some(found) = found else {
            return Err(Error::LayerVersionUnknown {
                region,
                layer: layer.to_string(),
                version,
            });
        };
        Ok(Self {
            region,
            layer,
            version: found.listed,
            layers: NamedLayers::new(&clients),
            clients,
        })
    }

    /// The statements of the version's policy.
    pub(crate) async fn statements(&self) -> Result<Vec<Statement>, Error> {
        let statements = self.layers.statements(&self.layer, self.version.version);
        Ok(statements.await?)
    }

    /// Prints a change and the statements after it, for programs.
    pub(crate) fn print_json(&self, change: impl Serialize, statements: &[Statement]) {
        print::json(&Document {
            region: self.region.as_str(),
            layer: self.layer.as_str(),
            version: self.version.version,
            version_arn: &self.version.arn,
            change,
            permissions: statements.iter().map(StatementRecord::from).collect(),
        });
    }
}
