//! Tests of what lock files say of Python's patch releases, as a whole and of their packages.

use accretion_core::Fault as _;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_python::lock::{LockFile, LockFormat, Policy, Selection};

const TARGET: Target = Target {
    runtime: Runtime::Python312,
    architecture: Architecture::X86_64,
};

/// A lock file with a package for the releases before 3.12.7, and one for those from it on.
fn lock(format: LockFormat, python: &str) -> String {
    const MARKERS: [(&str, &str); 2] = [
        ("before", "python_full_version < '3.12.7'"),
        ("after", "python_full_version >= '3.12.7'"),
    ];
    let hash = "0".repeat(64);
    let url = |name: &str| format!("https://example.com/{name}-1-py3-none-any.whl");
    let each = |write: &dyn Fn(&str, &str) -> String| {
        MARKERS.map(|(name, marker)| write(name, marker)).concat()
    };
    match format {
        LockFormat::Pylock => format!(
            "lock-version = '1.0'\n{python}\n{}",
            each(&|name, marker| format!(
                "[[packages]]\nname = '{name}'\nversion = '1'\nmarker = \"{marker}\"\n\
                 wheels = [{{url = '{}', hashes = {{sha256 = '{hash}'}}}}]\n",
                url(name)
            ))
        ),
        LockFormat::Uv => format!(
            "version = 1\n{python}\n[[package]]\nname = 'x'\nsource = {{virtual = '.'}}\n\
             dependencies = [{}]\n{}",
            each(&|name, marker| format!("{{name = '{name}', marker = \"{marker}\"}},")),
            each(&|name, _| format!(
                "[[package]]\nname = '{name}'\nversion = '1'\nsource = {{registry = 'https://a'}}\n\
                 wheels = [{{url = '{}', hash = 'sha256:{hash}'}}]\n",
                url(name)
            ))
        ),
        LockFormat::Poetry => format!(
            "{}[metadata]\nlock-version = '2.1'\n{python}\n",
            each(&|name, marker| format!(
                "[[package]]\nname = '{name}'\nversion = '1'\ngroups = ['main']\n\
                 markers = \"{marker}\"\nsource = {{type = 'url', url = '{}'}}\n\
                 files = [{{file = '{name}-1-py3-none-any.whl', hash = 'sha256:{hash}'}}]\n",
                url(name)
            ))
        ),
        LockFormat::Pipfile => format!(
            "{{\"_meta\": {{\"pipfile-spec\": 6, \"requires\": {{{python}}}}}, \"default\": {{{}}}}}",
            each(&|name, marker| format!(
                "{}\"{name}\": {{\"version\": \"==1\", \"markers\": \"{marker}\", \
                 \"file\": \"{}\", \"hashes\": [\"sha256:{hash}\"]}}",
                if name == "after" { "," } else { "" },
                url(name)
            ))
        ),
        LockFormat::Pdm => format!(
            "[metadata]\nstrategy = ['inherit_metadata']\nlock_version = '4.5.0'\n{python}\n{}",
            each(&|name, marker| format!(
                "[[package]]\nname = '{name}'\nversion = '1'\ngroups = ['default']\n\
                 marker = \"{marker}\"\nfiles = [{{url = '{}', hash = 'sha256:{hash}'}}]\n",
                url(name)
            ))
        ),
    }
}

