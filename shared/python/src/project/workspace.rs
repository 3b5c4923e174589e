//! Workspaces of uv: which folders are members.

use std::path::{Component, Path};

use globset::{GlobBuilder, GlobMatcher};
use toml::de::DeTable;

use super::document::{at, strings};

/// The members of a workspace, by patterns over the paths from its root.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    members: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

/// A pattern, part by part. `None` is `**`.
#[derive(Debug, Clone)]
struct Pattern(Vec<Option<GlobMatcher>>);

impl Workspace {
    /// Reads `tool.uv`. There is no workspace in what uv does not manage.
    pub(super) fn read(uv: &DeTable<'_>) -> Option<Self> {
        let is_managed = at(uv, &["managed"]).and_then(|it| it.get_ref().as_bool()) != Some(false);
        let workspace = at(uv, &["workspace"])
            .filter(|_| is_managed)?
            .get_ref()
            .as_table()?;
        let patterns = |key| strings(workspace, &[key]).filter_map(|(it, _)| Pattern::new(it));
        Some(Self {
            members: patterns("members").collect(),
            excluded: patterns("exclude").collect(),
        })
    }

    /// Returns whether the folder at a path from the root is a member. The root is one.
    pub fn has(&self, path: &Path) -> bool {
        let parts = parts(path);
        let is_any = |patterns: &[Pattern]| patterns.iter().any(|it| it.matches(&parts));
        parts.is_empty() || (is_any(&self.members) && !is_any(&self.excluded))
    }

    /// Returns whether there may be members below the folder at a path from the root.
    pub fn leads_through(&self, path: &Path) -> bool {
        let parts = parts(path);
        self.members.iter().any(|it| it.leads_through(&parts))
    }
}

fn parts(path: &Path) -> Vec<String> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    parts.collect()
}

impl Pattern {
    fn new(text: &str) -> Option<Self> {
        let names = text.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts = names.map(|part| match part {
            "**" => Some(None),
            part => {
                let glob = GlobBuilder::new(part)
                    .literal_separator(true)
                    .build()
                    .ok()?;
                Some(Some(glob.compile_matcher()))
            }
        });
        Some(Self(parts.collect::<Option<_>>()?))
    }

    fn matches(&self, path: &[String]) -> bool {
        matches(&self.0, path)
    }

    fn leads_through(&self, path: &[String]) -> bool {
        let is_open = self.0.iter().position(Option::is_none);
        let length = is_open.unwrap_or(self.0.len());
        (is_open.is_some() || path.len() < length)
            && self.0[..length]
                .iter()
                .zip(path)
                .all(|(part, name)| part.as_ref().is_none_or(|glob| glob.is_match(name)))
    }
}

fn matches(pattern: &[Option<GlobMatcher>], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((None, rest)), _) => {
            matches(rest, path)
                || path
                    .split_first()
                    .is_some_and(|(_, path)| matches(pattern, path))
        }
        (Some((Some(glob), rest)), Some((name, path))) => {
            glob.is_match(name) && matches(rest, path)
        }
        _ => false,
    }
}
