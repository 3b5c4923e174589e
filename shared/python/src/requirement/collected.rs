//! Requirements as they are collected: each once, and so many at most.

use std::collections::BTreeMap;

use accretion_core::diagnostic::{Problem, code};

use super::{Requirement, sort};

/// The requirements or the constraints found so far.
pub(crate) struct Collected<P> {
    what: &'static str,
    limit: usize,
    /// The words for a single one.
    one: &'static str,
    items: Vec<Requirement>,
    /// The place of each normalised line.
    places: BTreeMap<String, P>,
    /// Those so far, the ones that are not kept included.
    seen: usize,
}

impl<P> Collected<P> {
    pub(crate) fn new(what: &'static str, limit: usize, one: &'static str) -> Self {
        Self {
            what,
            limit,
            one,
            items: Vec::new(),
            places: BTreeMap::new(),
            seen: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.seen > self.limit
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn places(&self) -> &BTreeMap<String, P> {
        &self.places
    }

    /// The problem that there are more than the limit.
    pub(crate) fn too_many(&self) -> Problem {
        let message = format!("there are over {} {}", self.limit, self.what);
        Problem::error(code::TOO_MANY_REQUIREMENTS, message).help("make several layers of them")
    }

    /// Adds a requirement, unless there is a problem with that.
    pub(crate) fn add(&mut self, requirement: Requirement, place: P) -> Option<Problem> {
        self.seen += 1;
        if self.is_over() {
            return Some(self.too_many());
        }
        let specifier = &requirement.specifier;
        if specifier.marker.is_false() {
            let message = format!("the marker of `{}` is never true", specifier.name);
            let problem = Problem::warning(code::REQUIREMENT_NEVER_APPLIES, message);
            return Some(problem.help(format!("remove {}, or correct its marker", self.one)));
        }
        let line = requirement.to_string();
        if self.places.contains_key(&line) {
            let message = format!("`{specifier}` appears twice");
            return Some(Problem::warning(code::REQUIREMENT_REPEATED, message).help("remove one"));
        }
        self.places.insert(line, place);
        self.items.push(requirement);
        None
    }

    pub(crate) fn into_sorted(self) -> Vec<Requirement> {
        let mut items = self.items;
        sort(&mut items);
        items
    }
}