/// The package that the target gets, or the code of what is wrong.
fn gets(format: LockFormat, python: &str) -> String {
    let text = lock(format, python);
    let file = LockFile::parse(format, &text, None);
    let file = file.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let chosen = file
        .lock()
        .choose(TARGET, Policy::default(), &Selection::default());
    match chosen {
        Ok(selected) => selected
            .packages
            .iter()
            .map(|it| it.name.as_ref())
            .collect(),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn a_lock_is_for_a_runtime_that_has_a_release_it_is_for() {
    const MISMATCH: &str = "LockMismatch";

    for (specifiers, expected) in [
        (">=3.9", "after"),
        ("~=3.12.6", "after"),
        ("!=3.12.6", "after"),
        ("==3.12.*", "after"),
        (">=3.12.4,<3.12.9", "after"),
        ("==3.12.6", "before"),
        ("===3.12.6", "before"),
        ("==3.12.6.*", "before"),
        (">=3.12.4,<3.12.7", "before"),
        (">3.12.5,<3.12.8,!=3.12.7", "before"),
        ("<=3.12.6", "before"),
        ("<3.12.1", "before"),
        ("==3.13.6", MISMATCH),
        ("!=3.12.*", MISMATCH),
        (">3.12.5,<3.12.6", MISMATCH),
        (">=3.13", MISMATCH),
        ("<3.12", MISMATCH),
    ] {
        let quoted = [
            (
                LockFormat::Pylock,
                format!("requires-python = '{specifiers}'"),
            ),
            (LockFormat::Uv, format!("requires-python = '{specifiers}'")),
            (
                LockFormat::Poetry,
                format!("python-versions = '{specifiers}'"),
            ),
            (
                LockFormat::Pdm,
                format!("[[metadata.targets]]\nrequires_python = '{specifiers}'"),
            ),
            (
                LockFormat::Pipfile,
                format!("\"python_version\": \"{specifiers}\""),
            ),
        ];
        for (format, python) in quoted {
            assert_eq!(gets(format, &python), expected, "{format} {specifiers}");
        }
    }
}

#[test]
fn what_is_of_one_format_alone() {
    use LockFormat::{Pdm, Pipfile, Poetry, Pylock, Uv};

    for (format, python, expected) in [
        (Poetry, "python-versions = '3.12.6'", "before"),
        (Poetry, "python-versions = '~3.12.6'", "after"),
        (Poetry, "python-versions = '^3.12.6'", "after"),
        (Poetry, "python-versions = '3.11.4 || 3.12.6'", "before"),
        (Poetry, "python-versions = '3.12.6 || >=3.13'", "before"),
        (Poetry, "python-versions = '3.12'", "before"),
        (Poetry, "python-versions = '3.12.*'", "after"),
        (Pipfile, "\"python_version\": \"3\"", "after"),
        (Pipfile, "\"python_version\": \"3.12\"", "after"),
        (Pipfile, "\"python_version\": \"3.12.6\"", "before"),
        (Pipfile, "\"python_version\": \"*\"", "after"),
        (Pipfile, "\"python_full_version\": \"3.12.6\"", "before"),
        (
            Pipfile,
            "\"python_version\": \"3.12\", \"python_full_version\": \"3.12.6\"",
            "before",
        ),
        (
            Pipfile,
            "\"python_full_version\": \"3.11.6\"",
            "LockMismatch",
        ),
        (Pipfile, "\"python_version\": \"2\"", "LockMismatch"),
        (
            Pylock,
            "environments = [\"python_full_version == '3.12.6'\"]",
            "before",
        ),
        (
            Pylock,
            "environments = [\"python_full_version < '3.12.7'\"]",
            "before",
        ),
        (
            Pylock,
            "environments = [\"os_name == 'nt'\", \"python_version == '3.12'\"]",
            "after",
        ),
        (
            Pylock,
            "requires-python = '<3.12.9'\nenvironments = [\"python_full_version < '3.12.7'\"]",
            "before",
        ),
        (
            Pylock,
            "requires-python = '>=3.12.7'\nenvironments = [\"python_full_version < '3.12.7'\"]",
            "LockMismatch",
        ),
        (
            Uv,
            "supported-markers = [\"python_full_version <= '3.12.6'\"]",
            "before",
        ),
        (
            Uv,
            "supported-markers = [\"python_full_version != '3.12.99'\"]",
            "after",
        ),
        (
            Pdm,
            "[[metadata.targets]]\nrequires_python = '==3.11.4'\n\
             [[metadata.targets]]\nrequires_python = '==3.12.6'",
            "before",
        ),
    ] {
        assert_eq!(gets(format, python), expected, "{format} {python}");
    }
}

#[test]
fn what_a_package_requires_of_python_is_held_against_the_same_release() {
    for (whole, package, expected) in [
        (">=3.12", ">=3.12.4", Ok(())),
        (">=3.12", "!=3.12.0", Ok(())),
        (">=3.12", "<3.12.7", Err("LockMismatch")),
        (">=3.12", "==3.12.6", Err("LockMismatch")),
        ("==3.12.6", "<3.12.7", Ok(())),
        ("==3.12.6", ">=3.12.7", Err("LockMismatch")),
        (">=3.12", "nonsense", Err("LockInvalid")),
    ] {
        let text = format!(
            "lock-version = '1.0'\nrequires-python = '{whole}'\n[[packages]]\nname = 'a'\n\
             version = '1'\nrequires-python = '{package}'\n\
             wheels = [{{url = 'https://example.com/a-1-py3-none-any.whl', \
             hashes = {{sha256 = '{}'}}}}]\n",
            "0".repeat(64)
        );
        let file = LockFile::parse(LockFormat::Pylock, &text, None).unwrap();
        let chosen = file
            .lock()
            .choose(TARGET, Policy::default(), &Selection::default());
        let chosen = chosen.map(|_| ()).map_err(|error| error.code());
        assert_eq!(chosen, expected, "{whole} {package}");
    }
}
