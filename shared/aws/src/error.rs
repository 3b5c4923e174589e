//! What can go wrong between here and AWS.

use std::error::Error as StdError;
use std::fmt;

use accretion_core::{Class, Fault, fault_codes};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// How many characters of a foreign message are shown.
const MESSAGE_CHARS: usize = 600;

/// A call of AWS: what was done to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Service and operation, such as `s3:HeadObject`.
    pub operation: &'static str,
    /// What a policy has to allow for it, such as `s3:GetObject`.
    pub action: &'static str,
    /// What it was about, by the name that people know it by.
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

/// What can go wrong between here and AWS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A service wants to be called less often, or somebody else is changing the same thing.
    #[error("{call} was put off: {problem}")]
    Throttled {
        /// What was tried.
        call: Call,
        /// What the service said.
        problem: String,
    },
    /// A service did not answer, or could not do its work.
    #[error("{call} got no usable answer: {problem}")]
    ServiceUnavailable {
        /// What was tried.
        call: Call,
        /// What happened.
        problem: String,
    },
    /// A service does not let us.
    #[error("{call} is not allowed: {problem}")]
    AccessDenied {
        /// What was tried.
        call: Call,
        /// What the service said.
        problem: String,
    },
    /// Nobody has signed in, or not of late.
    #[error("there are no credentials for {call}: {problem}")]
    CredentialsMissing {
        /// What was tried.
        call: Call,
        /// Where credentials were looked for, or what the service said of them.
        problem: String,
    },
    /// A service can't make sense of what we want.
    #[error("{call} was refused: {problem}")]
    ServiceRefused {
        /// What was tried.
        call: Call,
        /// What the service said.
        problem: String,
    },
    /// Lambda does not take the layer.
    #[error("Lambda does not take the layer `{layer}`: {problem}")]
    LayerRefused {
        /// The layer.
        layer: String,
        /// What Lambda said.
        problem: String,
    },
    /// Nobody can say whether a layer version was made.
    #[error("whether there is a new version of `{layer}`, nobody can say: {problem}")]
    PublicationUnknown {
        /// The layer.
        layer: String,
        /// What happened to the call.
        problem: String,
    },
    /// The account's storage for functions and layers is full.
    #[error("there is no room for another version of `{layer}`: {problem}")]
    CodeStorageExceeded {
        /// The layer.
        layer: String,
        /// What Lambda said.
        problem: String,
    },
    /// An item of a table is not what was written there.
    #[error("the item `{item}` of the table `{table}` cannot be read: {problem}")]
    ItemInvalid {
        /// The table.
        table: String,
        /// Its keys.
        item: String,
        /// What is wrong with it.
        problem: String,
    },
    /// What is kept somewhere is no credentials of a package index.
    #[error("{kept_in} cannot open an index: {problem}")]
    IndexCredentialsInvalid {
        /// Where it is kept.
        kept_in: String,
        /// What is wrong with it, without what it says.
        problem: String,
    },
    /// A file that an artifact is written to can't be made.
    #[error("no file could be made in {folder} for an artifact: {error}")]
    StagingFailed {
        /// The folder.
        folder: String,
        /// What the system said.
        error: std::io::Error,
    },
}

