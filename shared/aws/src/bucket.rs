//! Objects of a bucket.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use accretion_service::ports::StoredArtifact;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;

use crate::checksum;
use crate::error::{Call, CallError, Error, Outcome as _, shown};
use crate::retry;

/// The content type of everything that is JSON.
pub(crate) const JSON: &str = "application/json";

/// The content type of zips.
const ZIP: &str = "application/zip";

/// The time limit of one attempt to upload an artifact.
const UPLOAD: Duration = Duration::from_mins(4);

/// A bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
}

/// The outcome of writing an object that must not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum New {
    Written,
    /// It exists already, unchanged.
    Exists,
}

impl Bucket {
    pub(crate) fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn call(&self, operation: &'static str, key: &str) -> Call {
        Call::new(operation, format!("{}/{key}", self.name))
    }

    /// An object's bytes; `None` if there is none.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        read(self.get(key), self.call("s3:GetObject", key), usize::MAX).await
    }

    /// The bytes of a version of an object, or of the latest one; `None` if it is gone. Of a longer
    /// one, one byte more than `limit` is read.
    pub(crate) async fn read_version(
        &self,
        key: &str,
        version_id: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (request, call) = (self.get(key), self.call("s3:GetObject", key));
        let Some(version_id) = version_id else {
            return read(request, call, limit).await;
        };
        let of_version = call.allowed_by("s3:GetObjectVersion");
        read(request.version_id(version_id), of_version, limit).await
    }

    /// Keys and sizes of the objects whose keys start with a prefix, in the order of their keys; of
    /// more than `limit`, one more.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, u64)>, Error> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_continuation_token(token);
            let call = self.call("s3:ListObjectsV2", prefix);
            let page = request.send().await.of(call.allowed_by("s3:ListBucket"))?;
            for object in page.contents() {
                let size = object.size().unwrap_or_default().unsigned_abs();
                listed.push((object.key().unwrap_or_default().to_owned(), size));
            }
            token = page.next_continuation_token().map(ToOwned::to_owned);
            if listed.len() > limit || token.is_none() {
                listed.truncate(limit + 1);
                return Ok(listed);
            }
        }
    }

    /// The stored object of a key; `None` if there is none.
    pub(crate) async fn stored(&self, key: &str) -> Result<Option<StoredArtifact>, Error> {
        let request = self.client.head_object().bucket(&self.name).key(key);
        let outcome = request.checksum_mode(ChecksumMode::Enabled).send().await;
        let call = self.call("s3:HeadObject", key).allowed_by("s3:GetObject");
        let head = unless_missing(outcome, call)?;
        Ok(head.map(|head| StoredArtifact {
            key: key.to_owned(),
            sha256: head.checksum_sha256().and_then(checksum::decode),
            size: head.content_length().unwrap_or_default().unsigned_abs(),
            // Objects from before the bucket had versions have the version `null`.
            version_id: head.version_id,
        }))
    }

    /// Writes a JSON text, over an existing one.
    pub(crate) async fn write(&self, key: &str, text: String) -> Result<(), Error> {
        let as_json = |put: PutObjectFluentBuilder| put.content_type(JSON);
        let outcome = self.put_bytes(key, text.into_bytes(), as_json).await;
        outcome.of(self.call("s3:PutObject", key))?;
        Ok(())
    }

    /// Writes an object, over an existing one, and returns its version's id.
    #[cfg(feature = "operator")]
    pub(crate) async fn write_version(&self, key: &str, bytes: Vec<u8>) -> Result<String, Error> {
        let call = self.call("s3:PutObject", key);
        let outcome = self.put_bytes(key, bytes, |put| put).await;
        let written = outcome.of(call.clone())?;
        written.version_id.ok_or_else(|| Error::ServiceRefused {
            call,
            problem: "the object is there, but has no version: the bucket keeps none".to_owned(),
        })
    }

    /// Writes a JSON text, unless the object exists.
    pub(crate) async fn write_new(&self, key: &str, text: String) -> Result<New, Error> {
        let as_new = |put: PutObjectFluentBuilder| put.content_type(JSON).if_none_match("*");
        let outcome = self.put_bytes(key, text.into_bytes(), as_new).await;
        self.new_object(key, outcome)
    }

    /// Writes a zip, unless the object exists.
    pub(crate) async fn write_new_zip(&self, key: &str, bytes: Vec<u8>) -> Result<New, Error> {
        let as_new = |put: PutObjectFluentBuilder| put.content_type(ZIP).if_none_match("*");
        let outcome = self.put_bytes(key, bytes, as_new).await;
        self.new_object(key, outcome)
    }

    /// Uploads an artifact in one piece, unless the object exists. S3 refuses it if its bytes do
    /// not have that SHA-256.
    pub(crate) async fn upload_new(
        &self,
        key: &str,
        file: &std::path::Path,
        sha256: accretion_core::digest::Sha256,
    ) -> Result<New, Error> {
        let encoded = checksum::encode(sha256);
        let call = || async {
            let body = ByteStream::from_path(file)
                .await
                .map_err(SdkError::construction_failure)?;
            let request = self
                .put(key)
                .content_type(ZIP)
                .body(body)
                .if_none_match("*")
                .checksum_sha256(&encoded);
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(UPLOAD)
                .operation_timeout(UPLOAD * 2);
            let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build());
            request.customize().config_override(config).send().await
        };
        let outcome = retry::on_conflict(call).await;
        self.new_object(key, outcome)
    }

    /// Writes an object's bytes into a file, as far as there are at most `limit` of them. Returns
    /// the file name that it was stored under; `None` if there is no object.
    pub(crate) async fn download(
        &self,
        key: &str,
        limit: u64,
        into: &mut File,
    ) -> Result<Option<String>, Error> {
        let call = || self.call("s3:GetObject", key);
        let Some(object) = unless_missing(self.get(key).send().await, call())? else {
            return Ok(None);
        };
        let name = object.content_disposition().and_then(file_name);
        let mut body = object.body;
        let mut received = 0;
        loop {
            let chunk = match body.try_next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(Some(name.unwrap_or_default())),
                Err(error) => return Err(cut_off(call(), &error)),
            };
            received += chunk.len() as u64;
            if received > limit {
                let problem = format!("it has more than {limit} bytes");
                return Err(Error::ServiceRefused {
                    call: call(),
                    problem,
                });
            }
            into.write_all(&chunk)
                .map_err(|error| Error::StagingFailed {
                    folder: "the cache".to_owned(),
                    error,
                })?;
        }
    }

    /// A URL with which an object can be read for a while.
    pub(crate) async fn readable(&self, key: &str, time: Duration) -> Result<String, Error> {
        let call = self.call("s3:GetObject", key);
        let signed = self.get(key).presigned(expiring(time, &call)?).await;
        Ok(signed.of(call)?.uri().to_owned())
    }

    /// A URL with which an object can be written for a while, unless it exists: the caller has to
    /// send `If-None-Match: *`.
    pub(crate) async fn writable(&self, key: &str, time: Duration) -> Result<String, Error> {
        let call = self.call("s3:PutObject", key);
        let request = self.put(key).if_none_match("*");
        let signed = request.presigned(expiring(time, &call)?).await;
        Ok(signed.of(call)?.uri().to_owned())
    }

    fn get(&self, key: &str) -> GetObjectFluentBuilder {
        self.client.get_object().bucket(&self.name).key(key)
    }

    fn put(&self, key: &str) -> PutObjectFluentBuilder {
        self.client.put_object().bucket(&self.name).key(key)
    }

    async fn put_bytes(
        &self,
        key: &str,
        bytes: Vec<u8>,
        with: impl Fn(PutObjectFluentBuilder) -> PutObjectFluentBuilder,
    ) -> Result<PutObjectOutput, CallError<PutObjectError>> {
        let put = || self.put(key).body(ByteStream::from(bytes.clone()));
        retry::on_conflict(|| with(put()).send()).await
    }

    fn new_object<T>(
        &self,
        key: &str,
        outcome: Result<T, CallError<PutObjectError>>,
    ) -> Result<New, Error> {
        let written = outcome.unless("PreconditionFailed", self.call("s3:PutObject", key))?;
        Ok(written.map_or(New::Exists, |_| New::Written))
    }
}

