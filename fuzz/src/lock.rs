use std::str;

use accretion_core::lock::{Lock, Locked, LockedPackage, Policy};
use accretion_core::request::Request;
use accretion_core::target::Target;

use crate::{name, report, request};

/// Lock files (`pylock.toml`).
///
/// What a target gets is in order, once each, over http, and under a name that is a file's in any
/// folder. The text itself survives being kept in a request.
pub fn lock(data: &[u8]) {
    let project = "x".parse().expect("it is a project name");
    match Request::from_lock(project, "pylock.toml", data) {
        Ok((whole, warnings)) => {
            report::check(&warnings, false);
            for problem in whole.lock_problems() {
                report::check_line(&problem.message);
            }
            request::round_trip(&whole);
        }
        Err(refusal) => report::check(&refusal, true),
    }
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let lock = match Lock::parse(text) {
        Ok(lock) => lock,
        Err(error) => return report::check_error(&error),
    };
    for target in Target::all() {
        let strict = lock.select(target, Policy::default());
        let lenient = lock.select(
            target,
            Policy {
                allow_source_distributions: true,
                requirements: None,
            },
        );
        for outcome in [&strict, &lenient] {
            match outcome {
                Ok(packages) => check(packages, target),
                Err(error) => report::check_error(error),
            }
        }
        if let Ok(packages) = strict {
            let is_wheel = |package: &LockedPackage| matches!(package.locked, Locked::Wheel { .. });
            assert!(packages.iter().all(is_wheel));
            // What needs no permission does not change with it.
            assert_eq!(lenient.ok(), Some(packages));
        }
    }
}

fn check(packages: &[LockedPackage], target: Target) {
    assert!(packages.is_sorted_by(|one, other| one.name < other.name));
    for package in packages {
        let file = package.locked.file();
        assert!(matches!(file.url.scheme(), "http" | "https"));
        assert_eq!(file.url.fragment(), None);
        report::check_line(&package.version);
        match &package.locked {
            Locked::Wheel { filename, .. } => {
                assert_eq!(filename.name(), &package.name);
                assert!(target.rank_wheel(filename).is_some(), "{filename}");
                name::check(filename, filename.as_str());
            }
            Locked::SourceDistribution { filename, .. } => {
                let leads_elsewhere = |c: char| c == '/' || c == '\\' || c.is_control();
                assert!(!filename.contains(leads_elsewhere), "{filename:?}");
                assert!(!filename.starts_with('.') && filename.len() <= 255);
            }
        }
    }
}
