//! JSON that a person wrote, read strictly: every problem is reported at once, each at its place.
//! What the fields mean is known only to those who read them with a [`Reader`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use jsonc_parser::ast::{Array, Object, StringLit, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Serialize;

use crate::diagnostic::{Checked, Problem, Report, closest, code};
use crate::excerpt::shown;

pub use jsonc_parser::ast;

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

/// Writes indented JSON with a final newline.
///
/// # Panics
///
/// Never for documents of strings, numbers, booleans and lists, which are always JSON.
pub fn pretty(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document).expect("documents are always JSON");
    text + "\n"
}

/// Reads a JSON text with `read`. The report has the problems in the order of the text.
///
/// `source_name` is what the report calls the text.
pub fn read<T>(
    source_name: &str,
    text: &str,
    read: impl FnOnce(&mut Reader<'_>, &Value<'_>) -> Option<T>,
) -> Checked<T> {
    let (value, report) = parse(source_name, text)?;
    let mut reader = Reader { text, report };
    let read = value.and_then(|value| read(&mut reader, &value));
    let mut report = reader.report;
    report
        .problems
        .sort_by_key(|problem| problem.location.as_ref().map(|place| place.span.start));
    report.conclude(read)
}

/// The bytes of a value in the text.
pub fn span(value: &impl Ranged) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

/// The value, with a report that has no problems yet.
fn parse<'a>(source_name: &str, text: &'a str) -> Checked<Option<Value<'a>>> {
    let mut report = Report::new(source_name, text);
    // serde_json limits the depth and is the strictest reader of the two; the other knows places.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        let message = error.to_string();
        let without_place = message.split(" at line ").next().unwrap_or_default();
        report.push(json_invalid(without_place, at));
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
            let range = error.range();
            report.push(json_invalid(&message, range.start..range.end));
            return Err(report);
        }
    };
    Ok((value, report))
}

fn json_invalid(message: &str, span: Range<usize>) -> Problem {
    let problem = format!("the text is not JSON: {message}");
    Problem::error(code::JSON_INVALID, problem)
        .at(0, span)
        .help("JSON has neither comments nor trailing commas")
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

/// A reader of values that reports what is wrong with them.
///
/// Its methods return `None` if they reported an error, so that the other fields can still be read.
pub struct Reader<'a> {
    text: &'a str,
    report: Report,
}

/// The fields of an object.
pub struct Fields<'v, 'a> {
    values: BTreeMap<&'static str, &'v Value<'a>>,
    start: Range<usize>,
}

impl<'v, 'a> Fields<'v, 'a> {
    /// The value of a field, if the object has it.
    pub fn get(&self, name: &str) -> Option<&'v Value<'a>> {
        self.values.get(name).copied()
    }

    /// The place of a field's value, or of the object's start if it has no such field.
    pub fn place(&self, name: &str) -> Range<usize> {
        self.get(name).map_or(self.start.clone(), span)
    }
}

