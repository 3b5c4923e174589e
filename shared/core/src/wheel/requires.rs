//! What a wheel's metadata requires.

use super::layout::{Layout, Origin};
use super::metadata;
use crate::archive::{Method, ReadAt};
use crate::error::Error;

/// The values of `Requires-Dist` in a wheel that was verified, as they are written.
///
/// `wheel` and `layout_file` are what the layout's files lie in.
pub fn requires_dist(
    layout: &Layout,
    wheel: &(impl ReadAt + ?Sized),
    layout_file: &(impl ReadAt + ?Sized),
) -> Result<Vec<String>, Error> {
    let failed = |error| Error::WheelRead {
        wheel: format!("{}-{}", layout.name, layout.version),
        error,
    };
    let broken = || failed(std::io::ErrorKind::InvalidData.into());
    let path = layout.record.replace("/RECORD", "/METADATA");
    let at = layout.files.binary_search_by(|file| file.path.cmp(&path));
    let file = at.map(|at| &layout.files[at]).map_err(|_| broken())?;
    let size = |bytes: u64| usize::try_from(bytes).map_err(|_| broken());
    let mut packed = vec![0; size(file.compressed_size)?];
    match file.origin {
        Origin::Wheel => wheel.read_exact_at(&mut packed, file.offset),
        Origin::Layout => layout_file.read_exact_at(&mut packed, file.offset),
    }
    .map_err(failed)?;
    let text = match file.method {
        Method::Stored => packed,
        Method::Deflated => {
            let limit = size(file.size)?;
            let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, limit);
            unpacked.map_err(|_| broken())?
        }
        Method::Zstandard => return Err(broken()),
    };
    let text = String::from_utf8_lossy(&text);
    let values = metadata::headers(&text, "Requires-Dist");
    Ok(values)
}
