//! The packages of the managed runtimes: they may stay out of a layer, because a function finds
//! them anyway.
//!
//! Lambda has the folders of layers on `sys.path` before the runtime's own, so what a layer has hides
//! what the runtime has. A package stays out only together with all that the runtime's copy needs.
//! Source: AWS Lambda Developer Guide, "Working with .zip file archives for Python Lambda functions".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use accretion_core::target::{Runtime, Target};
use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, PackageName, VersionOrUrl};

use crate::error::Error;
use crate::requirement::{
    LineContext, MarkerCosts, Requirement, RequirementSet, distribution_name, parse_line,
};

/// A package of the managed runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provided {
    /// The normalised name.
    pub name: &'static str,
    /// No runtime in use has an older version: AWS only ever updates them.
    pub at_least: &'static str,
    /// The highest major version that it may be updated to: what depends on it takes no higher one.
    major: u64,
    /// The other packages of the runtime that the package needs.
    needs: &'static [&'static str],
}

/// The packages of a runtime.
///
/// The SDK could not be imported without what it depends on. Of that the runtime has at least what the
/// oldest SDK asks for, and at most what the newest one takes. Source: `Requires-Dist` of boto3 1.26.90
/// and 1.27.1, of botocore 1.29.90 and 1.30.1, which agree; for the highest major version, of those of
/// 2026-11.
pub fn provided(runtime: Runtime) -> [Provided; 7] {
    let sdk = runtime.sdk();
    let provided = |name, at_least, major, needs| Provided {
        name,
        at_least,
        major,
        needs,
    };
    [
        provided(
            "boto3",
            sdk.boto3,
            1,
            &["botocore", "jmespath", "s3transfer"],
        ),
        provided(
            "botocore",
            sdk.botocore,
            1,
            &["jmespath", "python-dateutil", "urllib3"],
        ),
        provided("jmespath", "0.7.1", 1, &[]),
        provided("python-dateutil", "2.1", 2, &["six"]),
        provided("s3transfer", "0.6.0", 0, &["botocore"]),
        provided("six", "1.5", 1, &[]),
        provided("urllib3", "1.25.4", 2, &[]),
    ]
}

impl Provided {
    /// Returns whether every version that the runtime may have, now or later, satisfies specifiers.
    fn satisfies(&self, specifiers: &VersionSpecifiers) -> bool {
        let oldest: Version = self.at_least.parse().expect("the table has versions");
        // No package of the table counts its minor versions so far.
        let newest = Version::new([self.major, 1_000_000]);
        let takes_all = |specifier: &VersionSpecifier| match specifier.operator() {
            // What it leaves out may be what there is.
            Operator::NotEqual | Operator::NotEqualStar => *specifier.version() < oldest,
            _ => specifier.contains(&oldest) && specifier.contains(&newest),
        };
        specifiers.iter().all(takes_all)
    }
}

/// The reason why a package that the runtime has stays in the layer nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The package.
    pub package: PackageName,
    /// The oldest version that the runtime may have.
    pub at_least: &'static str,
    /// The reason.
    pub because: Because,
}

/// A reason to keep a package in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// A requirement that the runtime's version need not satisfy.
    Requirement {
        /// Its origin: a package's name and version, or the request.
        of: String,
        /// The requirement.
        requirement: String,
    },
    /// The runtime's copy would find another one in the layer than it is made for.
    Needs(&'static str),
    /// Its wheel is the user's.
    Own,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (package, at_least) = (&self.package, self.at_least);
        match &self.because {
            Because::Requirement { of, requirement } => write!(
                f,
                "{package} stays in the layer: {of} requires `{requirement}`, and the runtime has \
                 {at_least} or newer"
            ),
            Because::Needs(other) => write!(
                f,
                "{package} stays in the layer: it needs {other}, which stays"
            ),
            Because::Own => write!(f, "{package} stays in the layer: the wheel is your own"),
        }
    }
}

/// A package of the layer, and what its metadata requires, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requiring {
    /// The normalised name.
    pub name: PackageName,
    /// The version.
    pub version: String,
    /// Its `Requires-Dist`.
    pub requires: Vec<String>,
    /// True if its wheel is the user's, which is meant to be in the layer.
    pub is_own: bool,
}