impl Reader<'_> {
    /// Reports a problem at a place in the text.
    pub fn push(&mut self, problem: Problem, place: Range<usize>) {
        self.report.push(problem.at(0, place));
    }

    /// Returns whether further errors would not be listed.
    pub fn is_full(&self) -> bool {
        self.report.is_full()
    }

    /// Hides every string of a value in all that is shown of the text: it may be a secret.
    pub fn hide(&mut self, value: &Value<'_>) {
        match value {
            Value::StringLit(lit) => {
                let inner = lit.range.start + 1..lit.range.end.saturating_sub(1);
                self.report.hide(inner);
            }
            Value::Object(object) => {
                for property in &object.properties {
                    self.hide(&property.value);
                }
            }
            Value::Array(array) => {
                for element in &array.elements {
                    self.hide(element);
                }
            }
            _ => {}
        }
    }

    /// The fields of an object; unknown and repeated ones are reported.
    pub fn fields<'v, 'a>(
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
            let place = span(&property.name);
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
                    Problem::error(code::FIELD_REPEATED, format!("`{name}` appears twice"))
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

    /// The value of a field that the object must have.
    pub fn required<'v, 'a>(
        &mut self,
        fields: &Fields<'v, 'a>,
        name: &'static str,
    ) -> Option<&'v Value<'a>> {
        let value = fields.get(name);
        if value.is_none() {
            let message = format!("the field `{name}` is missing");
            let problem = Problem::error(code::FIELD_MISSING, message);
            let place = fields.start.clone();
            self.push(problem.help(format!("add `{name}`")), place);
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
        let message = format!("{what} must be {expected}, not {found}");
        let problem = Problem::error(code::WRONG_TYPE, message);
        self.push(problem.help("docs/formats.md shows the form"), span(value));
    }

    /// A string. `what` names the value in the message: "`Name`", "an item of `Files`".
    pub fn string<'v, 'a>(
        &mut self,
        value: &'v Value<'a>,
        what: &str,
    ) -> Option<&'v StringLit<'a>> {
        let lit = value.as_string_lit();
        if lit.is_none() {
            self.wrong_type(value, what, "a string");
        }
        lit
    }

    /// A boolean.
    pub fn boolean(&mut self, value: &Value<'_>, what: &str) -> Option<bool> {
        let lit = value.as_boolean_lit();
        if lit.is_none() {
            self.wrong_type(value, what, "true or false");
        }
        lit.map(|lit| lit.value)
    }

    /// A list.
    pub fn array<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v Array<'a>> {
        let array = value.as_array();
        if array.is_none() {
            self.wrong_type(value, what, "a list");
        }
        array
    }

    /// The list of a field, if the object has it.
    pub fn list<'v, 'a>(&mut self, fields: &Fields<'v, 'a>, field: &str) -> Option<&'v Array<'a>> {
        self.array(fields.get(field)?, &format!("`{field}`"))
    }

    /// An object.
    pub fn object<'v, 'a>(&mut self, value: &'v Value<'a>, what: &str) -> Option<&'v Object<'a>> {
        let object = value.as_object();
        if object.is_none() {
            self.wrong_type(value, what, "an object");
        }
        object
    }

    /// A text of at most `max` characters; `None` if it is empty.
    pub fn limited(&mut self, fields: &Fields<'_, '_>, field: &str, max: usize) -> Option<String> {
        let lit = self.string(fields.get(field)?, &format!("`{field}`"))?;
        let length = lit.value.chars().count();
        if length > max {
            let message = format!("`{field}` has {length} characters, and Lambda takes {max}");
            let problem = Problem::error(code::TEXT_TOO_LONG, message);
            self.push(problem.help("shorten it"), span(lit));
        }
        (!lit.value.is_empty()).then(|| lit.value.clone().into_owned())
    }

    /// Returns whether a list is too long, which is reported. `items` names what it holds.
    pub fn is_too_long(
        &mut self,
        (length, max): (usize, usize),
        items: &str,
        help: &str,
        place: Range<usize>,
    ) -> bool {
        if length > max {
            let message = format!("there are over {max} {items}");
            self.push(
                Problem::error(code::LIST_TOO_LONG, message).help(help),
                place,
            );
        }
        length > max
    }

    /// The value of a string. `message` has `{}` in the place of its text.
    pub fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        lit: &StringLit<'_>,
        code: &'static str,
        message: &str,
    ) -> Option<T> {
        lit.value
            .parse()
            .map_err(|error: T::Err| {
                let of_text = message.replace("{}", &shown(&lit.value));
                let problem = Problem::error(code, of_text).help(error.to_string());
                self.push(problem, span(lit));
            })
            .ok()
    }

    /// The distinct strings of a list, each as `read` takes it; reports repeated ones.
    pub fn set<T: Ord>(
        &mut self,
        array: &Array<'_>,
        field: &str,
        mut read: impl FnMut(&mut Self, &StringLit<'_>) -> Option<T>,
    ) -> BTreeSet<T> {
        let mut items = BTreeSet::new();
        for element in &array.elements {
            if self.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            if let Some(item) = read(self, lit)
                && !items.insert(item)
            {
                self.repeated(&format!("`{}`", shown(&lit.value)), span(lit));
            }
        }
        items
    }

    /// A list of identifiers from a table, each with its place.
    pub fn choices<T: FromStr + PartialEq>(
        &mut self,
        fields: &Fields<'_, '_>,
        field: &str,
        unknown: &'static str,
        known: &[&str],
    ) -> Vec<(T, Range<usize>)> {
        let mut chosen: Vec<(T, Range<usize>)> = Vec::new();
        let Some(array) = self.list(fields, field) else {
            return chosen;
        };
        if array.elements.is_empty() {
            self.push(
                Problem::error(code::LIST_EMPTY, format!("`{field}` is empty"))
                    .help("remove it to choose all that are supported, or name some"),
                span(array),
            );
        }
        for element in &array.elements {
            if self.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            let place = span(lit);
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

    /// Warns of a value that a list has already.
    pub fn repeated(&mut self, what: &str, place: Range<usize>) {
        self.push(
            Problem::warning(code::VALUE_REPEATED, format!("{what} appears twice"))
                .help("remove one"),
            place,
        );
    }

    /// Takes over what was read of a text in a string: its problems point into the string, and name
    /// the line.
    pub fn embedded<T>(
        &mut self,
        checked: Checked<T>,
        lit: &StringLit<'_>,
        what: &str,
    ) -> Option<T> {
        let (value, inner) = match checked {
            Ok((value, report)) => (Some(value), report),
            Err(report) => (None, report),
        };
        for problem in &inner.problems {
            let (message, place) = match &problem.location {
                Some(location) => {
                    let (line, _) = inner.line_column(location);
                    let message = format!("line {line} of {what}: {}", problem.message);
                    (message, self.inside(lit, location.span.clone()))
                }
                None => (problem.message.clone(), span(lit)),
            };
            let problem = Problem {
                message,
                ..problem.clone()
            };
            self.push(problem, place);
        }
        value
    }

    /// The place of a part of a string's value in the JSON text.
    pub fn inside(&self, lit: &StringLit<'_>, part: Range<usize>) -> Range<usize> {
        let raw = &self.text[lit.range.start..lit.range.end];
        let start = raw_offset(raw, part.start);
        let end = raw_offset(raw, part.end).max(start + 1);
        let start = self.text.floor_char_boundary(lit.range.start + start);
        let end = self.text.ceil_char_boundary(lit.range.start + end);
        start..end.min(lit.range.end)
    }
}

/// Help for a name that is not known, with the known ones or the likeliest of them.
pub fn suggestion(typed: &str, known: &[&str]) -> String {
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
            let hex = raw.get(at + 2..at + 6);
            let unit = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
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
