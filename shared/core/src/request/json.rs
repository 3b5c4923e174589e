//! A request's JSON, read by hand so that every problem is found at once, each at its place.

mod contents;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use jsonc_parser::ast::{Array, Object, StringLit, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use pep508_rs::PackageName;

use super::{Permission, Request, Requirements, Targets, deprecation};
use crate::diagnostic::{Checked, Problem, Report, closest, code};
use crate::limits::Limits;
use crate::lock::LockFormat;
use crate::requirement::{
    self, LineContext, MarkerCosts, NoInclude, Requirement, RequirementSet, parse_line,
};
use crate::target::{Architecture, Runtime};

pub(super) mod indexes;
mod locked;

/// Strict JSON.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

const REQUEST_FIELDS: [&str; 20] = [
    "Name",
    "Language",
    "Requirements",
    "Groups",
    "Extras",
    "Runtimes",
    "Architectures",
    "Description",
    "LicenseInfo",
    "Permissions",
    "Exclude",
    "ProvidedByRuntime",
    "Files",
    "Hidden",
    "AllowSecrets",
    "Prune",
    "Include",
    "AllowSourceDistributions",
    "Indexes",
    "Merge",
];

/// Types of requirements, lock files left out.
const TYPES: [&str; 3] = ["accretion", "requirements.txt", "script"];

pub(super) fn read(source_name: &str, text: &str) -> Checked<Request> {
    let (value, report) = parse(source_name, text)?;
    let mut reader = Reader { text, report };
    let request = value.and_then(|value| reader.request(&value));
    let mut report = reader.report;
    report
        .problems
        .sort_by_key(|problem| problem.location.as_ref().map(|place| place.span.start));
    report.conclude(request)
}

/// The JSON, and a report for what will be found wrong with it.
fn parse<'a>(source_name: &str, text: &'a str) -> Checked<Option<Value<'a>>> {
    let mut report = Report::new(source_name, text);
    // serde_json limits the depth and is the strictest reader of the two; the other knows places.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        report.push(json_invalid(message, at));
        return Err(report);
    }
    let options = CollectOptions {
        comments: jsonc_parser::CommentCollectionStrategy::Off,
        tokens: false,
    };
    let value = match parse_to_ast(text, &options, &STRICT) {
        Ok(parsed) => parsed.value,
        Err(error) => {
            let message = error.kind().to_string().to_lowercase();
            report.push(json_invalid(&message, span(&error.range())));
            return Err(report);
        }
    };
    Ok((value, report))
}

fn json_invalid(message: &str, span: Range<usize>) -> Problem {
    Problem::error(
        code::JSON_INVALID,
        format!("the text is not JSON: {message}"),
    )
    .at(0, span)
    .help("a request is one JSON object, without comments and trailing commas")
}

/// The place of a line and a column (in bytes, from 1) of `serde_json`.
fn offset(text: &str, line: usize, column: usize) -> Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let at = text.floor_char_boundary((start + column.saturating_sub(1)).min(text.len()));
    let next = text[at..].chars().next().map_or(0, char::len_utf8);
    at..at + next
}

fn span(range: &jsonc_parser::common::Range) -> Range<usize> {
    range.start..range.end
}

struct Reader<'a> {
    text: &'a str,
    report: Report,
}

/// The fields of an object, by name; and where the object starts, for what is missing.
struct Fields<'v, 'a> {
    values: BTreeMap<&'static str, &'v Value<'a>>,
    start: Range<usize>,
}

impl<'v, 'a> Fields<'v, 'a> {
    fn get(&self, name: &str) -> Option<&'v Value<'a>> {
        self.values.get(name).copied()
    }
}