/// The packages that stay out of a layer, and those that do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    /// The packages that stay out, with the oldest version that the runtime may have.
    pub out: BTreeMap<PackageName, &'static str>,
    /// The packages that stay in although the runtime has them.
    pub kept: Vec<Kept>,
}

/// Decides which packages of a layer stay out because the runtime has them in a version that satisfies
/// all that require them: the request, and every package that stays in, with all of its extras.
pub fn divide(
    target: Target,
    requirements: &RequirementSet,
    packages: &[Requiring],
) -> Result<Division, Error> {
    let environment = requirements.python(target)?.markers();
    let table = provided(target.runtime);
    let mut inside: BTreeMap<&str, Because> = BTreeMap::new();
    let mut claims = claims_of_request(requirements, &environment);
    for package in packages {
        claims.extend(claims_of_package(package, &environment));
    }
    let of_name = |name: &str| packages.iter().find(|it| it.name.as_ref() == name);
    let candidates: Vec<_> = table
        .iter()
        .filter(|it| of_name(it.name).is_some())
        .collect();
    let own = candidates
        .iter()
        .filter(|it| of_name(it.name).is_some_and(|it| it.is_own));
    inside.extend(own.map(|it| (it.name, Because::Own)));
    loop {
        let before = inside.len();
        for provided in &candidates {
            if inside.contains_key(provided.name) {
                continue;
            }
            let stays = |name: &str| {
                let is_candidate = candidates.iter().any(|it| it.name == name);
                !is_candidate || inside.contains_key(name)
            };
            let claim = claims
                .iter()
                .filter(|claim| claim.on.as_ref() == provided.name)
                .filter(|claim| claim.by.as_deref().is_none_or(stays))
                .find(|claim| !claim.is_met_by(provided));
            // What the layer has of the runtime's packages, the runtime's own would be given.
            let needed = provided.needs.iter().find(|it| inside.contains_key(*it));
            let because = match (claim, needed) {
                (Some(claim), _) => Because::Requirement {
                    of: claim.of.clone(),
                    requirement: claim.requirement.clone(),
                },
                (None, Some(needed)) => Because::Needs(needed),
                (None, None) => continue,
            };
            inside.insert(provided.name, because);
        }
        if inside.len() == before {
            break;
        }
    }
    let mut division = Division::default();
    for provided in candidates {
        let package: PackageName = provided.name.parse().expect("the table has names");
        match inside.remove(provided.name) {
            Some(because) => division.kept.push(Kept {
                package,
                at_least: provided.at_least,
                because,
            }),
            None => {
                division.out.insert(package, provided.at_least);
            }
        }
    }
    Ok(division)
}

/// Something that is required of a package.
struct Claim {
    /// The package.
    on: PackageName,
    /// The package that requires it; `None` for the request.
    by: Option<String>,
    /// The same for people.
    of: String,
    requirement: String,
    /// `None` for what no version of the runtime is known to satisfy.
    specifiers: Option<VersionSpecifiers>,
}

impl Claim {
    fn is_met_by(&self, provided: &Provided) -> bool {
        let specifiers = self.specifiers.as_ref();
        specifiers.is_some_and(|specifiers| provided.satisfies(specifiers))
    }

    fn new(requirement: &Requirement, by: Option<String>, of: String) -> Self {
        let specifiers = match &requirement.specifier.version_or_url {
            // A file is required, whatever its version.
            _ if !requirement.hashes.is_empty() => None,
            Some(VersionOrUrl::Url(_)) => None,
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => Some(specifiers.clone()),
            None => Some(VersionSpecifiers::empty()),
        };
        Self {
            on: requirement.specifier.name.clone(),
            by,
            of,
            requirement: requirement.specifier.to_string(),
            specifiers,
        }
    }
}

fn claims_of_request(requirements: &RequirementSet, environment: &MarkerEnvironment) -> Vec<Claim> {
    requirements
        .requirements
        .iter()
        .chain(&requirements.constraints)
        .filter(|it| it.specifier.evaluate_markers(environment, &[]))
        .map(|it| Claim::new(it, None, "the request".to_owned()))
        .collect()
}

