//! Policies of buckets and queues of projects with owners: as CloudFormation derives them from the
//! parameters, evaluated as IAM does.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use integration_tests::intrinsics::Intrinsics;
use integration_tests::{matches, translated_template};
use serde_json::{Value, json};

const OPERATIONS: &str = include_str!("../../docs/operations.md");

static TEMPLATE: LazyLock<Value> = LazyLock::new(translated_template);

const ACCOUNT: &str = "arn:aws:iam::123456789012";

/// A deployment with some parameters given: the statements of its policies.
struct Stack(BTreeMap<&'static str, Vec<Value>>);

const POLICIES: [&str; 4] = [
    "InboxBucketPolicy",
    "RequestQueuePolicy",
    "DeadLetterQueuesPolicy",
    "ArtifactsBucketPolicy",
];

impl Stack {
    fn new(principals: &str, operators: &str) -> Self {
        let intrinsics = Intrinsics {
            template: &TEMPLATE,
            parameters: &[
                ("InboxPrincipals", principals),
                ("InboxOperators", operators),
            ],
            reference: ToOwned::to_owned,
            arn: |resource| format!("arn:{resource}"),
        };
        let policies = POLICIES.map(|name| {
            let policy = &TEMPLATE["Resources"][name];
            let condition = policy["Condition"].as_str();
            if condition.is_some_and(|it| !intrinsics.holds(it)) {
                return (name, Vec::new());
            }
            let document = intrinsics.resolve(&policy["Properties"]["PolicyDocument"]);
            (name, document["Statement"].as_array().unwrap().clone())
        });
        Self(policies.into())
    }

    /// Returns whether a policy denies a call over TLS.
    fn denies(&self, policy: &str, call: &Call<'_>) -> bool {
        let statements = self.0[policy].iter();
        let mut denials = statements.filter(|it| it["Effect"] == "Deny");
        denials.any(|it| call.matches(it))
    }

    /// Returns whether the inbox's policy lets a principal write a key.
    fn writes(&self, principal: &str, key: &str) -> bool {
        let resource = format!("arn:InboxBucket/{key}");
        let denied = ["s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObjectVersion"].map(|action| {
            let call = Call::new(principal, action, &resource);
            self.denies("InboxBucketPolicy", &call)
        });
        assert!(
            denied.iter().all(|it| *it == denied[0]),
            "{key}: {denied:?}"
        );
        !denied[0]
    }
}

/// A call of a principal of the account.
#[derive(Clone)]
struct Call<'a> {
    action: &'a str,
    resource: &'a str,
    keys: BTreeMap<&'static str, String>,
}

impl<'a> Call<'a> {
    fn new(principal: &str, action: &'a str, resource: &'a str) -> Self {
        let principal = format!("{ACCOUNT}:{principal}");
        Self {
            action,
            resource,
            keys: [
                ("aws:PrincipalArn", principal),
                ("aws:SecureTransport", "true".to_owned()),
                ("s3:if-none-match", "*".to_owned()),
            ]
            .into(),
        }
    }

    /// Returns whether a statement applies to it.
    fn matches(&self, statement: &Value) -> bool {
        assert_eq!(statement["Principal"], "*");
        let is_named = |element: &str, value: &str| {
            let without = &statement[format!("Not{element}")];
            match &statement[element] {
                Value::Null => !any(without, |it| matches(it, value)),
                with => {
                    assert!(without.is_null(), "{statement}");
                    any(with, |it| matches(it, value))
                }
            }
        };
        let conditions = statement["Condition"].as_object();
        let mut conditions = conditions.into_iter().flatten();
        is_named("Action", self.action)
            && is_named("Resource", self.resource)
            && conditions.all(|(operator, keys)| {
                let mut keys = keys.as_object().unwrap().iter();
                keys.all(|(key, values)| self.meets(operator, key, values))
            })
    }

    fn meets(&self, operator: &str, key: &str, values: &Value) -> bool {
        let actual = self.keys.get(key);
        let is = |one: &dyn Fn(&str) -> bool| any(values, one);
        match operator {
            "Bool" | "ArnEquals" => is(&|it| actual.is_some_and(|actual| actual == it)),
            "ArnNotEquals" => !is(&|it| actual.is_some_and(|actual| actual == it)),
            "StringNotLike" => !is(&|it| actual.is_some_and(|actual| matches(it, actual))),
            "Null" => is(&|it| (it == "true") == actual.is_none()),
            other => panic!("{other}"),
        }
    }
}

/// Returns whether the predicate holds for any element of a list, or for the one value.
fn any(values: &Value, does: impl Fn(&str) -> bool) -> bool {
    let one = std::slice::from_ref(values);
    let each = values.as_array().map_or(one, Vec::as_slice).iter();
    each.map(|it| it.as_str().unwrap()).any(does)
}

