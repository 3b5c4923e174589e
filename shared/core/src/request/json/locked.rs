//! Lock files inside a request, and what of them is selected.

use std::collections::BTreeSet;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged as _;
use pep508_rs::ExtraName;

use super::{Fields, Reader, span};
use crate::diagnostic::{Problem, code};
use crate::limits::Limits;
use crate::lock::{LockFile, LockFormat, Selection};
use crate::request::{Requirements, lock_empty, lock_invalid, lock_warnings};

impl Reader<'_> {
    pub(super) fn lock(
        &mut self,
        format: LockFormat,
        value: &Value<'_>,
        project: Option<&str>,
    ) -> Option<Requirements> {
        let text = self.string(value, &format!("`Requirements` of the type `{format}`"))?;
        if text.value.trim().is_empty() {
            self.push(lock_empty(), span(&text.range));
            return None;
        }
        match LockFile::read(format, &text.value, project) {
            Ok(file) => {
                for problem in lock_warnings(&file) {
                    self.push(problem, span(&text.range));
                }
                Some(Requirements::Lock(file))
            }
            Err(mut error) => {
                let line = error.line(&text.value);
                let line = line.map_or_else(String::new, |line| format!(", line {line}"));
                error.problem = format!("the lock file{line}: {}", error.problem);
                self.push(lock_invalid(error), span(&text.range));
                None
            }
        }
    }

    /// What is selected of a lock file. `requirements` are `None` where they can't be read.
    pub(super) fn selection(
        &mut self,
        fields: &Fields<'_, '_>,
        requirements: Option<&Requirements>,
    ) -> Selection {
        Selection {
            groups: self.selected(fields, "Groups", requirements),
            extras: self.selected(fields, "Extras", requirements),
        }
    }

    fn selected(
        &mut self,
        fields: &Fields<'_, '_>,
        field: &'static str,
        requirements: Option<&Requirements>,
    ) -> BTreeSet<ExtraName> {
        let mut names = BTreeSet::new();
        let Some(value) = fields.get(field) else {
            return names;
        };
        let Some(array) = self.array(value, &format!("`{field}`")) else {
            return names;
        };
        if !array.elements.is_empty() && matches!(requirements, Some(Requirements::Set(_))) {
            let message = format!("`{field}` goes only with a lock file");
            let problem = Problem::error(code::SELECTION_INVALID, message);
            self.push(problem.help("remove it"), span(&value.range()));
        }
        if array.elements.len() > Limits::SELECTED {
            let message = format!("there are over {} items in `{field}`", Limits::SELECTED);
            let problem = Problem::error(code::LIST_TOO_LONG, message);
            self.push(problem.help("name fewer"), span(&value.range()));
            return names;
        }
        for element in &array.elements {
            if self.report.is_full() {
                break;
            }
            let Some(lit) = self.string(element, &format!("an item of `{field}`")) else {
                continue;
            };
            // The library's own parser takes an empty text too.
            let name = lit.value.parse().ok().filter(|_| !lit.value.is_empty());
            let Some(name) = name else {
                let message = format!("`{}` is no name for `{field}`", super::shown(&lit.value));
                let problem = Problem::error(code::SELECTION_INVALID, message).help(
                    "names have letters, digits, `-`, `_` and `.`, and start and end with a \
                     letter or digit",
                );
                self.push(problem, span(&lit.range));
                continue;
            };
            let message = format!("`{name}`");
            if !names.insert(name) {
                self.repeated(&message, span(&lit.range));
            }
        }
        names
    }
}
