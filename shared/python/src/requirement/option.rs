//! The options of a `requirements.txt`: which one a line names, and why most are refused.

use accretion_core::diagnostic::code;

/// The effect of an option line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionKind {
    /// `-r`: the requirements of another file.
    Requirement,
    /// `-c`: the constraints of another file.
    Constraint,
    /// Known, but refused: code, reason, help.
    Refused(&'static str, &'static str, &'static str),
}

const fn unsupported(reason: &'static str, help: &'static str) -> OptionKind {
    OptionKind::Refused(code::OPTION_UNSUPPORTED, reason, help)
}

const INDEX: OptionKind = unsupported(
    "requirements do not say which index packages come from",
    "remove the line, and name the index with --default-index URL, or in a request as one of its \
     `Indexes`; a pipeline has its default one from the stack's parameter IndexUrl",
);
const EXTRA_INDEX: OptionKind = unsupported(
    "requirements do not say which indexes packages come from",
    "remove the line, and name the index with --index NAME=URL, or in a request as one of its \
     `Indexes`, or in the stack's parameter Indexes; it is asked before the default one",
);
const NO_INDEX: OptionKind = unsupported(
    "packages come from indexes and by URL alone",
    "remove the line; `accretion build --offline` takes what is in the cache",
);
const LINKS: OptionKind = unsupported(
    "packages come from indexes and by URL, not from folders or pages of links",
    "remove the line, and require the wheels by their https URLs, or name an index that has them: \
     with --index NAME=URL, or in a request as one of its `Indexes`",
);
const TRUSTED_HOST: OptionKind = unsupported(
    "every server has to prove which one it is",
    "remove the line; SSL_CERT_FILE names certificates that are trusted instead of the system's",
);
const NO_WHEELS: OptionKind = unsupported(
    "a package is built from source only where it has no wheel that fits",
    "remove the line; --allow-source-distributions, or `AllowSourceDistributions` in a request, \
     lets such packages be built",
);
const WHEELS: OptionKind = unsupported(
    "wheels are taken wherever there is one that fits",
    "remove the line: without --allow-source-distributions, or `AllowSourceDistributions` in a \
     request, nothing else is taken",
);
const PRE_RELEASES: OptionKind = unsupported(
    "pre-releases are allowed for each requirement, not for all",
    "name the pre-release in its requirement, as in `example>=2.0rc1`",
);
const BUILD: OptionKind = unsupported(
    "options of builds are not supported",
    "require a version that has wheels",
);
const EDITABLE: OptionKind = OptionKind::Refused(
    code::EDITABLE_UNSUPPORTED,
    "a layer can't hold an editable installation",
    "build a wheel and require it by name or by its https URL",
);
const HASHES: OptionKind = unsupported(
    "hashes can't be required of what the resolver adds",
    "remove the line: hashes that are given are checked anyway; a `pylock.toml` has them all",
);
const BEHAVIOUR: OptionKind = unsupported(
    "it changes how pip works, and pip is not used",
    "remove the line",
);

/// Long name, short form, meaning. Source: pip's documentation, "Requirements File Format".
const OPTIONS: &[(&str, Option<char>, OptionKind)] = &[
    ("--requirement", Some('r'), OptionKind::Requirement),
    ("--constraint", Some('c'), OptionKind::Constraint),
    ("--editable", Some('e'), EDITABLE),
    ("--index-url", Some('i'), INDEX),
    ("--pypi-url", None, INDEX),
    ("--extra-index-url", None, EXTRA_INDEX),
    ("--no-index", None, NO_INDEX),
    ("--find-links", Some('f'), LINKS),
    ("--trusted-host", None, TRUSTED_HOST),
    ("--no-binary", None, NO_WHEELS),
    ("--only-binary", None, WHEELS),
    ("--prefer-binary", None, WHEELS),
    ("--pre", None, PRE_RELEASES),
    ("--require-hashes", None, HASHES),
    ("--config-settings", Some('C'), BUILD),
    ("--config-setting", None, BUILD),
    ("--global-option", None, BUILD),
    ("--build-option", None, BUILD),
    ("--install-option", None, BUILD),
    ("--build-constraint", None, BUILD),
    ("--no-build-isolation", None, BUILD),
    ("--use-pep517", None, BUILD),
    ("--no-use-pep517", None, BUILD),
    ("--use-feature", None, BEHAVIOUR),
    ("--use-deprecated", None, BEHAVIOUR),
    ("--process-dependency-links", None, BEHAVIOUR),
    ("--allow-external", None, BEHAVIOUR),
    ("--allow-unverified", None, BEHAVIOUR),
    ("--allow-all-external", None, BEHAVIOUR),
    ("--always-unzip", Some('Z'), BEHAVIOUR),
    ("--use-wheel", None, BEHAVIOUR),
    ("--no-use-wheel", None, BEHAVIOUR),
];

/// The names an unknown option is compared with for a suggestion.
pub(super) fn long_names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(long, _, _)| *long).chain(["--hash"])
}

/// The option that a text starts with, and the rest of the text as its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OptionLine<'a> {
    /// The long name, or what stands in its place.
    pub(super) name: &'a str,
    /// `None` for an option that is not in the table.
    pub(super) kind: Option<OptionKind>,
    /// The value, without surrounding white space and quotes.
    pub(super) value: &'a str,
}

/// Reads a line that starts with `-`: `-r x`, `-rx`, `--requirement x`, `--requirement=x`. What stands
/// where an option should, and starts with something else, is none of the table.
pub(super) fn read(line: &str) -> OptionLine<'_> {
    let (name, value, kind) = if !line.starts_with('-') {
        let (name, value) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
        (name, value, None)
    } else if line.starts_with("--") {
        let end = line
            .find(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let value = rest.strip_prefix('=').unwrap_or(rest);
        let found = OPTIONS.iter().find(|(long, _, _)| *long == name);
        (name, value, found.map(|(_, _, kind)| *kind))
    } else {
        let letter = line.chars().nth(1).filter(|c| !c.is_whitespace());
        let end = 1 + letter.map_or(0, char::len_utf8);
        let (name, value) = line.split_at(end);
        let found = OPTIONS
            .iter()
            .find(|(_, short, _)| letter.is_some() && *short == letter);
        (name, value, found.map(|(_, _, kind)| *kind))
    };
    OptionLine {
        name,
        kind,
        value: unquoted(value.trim()),
    }
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}
