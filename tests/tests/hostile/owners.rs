//! Attempts on another project, where keys say whose a request is: the request drops below
//! `requests/team-a/`, and the project that it is after is `tools`.

use serde_json::{Value, json};

use crate::case::{Case, End, Kind, request};

const KEY: &str = "requests/team-a/request.json";

const REQUIREMENTS: &str = "harmless==1.0\n";

/// A good request of `team-a` but for one member.
fn with(member: &str, value: impl Into<Value>) -> String {
    let mut request = request();
    request["Name"] = "team-a".into();
    request[member] = value.into();
    request.to_string()
}

pub(crate) fn cases() -> Vec<Case> {
    let object = |name, key, text: &str, codes| Case::object(Kind::Owner, name, (key, text), codes);
    let mut cases: Vec<_> = [
        ("a folder below", "requests/team-a/tools/requirements.txt"),
        ("up and down", "requests/team-a/../tools/requirements.txt"),
        (
            "up, encoded",
            "requests/team-a%2F..%2Ftools/requirements.txt",
        ),
        ("an empty part", "requests/team-a//requirements.txt"),
        ("no project", "requests//tools/requirements.txt"),
        ("the project last", "team-a/requests/tools/requirements.txt"),
        ("the project first", "tools/requirements.txt"),
        ("another case of letters", "Requests/tools/requirements.txt"),
        ("at the top", "tools.json"),
        (
            "a slash that is none",
            "requests/team-a\u{2215}tools/requirements.txt",
        ),
        (
            "a letter that looks alike",
            "requests/t\u{43e}ols/requirements.txt",
        ),
        ("a point behind", "requests/tools./requirements.txt"),
        ("a blank behind", "requests/tools /requirements.txt"),
    ]
    .into_iter()
    .map(|(name, key)| object(name, key, REQUIREMENTS, &["RequestKeyInvalid"]))
    .collect();
    for (case, name) in [
        ("a name of another", "tools"),
        ("a name that begins so", "team-a-tools"),
        ("a name in capitals", "TEAM-A"),
        ("a name that ends like a layer", "team-a-py313"),
    ] {
        let text = with("Name", name);
        cases.push(object(case, KEY, &text, &["ProjectNameMismatch"]));
    }
    let rollback = json!({"Name": "tools", "Rollback": {"Layer": "tools-py313", "Version": 1}});
    let (text, codes) = (rollback.to_string(), &["ProjectNameMismatch"]);
    cases.push(object("a rollback of another", KEY, &text, codes));
    let two: &'static [&'static str] = &["PermissionNotAllowed", "ProjectNameMismatch"];
    let mut both: Value = serde_json::from_str(&with("Name", "tools")).unwrap();
    both["Permissions"] = json!([{"Principal": "111122223333"}]);
    cases.push(object(
        "a name and a permission",
        KEY,
        &both.to_string(),
        two,
    ));
    for (case, files) in [
        ("files of another", json!([{"Key": "files/tools/src.zip"}])),
        ("files of no project", json!([{"Key": "files/src.zip"}])),
        (
            "files up and down",
            json!([{"Prefix": "files/team-a/../tools/"}]),
        ),
        ("files that begin so", json!([{"Prefix": "files/team-ab/"}])),
    ] {
        let text = with("Files", files);
        cases.push(object(case, KEY, &text, &["FilesNotOwned"]));
    }
    for (case, permission) in [
        (
            "shared with an account",
            json!({"Principal": "111122223333"}),
        ),
        ("shared with everyone", json!({"Principal": "*"})),
        (
            "shared with an organization",
            json!({"Principal": "*", "OrganizationId": "o-a1b2c3d4e5"}),
        ),
    ] {
        let text = with("Permissions", json!([permission]));
        cases.push(object(case, KEY, &text, &["PermissionNotAllowed"]));
    }
    let refused = End::Rejected(&["MessageRefused"]);
    let message = |name, message: fn(&crate::site::Site) -> _| {
        Case::message(Kind::Owner, name, message, refused)
    };
    cases.extend([
        message("a message", |site| site.message(&request().to_string())),
        message("a message of its own project", |site| {
            site.message(&with("Name", "team-a"))
        }),
        // It would be built once more, and speak for a project that is not the sender's.
        message("in the name of a request", |site| {
            site.sent_before(&request().to_string(), &site.accepted)
        }),
        message("in the name of a rejected one", |site| {
            site.sent_before(&request().to_string(), &site.rejected)
        }),
        message("in the name of an expired one", |site| {
            site.sent_before(&request().to_string(), &site.expired)
        }),
    ]);
    cases
}
