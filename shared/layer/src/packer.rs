//! Packing files that come from no package.

use std::io::{self, Read, Write};

use sha2::Digest as _;

use accretion_archive::{Method, pack};
use accretion_core::digest::Sha256;
use accretion_core::layer::path_problem;
use accretion_core::limits::WheelLimits;
use accretion_tree::{LayoutFile, Origin};

/// Smaller files are packed in memory, and stay as they are where that is shorter.
const SMALL: u64 = 1 << 20;

/// Packs files one after the other into one file, and keeps what a layer has to know of each.
///
/// What is packed depends on the files' content alone.
#[derive(Debug)]
pub struct Packer<W> {
    sink: W,
    offset: u64,
    files: Vec<LayoutFile>,
}

/// The reason why a file could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No file of a layer can have that path. The text is the rest of a sentence.
    #[error("its path {0}")]
    Path(&'static str),
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The packed data could not be written.
    #[error("it cannot be packed: {0}")]
    Write(#[source] io::Error),
}

impl<W: Write> Packer<W> {
    /// Packs into `sink`, from its offset 0 on.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            offset: 0,
            files: Vec::new(),
        }
    }

    /// Packs a file. `path` is that below the layer's root; no two files may have the same.
    pub fn add(
        &mut self,
        path: String,
        executable: bool,
        mut content: impl Read,
    ) -> Result<(), PackError> {
        if path.len() > WheelLimits::default().path {
            return Err(PackError::Path("has more than 1,024 bytes"));
        }
        if let Some(problem) = path_problem(&path) {
            return Err(PackError::Path(problem));
        }
        let mut start = Vec::new();
        let read = content.by_ref().take(SMALL).read_to_end(&mut start);
        read.map_err(PackError::Read)?;
        let mut file = LayoutFile {
            path,
            origin: Origin::Archive,
            offset: self.offset,
            method: Method::Deflated,
            compressed_size: 0,
            size: start.len() as u64,
            crc32: 0,
            sha256: Sha256([0; 32]),
            executable,
        };
        if file.size < SMALL {
            let (method, packed) = pack::pack(&start);
            self.sink.write_all(&packed).map_err(PackError::Write)?;
            file.method = method;
            file.compressed_size = packed.len() as u64;
            file.crc32 = crc32fast::hash(&start);
            file.sha256 = Sha256::of(&start);
        } else {
            self.deflate(&mut file, start, content)?;
        }
        self.offset += file.compressed_size;
        self.files.push(file);
        Ok(())
    }

    /// Packs a large file, of which the start is read already.
    fn deflate(
        &mut self,
        file: &mut LayoutFile,
        mut chunk: Vec<u8>,
        mut content: impl Read,
    ) -> Result<(), PackError> {
        let mut deflater = pack::Deflater::new(&mut self.sink);
        let mut crc32 = crc32fast::Hasher::new();
        let mut sha256 = sha2::Sha256::new();
        file.size = 0;
        while !chunk.is_empty() {
            crc32.update(&chunk);
            sha256.update(&chunk);
            file.size += chunk.len() as u64;
            deflater.write_all(&chunk).map_err(PackError::Write)?;
            chunk.clear();
            let read = content.by_ref().take(SMALL).read_to_end(&mut chunk);
            read.map_err(PackError::Read)?;
        }
        file.compressed_size = deflater.finish().map_err(PackError::Write)?;
        file.crc32 = crc32.finalize();
        file.sha256 = Sha256(sha256.finalize().into());
        Ok(())
    }

    /// The files, ordered by the bytes of their paths, and the sink.
    pub fn finish(mut self) -> (Vec<LayoutFile>, W) {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        (self.files, self.sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no compressor makes shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_packed_is_what_was_there() {
        let large = noise(3_000_000);
        let contents = [
            ("b.txt", b"b".repeat(1000)),
            ("a/empty", Vec::new()),
            ("noise", noise(1000)),
            ("c/edge", b"x".repeat(1 << 20)),
            ("c/large", large),
        ];
        let mut packer = Packer::new(Vec::new());
        for (path, content) in &contents {
            packer
                .add((*path).to_owned(), false, content.as_slice())
                .unwrap();
        }
        let (files, sink) = packer.finish();
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/empty", "b.txt", "c/edge", "c/large", "noise"]);
        for file in &files {
            let (_, content) = contents
                .iter()
                .find(|(path, _)| *path == file.path)
                .unwrap();
            let start = usize::try_from(file.offset).unwrap();
            let end = start + usize::try_from(file.compressed_size).unwrap();
            let data = &sink[start..end];
            let unpacked = match file.method {
                Method::Stored => data.to_vec(),
                _ => miniz_oxide::inflate::decompress_to_vec(data).unwrap(),
            };
            assert!(unpacked == *content, "{}", file.path);
            assert_eq!(file.size, content.len() as u64);
            assert_eq!(file.sha256, Sha256::of(content));
            assert_eq!(file.crc32, crc32fast::hash(content));
        }
    }

    #[test]
    fn paths_that_no_file_can_have() {
        for path in ["", "a//b", "../a", "a\\b", "a\nb", "c:a", &"x".repeat(1025)] {
            let mut packer = Packer::new(Vec::new());
            let refused = packer.add(path.to_owned(), false, io::empty());
            assert!(matches!(refused, Err(PackError::Path(_))), "{path:?}");
        }
    }
}
