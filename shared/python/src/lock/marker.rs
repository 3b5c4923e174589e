//! Markers of lock files (PEP 751): those of PEP 508, and memberships in extras and groups.
//!
//! Only single comparisons are given to `pep508_rs`. It normalises whole markers, in time that
//! grows exponentially with what they compare, and here only their value counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use accretion_core::excerpt::{shown, shown_within};
use accretion_core::limits::Limits;
use pep508_rs::{ExtraName, MarkerEnvironment, MarkerTree};

use super::selection::{Selection, normalised};
use crate::requirement::fragment;

/// The groups and extras that a marker may ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Activated {
    /// Normalised.
    groups: Arc<BTreeSet<String>>,
    extras: Vec<ExtraName>,
}

impl Activated {
    /// The default groups of a lock file, and what is selected beside them.
    pub(super) fn new(default_groups: &[String], selection: &Selection) -> Self {
        let default = default_groups.iter().map(|group| normalised(group));
        let selected = selection.groups.iter().map(ToString::to_string);
        Self {
            groups: Arc::new(default.chain(selected).collect()),
            extras: selection.extras.iter().cloned().collect(),
        }
    }

    /// Selects extras as if they were groups.
    pub(super) fn add_groups(&mut self, extras: &BTreeSet<ExtraName>) {
        let groups = Arc::make_mut(&mut self.groups);
        groups.extend(extras.iter().map(ToString::to_string));
    }

    /// Returns whether a group is selected, however its name is written.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.groups.contains(&normalised(group))
    }

    /// Returns whether an extra is selected, however its name is written.
    pub(super) fn has_extra(&self, extra: &str) -> bool {
        let name = normalised(extra);
        self.extras.iter().any(|selected| selected.as_ref() == name)
    }

    /// The extras that are selected.
    pub(super) fn extras(&self) -> &[ExtraName] {
        &self.extras
    }

    /// The groups that are selected, normalised.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// With other extras.
    pub(super) fn with_extras(&self, extras: Vec<ExtraName>) -> Self {
        Self {
            groups: Arc::clone(&self.groups),
            extras,
        }
    }
}

/// Returns whether a marker is true. The error is the rest of a sentence.
pub(super) fn evaluate(
    marker: &str,
    environment: &MarkerEnvironment,
    activated: &Activated,
) -> Result<bool, String> {
    // The library panics on some of them, and no value that a marker is compared with has any.
    if !marker.is_ascii() {
        return Err("it has characters beyond ASCII".into());
    }
    let mut evaluation = Evaluation {
        tokens: tokens(marker),
        at: 0,
        depth: 0,
        environment,
        activated,
    };
    let value = evaluation.alternatives()?;
    match evaluation.next() {
        None => Ok(value),
        Some(token) => Err(format!(
            "there is nothing that `{}` belongs to",
            shown(token)
        )),
    }
}

/// Quoted strings and brackets as they are, and whatever else stands without space.
fn tokens(marker: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = marker.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            '(' | ')' => 1,
            _ => rest
                .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '(' | ')'))
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

struct Evaluation<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    depth: usize,
    environment: &'a MarkerEnvironment,
    activated: &'a Activated,
}

impl<'a> Evaluation<'a> {
    fn next(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_next = self.next() == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn alternatives(&mut self) -> Result<bool, String> {
        let mut value = self.conjunction()?;
        while self.eat("or") {
            // Every part is read, so that every part is checked.
            value |= self.conjunction()?;
        }
        Ok(value)
    }

    fn conjunction(&mut self) -> Result<bool, String> {
        let mut value = self.term()?;
        while self.eat("and") {
            value &= self.term()?;
        }
        Ok(value)
    }

    fn term(&mut self) -> Result<bool, String> {
        if !self.eat("(") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > Limits::MARKER_DEPTH {
            return Err(format!("it is over {} brackets deep", Limits::MARKER_DEPTH));
        }
        let value = self.alternatives()?;
        if !self.eat(")") {
            return Err("a bracket is not closed".into());
        }
        self.depth -= 1;
        Ok(value)
    }

    fn comparison(&mut self) -> Result<bool, String> {
        let rest = &self.tokens[self.at..];
        let is_end = |token: &&str| matches!(*token, "and" | "or" | "(" | ")");
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        let tokens = &rest[..length];
        self.at += length;
        match tokens {
            [] => Err("a comparison is missing".into()),
            [member, "in", set @ ("extras" | "dependency_groups")] => {
                Ok(self.contains(set, unquoted(member)?))
            }
            [member, "not", "in", set @ ("extras" | "dependency_groups")] => {
                Ok(!self.contains(set, unquoted(member)?))
            }
            _ => self.pep508(&tokens.join(" ")),
        }
    }

    fn contains(&self, set: &str, member: &str) -> bool {
        match set {
            "extras" => self.activated.has_extra(member),
            _ => self.activated.has_group(member),
        }
    }

    fn pep508(&self, comparison: &str) -> Result<bool, String> {
        let mut warning = None;
        let mut reporter = |_, text: String| warning = Some(text);
        let tree = MarkerTree::parse_reporter(comparison, &mut reporter)
            .map_err(|error| told(&error.message.to_string()))?;
        match warning {
            // The library leaves out what it warns of, as if it were always true.
            Some(warning) => Err(told(&warning)),
            None => Ok(tree.evaluate(self.environment, &self.activated.extras)),
        }
    }
}

fn unquoted(text: &str) -> Result<&str, String> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .ok_or_else(|| format!("`{}` is not quoted", shown(text)))
}

/// The library's message, which may quote the marker.
fn told(message: &str) -> String {
    shown_within(&fragment(message), 200)
}