fn claims_of_package(package: &Requiring, environment: &MarkerEnvironment) -> Vec<Claim> {
    let markers = MarkerCosts::default();
    let context = LineContext {
        constraint: false,
        allow_source_distributions: true,
        markers: &markers,
    };
    let of = || format!("{} {}", package.name, package.version);
    let by = || Some(package.name.to_string());
    let claims = package.requires.iter().filter_map(|text| {
        let (requirement, findings) = parse_line(text, context);
        let Some(requirement) = requirement.filter(|_| findings.is_empty()) else {
            // Whatever it means, nothing is known to satisfy it.
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
            let name = text.trim().split(is_end).next().unwrap_or_default();
            return Some(Claim {
                on: distribution_name(name)?,
                by: by(),
                of: of(),
                requirement: accretion_core::excerpt::shown(text),
                specifiers: None,
            });
        };
        // The extras that it was required with are unknown: all may be.
        let marker = requirement
            .specifier
            .marker
            .clone()
            .simplify_extras_with(|_| true);
        let applies = marker.evaluate(environment, &[]);
        applies.then(|| Claim::new(&requirement, by(), of()))
    });
    claims.collect()
}

/// The names of all packages that any runtime brings.
pub fn names() -> BTreeSet<&'static str> {
    let runtimes = Runtime::all().flat_map(provided);
    runtimes.map(|provided| provided.name).collect()
}

#[cfg(test)]
mod tests {
    use accretion_core::target::Architecture;

    use super::*;
    use crate::requirement::{NoInclude, parse};

    const TARGET: Target = Target {
        runtime: Runtime::Python313,
        architecture: Architecture::Arm64,
    };

    /// boto3 and what it needs, as they would be resolved today.
    const SDK: [(&str, &str, &[&str]); 7] = [
        (
            "boto3",
            "1.43.1",
            &[
                "botocore<1.44.0,>=1.43.1",
                "jmespath<2.0.0,>=0.7.1",
                "s3transfer<0.17.0,>=0.16.0",
                "botocore[crt]<2.0a0,>=1.21.0; extra == \"crt\"",
            ],
        ),
        (
            "botocore",
            "1.43.1",
            &[
                "jmespath<2.0.0,>=0.7.1",
                "python-dateutil<3.0.0,>=2.1",
                "urllib3<1.27,>=1.25.4; python_version < \"3.10\"",
                "urllib3!=2.2.0,<3,>=1.25.4; python_version >= \"3.10\"",
                "awscrt==0.27.6; extra == \"crt\"",
            ],
        ),
        ("jmespath", "1.0.1", &[]),
        ("python-dateutil", "2.9.0", &["six>=1.5"]),
        ("s3transfer", "0.16.0", &["botocore<2.0a.0,>=1.43.1"]),
        ("six", "1.17.0", &[]),
        ("urllib3", "2.6.0", &["brotli>=1.0.9; extra == \"brotli\""]),
    ];

    fn set(text: &str) -> RequirementSet {
        parse("requirements.txt", text, &NoInclude, false)
            .unwrap()
            .0
    }

    fn requiring((name, version, requires): (&str, &str, &[&str])) -> Requiring {
        Requiring {
            name: name.parse().unwrap(),
            version: version.to_owned(),
            requires: requires.iter().map(ToString::to_string).collect(),
            is_own: false,
        }
    }

    fn divided(requirements: &str, more: &[(&str, &[&str])]) -> (Vec<String>, Vec<String>) {
        let more = more
            .iter()
            .map(|(name, requires)| (*name, "1.0", *requires));
        let packages: Vec<_> = SDK.into_iter().chain(more).map(requiring).collect();
        let division = divide(TARGET, &set(requirements), &packages).unwrap();
        let out = division.out.keys().map(ToString::to_string).collect();
        (out, division.kept.iter().map(ToString::to_string).collect())
    }

    fn all() -> Vec<String> {
        SDK.map(|(name, ..)| name.to_owned()).to_vec()
    }

    #[test]
    fn what_anybody_would_leave_out_stays_out() {
        for requirements in [
            "boto3",
            "boto3>=1.20",
            "boto3<2",
            "boto3~=1.9",
            "boto3!=1.4.0",
            "boto3==1.*",
        ] {
            assert_eq!(
                divided(requirements, &[]),
                (all(), vec![]),
                "{requirements}"
            );
        }
        // Others that need the same, in any version that the runtime may have.
        let others: &[(&str, &[&str])] = &[("requests", &["urllib3<3,>=1.21.1"])];
        assert_eq!(divided("boto3\nrequests", others), (all(), vec![]));
    }

