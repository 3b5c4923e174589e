//! Artifact manifests as the publisher reads them.

use accretion_core::fault::json_problem;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::notification::{Event, LayerRef, Notification};
use accretion_core::request::{AllowedPermissions, Permission, ProjectName, RequestRef};
use accretion_core::target::Compatibility;

use super::Publish;
use crate::Error;
use crate::ports::{OutboxEntry, StoredArtifact};

/// The request and the layer that an outcome is about.
pub(super) struct PublishContext {
    pub(super) request: RequestRef,
    pub(super) project: ProjectName,
    pub(super) target: Compatibility,
    /// The version whose content a rollback asks for.
    pub(super) rolled_back_to: Option<LayerRef>,
}

impl PublishContext {
    /// A notification about it, so far without particulars.
    pub(super) fn notification(&self, event: Event) -> Notification {
        Notification::of_layer(event, &self.request, self.project.as_str(), &self.target)
            .of_rollback(self.rolled_back_to.clone())
    }

    pub(super) fn outbox_entry(&self, notification: Notification) -> OutboxEntry {
        OutboxEntry {
            project: self.project.clone(),
            target: self.target.target(),
            notification,
        }
    }
}

/// An artifact manifest that a layer version can be published from.
pub(super) struct PublishableManifest {
    pub(super) key: String,
    pub(super) document: Manifest,
    /// The permissions of the document, parsed.
    pub(super) permissions: Vec<Permission>,
    pub(super) context: PublishContext,
    pub(super) layer: LayerName,
}

impl PublishableManifest {
    fn parse(key: &str, text: &[u8]) -> Result<Self, Error> {
        let invalid = |problem: String| Error::ManifestInvalid {
            key: key.to_owned(),
            problem,
        };
        let document = Manifest::from_json(text).map_err(|error| invalid(json_problem(&error)))?;
        let target = document
            .compatibility()
            .ok_or_else(|| invalid("it names no single target".to_owned()))?;
        let project: ProjectName = document
            .project_name
            .parse()
            .map_err(|_| invalid("its `ProjectName` is invalid".to_owned()))?;
        let request = document
            .request
            .clone()
            .ok_or_else(|| invalid("it names no `Request`".to_owned()))?;
        if key != keys::manifest(&project, &request.id, target.target()) {
            return Err(invalid("its key does not match its content".to_owned()));
        }
        // A manifest must not publish the artifact of another project.
        if document.artifact_s3_key != keys::artifact(&project, document.digest) {
            return Err(invalid(
                "its `ArtifactS3Key` does not match its project and its digest".to_owned(),
            ));
        }
        let permissions: Result<_, _> = document
            .publish
            .permissions
            .iter()
            .map(Permission::try_from)
            .collect();
        Ok(Self {
            key: key.to_owned(),
            permissions: permissions
                .map_err(|_| invalid("one of its `Permissions` is invalid".to_owned()))?,
            layer: LayerName::new(&project, target.target()),
            context: PublishContext {
                request,
                project,
                target,
                rolled_back_to: document.rolled_back_to.clone(),
            },
            document,
        })
    }

    /// Checks that the operator allows every permission.
    pub(super) fn check_permissions(&self, allowed: &AllowedPermissions) -> Result<(), Error> {
        match self.permissions.iter().find(|it| !allowed.allows(it)) {
            Some(permission) => Err(Error::PermissionNotAllowed {
                permission: permission.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Publish<'_> {
    /// Reads the manifest of a key.
    pub(super) async fn read(&self, key: &str) -> Result<PublishableManifest, Error> {
        match self.ports.manifests.manifest(key).await? {
            Some(text) => PublishableManifest::parse(key, &text),
            None => Err(Error::ManifestMissing {
                key: key.to_owned(),
            }),
        }
    }

    /// The artifact of a manifest, if it is stored as the manifest says.
    pub(super) async fn artifact(
        &self,
        manifest: &PublishableManifest,
    ) -> Result<StoredArtifact, Error> {
        let document = &manifest.document;
        let key = &document.artifact_s3_key;
        let Some(artifact) = self.ports.manifests.artifact(key).await? else {
            return Err(Error::ArtifactMissing { key: key.clone() });
        };
        if artifact.sha256 != Some(document.artifact_sha256)
            || artifact.size != document.artifact_size
        {
            return Err(Error::ArtifactDiffers { key: key.clone() });
        }
        Ok(artifact)
    }
}
