//! The errors of the use cases.

use accretion_core::Fault;
use accretion_core::delivery::ParseDeliveryError;
use accretion_core::invocation::ParseFailedInvocationError;
use accretion_core::request::{IdentityAttributesError, Permission, RequestId};
use accretion_core::target::Runtime;
use accretion_core::timestamp::Timestamp;

use crate::ports::{Condition, PortError};

/// An error of a use case: a rule of the domain, or a port.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// A Python package can't be used.
    #[error(transparent)]
    #[fault(transparent)]
    Python(#[from] accretion_python::Error),
    /// A layer can't be made.
    #[error(transparent)]
    #[fault(transparent)]
    Layer(#[from] accretion_layer::Error),
    /// A port failed.
    #[error(transparent)]
    #[fault(transparent)]
    Port(#[from] PortError),
    /// A message of the request queue is neither a request nor an event of the inbox.
    #[error("the message is neither a request nor an event of S3: {problem}")]
    #[fault(User)]
    MessageUnknown {
        /// The problem with it.
        problem: String,
    },
    /// A message of the request queue was sent before, but does not say as what.
    #[error("the message's attributes do not say which request it is: {0}")]
    #[fault(
        User,
        hint = "send the request without the attributes `RequestId` and `ReceivedAt`: it is a new \
                one then"
    )]
    MessageIdentityInvalid(#[from] IdentityAttributesError),
    /// A message of the request queue looks like an event of S3, and can't be one of the inbox.
    #[error("the event is none of the inbox: {problem}")]
    #[fault(User)]
    EventRefused {
        /// The problem with it.
        problem: String,
    },
    /// A dead letter of the publisher is no record of an invocation that could be repeated.
    #[error("the message tells of no invocation that could be repeated: {0}")]
    #[fault(User)]
    InvocationUnknown(#[from] ParseFailedInvocationError),
    /// An accepted request is missing, both in the inbox and in the artifacts bucket.
    #[error("the stored copy of the accepted request `{id}` is missing")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: drop the request again"
    )]
    RequestMissing {
        /// The request.
        id: RequestId,
    },
    /// A stored file of an accepted request is missing.
    #[error("the stored files `{key}` of an accepted request are missing")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: drop the request again"
    )]
    FilesMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// A build has neither brought forth a manifest nor said that it failed.
    #[error("nothing has been heard of the build since {since}")]
    #[fault(
        Internal,
        hint = "its execution was stopped, or its message is among the dead letters: `accretion \
                redrive` sends those back; otherwise drop the request again"
    )]
    BuildLost {
        /// The time of its last update.
        since: Timestamp,
    },
    /// There is no artifact manifest of this key.
    #[error("there is no artifact manifest `{key}`")]
    #[fault(Internal)]
    ManifestMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// An artifact manifest can't be published from.
    #[error("the artifact manifest `{key}` cannot be used: {problem}")]
    #[fault(Internal)]
    ManifestInvalid {
        /// The key in the artifacts bucket.
        key: String,
        /// The problem with it.
        problem: String,
    },
    /// The manifest of a version that a rollback names is missing.
    #[error("the manifest of {layer}:{version} is missing")]
    #[fault(User)]
    LayerManifestMissing {
        /// The layer.
        layer: String,
        /// The version's number.
        version: u64,
    },
    /// The artifact of a manifest is not there.
    #[error("the artifact `{key}` is missing")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: restore the object's version, or drop \
                the request again"
    )]
    ArtifactMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// An artifact is not what its manifest says.
    #[error("the artifact `{key}` does not have the SHA-256 of its manifest")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: restore the object's version, or drop \
                the request again"
    )]
    ArtifactDiffers {
        /// The key in the artifacts bucket.
        key: String,
    },
    /// A manifest asks for a permission that the operator does not let requests give.
    #[error("the layer may not be shared with {permission} here")]
    #[fault(
        User,
        hint = "remove it from `Permissions`, or have the operator add it to `AllowedPermissions`"
    )]
    PermissionNotAllowed {
        /// The permission.
        permission: Permission,
    },
    /// Somebody else was publishing the layer for as long as could be waited.
    #[error("`{layer}` is being published by somebody else, until {until} at the latest")]
    #[fault(Transient)]
    LayerBusy {
        /// The layer.
        layer: String,
        /// The end of the claim.
        until: Timestamp,
    },
    /// The reconciler could not finish all pending work.
    #[error("the reconciler could not finish {failures} of its tasks")]
    #[fault(Internal, hint = "the warnings before name each task and its error")]
    ReconciliationIncomplete {
        /// Their number.
        failures: usize,
    },
    /// Lambda has a version of a layer that the table of layers does not record.
    #[error("Lambda has version {version} of `{layer}`, which is not recorded")]
    #[fault(
        Internal,
        hint = "it was published by hand, by a publisher that failed, or after another publisher had \
                taken over: delete it, unless the table of layers has recorded it since, or a \
                function uses it"
    )]
    LayerVersionOrphaned {
        /// The layer.
        layer: String,
        /// The version's number.
        version: u64,
    },
    /// A merged layer can't be built, since there is nothing for one of its runtimes.
    #[error("for {runtime}: {error}")]
    #[fault(transparent = error)]
    OfRuntime {
        /// The runtime.
        runtime: Runtime,
        /// Its error.
        error: Box<Self>,
    },
    /// A request names credentials that the operator does not allow for this index.
    #[error("the operator does not allow {reference} for the index `{index}`")]
    #[fault(
        User,
        hint = "have the index added to the parameter Indexes of the stack, and its secret to \
                IndexSecretArns"
    )]
    IndexCredentialsRefused {
        /// The index's name.
        index: String,
        /// The place of the credentials.
        reference: String,
    },
    /// A request takes a package from another index than the operator does.
    #[error("`{package}` does not come from the index `{index}` here")]
    #[fault(
        User,
        hint = "take it out of the index's `Packages`: the parameter Indexes of the stack says \
                where it comes from"
    )]
    PackagePinnedElsewhere {
        /// The package.
        package: String,
        /// The request's index.
        index: String,
    },
    /// A package has no fitting wheel; its source may be built, but not by this builder.
    #[error("this builder builds nothing from source: {problem}")]
    #[fault(User, hint = instead_of_sources(problem))]
    SourceDistributionUnsupported {
        /// The package without a wheel.
        problem: String,
    },
    /// A package has no fitting wheel; its source may be built, but no sandbox exists for it.
    #[error("there is no build sandbox for the runtime, which AWS does not support: {problem}")]
    #[fault(
        User,
        hint = "require a version that has a wheel, leave the runtime out, or build the layer with \
                the `accretion` command"
    )]
    SandboxMissing {
        /// The package without a wheel.
        problem: String,
    },
    /// The result of a build sandbox is missing.
    #[error("build sandboxes were done, and their result `{key}` is missing")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: drop the request again"
    )]
    SandboxResultMissing {
        /// The key in the artifacts bucket.
        key: String,
    },
}

