//! The graph of a lock file's packages, in formats that do not say of each package
//! whether it applies.

use std::collections::{BTreeSet, HashMap, HashSet};

use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use pep508_rs::{ExtraName, MarkerEnvironment, PackageName};

use super::constraint::Constraint;
use super::environment::applies;
use super::marker::Activated;
use super::selection::normalised;
use super::{Lock, invalid};
use crate::error::Error;

/// The packages of a lock file, by index, and what each requires.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    /// The requirements of the project.
    pub(super) roots: Vec<(When, Edge)>,
    /// The requirements of each package.
    pub(super) edges: Vec<Vec<(When, Edge)>>,
    /// The packages that are the project itself: what they require is required to begin with, and
    /// they are left out.
    pub(super) projects: Vec<usize>,
    /// The properties of each package that a requirement may name, besides the version.
    pub(super) forks: Vec<Fork>,
    /// Extras and groups that exclude each other, as markers name them.
    pub(super) conflicts: Vec<Vec<When>>,
    /// The packages of each name, normalised.
    pub(super) by_name: HashMap<String, Vec<usize>>,
}

/// The condition under which a requirement applies, besides its marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// If an extra is wanted of what requires it.
    Extra(String),
    /// If a dependency group is selected.
    Group(String),
}

impl When {
    /// Returns whether it is the case for the project itself.
    fn is_selected(&self, activated: &Activated) -> bool {
        match self {
            Self::Always => true,
            Self::Extra(extra) => activated.has_extra(extra),
            Self::Group(group) => activated.has_group(group),
        }
    }
}

/// The properties that tell versions of one package apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Fork {
    pub(super) source: String,
    /// One of these has to be true, if there are any.
    pub(super) markers: Vec<String>,
}

/// A requirement.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    pub(super) name: String,
    /// The very version.
    pub(super) version: Option<String>,
    /// The very source.
    pub(super) source: Option<String>,
    /// The constraint on the version, in poetry's form.
    pub(super) constraint: Option<String>,
    /// The Python versions that it is for, in poetry's form.
    pub(super) python: Option<String>,
    pub(super) extras: Vec<String>,
    pub(super) marker: Option<String>,
}

/// A package, or one of its extras.
type Node = (usize, Option<String>);

impl Graph {
    /// The packages of a lock file, by their names.
    pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<String, Vec<usize>> {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, name) in names.enumerate() {
            by_name.entry(normalised(name)).or_default().push(at);
        }
        by_name
    }

    /// Returns whether nothing is required to begin with.
    pub(super) fn requires_nothing(&self) -> bool {
        let mut projects = self.projects.iter().filter_map(|at| self.edges.get(*at));
        self.roots.is_empty() && projects.all(Vec::is_empty)
    }

    /// The packages that are needed, the project itself left out. What `own` packages require is
    /// needed, too: another member of the workspace may be the one that is installed.
    pub(super) fn reach(
        &self,
        lock: &Lock,
        environment: &MarkerEnvironment,
        activated: &Activated,
        own: &[PackageName],
    ) -> Result<BTreeSet<usize>, Error> {
        self.check_conflicts(activated)?;
        let mut constraints = HashMap::new();
        let mut steps = 0;
        let mut conflicting = self.conflicting(lock, activated);
        for _ in 0..PASSES {
            let mut walk = Walk {
                lock,
                graph: self,
                environment,
                selected: activated,
                conflicting,
                seen: HashSet::new(),
                open: Vec::new(),
                constraints: &mut constraints,
                learned: false,
                steps: &mut steps,
            };
            walk.run(own)?;
            if !walk.learned {
                let reached = walk.seen.into_iter().map(|(at, _)| at);
                return Ok(reached.filter(|at| !self.projects.contains(at)).collect());
            }
            conflicting = walk.conflicting;
        }
        Err(invalid(
            "what it requires of a package contradicts itself".into(),
        ))
    }

    fn check_conflicts(&self, activated: &Activated) -> Result<(), Error> {
        for conflict in &self.conflicts {
            let items = conflict.iter().filter(|it| it.is_selected(activated));
            let selected: Vec<_> = items.collect();
            if let [
                When::Extra(one) | When::Group(one),
                When::Extra(other) | When::Group(other),
                ..,
            ] = selected.as_slice()
            {
                let (one, other) = (shown(one), shown(other));
                return Err(Error::SelectionConflict { one, other });
            }
        }
        Ok(())
    }

    /// The selections of the project, as the markers of uv name them if selections exclude each
    /// other.
    fn conflicting(&self, lock: &Lock, activated: &Activated) -> Vec<ExtraName> {
        if self.conflicts.is_empty() {
            return Vec::new();
        }
        let projects = self.projects.iter().filter_map(|at| lock.packages.get(*at));
        let names = projects.flat_map(|project| {
            let name = normalised(&project.name);
            let of_name = format!("{}-{name}", name.len());
            let extras = activated.extras().iter();
            let mut names: Vec<_> = extras.map(|it| format!("extra-{of_name}-{it}")).collect();
            names.extend(activated.groups().map(|it| format!("group-{of_name}-{it}")));
            names.push(format!("project-{of_name}"));
            names
        });
        names.filter_map(|name| name.parse().ok()).collect()
    }
}

