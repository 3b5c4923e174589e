//! Pruning: which files of packages stay out of a layer, by patterns over their paths.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::excerpt::shown;
use crate::limits::Limits;

/// A pattern over paths below `python/`, written as in a `.gitignore`.
///
/// One without a slash, but for one at its end, is about files and folders of that name, wherever they
/// are; any other about paths from `python/` on. A folder stands for all that is in it, and with a slash
/// at its end a pattern is about folders only. `*`, `?` and `[a-z]` stand for no slash, `**` for any
/// number of folders, `{a,b}` for either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The globs over whole paths of files that it stands for.
    fn globs(&self) -> Result<Vec<Glob>, ParsePatternError> {
        let text = self.0.as_str();
        let is_of_folders = text.ends_with('/');
        let path = text.trim_end_matches('/');
        let path = if path.contains('/') {
            path.trim_start_matches('/').to_owned()
        } else {
            format!("**/{path}")
        };
        let itself = (!is_of_folders).then(|| path.clone());
        let inside = format!("{path}/**");
        let globs = itself.into_iter().chain([inside]).map(|glob| {
            GlobBuilder::new(&glob)
                .literal_separator(true)
                .backslash_escape(false)
                .build()
                .map_err(|error| ParsePatternError(shown(&error.kind().to_string())))
        });
        globs.collect()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no pattern over paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is one as in a .gitignore, such as `tests/` or `*.pyi`: {0}")]
pub struct ParsePatternError(String);

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |problem: &str| Err(ParsePatternError(problem.to_owned()));
        let without_end = text.strip_suffix('/').unwrap_or(text);
        let path = without_end.strip_prefix('/').unwrap_or(without_end);
        if text.len() > Limits::PATTERN_BYTES {
            return refused("it has more than 256 bytes");
        }
        if text.contains(|c: char| c.is_control() || c == '\\') {
            return refused("it has a backslash or a control character");
        }
        if text.starts_with('!') {
            return refused("it starts with `!`; what is to stay has patterns of its own");
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refused("an empty name, `.` or `..` is in it");
        }
        let pattern = Self(text.to_owned());
        let mut set = GlobSetBuilder::new();
        for glob in pattern.globs()? {
            set.add(glob);
        }
        match set.build() {
            Ok(_) => Ok(pattern),
            Err(error) => refused(&shown(&error.kind().to_string())),
        }
    }
}

/// The rules by which files of packages stay out of a layer. By default none do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruning {
    prune: BTreeSet<Pattern>,
    include: BTreeSet<Pattern>,
}

/// So many patterns that they can't be held together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all patterns together are too large")]
pub struct PatternsTooLarge;

impl Pruning {
    /// Leaves out a file that matches one of `prune`, unless it matches one of `include`.
    ///
    /// Without `prune` there is nothing that `include` could bring back, and it is dropped.
    pub fn new(
        prune: BTreeSet<Pattern>,
        include: BTreeSet<Pattern>,
    ) -> Result<Self, PatternsTooLarge> {
        if prune.is_empty() {
            return Ok(Self::default());
        }
        Globs::new(&prune)
            .and(Globs::new(&include))
            .ok_or(PatternsTooLarge)?;
        Ok(Self { prune, include })
    }

    /// Returns whether nothing is pruned.
    pub fn is_empty(&self) -> bool {
        self.prune.is_empty()
    }

    /// The patterns that prune, in order.
    pub fn prune(&self) -> impl Iterator<Item = &Pattern> {
        self.prune.iter()
    }

    /// The patterns that keep files nevertheless, in order.
    pub fn include(&self) -> impl Iterator<Item = &Pattern> {
        self.include.iter()
    }

    /// Starts to prune.
    pub fn pruner(&self) -> Pruner {
        let globs = |patterns| Globs::new(patterns).expect("it was tried when this was made");
        Pruner {
            prune: globs(&self.prune),
            include: globs(&self.include),
            matches: Vec::new(),
        }
    }
}

/// Patterns as globs, and which of them have matched.
#[derive(Debug)]
pub struct Globs {
    set: GlobSet,
    /// Of each glob, the index of its pattern.
    pattern_of: Vec<usize>,
    /// The patterns, and whether they have matched.
    patterns: Vec<(Pattern, bool)>,
}

impl Globs {
    /// Returns `None` for patterns that are too large together.
    pub fn new(patterns: &BTreeSet<Pattern>) -> Option<Self> {
        let (mut set, mut pattern_of) = (GlobSetBuilder::new(), Vec::new());
        for (index, pattern) in patterns.iter().enumerate() {
            for glob in pattern.globs().ok()? {
                set.add(glob);
                pattern_of.push(index);
            }
        }
        Some(Self {
            set: set.build().ok()?,
            pattern_of,
            patterns: patterns.iter().map(|it| (it.clone(), false)).collect(),
        })
    }

    /// Returns whether a pattern matches the path of a file. `globs` is kept for its memory.
    pub fn matches(&mut self, path: &str, globs: &mut Vec<usize>) -> bool {
        self.set.matches_into(path, globs);
        for glob in &*globs {
            self.patterns[self.pattern_of[*glob]].1 = true;
        }
        !globs.is_empty()
    }

