//! Indexes of requests.

use super::*;
use crate::index::{CodeArtifactDomain, CredentialsReference, Index};

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:index-AbCdEf";
const CODE_ARTIFACT: &str =
    "https://corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com/pypi/all/simple/";

pub(super) fn index() -> impl Strategy<Value = Index> {
    let credentials = prop_oneof![
        Just(None),
        Just(Some(CredentialsReference::Secret(SECRET.parse().unwrap()))),
        Just(Some(CredentialsReference::CodeArtifact(
            CodeArtifactDomain::of_url(&CODE_ARTIFACT.parse().unwrap()).unwrap()
        ))),
    ];
    let packages = prop::option::of(prop::collection::btree_set("[a-z]{1,9}", 1..4));
    ("[a-zA-Z0-9_-]{1,64}", packages, credentials).prop_map(|(name, packages, credentials)| Index {
        name: name.parse().unwrap(),
        url: CODE_ARTIFACT.parse().unwrap(),
        packages: packages.map(|names| names.iter().map(|name| name.parse().unwrap()).collect()),
        credentials,
    })
}

/// Indexes that may stand in one request.
pub(super) fn distinct(indexes: Vec<Index>) -> Vec<Index> {
    let (mut names, mut pins) = (BTreeSet::new(), BTreeSet::new());
    let kept = indexes.into_iter().filter(|index| {
        let free = !index.packages.iter().flatten().any(|it| pins.contains(it));
        let kept = free && names.insert(index.name.clone());
        pins.extend(index.packages.iter().flatten().filter(|_| kept).cloned());
        kept
    });
    kept.collect()
}

#[test]
fn indexes_are_normalised_when_written() {
    let indexes = json!([
        {"Name": "internal", "Url": "https://Index.Example.com/simple", "Packages": ["Corp_Lib", "a"],
         "Credentials": {"SecretArn": SECRET}},
        {"Name": "mirror", "Url": "https://mirror.example.com/simple/"},
        {"Name": "artifacts", "Url": CODE_ARTIFACT, "Packages": ["b"],
         "Credentials": {"CodeArtifact": {"Domain": "corp"}}},
    ]);
    let (request, report) = check(&with(&json!({ "Indexes": indexes })).to_string()).unwrap();
    assert_eq!(report.problems, []);
    let written: Value = serde_json::from_str(&request.to_json()).unwrap();
    let expected = json!([
        {"Name": "internal", "Url": "https://index.example.com/simple", "Packages": ["a", "corp-lib"],
         "Credentials": {"SecretArn": SECRET}},
        {"Name": "mirror", "Url": "https://mirror.example.com/simple/"},
        {"Name": "artifacts", "Url": CODE_ARTIFACT, "Packages": ["b"], "Credentials":
         {"CodeArtifact": {"Domain": "corp", "DomainOwner": "123456789012", "Region": "eu-west-1"}}},
    ]);
    assert_eq!(written["Indexes"], expected);
}

#[test]
fn what_is_wrong_with_indexes_is_told_at_once() {
    let indexes = json!([
        {"Name": "a b", "Url": "https://user:pa55@index.example.com/simple/"},
        {"Name": "a", "Url": "http://index.example.com/simple/", "Packages": []},
        {"Name": "a", "Url": "https://index.example.com/simple/", "Packages": ["x"], "Token": "t"},
        {"Name": "a", "Url": "https://index.example.com/simple/", "Packages": ["X", "-"],
         "Credentials": {"SecretArn": "s3cret"}},
        {"Name": "b", "Url": "https://index.example.com/simple/", "Packages": ["x"],
         "Credentials": {}},
        {"Name": "a", "Url": "https://index.example.com/simple/", "Packages": ["x"]},
        {"Name": "c", "Url": CODE_ARTIFACT,
         "Credentials": {"CodeArtifact": {"Domain": "corp", "DomainOwner": "123456789013"}}},
        {"Name": "d", "Url": "https://evil.example/", "Credentials":
         {"CodeArtifact": {"Domain": "corp", "DomainOwner": "123456789012", "Region": "eu-west-1"}}},
        {"Name": "e", "Url": CODE_ARTIFACT,
         "Credentials": {"SecretArn": SECRET, "CodeArtifact": {"Domain": "corp"}}},
    ]);
    let report = check(&with(&json!({ "Indexes": indexes })).to_string()).unwrap_err();
    let described = described(&report);
    let messages: Vec<_> = report.problems.iter().map(|it| &it.message).collect();
    assert!(!format!("{messages:?}").contains("pa55"), "{messages:?}");
    assert!(!format!("{messages:?}").contains("s3cret"), "{messages:?}");
    insta::assert_snapshot!(described);
    assert_eq!(codes(&report).len(), 13, "{described}");
}

#[test]
fn only_so_many_indexes() {
    let index = |at| json!({"Name": format!("i{at}"), "Url": "https://index.example.com/simple/"});
    let with = |count| {
        let indexes: Vec<_> = (0..count).map(index).collect();
        check(&with(&json!({ "Indexes": indexes })).to_string()).map_err(|report| codes(&report))
    };
    assert!(with(Limits::INDEXES).is_ok());
    assert_eq!(
        with(Limits::INDEXES + 1).unwrap_err(),
        [code::LIST_TOO_LONG]
    );
}

#[test]
fn an_operator_may_offer_an_index_that_serves_nothing_by_itself() {
    let indexes = r#"[{"Name": "a", "Url": "https://index.example.com/", "Packages": []}]"#;
    let (read, _) = read_indexes("Indexes", indexes).unwrap();
    assert_eq!(read[0].packages, Some(BTreeSet::new()));
    let read = read_indexes("Indexes", &indexes.replace("https", "ftp"));
    assert_eq!(codes(&read.unwrap_err()), [code::URL_UNSUPPORTED]);
}
