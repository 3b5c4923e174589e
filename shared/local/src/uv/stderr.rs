//! The text that uv writes to stderr, and the errors it stands for.

use accretion_core::excerpt::excerpt;
use accretion_core::target::Target;
use accretion_egress::{Error as EgressError, Routes};
use accretion_python::lock::Yanked;
use url::Url;

use crate::Error;

mod builds;
mod reasoning;

pub(super) use self::builds::{build_failure, failed};
use self::reasoning::Reasoning;

/// The error that uv ends with, without the warnings before it.
pub(super) fn error(stderr: &str) -> &str {
    const ERROR: &str = "error: ";
    match stderr.find(&format!("\n{ERROR}")) {
        Some(at) if !stderr.starts_with(ERROR) => &stderr[at + 1..],
        _ => stderr,
    }
}

/// The versions that uv took although their index has yanked them (PEP 592), by its warnings.
///
/// A reason may have lines of its own, and some of them may look like another warning: an index can
/// say anything of its packages.
pub(super) fn yanked(stderr: &str) -> Vec<Yanked> {
    const END: &str = "\")";
    // More is not kept.
    const BYTES: usize = 16 << 10;
    let mut found = Vec::new();
    let mut lines = stderr.lines();
    while let Some(line) = lines.next() {
        let Some((name, version, said)) = yanked_version(line) else {
            continue;
        };
        let mut reason = String::new();
        let mut part = said.strip_prefix(" (reason: \"");
        while let Some(line) = part {
            let last = line.strip_suffix(END);
            if reason.len() < BYTES {
                reason.extend([last.unwrap_or(line), "\n"]);
            }
            part = if last.is_some() { None } else { lines.next() };
        }
        found.push(Yanked::new(name, version, &reason));
    }
    found
}

/// The name and the version of a warning's first line, and what follows.
fn yanked_version(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix("warning: `")?;
    let (package, said) = rest.split_once("` is yanked")?;
    let (name, version) = package.split_once("==")?;
    Some((name, version, said))
}

/// Returns the output of uv, without what may open something: users and queries of URLs. A URL may
/// be signed, and what is said here is told and logged.
pub(super) fn said(output: &[u8], routes: Option<&Routes>) -> String {
    let text = String::from_utf8_lossy(output);
    // First what leads to indexes becomes what it stands for.
    let text = routes.map_or_else(|| text.to_string(), |routes| routes.restore(&text));
    let mut parts = text.split("://");
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |c: char| c.is_whitespace() || "\"'`<>()".contains(c);
        let (url, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
        let plain = url.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
        said.push_str("://");
        said.push_str(authority.rsplit('@').next().unwrap_or_default());
        said.push_str(path);
        said.push_str(rest);
    }
    said
}

/// The end of what a build wrote, within bounds: it is told and recorded.
fn last_lines(output: &str) -> String {
    const LINES: usize = 20;
    const BYTES: usize = 300;
    let lines: Vec<_> = output.trim().lines().collect();
    let left_out = lines.len().saturating_sub(LINES);
    let note = (left_out > 0).then(|| format!("… {left_out} lines left out …"));
    let last = lines[left_out..].iter().map(|line| excerpt(line, BYTES));
    note.into_iter().chain(last).collect::<Vec<_>>().join("\n")
}

/// Returns the error that uv does not know what it was asked to do.
pub(super) fn misused(stderr: &str) -> Option<Error> {
    const WORDS: [&str; 3] = [
        "error: unexpected argument",
        "error: unrecognized subcommand",
        "error: invalid value",
    ];
    WORDS
        .iter()
        .any(|words| stderr.starts_with(words))
        .then(|| Error::UvFailed {
            output: last_lines(stderr),
        })
}

/// uv's words for a package that says of itself what can't be.
const UNUSABLE: [&str; 3] = [
    "metadata for the wrong package",
    "does not match given name",
    "Failed to resolve dependencies for package",
];

