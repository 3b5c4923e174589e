//! The rules of a pipeline's operator for requests: whose they are, and whom they share layers with.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::{FileSource, Input, Permission, ProjectName, Request};
use crate::diagnostic::{Problem, code};
use crate::excerpt::shown;
use crate::keys;
use crate::text::ParseTextError;

/// The rules of a pipeline's operator for requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// The rule that a request is for the project of its key, `requests/PROJECT/FILE`, and no other.
    pub project_from_key: bool,
    /// The accounts and organizations that requests may share layers with.
    pub permissions: AllowedPermissions,
}

impl Admission {
    /// The rules of a pipeline whose operator has set none: projects are not owned, and layers stay
    /// within the account.
    pub const DEFAULT: Self = Self {
        project_from_key: false,
        permissions: AllowedPermissions::NONE,
    };

    /// The project that an object of the inbox is for. `None` where keys do not decide.
    pub fn owner_of_key(&self, key: &str) -> Result<Option<ProjectName>, Problem> {
        if !self.project_from_key {
            return Ok(None);
        }
        keys::project_of_request(key).map(Some).ok_or_else(|| {
            let message = format!("the key `{}` is not `requests/PROJECT/FILE`", shown(key));
            Problem::error(code::REQUEST_KEY_INVALID, message).help(
                "drop the request right into the folder of its project below `requests/`: this \
                 pipeline takes the project from the key",
            )
        })
    }

    /// The problem of a request that came as a message, which no key says the project of.
    pub fn message_problem(&self) -> Option<Problem> {
        self.project_from_key.then(|| {
            let message = "this pipeline takes the project from the key, and a message has none";
            Problem::error(code::MESSAGE_REFUSED, message)
                .help("drop the request into the inbox, as `requests/PROJECT/FILE`")
        })
    }

    /// The problems of a request that was received for a project; none without an owner but those of
    /// its permissions.
    pub fn problems<I: Input>(
        &self,
        request: &Request<I>,
        owner: Option<&ProjectName>,
    ) -> Vec<Problem> {
        let refused = self.refused(&request.permissions);
        let mut problems: Vec<_> = refused.map(permission_problem).collect();
        let Some(owner) = owner else {
            return problems;
        };
        problems.extend(Self::name_problem(&request.name, owner));
        let files = request.contents.files.iter();
        let foreign = files.filter_map(|it| it.key_outside(owner));
        problems.extend(foreign.map(|key| {
            let message = format!("`{}` is not a file of `{owner}`", shown(key));
            Problem::error(code::FILES_NOT_OWNED, message)
                .help(format!("put the project's files below `files/{owner}/`"))
        }));
        problems
    }

    /// The problem of a request for a project that was received for another one.
    pub fn name_problem(name: &ProjectName, owner: &ProjectName) -> Option<Problem> {
        (name != owner).then(|| {
            let message = format!("`Name` is `{name}`, and the key is one of `{owner}`");
            Problem::error(code::PROJECT_NAME_MISMATCH, message)
                .help("drop the request into the folder of the project that it names")
        })
    }

    /// The problems of a rollback to a version that was shared with these.
    pub fn rollback_problems(&self, permissions: &[Permission]) -> Vec<Problem> {
        let refused = self.refused(permissions).map(|permission| {
            let message = format!(
                "the version to roll back to is shared with {permission}, which is not allowed here"
            );
            Problem::error(code::PERMISSION_NOT_ALLOWED, message).help(
                "request the layer again without that permission, or have the operator add it to \
                 `AllowedPermissions`",
            )
        });
        refused.collect()
    }

    fn refused<'a>(
        &'a self,
        permissions: impl IntoIterator<Item = &'a Permission>,
    ) -> impl Iterator<Item = &'a Permission> {
        permissions
            .into_iter()
            .filter(|it| !self.permissions.allows(it))
    }
}

fn permission_problem(permission: &Permission) -> Problem {
    let message = format!("layers may not be shared with {permission} here");
    Problem::error(code::PERMISSION_NOT_ALLOWED, message)
        .help("remove it from `Permissions`, or have the operator add it to `AllowedPermissions`")
}

