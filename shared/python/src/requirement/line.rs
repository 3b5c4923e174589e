//! One requirement on one logical line.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use pep508_rs::{ExtraName, VerbatimUrl, VersionOrUrl};

use super::{Requirement, distribution_name, option, url};

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
    pub(super) fn error(
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            problem: Problem::error(code, message),
            range,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            problem: self.problem.help(help),
            ..self
        }
    }

    pub(super) fn vcs(range: Range<usize>) -> Self {
        Self::error(
            code::VCS_UNSUPPORTED,
            range,
            "requirements from version control are not supported",
        )
        .help("build a wheel and require it by name or by its https URL")
    }

    pub(super) fn local_path(range: Range<usize>) -> Self {
        Self::error(
            code::LOCAL_PATH_UNSUPPORTED,
            range,
            "a local path means nothing where the layer is built",
        )
        .help("publish the wheel and require it by name or by its https URL")
    }

    pub(super) fn hash_unsupported(range: Range<usize>) -> Self {
        Self::error(
            code::HASH_UNSUPPORTED,
            range,
            "files are verified by SHA-256, and no such hash is given",
        )
        .help("add `--hash=sha256:…`")
    }

    /// Moves the finding to where its part of the line starts.
    fn moved(self, by: usize) -> Self {
        Self {
            range: self.range.start + by..self.range.end + by,
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
            findings.push(
                Finding::error(
                    code::REQUIREMENT_INVALID,
                    0..line.len(),
                    "the requirement can't be normalised",
                )
                .help("simplify its marker"),
            );
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
        findings.push(Finding::error(code::LINE_TOO_LONG, 0..1, message).help("shorten it"));
        return None;
    }
    if let Some(at) = line.find("${") {
        let end = line[at..].find('}').map_or(line.len(), |end| at + end + 1);
        findings.push(
            Finding::error(
                code::ENVIRONMENT_VARIABLE,
                at..end,
                "environment variables are not expanded: a layer must follow from its request alone",
            )
            .help("write the value itself"),
        );
        return None;
    }
    let (body, options) = split_options(line);
    let hashes = read_hashes(&line[options..], options, findings);
    if body.len() > Limits::REQUIREMENT_BYTES {
        let message = format!(
            "the requirement has over {} bytes",
            Limits::REQUIREMENT_BYTES
        );
        findings
            .push(Finding::error(code::LINE_TOO_LONG, 0..body.len(), message).help("shorten it"));
        return None;
    }
    let (specifier, url_hash) = match read_body(body, context) {
        Ok(read) => read,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };
    let mut hashes = hashes?;
    let hash_in_url = hashes.is_empty() && url_hash.is_some();
    hashes.extend(url_hash);
    if context.constraint && !specifier.extras.is_empty() {
        findings.push(
            Finding::error(
                code::CONSTRAINT_INVALID,
                0..body.len(),
                "a constraint can't have extras",
            )
            .help("remove them here and require them where they are needed"),
        );
    }
    Some(Requirement {
        specifier,
        hashes: hashes.into_iter().collect(),
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
                Err(error) => findings.push(
                    Finding::error(code::HASH_INVALID, range, format!("{error}"))
                        .help("copy the hash from where the file is published"),
                ),
            },
            Some(("md5" | "sha1" | "sha224" | "sha384" | "sha512", hex))
                if !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                others.get_or_insert(range);
            }
            _ => findings.push(
                Finding::error(code::HASH_INVALID, range, "this is not a hash")
                    .help("write it as `--hash=sha256:` with 64 hexadecimal digits"),
            ),
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
        Some(option::OptionKind::Refused(code, reason, help)) => {
            Finding::error(code, range, format!("`{name}` is not allowed: {reason}")).help(help)
        }
        Some(_) => Finding::error(
            code::OPTION_INVALID,
            range,
            format!("`{name}` can't follow a requirement"),
        )
        .help("put it on a line of its own"),
        None if name == "--hash" => Finding::error(
            code::OPTION_INVALID,
            range,
            "`--hash` must follow a requirement",
        )
        .help("put it on the requirement's line, or end that line with a backslash"),
        None => {
            let finding = Finding::error(
                code::OPTION_UNKNOWN,
                range,
                format!("`{name}` is not an option of requirements"),
            );
            match accretion_core::diagnostic::closest(name, option::long_names()) {
                Some(known) => finding.help(format!("did you mean `{known}`?")),
                None => finding.help("remove it"),
            }
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
        let moved = |finding: Finding| finding.moved(first_word.len()).moved_back(name_len);
        let mut specifier = pep508(&text, context).map_err(moved)?;
        if specifier.version_or_url.is_some() || !specifier.extras.is_empty() {
            return Err(Finding::error(
                code::REQUIREMENT_INVALID,
                first_word.len()..body.len(),
                "only a marker can follow a URL",
            )
            .help("write `name[extra] @ URL ; marker`"));
        }
        specifier.version_or_url = Some(VersionOrUrl::Url(VerbatimUrl::from_url(direct.url)));
        return Ok((specifier, direct.hash));
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
        return Err(Finding::error(
            code::URL_INVALID,
            rest..body.len(),
            "a URL is expected after `@`",
        )
        .help("write `name @ https://…`, or `name==version`"));
    }
    let direct = url::check(text, &(start..end), context)?;
    if direct.name != name {
        return Err(Finding::error(
            code::URL_INVALID,
            start..end,
            format!("the URL's file is of `{}`, not of `{name}`", direct.name),
        )
        .help("make both name the same distribution"));
    }
    // Blanks in the place of the URL keep the offsets right.
    let blanks = " ".repeat(end - rest);
    let mut specifier = pep508(
        &format!("{}{blanks}{}", &body[..rest], &body[end..]),
        context,
    )?;
    if specifier.version_or_url.is_some() {
        return Err(Finding::error(
            code::REQUIREMENT_INVALID,
            end..body.len(),
            "only a marker can follow a URL",
        )
        .help("write `name[extra] @ URL ; marker`"));
    }
    specifier.version_or_url = Some(VersionOrUrl::Url(VerbatimUrl::from_url(direct.url)));
    Ok((specifier, direct.hash))
}

