//! Hashes as types: of files ([`Sha256`]) and of a layer's content ([`Digest`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use sha2::Digest as _;

use crate::pruning::{Pattern, Pruning};
use crate::target::Target;
use crate::text::ParseTextError;

/// The version of the layer archive's form. It changes whenever the same wheels would give other
/// bytes, and so every digest with it. Where the change is in what is worked out of a wheel (its
/// scripts, its `RECORD`), [`LAYOUT_EXTENSION`](accretion_tree::LAYOUT_EXTENSION) has to change too:
/// a cache would bring back what the old version worked out.
pub const ARCHIVE_FORMAT: u32 = 1;

/// The SHA-256 of a file's bytes. Written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Hashes bytes that are in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// The rule that texts of hashes follow.
const RULE: &str = "`{}` is not a SHA-256: 64 hexadecimal digits are expected";

impl FromStr for Sha256 {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseTextError::new(RULE, text);
        if text.len() != 64 || !text.is_ascii() {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                return Err(error());
            };
            *byte = u8::try_from(high * 16 + low).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom)
        } else {
            Deserialize::deserialize(deserializer).map(Self)
        }
    }
}

/// A package of a layer as its digest counts it. Members are in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Component<'a> {
    /// The package's name.
    pub name: &'a str,
    /// The hash of its file: of the source, if it is built from one.
    pub sha256: Sha256,
    /// True if the file is a source, of which two builds differ.
    pub source: bool,
}

/// The hash and size of a file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its bytes.
    pub size: u64,
}

/// The hash of everything that determines a layer's bytes. Written as `sha256:` and 64 hexadecimal digits.
///
/// It is known right after resolution, before anything is downloaded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Digest(pub Sha256);

impl Digest {
    /// The digest of the layer that these packages, and no others, make for a target.
    ///
    /// It is over canonical JSON: members in the order of their names, no white space. A wheel
    /// counts with its own hash; one that is built from source with that of the source, since two
    /// builds of one source differ.
    pub fn of_layer<'a>(target: Target, packages: impl IntoIterator<Item = Component<'a>>) -> Self {
        Self::of_contents(target, packages, None, &Pruning::default())
    }

    /// The digest of the layer that these packages make together with extra files, which are
    /// ordered by path, if some of the packages' files are pruned.
    ///
    /// Files count with their paths, hashes and modes, patterns as they are written.
    pub fn of_contents<'a>(
        target: Target,
        packages: impl IntoIterator<Item = Component<'a>>,
        files: Option<Sha256>,
        pruning: &Pruning,
    ) -> Self {
        Self::of(&Content {
            architecture: Some(target.architecture.name()),
            runtime: Some(target.runtime.identifier()),
            wheels: Some(sorted(packages)),
            ..Content::new(files, pruning)
        })
    }

    /// The digest of the layer that is merged of what these packages make for several targets, all
    /// of one architecture, which counts with each of them. Extra files and what is pruned
    /// count as in [`Self::of_contents`].
    ///
    /// It is the same in any order of the targets, and that of no layer [for one](Self::of_layer).
    pub fn of_merged<'a, P: IntoIterator<Item = Component<'a>>>(
        trees: impl IntoIterator<Item = (Target, P)>,
        files: Option<Sha256>,
        pruning: &Pruning,
    ) -> Self {
        let tree = |(target, packages): (Target, P)| Tree {
            architecture: target.architecture.name(),
            runtime: target.runtime.identifier(),
            wheels: sorted(packages),
        };
        Self::of(&Content {
            trees: Some(sorted(trees.into_iter().map(tree))),
            ..Content::new(files, pruning)
        })
    }

    /// The digest of what another output than a layer's zip makes of the same contents.
    #[must_use]
    pub fn of_output(self, output: &str) -> Self {
        Self::of(&OfOutput {
            contents: self,
            output,
        })
    }

    fn of(content: &impl Serialize) -> Self {
        let canonical =
            serde_json::to_vec(content).expect("strings, numbers and lists are always JSON");
        Self(Sha256::of(&canonical))
    }
}

/// Sorts what a layer is made of: its order says nothing.
fn sorted<T: Ord>(parts: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<_> = parts.into_iter().collect();
    sorted.sort();
    sorted
}

/// The content of a layer for one target, or of a merged one: of that, `trees` says more. Members
/// are in the order of their names.
#[serde_with::skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Content<'a> {
    archive_format: u32,
    architecture: Option<&'a str>,
    files: Option<Sha256>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prune: Vec<&'a str>,
    runtime: Option<&'a str>,
    trees: Option<Vec<Tree<'a>>>,
    wheels: Option<Vec<Component<'a>>>,
}

impl<'a> Content<'a> {
    fn new(files: Option<Sha256>, pruning: &'a Pruning) -> Self {
        Self {
            archive_format: ARCHIVE_FORMAT,
            architecture: None,
            files,
            include: pruning.include().map(Pattern::as_str).collect(),
            prune: pruning.prune().map(Pattern::as_str).collect(),
            runtime: None,
            trees: None,
            wheels: None,
        }
    }
}

/// Members in the order of their names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OfOutput<'a> {
    contents: Digest,
    output: &'a str,
}

/// Members in the order of their names.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tree<'a> {
    architecture: &'a str,
    runtime: &'a str,
    wheels: Vec<Component<'a>>,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl FromStr for Digest {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash = text.strip_prefix("sha256:");
        hash.ok_or_else(|| ParseTextError::new(RULE, text))?
            .parse()
            .map(Self)
    }
}
