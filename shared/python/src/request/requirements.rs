//! `Requirements`: a list, a text, a script or a lock file.

use accretion_core::diagnostic::{Problem, code};
use accretion_core::excerpt::shown;
use accretion_core::json::ast::{Array, Value};
use accretion_core::json::{Fields, Reader, span, suggestion};
use accretion_core::limits::Limits;
use accretion_core::request::Contents;

use super::exclude::distribution_name;
use super::locked::read_lock;
use crate::lock::LockFormat;
use crate::request::Requirements;
use crate::requirement::{
    self, Collected, LineContext, MarkerCosts, NoInclude, Requirement, RequirementSet, parse_line,
};
use crate::script::parse_script_text;

/// Types of requirements, lock files left out.
const TYPES: [&str; 3] = ["accretion", "requirements.txt", "script"];

/// Reads the requirements, of which there may be none if there are extra files.
pub(super) fn read_requirements(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
    contents: &Contents,
    allow_source_distributions: bool,
) -> Option<Requirements> {
    let value = reader.required(fields, "Requirements")?;
    if is_empty_list(value) && !contents.files.is_empty() {
        return Some(Requirements::Set(RequirementSet::default()));
    }
    let context = LineContext {
        constraint: false,
        allow_source_distributions,
        markers: &MarkerCosts::default(),
    };
    read_typed(reader, value, context)
}

fn is_empty_list(value: &Value<'_>) -> bool {
    value.as_object().is_some_and(|object| {
        let is_list = object
            .get_string("Type")
            .is_some_and(|lit| lit.value == "accretion");
        let is_empty = object
            .get_array("Requirements")
            .is_some_and(|array| array.elements.is_empty());
        is_list && is_empty && object.properties.len() == 2
    })
}

fn read_typed(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    context: LineContext<'_>,
) -> Option<Requirements> {
    let object = reader.object(value, "`Requirements`")?;
    let text_type = object.get_string("Type").map(|lit| &*lit.value);
    let known: &[&'static str] = match text_type {
        None | Some("requirements.txt") => &["Type", "Requirements", "Constraints"],
        Some(other) => match LockFormat::of_name(other) {
            Some(format) if format.takes_project() => &["Type", "Requirements", "Project"],
            _ => &["Type", "Requirements"],
        },
    };
    let fields = reader.fields(object, known, "`Requirements`");
    let type_value = reader.required(&fields, "Type");
    let value = reader.required(&fields, "Requirements");
    let lit = reader.string(type_value?, "`Type`")?;
    match &*lit.value {
        "accretion" => {
            let array = reader.array(value?, "`Requirements` of the type `accretion`")?;
            read_list(reader, array, context)
        }
        "requirements.txt" => {
            let text = value.and_then(|value| {
                reader.string(value, "`Requirements` of the type `requirements.txt`")
            });
            let constraints = fields.get("Constraints").map(|value| {
                let lit = reader.string(value, "`Constraints`")?;
                let allow = context.allow_source_distributions;
                let checked = requirement::parse_constraints("the constraints", &lit.value, allow);
                reader.embedded(checked, lit, "the constraints")
            });
            let lit = text?;
            let allow = context.allow_source_distributions;
            let checked = requirement::parse("the requirements", &lit.value, &NoInclude, allow);
            let listed = reader.embedded(checked, lit, "the requirements")?;
            let set = RequirementSet {
                requirements: listed.requirements,
                constraints: constraints
                    .map_or(Some(Vec::new()), |set| set.map(|set| set.constraints))?,
                requires_python: None,
            };
            if let Some(problem) = set.hashes_missing() {
                reader.push(problem, span(lit));
                return None;
            }
            Some(Requirements::Set(set))
        }
        "script" => {
            let text = reader.string(value?, "`Requirements` of the type `script`")?;
            let allow = context.allow_source_distributions;
            let checked = parse_script_text("the script", &text.value, allow);
            reader
                .embedded(checked, text, "the script")
                .map(Requirements::Set)
        }
        other if let Some(format) = LockFormat::of_name(other) => {
            let project = match fields.get("Project") {
                None => None,
                Some(value) => Some(reader.string(value, "`Project`")?.value.as_ref()),
            };
            read_lock(reader, format, value?, project)
        }
        other => {
            let locks = LockFormat::ALL.map(LockFormat::name);
            let known: Vec<_> = TYPES.into_iter().chain(locks).collect();
            let message = format!("`{}` is not a type of requirements", shown(other));
            let problem = Problem::error(code::REQUIREMENTS_TYPE_UNKNOWN, message);
            reader.push(problem.help(suggestion(other, &known)), span(lit));
            None
        }
    }
}

/// Requirements of the type `accretion`.
fn read_list(
    reader: &mut Reader<'_>,
    array: &Array<'_>,
    context: LineContext<'_>,
) -> Option<Requirements> {
    if array.elements.is_empty() {
        reader.push(
            Problem::error(code::REQUIREMENTS_EMPTY, "there is no requirement")
                .help("name at least one distribution"),
            span(array),
        );
        return None;
    }
    let mut collected = Collected::new("requirements", Limits::REQUIREMENTS, "the requirement");
    if array.elements.len() > Limits::REQUIREMENTS {
        reader.push(collected.too_many(), span(array));
        return None;
    }
    let mut sound = true;
    for element in &array.elements {
        let Some(requirement) = read_requirement(reader, element, context) else {
            sound = false;
            continue;
        };
        if let Some(problem) = collected.add(requirement, ()) {
            reader.push(problem, span(element));
        }
    }
    if sound && collected.is_empty() {
        reader.push(
            Problem::error(code::REQUIREMENTS_EMPTY, "no requirement ever applies")
                .help("name at least one distribution"),
            span(array),
        );
        return None;
    }
    let set = RequirementSet {
        requirements: collected.into_sorted(),
        ..RequirementSet::default()
    };
    if let Some(problem) = set.hashes_missing() {
        reader.push(problem, span(array));
        return None;
    }
    sound.then_some(Requirements::Set(set))
}

fn read_requirement(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    context: LineContext<'_>,
) -> Option<Requirement> {
    let object = reader.object(value, "a requirement")?;
    let fields = reader.fields(object, &["Name", "Details"], "a requirement");
    let name = reader.required(&fields, "Name").and_then(|value| {
        let lit = reader.string(value, "`Name`")?;
        distribution_name(reader, lit)?;
        Some(lit)
    });
    let details = reader
        .required(&fields, "Details")
        .and_then(|value| reader.string(value, "`Details`"));
    let (name, details) = (name?, details?);
    let text = &details.value;
    // `Name` is the whole name, so nothing may go on with it; and both are one logical line.
    let continues = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.starts_with(continues)
        || text.contains(|c: char| c.is_control() || c == '\\')
        || text.split_whitespace().any(|word| word.starts_with('#'))
    {
        let message = format!("`{}` can't follow the name of a distribution", shown(text));
        let help = "write details as in \"\", \"==1.0\", \"[extra]>=2\"";
        let problem = Problem::error(code::REQUIREMENT_INVALID, message);
        reader.push(problem.help(help), span(details));
        return None;
    }
    let line = format!("{}{}", name.value, text.trim_end());
    let (requirement, findings) = parse_line(&line, context);
    let sound = findings.is_empty();
    for finding in findings {
        let start = finding.range.start.saturating_sub(name.value.len());
        let end = finding.range.end.saturating_sub(name.value.len());
        let span = reader.inside(details, start..end);
        reader.push(finding.problem, span);
    }
    requirement.filter(|_| sound)
}
