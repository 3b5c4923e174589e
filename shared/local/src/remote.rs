//! Zips on a server, of which only what is looked at is downloaded.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use accretion_archive::{ArchiveError, ReadAt};
use accretion_egress::describe;
use accretion_layer::content::ContentManifest;
use reqwest::header::RANGE;
use reqwest::{Client, StatusCode};

use crate::Error;

/// Bytes that are asked for at least: the end of most layers, with their lists of files.
const PIECE: u64 = 256 << 10;

/// Pieces that are asked for at most: the end, the list of files, and the parts of one file.
const PIECES: usize = 24;

/// The time that an answer has to begin, and to go on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the content manifest of a layer's zip at a URL, whose size is known; `None` if it has none.
///
/// # Errors
///
/// [`Error::LayerUnreadable`], which does not hold the URL: that may be signed.
pub async fn content_manifest(url: &str, size: u64) -> Result<Option<ContentManifest>, Error> {
    let unreadable = |problem: String| Error::LayerUnreadable { problem };
    let client = Client::builder()
        .connect_timeout(TIMEOUT)
        .read_timeout(TIMEOUT)
        .build()
        .map_err(|error| unreadable(describe(&error)))?;
    let mut zip = Sparse {
        length: size,
        pieces: Vec::new(),
        missing: Mutex::new(None),
    };
    let mut next = size.saturating_sub(PIECE)..size;
    for _ in 0..PIECES {
        zip.fetch(&client, url, next).await.map_err(unreadable)?;
        let read = ContentManifest::read(&zip, size);
        let missing = zip.missing.get_mut().ok().and_then(Option::take);
        match (missing, read) {
            (None, read) => {
                return read.map_err(|error: ArchiveError| unreadable(error.to_string()));
            }
            (Some(missing), _) => {
                let end = missing.end.max(missing.start.saturating_add(PIECE));
                next = missing.start..end.min(size);
            }
        }
    }
    Err(unreadable("its files are too far apart".to_owned()))
}

/// A zip of which some pieces are there.
struct Sparse {
    length: u64,
    /// Each with its offset.
    pieces: Vec<(u64, Vec<u8>)>,
    /// The range that was looked for last and is not there.
    missing: Mutex<Option<Range<u64>>>,
}

impl Sparse {
    async fn fetch(&mut self, client: &Client, url: &str, range: Range<u64>) -> Result<(), String> {
        let wanted = range.end.saturating_sub(range.start);
        let header = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let mut answer = client
            .get(url)
            .header(RANGE, header)
            .send()
            .await
            .map_err(|error| describe(&error.without_url()))?;
        // A server that knows no ranges sends all of it.
        let (offset, expected) = match answer.status() {
            StatusCode::PARTIAL_CONTENT => (range.start, wanted),
            StatusCode::OK => (0, self.length),
            status => return Err(format!("the server answered with {status}")),
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| describe(&error.without_url()))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > expected {
                return Err("the server sent more than was asked for".to_owned());
            }
        }
        if bytes.len() as u64 != expected {
            return Err("the server sent less than was asked for".to_owned());
        }
        self.pieces.push((offset, bytes));
        Ok(())
    }
}

impl ReadAt for Sparse {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (start, bytes) in &self.pieces {
            let within = offset
                .checked_sub(*start)
                .and_then(|it| usize::try_from(it).ok());
            let piece = within.and_then(|from| bytes.get(from..from + buffer.len()));
            if let Some(piece) = piece {
                buffer.copy_from_slice(piece);
                return Ok(());
            }
        }
        if let Ok(mut missing) = self.missing.lock() {
            *missing = Some(offset..end);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}
