//! What can go wrong in a use case.

use accretion_core::delivery::ParseDeliveryError;
use accretion_core::invocation::ParseFailedInvocationError;
use accretion_core::request::{IdentityAttributesError, Permission, RequestId};
use accretion_core::target::Runtime;
use accretion_core::timestamp::Timestamp;
use accretion_core::wheel::WheelFilename;
use accretion_core::{Class, Fault, fault_codes};

use crate::ports::PortError;

/// What can go wrong in a use case: a rule of the domain, or a port.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain refuses.
    #[error(transparent)]
    Core(#[from] accretion_core::Error),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A message of the request queue is neither a request nor an event of the inbox.
    #[error("the message is neither a request nor an event of S3: {problem}")]
    MessageUnknown {
        /// What is wrong with it.
        problem: String,
    },
    /// A message of the request queue was sent before, but does not say as what.
    #[error("the message's attributes do not say which request it is: {0}")]
    MessageIdentityInvalid(#[from] IdentityAttributesError),
    /// A message of the request queue looks like an event of S3, and can't be one of the inbox.
    #[error("the event is none of the inbox: {problem}")]
    EventRefused {
        /// What is wrong with it.
        problem: String,
    },
    /// A dead letter of the publisher is no record of an invocation that could be repeated.
    #[error("the message tells of no invocation that could be repeated: {0}")]
    InvocationUnknown(#[from] ParseFailedInvocationError),
    /// A request that was accepted before can't be read any more, neither where it was dropped nor
    /// where it was kept.
    #[error("the accepted request `{id}` is not kept any more")]
    RequestMissing {
        /// The request.
        id: RequestId,
    },
    /// What an accepted request names can't be read any more where it was kept.
    #[error("the files `{key}` of an accepted request are not kept any more")]
    FilesMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// A build has neither brought forth a manifest nor said that it failed.
    #[error("nothing has been heard of the build since {since}")]
    BuildLost {
        /// When it was last heard of.
        since: Timestamp,
    },
    /// There is no artifact manifest of this key.
    #[error("there is no artifact manifest `{key}`")]
    ManifestMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// An artifact manifest can't be published from.
    #[error("the artifact manifest `{key}` cannot be used: {problem}")]
    ManifestInvalid {
        /// The key in the artifacts bucket.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing says any more what a version was published from that is to be rolled back to.
    #[error("nothing says any more what {layer}:{version} was published from")]
    LayerManifestMissing {
        /// The layer.
        layer: String,
        /// The version's number.
        version: u64,
    },
    /// The artifact of a manifest is not there.
    #[error("the artifact `{key}` is missing")]
    ArtifactMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// An artifact is not what its manifest says.
    #[error("the artifact `{key}` does not have the SHA-256 of its manifest")]
    ArtifactDiffers {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// A manifest asks for a permission that the operator does not let requests give.
    #[error("the layer may not be shared with {permission} here")]
    PermissionNotAllowed {
        /// The permission.
        permission: Permission,
    },
    /// Somebody else was publishing the layer for as long as could be waited.
    #[error("`{layer}` is being published by somebody else, until {until} at the latest")]
    LayerBusy {
        /// The layer.
        layer: String,
        /// When the claim ends.
        until: Timestamp,
    },
    /// A repair could not finish all that was left undone.
    #[error("{failures} things could not be repaired")]
    RepairIncomplete {
        /// How many.
        failures: usize,
    },
    /// Lambda has a version of a layer that nobody recorded.
    #[error("Lambda has version {version} of `{layer}`, which is not recorded")]
    LayerVersionUnrecorded {
        /// The layer.
        layer: String,
        /// The version's number.
        version: u64,
    },
    /// A merged layer can't be built, since there is nothing for one of its runtimes.
    #[error("for {runtime}: {error}")]
    OfRuntime {
        /// The runtime.
        runtime: Runtime,
        /// What went wrong with it.
        error: Box<Self>,
    },
    /// A request names credentials that the operator does not have sent there.
    #[error("the index `{index}` is not to be opened with {reference}")]
    IndexCredentialsRefused {
        /// The index's name.
        index: String,
        /// Where the credentials are kept.
        reference: String,
    },
    /// A request has a package come from another index than the operator does.
    #[error("`{package}` does not come from the index `{index}` here")]
    PackagePinnedElsewhere {
        /// The package.
        package: String,
        /// The request's index.
        index: String,
    },
    /// A package has no fitting wheel; its source may be built, but not by this builder.
    #[error("this builder builds nothing from source: {problem}")]
    SourceDistributionUnsupported {
        /// Which package has no wheel.
        problem: String,
    },
    /// A package has no fitting wheel; its source may be built, but there is nobody who could.
    #[error("there is no build sandbox for the runtime, which AWS has deprecated: {problem}")]
    SandboxMissing {
        /// Which package has no wheel.
        problem: String,
    },
    /// What build sandboxes have made is not where they leave it.
    #[error("build sandboxes were done, and `{key}` is not there")]
    SandboxResultMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
}

impl Error {
    /// What to say where a request allows source distributions and the builder takes none: that a
    /// package has no wheel would be answered with that it need not have one.
    pub(crate) fn for_want_of_sources(self) -> Self {
        if self.is_for_want_of_a_wheel() {
            let problem = self.to_string();
            Self::SourceDistributionUnsupported { problem }
        } else {
            self
        }
    }

    /// The same where nobody can build for the target.
    pub(crate) fn for_want_of_a_sandbox(self) -> Self {
        if self.is_for_want_of_a_wheel() {
            let problem = self.to_string();
            Self::SandboxMissing { problem }
        } else {
            self
        }
    }

    /// Whether it would be none if source distributions were taken.
    fn is_for_want_of_a_wheel(&self) -> bool {
        match self {
            Self::Core(accretion_core::Error::WheelNotFound { instead, .. }) => instead
                .iter()
                .any(|file| file.parse::<WheelFilename>().is_err()),
            // A resolver that was told to take no source distribution does not say whether there
            // is one.
            Self::Port(error) => error.code() == WHEEL_NOT_FOUND,
            _ => false,
        }
    }
}

impl From<ParseDeliveryError> for Error {
    fn from(error: ParseDeliveryError) -> Self {
        Self::MessageUnknown {
            problem: error.to_string(),
        }
    }
}

/// The code of resolvers for a package without a fitting wheel; core's own.
const WHEEL_NOT_FOUND: &str = "WheelNotFound";

fault_codes! {
    impl Error {
        Self::MessageUnknown { .. } => "MessageUnknown", User;
        Self::MessageIdentityInvalid(_) => "MessageIdentityInvalid", User;
        Self::EventRefused { .. } => "EventRefused", User;
        Self::InvocationUnknown(_) => "InvocationUnknown", User;
        Self::RequestMissing { .. } => "RequestMissing", Internal;
        Self::FilesMissing { .. } => "FilesMissing", Internal;
        Self::BuildLost { .. } => "BuildLost", Internal;
        Self::ManifestMissing { .. } => "ManifestMissing", Internal;
        Self::ManifestInvalid { .. } => "ManifestInvalid", Internal;
        Self::LayerManifestMissing { .. } => "LayerManifestMissing", User;
        Self::ArtifactMissing { .. } => "ArtifactMissing", Internal;
        Self::ArtifactDiffers { .. } => "ArtifactDiffers", Internal;
        Self::PermissionNotAllowed { .. } => "PermissionNotAllowed", User;
        Self::LayerBusy { .. } => "LayerBusy", Transient;
        Self::LayerVersionUnrecorded { .. } => "LayerVersionUnrecorded", Internal;
        Self::RepairIncomplete { .. } => "RepairIncomplete", Internal;
        Self::IndexCredentialsRefused { .. } => "IndexCredentialsRefused", User;
        Self::PackagePinnedElsewhere { .. } => "PackagePinnedElsewhere", User;
        Self::SourceDistributionUnsupported { .. } => "SourceDistributionUnsupported", User;
        Self::SandboxMissing { .. } => "SandboxMissing", User;
        Self::SandboxResultMissing { .. } => "SandboxResultMissing", Internal;
    }
    else {
        Self::Core(error) => error;
        Self::Port(error) => error;
        Self::OfRuntime { error, .. } => &**error;
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        self.code_and_class().0
    }

    fn class(&self) -> Class {
        self.code_and_class().1
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Port(error) => error.hint(),
            Self::OfRuntime { error, .. } => error.hint(),
            Self::ArtifactMissing { .. } | Self::ArtifactDiffers { .. } => Some(
                "somebody has changed the artifacts bucket: restore the object's version, or drop \
                 the request again"
                    .to_owned(),
            ),
            Self::RequestMissing { .. }
            | Self::FilesMissing { .. }
            | Self::SandboxResultMissing { .. } => {
                Some("somebody has changed the artifacts bucket: drop the request again".to_owned())
            }
            Self::BuildLost { .. } => Some(
                "somebody has stopped its execution, or its message is among the dead letters: \
                 `accretion redrive` sends those back; otherwise drop the request again"
                    .to_owned(),
            ),
            Self::PermissionNotAllowed { .. } => Some(
                "remove it from `Permissions`, or have the operator add it to `AllowedPermissions`"
                    .to_owned(),
            ),
            Self::RepairIncomplete { .. } => {
                Some("the warnings before say what, and why".to_owned())
            }
            Self::LayerVersionUnrecorded { .. } => Some(
                "it was made by hand, or by a publication that failed, or that took effect after \
                 somebody had taken its place: delete it, unless the table of layers has recorded \
                 it since, or somebody uses it"
                    .to_owned(),
            ),
            Self::MessageIdentityInvalid(_) => Some(
                "send the request without the attributes `RequestId` and `ReceivedAt`: it is a new \
                 one then"
                    .to_owned(),
            ),
            Self::MessageUnknown { .. }
            | Self::EventRefused { .. }
            | Self::InvocationUnknown(_)
            | Self::ManifestMissing { .. }
            | Self::LayerManifestMissing { .. }
            | Self::ManifestInvalid { .. }
            | Self::LayerBusy { .. } => None,
            Self::IndexCredentialsRefused { .. } => Some(
                "have the index added to the parameter Indexes of the stack, and its secret to \
                 IndexSecretArns"
                    .to_owned(),
            ),
            Self::PackagePinnedElsewhere { .. } => Some(
                "take it out of the index's `Packages`: the parameter Indexes of the stack says \
                 where it comes from"
                    .to_owned(),
            ),
            Self::SandboxMissing { .. } => Some(
                "require a version that has a wheel, leave the runtime out, or build the layer \
                 with the `accretion` command"
                    .into(),
            ),
            Self::SourceDistributionUnsupported { problem } => {
                let wheel = match accretion_core::error::substitute(problem) {
                    Some((package, other)) => {
                        format!("{package} has no wheels for Linux: try {other}")
                    }
                    None => "require a version that has a wheel".to_owned(),
                };
                Some(format!(
                    "{wheel}, build the layer with the `accretion` command, or have the parameter \
                     AllowSourceDistributions of the stack set"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_runtime_is_treated_as_what_went_wrong_with_it() {
        let since = "2026-11-20T10:00:00.000Z".parse().unwrap();
        let layer = "tools-py".to_owned();
        let until = since;
        for (inner, code, class) in [
            (
                Error::Core(accretion_core::Error::LayerEmpty {
                    members: Vec::new(),
                }),
                "LayerEmpty",
                Class::User,
            ),
            (
                Error::LayerBusy { layer, until },
                "LayerBusy",
                Class::Transient,
            ),
        ] {
            let (text, hint) = (inner.to_string(), inner.hint());
            let error = Error::OfRuntime {
                runtime: Runtime::Python313,
                error: Box::new(inner),
            };
            assert_eq!((error.code(), error.class()), (code, class));
            assert_eq!(error.hint(), hint);
            assert_eq!(error.to_string(), format!("for python3.13: {text}"));
        }
    }
}
