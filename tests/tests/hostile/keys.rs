//! Keys of the inbox's objects.

use crate::case::{Case, Kind, request};

pub(crate) fn cases() -> Vec<Case> {
    let long = format!("{}/requirements.txt", "x".repeat(1000));
    let named: &'static [&'static str] = &["ProjectNameInvalid"];
    let mut cases: Vec<_> = [
        ("at the top", "requirements.txt"),
        ("up", "requests/../requirements.txt"),
        ("up, percent-encoded", "requests/%2e%2e/requirements.txt"),
        (
            "up, percent-encoded twice",
            "requests/%252e%252e/requirements.txt",
        ),
        ("a folder without a name", "requests//requirements.txt"),
        ("a folder that is a blank", "requests/ /requirements.txt"),
        (
            "a folder that looks alike",
            "requests/t\u{43e}\u{43e}ls/requirements.txt",
        ),
        (
            "a folder that turns around",
            "requests/\u{202e}sloot/requirements.txt",
        ),
        (
            "a folder with a newline",
            "requests/tools\nother/requirements.txt",
        ),
        ("a folder with a NUL", "requests/tools\0/requirements.txt"),
        (
            "a folder with a backslash",
            "requests\\tools\\requirements.txt",
        ),
        ("a folder of a thousand letters", long.as_str()),
    ]
    .into_iter()
    .map(|(name, key)| Case::object(Kind::Key, name, (key, "harmless==1.0\n"), named))
    .collect();
    let unsupported: &'static [&'static str] = &["RequirementsTypeUnsupported"];
    for (name, key, codes) in [
        ("what is not locked", "requests/tools/Pipfile", unsupported),
        ("a project", "requests/tools/pyproject.toml", unsupported),
        // The name decides, not what is in it.
        (
            "a lock that is a request",
            "requests/tools/pylock.toml",
            &["LockInvalid"],
        ),
        (
            "requirements that are a request",
            "requests/tools/requirements.json.txt",
            &["RequirementInvalid"],
        ),
    ] {
        cases.push(Case::object(
            Kind::Key,
            name,
            (key, request().to_string()),
            codes,
        ));
    }
    cases
}
