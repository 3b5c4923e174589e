//! What an input may cost at most, in one place.

/// Limits on one wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelLimits {
    /// Bytes of the wheel, packed.
    pub download: u64,
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes of all entries, unpacked.
    pub unzipped: u64,
    /// Bytes of each file of its metadata and of each script that has to be rewritten.
    pub metadata: u64,
    /// Bytes of a path below `python/`.
    pub path: usize,
}

impl Default for WheelLimits {
    /// No wheel that fits into a layer comes near them.
    fn default() -> Self {
        Self {
            download: 250 << 20,
            entries: 100_000,
            unzipped: 2 << 30,
            metadata: 8 << 20,
            path: 1024,
        }
    }
}

/// What AWS Lambda takes of a function and its layers together, unzipped: 250 MiB.
/// Source: AWS Lambda Developer Guide, "Lambda quotas".
pub const LAYER_UNZIPPED: u64 = 250 << 20;
