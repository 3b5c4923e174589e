//! Lock files in a request, and the groups and extras that it selects of them.

use std::collections::BTreeSet;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::excerpt::shown;
use accretion_core::json::ast::Value;
use accretion_core::json::{Fields, Reader, span};
use accretion_core::limits::Limits;
use pep508_rs::ExtraName;

use crate::lock::{LockFile, LockFormat, Selection};
use crate::request::{Requirements, lock_empty, lock_invalid, lock_warnings};

pub(super) fn read_lock(
    reader: &mut Reader<'_>,
    format: LockFormat,
    value: &Value<'_>,
    project: Option<&str>,
) -> Option<Requirements> {
    let text = reader.string(value, &format!("`Requirements` of the type `{format}`"))?;
    if text.value.trim().is_empty() {
        reader.push(lock_empty(), span(text));
        return None;
    }
    match LockFile::read(format, &text.value, project) {
        Ok(file) => {
            for problem in lock_warnings(&file) {
                reader.push(problem, span(text));
            }
            Some(Requirements::Lock(file))
        }
        Err(mut error) => {
            let place = match error.line(&text.value) {
                Some(line) => format!("the lock file, line {line}"),
                None => "the lock file".to_owned(),
            };
            error.problem = format!("{place}: {}", error.problem);
            reader.push(lock_invalid(error), span(text));
            None
        }
    }
}

/// The groups and extras selected of a lock file. `requirements` are `None` where they can't be read.
pub(super) fn read_selection(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
    requirements: Option<&Requirements>,
) -> Selection {
    Selection {
        groups: read_selected(reader, fields, "Groups", requirements),
        extras: read_selected(reader, fields, "Extras", requirements),
    }
}

fn read_selected(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
    field: &'static str,
    requirements: Option<&Requirements>,
) -> BTreeSet<ExtraName> {
    let Some(array) = reader.list(fields, field) else {
        return BTreeSet::new();
    };
    if !array.elements.is_empty() && matches!(requirements, Some(Requirements::Set(_))) {
        let message = format!("`{field}` goes only with a lock file");
        let problem = Problem::error(code::SELECTION_INVALID, message);
        reader.push(problem.help("remove it"), span(array));
    }
    let length = (array.elements.len(), Limits::SELECTED);
    if reader.is_too_long(
        length,
        &format!("items in `{field}`"),
        "name fewer",
        span(array),
    ) {
        return BTreeSet::new();
    }
    reader.set(array, field, |reader, lit| {
        // The library's own parser takes an empty text too.
        let name = lit.value.parse().ok().filter(|_| !lit.value.is_empty());
        if name.is_none() {
            let message = format!("`{}` is no name for `{field}`", shown(&lit.value));
            let problem = Problem::error(code::SELECTION_INVALID, message).help(
                "names have letters, digits, `-`, `_` and `.`, and start and end with a \
                 letter or digit",
            );
            reader.push(problem, span(lit));
        }
        name
    })
}
