use std::str;

use accretion_python::request::{PythonInput, Request, Requirements};
use accretion_python::requirement::{
    IncludeError, NoInclude, Requirement, RequirementSet, parse, parse_bytes,
};
use pep508_rs::VersionOrUrl;

use crate::{choice, report, request};

/// The separator of the files: the first is the input, the others are called `1`, `2` and so on.
const SEPARATOR: u8 = 0x1e;

/// Texts of the form of `requirements.txt`, with the files that they include. The lowest bit of the
/// first byte allows source distributions.
///
/// What is accepted survives being written and read again, and what is written for the resolver is
/// nothing but requirements: no option but `--hash`, no local path, no variable.
pub fn requirements(data: &[u8]) {
    let (flags, data) = choice(data);
    let allow_source_distributions = flags & 1 == 1;
    let files: Vec<&[u8]> = data.split(|byte| *byte == SEPARATOR).collect();
    let include = |path: &str| {
        let at: usize = path.parse().map_err(|_| IncludeError::Outside)?;
        let file = files.get(at).filter(|_| at > 0);
        let file = file.and_then(|file| str::from_utf8(file).ok());
        let missing = || IncludeError::Unreadable("it is not there".to_owned());
        file.map(str::to_owned).ok_or_else(missing)
    };
    match parse_bytes("0", files[0], &include, allow_source_distributions) {
        Ok((set, warnings)) => {
            report::check(&warnings, false);
            check(&set, allow_source_distributions);
        }
        Err(refusal) => report::check(&refusal, true),
    }
}

fn check(set: &RequirementSet, allow_source_distributions: bool) {
    assert!(!set.requirements.is_empty());
    let text = set.to_requirements_txt();
    let (again, _) = parse("r.txt", &text, &NoInclude, allow_source_distributions)
        .unwrap_or_else(|report| panic!("{}", report.render()));
    assert_eq!(again.requirements, set.requirements, "{text}");
    assert_eq!(again.to_requirements_txt(), text);

    let lists = [&set.requirements, &set.constraints];
    for (requirements, text) in lists.into_iter().zip([text, set.to_constraints_txt()]) {
        assert_eq!(text.lines().count(), requirements.len(), "{text}");
        for (requirement, line) in requirements.iter().zip(text.lines()) {
            check_line(requirement, line);
        }
    }
    // The constraints come through the request that the builder reads.
    let mut whole = Request::new(
        "x".parse().expect("it is a project name"),
        PythonInput::new(Requirements::Set(set.clone())),
    );
    whole.input.allow_source_distributions = allow_source_distributions;
    request::round_trip(&whole);
}

/// A line that uv is given.
fn check_line(requirement: &Requirement, line: &str) {
    assert!(
        line.starts_with(|c: char| c.is_ascii_alphanumeric()),
        "{line}"
    );
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(!line.contains("${") && !line.ends_with('\\'), "{line}");
    let is_comment = |word: &str| word.starts_with('#');
    assert!(!line.split_whitespace().any(is_comment), "{line}");

    // From the first word with a dash on there are hashes and nothing else.
    let mut words = line.split_whitespace();
    let options: Vec<&str> = words
        .by_ref()
        .skip_while(|word| !word.starts_with('-'))
        .collect();
    for option in &options {
        let hash = option.strip_prefix("--hash=sha256:").unwrap_or_default();
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(hash.len() == 64 && hash.chars().all(is_digit), "{line}");
    }
    // A hash that came in a URL stays there.
    let in_url = line.split_once("#sha256=").map(|(_, hash)| &hash[..64]);
    let hashes: Vec<_> = requirement.hashes.iter().map(ToString::to_string).collect();
    if requirement.hash_in_url {
        assert!(options.is_empty(), "{line}");
        assert_eq!(hashes, in_url.as_slice(), "{line}");
    } else {
        assert_eq!(in_url, None, "{line}");
        assert_eq!(options.len(), hashes.len(), "{line}");
    }

    if let Some(VersionOrUrl::Url(url)) = &requirement.specifier.version_or_url {
        let url = url.to_url();
        let host = url.host_str().unwrap_or_default();
        let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        assert!(
            url.scheme() == "https" || (url.scheme() == "http" && is_loopback),
            "{line}"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{line}"
        );
        assert!(url.fragment().is_none(), "{line}");
    }
}
