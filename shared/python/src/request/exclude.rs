//! `Exclude`: distributions to leave out.

use std::collections::BTreeSet;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::excerpt::shown;
use accretion_core::json::ast::StringLit;
use accretion_core::json::{Fields, Reader, span};
use pep508_rs::PackageName;

use crate::requirement;

pub(super) fn read_exclude(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
) -> BTreeSet<PackageName> {
    let array = reader.list(fields, "Exclude");
    array.map_or_else(BTreeSet::new, |array| {
        reader.set(array, "Exclude", distribution_name)
    })
}

/// Reads the name of a distribution.
pub(super) fn distribution_name(
    reader: &mut Reader<'_>,
    lit: &StringLit<'_>,
) -> Option<PackageName> {
    let name = requirement::distribution_name(&lit.value);
    if name.is_none() {
        let message = format!("`{}` is not the name of a distribution", shown(&lit.value));
        reader.push(
            Problem::error(code::DISTRIBUTION_NAME_INVALID, message).help(
                "names have letters, digits, `-`, `_` and `.`, and start and end with a \
                 letter or digit",
            ),
            span(lit),
        );
    }
    name
}