impl Finding {
    fn moved_back(self, by: usize) -> Self {
        Self {
            range: self.range.start.saturating_sub(by)..self.range.end.saturating_sub(by),
            ..self
        }
    }
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
    Finding::error(code::REQUIREMENT_INVALID, 0..name_end.max(1), message).help(
        "names have letters, digits, `-`, `_` and `.`, and start and end with a letter or digit",
    )
}

/// Checks the extras whose bracket opens at `start`; returns the offset after them.
///
/// The PEP 508 library panics on extras and names that end in punctuation, so both are checked
/// before it sees them.
fn check_extras(body: &str, start: usize) -> Result<usize, Finding> {
    let Some(length) = body[start..].find(']') else {
        return Err(Finding::error(
            code::REQUIREMENT_INVALID,
            start..body.len(),
            "the extras' bracket is not closed",
        )
        .help("add `]`"));
    };
    let inner = &body[start + 1..start + length];
    if inner.trim().is_empty() {
        return Ok(start + length + 1);
    }
    let mut at = start + 1;
    for extra in inner.split(',') {
        let name = extra.trim();
        if name.is_empty() || ExtraName::from_str(name).is_err() {
            return Err(Finding::error(
                code::REQUIREMENT_INVALID,
                at..at + extra.len().max(1),
                format!("`{}` is not the name of an extra", name.escape_debug()),
            )
            .help("write extras as in `name[one,two]`"));
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
    if !marker.is_ascii() {
        return Err(Finding::error(
            code::MARKER_INVALID,
            start..text.len(),
            "a marker has characters of ASCII only",
        )
        .help("remove the others"));
    }
    if comparisons > Limits::MARKER_COMPARISONS || brackets(text) > Limits::MARKER_DEPTH {
        return Err(Finding::error(
            code::MARKER_INVALID,
            start..text.len(),
            format!(
                "a marker may have {} different comparisons and be {} brackets deep",
                Limits::MARKER_COMPARISONS,
                Limits::MARKER_DEPTH
            ),
        )
        .help("simplify it, or write several lines"));
    }
    if !marker.is_empty() && !context.markers.allow(comparisons) {
        return Err(Finding::error(
            code::MARKER_INVALID,
            start..text.len(),
            "there are too many markers with many comparisons",
        )
        .help("use simpler ones, or make several layers of the requirements"));
    }
    let mut warnings = Vec::new();
    let mut reporter = |_, warning: String| warnings.push(warning);
    let parsed = Specifier::parse_reporter(text, "/", &mut reporter);
    let mut specifier = parsed.map_err(|error| {
        let message = error.message.to_string();
        let finding = Finding::error(
            code::REQUIREMENT_INVALID,
            error.start..error.start + error.len,
            fragment(&message),
        );
        if message.contains("no such comparison operator \"=\"") {
            finding.help("write `==` for one version")
        } else {
            finding.help("PEP 508 defines requirements, as in `name[extra]>=1.0,<2 ; marker`")
        }
    })?;
    // The library leaves such a comparison out, and the requirement would apply where it should
    // not.
    if let Some(warning) = warnings.first() {
        return Err(Finding::error(
            code::MARKER_INVALID,
            start..text.len(),
            format!("the marker's meaning is unclear: {}", fragment(warning)),
        )
        .help("PEP 508 defines markers, as in `python_version < \"3.13\"`"));
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
