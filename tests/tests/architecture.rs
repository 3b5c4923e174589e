//! The structure of the code: crates depend inward only, and modules of a crate do not import each
//! other in a circle.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top-level modules of a crate, and the top-level modules that each of them uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The source files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file without comments and unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = product.lines();
    let code: Vec<_> = lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
}

/// The first names after `crate::` in a text: `a` and `b` for `crate::a::x` and `crate::{b, b::c}`.
fn names_after_crate(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(is_part).collect()
    };
    let mut names = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (index, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    names.insert(name(&list[start..index]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.insert(name(&list[start..index]));
                    start = index + 1;
                }
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

/// The modules that a crate's root declares.
fn modules(root: &str) -> BTreeSet<String> {
    let lines = root.lines().map(|line| {
        line.trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
    });
    lines
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(ToOwned::to_owned)
        .collect()
}

/// The modules of names that a crate's root re-exports: `Error` is of `error` by
/// `pub use error::Error`.
fn exports(root: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in root.split("pub use ").skip(1) {
        let statement = statement
            .split(';')
            .next()
            .unwrap()
            .trim_start_matches("self::");
        let Some((module, items)) = statement.split_once("::") else {
            continue;
        };
        for item in items.split([',', '{', '}', ':', '\n', ' ']) {
            exports.insert(item.trim().to_owned(), module.to_owned());
        }
    }
    exports
}

/// The graph of a crate's top-level modules. `folder` is its `src`.
fn graph(folder: &Path) -> Graph {
    let root = code(&folder.join("lib.rs"));
    let (modules, exports) = (modules(&root), exports(&root));
    let mut graph: Graph = modules
        .iter()
        .map(|it| (it.clone(), BTreeSet::new()))
        .collect();
    for path in sources(folder) {
        let inside = path.strip_prefix(folder).unwrap().with_extension("");
        let own = inside.iter().next().unwrap().to_str().unwrap();
        let Some(uses) = graph.get_mut(own) else {
            continue;
        };
        for name in names_after_crate(&code(&path)) {
            let module = exports.get(&name).unwrap_or(&name);
            // Macros belong to no module.
            if modules.contains(module) && module != own {
                uses.insert(module.clone());
            } else {
                let is_item = name.starts_with(char::is_uppercase);
                assert!(
                    !is_item || module == own,
                    "{}: crate::{name}",
                    path.display()
                );
            }
        }
    }
    graph
}

/// A circle in a graph, if there is one.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(
        graph: &Graph,
        module: &str,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(at) = path.iter().position(|it| it == module) {
            path.drain(..at);
            return true;
        }
        if !done.contains(module) {
            path.push(module.to_owned());
            if graph[module].iter().any(|it| visit(graph, it, path, done)) {
                return true;
            }
            path.pop();
            done.insert(module.to_owned());
        }
        false
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| {
        let mut path = Vec::new();
        visit(graph, module, &mut path, &mut done).then_some(path)
    })
}

/// Holds that no top-level modules of a crate import each other in a circle.
#[track_caller]
fn assert_no_cycle(crate_folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(crate_folder)
        .join("src");
    let graph = graph(&folder);
    let count: usize = graph.values().map(BTreeSet::len).sum();
    assert!(
        count > 0,
        "no import among the modules of {crate_folder}: are they found?"
    );
    let circle = cycle(&graph).map(|path| path.join(" → "));
    assert_eq!(
        circle, None,
        "the modules of {crate_folder} import each other"
    );
}

#[test]
fn the_modules_of_a_crate_have_no_import_cycle() {
    for crate_folder in [
        "shared/core",
        "shared/egress",
        "shared/layer",
        "shared/local",
        "shared/python",
        "shared/service",
        "shared/aws",
        "shared/lambda",
        "cli",
    ] {
        assert_no_cycle(crate_folder);
    }
}

#[test]
fn imports_and_cycles_are_found() {
    let code =
        "use crate::{a, b::{c, d}, e::f};\nfn x() { crate::g::h() }\nmy_crate::i; $crate::j!()";
    let names: Vec<_> = names_after_crate(code).into_iter().collect();
    assert_eq!(names, ["a", "b", "e", "g"]);
    let graph = |edges: &[(&str, &[&str])]| -> Graph {
        let edge = |(module, uses): &(&str, &[&str])| {
            let uses = uses.iter().map(|it| (*it).to_owned()).collect();
            ((*module).to_owned(), uses)
        };
        edges.iter().map(edge).collect()
    };
    let tree = graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(cycle(&tree), None);
    let circle = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
    assert_eq!(cycle(&circle), Some(vec!["b".to_owned(), "c".to_owned()]));
}

/// The crates of the product, and those of our own that each may depend on. Development
/// dependencies do not count.
const DEPENDENCIES: [(&str, &[&str]); 16] = [
    ("accretion-fault-derive", &[]),
    ("accretion-archive", &[]),
    ("accretion-core", &["fault-derive"]),
    ("accretion-tree", &["archive", "core"]),
    ("accretion-layer", &["archive", "core", "tree"]),
    ("accretion-python", &["archive", "core", "tree"]),
    ("accretion-service", ECOSYSTEMS_AND_LAYERS),
    ("accretion-egress", &["core", "python"]),
    ("accretion-local", USE_CASES_AND_EGRESS),
    ("accretion-aws", USE_CASES),
    ("accretion-lambda", EVERYTHING),
    ("dispatcher", EVERYTHING),
    ("builder", EVERYTHING),
    ("sandbox", EVERYTHING),
    ("publisher", EVERYTHING),
    ("accretion", EVERYTHING),
];
const ECOSYSTEMS_AND_LAYERS: &[&str] = &["archive", "core", "tree", "layer", "python"];
const USE_CASES: &[&str] = &["archive", "core", "tree", "layer", "python", "service"];
const USE_CASES_AND_EGRESS: &[&str] = &[
    "archive", "core", "tree", "layer", "python", "service", "egress",
];
const EVERYTHING: &[&str] = &[
    "archive", "core", "tree", "layer", "python", "service", "egress", "local", "aws", "lambda",
];

#[test]
fn crates_depend_inward_only() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let by_name: BTreeMap<_, _> = packages
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect();
    for name in by_name.keys() {
        let is_test =
            name.ends_with("-tests") || ["accretion-testing", "accretion-fuzz"].contains(name);
        let is_listed = DEPENDENCIES.iter().any(|(listed, _)| listed == name);
        assert!(is_test || is_listed, "{name} has no rule here");
    }
    for (name, allowed) in DEPENDENCIES {
        let dependencies = by_name[name]["dependencies"].as_array().unwrap();
        for dependency in dependencies.iter().filter(|it| it["kind"].is_null()) {
            let dependency = dependency["name"].as_str().unwrap();
            if by_name.contains_key(dependency) {
                let short = dependency.trim_start_matches("accretion-");
                assert!(allowed.contains(&short), "{name} depends on {dependency}");
            }
        }
    }
}