impl Error {
    /// The adapter's error behind it, if it is of this type.
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Port(error) => error.cause(),
            Self::OfRuntime { error, .. } => error.cause(),
            _ => None,
        }
    }

    /// The condition of a port that caused it.
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Self::Port(error) => error.condition(),
            Self::OfRuntime { error, .. } => error.condition(),
            _ => None,
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

impl From<ParseDeliveryError> for Error {
    fn from(error: ParseDeliveryError) -> Self {
        Self::MessageUnknown {
            problem: error.to_string(),
        }
    }
}

/// The advice where a package can only be built from source.
fn instead_of_sources(problem: &str) -> String {
    let wheel = match accretion_python::substitute(problem) {
        Some((package, other)) => format!("{package} has no wheels for Linux: try {other}"),
        None => "require a version that has a wheel".to_owned(),
    };
    format!(
        "{wheel}, build the layer with the `accretion` command, or have the parameter \
         AllowSourceDistributions of the stack set"
    )
}

#[cfg(test)]
mod tests {
    use accretion_core::Class;

    use super::*;

    #[test]
    fn an_error_of_a_runtime_is_treated_as_what_went_wrong_with_it() {
        let since = "2026-11-20T10:00:00.000Z".parse().unwrap();
        let layer = "tools-py".to_owned();
        let until = since;
        for (inner, code, class) in [
            (
                Error::Layer(accretion_layer::Error::LayerEmpty {
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
