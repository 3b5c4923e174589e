//! The indexes of a build: the choice of its request within the offer of the operator.
//!
//! Secrets of indexes belong to the operator, and requests are not trusted: a request may have a secret
//! sent only to an index to which the operator has it sent, too.

use std::str::FromStr;

use accretion_python::index::{CodeArtifactDomain, CredentialsReference, Index, SecretArn};
use accretion_python::request::{Request, read_indexes};
use url::Url;

use crate::Error;

/// Indexes that an operator offers, as a request has them in `Indexes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfferedIndexes(pub Vec<Index>);

/// A text that is no list of indexes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problems}")]
pub struct ParseOfferedIndexesError {
    problems: String,
}

impl FromStr for OfferedIndexes {
    type Err = ParseOfferedIndexesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = read_indexes("Indexes", text);
        let (indexes, _) = read.map_err(|report| {
            let problems = report.problems.into_iter();
            let messages: Vec<_> = problems.map(|problem| problem.message).collect();
            ParseOfferedIndexesError {
                problems: messages.join("; "),
            }
        })?;
        Ok(Self(indexes))
    }
}

/// The indexes that an operator offers.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The default index; the resolver's own if there is none.
    pub default: Option<Url>,
    /// The credentials of the default index.
    pub default_secret: Option<SecretArn>,
    /// Indexes that are asked before it. One that serves no packages is for requests that name it.
    pub indexes: Vec<Index>,
    /// The domain of `CodeArtifact` that issues tokens.
    pub domain: Option<CodeArtifactDomain>,
}

/// The indexes of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenIndexes {
    /// The default index, and where its credentials are.
    pub default: Option<(Url, Option<CredentialsReference>)>,
    /// The others, in the order in which they are asked.
    pub named: Vec<Index>,
}

