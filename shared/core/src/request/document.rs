//! Permissions as the JSON of a request has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Permission;
use crate::text::ParseTextError;

/// A grant of `lambda:GetLayerVersion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend(
    "if" = {"required": ["OrganizationId"]},
    "then" = {"properties": {"Principal": {"const": "*"}}},
))]
pub struct PermissionDocument {
    /// An account id, or `*` for everyone or, with `OrganizationId`, an organization.
    #[schemars(regex(pattern = r"^(\*|[0-9]{12})$"))]
    pub principal: String,
    /// The organization whose accounts may use the layers; `Principal` is `*` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^o-[a-z0-9]{10,32}$"))]
    pub organization_id: Option<String>,
}

impl From<&Permission> for PermissionDocument {
    fn from(permission: &Permission) -> Self {
        Self {
            principal: permission.principal().to_owned(),
            organization_id: permission.organization_id().map(ToOwned::to_owned),
        }
    }
}

impl TryFrom<&PermissionDocument> for Permission {
    type Error = ParseTextError;

    fn try_from(document: &PermissionDocument) -> Result<Self, Self::Error> {
        let permission = match (document.principal.as_str(), &document.organization_id) {
            ("*", None) => Some(Self::Everyone),
            ("*", Some(id)) => id.parse().ok().map(Self::Organization),
            (account, None) => account.parse().ok().map(Self::Account),
            (_, Some(_)) => None,
        };
        let rule = "it is no permission: `*`, an account id, or `*` with the id of an organization \
                    is expected";
        permission.ok_or_else(|| ParseTextError::new(rule, &document.principal))
    }
}