/// The example of the documentation.
fn documented() -> &'static str {
    let section = OPERATIONS
        .split("\n## Who may request what\n")
        .nth(1)
        .unwrap();
    let example = section.split("```text\n").nth(1).unwrap();
    example.lines().next().unwrap()
}

#[test]
fn only_owners_write_for_their_project() {
    let stack = Stack::new(documented(), &format!("{ACCOUNT}:role/admin"));
    for (principal, key, expected) in [
        ("role/team-a-ci", "requests/team-a/request.json", true),
        ("role/team-a-ci", "requests/team-ab/request.json", true),
        ("role/team-a-ci", "files/team-a/src.zip", true),
        ("role/web-ci", "requests/web/request.json", true),
        ("role/web-ci", "files/web/a/b.zip", true),
        ("user/eve", "requests/web/request.json", true),
        ("role/admin", "requests/web/request.json", true),
        ("role/admin", "requests/other/request.json", true),
        ("role/admin", "anything", true),
        // Keys of other projects, and similar keys.
        ("role/team-a-ci", "requests/web/request.json", false),
        ("role/team-a-ci", "files/web/src.zip", false),
        ("role/web-ci", "requests/team-a/request.json", false),
        ("role/web-ci", "requests/webb/request.json", false),
        ("role/web-ci", "requests/Web/request.json", false),
        ("role/web-ci", "Requests/web/request.json", false),
        ("role/web-ci", "requests/web", false),
        ("role/web-ci", "requests/../web/request.json", false),
        ("role/web-ci", "requests//web/request.json", false),
        ("role/web-ci", "requests/files/web/request.json", false),
        ("role/web-ci", "web/request.json", false),
        ("role/web-ci", "files/src.zip", false),
        ("role/web-ci", "request.json", false),
        ("role/web-ci-2", "requests/web/request.json", false),
        ("role/path/web-ci", "requests/web/request.json", false),
        ("user/web-ci", "requests/web/request.json", false),
        ("role/team-a", "requests/team-a/request.json", false),
        ("user/mallory", "requests/web/request.json", false),
        ("user/mallory", "requests/other/request.json", false),
        ("role/admins", "requests/web/request.json", false),
        ("root", "requests/web/request.json", false),
        ("user/none", "requests//request.json", false),
    ] {
        assert_eq!(stack.writes(principal, key), expected, "{principal}: {key}");
    }
    // Without a principal, as with an unsigned request.
    let resource = "arn:InboxBucket/requests/web/request.json";
    let mut unsigned = Call::new("", "s3:PutObject", resource);
    unsigned.keys.remove("aws:PrincipalArn");
    assert!(stack.denies("InboxBucketPolicy", &unsigned));
}

#[test]
fn every_matching_entry_applies() {
    let entries = |count: usize| {
        let entry = |at| format!("p{at}=>{ACCOUNT}:user/u{at}");
        let entries: Vec<_> = (1..=count).map(entry).collect();
        entries.join(";")
    };
    for count in 1..=16 {
        let stack = Stack::new(&entries(count), "");
        for project in 1..=17 {
            for user in 1..=17 {
                let expected = user == project && project <= count;
                let user = format!("user/u{user}");
                for folder in ["requests", "files"] {
                    let key = format!("{folder}/p{project}/a.zip");
                    assert_eq!(stack.writes(&user, &key), expected, "{count}: {user} {key}");
                }
            }
        }
    }
    let both = format!("web*=>{ACCOUNT}:user/a|{ACCOUNT}:user/b;web-x=>{ACCOUNT}:user/b");
    let stack = Stack::new(&both, "");
    for (user, key, expected) in [
        ("user/a", "requests/web-y/a.txt", true),
        ("user/a", "requests/web-x/a.txt", false),
        ("user/b", "requests/web-x/a.txt", true),
        ("user/none", "requests/other/a.txt", false),
    ] {
        assert_eq!(stack.writes(user, key), expected, "{user}: {key}");
    }
}

#[test]
fn reading_and_the_policies_themselves_stay_allowed() {
    let stack = Stack::new(documented(), "");
    for (policy, bucket) in [
        ("InboxBucketPolicy", "arn:InboxBucket"),
        ("ArtifactsBucketPolicy", "arn:ArtifactsBucket"),
    ] {
        let object = format!("{bucket}/requests/web/request.json");
        for (action, resource) in [
            ("s3:GetObject", object.as_str()),
            ("s3:GetObjectVersion", &object),
            ("s3:ListBucket", bucket),
            ("s3:PutBucketPolicy", bucket),
            ("s3:DeleteBucketPolicy", bucket),
            ("s3:PutBucketNotification", bucket),
        ] {
            let call = Call::new("user/mallory", action, resource);
            assert!(!stack.denies(policy, &call), "{action}");
        }
    }
    let nothing = Stack::new("", "");
    let counts = POLICIES.map(|policy| nothing.0[policy].len());
    assert_eq!(counts, [1, 2, 1, 2]);
    assert!(nothing.writes("user/mallory", "requests/web/request.json"));
}