fault_codes! {
    impl Error {
        Self::Throttled { .. } => "Throttled", Transient;
        Self::ServiceUnavailable { .. } => "ServiceUnavailable", Transient;
        Self::AccessDenied { .. } => "AccessDenied", Internal;
        Self::CredentialsMissing { .. } => "CredentialsMissing", Internal;
        Self::ServiceRefused { .. } => "ServiceRefused", Internal;
        Self::LayerRefused { .. } => "LayerRefused", User;
        Self::PublicationUnknown { .. } => "PublicationUnknown", Transient;
        Self::CodeStorageExceeded { .. } => "CodeStorageExceeded", User;
        Self::ItemInvalid { .. } => "ItemInvalid", Internal;
        Self::IndexCredentialsInvalid { .. } => "IndexCredentialsInvalid", Internal;
        Self::StagingFailed { .. } => "StagingFailed", Internal;
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
            Self::AccessDenied { call, .. } => {
                let mut hint = format!("allow `{}` on `{}`", call.action, call.resource);
                if call.action.starts_with("s3:GetObject") {
                    hint.push_str("; without `s3:ListBucket`, what is missing is forbidden, too");
                }
                Some(hint)
            }
            Self::CredentialsMissing { .. } => Some(
                "sign in, such as with `aws sso login`, and name your profile in AWS_PROFILE; or set \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned(),
            ),
            Self::LayerRefused { .. } => {
                Some("change what the message names, and ask for the layer again".to_owned())
            }
            Self::PublicationUnknown { .. } => Some(
                "publish it again in some minutes: if there is a new version by then, it is found \
                 to be unchanged"
                    .to_owned(),
            ),
            Self::CodeStorageExceeded { .. } => Some(
                "delete layer versions that nobody uses, or ask AWS for more storage of \
                 functions and layers; then ask for the layer again"
                    .to_owned(),
            ),
            Self::ItemInvalid { .. } => {
                Some("somebody has changed it, or a newer version of Accretion has".to_owned())
            }
            Self::IndexCredentialsInvalid { .. } => Some(
                "give the secret the value `{\"username\": \"…\", \"password\": \"…\"}`, or a token"
                    .to_owned(),
            ),
            Self::Throttled { .. }
            | Self::ServiceUnavailable { .. }
            | Self::ServiceRefused { .. }
            | Self::StagingFailed { .. } => None,
        }
    }
}

/// What the SDK returns when a call has failed.
pub(crate) type CallError<E> = SdkError<E, HttpResponse>;

/// Tells what a failed call was, for whoever is to do something about it.
pub(crate) fn failed<E>(call: Call, error: &CallError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let problem = problem(error);
    let SdkError::ServiceError(answer) = error else {
        // Of a call that could not even be put together, no repetition will come to more.
        return if matches!(error, SdkError::ConstructionFailure(_)) {
            Error::ServiceRefused { call, problem }
        } else if lacks_credentials(error) {
            Error::CredentialsMissing { call, problem }
        } else {
            Error::ServiceUnavailable { call, problem }
        };
    };
    match kind(error.code(), answer.raw().status().as_u16()) {
        Kind::Throttled => Error::Throttled { call, problem },
        Kind::Unavailable => Error::ServiceUnavailable { call, problem },
        Kind::Denied => Error::AccessDenied { call, problem },
        Kind::Unknown => Error::CredentialsMissing { call, problem },
        Kind::Refused => Error::ServiceRefused { call, problem },
    }
}

/// What a service's refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Throttled,
    Unavailable,
    Denied,
    /// It does not know who is calling, or does not any more.
    Unknown,
    Refused,
}

/// Sorts an answer by its code, and by its HTTP status where the code says nothing.
///
/// Sources: the SDK's own lists (`aws-runtime`, `retries::classifiers`), and the API references'
/// "Common Errors".
fn kind(code: Option<&str>, status: u16) -> Kind {
    match code.unwrap_or_default() {
        "BandwidthLimitExceeded"
        // S3: somebody else is writing that key.
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
        | "TransactionInProgressException" => Kind::Throttled,
        "InternalError" | "InternalFailure" | "RequestTimeout" | "RequestTimeoutException"
        | "ServiceUnavailable" => Kind::Unavailable,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "IncompleteSignature"
        | "NotAuthorized"
        | "OptInRequired" => Kind::Denied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Kind::Unknown,
        _ => match status {
            401 | 403 => Kind::Denied,
            429 => Kind::Throttled,
            500.. => Kind::Unavailable,
            _ => Kind::Refused,
        },
    }
}

/// Whether nobody could sign a call. The SDK has no kind of its own for it.
fn lacks_credentials<E: StdError + 'static>(error: &CallError<E>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    failure.is_other() && failure.as_other().is_none() && chain(error).contains("credential")
}

/// What a service said: its code and message. What happened, if it said nothing.
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
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// A foreign text as a message can show it: on one line, and cut.
pub(crate) fn shown(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(MESSAGE_CHARS).map(line).collect();
    if text.chars().nth(MESSAGE_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
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