impl FileSource {
    /// The key or prefix, if it lies anywhere else than below the folder of a project's files.
    fn key_outside(&self, owner: &ProjectName) -> Option<&str> {
        let (Self::Object(key) | Self::Prefix(key)) = self else {
            return None;
        };
        let below = key
            .strip_prefix(keys::FILES)?
            .strip_prefix(owner.as_str())
            .and_then(|it| it.strip_prefix('/'));
        // S3 takes such a part as it is; nothing that reads keys as paths is to be led elsewhere.
        let is_plain = |below: &str| !below.split('/').any(|part| matches!(part, "." | ".."));
        (!below.is_some_and(is_plain)).then_some(key)
    }
}

/// The accounts and organizations that requests may share layers with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedPermissions {
    /// Set if every account and organization is one of them.
    anyone: bool,
    named: BTreeSet<Permission>,
}

impl AllowedPermissions {
    /// Layers stay within the account.
    pub const NONE: Self = Self {
        anyone: false,
        named: BTreeSet::new(),
    };

    /// Layers may be shared with everyone.
    pub const ANYONE: Self = Self {
        anyone: true,
        named: BTreeSet::new(),
    };

    /// Returns whether a request may ask for a permission. An account has to be named itself: its
    /// organization is not known here.
    pub fn allows(&self, permission: &Permission) -> bool {
        self.anyone || self.named.contains(permission)
    }
}

impl FromStr for AllowedPermissions {
    type Err = ParseTextError;

    /// Reads account ids, organization ids and `*`, with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "`{}` is neither `*` nor the id of an account or an organization";
        let mut allowed = Self::NONE;
        let items = text.split(',').map(str::trim);
        for item in items.filter(|it| !it.is_empty()) {
            if item == "*" {
                allowed.anyone = true;
                continue;
            }
            let account = item.parse().map(Permission::Account);
            let organization = || item.parse().map(Permission::Organization);
            let named = account.ok().or_else(|| organization().ok());
            allowed
                .named
                .insert(named.ok_or_else(|| ParseTextError::new(RULE, item))?);
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Contents;
    use crate::request::sample::Words;

    const OWNED: Admission = Admission {
        project_from_key: true,
        permissions: AllowedPermissions::NONE,
    };

    fn request(name: &str) -> Request<Words> {
        Request::new(name.parse().unwrap(), Words(Vec::new()))
    }

    fn codes(problems: &[Problem]) -> Vec<&'static str> {
        problems.iter().map(|it| it.code).collect()
    }

    #[test]
    fn a_key_names_one_project() {
        for (key, project) in [
            ("requests/team-a/request.json", "team-a"),
            ("requests/team-a/..", "team-a"),
            ("requests/Team_A/ü x.txt", "Team_A"),
        ] {
            let owner = OWNED.owner_of_key(key).unwrap();
            assert_eq!(owner.unwrap().as_str(), project, "{key}");
        }
        for key in [
            "",
            "request.json",
            "requests/request.json",
            "requests/team-a/",
            "requests/team-a/web/request.json",
            "requests/team-a/../web/request.json",
            "requests//web/request.json",
            "requests//request.json",
            "requests/../web/request.json",
            "requests/./web",
            "/requests/team-a/request.json",
            "Requests/team-a/request.json",
            "other/requests/team-a/request.json",
            "requests/team%2Da/request.json",
            "requests/team-a%2Fweb/request.json",
            "requests/te\u{430}m-a/request.json",
            "requests/team-a\u{2215}web/request.json",
            "requests/team-a./request.json",
            "requests/team-a /request.json",
            "requests/team-a\\web/request.json",
            "requests/team-a\0/request.json",
            "requests/te*m-a/request.json",
        ] {
            let problem = OWNED.owner_of_key(key).unwrap_err();
            assert_eq!(problem.code, code::REQUEST_KEY_INVALID, "{key}");
            assert_eq!(Admission::DEFAULT.owner_of_key(key), Ok(None), "{key}");
        }
        assert!(Admission::DEFAULT.message_problem().is_none());
        assert!(OWNED.message_problem().is_some());
    }

