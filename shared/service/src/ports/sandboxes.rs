//! The exchange between builder and build sandboxes. Build sandboxes run the code of packages, so they get no
//! access of their own to anything: an order brings along all that it may read and write.

use std::fmt;
use std::fs::File;
use std::path::Path;

use accretion_core::digest::Sha256;
use accretion_core::request::RequestId;
use accretion_core::target::{Architecture, Runtime, Target};
use serde::{Deserialize, Serialize};

use super::PortError;

/// A URL that whoever has it may use, until it expires. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// Takes what was signed.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL, to be used.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedUrl")
    }
}

/// Something that a build sandbox is to make: the lock of a request, or the wheel of a source
/// distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Order {
    /// The request that it is for.
    pub request_id: RequestId,
    /// The key that it will have.
    pub key: String,
    /// The runtime that it is for.
    pub runtime: Runtime,
    /// The architecture that it is for.
    pub architecture: Architecture,
    /// The source distribution to build; absent if a request is to be resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<OrderedSource>,
    /// The URL to read the source distribution or the request from.
    pub input: SignedUrl,
    /// The URL to write the result to, once.
    pub output: SignedUrl,
}

impl Order {
    /// The target.
    pub fn target(&self) -> Target {
        Target {
            runtime: self.runtime,
            architecture: self.architecture,
        }
    }
}

/// A source distribution to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrderedSource {
    /// Its file name.
    pub filename: String,
    /// The SHA-256 that it has to have.
    pub sha256: Sha256,
}

/// The store through which builder and build sandboxes exchange files.
pub trait Handover: Send + Sync {
    /// The lock that a build sandbox has left, if it has.
    fn lock(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// The wheel that a build sandbox has left, if it has, written into a file. Returns the file name
    /// that the build sandbox gave it.
    fn wheel(
        &self,
        key: &str,
        into: &mut File,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send;

    /// Returns whether an object of this key exists.
    fn has(&self, key: &str) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Leaves a source distribution for a build sandbox.
    fn leave_source(
        &self,
        key: &str,
        file: &Path,
        sha256: Sha256,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Signs a URL that reads an object.
    fn readable(&self, key: &str) -> impl Future<Output = Result<SignedUrl, PortError>> + Send;

    /// Signs a URL that writes an object, unless it exists already.
    fn writable(&self, key: &str) -> impl Future<Output = Result<SignedUrl, PortError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_does_not_show_what_opens_something() {
        let order = Order {
            request_id: RequestId::of_message("1"),
            key: "accretion/wheels/0/py313.whl".to_owned(),
            runtime: "python3.13".parse().unwrap(),
            architecture: "arm64".parse().unwrap(),
            source: None,
            input: SignedUrl::new("https://example.com/?X-Amz-Signature=s3cret"),
            output: SignedUrl::new("https://example.com/?X-Amz-Signature=s3cret"),
        };
        let shown = format!("{order:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }
}
