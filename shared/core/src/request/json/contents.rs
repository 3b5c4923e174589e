//! The fields of a request about extra files, and about the files that stay out of its layers.

use std::collections::BTreeSet;

use super::read_flag;
use crate::diagnostic::{Problem, code};
use crate::excerpt::shown;
use crate::json::ast::Value;
use crate::json::{Fields, Reader, span};
use crate::layer::path_problem;
use crate::limits::Limits;
use crate::pruning::{Pattern, Pruning};
use crate::request::{Contents, FileKind, FileRules, FileSource, Input, ParseFileSourceError};

pub(super) fn read_contents<I: Input>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
) -> Contents {
    let files = read_files::<I>(reader, fields);
    let file_rules = read_file_rules(reader, fields, files.is_empty());
    let prune = read_patterns(reader, fields, "Prune");
    let include = read_patterns(reader, fields, "Include");
    if prune.is_empty()
        && let Some(value) = fields.get("Include").filter(|_| !include.is_empty())
    {
        let message = "`Include` brings back what `Prune` names, and there is no `Prune`";
        reader.push(
            Problem::warning(code::PATTERN_UNUSED, message).help("remove it, or add `Prune`"),
            span(value),
        );
    }
    let pruning = Pruning::new(prune, include).unwrap_or_else(|error| {
        let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
        let has_prune = fields.get("Prune").is_some();
        let place = fields.place(if has_prune { "Prune" } else { "Include" });
        reader.push(problem.help("name fewer"), place);
        Pruning::default()
    });
    Contents {
        files,
        file_rules,
        pruning,
        provided_by_runtime: read_flag(reader, fields, "ProvidedByRuntime").unwrap_or(false),
    }
}

fn read_file_rules(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
    has_no_files: bool,
) -> FileRules {
    let hidden = read_patterns(reader, fields, "Hidden");
    let allowed = read_paths(reader, fields, "AllowSecrets");
    for name in ["Hidden", "AllowSecrets"] {
        if let Some(value) = fields.get(name).filter(|_| has_no_files) {
            let message = format!("`{name}` is about `Files`, and there are none");
            reader.push(
                Problem::warning(code::PATTERN_UNUSED, message).help("remove it, or add `Files`"),
                span(value),
            );
        }
    }
    FileRules::new(hidden, allowed).unwrap_or_else(|error| {
        let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
        reader.push(problem.help("name fewer"), fields.place("Hidden"));
        FileRules::default()
    })
}

/// Paths of files in a layer.
fn read_paths(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, field: &str) -> BTreeSet<String> {
    let Some(array) = reader.list(fields, field) else {
        return BTreeSet::new();
    };
    let paths = reader.set(array, field, |reader, lit| {
        if let Some(problem) = path_problem(&lit.value) {
            let message = format!("the path `{}` in `{field}` {problem}", shown(&lit.value));
            let help = "name a file as it lies below `python/`: `tools/key.pem`";
            reader.push(
                Problem::error(code::FILES_INVALID, message).help(help),
                span(lit),
            );
            return None;
        }
        Some(lit.value.clone().into_owned())
    });
    reader.is_too_long(
        (paths.len(), Limits::PATTERNS),
        &format!("paths in `{field}`"),
        "leave the files out instead",
        span(array),
    );
    paths
}

fn read_files<I: Input>(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> BTreeSet<FileSource> {
    let mut sources = BTreeSet::new();
    let Some(array) = reader.list(fields, "Files") else {
        return sources;
    };
    let length = (array.elements.len(), Limits::FILE_SOURCES);
    if reader.is_too_long(
        length,
        "items in `Files`",
        "put the files into one zip",
        span(array),
    ) {
        return sources;
    }
    for element in &array.elements {
        if let Some(source) = read_file_source::<I>(reader, element)
            && !sources.insert(source)
        {
            reader.repeated("the item of `Files`", span(element));
        }
    }
    sources
}

fn read_file_source<I: Input>(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<FileSource> {
    let object = reader.object(value, "an item of `Files`")?;
    let known = ["Key", "Prefix", "Wheel", "Sha256"];
    let fields = reader.fields(object, &known, "an item of `Files`");
    let mut text = |name| {
        let value = fields.get(name)?;
        let lit = reader.string(value, &format!("`{name}`"))?;
        Some((lit.value.clone().into_owned(), span(lit)))
    };
    let [key, prefix, wheel, sha256] = known.map(&mut text);
    let (problem, place) = match (key, prefix, wheel, sha256) {
        (Some((key, place)), None, None, None) => match FileSource::object::<I>(&key) {
            Ok(source) => return Some(source),
            Err(error) => (format!("`{}` can't be taken: {error}", shown(&key)), place),
        },
        (None, Some((prefix, place)), None, None) => match FileSource::prefix(&prefix) {
            Ok(source) => return Some(source),
            Err(error) => (
                format!("`{}` can't be taken: {error}", shown(&prefix)),
                place,
            ),
        },
        (None, None, wheel, Some((sha256, place))) => {
            let filename = wheel.map(|(name, _)| name);
            let is_sound = |name: &String| matches!(I::file_kind(name), FileKind::Package(_));
            match (filename, sha256.parse()) {
                (Some(filename), _) if !is_sound(&filename) => {
                    (ParseFileSourceError::Wheel.to_string(), place)
                }
                (Some(filename), Ok(sha256)) => {
                    return Some(FileSource::Package { filename, sha256 });
                }
                (None, Ok(sha256)) => return Some(FileSource::Packed(sha256)),
                (_, Err(error)) => (error.to_string(), place),
            }
        }
        _ => (
            "an item of `Files` has `Key`, or `Prefix`".to_owned(),
            span(value),
        ),
    };
    reader.push(
        Problem::error(code::FILES_INVALID, problem).help(
            "name a zip, {\"Key\": \"files/tools/src.zip\"}, or a folder, {\"Prefix\": \
             \"files/tools/src/\"}",
        ),
        place,
    );
    None
}

fn read_patterns(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
    field: &str,
) -> BTreeSet<Pattern> {
    let Some(array) = reader.list(fields, field) else {
        return BTreeSet::new();
    };
    let patterns = reader.set(array, field, |reader, lit| {
        reader.parsed(lit, code::PATTERN_INVALID, "`{}` is not a pattern")
    });
    let is_too_long = reader.is_too_long(
        (patterns.len(), Limits::PATTERNS),
        &format!("patterns in `{field}`"),
        "let one pattern stand for several, as in `*.{pyi,pxd}`",
        span(array),
    );
    if is_too_long {
        return BTreeSet::new();
    }
    patterns
}