    #[test]
    fn a_request_is_its_owners() {
        let owner = "team-a".parse().unwrap();
        assert_eq!(OWNED.problems(&request("team-a"), Some(&owner)), []);
        for name in ["web", "Team-a", "team-a-", "team", "team-a-py313"] {
            let problems = OWNED.problems(&request(name), Some(&owner));
            assert_eq!(codes(&problems), [code::PROJECT_NAME_MISMATCH], "{name}");
            assert_eq!(OWNED.problems(&request(name), None), [], "{name}");
        }
    }

    #[test]
    fn a_request_names_files_of_its_owner() {
        let owner = "team-a".parse().unwrap();
        let naming = |source: FileSource| {
            let contents = Contents {
                files: [source].into(),
                ..Contents::default()
            };
            let request = Request {
                contents,
                ..request("team-a")
            };
            codes(&OWNED.problems(&request, Some(&owner)))
        };
        for key in [
            "files/team-a/a.zip",
            "files/team-a/b/c.zip",
            "files/team-a//a.zip",
        ] {
            assert_eq!(
                naming(FileSource::object::<Words>(key).unwrap()),
                [""; 0],
                "{key}"
            );
        }
        assert_eq!(
            naming(FileSource::prefix("files/team-a/").unwrap()),
            [""; 0]
        );
        for key in [
            "files/web/a.zip",
            "files/a.zip",
            "files//team-a/a.zip",
            "files/team-ab/a.zip",
            "files/team-a.zip",
            "files/Team-a/a.zip",
            "files/team-a/../web/a.zip",
            "files/team-a/./a.zip",
        ] {
            let source = FileSource::object::<Words>(key).unwrap();
            assert_eq!(naming(source), [code::FILES_NOT_OWNED], "{key}");
        }
        for prefix in ["files/web/", "files/team-ab/", "files/team-a/../web/"] {
            let source = FileSource::prefix(prefix).unwrap();
            assert_eq!(naming(source), [code::FILES_NOT_OWNED], "{prefix}");
        }
    }

    #[test]
    fn layers_are_shared_with_those_that_are_named() {
        const ACCOUNT: &str = "111122223333";
        const ORGANIZATION: &str = "o-a1b2c3d4e5";
        let asking = Request {
            permissions: [
                Permission::Everyone,
                Permission::Organization(ORGANIZATION.parse().unwrap()),
                Permission::Account(ACCOUNT.parse().unwrap()),
            ]
            .into(),
            ..request("tools")
        };
        let everyone = "everyone";
        let organization = "the organization o-a1b2c3d4e5";
        let account = "the account 111122223333";
        for (allowed, refused) in [
            ("", &[everyone, organization, account][..]),
            (" , ", &[everyone, organization, account]),
            (ACCOUNT, &[everyone, organization]),
            ("111122223334", &[everyone, organization, account]),
            (ORGANIZATION, &[everyone, account]),
            ("111122223333,o-a1b2c3d4e5", &[everyone]),
            ("*", &[]),
            ("111122223333, *", &[]),
        ] {
            let admission = Admission {
                project_from_key: false,
                permissions: allowed.parse().unwrap(),
            };
            let problems = admission.problems(&asking, None);
            let expected = refused.iter();
            let expected = expected.map(|who| format!("layers may not be shared with {who} here"));
            let messages = problems.iter().map(|it| it.message.clone());
            assert!(messages.eq(expected), "{allowed}: {problems:?}");
            let mut codes = problems.iter().map(|it| it.code);
            assert!(codes.all(|it| it == code::PERMISSION_NOT_ALLOWED));
        }
        for text in ["1234", "**", "o-x", "all", "111122223333 o-a1b2c3d4e5"] {
            assert!(text.parse::<AllowedPermissions>().is_err(), "{text}");
        }
    }
}
