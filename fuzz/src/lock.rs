use accretion_python::wheel::Rank;
use std::collections::BTreeSet;
use std::str;

use accretion_core::limits::Limits;
use accretion_core::target::Target;
use accretion_python::lock::{
    LockFile, LockFormat, Locked, LockedPackage, Pins, Policy, Selected, Selection,
};
use accretion_python::requirement::{self, NoInclude, RequirementSet};

use crate::{name, report, request};

/// Lock files of every format, and scripts. What follows a NUL is the project's `pyproject.toml`.
///
/// What a target gets is in order, once each, over http, and under a name that is a file's in any
/// folder; what has to be located first is pinned by version and hash. The text itself survives being
/// kept in a request.
pub fn lock(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let lock = parts.next().unwrap_or_default();
    let project = parts
        .next()
        .and_then(|project| str::from_utf8(project).ok());
    for format in LockFormat::ALL {
        of_format(format, lock, project);
    }
    let project = "x".parse().expect("it is a project name");
    match accretion_python::request::from_script(project, "script.py", data, false) {
        Ok((request, warnings)) => {
            report::check(&warnings, false);
            let _ = accretion_python::request::problems(&request, &[]);
            request::round_trip(&request);
        }
        Err(refusal) => report::check(&refusal, true),
    }
}

fn of_format(format: LockFormat, lock: &[u8], project: Option<&str>) {
    let name = "x".parse().expect("it is a project name");
    match accretion_python::request::from_lock(format, name, format.name(), lock, project) {
        Ok((whole, warnings)) => {
            report::check(&warnings, false);
            for problem in accretion_python::request::problems(&whole, &[]) {
                report::check_line(&problem.message);
            }
            request::round_trip(&whole);
        }
        Err(refusal) => report::check(&refusal, true),
    }
    let Ok(text) = str::from_utf8(lock) else {
        return;
    };
    let file = match LockFile::parse(format, text, project) {
        Ok(file) => file,
        Err(error) => return report::check_error(&error),
    };
    let names = |names: &[&str]| -> BTreeSet<_> {
        let names = names.iter().map(|name| name.parse());
        names.collect::<Result<_, _>>().expect("they are names")
    };
    let more = Selection {
        groups: names(&["dev"]),
        extras: names(&["a"]),
    };
    for target in Target::all() {
        for selection in [&Selection::default(), &more] {
            let choose = |allow_source_distributions| {
                let policy = Policy {
                    allow_source_distributions,
                    requirements: None,
                    own: &[],
                };
                file.lock().choose(target, policy, selection)
            };
            let (strict, lenient) = (choose(false), choose(true));
            for outcome in [&strict, &lenient] {
                match outcome {
                    Ok(selected) => check(selected, target),
                    Err(error) => report::check_error(error),
                }
            }
            if let Ok(selected) = strict {
                let is_wheel =
                    |package: &LockedPackage| matches!(package.locked, Locked::Wheel { .. });
                assert!(selected.packages.iter().all(is_wheel));
                // What needs no permission does not change with it.
                assert_eq!(lenient.ok(), Some(selected));
            }
        }
    }
}

fn check(selected: &Selected, target: Target) {
    let packages = &selected.packages;
    assert!(packages.is_sorted_by(|one, other| one.name < other.name));
    for package in packages {
        let file = package.locked.file();
        assert!(matches!(file.url.scheme(), "http" | "https"));
        assert_eq!(file.url.fragment(), None);
        report::check_line(&package.version);
        match &package.locked {
            Locked::Wheel { filename, .. } => {
                assert_eq!(filename.name(), &package.name);
                assert!(Rank::of_wheel(target, filename).is_some(), "{filename}");
                name::check(filename, filename.as_str());
            }
            Locked::SourceDistribution { filename, .. } => {
                let leads_elsewhere = |c: char| c == '/' || c == '\\' || c.is_control();
                assert!(!filename.contains(leads_elsewhere), "{filename:?}");
                assert!(!filename.starts_with('.') && filename.len() <= 255);
            }
        }
    }
    let mut names: BTreeSet<_> = packages.iter().map(|package| &package.name).collect();
    for pins in &selected.pins {
        for name in pins.names() {
            assert!(names.insert(name), "{name} comes from two places");
        }
        check_pins(pins);
    }
}

/// Checks that uv is given one line with a version and hashes for each package, and nothing else.
fn check_pins(pins: &Pins) {
    if let Some(index) = &pins.index {
        assert!(matches!(index.scheme(), "http" | "https"));
        assert!(index.username().is_empty() && index.password().is_none());
    }
    let requirements = &pins.requirements;
    assert_eq!(requirements.requirements.len(), pins.names().count());
    assert!(requirements.constraints.is_empty());
    assert!(
        requirements
            .requirements
            .iter()
            .all(|it| !it.hashes.is_empty())
    );
    let text = requirements.to_requirements_txt();
    // Of what people write, less is read.
    if requirements.requirements.len() > Limits::REQUIREMENTS
        || text.lines().any(|line| line.len() > Limits::LINE_BYTES)
    {
        return;
    }
    let again = requirement::parse("requirements.txt", &text, &NoInclude, false);
    let (again, _) = again.unwrap_or_else(|report| panic!("{text}\n{}", report.render()));
    let lines = |requirements: &RequirementSet| -> BTreeSet<String> {
        let lines = requirements.requirements.iter();
        lines.map(ToString::to_string).collect()
    };
    assert_eq!(lines(&again), lines(requirements));
}
