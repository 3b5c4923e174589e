//! Reading `Indexes`.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::diagnostic::{Checked, Problem, code};
use accretion_core::json::ast::Value;
use accretion_core::json::{self, Reader, span};
use accretion_core::limits::Limits;
use pep508_rs::PackageName;
use url::Url;

use super::exclude::distribution_name;
use crate::index::{CodeArtifactDomain, CredentialsReference, Index, index_url};

/// The author of a list of indexes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::request) enum Origin {
    /// A request.
    Request,
    /// The operator of a pipeline. An index with an empty `Packages` serves only requests that name it.
    Operator,
}

/// Reads the indexes of an operator.
pub(in crate::request) fn read(source_name: &str, text: &str) -> Checked<Vec<Index>> {
    json::read(source_name, text, |reader, value| {
        Some(read_indexes(reader, value, Origin::Operator))
    })
}

pub(super) fn read_indexes(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    origin: Origin,
) -> Vec<Index> {
    let mut indexes: Vec<Index> = Vec::new();
    let Some(array) = reader.array(value, "`Indexes`") else {
        return indexes;
    };
    let length = (array.elements.len(), Limits::INDEXES);
    let help = "have one index serve what several do";
    if reader.is_too_long(length, "indexes", help, span(array)) {
        return indexes;
    }
    let mut pins = BTreeMap::new();
    for element in &array.elements {
        let Some(index) = read_index(reader, element, origin) else {
            continue;
        };
        let place = span(element);
        if indexes.iter().any(|earlier| earlier.name == index.name) {
            let message = format!("there are two indexes `{}`", index.name);
            let problem = Problem::error(code::INDEX_REPEATED, message);
            reader.push(problem.help("give each another name"), place.clone());
        }
        for package in index.packages.iter().flatten() {
            if let Some(other) = pins.insert(package.clone(), index.name.clone()) {
                let message = format!("`{package}` is to come from two indexes, `{other}` too");
                let problem = Problem::error(code::PACKAGE_PINNED_TWICE, message);
                reader.push(
                    problem.help("name it in the `Packages` of one"),
                    place.clone(),
                );
            }
        }
        indexes.push(index);
    }
    indexes
}

fn read_index(reader: &mut Reader<'_>, value: &Value<'_>, origin: Origin) -> Option<Index> {
    let object = reader.object(value, "an index")?;
    let known = ["Name", "Url", "Packages", "Credentials"];
    let fields = reader.fields(object, &known, "an index");
    let name = reader.required(&fields, "Name").and_then(|value| {
        let lit = reader.string(value, "`Name`")?;
        reader.parsed(
            lit,
            code::INDEX_NAME_INVALID,
            "`{}` is not the name of an index",
        )
    });
    let url = reader.required(&fields, "Url").and_then(|value| {
        let lit = reader.string(value, "`Url`")?;
        let problem = match index_url(&lit.value) {
            Ok(url) => return Some(url),
            Err(problem) => problem,
        };
        // The end of a password in it can't be known.
        reader.hide(value);
        reader.push(problem, span(lit));
        None
    });
    let packages = match fields.get("Packages") {
        None => Some(None),
        Some(value) => read_packages(reader, value, origin).map(Some),
    };
    // The author may have written the credentials themselves in the place of a reference to them.
    if let Some(value) = fields.get("Credentials") {
        reader.hide(value);
    }
    let credentials = match (fields.get("Credentials"), &url) {
        (None, _) => Some(None),
        (Some(value), Some(url)) => read_credentials(reader, value, url).map(Some),
        (Some(_), None) => None,
    };
    Some(Index {
        name: name?,
        url: url?,
        packages: packages?,
        credentials: credentials?,
    })
}

/// The packages that come from an index.
fn read_packages(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    origin: Origin,
) -> Option<BTreeSet<PackageName>> {
    let array = reader.array(value, "`Packages`")?;
    if array.elements.is_empty() && origin == Origin::Request {
        let problem = Problem::error(code::LIST_EMPTY, "`Packages` is empty");
        reader.push(
            problem.help("name the packages that come from this index, or remove it"),
            span(array),
        );
        return None;
    }
    let length = (array.elements.len(), Limits::REQUIREMENTS);
    let help = "leave `Packages` out where an index serves all";
    if reader.is_too_long(length, "packages", help, span(array)) {
        return None;
    }
    Some(reader.set(array, "Packages", distribution_name))
}

fn read_credentials(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    url: &Url,
) -> Option<CredentialsReference> {
    let object = reader.object(value, "`Credentials`")?;
    let fields = reader.fields(object, &["SecretArn", "CodeArtifact"], "`Credentials`");
    match (fields.get("SecretArn"), fields.get("CodeArtifact")) {
        (Some(value), None) => {
            let lit = reader.string(value, "`SecretArn`")?;
            // Not quoted, and hidden already: it may be the secret itself.
            let what = "`SecretArn` is not the ARN of a secret";
            let arn = reader.parsed(lit, code::SECRET_ARN_INVALID, what)?;
            Some(CredentialsReference::Secret(arn))
        }
        (None, Some(value)) => {
            let domain = read_domain(reader, value, url)?;
            Some(CredentialsReference::CodeArtifact(domain))
        }
        (None, None) => {
            reader.required(&fields, "SecretArn");
            None
        }
        (Some(_), Some(value)) => {
            let message = "`Credentials` has both `SecretArn` and `CodeArtifact`";
            let problem = Problem::error(code::FIELD_UNKNOWN, message).help("keep one of them");
            reader.push(problem, span(value));
            None
        }
    }
}

/// A domain of `CodeArtifact`, which has to be the one that the URL leads to.
fn read_domain(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    url: &Url,
) -> Option<CodeArtifactDomain> {
    let object = reader.object(value, "`CodeArtifact`")?;
    let known = ["Domain", "DomainOwner", "Region"];
    let fields = reader.fields(object, &known, "`CodeArtifact`");
    reader.required(&fields, "Domain")?;
    let mut stated = [const { None }; 3];
    for (stated, name) in stated.iter_mut().zip(known) {
        if let Some(value) = fields.get(name) {
            *stated = Some(reader.string(value, &format!("`{name}`"))?.value.as_ref());
        }
    }
    let found = CodeArtifactDomain::of_url(url).filter(|domain| {
        let parts = [&domain.name, &domain.owner, &domain.region];
        let mut pairs = parts.into_iter().zip(stated);
        pairs.all(|(part, stated)| stated.is_none_or(|stated| stated == part))
    });
    if found.is_none() {
        let message = "the index's URL is none of this domain of CodeArtifact";
        let help = "the URL is \
                    `https://DOMAIN-OWNER.d.codeartifact.REGION.amazonaws.com/pypi/REPOSITORY/simple/`";
        let problem = Problem::error(code::CODE_ARTIFACT_MISMATCH, message).help(help);
        reader.push(problem, span(object));
    }
    found
}