/// Explains uv's messages. uv has no codes; its words are held by a test against the real uv.
pub(super) fn explain(stderr: &str, target: Target) -> Error {
    let has = |words: &str| stderr.contains(words);
    if has("network was disabled") {
        return Error::Offline {
            what: "what the index says of the requirements".to_owned(),
        };
    }
    if has("No solution found") {
        let reasoning = Reasoning::of(stderr);
        let explanation = reasoning.explanation();
        return if has("401 Unauthorized") || has("403 Forbidden") {
            Error::IndexForbidden { explanation }
        } else if has("was not found in the package registry") {
            Error::PackageNotFound { explanation }
        } else if reasoning.is_for_want_of_wheels() {
            Error::WheelNotFound {
                target: target.to_string(),
                explanation,
                has_source: reasoning.names_sources(),
            }
        } else {
            Error::RequirementsUnsatisfiable {
                explanation,
                lacks_wheels: reasoning.lacks_wheels(),
            }
        };
    }
    if UNUSABLE.into_iter().any(has) {
        let causes: Vec<_> = stderr
            .trim_start_matches("error: ")
            .lines()
            .map(|line| line.trim().trim_start_matches("cause: "))
            .filter(|line| !line.is_empty())
            .collect();
        let explanation = last_lines(&causes.join("\n"));
        return Error::PackageUnusable { explanation };
    }
    // A direct URL to a source distribution, where they are not allowed.
    if let Some((_, rest)) = stderr.split_once("Building source distributions for `")
        && let Some((package, _)) = rest.split_once("` is disabled")
    {
        return Error::WheelNotFound {
            target: target.to_string(),
            explanation: format!("{package} has no usable wheels"),
            has_source: true,
        };
    }
    if let Some(error) = unreachable(stderr) {
        return error;
    }
    if let (Some(file), output) = build_failure(stderr) {
        return failed(file, output, stderr);
    }
    Error::UvFailed {
        output: last_lines(stderr),
    }
}

/// Returns the error that uv reports where a server did not answer as it should.
pub(super) fn unreachable(stderr: &str) -> Option<Error> {
    if stderr.contains("Failed to fetch") || stderr.contains("Request failed") {
        let words = stderr.split_whitespace();
        let url = words
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .filter(|word| word.contains("://"))
            .find_map(|word| word.parse::<Url>().ok());
        let host = url
            .as_ref()
            .and_then(Url::host_str)
            .unwrap_or("the package index")
            .to_owned();
        let last = stderr.trim().lines().next_back().unwrap_or_default();
        let cause = last.trim().trim_start_matches("cause: ");
        // The host says enough; a URL may hold a secret.
        let without_url = cause.split(" for url (").next().unwrap_or_default();
        let problem = excerpt(without_url, 500);
        return Some(EgressError::UpstreamUnavailable { host, problem }.into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of yanked versions hold what uv itself writes.
    #[test]
    fn yanked_versions_are_read_of_warnings() {
        let long = "x".repeat(1 << 20);
        for (text, expected) in [
            ("Resolved 1 package in 9ms\n", vec![]),
            (
                "warning: `a==1.0` is yanked (reason: \"bad\")\nwarning: `b==2` is yanked \
                 (reason: \"\")\n",
                vec![("a", "1.0", "bad"), ("b", "2", "")],
            ),
            (
                "warning: `a==1.0` is yanked (reason: \"\n\"quoted\"\nand (so) on\")\nother\n",
                vec![("a", "1.0", "\n\"quoted\"\nand (so) on")],
            ),
            (
                "warning: `a==1.0` is yanked (reason: \"cut",
                vec![("a", "1.0", "cut")],
            ),
            ("warning: `a==1.0` is yanked\n", vec![("a", "1.0", "")]),
            ("warning: `a` is yanked\n", vec![]),
            ("  warning: `a==1` is yanked\n", vec![]),
            (
                &format!("warning: `a==1` is yanked (reason: \"{long}\n{long}\")\n"),
                vec![("a", "1", &long)],
            ),
        ] {
            let expected = expected.into_iter();
            let expected: Vec<_> = expected.map(|(a, b, c)| Yanked::new(a, b, c)).collect();
            assert_eq!(yanked(text), expected);
        }
    }

    #[test]
    fn an_error_is_what_follows_the_warnings() {
        for (text, expected) in [
            ("error: x\n  cause: y\n", "error: x\n  cause: y\n"),
            ("warning: w\nerror: x\n", "error: x\n"),
            ("warning: w\n", "warning: w\n"),
            ("error: x\nerror: y\n", "error: x\nerror: y\n"),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn what_opens_something_is_not_repeated() {
        for (written, expected) in [
            ("no URL in it", "no URL in it"),
            (
                "Failed to fetch: `https://example.com/x-1.whl?X-Amz-Signature=s3cret#a`, sadly",
                "Failed to fetch: `https://example.com/x-1.whl`, sadly",
            ),
            (
                "from https://user:s3cret@example.com:8443/simple/x/ (https://t0ken@b.example.com)",
                "from https://example.com:8443/simple/x/ (https://b.example.com)",
            ),
            (
                "https://example.com?next=/s3cret@x\nhttps://a:p@ss@example.com/",
                "https://example.com\nhttps://example.com/",
            ),
            ("a://", "a://"),
        ] {
            assert_eq!(said(written.as_bytes(), None), expected);
        }
    }
}
