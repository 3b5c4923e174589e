//! The limits of an input's costs, in one place.
//!
//! What a request may look like is fixed: `accretion check` on a laptop and every deployment have to
//! agree on it. Those limits are constants of [`Limits`]. What building it may cost is up to whoever
//! runs the builder, and those limits are its fields.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// The limits of an input's costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Finding out which files a layer consists of.
    pub resolution: ResolutionLimits,
    /// Getting them.
    pub download: DownloadLimits,
    /// Each of those that is a wheel.
    pub wheel: WheelLimits,
}

impl Limits {
    /// Bytes of a request as an object of the inbox.
    pub const REQUEST_BYTES: usize = 4 << 20;
    /// Bytes of a request as a message of the request queue.
    pub const MESSAGE_BYTES: usize = 256 << 10;
    /// Problems of one severity that are reported of a request.
    pub const PROBLEMS: usize = 100;

    /// Characters of a project's name, so that a layer's name stays within Lambda's limits.
    pub const NAME_CHARS: usize = 70;
    /// Characters of a description. Source: the API reference of `PublishLayerVersion`.
    pub const DESCRIPTION_CHARS: usize = 256;
    /// Characters of license information. Source: the API reference of `PublishLayerVersion`.
    pub const LICENSE_INFO_CHARS: usize = 512;

    /// Permissions of a request. Each is a call for each layer version, made after it is published, and
    /// becomes a part of its policy, which must not get too long: `PolicyLengthExceededException` in
    /// the API reference of `AddLayerVersionPermission`.
    pub const PERMISSIONS: usize = 50;

    /// Indexes of a request, and as many of the pipeline's operator.
    pub const INDEXES: usize = 10;

    /// Requirements of a set.
    pub const REQUIREMENTS: usize = 1_000;
    /// Constraints of a set. Large projects publish theirs as files of many hundreds.
    pub const CONSTRAINTS: usize = 5_000;
    /// Bytes of a line, its continuations and hashes included.
    pub const LINE_BYTES: usize = 64 << 10;
    /// Bytes of one requirement without its hashes.
    pub const REQUIREMENT_BYTES: usize = 8 << 10;
    /// Different comparisons of one environment marker. The time to normalise a marker grows
    /// exponentially with them.
    pub const MARKER_COMPARISONS: usize = 12;
    /// The sum, over the environment markers of a text as they came and as they are normalised, of two
    /// to the power of their different comparisons: what they take, in time and in memory that is kept.
    pub const MARKERS_COST: usize = 1 << 14;
    /// The depth of nested brackets in an environment marker.
    pub const MARKER_DEPTH: usize = 32;
    /// Dependency groups, and extras, that a request selects.
    pub const SELECTED: usize = 100;
    /// The effort to follow how the packages of a lock file require each other: steps, and
    /// bytes of the markers that are read on the way. Large projects take a hundredth of it.
    pub const LOCK_STEPS: usize = 8 << 20;
    /// Releases of a runtime's Python that the environments of a lock file are tried with.
    pub const LOCK_RELEASES: usize = 16;
    /// The number of times that requirements are resolved for a target in all, each time without
    /// the versions that turned out to have no file for it.
    pub const RESOLUTIONS: usize = 50;
    /// The requirements of a project in all of its groups, if a lock file needs its `pyproject.toml`;
    /// what a group includes counts again.
    pub const PROJECT_REQUIREMENTS: usize = 20_000;
    /// The depth of files that include each other.
    pub const INCLUDE_DEPTH: usize = 10;
    /// Files that are included.
    pub const INCLUDED_FILES: usize = 100;

    /// The time to build one source distribution. A function of AWS Lambda has 15 minutes for
    /// all that it does.
    pub const SOURCE_BUILD_TIME: Duration = Duration::from_mins(10);
    /// Items of `Files`.
    pub const FILE_SOURCES: usize = 20;
    /// Extra files, in all.
    pub const FILES: usize = 2_000;
    /// Bytes of a zip or a wheel that `Files` names.
    pub const FILE_ARCHIVE_BYTES: usize = 32 << 20;
    /// Bytes of all extra files, unpacked, and of all wheels: the dispatcher packs the ones and
    /// holds the others within its time and memory.
    pub const FILES_BYTES: u64 = 64 * MIB;
    /// Bytes of a key. Source: Amazon S3 User Guide, "Naming Amazon S3 objects".
    pub const KEY_BYTES: usize = 1_024;
    /// Patterns of `Prune`, and of `Include`.
    pub const PATTERNS: usize = 100;
    /// Bytes of a pattern.
    pub const PATTERN_BYTES: usize = 256;

    /// Distributions of one layer, what is left out of it included.
    pub const PACKAGES: usize = 2_000;
    /// Bytes of a layer, unzipped: what AWS Lambda takes of a function and its layers together.
    /// Source: AWS Lambda Developer Guide, "Lambda quotas".
    pub const LAYER_BYTES: u64 = 250 * MIB;
}

/// Limits on finding out which files a layer of one target consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolutionLimits {
    /// The time it takes.
    pub time: Duration,
    /// Bytes that are read from indexes and file servers, where a proxy of ours counts them.
    pub traffic: u64,
    /// Bytes of memory of the resolver.
    pub memory: u64,
    /// Bytes of each file that the resolver writes.
    pub file: u64,
    /// Bytes of the disk that the resolver has to leave free.
    pub free: u64,
    /// Bytes of what it says, and of the lock that it writes.
    pub output: u64,
}

impl Default for ResolutionLimits {
    /// The largest of real projects take a tenth of it.
    fn default() -> Self {
        Self {
            time: Duration::from_mins(2),
            traffic: 512 * MIB,
            memory: 1024 * MIB,
            file: 512 * MIB,
            free: 256 * MIB,
            output: 16 * MIB,
        }
    }
}

impl ResolutionLimits {
    /// The limits of building one source distribution.
    #[must_use]
    pub fn of_source_builds(self) -> Self {
        Self {
            time: Limits::SOURCE_BUILD_TIME,
            ..self
        }
    }
}

/// Limits on getting the files of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadLimits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files of a build.
    pub total: u64,
    /// The time for one file, failed attempts included.
    pub time: Duration,
}

impl Default for DownloadLimits {
    /// No layer that Lambda takes comes near them.
    fn default() -> Self {
        Self {
            file: Limits::LAYER_BYTES,
            total: 1024 * MIB,
            time: Duration::from_mins(2),
        }
    }
}

/// Limits on one wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelLimits {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes of all entries, unpacked.
    pub unzipped: u64,
    /// Unpacked bytes for each byte of the archive, where it unpacks to more than a layer may hold:
    /// whatever fits may be as repetitive as it likes.
    pub ratio: u64,
    /// Bytes of each file of its metadata and of each script that has to be rewritten.
    pub metadata: u64,
    /// Bytes of a path below `python/`.
    pub path: usize,
}

impl Default for WheelLimits {
    /// No wheel that fits into a layer comes near them.
    fn default() -> Self {
        Self {
            entries: 100_000,
            unzipped: 2048 * MIB,
            ratio: 100,
            metadata: 8 * MIB,
            path: 1024,
        }
    }
}
