//! Reading `Indexes`.

use std::collections::{BTreeMap, BTreeSet};

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use pep508_rs::PackageName;

use super::{Reader, parse, span};
use crate::diagnostic::{Checked, Problem, code};
use crate::index::{CodeArtifactDomain, CredentialsReference, Index, index_url};
use crate::limits::Limits;

/// Whose indexes they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::request) enum Whose {
    /// Those of one request.
    Request,
    /// Those that whoever runs the pipeline offers, some of them to requests that name them only.
    Operator,
}

/// Indexes that stand alone, as whoever runs the pipeline gives them.
pub(in crate::request) fn read(source_name: &str, text: &str) -> Checked<Vec<Index>> {
    let (value, report) = parse(source_name, text)?;
    let mut reader = Reader { text, report };
    let indexes = value.map(|value| reader.indexes(&value, Whose::Operator));
    reader.report.conclude(indexes)
}

impl Reader<'_> {
    pub(super) fn indexes(&mut self, value: &Value<'_>, whose: Whose) -> Vec<Index> {
        let mut indexes: Vec<Index> = Vec::new();
        let Some(array) = self.array(value, "`Indexes`") else {
            return indexes;
        };
        if array.elements.len() > Limits::INDEXES {
            let message = format!("there are over {} indexes", Limits::INDEXES);
            let problem = Problem::error(code::LIST_TOO_LONG, message);
            self.push(
                problem.help("have one index serve what several do"),
                span(&array.range),
            );
            return indexes;
        }
        let mut pins = BTreeMap::new();
        for element in &array.elements {
            let Some(index) = self.index(element, whose) else {
                continue;
            };
            let place = span(&element.range());
            if indexes.iter().any(|earlier| earlier.name == index.name) {
                let message = format!("there are two indexes `{}`", index.name);
                let problem = Problem::error(code::INDEX_REPEATED, message);
                self.push(problem.help("give each a name of its own"), place.clone());
            }
            for package in index.packages.iter().flatten() {
                if let Some(other) = pins.insert(package.clone(), index.name.clone()) {
                    let message = format!("`{package}` is to come from two indexes, `{other}` too");
                    let problem = Problem::error(code::PACKAGE_PINNED_TWICE, message);
                    let problem = problem.help("name it in the `Packages` of one");
                    self.push(problem, place.clone());
                }
            }
            indexes.push(index);
        }
        indexes
    }

    fn index(&mut self, value: &Value<'_>, whose: Whose) -> Option<Index> {
        let object = self.object(value, "an index")?;
        let known = ["Name", "Url", "Packages", "Credentials"];
        let fields = self.fields(object, &known, "an index");
        let name = self.required(&fields, "Name").and_then(|value| {
            let lit = self.string(value, "`Name`")?;
            self.parsed(
                lit,
                code::INDEX_NAME_INVALID,
                "`{}` is not the name of an index",
            )
        });
        let url = self.required(&fields, "Url").and_then(|value| {
            let lit = self.string(value, "`Url`")?;
            let problem = match index_url(&lit.value) {
                Ok(url) => return Some(url),
                Err(problem) => problem,
            };
            let place = span(&lit.range);
            // Where in it a password ends, nobody can say.
            self.hide(&lit.range);
            self.push(
                Problem::error(problem.code, problem.message).help(problem.help),
                place,
            );
            None
        });
        let packages = match fields.get("Packages") {
            None => Some(None),
            Some(value) => self.pinned(value, whose).map(Some),
        };
        // Somebody may have written what opens the index instead of where that is kept.
        if let Some(value) = fields.get("Credentials") {
            self.hide_strings(value);
        }
        let credentials = match (fields.get("Credentials"), &url) {
            (None, _) => Some(None),
            (Some(value), Some(url)) => self.credentials(value, url).map(Some),
            (Some(_), None) => None,
        };
        Some(Index {
            name: name?,
            url: url?,
            packages: packages?,
            credentials: credentials?,
        })
    }

    fn pinned(&mut self, value: &Value<'_>, whose: Whose) -> Option<BTreeSet<PackageName>> {
        let array = self.array(value, "`Packages`")?;
        if array.elements.is_empty() && whose == Whose::Request {
            let problem = Problem::error(code::LIST_EMPTY, "`Packages` is empty");
            self.push(
                problem.help("name the packages that come from this index, or remove it"),
                span(&array.range),
            );
            return None;
        }
        if array.elements.len() > Limits::REQUIREMENTS {
            let message = format!("there are over {} packages", Limits::REQUIREMENTS);
            let problem = Problem::error(code::LIST_TOO_LONG, message);
            self.push(
                problem.help("leave `Packages` out where an index serves all"),
                span(&array.range),
            );
            return None;
        }
        let mut names = BTreeSet::new();
        let mut sound = true;
        for element in &array.elements {
            let lit = self.string(element, "an item of `Packages`");
            let Some(name) = lit.and_then(|lit| self.distribution_name(lit)) else {
                sound = false;
                continue;
            };
            let message = format!("`{name}`");
            if !names.insert(name) {
                self.repeated(&message, span(&element.range()));
            }
        }
        sound.then_some(names)
    }

    /// Hides what is written in a string.
    fn hide(&mut self, range: &jsonc_parser::common::Range) {
        let inner = range.start + 1..range.end.saturating_sub(1);
        self.report.hide(inner);
    }

    /// Hides every string of a value.
    fn hide_strings(&mut self, value: &Value<'_>) {
        match value {
            Value::StringLit(lit) => self.hide(&lit.range),
            Value::Object(object) => {
                for property in &object.properties {
                    self.hide_strings(&property.value);
                }
            }
            Value::Array(array) => {
                for element in &array.elements {
                    self.hide_strings(element);
                }
            }
            _ => {}
        }
    }

    fn credentials(&mut self, value: &Value<'_>, url: &url::Url) -> Option<CredentialsReference> {
        let object = self.object(value, "`Credentials`")?;
        let fields = self.fields(object, &["SecretArn", "CodeArtifact"], "`Credentials`");
        match (fields.get("SecretArn"), fields.get("CodeArtifact")) {
            (Some(value), None) => {
                let lit = self.string(value, "`SecretArn`")?;
                // Not quoted, and hidden already: it may be the secret itself.
                let what = "`SecretArn` is not the ARN of a secret";
                let arn = self.parsed(lit, code::SECRET_ARN_INVALID, what)?;
                Some(CredentialsReference::Secret(arn))
            }
            (None, Some(value)) => {
                let domain = self.domain(value, url)?;
                Some(CredentialsReference::CodeArtifact(domain))
            }
            (None, None) => {
                self.required(&fields, "SecretArn");
                None
            }
            (Some(_), Some(value)) => {
                let message = "`Credentials` has both `SecretArn` and `CodeArtifact`";
                let problem = Problem::error(code::FIELD_UNKNOWN, message).help("keep one of them");
                self.push(problem, span(&value.range()));
                None
            }
        }
    }

    /// A domain of `CodeArtifact`, which has to be the one that the URL leads to.
    fn domain(&mut self, value: &Value<'_>, url: &url::Url) -> Option<CodeArtifactDomain> {
        let object = self.object(value, "`CodeArtifact`")?;
        let known = ["Domain", "DomainOwner", "Region"];
        let fields = self.fields(object, &known, "`CodeArtifact`");
        self.required(&fields, "Domain")?;
        let mut stated = [const { None }; 3];
        for (stated, name) in stated.iter_mut().zip(known) {
            if let Some(value) = fields.get(name) {
                *stated = Some(self.string(value, &format!("`{name}`"))?.value.as_ref());
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
            self.push(problem, span(&object.range));
        }
        found
    }
}
