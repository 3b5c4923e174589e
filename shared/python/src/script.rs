//! Scripts with inline metadata (PEP 723), of which only the comment block `script` counts.

use std::fmt::Write as _;
use std::ops::Range;

use accretion_core::diagnostic::{Checked, Problem, Report, closest, code};
use accretion_core::encoding::decode;
use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use pep440_rs::VersionSpecifiers;
use serde::Deserialize;
use toml::{Spanned, Table};

use crate::requirement::{
    Collected, LineContext, MarkerCosts, Requirement, RequirementSet, parse_line,
};
use crate::uv_settings::is_harmless;

const START: &str = "# /// script";
const END: &str = "# ///";

const FORM: &str = "write a block of comments between `# /// script` and `# ///`, with \
                    `dependencies = [\"requests\"]`";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    uv: Option<Spanned<Table>>,
}

/// [`parse_script_text`] of bytes.
pub(crate) fn parse_script(
    source_name: &str,
    bytes: &[u8],
    allow_source_distributions: bool,
) -> Checked<RequirementSet> {
    let text = decode(source_name, bytes)?;
    parse_script_text(source_name, text, allow_source_distributions)
}

/// Reads the requirements of a script; reports every problem at once.
pub(crate) fn parse_script_text(
    source_name: &str,
    text: &str,
    allow_source_distributions: bool,
) -> Checked<RequirementSet> {
    let mut report = Report::new(source_name, text);
    let invalid = |message: String| Problem::error(code::SCRIPT_INVALID, message).help(FORM);
    let toml = match metadata(text) {
        Ok(toml) => toml,
        Err(problem) => {
            report.push(invalid(problem.to_owned()));
            return Err(report);
        }
    };
    let metadata: Metadata = match toml::from_str(&toml) {
        Ok(metadata) => metadata,
        Err(error) => {
            let problem = invalid(format!("its metadata: {}", error.message()));
            report.push(match error.span() {
                Some(span) => problem.at(0, within(text, span)),
                None => problem,
            });
            return Err(report);
        }
    };
    if let Some(uv) = &metadata.tool.uv {
        for key in uv.get_ref().keys() {
            if key == "sources" || !is_harmless(key) {
                report.push(setting(key).at(0, within(text, uv.span())));
            }
        }
    }
    let requires_python = metadata.requires_python.and_then(|requires| {
        let specifiers = requires.get_ref().parse::<VersionSpecifiers>();
        if specifiers.is_err() {
            let requires_python = shown(requires.get_ref());
            let problem = invalid(format!("`{requires_python}` is not a `requires-python`"));
            report.push(problem.at(0, within(text, requires.span())));
        }
        specifiers.ok()
    });
    let requirements = read_requirements(
        text,
        &metadata.dependencies,
        allow_source_distributions,
        &mut report,
    );
    report.conclude(Some(RequirementSet {
        requirements,
        constraints: Vec::new(),
        requires_python,
    }))
}

fn setting(key: &str) -> Problem {
    let known = ["sources", "index", "constraint-dependencies"];
    let help = match closest(key, known.into_iter()) {
        Some("sources" | "index") => {
            "a layer must follow from its request alone: lock the script with `uv lock --script`, \
             and build from that"
        }
        _ => "lock the script with `uv lock --script`, and build from that",
    };
    let message = format!("the setting `{}` of `tool.uv` is not supported", shown(key));
    Problem::error(code::OPTION_UNSUPPORTED, message).help(help)
}

fn read_requirements(
    text: &str,
    dependencies: &[Spanned<String>],
    allow_source_distributions: bool,
    report: &mut Report,
) -> Vec<Requirement> {
    let markers = MarkerCosts::default();
    let context = LineContext {
        constraint: false,
        allow_source_distributions,
        markers: &markers,
    };
    let mut collected = Collected::new("requirements", Limits::REQUIREMENTS, "it");
    if dependencies.len() > Limits::REQUIREMENTS {
        report.push(collected.too_many());
        return Vec::new();
    }
    let before = report.problems.len();
    for dependency in dependencies {
        let span = within(text, dependency.span());
        let line = dependency.get_ref().trim();
        if line.contains(|c: char| c.is_control() || c == '\\')
            || line.starts_with('-')
            || line.split_whitespace().any(|word| word.starts_with('#'))
        {
            let message = format!("`{}` is not a requirement", shown(line));
            let problem = Problem::error(code::REQUIREMENT_INVALID, message);
            let help = "write requirements as in \"requests>=2\", without comments and options";
            report.push(problem.help(help).at(0, span));
            continue;
        }
        let (requirement, findings) = parse_line(line, context);
        let is_sound = findings.is_empty();
        for finding in findings {
            report.push(finding.problem.at(0, span.clone()));
        }
        let Some(requirement) = requirement.filter(|_| is_sound) else {
            continue;
        };
        if let Some(problem) = collected.add(requirement, ()) {
            report.push(problem.at(0, span));
        }
    }
    if collected.is_empty() && report.problems.len() == before && !report.has_errors() {
        let problem = Problem::error(code::REQUIREMENTS_EMPTY, "the script requires nothing");
        report.push(problem.help(FORM));
    }
    collected.into_sorted()
}

/// A place in a text that is as long.
fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end).max(start)
}

/// The metadata as TOML in a text of the script's length, so that places in one are places in the
/// other.
pub(crate) fn metadata(text: &str) -> Result<String, &'static str> {
    let line = |line: &str| line.trim_end_matches(['\n', '\r']).len();
    let mut lines = Vec::new();
    let mut at = 0;
    for whole in text.split_inclusive('\n') {
        lines.push((at, &whole[..line(whole)]));
        at += whole.len();
    }
    let mut blocks = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let start = next;
        next += 1;
        if lines[start].1 != START {
            continue;
        }
        let is_comment = |line: &str| line == "#" || line.starts_with("# ");
        let comments = lines[next..]
            .iter()
            .take_while(|(_, line)| is_comment(line));
        let end = next + comments.count();
        let block = &lines[next..end];
        // The last line that may end it does.
        let Some(length) = block.iter().rposition(|(_, line)| *line == END) else {
            return Err("its metadata does not end: a line `# ///` is missing");
        };
        blocks.push(&block[..length]);
        next = end;
    }
    let [block] = blocks.as_slice() else {
        return Err(if blocks.is_empty() {
            "it is a script without inline metadata"
        } else {
            "it has several blocks of inline metadata"
        });
    };
    let mut metadata: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'\n' { byte } else { b' ' })
        .collect();
    for (start, line) in *block {
        let content = line.get(2..).unwrap_or_default();
        let at = start + line.len() - content.len();
        metadata[at..at + content.len()].copy_from_slice(content.as_bytes());
    }
    String::from_utf8(metadata).map_err(|_| "its metadata is not UTF-8")
}

impl RequirementSet {
    /// A script without code that requires the same.
    pub fn to_script(&self) -> String {
        let quoted = |text: String| toml::Value::String(text).to_string();
        let requires = match &self.requires_python {
            Some(requires) => format!("# requires-python = {}\n", quoted(requires.to_string())),
            None => String::new(),
        };
        let mut dependencies = String::new();
        for requirement in &self.requirements {
            let line = quoted(requirement.to_string());
            // Writing to a String can't fail.
            let _ = writeln!(dependencies, "#   {line},");
        }
        format!("{START}\n{requires}# dependencies = [\n{dependencies}# ]\n{END}\n")
    }
}
