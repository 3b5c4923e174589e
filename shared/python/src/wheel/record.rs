//! `RECORD`: what an installation consists of (PEP 376, PEP 627).

use std::fmt::Write as _;

use accretion_tree::LayoutFile;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text of a `RECORD` whose own path is `record`; paths are relative to `python/`.
pub(crate) fn write<'a>(record: &str, files: impl Iterator<Item = &'a LayoutFile>) -> String {
    let mut text = String::new();
    for file in files {
        let (hash, size) = (URL_SAFE_NO_PAD.encode(file.sha256.0), file.size);
        // Writing to a String can't fail.
        let _ = writeln!(text, "{},sha256={hash},{size}", quoted(&file.path));
    }
    let _ = writeln!(text, "{},,", quoted(record));
    text
}

/// A field of a CSV file in the dialect of Python's `csv` module.
fn quoted(field: &str) -> std::borrow::Cow<'_, str> {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\"")).into()
    } else {
        field.into()
    }
}
