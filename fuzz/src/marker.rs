use std::str;

use accretion_core::target::Target;
use accretion_python::lock::{Lock, Policy};
use accretion_python::release::PythonRelease;
use pep508_rs::{MarkerTree, MarkerTreeKind};

use crate::report;

/// The PEP 508 library takes exponential time with more.
const COMPARISONS: usize = 5;

/// Markers of lock files: what our own reader of them makes of a marker is what the PEP 508 library
/// does, if that takes it without a warning.
pub fn marker(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let quoted = toml::Value::from(text);
    let lock = format!(
        "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1\"\nmarker = {quoted}\n\
         wheels = [{{url = \"https://example.com/a-1-py3-none-any.whl\", \
         hashes = {{sha256 = \"{}\"}}}}]\n",
        "0".repeat(64),
    );
    let lock = Lock::parse(&lock).expect("only the marker is in doubt");
    let comparisons = text.matches("and").count() + text.matches("or").count();
    let theirs = (comparisons <= COMPARISONS)
        .then(|| {
            let mut warned = false;
            let tree = MarkerTree::parse_reporter(text, &mut |_, _| warned = true);
            tree.ok().filter(|_| !warned)
        })
        .flatten();
    for target in Target::all() {
        let ours = lock.select(target, Policy::default());
        if let Err(error) = &ours {
            report::check_error(error);
        }
        let Some(tree) = &theirs else {
            continue;
        };
        let environment = PythonRelease::recent(target).markers();
        let theirs = tree.evaluate(&environment, &[]);
        match ours {
            Ok(packages) => assert_eq!(!packages.is_empty(), theirs, "{text} for {target}"),
            // The library takes nothing at all for a marker that is always true.
            Err(error) => assert!(
                tree.kind() == MarkerTreeKind::True || error.to_string().contains("deep"),
                "{error}"
            ),
        }
    }
}