/// The settings of a signed URL.
fn expiring(time: Duration, call: &Call) -> Result<PresigningConfig, Error> {
    PresigningConfig::expires_in(time).map_err(|error| Error::ServiceRefused {
        call: call.clone(),
        problem: shown(&error.to_string()),
    })
}

fn cut_off(call: Call, error: &impl std::error::Error) -> Error {
    let problem = shown(&format!("the object was cut off: {error}"));
    Error::ServiceUnavailable { call, problem }
}

/// The file name of a `Content-Disposition` (RFC 6266).
fn file_name(disposition: &str) -> Option<String> {
    let (_, name) = disposition.split_once("filename=\"")?;
    name.strip_suffix('"').map(str::to_owned)
}

async fn read(
    request: GetObjectFluentBuilder,
    call: Call,
    limit: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(object) = unless_missing(request.send().await, call.clone())? else {
        return Ok(None);
    };
    let mut body = object.body;
    let mut bytes = Vec::new();
    loop {
        match body.try_next().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(Some(bytes)),
            Err(error) => return Err(cut_off(call, &error)),
        }
        if bytes.len() > limit {
            bytes.truncate(limit + 1);
            return Ok(Some(bytes));
        }
    }
}

/// The answer about an object; `None` if the object, or that version of it, is missing. A delete marker
/// is no object either.
fn unless_missing<T, E>(outcome: Result<T, CallError<E>>, call: Call) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let is_missing = |error: &CallError<E>| match error.code() {
        Some("NoSuchKey" | "NoSuchVersion" | "NotFound" | "MethodNotAllowed") => true,
        Some(_) => false,
        // HEAD has no body that could hold a code.
        None => error
            .raw_response()
            .is_some_and(|response| response.status().as_u16() == 404),
    };
    match outcome {
        Err(error) if is_missing(&error) => Ok(None),
        outcome => outcome.of(call).map(Some),
    }
}
