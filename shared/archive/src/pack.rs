//! Packing the few files that are not copied as they are.
//!
//! Miniz's output depends on its input alone. Faster compressors choose by the machine's
//! instructions, which would make a layer's bytes depend on where it was built.

use std::io::{self, Write};

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};

use super::Method;

/// The level that `zip` and Python's zipfile use.
const LEVEL: i32 = 6;
/// A window size below zero means a raw stream, without zlib's header.
const RAW: i32 = -15;

fn compressor() -> CompressorOxide {
    CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, RAW, 0))
}

/// Packs a small file: with deflate where that makes it smaller, as it is otherwise.
pub fn pack(content: &[u8]) -> (Method, Vec<u8>) {
    let mut packed = Vec::new();
    let mut deflater = Deflater::new(&mut packed);
    // Writing to a Vec can't fail.
    let done = deflater.write_all(content).and_then(|()| deflater.finish());
    if done.is_ok() && packed.len() < content.len() {
        (Method::Deflated, packed)
    } else {
        (Method::Stored, content.to_vec())
    }
}

/// Packs a stream with deflate.
pub struct Deflater<W> {
    sink: W,
    compressor: Box<CompressorOxide>,
    written: u64,
}

impl<W: Write> Deflater<W> {
    /// Starts a stream into a sink.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            compressor: Box::new(compressor()),
            written: 0,
        }
    }

    /// Packs bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.compress(bytes, TDEFLFlush::None)
    }

    /// Ends the stream. Returns how many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.compress(&[], TDEFLFlush::Finish)?;
        Ok(self.written)
    }

    fn compress(&mut self, bytes: &[u8], flush: TDEFLFlush) -> io::Result<()> {
        let mut outcome = Ok(());
        let (sink, written) = (&mut self.sink, &mut self.written);
        let (status, _) = compress_to_output(&mut self.compressor, bytes, flush, |packed| {
            *written += packed.len() as u64;
            outcome = sink.write_all(packed);
            outcome.is_ok()
        });
        outcome?;
        match status {
            TDEFLStatus::Okay | TDEFLStatus::Done => Ok(()),
            _ => Err(io::Error::other("the compressor failed")),
        }
    }
}