#[test]
fn only_the_inbox_and_operators_send_messages() {
    for principals in [documented(), ""] {
        let stack = Stack::new(principals, &format!("{ACCOUNT}:role/admin"));
        for (policy, queue) in [
            ("RequestQueuePolicy", "arn:RequestQueue"),
            ("DeadLetterQueuesPolicy", "arn:RequestDeadLetterQueue"),
        ] {
            for (principal, is_denied) in [
                ("role/admin", false),
                ("role/web-ci", true),
                ("role/team-a-ci", true),
                ("user/mallory", true),
            ] {
                let call = Call::new(principal, "sqs:SendMessage", queue);
                assert_eq!(stack.denies(policy, &call), is_denied, "{principal}");
            }
        }
        for (source, is_denied) in [
            ("arn:aws:s3:::accretion-inbox-123456789012-eu-west-1", false),
            ("arn:aws:s3:::accretion-inbox-123456789012-eu-west-2", true),
        ] {
            let mut call = Call::new("", "sqs:SendMessage", "arn:RequestQueue");
            call.keys.remove("aws:PrincipalArn");
            call.keys.insert("aws:SourceArn", source.to_owned());
            assert_eq!(stack.denies("RequestQueuePolicy", &call), is_denied);
        }
    }
}

#[test]
fn only_the_functions_and_operators_write_artifacts() {
    let stack = Stack::new(documented(), &format!("{ACCOUNT}:role/admin"));
    let writes = |principal: Option<&str>, of_account: &str, key: &str| {
        let resource = format!("arn:ArtifactsBucket/{key}");
        let mut call = Call::new(of_account, "s3:PutObject", &resource);
        if let Some(principal) = principal {
            call.keys.insert("aws:PrincipalArn", principal.to_owned());
        }
        !stack.denies("ArtifactsBucketPolicy", &call)
    };
    let manifest = "accretion/manifests/web/x-py313.manifest";
    for role in ["DispatcherRole", "BuilderRole", "PublisherRole"] {
        assert!(writes(Some(&format!("arn:{role}")), "", manifest), "{role}");
        let session = format!("arn:aws:sts::123456789012:assumed-role/{role}/x");
        assert!(writes(Some(&session), "", manifest), "{role}");
    }
    assert!(writes(None, "role/admin", manifest));
    assert!(writes(None, "user/mallory", "accretion/uploads/x/y.zip"));
    for principal in ["role/web-ci", "user/mallory", "role/DispatcherRole"] {
        assert!(!writes(None, principal, manifest), "{principal}");
    }
    assert!(!writes(Some("arn:SandboxRole"), "", manifest));
}

#[test]
fn parameters_accept_only_values_that_the_policies_parse() {
    let entry = format!("web=>{ACCOUNT}:role/ci");
    let many = |count| vec![entry.clone(); count].join(";");
    let takes = |parameter: &str, value: &str| {
        let pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"].as_str();
        let pattern = format!("^(?:{})$", pattern.unwrap());
        let schema = json!({"type": "string", "pattern": pattern});
        jsonschema::validator_for(&schema)
            .unwrap()
            .is_valid(&json!(value))
    };
    let principal = format!("{ACCOUNT}:role/a/b+=,.@_-*?");
    for (value, expected) in [
        ("", true),
        (documented(), true),
        (&many(1), true),
        (&many(16), true),
        (&many(17), false),
        (&format!("web*=>{principal}|{principal}"), true),
        (&format!("web=>{entry}"), false),
        (&format!("{entry};"), false),
        (&format!(";{entry}"), false),
        (&format!("{entry}|"), false),
        (&format!("{entry} "), false),
        (&format!("w*b=>{principal}"), false),
        (&format!("*=>{principal}"), false),
        (&format!("web/*=>{principal}"), false),
        (&format!("=>{principal}"), false),
        ("web=>", false),
        ("web=>*", false),
        ("web", false),
        ("web=>arn:aws:iam::123456789012:role/${x}", false),
        ("web=>arn:aws:s3:::bucket", false),
        ("web=>role/ci", false),
    ] {
        assert_eq!(takes("InboxPrincipals", value), expected, "{value}");
    }
    for (value, expected) in [
        ("", true),
        (principal.as_str(), true),
        (&format!("{principal}|{principal}"), true),
        (&format!("{principal}|"), false),
        ("*", false),
        (&format!("{principal},{principal}"), false),
    ] {
        assert_eq!(takes("InboxOperators", value), expected, "{value}");
    }
    for (value, expected) in [
        ("", true),
        ("*", true),
        ("123456789012", true),
        ("123456789012, o-a1b2c3d4e5", true),
        ("123456789012,", false),
        ("everyone", false),
        // The functions could not parse these, and would not start.
        ("1234", false),
        ("o-x", false),
    ] {
        assert_eq!(takes("AllowedPermissions", value), expected, "{value}");
    }
}
