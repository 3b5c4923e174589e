//! The machine that the native code of a wheel is for.

use std::io;

use accretion_archive::{Method, ReadAt};
use accretion_core::target::Architecture;
use accretion_tree::{Layout, LayoutFile, Origin};

/// Bytes of an ELF file up to its machine's number.
const ELF_HEAD: usize = 20;

/// Packed bytes that hold those in what compressors write. Layouts hold no Zstandard.
const PACKED_HEAD: u64 = 1024;

/// The first file with native code of a wheel that was verified, if the wheel has such code for other
/// architectures of Lambda only: whatever its tags say, it was not made for this one.
///
/// `wheel` and `layout_file` are what the layout's files lie in.
pub fn foreign_code<'a>(
    layout: &'a Layout,
    wheel: &(impl ReadAt + ?Sized),
    layout_file: &(impl ReadAt + ?Sized),
    architecture: Architecture,
) -> io::Result<Option<(&'a str, Architecture)>> {
    let mut foreign = None;
    for file in &layout.files {
        let head = match file.origin {
            Origin::Archive => head(file, wheel)?,
            Origin::Layout => head(file, layout_file)?,
        };
        match machine(&head) {
            Some(machine) if machine == architecture => return Ok(None),
            Some(machine) => {
                foreign.get_or_insert((file.path.as_str(), machine));
            }
            None => {}
        }
    }
    Ok(foreign)
}

/// The first bytes of a file, unpacked.
fn head(file: &LayoutFile, within: &(impl ReadAt + ?Sized)) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.compressed_size.min(PACKED_HEAD)).unwrap_or_default();
    let mut packed = vec![0; length];
    within.read_exact_at(&mut packed, file.offset)?;
    Ok(match file.method {
        Method::Stored => packed,
        Method::Deflated => {
            let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, ELF_HEAD);
            // Most have more than that.
            unpacked.unwrap_or_else(|error| error.output)
        }
        Method::Zstandard => Vec::new(),
    })
}

/// The architecture that an ELF file is for, by its first bytes.
///
/// Source: Tool Interface Standard, "Executable and Linking Format Specification"; the numbers are
/// `EM_X86_64` and `EM_AARCH64` of its supplements.
fn machine(head: &[u8]) -> Option<Architecture> {
    let number = head.get(18..ELF_HEAD)?;
    match (head.starts_with(b"\x7fELF"), number) {
        (true, [62, 0]) => Some(Architecture::X86_64),
        (true, [183, 0]) => Some(Architecture::Arm64),
        _ => None,
    }
}