/// The number of times that a walk starts again because it learned which of several versions is
/// meant.
const PASSES: usize = 16;

struct Walk<'a> {
    lock: &'a Lock,
    graph: &'a Graph,
    environment: &'a MarkerEnvironment,
    selected: &'a Activated,
    conflicting: Vec<ExtraName>,
    seen: HashSet<Node>,
    open: Vec<Node>,
    /// The requirements of packages that have several versions.
    constraints: &'a mut HashMap<String, Vec<String>>,
    /// True if more constraints or extras came up than had been known when a version was chosen.
    learned: bool,
    /// The steps taken so far.
    steps: &'a mut usize,
}

impl<'a> Walk<'a> {
    fn run(&mut self, own: &[PackageName]) -> Result<(), Error> {
        let graph = self.graph;
        let activated = self.activated(None);
        for (when, edge) in &graph.roots {
            if when.is_selected(self.selected) {
                self.follow(edge, &activated)?;
            }
        }
        for &project in &graph.projects {
            self.enter((project, None));
            for extra in self.selected.extras() {
                self.enter((project, Some(extra.to_string())));
            }
            for (when, edge) in self.edges(project) {
                if let When::Group(group) = when
                    && self.selected.has_group(group)
                {
                    self.follow(edge, &activated)?;
                }
            }
        }
        let of_own = own
            .iter()
            .filter_map(|name| graph.by_name.get(name.as_ref()));
        for &at in of_own.flatten() {
            self.enter((at, None));
        }
        while let Some((at, extra)) = self.open.pop() {
            self.spend(1 + self.conflicting.len() + self.edges(at).len())?;
            let activated = self.activated(extra.as_deref());
            for (when, edge) in self.edges(at) {
                let applies = match (when, &extra) {
                    (When::Always, None) => true,
                    // Poetry says in the marker what an extra requires.
                    (When::Always, Some(_)) => edge
                        .marker
                        .as_deref()
                        .is_some_and(|it| it.contains("extra")),
                    (When::Extra(one), Some(other)) => normalised(one) == *other,
                    (When::Extra(_), None) | (When::Group(_), _) => false,
                };
                if applies {
                    self.follow(edge, &activated)?;
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), Error> {
        *self.steps = self.steps.saturating_add(steps);
        if *self.steps > Limits::LOCK_STEPS {
            return Err(invalid(
                "what its packages require of each other is too much to follow".into(),
            ));
        }
        Ok(())
    }

    fn edges(&self, at: usize) -> &'a [(When, Edge)] {
        self.graph.edges.get(at).map_or(&[], Vec::as_slice)
    }

    fn activated(&self, extra: Option<&str>) -> Activated {
        let named = extra.and_then(|extra| extra.parse().ok());
        let extras = self.conflicting.iter().cloned().chain(named);
        self.selected.with_extras(extras.collect())
    }

    fn enter(&mut self, node: Node) {
        if let (at, Some(extra)) = &node
            && !self.graph.conflicts.is_empty()
            && let Some(package) = self.lock.packages.get(*at)
        {
            let name = normalised(&package.name);
            let active = format!("extra-{}-{name}-{extra}", name.len());
            if let Ok(active) = active.parse()
                && !self.conflicting.contains(&active)
            {
                self.conflicting.push(active);
                self.learned = true;
            }
        }
        if self.seen.insert(node.clone()) {
            self.open.push(node);
        }
    }

    fn follow(&mut self, edge: &Edge, activated: &Activated) -> Result<(), Error> {
        let marker = edge.marker.as_ref().map_or(0, String::len);
        let python = edge.python.as_ref().map_or(0, String::len);
        self.spend(1 + marker + python + edge.extras.len())?;
        if let Some(marker) = &edge.marker
            && !applies(marker, self.environment, activated)?
        {
            return Ok(());
        }
        if let Some(python) = &edge.python
            && !Constraint::parse(python)?
                .holds_for(&self.environment.python_full_version().version)
        {
            return Ok(());
        }
        let at = self.find(edge, activated)?;
        self.enter((at, None));
        for extra in &edge.extras {
            self.enter((at, Some(normalised(extra))));
        }
        Ok(())
    }

    /// The package that is meant.
    fn find(&mut self, edge: &Edge, activated: &Activated) -> Result<usize, Error> {
        let graph = self.graph;
        let name = normalised(&edge.name);
        let mut found = graph.by_name.get(&name).cloned().unwrap_or_default();
        self.spend(found.len())?;
        let packages = &self.lock.packages;
        if let Some(version) = &edge.version {
            found.retain(|at| packages[*at].version.as_ref() == Some(version));
        }
        let fork = |at: usize| graph.forks.get(at);
        if let Some(source) = &edge.source {
            found.retain(|at| fork(*at).is_some_and(|fork| fork.source == *source));
        }
        if found.len() > 1 {
            let mut fitting = Vec::new();
            for at in found {
                let markers = fork(at).map_or(&[] as &[_], |fork| fork.markers.as_slice());
                let mut fits = markers.is_empty();
                for marker in markers {
                    self.spend(marker.len())?;
                    fits |= applies(marker, self.environment, activated)?;
                }
                if fits {
                    fitting.push(at);
                }
            }
            found = fitting;
        }
        if found.len() > 1
            && let Some(constraint) = &edge.constraint
        {
            found = self.choose(&name, constraint, found)?;
        }
        match found.as_slice() {
            [at] => Ok(*at),
            [] => Err(invalid(format!(
                "`{}` is required, and not locked",
                shown(&edge.name)
            ))),
            _ => Err(invalid(format!(
                "more than one version of `{}` is locked, and it does not say which one applies",
                shown(&edge.name)
            ))),
        }
    }

    /// The highest of several versions that satisfies every requirement.
    fn choose(
        &mut self,
        name: &str,
        constraint: &str,
        found: Vec<usize>,
    ) -> Result<Vec<usize>, Error> {
        let known = self.constraints.entry(name.to_owned()).or_default();
        if !known.iter().any(|known| known == constraint) {
            self.learned |= !known.is_empty();
            known.push(constraint.to_owned());
        }
        let constraints = known.clone();
        let length: usize = constraints.iter().map(|one| 1 + one.len()).sum();
        self.spend(length.saturating_mul(found.len()))?;
        let mut fitting = Vec::new();
        for at in found {
            let package = &self.lock.packages[at];
            let Some(version) = package.version.as_deref().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let mut fits = true;
            for constraint in &constraints {
                fits &= Constraint::parse(constraint)?.contains(&version);
            }
            if fits {
                fitting.push((version, at));
            }
        }
        let highest = fitting
            .into_iter()
            .max_by(|(one, _), (other, _)| one.cmp(other));
        Ok(highest.map(|(_, at)| at).into_iter().collect())
    }
}
