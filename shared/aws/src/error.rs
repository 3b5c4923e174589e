//! The errors of calls of AWS.

use std::error::Error as StdError;
use std::fmt;

use accretion_core::Fault;
use accretion_core::excerpt::shown_within;
use accretion_service::ports::PortError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// The characters of a service's message that are shown.
const MESSAGE_CHARS: usize = 600;

/// A call of AWS: what was done to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Service and operation, such as `s3:HeadObject`.
    pub operation: &'static str,
    /// The action that a policy has to allow, such as `s3:GetObject`.
    pub action: &'static str,
    /// The resource, by its usual name.
    pub resource: String,
}

impl Call {
    /// A call whose policy action has the same name.
    pub(crate) fn new(operation: &'static str, resource: impl Into<String>) -> Self {
        Self {
            operation,
            action: operation,
            resource: resource.into(),
        }
    }

    /// With another policy action.
    pub(crate) fn allowed_by(self, action: &'static str) -> Self {
        Self { action, ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`", self.operation, self.resource)
    }
}

/// An error of a call of AWS.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// A service throttles calls, or another writer is changing the same thing.
    #[error("{call} was throttled: {problem}")]
    #[fault(Transient)]
    Throttled {
        /// The call.
        call: Call,
        /// The service's answer.
        problem: String,
    },
    /// A service did not answer, or could not do its work.
    #[error("{call} got no usable answer: {problem}")]
    #[fault(Transient)]
    ServiceUnavailable {
        /// The call.
        call: Call,
        /// The failure.
        problem: String,
    },
    /// A service denies access.
    #[error("{call} is not allowed: {problem}")]
    #[fault(Internal, hint = allowing(call))]
    AccessDenied {
        /// The call.
        call: Call,
        /// The service's answer.
        problem: String,
    },
    /// Credentials are missing or have expired.
    #[error("no usable credentials for {call}: {problem}")]
    #[fault(
        Internal,
        hint = "sign in, such as with `aws sso login`, and name your profile in AWS_PROFILE; or \
                set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    CredentialsMissing {
        /// The call.
        call: Call,
        /// The places that have no credentials, or the service's answer.
        problem: String,
    },
    /// A service refuses a call as invalid.
    #[error("{call} was refused: {problem}")]
    #[fault(Internal)]
    ServiceRefused {
        /// The call.
        call: Call,
        /// The service's answer.
        problem: String,
    },
    /// Lambda refuses the layer.
    #[error("Lambda refuses the layer `{layer}`: {problem}")]
    #[fault(
        User,
        hint = "change what the message names, and ask for the layer again"
    )]
    LayerRefused {
        /// The layer.
        layer: String,
        /// Lambda's answer.
        problem: String,
    },
    /// The outcome of a publication is unknown.
    #[error("it is unknown if `{layer}` has a new version: {problem}")]
    #[fault(
        Transient,
        hint = "publish it again in some minutes: if there is a new version by then, it is found \
                to be unchanged"
    )]
    PublicationUnknown {
        /// The layer.
        layer: String,
        /// The failure of the call.
        problem: String,
    },
    /// The account's storage for functions and layers is full.
    #[error("the account has no storage left for another version of `{layer}`: {problem}")]
    #[fault(
        User,
        hint = "delete unused layer versions, or ask AWS for more storage of functions and layers; \
                then request the layer again"
    )]
    CodeStorageExceeded {
        /// The layer.
        layer: String,
        /// Lambda's answer.
        problem: String,
    },
    /// An item of a table is not what was written there.
    #[error("the item `{item}` of the table `{table}` cannot be read: {problem}")]
    #[fault(
        Internal,
        hint = "it was changed by hand, or by a newer version of Accretion"
    )]
    ItemInvalid {
        /// The table.
        table: String,
        /// Its keys.
        item: String,
        /// The problem with it.
        problem: String,
    },
    /// A stored value is no credentials of a package index.
    #[error("{stored_in} has no credentials of an index: {problem}")]
    #[fault(
        Internal,
        hint = "give the secret the value `{{\"username\": \"…\", \"password\": \"…\"}}`, or a \
                token"
    )]
    IndexCredentialsInvalid {
        /// The place of the value.
        stored_in: String,
        /// The problem with it, without its content.
        problem: String,
    },
    /// A file that an artifact is written to can't be made.
    #[error("no file could be made in {folder} for an artifact: {error}")]
    #[fault(Internal)]
    StagingFailed {
        /// The folder.
        folder: String,
        /// The system's error.
        error: std::io::Error,
    },
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

/// The advice where a policy does not allow a call.
fn allowing(call: &Call) -> String {
    let hint = format!("allow `{}` on `{}`", call.action, call.resource);
    if call.action.starts_with("s3:GetObject") {
        hint + "; without `s3:ListBucket`, what is missing is forbidden, too"
    } else {
        hint
    }
}

/// The SDK's error of a call.
pub(crate) type CallError<E> = SdkError<E, HttpResponse>;

/// The outcome of a call of the SDK.
pub(crate) trait Outcome<T> {
    /// The answer, or the error of this call.
    fn of(self, call: Call) -> Result<T, Error>;

    /// The answer, or the error of this call; `None` if the service answers with this code.
    fn unless(self, code: &str, call: Call) -> Result<Option<T>, Error>;
}

impl<T, E> Outcome<T> for Result<T, CallError<E>>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    fn of(self, call: Call) -> Result<T, Error> {
        self.map_err(|error| failed(call, &error))
    }

    fn unless(self, code: &str, call: Call) -> Result<Option<T>, Error> {
        match self {
            Err(error) if error.code() == Some(code) => Ok(None),
            outcome => outcome.of(call).map(Some),
        }
    }
}

/// The error of a failed call.
pub(crate) fn failed<E>(call: Call, error: &CallError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let problem = problem(error);
    let SdkError::ServiceError(answer) = error else {
        // An invalid call fails again.
        return if matches!(error, SdkError::ConstructionFailure(_)) {
            Error::ServiceRefused { call, problem }
        } else if lacks_credentials(error) {
            Error::CredentialsMissing { call, problem }
        } else {
            Error::ServiceUnavailable { call, problem }
        };
    };
    refusal(error.code(), answer.raw().status().as_u16(), call, problem)
}

/// Sorts an answer by its code, and by its HTTP status where the code says nothing.
///
/// Sources: the SDK's own lists (`aws-runtime`, `retries::classifiers`), and the API references'
/// "Common Errors".
pub(crate) fn refusal(code: Option<&str>, status: u16, call: Call, problem: String) -> Error {
    let throttled = |call, problem| Error::Throttled { call, problem };
    let unavailable = |call, problem| Error::ServiceUnavailable { call, problem };
    let denied = |call, problem| Error::AccessDenied { call, problem };
    match code.unwrap_or_default() {
        "BandwidthLimitExceeded"
        // S3: another writer is writing that key.
        | "ConditionalRequestConflict"
        | "EC2ThrottledException"
        | "LimitExceededException"
        | "OperationAborted"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "TooManyUpdates"
        | "TransactionConflictException"
        | "TransactionInProgressException" => throttled(call, problem),
        "InternalError" | "InternalFailure" | "RequestTimeout" | "RequestTimeoutException"
        | "ServiceUnavailable" => unavailable(call, problem),
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "IncompleteSignature"
        | "NotAuthorized"
        | "OptInRequired" => denied(call, problem),
        // The service does not know the caller, or its credentials have expired.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Error::CredentialsMissing { call, problem },
        _ => match status {
            401 | 403 => denied(call, problem),
            429 => throttled(call, problem),
            500.. => unavailable(call, problem),
            _ => Error::ServiceRefused { call, problem },
        },
    }
}

/// Checks if a call was not signed for lack of credentials. The SDK has no kind for it.
fn lacks_credentials<E: StdError + 'static>(error: &CallError<E>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    failure.is_other() && failure.as_other().is_none() && chain(error).contains("credential")
}

/// The answer of a service: its code and message, or the failure if it did not answer.
pub(crate) fn problem<E>(error: &CallError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let text = match (error, error.code(), error.message()) {
        (_, Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
        (_, Some(code), _) => code.to_owned(),
        (SdkError::ServiceError(answer), None, _) => {
            format!("HTTP status {}", answer.raw().status().as_u16())
        }
        (_, None, _) => chain(error),
    };
    shown(&text)
}

/// An error and what caused it, on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// A service's text within a message: on one line, and cut.
pub(crate) fn shown(text: &str) -> String {
    shown_within(&text.replace(char::is_control, " "), MESSAGE_CHARS)
}

#[cfg(test)]
mod tests {
    use accretion_core::Class;
    use aws_sdk_s3::error::{ConnectorError, ErrorMetadata};
    use aws_sdk_s3::operation::get_object::GetObjectError;
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    fn answer(status: u16, code: Option<&str>, message: &str) -> CallError<GetObjectError> {
        let mut metadata = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        SdkError::service_error(GetObjectError::generic(metadata.build()), response)
    }

    fn call() -> Call {
        Call::new("s3:GetObject", "bucket/key")
    }

    #[test]
    fn answers_are_sorted_by_code_before_status() {
        for (status, code, expected) in [
            (503, Some("SlowDown"), "Throttled"),
            (429, Some("TooManyRequestsException"), "Throttled"),
            (400, Some("ThrottlingException"), "Throttled"),
            (
                400,
                Some("ProvisionedThroughputExceededException"),
                "Throttled",
            ),
            (400, Some("TransactionConflictException"), "Throttled"),
            (409, Some("ConditionalRequestConflict"), "Throttled"),
            (429, None, "Throttled"),
            (500, Some("InternalError"), "ServiceUnavailable"),
            (500, Some("SomethingNew"), "ServiceUnavailable"),
            (502, None, "ServiceUnavailable"),
            (400, Some("RequestTimeout"), "ServiceUnavailable"),
            (403, Some("AccessDenied"), "AccessDenied"),
            (400, Some("AccessDeniedException"), "AccessDenied"),
            (
                400,
                Some("UnrecognizedClientException"),
                "CredentialsMissing",
            ),
            (403, Some("ExpiredToken"), "CredentialsMissing"),
            (403, None, "AccessDenied"),
            (400, Some("ValidationException"), "ServiceRefused"),
            (404, Some("NoSuchBucket"), "ServiceRefused"),
            (400, None, "ServiceRefused"),
        ] {
            let error = failed(call(), &answer(status, code, "so it is"));
            assert_eq!(error.code(), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn a_message_names_the_call_and_what_aws_said() {
        let error = failed(call(), &answer(404, Some("NoSuchBucket"), "no\nbucket"));
        assert_eq!(
            error.to_string(),
            "s3:GetObject of `bucket/key` was refused: NoSuchBucket: no bucket"
        );
        let error = failed(call(), &answer(403, None, ""));
        assert_eq!(
            error.to_string(),
            "s3:GetObject of `bucket/key` is not allowed: HTTP status 403"
        );
        assert_eq!(
            error.hint().unwrap(),
            "allow `s3:GetObject` on `bucket/key`; without `s3:ListBucket`, what is missing is \
             forbidden, too"
        );
        let endless = "x".repeat(10_000);
        let error = failed(call(), &answer(400, Some("Odd"), &endless));
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn without_an_answer_it_may_be_better_later() {
        let io = std::io::Error::other("connection reset");
        let lost: CallError<GetObjectError> =
            SdkError::dispatch_failure(ConnectorError::io(io.into()));
        let error = failed(call(), &lost);
        assert_eq!(error.code(), "ServiceUnavailable");
        assert!(error.to_string().ends_with("connection reset"), "{error}");
        let late: CallError<GetObjectError> = SdkError::timeout_error("10 s are over");
        assert_eq!(failed(call(), &late).class(), Class::Transient);
        for said in [
            "the credentials provider has none",
            "the credential provider was not enabled",
        ] {
            let unsigned = ConnectorError::other(said.into(), None);
            let unsigned: CallError<GetObjectError> = SdkError::dispatch_failure(unsigned);
            assert_eq!(failed(call(), &unsigned).code(), "CredentialsMissing");
        }
        let unsayable: CallError<GetObjectError> = SdkError::construction_failure("no key");
        assert_eq!(failed(call(), &unsayable).code(), "ServiceRefused");
    }

    #[test]
    fn every_code_is_documented() {
        let formats = include_str!("../../../docs/formats.md");
        for (code, class) in Error::CODES {
            let row = format!("\n| `{code}` | {class} | ");
            assert!(formats.contains(&row), "docs/formats.md lacks{row}");
        }
    }
}
