//! Writing what was selected as a `pylock.toml` (PEP 751).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

use accretion_core::target::{Architecture, Runtime, Target};
use serde::Serialize;

use super::{Locked, LockedFile, LockedPackage, Yanked};
use crate::index::without_credentials;

#[derive(Serialize)]
struct File {
    name: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    hashes: BTreeMap<&'static str, String>,
}

/// The file that one version of a package is installed from, and the targets it is for.
#[derive(Default)]
struct Version {
    targets: BTreeSet<Target>,
    sdist: Option<File>,
    /// By name.
    wheels: BTreeMap<String, File>,
}

/// Writes what targets get as a `pylock.toml` that selects just that again, and that others install
/// from: `uv pip sync` does.
///
/// It is for these targets and no others. A package that not every target gets, or not in the same
/// version, has a marker.
///
/// # Panics
///
/// Never: strings and numbers are always TOML.
pub fn write(selections: &[(Target, &[LockedPackage])]) -> String {
    let targets: BTreeSet<Target> = selections.iter().map(|(target, _)| *target).collect();
    let mut versions: BTreeMap<(&str, &str), Version> = BTreeMap::new();
    let mut yanked = BTreeSet::new();
    for (target, packages) in selections {
        // A user's own wheel has no URL that others could take it from.
        for package in packages.iter().filter(|it| !it.is_at_hand()) {
            let key = (package.name.as_ref(), package.version.as_str());
            let version = versions.entry(key).or_default();
            version.targets.insert(*target);
            let reason = package.yanked.iter();
            yanked.extend(reason.map(|it| Yanked::new(key.0, key.1, it)));
            match &package.locked {
                Locked::Wheel { filename, file } => {
                    let name = filename.to_string();
                    version
                        .wheels
                        .entry(name)
                        .or_insert_with_key(|name| File::new(name, file));
                }
                Locked::SourceDistribution { filename, file } => {
                    version.sdist = Some(File::new(filename, file));
                }
            }
        }
    }
    let oldest = targets.first().map_or(0, |it| it.runtime.python_minor());
    let mut text = String::from("lock-version = \"1.0\"\nenvironments = [\n");
    // It says nothing about any other.
    for target in &targets {
        let (runtime, architecture) = (target.runtime, target.architecture);
        let marker = format!(
            "{} and {} and sys_platform == 'linux'",
            python(runtime),
            machine(architecture)
        );
        let _ = writeln!(text, "  {},", inline(marker));
    }
    let _ = writeln!(
        text,
        "]\nrequires-python = \">=3.{oldest}\"\ncreated-by = \"accretion\""
    );
    for ((name, number), version) in versions {
        text.push_str("\n[[packages]]\n");
        let mut line = |key: &str, value: &dyn Display| {
            // Strings take whatever is written to them.
            let _ = writeln!(text, "{key} = {value}");
        };
        line("name", &inline(name));
        line("version", &inline(number));
        if let Some(marker) = marker(&version.targets, &targets) {
            line("marker", &inline(marker));
        }
        if let Some(sdist) = version.sdist {
            line("sdist", &inline(sdist));
        }
        if !version.wheels.is_empty() {
            let mut wheels = String::new();
            for wheel in version.wheels.into_values() {
                let _ = writeln!(wheels, "  {},", inline(wheel));
            }
            line("wheels", &format!("[\n{wheels}]"));
        }
    }
    text + &Yanked::note(&yanked.into_iter().collect::<Vec<_>>())
}

/// A value in one line.
fn inline(value: impl Serialize) -> toml::Value {
    toml::Value::try_from(value).expect("strings and numbers are always TOML")
}

impl File {
    fn new(name: &str, file: &LockedFile) -> Self {
        Self {
            name: name.to_owned(),
            // Locks are kept and passed on.
            url: without_credentials(&file.url).into(),
            size: file.size,
            hashes: BTreeMap::from([("sha256", file.sha256.to_string())]),
        }
    }
}

fn python(runtime: Runtime) -> String {
    format!("python_version == '3.{}'", runtime.python_minor())
}

fn machine(architecture: Architecture) -> String {
    format!("platform_machine == '{}'", architecture.machine())
}

/// A marker that is true for some of all targets, and false for the others. None if it is all.
fn marker(some: &BTreeSet<Target>, all: &BTreeSet<Target>) -> Option<String> {
    if some == all {
        return None;
    }
    let is_whole = |part: &dyn Fn(&Target) -> bool| {
        let mut of_part = all.iter().filter(|target| part(target));
        of_part.all(|target| some.contains(target))
    };
    let mut terms = BTreeSet::new();
    for target in some {
        let (runtime, architecture) = (target.runtime, target.architecture);
        terms.insert(if is_whole(&|other| other.runtime == runtime) {
            python(runtime)
        } else if is_whole(&|other| other.architecture == architecture) {
            machine(architecture)
        } else {
            format!("({} and {})", python(runtime), machine(architecture))
        });
    }
    Some(terms.into_iter().collect::<Vec<_>>().join(" or "))
}