    /// The patterns that have matched nothing.
    pub fn unmatched(&self) -> impl Iterator<Item = &Pattern> {
        let unmatched = self.patterns.iter().filter(|(_, has_matched)| !has_matched);
        unmatched.map(|(pattern, _)| pattern)
    }
}

/// Prunes, and remembers which patterns have ever matched.
#[derive(Debug)]
pub struct Pruner {
    prune: Globs,
    include: Globs,
    /// Kept for its memory.
    matches: Vec<usize>,
}

impl Pruner {
    /// Returns whether a file stays out. `path` is that below `python/`.
    pub fn prunes(&mut self, path: &str) -> bool {
        if self.prune.patterns.is_empty() {
            return false;
        }
        self.prune.matches(path, &mut self.matches)
            && !self.include.matches(path, &mut self.matches)
    }

    /// The patterns that no file has matched: of those that bring back, none that would have been
    /// pruned.
    pub fn unmatched(&self) -> Vec<Pattern> {
        let unmatched = self.prune.unmatched().chain(self.include.unmatched());
        unmatched.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruning(prune: &[&str], include: &[&str]) -> Pruning {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Pruning::new(patterns(prune), patterns(include)).unwrap()
    }

    #[test]
    fn patterns_are_those_of_a_gitignore() {
        for (pattern, pruned, kept) in [
            (
                "tests/",
                &["tests/a.py", "a/tests/b/c.py", "tests/x/y"][..],
                &["tests", "a/tests", "a/mytests/b.py", "tests.py"][..],
            ),
            ("tests", &["tests", "a/tests", "a/tests/b"], &["atests/b"]),
            ("*.pyi", &["a.pyi", "a/b/c.pyi"], &["a.py", "a/pyi"]),
            (
                "a/docs/",
                &["a/docs/x.md", "a/docs/b/x"],
                &["b/a/docs/x", "docs/x"],
            ),
            ("/docs/", &["docs/x"], &["a/docs/x"]),
            ("a/*/c", &["a/b/c", "a/b/c/d"], &["a/b/b/c", "a/c"]),
            ("a/**/c", &["a/c", "a/b/c", "a/b/b/c/d"], &["b/a/c"]),
            ("**/*.so", &["x.so", "a/x.so"], &["x.so.1"]),
            ("x.{c,h}", &["x.c", "b/x.h"], &["x.d"]),
            ("x[0-9]?", &["x1a"], &["x1", "x1/", "xaa"]),
            ("T", &["T"], &["t"]),
            ("bin/", &["bin/tool"], &["a"]),
        ] {
            let mut pruner = pruning(&[pattern], &[]).pruner();
            for path in pruned {
                assert!(pruner.prunes(path), "{pattern} {path}");
            }
            for path in kept {
                assert!(!pruner.prunes(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_is_included_stays() {
        let pruning = pruning(&["tests/", "*.pyi", "nothing"], &["numpy/tests/", "*.pxd"]);
        let mut pruner = pruning.pruner();
        assert!(pruner.prunes("scipy/tests/a.py"));
        assert!(!pruner.prunes("numpy/tests/a.pyi"));
        // It would not have been pruned.
        assert!(!pruner.prunes("numpy/a.pxd"));
        let unmatched = pruner.unmatched();
        let unmatched: Vec<_> = unmatched.iter().map(Pattern::as_str).collect();
        assert_eq!(unmatched, ["nothing", "*.pxd"]);
    }

    #[test]
    fn without_anything_to_prune_there_is_nothing_to_keep() {
        let include = BTreeSet::from(["*.py".parse().unwrap()]);
        let pruning = Pruning::new(BTreeSet::new(), include).unwrap();
        assert_eq!(pruning, Pruning::default());
        assert!(pruning.is_empty());
        assert!(!pruning.pruner().prunes("a.py"));
    }

    #[test]
    fn texts_that_are_no_pattern() {
        let long = "x".repeat(257);
        for text in [
            "", "/", "//", "a//b", "./a", "a/..", "!a", "a\\b", "a\nb", "[", "a{b", "[z-a]", &long,
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        /// No text that a user may write brings down a build.
        #[test]
        fn whatever_is_a_pattern_can_be_used(
            texts in proptest::collection::vec(r"[a-z*?/{},\[\]!^.-]{0,24}", 0..8),
            path in r"[a-z.]{1,4}(/[a-z.]{1,4}){0,4}",
        ) {
            let patterns: BTreeSet<Pattern> = texts.iter().filter_map(|it| it.parse().ok()).collect();
            let pruning = Pruning::new(patterns.clone(), BTreeSet::new()).unwrap();
            let is_pruned = pruning.pruner().prunes(&path);
            // What a pattern takes, the same pattern brings back.
            let pruning = Pruning::new(patterns.clone(), patterns.clone()).unwrap();
            proptest::prop_assert!(!pruning.pruner().prunes(&path));
            // Any one of them is enough.
            let alone = patterns.into_iter().any(|pattern| {
                let pruning = Pruning::new(BTreeSet::from([pattern]), BTreeSet::new());
                pruning.unwrap().pruner().prunes(&path)
            });
            proptest::prop_assert_eq!(is_pruned, alone);
        }
    }
}