impl Offer {
    /// The URLs that the operator names.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        let named = self.indexes.iter().map(|index| &index.url);
        named.chain(&self.default)
    }

    /// The indexes of a request's build: the operator's own, then the request's.
    pub fn choose(&self, request: &Request) -> Result<ChosenIndexes, Error> {
        let serves = |index: &&Index| index.packages.as_ref().is_none_or(|it| !it.is_empty());
        let mut named: Vec<_> = self.indexes.iter().filter(serves).cloned().collect();
        for index in &request.input.indexes {
            if let Some(reference) = &index.credentials
                && !self.allows(reference, index)
            {
                return Err(Error::IndexCredentialsRefused {
                    index: index.name.to_string(),
                    reference: reference.to_string(),
                });
            }
            let mut allowed = index.clone();
            if let Some(packages) = &mut allowed.packages {
                for own in self.indexes.iter().filter(serves) {
                    let pinned = own.packages.iter().flatten();
                    let claimed: Vec<_> = pinned.filter(|it| packages.contains(it)).collect();
                    if let Some(package) = claimed.first()
                        && own.url != index.url
                    {
                        return Err(Error::PackagePinnedElsewhere {
                            package: package.to_string(),
                            index: index.name.to_string(),
                        });
                    }
                    for package in claimed {
                        packages.remove(package);
                    }
                }
                if packages.is_empty() {
                    continue;
                }
            }
            named.push(allowed);
        }
        let default = self.default.clone().map(|url| {
            let token = CodeArtifactDomain::of_url(&url)
                .filter(|domain| self.domain.as_ref() == Some(domain))
                .map(CredentialsReference::CodeArtifact);
            let secret = self.default_secret.clone();
            (url, secret.map(CredentialsReference::Secret).or(token))
        });
        Ok(ChosenIndexes { default, named })
    }

    /// Returns whether a request may have credentials sent to an index.
    fn allows(&self, reference: &CredentialsReference, to: &Index) -> bool {
        match reference {
            CredentialsReference::Secret(arn) => {
                let own = self.indexes.iter();
                let mut same = own.filter(|own| own.credentials.as_ref() == Some(reference));
                let of_default = self.default_secret.as_ref() == Some(arn);
                let is_default = || self.default.as_ref().is_some_and(|url| *url == to.url);
                same.any(|own| own.contains(&to.url)) || of_default && is_default()
            }
            // The parser has checked that the URL is of the domain's own host.
            CredentialsReference::CodeArtifact(domain) => self.domain.as_ref() == Some(domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::Fault as _;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:corp";
    const OTHER: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:other";
    const ARTIFACTS: &str =
        "https://corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com/pypi/all/simple/";

    fn offer() -> Offer {
        let indexes = json!([
            {"Name": "corp", "Url": "https://corp.example.com/a/", "Packages": ["corp-lib"],
             "Credentials": {"SecretArn": SECRET}},
            {"Name": "on-request", "Url": "https://teams.example.com/", "Packages": [],
             "Credentials": {"SecretArn": OTHER}},
        ]);
        let OfferedIndexes(indexes) = indexes.to_string().parse().unwrap();
        let domain = "arn:aws:codeartifact:eu-west-1:123456789012:domain/corp";
        Offer {
            indexes,
            domain: Some(domain.parse().unwrap()),
            ..Offer::default()
        }
    }

    fn choose(offer: &Offer, indexes: &Value) -> Result<Vec<String>, &'static str> {
        let request = json!({
            "Name": "x", "Language": "python", "Indexes": indexes,
            "Requirements": {"Type": "requirements.txt", "Requirements": "a"},
        });
        let read = Request::from_json("request.json", request.to_string().as_bytes());
        let chosen = offer.choose(&read.unwrap().0);
        let chosen = chosen.map_err(|error| error.code())?;
        let shown = chosen.named.iter().map(|index| {
            let packages: Vec<_> = index.packages.iter().flatten().map(AsRef::as_ref).collect();
            format!("{} {}", index.name, packages.join(","))
        });
        Ok(shown.collect())
    }

    #[test]
    fn the_operators_indexes_come_first() {
        let index = |name: &str| json!({"Name": name, "Url": "https://mine.example.com/"});
        let own = "corp corp-lib".to_owned();
        assert_eq!(choose(&offer(), &json!([])), Ok(vec![own.clone()]));
        let chosen = choose(&offer(), &json!([index("mine")]));
        assert_eq!(chosen, Ok(vec![own, "mine ".to_owned()]));
    }

    #[test]
    fn a_request_does_not_take_a_package_elsewhere() {
        let index = |url: &str, packages: &[&str]| {
            choose(
                &offer(),
                &json!([{"Name": "mine", "Url": url, "Packages": packages}]),
            )
        };
        let refused = Err("PackagePinnedElsewhere");
        assert_eq!(index("https://mine.example.com/", &["Corp.Lib"]), refused);
        assert_eq!(
            index("https://mine.example.com/", &["x"]).unwrap()[1],
            "mine x"
        );
        let same = index("https://corp.example.com/a/", &["corp-lib", "x"]);
        assert_eq!(same.unwrap(), ["corp corp-lib", "mine x"]);
        let same = index("https://corp.example.com/a/", &["corp-lib"]);
        assert_eq!(same.unwrap(), ["corp corp-lib"]);
    }

    #[test]
    fn a_secret_goes_nowhere_but_where_the_operator_sends_it() {
        let with = |url: &str, arn: &str| {
            let credentials = json!({ "SecretArn": arn });
            let index = json!([{"Name": "mine", "Url": url, "Credentials": credentials}]);
            choose(&offer(), &index).map(|_| "sent")
        };
        let refused = Err("IndexCredentialsRefused");
        for (url, arn, expected) in [
            ("https://corp.example.com/a/", SECRET, Ok("sent")),
            ("https://corp.example.com/a/b/", SECRET, Ok("sent")),
            ("https://teams.example.com/mine/simple/", OTHER, Ok("sent")),
            ("https://corp.example.com/ab/", SECRET, refused),
            ("https://corp.example.com/a/../b/", SECRET, refused),
            ("https://corp.example.com:8443/a/", SECRET, refused),
            ("https://corp.example.com.evil.example/a/", SECRET, refused),
            ("https://evil.example/a/", SECRET, refused),
            ("https://corp.example.com/a/", OTHER, refused),
            ("https://teams.example.com/", SECRET, refused),
            (
                "https://corp.example.com/a/",
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x",
                refused,
            ),
        ] {
            assert_eq!(with(url, arn), expected, "{url} {arn}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_operators_domain() {
        let index = json!([{"Name": "mine", "Url": ARTIFACTS,
            "Credentials": {"CodeArtifact": {"Domain": "corp"}}}]);
        assert!(choose(&offer(), &index).is_ok());
        for domain in [
            "arn:aws:codeartifact:eu-west-1:123456789012:domain/other",
            "arn:aws:codeartifact:eu-west-2:123456789012:domain/corp",
            "arn:aws:codeartifact:eu-west-1:123456789013:domain/corp",
        ] {
            let offer = Offer {
                domain: Some(domain.parse().unwrap()),
                ..offer()
            };
            let refused = choose(&offer, &index);
            assert_eq!(refused, Err("IndexCredentialsRefused"), "{domain}");
        }
    }

    #[test]
    fn the_default_index_is_opened_too() {
        let set = accretion_python::requirement::RequirementSet::default();
        let requirements = accretion_python::request::Requirements::Set(set);
        let request = Request::new(
            "x".parse().unwrap(),
            accretion_python::request::PythonInput::new(requirements),
        );
        let reference = |offer: Offer| offer.choose(&request).unwrap().default.unwrap().1;
        let of_url = |url: &str| Offer {
            default: Some(url.parse().unwrap()),
            ..offer()
        };
        assert_eq!(reference(of_url("https://corp.example.com/a/")), None);
        assert!(matches!(
            reference(of_url(ARTIFACTS)),
            Some(CredentialsReference::CodeArtifact(_))
        ));
        let with_secret = Offer {
            default_secret: Some(SECRET.parse().unwrap()),
            ..of_url(ARTIFACTS)
        };
        assert!(matches!(
            reference(with_secret),
            Some(CredentialsReference::Secret(_))
        ));
    }
}