impl Reader<'_> {
    fn push(&mut self, problem: Problem, span: Range<usize>) {
        self.report.push(problem.at(0, span));
    }

    fn request(&mut self, value: &Value<'_>) -> Option<Request> {
        let object = self.object(value, "a request")?;
        let fields = self.fields(object, &REQUEST_FIELDS, "a request");
        let name = self.required(&fields, "Name").and_then(|value| {
            let lit = self.string(value, "`Name`")?;
            self.parsed(
                lit,
                code::PROJECT_NAME_INVALID,
                "`{}` is not a project name",
            )
        });
        if let Some(value) = self.required(&fields, "Language") {
            self.language(value);
        }
        let allow_source_distributions = fields
            .get("AllowSourceDistributions")
            .map_or(Some(false), |value| {
                self.boolean(value, "`AllowSourceDistributions`")
            });
        let markers = MarkerCosts::default();
        let context = LineContext {
            constraint: false,
            // A wrong value here is no reason to complain about each source distribution.
            allow_source_distributions: allow_source_distributions.unwrap_or(true),
            markers: &markers,
        };
        let contents = self.contents(&fields);
        let requirements = Self::nothing_required(&fields, &contents).or_else(|| {
            self.required(&fields, "Requirements")
                .and_then(|value| self.requirements(value, context))
        });
        let selection = self.selection(&fields, requirements.as_ref());
        let runtimes = self.choices::<Runtime>(
            fields.get("Runtimes"),
            "Runtimes",
            code::RUNTIME_UNKNOWN,
            &Runtime::all().map(Runtime::identifier).collect::<Vec<_>>(),
        );
        let architectures = self.choices::<Architecture>(
            fields.get("Architectures"),
            "Architectures",
            code::ARCHITECTURE_UNKNOWN,
            &Architecture::ALL.map(Architecture::name),
        );
        for (runtime, span) in &runtimes {
            if let Some(problem) = deprecation(*runtime) {
                self.push(problem, span.clone());
            }
        }
        let description = self.limited(
            fields.get("Description"),
            "Description",
            Limits::DESCRIPTION_CHARS,
        );
        let license_info = self.limited(
            fields.get("LicenseInfo"),
            "LicenseInfo",
            Limits::LICENSE_INFO_CHARS,
        );
        let permissions = fields
            .get("Permissions")
            .map(|value| self.permissions(value))
            .unwrap_or_default();
        let exclude = fields
            .get("Exclude")
            .map(|value| self.exclude(value))
            .unwrap_or_default();
        let indexes = fields.get("Indexes");
        let indexes = indexes.map(|value| self.indexes(value, indexes::Whose::Request));
        let merge = fields
            .get("Merge")
            .map_or(Some(false), |value| self.boolean(value, "`Merge`"));
        let requirements = requirements?;
        let runtimes = if runtimes.is_empty() {
            requirements.runtimes()
        } else {
            runtimes.into_iter().map(|(runtime, _)| runtime).collect()
        };
        let architectures = architectures.into_iter();
        let architectures = architectures.map(|(architecture, _)| architecture);
        Some(Request {
            name: name?,
            requirements,
            selection,
            targets: Targets::new(runtimes, architectures),
            description,
            license_info,
            permissions,
            exclude,
            contents,
            allow_source_distributions: allow_source_distributions?,
            indexes: indexes.unwrap_or_default(),
            merge: merge?,
        })
    }

    fn language(&mut self, value: &Value<'_>) {
        let Some(lit) = self.string(value, "`Language`") else {
            return;
        };
        if !lit.value.eq_ignore_ascii_case("python") {
            let message = format!("`{}` is not a supported language", shown(&lit.value));
            self.push(
                Problem::error(code::LANGUAGE_UNSUPPORTED, message).help("only `python` is"),
                span(&lit.range),
            );
        }
    }

    fn requirements(
        &mut self,
        value: &Value<'_>,
        context: LineContext<'_>,
    ) -> Option<Requirements> {
        let object = self.object(value, "`Requirements`")?;
        let text_type = object.get_string("Type").map(|lit| &*lit.value);
        let known: &[&'static str] = match text_type {
            None | Some("requirements.txt") => &["Type", "Requirements", "Constraints"],
            Some(other) => match LockFormat::of_name(other) {
                Some(format) if format.takes_project() => &["Type", "Requirements", "Project"],
                _ => &["Type", "Requirements"],
            },
        };
        let fields = self.fields(object, known, "`Requirements`");
        let type_value = self.required(&fields, "Type");
        let value = self.required(&fields, "Requirements");
        let lit = self.string(type_value?, "`Type`")?;
        match &*lit.value {
            "accretion" => {
                let array = self.array(value?, "`Requirements` of the type `accretion`")?;
                self.requirement_list(array, context)
            }
            "requirements.txt" => {
                let text = value.and_then(|value| {
                    self.string(value, "`Requirements` of the type `requirements.txt`")
                });
                let constraints = fields.get("Constraints").map(|value| {
                    let lit = self.string(value, "`Constraints`")?;
                    self.embedded(lit, "the constraints", context, true)
                });
                let text = text?;
                let set = self.embedded(text, "the requirements", context, false)?;
                let set = RequirementSet {
                    requirements: set.requirements,
                    constraints: constraints
                        .map_or(Some(Vec::new()), |set| set.map(|set| set.constraints))?,
                    requires_python: None,
                };
                if let Some(problem) = set.hashes_missing() {
                    self.push(problem, span(&text.range));
                    return None;
                }
                Some(Requirements::Set(set))
            }
            "script" => {
                let text = self.string(value?, "`Requirements` of the type `script`")?;
                let allow = context.allow_source_distributions;
                let checked = requirement::parse_script_text("the script", &text.value, allow);
                self.set_of(checked, text, "the script")
                    .map(Requirements::Set)
            }
            other if let Some(format) = LockFormat::of_name(other) => {
                let project = match fields.get("Project") {
                    None => None,
                    Some(value) => Some(self.string(value, "`Project`")?.value.as_ref()),
                };
                self.lock(format, value?, project)
            }
            other => {
                let locks = LockFormat::ALL.map(LockFormat::name);
                let known: Vec<_> = TYPES.into_iter().chain(locks).collect();
                self.push(
                    Problem::error(
                        code::REQUIREMENTS_TYPE_UNKNOWN,
                        format!("`{}` is not a type of requirements", shown(other)),
                    )
                    .help(suggestion(other, &known)),
                    span(&lit.range),
                );
                None
            }
        }
    }

    /// Requirements of the type `accretion`.
    fn requirement_list(
        &mut self,
        array: &Array<'_>,
        context: LineContext<'_>,
    ) -> Option<Requirements> {
        if array.elements.is_empty() {
            self.push(
                Problem::error(code::REQUIREMENTS_EMPTY, "there is no requirement")
                    .help("name at least one distribution"),
                span(&array.range),
            );
            return None;
        }
        if array.elements.len() > Limits::REQUIREMENTS {
            self.push(
                Problem::error(
                    code::TOO_MANY_REQUIREMENTS,
                    format!("there are over {} requirements", Limits::REQUIREMENTS),
                )
                .help("make several layers of them"),
                span(&array.range),
            );
            return None;
        }
        let mut requirements = Vec::new();
        let mut lines = BTreeSet::new();
        let mut sound = true;
        for element in &array.elements {
            let Some(requirement) = self.requirement(element, context) else {
                sound = false;
                continue;
            };
            if requirement.specifier.marker.is_false() {
                let message = format!(
                    "the marker of `{}` is never true",
                    requirement.specifier.name
                );
                self.push(
                    Problem::warning(code::REQUIREMENT_NEVER_APPLIES, message)
                        .help("remove the requirement, or correct its marker"),
                    span(&element.range()),
                );
            } else if lines.insert(requirement.to_string()) {
                requirements.push(requirement);
            } else {
                let message = format!("`{}` is there twice", requirement.specifier);
                self.push(
                    Problem::warning(code::REQUIREMENT_REPEATED, message).help("remove one"),
                    span(&element.range()),
                );
            }
        }
        if sound && requirements.is_empty() {
            self.push(
                Problem::error(code::REQUIREMENTS_EMPTY, "no requirement ever applies")
                    .help("name at least one distribution"),
                span(&array.range),
            );
            return None;
        }
        requirement::sort(&mut requirements);
        let set = RequirementSet {
            requirements,
            ..RequirementSet::default()
        };
        if let Some(problem) = set.hashes_missing() {
            self.push(problem, span(&array.range));
            return None;
        }
        sound.then_some(Requirements::Set(set))
    }

    fn requirement(&mut self, value: &Value<'_>, context: LineContext<'_>) -> Option<Requirement> {
        let object = self.object(value, "a requirement")?;
        let fields = self.fields(object, &["Name", "Details"], "a requirement");
        let name = self.required(&fields, "Name").and_then(|value| {
            let lit = self.string(value, "`Name`")?;
            self.distribution_name(lit)?;
            Some(lit)
        });
        let details = self
            .required(&fields, "Details")
            .and_then(|value| self.string(value, "`Details`"));
        let (name, details) = (name?, details?);
        let text = &details.value;
        // `Name` is the whole name, so nothing may go on with it; and both are one logical line.
        let continues = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.starts_with(continues)
            || text.contains(|c: char| c.is_control() || c == '\\')
            || text.split_whitespace().any(|word| word.starts_with('#'))
        {
            self.push(
                Problem::error(
                    code::REQUIREMENT_INVALID,
                    format!("`{}` can't follow the name of a distribution", shown(text)),
                )
                .help("write details as in \"\", \"==1.0\", \"[extra]>=2\""),
                span(&details.range),
            );
            return None;
        }
        let line = format!("{}{}", name.value, text.trim_end());
        let (requirement, findings) = parse_line(&line, context);
        let sound = findings.is_empty();
        for finding in findings {
            let start = finding.range.start.saturating_sub(name.value.len());
            let end = finding.range.end.saturating_sub(name.value.len());
            let span = self.inside(details, start..end);
            self.push(finding.problem, span);
        }
        requirement.filter(|_| sound)
    }

    /// A requirements or constraints text inside the JSON. Its problems point into the string, and
    /// name the line.
    fn embedded(
        &mut self,
        lit: &StringLit<'_>,
        what: &str,
        context: LineContext<'_>,
        constraints: bool,
    ) -> Option<RequirementSet> {
        let checked = if constraints {
            requirement::parse_constraints(what, &lit.value, context.allow_source_distributions)
        } else {
            requirement::parse(
                what,
                &lit.value,
                &NoInclude,
                context.allow_source_distributions,
            )
        };
        self.set_of(checked, lit, what)
    }

    /// What was read of a text inside the JSON, with its problems.
    fn set_of(
        &mut self,
        checked: Checked<RequirementSet>,
        lit: &StringLit<'_>,
        what: &str,
    ) -> Option<RequirementSet> {
        let (set, inner) = match checked {
            Ok((set, report)) => (Some(set), report),
            Err(report) => (None, report),
        };
        for problem in &inner.problems {
            let (message, span) = match &problem.location {
                Some(location) => {
                    let (line, _) = inner.line_column(location);
                    let message = format!("line {line} of {what}: {}", problem.message);
                    (message, self.inside(lit, location.span.clone()))
                }
                None => (problem.message.clone(), span(&lit.range)),
            };
            let problem = Problem {
                message,
                ..problem.clone()
            };
            self.push(problem, span);
        }
        set
    }

    /// The place of a part of a string's value in the JSON text.
    fn inside(&self, lit: &StringLit<'_>, part: Range<usize>) -> Range<usize> {
        let raw = &self.text[lit.range.start..lit.range.end];
        let start = raw_offset(raw, part.start);
        let end = raw_offset(raw, part.end).max(start + 1);
        let start = self.text.floor_char_boundary(lit.range.start + start);
        let end = self.text.ceil_char_boundary(lit.range.start + end);
        start..end.min(lit.range.end)
    }

    fn permissions(&mut self, value: &Value<'_>) -> BTreeSet<Permission> {
        let mut permissions = BTreeSet::new();
        let Some(array) = self.array(value, "`Permissions`") else {
            return permissions;
        };
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            if let Some(permission) = self.permission(element)
                && !permissions.insert(permission)
            {
                self.repeated("the permission", span(&element.range()));
            }
        }
        if permissions.len() > Limits::PERMISSIONS {
            self.push(
                Problem::error(
                    code::LIST_TOO_LONG,
                    format!("there are over {} permissions", Limits::PERMISSIONS),
                )
                .help("let an organization use the layers, instead of its accounts"),
                span(&array.range),
            );
        }
        permissions
    }

    fn permission(&mut self, value: &Value<'_>) -> Option<Permission> {
        let object = self.object(value, "a permission")?;
        let fields = self.fields(object, &["Principal", "OrganizationId"], "a permission");
        let principal = self
            .required(&fields, "Principal")
            .and_then(|value| self.string(value, "`Principal`"));
        let organization = match fields.get("OrganizationId") {
            None => Some(None),
            Some(value) => self.string(value, "`OrganizationId`").and_then(|lit| {
                let what = "`{}` is not the id of an organization";
                let id = self.parsed(lit, code::ORGANIZATION_ID_INVALID, what)?;
                Some(Some((id, span(&lit.range))))
            }),
        };
        let principal = principal?;
        if principal.value == "*" {
            return Some(match organization? {
                None => Permission::Everyone,
                Some((id, _)) => Permission::Organization(id),
            });
        }
        let what = "`{}` is neither `*` nor the id of an account";
        let account = self.parsed(principal, code::PRINCIPAL_INVALID, what);
        if let Some((_, span)) = organization? {
            self.push(
                Problem::error(
                    code::ORGANIZATION_ID_INVALID,
                    "`OrganizationId` goes only with the principal `*`",
                )
                .help("make `Principal` `*`, or remove `OrganizationId`"),
                span,
            );
            return None;
        }
        account.map(Permission::Account)
    }

    fn exclude(&mut self, value: &Value<'_>) -> BTreeSet<PackageName> {
        let mut names = BTreeSet::new();
        let Some(array) = self.array(value, "`Exclude`") else {
            return names;
        };
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            let Some(lit) = self.string(element, "an item of `Exclude`") else {
                continue;
            };
            if let Some(name) = self.distribution_name(lit) {
                let message = format!("`{name}`");
                if !names.insert(name) {
                    self.repeated(&message, span(&lit.range));
                }
            }
        }
        names
    }

    /// A list of identifiers from a table, each with its place.
    fn choices<T: FromStr + PartialEq>(
        &mut self,
        value: Option<&Value<'_>>,
        field: &str,
        unknown: &'static str,
        known: &[&str],
    ) -> Vec<(T, Range<usize>)> {
        let mut chosen: Vec<(T, Range<usize>)> = Vec::new();
        let Some(array) = value.and_then(|value| self.array(value, &format!("`{field}`"))) else {
            return chosen;
        };
        if array.elements.is_empty() {
            self.push(
                Problem::error(code::LIST_EMPTY, format!("`{field}` is empty"))
                    .help("remove it to build for all that are supported, or name some"),
                span(&array.range),
            );
        }
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            let place = span(&lit.range);
            let Ok(choice) = lit.value.parse::<T>() else {
                let message = format!("`{}` is not supported in `{field}`", shown(&lit.value));
                self.push(Problem::error(unknown, message).help(listed(known)), place);
                continue;
            };
            if chosen.iter().any(|(earlier, _)| *earlier == choice) {
                self.repeated(&format!("`{}`", lit.value), place);
            } else {
                chosen.push((choice, place));
            }
        }
        chosen
    }

    fn repeated(&mut self, what: &str, span: Range<usize>) {
        self.push(
            Problem::warning(code::VALUE_REPEATED, format!("{what} is there twice"))
                .help("remove one"),
            span,
        );
    }

    /// A text with a limit; an empty one is none.
    fn limited(&mut self, value: Option<&Value<'_>>, field: &str, max: usize) -> Option<String> {
        let lit = self.string(value?, &format!("`{field}`"))?;
        let length = lit.value.chars().count();
        if length > max {
            self.push(
                Problem::error(
                    code::TEXT_TOO_LONG,
                    format!("`{field}` has {length} characters, and Lambda takes {max}"),
                )
                .help("shorten it"),
                span(&lit.range),
            );
        }
        (!lit.value.is_empty()).then(|| lit.value.clone().into_owned())
    }

    fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        lit: &StringLit<'_>,
        code: &'static str,
        message: &str,
    ) -> Option<T> {
        lit.value
            .parse()
            .map_err(|error: T::Err| {
                let message = message.replace("{}", &shown(&lit.value));
                let problem = Problem::error(code, message).help(error.to_string());
                self.push(problem, span(&lit.range));
            })
            .ok()
    }

    fn distribution_name(&mut self, lit: &StringLit<'_>) -> Option<PackageName> {
        let name = requirement::distribution_name(&lit.value);
        if name.is_none() {
            let message = format!("`{}` is not the name of a distribution", shown(&lit.value));
            self.push(
                Problem::error(code::DISTRIBUTION_NAME_INVALID, message).help(
                    "names have letters, digits, `-`, `_` and `.`, and start and end with a \
                     letter or digit",
                ),
                span(&lit.range),
            );
        }
        name
    }

    /// The fields of an object; unknown and repeated ones are reported.
    fn fields<'v, 'a>(
        &mut self,
        object: &'v Object<'a>,
        known: &[&'static str],
        what: &str,
    ) -> Fields<'v, 'a> {
        let mut values = BTreeMap::new();
        for property in &object.properties {
            if self.report.is_full() {
                break;
            }
            let name = property.name.as_str();
            let place = span(&property.name.range());
            let Some(field) = known.iter().copied().find(|field| *field == name) else {
                let message = format!("{what} has no field `{}`", shown(name));
                self.push(
                    Problem::error(code::FIELD_UNKNOWN, message).help(suggestion(name, known)),
                    place,
                );
                continue;
            };
            if values.contains_key(field) {
                self.push(
                    Problem::error(code::FIELD_REPEATED, format!("`{name}` is there twice"))
                        .help("remove one"),
                    place,
                );
            } else {
                values.insert(field, &property.value);
            }
        }
        let start = object.range.start;
        Fields {
            values,
            start: start..start + 1,
        }
    }

    fn required<'v, 'a>(
        &mut self,
        fields: &Fields<'v, 'a>,
        name: &'static str,
    ) -> Option<&'v Value<'a>> {
        let value = fields.get(name);
        if value.is_none() {
            self.push(
                Problem::error(
                    code::FIELD_MISSING,
                    format!("the field `{name}` is missing"),
                )
                .help(format!("add `{name}`")),
                fields.start.clone(),
            );
        }
        value
    }

    fn wrong_type(&mut self, value: &Value<'_>, what: &str, expected: &str) {
        let found = match value {
            Value::StringLit(_) => "a string",
            Value::NumberLit(_) => "a number",
            Value::BooleanLit(_) => "a boolean",
            Value::Object(_) => "an object",
            Value::Array(_) => "a list",
            Value::NullKeyword(_) => "null",
        };
        self.push(
            Problem::error(
                code::WRONG_TYPE,
                format!("{what} must be {expected}, not {found}"),
            )
            .help("docs/formats.md shows the form of a request"),
            span(&value.range()),
        );
    }

    fn string<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v StringLit<'a>> {
        let lit = value.as_string_lit();
        if lit.is_none() {
            self.wrong_type(value, what, "a string");
        }
        lit
    }

    fn boolean(&mut self, value: &Value<'_>, what: &str) -> Option<bool> {
        let lit = value.as_boolean_lit();
        if lit.is_none() {
            self.wrong_type(value, what, "true or false");
        }
        lit.map(|lit| lit.value)
    }

    fn array<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v Array<'a>> {
        let array = value.as_array();
        if array.is_none() {
            self.wrong_type(value, what, "a list");
        }
        array
    }

    fn object<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v Object<'a>> {
        let object = value.as_object();
        if object.is_none() {
            self.wrong_type(value, what, "an object");
        }
        object
    }
}

