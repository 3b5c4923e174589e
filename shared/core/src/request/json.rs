//! The fields of a request.

use std::collections::BTreeSet;

use super::{Input, Permission, Request, Targets, unsupported};
use crate::diagnostic::{Checked, Problem, code};
use crate::excerpt::shown;
use crate::json::ast::Value;
use crate::json::{self, Fields, Reader, span};
use crate::language::Language;
use crate::limits::Limits;
use crate::target::{Architecture, Runtime};

mod contents;

/// The fields of every request.
const ENVELOPE: [&str; 14] = [
    "Name",
    "Language",
    "Runtimes",
    "Architectures",
    "Description",
    "LicenseInfo",
    "Permissions",
    "ProvidedByRuntime",
    "Files",
    "Hidden",
    "AllowSecrets",
    "Prune",
    "Include",
    "Merge",
];

/// Reads a request.
pub(super) fn read<I: Input>(source_name: &str, text: &str) -> Checked<Request<I>> {
    json::read(source_name, text, read_request)
}

fn read_request<I: Input>(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Request<I>> {
    let object = reader.object(value, "a request")?;
    let known: Vec<_> = ENVELOPE
        .into_iter()
        .chain(I::FIELDS.iter().copied())
        .collect();
    let fields = reader.fields(object, &known, "a request");
    let name = reader.required(&fields, "Name").and_then(|value| {
        let lit = reader.string(value, "`Name`")?;
        let message = "`{}` is not a project name";
        reader.parsed(lit, code::PROJECT_NAME_INVALID, message)
    });
    if let Some(value) = reader.required(&fields, "Language") {
        check_language(reader, value, I::LANGUAGE);
    }
    let contents = contents::read_contents::<I>(reader, &fields);
    let input = I::read(reader, &fields, &contents);
    let (runtimes, architectures) = read_targets(reader, &fields);
    let description = reader.limited(&fields, "Description", Limits::DESCRIPTION_CHARS);
    let license_info = reader.limited(&fields, "LicenseInfo", Limits::LICENSE_INFO_CHARS);
    let permissions = read_permissions(reader, &fields);
    let merge = read_flag(reader, &fields, "Merge");
    let packages = input?;
    let built_for = if runtimes.is_empty() {
        packages.runtimes()
    } else {
        runtimes
    };
    Some(Request {
        name: name?,
        input: packages,
        targets: Targets::new(built_for, architectures),
        description,
        license_info,
        permissions,
        contents,
        merge: merge?,
    })
}

/// A boolean that is false by default.
pub fn read_flag(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, name: &str) -> Option<bool> {
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

fn check_language(reader: &mut Reader<'_>, value: &Value<'_>, expected: Language) {
    let Some(lit) = reader.string(value, "`Language`") else {
        return;
    };
    if Language::named(&lit.value) != Some(expected) {
        let message = format!("`{}` is not a supported language", shown(&lit.value));
        let help = format!("only `{expected}` is");
        reader.push(
            Problem::error(code::LANGUAGE_UNSUPPORTED, message).help(help),
            span(lit),
        );
    }
}

fn read_permissions(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    let Some(array) = reader.list(fields, "Permissions") else {
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
        let message = "`OrganizationId` goes only with the principal `*`";
        let problem = Problem::error(code::ORGANIZATION_ID_INVALID, message);
        let help = "make `Principal` `*`, or remove `OrganizationId`";
        reader.push(problem.help(help), span);
        return None;
    }
    account.map(Permission::Account)
}
