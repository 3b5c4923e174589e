//! The fields of a request.

use std::collections::BTreeSet;

use pep508_rs::PackageName;

use super::{Permission, Request, Targets, unsupported};
use crate::diagnostic::{Checked, Problem, code};
use crate::excerpt::shown;
use crate::json::ast::{StringLit, Value};
use crate::json::{self, Fields, Reader, span};
use crate::limits::Limits;
use crate::requirement;
use crate::target::{Architecture, Runtime};

mod contents;
pub(super) mod indexes;
mod locked;
mod requirements;

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

/// Reads a request.
pub(super) fn read(source_name: &str, text: &str) -> Checked<Request> {
    json::read(source_name, text, read_request)
}

fn read_request(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Request> {
    let object = reader.object(value, "a request")?;
    let fields = reader.fields(object, &REQUEST_FIELDS, "a request");
    let name = reader.required(&fields, "Name").and_then(|value| {
        let lit = reader.string(value, "`Name`")?;
        let message = "`{}` is not a project name";
        reader.parsed(lit, code::PROJECT_NAME_INVALID, message)
    });
    if let Some(value) = reader.required(&fields, "Language") {
        check_language(reader, value);
    }
    let allow_source_distributions = read_flag(reader, &fields, "AllowSourceDistributions");
    // A wrong value there is no reason to complain about each source distribution.
    let allow = allow_source_distributions.unwrap_or(true);
    let contents = contents::read_contents(reader, &fields);
    let requirements = requirements::read_requirements(reader, &fields, &contents, allow);
    let selection = locked::read_selection(reader, &fields, requirements.as_ref());
    let (runtimes, architectures) = read_targets(reader, &fields);
    let description = reader.limited(&fields, "Description", Limits::DESCRIPTION_CHARS);
    let license_info = reader.limited(&fields, "LicenseInfo", Limits::LICENSE_INFO_CHARS);
    let permissions = fields
        .get("Permissions")
        .map(|value| read_permissions(reader, value));
    let exclude = fields
        .get("Exclude")
        .map(|value| read_exclude(reader, value));
    let indexes = fields
        .get("Indexes")
        .map(|value| indexes::read_indexes(reader, value, indexes::Origin::Request));
    let merge = read_flag(reader, &fields, "Merge");
    let (name, requirements) = (name?, requirements?);
    let built_for = if runtimes.is_empty() {
        requirements.runtimes()
    } else {
        runtimes
    };
    Some(Request {
        name,
        requirements,
        selection,
        targets: Targets::new(built_for, architectures),
        description,
        license_info,
        permissions: permissions.unwrap_or_default(),
        exclude: exclude.unwrap_or_default(),
        contents,
        allow_source_distributions: allow_source_distributions?,
        indexes: indexes.unwrap_or_default(),
        merge: merge?,
    })
}

/// A boolean that is false by default.
fn read_flag(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, name: &str) -> Option<bool> {
    fields.get(name).map_or(Some(false), |value| {
        reader.boolean(value, &format!("`{name}`"))
    })
}

/// The runtimes and architectures that are named.
fn read_targets(
    reader: &mut Reader<'_>,
    fields: &Fields<'_, '_>,
) -> (Vec<Runtime>, Vec<Architecture>) {
    let known_runtimes: Vec<_> = Runtime::all().map(Runtime::identifier).collect();
    let runtimes =
        reader.choices::<Runtime>(fields, "Runtimes", code::RUNTIME_UNKNOWN, &known_runtimes);
    let known_architectures = Architecture::ALL.map(Architecture::name);
    let architectures = reader.choices::<Architecture>(
        fields,
        "Architectures",
        code::ARCHITECTURE_UNKNOWN,
        &known_architectures,
    );
    for (runtime, place) in &runtimes {
        if let Some(problem) = unsupported(*runtime) {
            reader.push(problem, place.clone());
        }
    }
    (
        runtimes.into_iter().map(|(runtime, _)| runtime).collect(),
        architectures
            .into_iter()
            .map(|(architecture, _)| architecture)
            .collect(),
    )
}

fn check_language(reader: &mut Reader<'_>, value: &Value<'_>) {
    let Some(lit) = reader.string(value, "`Language`") else {
        return;
    };
    if !lit.value.eq_ignore_ascii_case("python") {
        let message = format!("`{}` is not a supported language", shown(&lit.value));
        reader.push(
            Problem::error(code::LANGUAGE_UNSUPPORTED, message).help("only `python` is"),
            span(lit),
        );
    }
}

fn read_permissions(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    let Some(array) = reader.array(value, "`Permissions`") else {
        return permissions;
    };
    for element in &array.elements {
        if reader.is_full() {
            break;
        }
        if let Some(permission) = read_permission(reader, element)
            && !permissions.insert(permission)
        {
            reader.repeated("the permission", span(element));
        }
    }
    reader.is_too_long(
        (permissions.len(), Limits::PERMISSIONS),
        "permissions",
        "let an organization use the layers, instead of its accounts",
        span(array),
    );
    permissions
}

fn read_permission(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Permission> {
    let object = reader.object(value, "a permission")?;
    let fields = reader.fields(object, &["Principal", "OrganizationId"], "a permission");
    let principal = reader
        .required(&fields, "Principal")
        .and_then(|value| reader.string(value, "`Principal`"));
    let organization = match fields.get("OrganizationId") {
        None => Some(None),
        Some(value) => reader.string(value, "`OrganizationId`").and_then(|lit| {
            let what = "`{}` is not the id of an organization";
            let id = reader.parsed(lit, code::ORGANIZATION_ID_INVALID, what)?;
            Some(Some((id, span(lit))))
        }),
    };
    let lit = principal?;
    if lit.value == "*" {
        return Some(match organization? {
            None => Permission::Everyone,
            Some((id, _)) => Permission::Organization(id),
        });
    }
    let what = "`{}` is neither `*` nor the id of an account";
    let account = reader.parsed(lit, code::PRINCIPAL_INVALID, what);
    if let Some((_, span)) = organization? {
        reader.push(
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

fn read_exclude(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeSet<PackageName> {
    match reader.array(value, "`Exclude`") {
        Some(array) => reader.set(array, "Exclude", distribution_name),
        None => BTreeSet::new(),
    }
}

fn distribution_name(reader: &mut Reader<'_>, lit: &StringLit<'_>) -> Option<PackageName> {
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