/// A user's text for a message: escaped, and cut where it gets long.
fn shown(text: &str) -> String {
    const MAX: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Help with a name that is not among the known ones.
fn suggestion(typed: &str, known: &[&str]) -> String {
    match closest(typed, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => listed(known),
    }
}

fn listed(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("known are {}", quoted.join(", "))
}

/// The offset in a JSON string literal, quotes included, of an offset in its value.
fn raw_offset(raw: &str, offset: usize) -> usize {
    let mut decoded = 0;
    let mut chars = raw.char_indices().skip(1).peekable();
    let mut end = raw.len() - 1;
    while let Some((at, c)) = chars.next() {
        if decoded >= offset {
            end = at;
            break;
        }
        decoded += if c != '\\' {
            c.len_utf8()
        } else if raw[at..].starts_with("\\u") {
            let unit = raw.get(at + 2..at + 6);
            let unit = unit.and_then(|hex| u32::from_str_radix(hex, 16).ok());
            // Both halves of a surrogate pair add up to the four bytes of their character.
            let length = match unit {
                Some(0xd800..=0xdfff) => 2,
                Some(unit) => char::from_u32(unit).map_or(0, char::len_utf8),
                None => 0,
            };
            chars.nth(4);
            length
        } else {
            chars.next();
            1
        };
    }
    end.min(raw.len() - 1)
}
