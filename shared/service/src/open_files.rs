//! The files that a splice reads, of which only so many are open at a time.
//!
//! A layer may have more wheels than a process may have open files: in an AWS Lambda function that
//! are 1,024, whatever the process asks for.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use accretion_archive::ReadAt;

/// Files that are opened when they are first read, and closed, the longest open first, when there
/// are too many.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    paths: Vec<PathBuf>,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By the index of the path.
    files: Vec<Option<Arc<File>>>,
    /// Indices of what is open, the longest open first.
    order: VecDeque<usize>,
    /// The file that could not be opened.
    failure: Option<(usize, io::Error)>,
}

/// One of the files.
#[derive(Debug)]
pub(crate) struct OpenFile<'a> {
    all: &'a OpenFiles,
    index: usize,
}

impl OpenFiles {
    /// No file is opened yet; at most `limit` will be at a time.
    pub(crate) fn new(paths: Vec<PathBuf>, limit: usize) -> Self {
        let state = State {
            files: vec![None; paths.len()],
            order: VecDeque::with_capacity(limit.min(paths.len())),
            failure: None,
        };
        Self {
            paths,
            limit,
            state: Mutex::new(state),
        }
    }

    /// The files, in the order of their paths.
    pub(crate) fn all(&self) -> Vec<OpenFile<'_>> {
        let indices = 0..self.paths.len();
        indices.map(|index| OpenFile { all: self, index }).collect()
    }

    /// The index of the path that could not be opened, and why.
    pub(crate) fn failure(&self) -> Option<(usize, io::Error)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failure.take()
    }

    fn open(&self, index: usize) -> io::Result<Arc<File>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &state.files[index] {
            return Ok(Arc::clone(file));
        }
        if state.order.len() >= self.limit
            && let Some(oldest) = state.order.pop_front()
        {
            state.files[oldest] = None;
        }
        match File::open(&self.paths[index]) {
            Ok(file) => {
                let file = Arc::new(file);
                state.files[index] = Some(Arc::clone(&file));
                state.order.push_back(index);
                Ok(file)
            }
            Err(error) => {
                let kind = error.kind();
                state.failure = Some((index, error));
                Err(kind.into())
            }
        }
    }
}

impl ReadAt for OpenFile<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.all.open(self.index)?.read_exact_at(buffer, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn no_more_than_the_limit_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..9u8)
            .map(|n| {
                let path = folder.path().join(n.to_string());
                fs::write(&path, [n, n + 100]).unwrap();
                path
            })
            .collect();
        let files = OpenFiles::new(paths, 3);
        let is_open = |files: &OpenFiles| -> Vec<usize> {
            let state = files.state.lock().unwrap();
            (0..9).filter(|&n| state.files[n].is_some()).collect()
        };
        assert_eq!(is_open(&files), [0; 0]);
        let read = |index| {
            let mut buffer = [0];
            let file = OpenFile { all: &files, index };
            file.read_exact_at(&mut buffer, 1).unwrap();
            assert_eq!(usize::from(buffer[0]), index + 100);
        };
        for (index, open) in [
            (4, &[4][..]),
            (4, &[4]),
            (8, &[4, 8]),
            (0, &[0, 4, 8]),
            (4, &[0, 4, 8]),
            (1, &[0, 1, 8]),
            (4, &[0, 1, 4]),
        ] {
            read(index);
            assert_eq!(is_open(&files), open);
        }
        assert!(files.failure().is_none());
    }

    #[test]
    fn what_cannot_be_opened_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let files = OpenFiles::new(vec![folder.path().join("gone")], 3);
        let error = files.all()[0].read_exact_at(&mut [0], 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let (index, error) = files.failure().unwrap();
        assert_eq!((index, error.kind()), (0, io::ErrorKind::NotFound));
    }
}