    #[test]
    fn a_requirement_that_a_runtime_need_not_satisfy_keeps_a_package() {
        for requirements in [
            "boto3==1.43.1",
            "boto3>=1.43",
            "boto3<1.44",
            "boto3~=1.43.0",
            "boto3!=1.40.4",
            "boto3 @ https://example.com/boto3-1.43.1-py3-none-any.whl",
            &format!("boto3==1.43.1 --hash=sha256:{}", "0".repeat(64)),
        ] {
            let (out, kept) = divided(requirements, &[]);
            // Nothing of the rest is about boto3; and what boto3 itself requires counts from now on.
            assert!(!out.contains(&"boto3".to_owned()), "{requirements}");
            assert!(!out.contains(&"botocore".to_owned()), "{requirements}");
            assert!(kept[0].starts_with("boto3 stays in the layer: the request requires"));
        }
        let (out, kept) = divided("boto3==1.43.1", &[]);
        assert_eq!(out, ["jmespath", "python-dateutil", "six"]);
        insta::assert_snapshot!(kept.join("\n"), @r"
        boto3 stays in the layer: the request requires `boto3==1.43.1`, and the runtime has 1.27.1 or newer
        botocore stays in the layer: boto3 1.43.1 requires `botocore>=1.43.1,<1.44.0`, and the runtime has 1.30.1 or newer
        s3transfer stays in the layer: boto3 1.43.1 requires `s3transfer>=0.16.0,<0.17.0`, and the runtime has 0.6.0 or newer
        urllib3 stays in the layer: botocore 1.43.1 requires `urllib3>=1.25.4,!=2.2.0,<3 ; python_full_version >= '3.10'`, and the runtime has 1.25.4 or newer
        ");
    }

    #[test]
    fn what_the_runtimes_own_copies_would_be_given_is_all_of_it_or_nothing() {
        let others: &[(&str, &[&str])] = &[("requests", &["urllib3>=2.5"])];
        let (out, kept) = divided("boto3\nrequests", others);
        // A newer urllib3 in the layer hides the runtime's, which its botocore was made for.
        assert_eq!(out, ["jmespath", "python-dateutil", "six"]);
        assert!(
            kept.contains(&"botocore stays in the layer: it needs urllib3, which stays".into())
        );
        let (out, kept) = divided("boto3\nother", &[("other", &["six!=1.16.0"])]);
        assert_eq!(out, ["jmespath"], "{kept:?}");
    }

    #[test]
    fn what_is_not_understood_keeps_a_package() {
        for requires in ["six (what", "SIX===1.16", "six ; nonsense == '1'", "-e six"] {
            let (out, _) = divided("boto3\nother", &[("other", &[requires])]);
            let is_about_six = !requires.starts_with('-');
            assert_eq!(!out.contains(&"six".to_owned()), is_about_six, "{requires}");
        }
        // Any extra may have been asked for.
        let (out, _) = divided("boto3\nother", &[("other", &["six>=2; extra == 'x'"])]);
        assert!(!out.contains(&"six".to_owned()));
        let marker = "six>=2; extra == 'x' and sys_platform == 'win32'";
        let (out, _) = divided("boto3\nother", &[("other", &[marker])]);
        assert!(out.contains(&"six".to_owned()));
    }

    #[test]
    fn constraints_count_as_what_is_required() {
        let mut requirements = set("boto3");
        requirements.constraints = set("urllib3<2").requirements;
        let division = divide(TARGET, &requirements, &SDK.map(requiring)).unwrap();
        assert!(!division.out.contains_key(&"urllib3".parse().unwrap()));
        assert!(!division.out.contains_key(&"boto3".parse().unwrap()));
    }

    #[test]
    fn the_table_is_complete_in_itself() {
        for runtime in Runtime::all() {
            let table = provided(runtime);
            for row in &table {
                assert!(row.at_least.parse::<Version>().is_ok(), "{row:?}");
                assert!(distribution_name(row.name).is_some_and(|it| it.as_ref() == row.name));
                for needed in row.needs {
                    assert!(table.iter().any(|other| other.name == *needed), "{needed}");
                }
            }
        }
        assert_eq!(names().len(), 7);
    }
}
