//! One requirement on one logical line.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use accretion_core::diagnostic::{Problem, closest, code};
use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use pep508_rs::{ExtraName, VerbatimUrl, VersionOrUrl};

use super::url::{self, DirectUrl};
use super::{Requirement, distribution_name, option};

/// The context that the rules for a line depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineContext<'a> {
    /// True if the line is a constraint.
    pub(crate) constraint: bool,
    /// True if source distributions may be required by URL.
    pub(crate) allow_source_distributions: bool,
    /// The costs of the text's markers so far.
    pub(crate) markers: &'a MarkerCosts,
}

/// The costs of the environment markers of a text so far. A marker that comes again takes no more
/// memory, but as much time to be written.
#[derive(Debug, Default)]
pub(crate) struct MarkerCosts {
    sum: Cell<usize>,
}

impl MarkerCosts {
    /// Returns whether one more marker is within the limit.
    fn allow(&self, comparisons: usize) -> bool {
        let sum = self.sum.get().saturating_add(1 << comparisons);
        let is_within = sum <= Limits::MARKERS_COST;
        if is_within {
            self.sum.set(sum);
        }
        is_within
    }
}

/// A problem with a place in the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Without a location.
    pub(crate) problem: Problem,
    /// Bytes of the line; may lie past its end.
    pub(crate) range: Range<usize>,
}

impl Finding {
    pub(super) fn new(
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let problem = Problem::error(code, message).help(help);
        Self { problem, range }
    }

    pub(super) fn vcs(range: Range<usize>) -> Self {
        Self::new(
            code::VCS_UNSUPPORTED,
            range,
            "requirements from version control are not supported",
            "build a wheel and require it by name or by its https URL",
        )
    }

    pub(super) fn local_path(range: Range<usize>) -> Self {
        Self::new(
            code::LOCAL_PATH_UNSUPPORTED,
            range,
            "a local path means nothing where the layer is built",
            "publish the wheel and require it by name or by its https URL",
        )
    }

    pub(super) fn hash_unsupported(range: Range<usize>) -> Self {
        Self::new(
            code::HASH_UNSUPPORTED,
            range,
            "files are verified by SHA-256, and no such hash is given",
            "add `--hash=sha256:…`",
        )
    }

    /// Moves the finding to where its part stands in the line.
    fn moved(self, place: impl Fn(usize) -> usize) -> Self {
        Self {
            range: place(self.range.start)..place(self.range.end),
            ..self
        }
    }
}

/// Parses a requirement with its hashes: no comment, no continuation, no other option.
///
/// A requirement that comes with findings is usable unless one of them is an error.
pub(crate) fn parse_line(
    line: &str,
    context: LineContext<'_>,
) -> (Option<Requirement>, Vec<Finding>) {
    let mut findings = Vec::new();
    let requirement = read_line(line, context, &mut findings);
    if let Some(requirement) = &requirement
        && findings.is_empty()
        // It is left out, and an unsatisfiable marker is written as another one.
        && !requirement.specifier.marker.is_false()
    {
        let written = requirement.to_string();
        // Markers may hold quotes and other surprises: what can't be written can't be resolved.
        let mut again = Vec::new();
        // Its marker as it is written costs too: a reader of the stored request has to accept it.
        if read_line(&written, context, &mut again).as_ref() != Some(requirement) {
            findings.push(Finding::new(
                code::REQUIREMENT_INVALID,
                0..line.len(),
                "the requirement can't be normalised",
                "simplify its marker",
            ));
        }
    }
    (requirement, findings)
}

