//! SHA-256 as AWS writes it: in Base64.

use accretion_core::digest::Sha256;
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// A SHA-256 as AWS takes it.
pub(crate) fn encode(sha256: Sha256) -> String {
    BASE64_STANDARD.encode(sha256.0)
}

/// A SHA-256 as AWS gives it; `None` for what is none, such as S3's checksum of the checksums of
/// several parts.
pub(crate) fn decode(text: &str) -> Option<Sha256> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    bytes.try_into().ok().map(Sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let sha256 = Sha256::of(b"layer");
        let text = encode(sha256);
        assert_eq!(decode(&text), Some(sha256));
        for text in ["", "AAAA", &format!("{text}-2"), &sha256.to_string()] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
