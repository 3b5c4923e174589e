//! The target of one of a project's layers: a runtime on an architecture, or several runtimes on one.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::{Architecture, Runtime, Target};

/// The target of one of a project's layers. Everything that is stored about a layer is named after it.
///
/// The name of a merged layer does not depend on its runtimes: with another runtime it gets a new
/// version, and does not become another layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerTarget {
    /// A layer for one target.
    One(Target),
    /// A merged layer, for all of a request's runtimes on an architecture.
    Merged(Architecture),
}

impl LayerTarget {
    /// Every layer target that a project may have.
    pub fn all() -> impl Iterator<Item = Self> {
        let merged = Architecture::ALL.map(Self::Merged);
        Target::all().map(Self::One).chain(merged)
    }

    /// The layer target of a [`slug`](Self::slug).
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::all().find(|target| target.slug() == slug)
    }

    /// The short form that layer names end in: [that of a target](Target::slug), or `py` for a
    /// merged layer on x86_64 and `py-arm64` for one on arm64.
    pub fn slug(self) -> String {
        match self {
            Self::One(target) => target.slug(),
            Self::Merged(Architecture::X86_64) => "py".to_owned(),
            Self::Merged(Architecture::Arm64) => "py-arm64".to_owned(),
        }
    }

    /// The CPU architecture.
    pub fn architecture(self) -> Architecture {
        match self {
            Self::One(target) => target.architecture,
            Self::Merged(architecture) => architecture,
        }
    }

    /// The runtime; `None` for a merged layer.
    pub fn runtime(self) -> Option<Runtime> {
        match self {
            Self::One(target) => Some(target.runtime),
            Self::Merged(_) => None,
        }
    }

    /// The runtime's identifier, or `python` for a merged layer.
    pub fn python(self) -> &'static str {
        self.runtime().map_or("python", Runtime::identifier)
    }
}

impl From<Target> for LayerTarget {
    fn from(target: Target) -> Self {
        Self::One(target)
    }
}

impl fmt::Display for LayerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.python(), self.architecture())
    }
}

impl<'de> Deserialize<'de> for LayerTarget {
    /// Reads the short form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slug = String::deserialize(deserializer)?;
        let problem = || format!("`{}` is no target", crate::excerpt::shown(&slug));
        Self::from_slug(&slug).ok_or_else(|| serde::de::Error::custom(problem()))
    }
}

/// A layer target and the runtimes that the layer is compatible with, on its architecture.
///
/// In AWS's API, `CompatibleRuntimes` and `CompatibleArchitectures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compatibility {
    target: LayerTarget,
    /// Never empty.
    runtimes: BTreeSet<Runtime>,
}

impl Compatibility {
    /// A layer target and its runtimes; `None` if there are none, or others than that of its one
    /// target.
    pub fn new(target: LayerTarget, runtimes: impl IntoIterator<Item = Runtime>) -> Option<Self> {
        let runtimes: BTreeSet<_> = runtimes.into_iter().collect();
        let is_possible = match target {
            LayerTarget::One(target) => runtimes.iter().eq([&target.runtime]),
            LayerTarget::Merged(_) => !runtimes.is_empty(),
        };
        is_possible.then_some(Self { target, runtimes })
    }

    /// The layer target.
    pub fn target(&self) -> LayerTarget {
        self.target
    }

    /// The CPU architecture.
    pub fn architecture(&self) -> Architecture {
        self.target.architecture()
    }

    /// The runtimes, oldest first.
    pub fn runtimes(&self) -> impl ExactSizeIterator<Item = Runtime> + '_ {
        self.runtimes.iter().copied()
    }

    /// The targets that packages are selected for: each of the runtimes on the architecture.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = Target> + '_ {
        let architecture = self.architecture();
        self.runtimes().map(move |runtime| Target {
            runtime,
            architecture,
        })
    }
}

impl From<Target> for Compatibility {
    fn from(target: Target) -> Self {
        Self {
            target: target.into(),
            runtimes: [target.runtime].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_tell_layers_apart() {
        for target in LayerTarget::all() {
            assert_eq!(LayerTarget::from_slug(&target.slug()), Some(target));
        }
        assert_eq!(LayerTarget::all().count(), Target::all().count() + 2);
        for slug in ["", "py-", "py-x86_64", "py3", "python", "-py"] {
            assert_eq!(LayerTarget::from_slug(slug), None, "{slug}");
        }
    }

    #[test]
    fn that_of_one_target_is_named_as_the_target() {
        for target in Target::all() {
            let layer = LayerTarget::from(target);
            assert_eq!(layer.slug(), target.slug());
            assert_eq!(layer.to_string(), target.to_string());
        }
    }

    #[test]
    fn a_layer_is_for_what_it_is_called_after() {
        let one = LayerTarget::from_slug("py313-arm64").unwrap();
        let merged = LayerTarget::from_slug("py-arm64").unwrap();
        let (old, new) = (Runtime::Python312, Runtime::Python313);
        assert!(Compatibility::new(one, [new]).is_some());
        assert!(Compatibility::new(merged, [old]).is_some());
        for (target, runtimes) in [
            (one, &[old][..]),
            (one, &[old, new]),
            (one, &[]),
            (merged, &[]),
        ] {
            assert_eq!(
                Compatibility::new(target, runtimes.iter().copied()),
                None,
                "{target}"
            );
        }
        let both = Compatibility::new(merged, [new, old, new]).unwrap();
        let slugs: Vec<_> = both.targets().map(Target::slug).collect();
        assert_eq!(slugs, ["py312-arm64", "py313-arm64"]);
    }
}