fn read_line(
    line: &str,
    context: LineContext<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Requirement> {
    if line.len() > Limits::LINE_BYTES {
        let message = format!("the line has over {} bytes", Limits::LINE_BYTES);
        findings.push(Finding::new(
            code::LINE_TOO_LONG,
            0..1,
            message,
            "shorten it",
        ));
        return None;
    }
    if let Some(at) = line.find("${") {
        let end = line[at..].find('}').map_or(line.len(), |end| at + end + 1);
        findings.push(Finding::new(
            code::ENVIRONMENT_VARIABLE,
            at..end,
            "environment variables are not expanded: a layer must follow from its request alone",
            "write the value itself",
        ));
        return None;
    }
    let (body, options) = split_options(line);
    let hashes = read_hashes(&line[options..], options, findings);
    if body.len() > Limits::REQUIREMENT_BYTES {
        let message = format!(
            "the requirement has over {} bytes",
            Limits::REQUIREMENT_BYTES
        );
        findings.push(Finding::new(
            code::LINE_TOO_LONG,
            0..body.len(),
            message,
            "shorten it",
        ));
        return None;
    }
    let (specifier, url_hash) = match read_body(body, context) {
        Ok(read) => read,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let listed = hashes?;
    let hash_in_url = listed.is_empty() && url_hash.is_some();
    let all: BTreeSet<_> = listed.into_iter().chain(url_hash).collect();
    if context.constraint && !specifier.extras.is_empty() {
        findings.push(Finding::new(
            code::CONSTRAINT_INVALID,
            0..body.len(),
            "a constraint can't have extras",
            "remove them here and require them where they are needed",
        ));
    }
    Some(Requirement {
        specifier,
        hashes: all.into_iter().collect(),
        hash_in_url,
    })
}

/// The requirement, and the offset at which its options start: at the first word with a leading
/// dash, as pip splits it.
fn split_options(line: &str) -> (&str, usize) {
    let options = line
        .char_indices()
        .zip(line.chars().skip(1))
        .find(|((_, before), c)| before.is_whitespace() && *c == '-')
        .map_or(line.len(), |((at, before), _)| at + before.len_utf8());
    (line[..options].trim_end(), options)
}

/// The words of a text with their offsets.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_whitespace()
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// Reads `--hash=algorithm:hex` and `--hash algorithm:hex`; `None` if any option is wrong.
fn read_hashes(
    options: &str,
    offset: usize,
    findings: &mut Vec<Finding>,
) -> Option<BTreeSet<Sha256>> {
    let known = findings.len();
    let mut hashes = BTreeSet::new();
    let mut others = None;
    let mut words = words(options);
    while let Some((at, word)) = words.next() {
        let mut range = offset + at..offset + at + word.len();
        let value = if word == "--hash" {
            words.next().map(|(at, value)| {
                range.end = offset + at + value.len();
                value
            })
        } else if let Some(value) = word.strip_prefix("--hash=") {
            Some(value)
        } else {
            findings.push(wrong_option(word, range));
            // The rest may be its values.
            return None;
        };
        let hash = value.unwrap_or_default().split_once(':');
        match hash {
            Some(("sha256", hex)) => match hex.parse() {
                Ok(hash) => {
                    hashes.insert(hash);
                }
                Err(error) => findings.push(Finding::new(
                    code::HASH_INVALID,
                    range,
                    format!("{error}"),
                    "copy the hash from where the file is published",
                )),
            },
            Some(("md5" | "sha1" | "sha224" | "sha384" | "sha512", hex))
                if !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                others.get_or_insert(range);
            }
            _ => findings.push(Finding::new(
                code::HASH_INVALID,
                range,
                "this is not a hash",
                "write it as `--hash=sha256:` with 64 hexadecimal digits",
            )),
        }
    }
    if let Some(range) = others
        && hashes.is_empty()
        && findings.len() == known
    {
        findings.push(Finding::hash_unsupported(range));
    }
    (findings.len() == known).then_some(hashes)
}

/// A finding about an option that is not `--hash`.
pub(super) fn wrong_option(line: &str, range: Range<usize>) -> Finding {
    let read = option::read(line);
    let name = read.name;
    match read.kind {
        Some(option::OptionKind::Refused(code, reason, help)) => Finding::new(
            code,
            range,
            format!("`{name}` is not allowed: {reason}"),
            help,
        ),
        Some(_) => Finding::new(
            code::OPTION_INVALID,
            range,
            format!("`{name}` can't follow a requirement"),
            "put it on a line of its own",
        ),
        None if name == "--hash" => Finding::new(
            code::OPTION_INVALID,
            range,
            "`--hash` must follow a requirement",
            "put it on the requirement's line, or end that line with a backslash",
        ),
        None => {
            let message = format!("`{name}` is not an option of requirements");
            let help = match closest(name, option::long_names()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "remove it".to_owned(),
            };
            Finding::new(code::OPTION_UNKNOWN, range, message, help)
        }
    }
}

type Specifier = pep508_rs::Requirement<VerbatimUrl>;

/// Parses the requirement itself; its hash is that of a URL's fragment.
fn read_body(body: &str, context: LineContext<'_>) -> Result<(Specifier, Option<Sha256>), Finding> {
    let whole = || 0..body.len();
    if url::is_vcs(body) {
        return Err(Finding::vcs(whole()));
    }
    let (first_word, _) = word_at(body, 0);
    if url::has_scheme(body) {
        let direct = url::check(first_word, &(0..first_word.len()), context)?;
        // What follows is read as if the name stood in the URL's place.
        let rest = &body[first_word.len()..];
        let text = format!("{}{rest}", direct.name);
        let name_len = text.len() - rest.len();
        let place = |at: usize| (at + first_word.len()).saturating_sub(name_len);
        let specifier = pep508(&text, context).map_err(|it| it.moved(place))?;
        let after = first_word.len()..body.len();
        return if specifier.extras.is_empty() {
            with_url(specifier, direct, after)
        } else {
            Err(only_a_marker(after))
        };
    }
    if is_local_path(body) {
        return Err(Finding::local_path(0..first_word.len()));
    }
    let name_end = body
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
        .unwrap_or(body.len());
    let Some(name) = distribution_name(&body[..name_end]) else {
        return Err(name_invalid(body, name_end));
    };
    let mut rest = skip_whitespace(body, name_end);
    if body[rest..].starts_with('[') {
        rest = skip_whitespace(body, check_extras(body, rest)?);
    }
    let Some(after_at) = body[rest..].strip_prefix('@') else {
        return Ok((pep508(body, context)?, None));
    };
    let start = skip_whitespace(body, body.len() - after_at.len());
    let (text, end) = word_at(body, start);
    if text.is_empty() {
        return Err(Finding::new(
            code::URL_INVALID,
            rest..body.len(),
            "a URL is expected after `@`",
            "write `name @ https://…`, or `name==version`",
        ));
    }
    let direct = url::check(text, &(start..end), context)?;
    if direct.name != name {
        return Err(Finding::new(
            code::URL_INVALID,
            start..end,
            format!("the URL's file is of `{}`, not of `{name}`", direct.name),
            "make both name the same distribution",
        ));
    }
    // Blanks in the place of the URL keep the offsets right.
    let blanks = " ".repeat(end - rest);
    let without_url = format!("{}{blanks}{}", &body[..rest], &body[end..]);
    with_url(pep508(&without_url, context)?, direct, end..body.len())
}

/// A requirement of the file at a URL. What stands `after` it is no version.
fn with_url(
    specifier: Specifier,
    direct: DirectUrl,
    after: Range<usize>,
) -> Result<(Specifier, Option<Sha256>), Finding> {
    if specifier.version_or_url.is_some() {
        return Err(only_a_marker(after));
    }
    let url = VersionOrUrl::Url(VerbatimUrl::from_url(direct.url));
    let of_url = Specifier {
        version_or_url: Some(url),
        ..specifier
    };
    Ok((of_url, direct.hash))
}

fn only_a_marker(after: Range<usize>) -> Finding {
    let (message, help) = (
        "only a marker can follow a URL",
        "write `name[extra] @ URL ; marker`",
    );
    Finding::new(code::REQUIREMENT_INVALID, after, message, help)
}

/// The word at an offset and where it ends.
fn word_at(text: &str, start: usize) -> (&str, usize) {
    let end = text[start..]
        .find(char::is_whitespace)
        .map_or(text.len(), |end| start + end);
    (&text[start..end], end)
}

fn skip_whitespace(text: &str, from: usize) -> usize {
    text.len() - text[from..].trim_start().len()
}

/// Returns whether pip would look for the requirement on the local file system.
fn is_local_path(body: &str) -> bool {
    let bytes = body.as_bytes();
    let drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    let end = body
        .find(|c: char| c.is_whitespace() || matches!(c, ';' | '[' | '@' | '<' | '=' | '>'))
        .unwrap_or(body.len());
    let word = body[..end].to_ascii_lowercase();
    let archive = [
        ".whl", ".zip", ".tar", ".tgz", ".tbz", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".egg",
    ];
    drive
        || word.starts_with(['.', '/', '\\', '~'])
        || word.starts_with("file:")
        || word.contains(['/', '\\'])
        || archive.iter().any(|extension| word.ends_with(extension))
}

fn name_invalid(body: &str, name_end: usize) -> Finding {
    let message = match body[name_end..].chars().next() {
        _ if name_end > 0 => format!("`{}` is not the name of a distribution", &body[..name_end]),
        Some(found) => format!(
            "the name of a distribution is expected, found `{}`",
            found.escape_debug()
        ),
        None => "the name of a distribution is expected".to_owned(),
    };
    Finding::new(
        code::REQUIREMENT_INVALID,
        0..name_end.max(1),
        message,
        "names have letters, digits, `-`, `_` and `.`, and start and end with a letter or digit",
    )
}

/// Checks the extras whose bracket opens at `start`; returns the offset after them.
///
/// The PEP 508 library panics on extras and names that end in punctuation, so both are checked
/// before it sees them.
fn check_extras(body: &str, start: usize) -> Result<usize, Finding> {
    let Some(length) = body[start..].find(']') else {
        return Err(Finding::new(
            code::REQUIREMENT_INVALID,
            start..body.len(),
            "the extras' bracket is not closed",
            "add `]`",
        ));
    };
    let inner = &body[start + 1..start + length];
    if inner.trim().is_empty() {
        return Ok(start + length + 1);
    }
    let mut at = start + 1;
    for extra in inner.split(',') {
        let name = extra.trim();
        if name.is_empty() || ExtraName::from_str(name).is_err() {
            return Err(Finding::new(
                code::REQUIREMENT_INVALID,
                at..at + extra.len().max(1),
                format!("`{}` is not the name of an extra", name.escape_debug()),
                "write extras as in `name[one,two]`",
            ));
        }
        at += extra.len() + 1;
    }
    Ok(start + length + 1)
}

/// Parses a requirement without URL by PEP 508.
fn pep508(text: &str, context: LineContext<'_>) -> Result<Specifier, Finding> {
    let marker = text.find(';').map_or("", |at| &text[at..]);
    let comparisons = comparisons(marker);
    let start = text.len() - marker.len();
    // The library panics on some of them, and no value that a marker is compared with has any.
    let invalid = |message: &str, help: &str| {
        let place = start..text.len();
        Err(Finding::new(code::MARKER_INVALID, place, message, help))
    };
    if !marker.is_ascii() {
        return invalid("a marker has characters of ASCII only", "remove the others");
    }
    if comparisons > Limits::MARKER_COMPARISONS || brackets(text) > Limits::MARKER_DEPTH {
        let message = format!(
            "a marker may have {} different comparisons and be {} brackets deep",
            Limits::MARKER_COMPARISONS,
            Limits::MARKER_DEPTH
        );
        return invalid(&message, "simplify it, or write several lines");
    }
    if !marker.is_empty() && !context.markers.allow(comparisons) {
        let message = "there are too many markers with many comparisons";
        let help = "use simpler ones, or make several layers of the requirements";
        return invalid(message, help);
    }
    let mut warnings = Vec::new();
    let mut reporter = |_, warning: String| warnings.push(warning);
    let parsed = Specifier::parse_reporter(text, "/", &mut reporter);
    let mut specifier = parsed.map_err(|error| {
        let message = error.message.to_string();
        let help = if message.contains("no such comparison operator \"=\"") {
            "write `==` for one version"
        } else {
            "PEP 508 defines requirements, as in `name[extra]>=1.0,<2 ; marker`"
        };
        let range = error.start..error.start + error.len;
        Finding::new(code::REQUIREMENT_INVALID, range, fragment(&message), help)
    })?;
    // The library leaves such a comparison out, and the requirement would apply where it should
    // not.
    if let Some(warning) = warnings.first() {
        let message = format!("the marker's meaning is unclear: {}", fragment(warning));
        let help = "PEP 508 defines markers, as in `python_version < \"3.13\"`";
        return invalid(&message, help);
    }
    specifier.extras.sort();
    specifier.extras.dedup();
    Ok(specifier)
}

/// The number of different pairs of a name and a value that a marker compares.
fn comparisons(marker: &str) -> usize {
    let mut pairs = BTreeSet::new();
    let mut pair: Vec<&str> = Vec::new();
    let mut rest = marker;
    while let Some(c) = rest.chars().next() {
        let length = if matches!(c, '"' | '\'') {
            rest[1..].find(c).map_or(rest.len(), |end| end + 2)
        } else if c.is_alphabetic() {
            let word = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'));
            rest.find(word).unwrap_or(rest.len())
        } else {
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if matches!(token, "and" | "or") {
            pair.sort_unstable();
            pairs.insert(std::mem::take(&mut pair));
        } else if !matches!(token, "in" | "not") {
            pair.push(token);
        }
    }
    pair.sort_unstable();
    pairs.insert(pair);
    pairs.len()
}

/// The largest number of open brackets.
fn brackets(text: &str) -> usize {
    let depth = |open: &mut usize, c| {
        match c {
            '(' => *open += 1,
            ')' => *open = open.saturating_sub(1),
            _ => {}
        }
        Some(*open)
    };
    text.chars().scan(0, depth).max().unwrap_or_default()
}

/// A library's message as a fragment: its first sentence in one line.
pub(crate) fn fragment(message: &str) -> String {
    let first_part = message.split("\n==").next().unwrap_or_default();
    let words: Vec<&str> = first_part.split_whitespace().collect();
    // Requirements that the library would leave out are refused here.
    let sentence = words.join(" ").replace(", will be ignored", "");
    let fragment = sentence.trim_end_matches(['.', ':']);
    let mut chars = fragment.chars();
    match chars.next() {
        Some(first) if !fragment.starts_with("PEP") => first.to_lowercase().chain(chars).collect(),
        _ => fragment.to_owned(),
    }
}
