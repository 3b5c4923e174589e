//! The fields of a request about what goes into layers besides what is required, and what stays out.

use std::collections::BTreeSet;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged as _;

use super::super::Requirements;
use super::super::contents::{Contents, FileSource};
use super::{Fields, Reader, shown, span};
use crate::diagnostic::{Problem, code};
use crate::files::FileRules;
use crate::limits::Limits;
use crate::pruning::{Pattern, Pruning};
use crate::requirement::RequirementSet;
use crate::wheel::{WheelFilename, path_problem};

impl Reader<'_> {
    pub(super) fn contents(&mut self, fields: &Fields<'_, '_>) -> Contents {
        let files = fields.get("Files");
        let files = files.map(|value| self.files(value)).unwrap_or_default();
        let file_rules = self.file_rules(fields, files.is_empty());
        let prune = self.patterns(fields, "Prune");
        let include = self.patterns(fields, "Include");
        if prune.is_empty()
            && let Some(value) = fields.get("Include").filter(|_| !include.is_empty())
        {
            let message = "`Include` brings back what `Prune` names, and there is no `Prune`";
            self.push(
                Problem::warning(code::PATTERN_UNUSED, message).help("remove it, or add `Prune`"),
                span(&value.range()),
            );
        }
        let pruning = Pruning::new(prune, include).unwrap_or_else(|error| {
            let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
            let places = [fields.get("Prune"), fields.get("Include")];
            let place = places.into_iter().flatten().next();
            let place = place.map_or(fields.start.clone(), |value| span(&value.range()));
            self.push(problem.help("name fewer"), place);
            Pruning::default()
        });
        let provided = fields.get("ProvidedByRuntime");
        let provided = provided.and_then(|value| self.boolean(value, "`ProvidedByRuntime`"));
        Contents {
            files,
            file_rules,
            pruning,
            provided_by_runtime: provided.unwrap_or(false),
        }
    }

    fn file_rules(&mut self, fields: &Fields<'_, '_>, has_no_files: bool) -> FileRules {
        let hidden = self.patterns(fields, "Hidden");
        let allowed = fields.get("AllowSecrets");
        let allowed = allowed.map(|value| self.paths(value, "AllowSecrets"));
        for name in ["Hidden", "AllowSecrets"] {
            if let Some(value) = fields.get(name).filter(|_| has_no_files) {
                let message = format!("`{name}` is about `Files`, and there are none");
                self.push(
                    Problem::warning(code::PATTERN_UNUSED, message)
                        .help("remove it, or add `Files`"),
                    span(&value.range()),
                );
            }
        }
        FileRules::new(hidden, allowed.unwrap_or_default()).unwrap_or_else(|error| {
            let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
            let place = fields.get("Hidden").map(|value| span(&value.range()));
            self.push(
                problem.help("name fewer"),
                place.unwrap_or(fields.start.clone()),
            );
            FileRules::default()
        })
    }

    /// Paths of files in a layer.
    fn paths(&mut self, value: &Value<'_>, field: &str) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        let Some(array) = self.array(value, &format!("`{field}`")) else {
            return paths;
        };
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            let place = span(&lit.range);
            if let Some(problem) = path_problem(&lit.value) {
                let message = format!("the path `{}` in `{field}` {problem}", shown(&lit.value));
                let help = "name a file as it lies below `python/`: `tools/key.pem`";
                self.push(
                    Problem::error(code::FILES_INVALID, message).help(help),
                    place,
                );
            } else if !paths.insert(lit.value.clone().into_owned()) {
                self.repeated(&format!("`{}`", shown(&lit.value)), place);
            }
        }
        if paths.len() > Limits::PATTERNS {
            let message = format!("`{field}` has over {} paths", Limits::PATTERNS);
            self.push(
                Problem::error(code::LIST_TOO_LONG, message).help("leave the files out instead"),
                span(&array.range),
            );
        }
        paths
    }

    /// No requirement at all, which is no problem where there are files.
    pub(super) fn nothing_required(
        fields: &Fields<'_, '_>,
        contents: &Contents,
    ) -> Option<Requirements> {
        let value = fields.get("Requirements")?.as_object()?;
        let is_list = value.get_string("Type")?.value == "accretion" && value.properties.len() == 2;
        let is_empty = value.get_array("Requirements")?.elements.is_empty();
        let is_nothing = is_list && is_empty && !contents.files.is_empty();
        is_nothing.then(|| Requirements::Set(RequirementSet::default()))
    }

    fn files(&mut self, value: &Value<'_>) -> BTreeSet<FileSource> {
        let mut sources = BTreeSet::new();
        let Some(array) = self.array(value, "`Files`") else {
            return sources;
        };
        if array.elements.len() > Limits::FILE_SOURCES {
            self.push(
                Problem::error(
                    code::LIST_TOO_LONG,
                    format!("`Files` has over {} items", Limits::FILE_SOURCES),
                )
                .help("put the files into one zip"),
                span(&array.range),
            );
            return sources;
        }
        for element in &array.elements {
            if let Some(source) = self.file_source(element)
                && !sources.insert(source)
            {
                self.repeated("the item of `Files`", span(&element.range()));
            }
        }
        sources
    }

    fn file_source(&mut self, value: &Value<'_>) -> Option<FileSource> {
        let object = self.object(value, "an item of `Files`")?;
        let known = ["Key", "Prefix", "Wheel", "Sha256"];
        let fields = self.fields(object, &known, "an item of `Files`");
        let mut text = |name| {
            let value = fields.get(name)?;
            let lit = self.string(value, &format!("`{name}`"))?;
            Some((lit.value.clone().into_owned(), span(&lit.range)))
        };
        let [key, prefix, wheel, sha256] = known.map(&mut text);
        let (problem, place) = match (key, prefix, wheel, sha256) {
            (Some((key, place)), None, None, None) => match FileSource::object(&key) {
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
                let filename = wheel
                    .map(|(name, _)| name.parse::<WheelFilename>())
                    .transpose();
                match (filename, sha256.parse()) {
                    (Ok(Some(filename)), Ok(sha256)) => {
                        return Some(FileSource::Wheel { filename, sha256 });
                    }
                    (Ok(None), Ok(sha256)) => return Some(FileSource::Packed(sha256)),
                    (Err(error), _) => (error.to_string(), place),
                    (_, Err(error)) => (error.to_string(), place),
                }
            }
            _ => (
                "an item of `Files` has `Key`, or `Prefix`".to_owned(),
                span(&value.range()),
            ),
        };
        self.push(
            Problem::error(code::FILES_INVALID, problem).help(
                "name a zip, {\"Key\": \"files/tools/src.zip\"}, or a folder, {\"Prefix\": \
                 \"files/tools/src/\"}",
            ),
            place,
        );
        None
    }

    fn patterns(&mut self, fields: &Fields<'_, '_>, field: &str) -> BTreeSet<Pattern> {
        let mut patterns = BTreeSet::new();
        let value = fields.get(field);
        let Some(array) = value.and_then(|value| self.array(value, &format!("`{field}`"))) else {
            return patterns;
        };
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            let what = "`{}` is not a pattern";
            if let Some(pattern) = self.parsed(lit, code::PATTERN_INVALID, what)
                && !patterns.insert(pattern)
            {
                self.repeated(&format!("`{}`", shown(&lit.value)), span(&lit.range));
            }
        }
        if patterns.len() > Limits::PATTERNS {
            self.push(
                Problem::error(
                    code::LIST_TOO_LONG,
                    format!("`{field}` has over {} patterns", Limits::PATTERNS),
                )
                .help("let one pattern stand for several, as in `*.{pyi,pxd}`"),
                span(&array.range),
            );
            return BTreeSet::new();
        }
        patterns
    }
}
