//! What the roles of the stack may do, and what they may not: their policies as the template has
//! them, evaluated.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]
#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::request::{ProjectName, RequestId};
use accretion_core::target::{LayerTarget, Target};
use integration_tests::{matches, translated_template};
use serde_json::Value;

static TEMPLATE: LazyLock<Value> = LazyLock::new(translated_template);

/// What a role is allowed: actions, and what they are allowed on.
struct Grant {
    actions: BTreeSet<String>,
    resources: BTreeSet<String>,
}

/// All that a role is allowed, whatever the conditions.
fn grants(role: &str) -> Vec<Grant> {
    let properties = &TEMPLATE["Resources"][role]["Properties"];
    assert!(properties["ManagedPolicyArns"].is_null(), "{role}");
    let policies = properties["Policies"].as_array().unwrap().iter();
    let statements = policies.flat_map(|policy| {
        let statements = policy["PolicyDocument"]["Statement"].as_array();
        let statements = statements.unwrap().iter();
        // What is there under a condition counts.
        statements.map(|statement| match statement["Fn::If"].as_array() {
            Some(branches) => {
                assert_eq!(branches[2]["Ref"], "AWS::NoValue", "{role}: {statement}");
                &branches[1]
            }
            None => statement,
        })
    });
    let granted = statements.map(|statement| {
        assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
        // What they would leave out would be allowed.
        for member in ["NotAction", "NotResource"] {
            assert!(statement[member].is_null(), "{role}: {statement}");
        }
        Grant {
            actions: each(&statement["Action"]).map(text).collect(),
            resources: each(&statement["Resource"]).map(arn).collect(),
        }
    });
    granted.collect()
}

/// The one or the many.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let one = std::slice::from_ref(value);
    value.as_array().map_or(one, Vec::as_slice).iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The ARN that a reference becomes, in an account and a region of ours. A resource is called as
/// the template calls it.
fn arn(reference: &Value) -> String {
    if let Some(name) = reference["Ref"].as_str() {
        return given(name).map_or_else(|| arn_of(name), ToOwned::to_owned);
    }
    if let Some(parts) = reference["Fn::GetAtt"].as_array() {
        assert_eq!(parts[1], "Arn", "{reference}");
        return arn_of(parts[0].as_str().unwrap());
    }
    // What it takes out of a parameter, it calls by a name.
    let parts = reference["Fn::Sub"].as_array();
    let pattern = parts.map_or(&reference["Fn::Sub"], |parts| &parts[0]);
    let pattern = pattern.as_str();
    let mut resolved = String::new();
    let mut rest = pattern.or(reference.as_str()).unwrap();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap();
        resolved += before;
        resolved += &match name {
            "AWS::Partition" => "aws".to_owned(),
            "AWS::Region" => "eu-west-1".to_owned(),
            "AWS::AccountId" => "123456789012".to_owned(),
            name if parts.is_some_and(|parts| !parts[1][name].is_null()) => {
                taken(&parts.unwrap()[1][name])
            }
            "BucketPrefix" | "PointerPrefix" => text(&TEMPLATE["Parameters"][name]["Default"]),
            name => arn_of(name.strip_suffix(".Arn").unwrap()),
        };
        rest = after;
    }
    resolved + rest
}

/// What an operator gives for a parameter that is an ARN, or several.
fn given(parameter: &str) -> Option<&'static str> {
    match parameter {
        "IndexSecretArn" => Some(INDEX_SECRET),
        "IndexSecretArns" => Some(SECRET),
        "CodeArtifactDomainArn" => Some(DOMAIN),
        _ => None,
    }
}

/// A part of a text that is split.
fn taken(reference: &Value) -> String {
    let [at, parts] = &reference["Fn::Select"].as_array().unwrap()[..] else {
        panic!("{reference}");
    };
    let [separator, whole] = &parts["Fn::Split"].as_array().unwrap()[..] else {
        panic!("{reference}");
    };
    let at: usize = at.to_string().trim_matches('"').parse().unwrap();
    let whole = arn(whole);
    whole.split(&text(separator)).nth(at).unwrap().to_owned()
}

fn arn_of(name: &str) -> String {
    let kind = TEMPLATE["Resources"][name]["Type"].as_str().unwrap();
    let resource = match kind {
        "AWS::DynamoDB::Table" => "dynamodb:eu-west-1:123456789012:table/",
        "AWS::SQS::Queue" => "sqs:eu-west-1:123456789012:",
        "AWS::SNS::Topic" => "sns:eu-west-1:123456789012:",
        "AWS::StepFunctions::StateMachine" => "states:eu-west-1:123456789012:stateMachine:",
        "AWS::Lambda::Function" => "lambda:eu-west-1:123456789012:function:",
        "AWS::Logs::LogGroup" => "logs:eu-west-1:123456789012:log-group:",
        kind => panic!("what is the ARN of {name}, {kind}?"),
    };
    format!("arn:aws:{resource}{name}")
}

/// Whether a role may do something. Conditions count as met.
fn may(role: &str, action: &str, resource: &str) -> bool {
    let action = action.to_lowercase();
    grants(role).iter().any(|grant| {
        let mut actions = grant.actions.iter();
        let mut resources = grant.resources.iter();
        actions.any(|pattern| matches(&pattern.to_lowercase(), &action))
            && resources.any(|pattern| matches(pattern, resource))
    })
}

const ROLES: [&str; 6] = [
    "DispatcherRole",
    "BuildStateMachineRole",
    "BuilderRole",
    "PublisherRole",
    "RepairScheduleRole",
    "SandboxRole",
];

const INDEX_SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:index";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:internal";
const DOMAIN: &str = "arn:aws:codeartifact:eu-west-2:123456789013:domain/corp";
const INBOX: &str = "arn:aws:s3:::accretion-inbox-123456789012-eu-west-1";
const ARTIFACTS: &str = "arn:aws:s3:::accretion-artifacts-123456789012-eu-west-1";

fn project() -> ProjectName {
    "tools".parse().unwrap()
}

fn object(key: &str) -> String {
    format!("{ARTIFACTS}/{key}")
}

fn layer(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:123456789012:layer:{name}")
}

/// Each object and resource that the roles differ in, by a name for messages.
struct Resources {
    inbox_object: String,
    request: String,
    files: String,
    artifact: String,
    description: String,
    manifest: String,
    layer_manifest: String,
    resolution: String,
    source: String,
    built_wheel: String,
    elsewhere: String,
}

fn resources() -> Resources {
    let (project, id) = (project(), RequestId::of_message("1"));
    let one = Target::from_slug("py313").unwrap();
    let target = LayerTarget::One(one);
    let digest = Digest(Sha256::of(b""));
    Resources {
        inbox_object: format!("{INBOX}/requests/tools/request.json"),
        request: object(&keys::request(&id)),
        files: object(&keys::packed_files(Sha256::of(b""))),
        artifact: object(&keys::artifact(&project, digest)),
        description: object(&keys::artifact_description(&project, digest)),
        manifest: object(&keys::manifest(&project, &id, target)),
        layer_manifest: object(&keys::layer_manifest(&LayerName::new(&project, target), 1)),
        resolution: object(&keys::resolution(&id, one)),
        source: object(&keys::source(Sha256::of(b""))),
        built_wheel: object(&keys::built_wheel(Sha256::of(b""), one)),
        elsewhere: object("else/where.json"),
    }
}

#[test]
fn patterns_match_as_those_of_policies_do() {
    for (pattern, text, is_match) in [
        ("", "", true),
        ("*", "", true),
        ("*", "a/b:c", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("a?", "ab", true),
        ("a?", "a", false),
        ("a?c", "abc", true),
        ("*-py3??", "tools-py313", true),
        ("*-py3??", "tools-py313-arm64", false),
        ("*-py3??", "tools-py3", false),
        ("*-py", "tools-py", true),
        ("*-py", "tools-py-arm64", false),
        ("*-py", "tools-numpy", false),
        ("a/*/c", "a/b/b/c", true),
        ("a/*.zip", "a/b.json", false),
        ("A", "a", false),
    ] {
        assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
    }
}

/// All that the roles may do, word by word: a statement that grows has to grow here, too.
#[test]
fn roles_may_do_this_and_nothing_else() {
    let mut said = String::new();
    for role in ROLES {
        let mut lines = BTreeSet::new();
        for grant in grants(role) {
            for resource in &grant.resources {
                for action in &grant.actions {
                    let resource = resource.strip_prefix("arn:aws:").unwrap_or(resource);
                    lines.insert(format!("{role} {action} {resource}\n"));
                }
            }
        }
        said.extend(lines);
    }
    insta::assert_snapshot!(said);
}

/// Every role of the template is looked at.
#[test]
fn no_role_is_forgotten() {
    let resources = TEMPLATE["Resources"].as_object().unwrap();
    let roles = resources
        .iter()
        .filter(|(_, it)| it["Type"] == "AWS::IAM::Role");
    let roles: BTreeSet<_> = roles.map(|(name, _)| name.as_str()).collect();
    assert_eq!(roles, BTreeSet::from(ROLES));
}

/// An evaluation that refuses everything would find all of them tight.
#[test]
fn roles_may_do_what_they_are_for() {
    let it = resources();
    let layers: Vec<_> = LayerTarget::all()
        .map(|target| layer(LayerName::new(&project(), target).as_str()))
        .collect();
    let [requests, all_layers] = ["RequestsTable", "LayersTable"].map(arn_of);
    for (role, action, resource) in [
        ("DispatcherRole", "s3:GetObject", it.inbox_object.as_str()),
        ("DispatcherRole", "s3:GetObjectVersion", &it.inbox_object),
        ("DispatcherRole", "s3:GetObject", &it.request),
        ("DispatcherRole", "s3:PutObject", &it.request),
        ("DispatcherRole", "s3:PutObject", &it.files),
        (
            "DispatcherRole",
            "sqs:ReceiveMessage",
            &arn_of("RequestQueue"),
        ),
        (
            "DispatcherRole",
            "states:StartExecution",
            &arn_of("BuildStateMachine"),
        ),
        ("DispatcherRole", "dynamodb:PutItem", &requests),
        ("BuilderRole", "s3:GetObject", &it.request),
        ("BuilderRole", "s3:GetObject", &it.files),
        ("BuilderRole", "s3:GetObject", &it.artifact),
        ("BuilderRole", "s3:PutObject", &it.artifact),
        ("BuilderRole", "s3:PutObject", &it.description),
        ("BuilderRole", "s3:PutObject", &it.manifest),
        ("BuilderRole", "s3:GetObject", &it.resolution),
        ("BuilderRole", "s3:PutObject", &it.resolution),
        ("BuilderRole", "s3:GetObject", &it.source),
        ("BuilderRole", "s3:PutObject", &it.source),
        ("BuilderRole", "s3:GetObject", &it.built_wheel),
        ("BuilderRole", "s3:PutObject", &it.built_wheel),
        (
            "BuildStateMachineRole",
            "lambda:InvokeFunction",
            &arn_of("SandboxPy312Arm64Function"),
        ),
        (
            "BuildStateMachineRole",
            "lambda:InvokeFunction",
            &arn_of("BuilderFunction"),
        ),
        ("BuildStateMachineRole", "dynamodb:UpdateItem", &requests),
        ("PublisherRole", "s3:GetObject", &it.manifest),
        ("PublisherRole", "s3:GetObjectVersion", &it.artifact),
        ("PublisherRole", "s3:PutObject", &it.layer_manifest),
        ("PublisherRole", "dynamodb:DeleteItem", &all_layers),
        (
            "PublisherRole",
            "dynamodb:Query",
            &format!("{all_layers}/index/pending"),
        ),
        ("PublisherRole", "sns:Publish", &arn_of("NotificationTopic")),
        (
            "RepairScheduleRole",
            "lambda:InvokeFunction",
            &arn_of("PublisherFunction"),
        ),
    ] {
        assert!(may(role, action, resource), "{role} {action} {resource}");
    }
    let repository = "arn:aws:codeartifact:eu-west-2:123456789013:repository/corp/all";
    for (action, resource) in [
        ("secretsmanager:GetSecretValue", INDEX_SECRET),
        ("secretsmanager:GetSecretValue", SECRET),
        ("codeartifact:GetAuthorizationToken", DOMAIN),
        ("codeartifact:ReadFromRepository", repository),
    ] {
        assert!(may("BuilderRole", action, resource), "{action} {resource}");
    }
    for layer in layers {
        let version = format!("{layer}:12");
        for (action, resource) in [
            ("lambda:PublishLayerVersion", &layer),
            ("lambda:GetLayerVersion", &version),
            ("lambda:AddLayerVersionPermission", &version),
        ] {
            assert!(
                may("PublisherRole", action, resource),
                "{action} {resource}"
            );
        }
    }
}

/// What reads, writes, deletes or lists objects.
const OF_OBJECTS: [&str; 8] = [
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:RestoreObject",
    "s3:PutObjectTagging",
];

#[test]
fn roles_may_not_do_each_others_work() {
    let it = resources();
    let objects = [
        &it.inbox_object,
        &it.request,
        &it.files,
        &it.artifact,
        &it.description,
        &it.manifest,
        &it.layer_manifest,
        &it.resolution,
        &it.source,
        &it.built_wheel,
        &it.elsewhere,
    ];
    // Whatever is not here is forbidden.
    let allowed = [
        ("DispatcherRole", "s3:GetObject", &it.inbox_object),
        ("DispatcherRole", "s3:GetObjectVersion", &it.inbox_object),
        ("DispatcherRole", "s3:GetObject", &it.request),
        ("DispatcherRole", "s3:PutObject", &it.request),
        ("DispatcherRole", "s3:PutObject", &it.files),
        ("DispatcherRole", "s3:GetObject", &it.layer_manifest),
        ("DispatcherRole", "s3:GetObject", &it.manifest),
        ("DispatcherRole", "s3:PutObject", &it.manifest),
        ("BuilderRole", "s3:GetObject", &it.request),
        ("BuilderRole", "s3:GetObject", &it.files),
        ("BuilderRole", "s3:GetObject", &it.artifact),
        ("BuilderRole", "s3:GetObject", &it.description),
        ("BuilderRole", "s3:PutObject", &it.artifact),
        ("BuilderRole", "s3:PutObject", &it.description),
        ("BuilderRole", "s3:PutObject", &it.manifest),
        ("BuilderRole", "s3:GetObject", &it.resolution),
        ("BuilderRole", "s3:PutObject", &it.resolution),
        ("BuilderRole", "s3:GetObject", &it.source),
        ("BuilderRole", "s3:PutObject", &it.source),
        ("BuilderRole", "s3:GetObject", &it.built_wheel),
        ("BuilderRole", "s3:PutObject", &it.built_wheel),
        ("PublisherRole", "s3:GetObject", &it.artifact),
        ("PublisherRole", "s3:GetObjectVersion", &it.artifact),
        ("PublisherRole", "s3:GetObject", &it.description),
        ("PublisherRole", "s3:GetObjectVersion", &it.description),
        ("PublisherRole", "s3:GetObject", &it.manifest),
        ("PublisherRole", "s3:PutObject", &it.layer_manifest),
    ];
    for role in ROLES {
        for action in OF_OBJECTS {
            for object in objects {
                let expected = allowed.contains(&(role, action, object));
                assert_eq!(
                    may(role, action, object),
                    expected,
                    "{role} {action} {object}"
                );
            }
        }
    }
}

#[test]
fn nobody_may_do_what_is_nobodys_work() {
    let [requests, layers] = ["RequestsTable", "LayersTable"].map(arn_of);
    let queue = arn_of("RequestQueue");
    let [dead_requests, dead_publications] =
        ["RequestDeadLetterQueue", "PublicationDeadLetterQueue"].map(arn_of);
    let (machine, topic) = (arn_of("BuildStateMachine"), arn_of("NotificationTopic"));
    let publisher = arn_of("PublisherFunction");
    let (builder, dispatcher) = (arn_of("BuilderFunction"), arn_of("DispatcherFunction"));
    let other_role = "arn:aws:iam::123456789012:role/other";
    let other_table = "arn:aws:dynamodb:eu-west-1:123456789012:table/other";
    let other_secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:internal-2";
    let other_repository = "arn:aws:codeartifact:eu-west-2:123456789013:repository/corp-2/all";
    let other_topic = "arn:aws:sns:eu-west-1:123456789012:other";
    let other_pointer = "arn:aws:ssm:eu-west-1:123456789012:parameter/other/x";
    let [ours, others, utilities] = ["tools-py313", "tools", "tools-py3-utilities"].map(layer);
    let version = format!("{ours}:1");
    let others_version = format!("{others}:1");
    let everybody = &ROLES[..];
    let but = |role: &'static str| {
        ROLES
            .into_iter()
            .filter(|it| *it != role)
            .collect::<Vec<_>>()
    };
    let forbidden: Vec<(Vec<&str>, &str, &str)> = vec![
        // Requests and layers.
        (but("PublisherRole"), "dynamodb:GetItem", &layers),
        (but("PublisherRole"), "dynamodb:PutItem", &layers),
        (but("PublisherRole"), "dynamodb:UpdateItem", &layers),
        (but("PublisherRole"), "dynamodb:DeleteItem", &layers),
        (everybody.to_vec(), "dynamodb:Scan", &layers),
        (everybody.to_vec(), "dynamodb:DeleteTable", &layers),
        (everybody.to_vec(), "dynamodb:UpdateTable", &layers),
        (everybody.to_vec(), "dynamodb:Scan", &requests),
        (everybody.to_vec(), "dynamodb:DeleteItem", &requests),
        (everybody.to_vec(), "dynamodb:Query", &requests),
        (but("DispatcherRole"), "dynamodb:PutItem", &requests),
        (
            vec!["BuilderRole", "RepairScheduleRole", "SandboxRole"],
            "dynamodb:GetItem",
            &requests,
        ),
        (
            vec!["BuilderRole", "RepairScheduleRole", "SandboxRole"],
            "dynamodb:UpdateItem",
            &requests,
        ),
        (everybody.to_vec(), "dynamodb:GetItem", other_table),
        // Queues.
        (but("DispatcherRole"), "sqs:ReceiveMessage", &queue),
        (but("DispatcherRole"), "sqs:DeleteMessage", &queue),
        (everybody.to_vec(), "sqs:SendMessage", &queue),
        (everybody.to_vec(), "sqs:PurgeQueue", &queue),
        (everybody.to_vec(), "sqs:SetQueueAttributes", &queue),
        (everybody.to_vec(), "sqs:ReceiveMessage", &dead_requests),
        (everybody.to_vec(), "sqs:SendMessage", &dead_requests),
        (everybody.to_vec(), "sqs:ReceiveMessage", &dead_publications),
        (but("PublisherRole"), "sqs:SendMessage", &dead_publications),
        // Executions and functions.
        (but("DispatcherRole"), "states:StartExecution", &machine),
        (everybody.to_vec(), "states:StopExecution", &machine),
        (everybody.to_vec(), "states:UpdateStateMachine", &machine),
        (
            but("BuildStateMachineRole"),
            "lambda:InvokeFunction",
            &builder,
        ),
        (
            but("RepairScheduleRole"),
            "lambda:InvokeFunction",
            &publisher,
        ),
        (everybody.to_vec(), "lambda:InvokeFunction", &dispatcher),
        (everybody.to_vec(), "lambda:UpdateFunctionCode", &publisher),
        (
            everybody.to_vec(),
            "lambda:UpdateFunctionConfiguration",
            &builder,
        ),
        (everybody.to_vec(), "lambda:AddPermission", &publisher),
        // Layers.
        (but("PublisherRole"), "lambda:PublishLayerVersion", &ours),
        (
            but("PublisherRole"),
            "lambda:AddLayerVersionPermission",
            &version,
        ),
        (everybody.to_vec(), "lambda:PublishLayerVersion", &others),
        (everybody.to_vec(), "lambda:PublishLayerVersion", &utilities),
        (
            everybody.to_vec(),
            "lambda:AddLayerVersionPermission",
            &others_version,
        ),
        (everybody.to_vec(), "lambda:DeleteLayerVersion", &version),
        (
            everybody.to_vec(),
            "lambda:RemoveLayerVersionPermission",
            &version,
        ),
        // Everything else.
        (
            vec!["BuilderRole", "RepairScheduleRole", "SandboxRole"],
            "sns:Publish",
            &topic,
        ),
        (everybody.to_vec(), "sns:Publish", other_topic),
        (everybody.to_vec(), "sns:Subscribe", &topic),
        (everybody.to_vec(), "ssm:PutParameter", other_pointer),
        (everybody.to_vec(), "ssm:DeleteParameter", other_pointer),
        (
            vec![
                "BuilderRole",
                "RepairScheduleRole",
                "PublisherRole",
                "SandboxRole",
            ],
            "s3:ListBucket",
            INBOX,
        ),
        (everybody.to_vec(), "s3:PutBucketPolicy", ARTIFACTS),
        (everybody.to_vec(), "s3:PutBucketNotification", INBOX),
        (everybody.to_vec(), "s3:DeleteBucket", ARTIFACTS),
        (everybody.to_vec(), "iam:PassRole", other_role),
        (everybody.to_vec(), "sts:AssumeRole", other_role),
        (everybody.to_vec(), "secretsmanager:GetSecretValue", "*"),
        (
            everybody.to_vec(),
            "secretsmanager:GetSecretValue",
            other_secret,
        ),
        (but("BuilderRole"), "secretsmanager:GetSecretValue", SECRET),
        (
            but("BuilderRole"),
            "codeartifact:GetAuthorizationToken",
            DOMAIN,
        ),
        (
            everybody.to_vec(),
            "codeartifact:ReadFromRepository",
            other_repository,
        ),
        (
            everybody.to_vec(),
            "codeartifact:PublishPackageVersion",
            other_repository,
        ),
        (everybody.to_vec(), "kms:Decrypt", "*"),
    ];
    for (roles, action, resource) in forbidden {
        for role in roles {
            assert!(!may(role, action, resource), "{role} {action} {resource}");
        }
    }
}

/// What a function that somebody has got hold of can't change any more. The emulator does not know
/// the key of the condition, and the statement is not there where it speaks plain HTTP.
#[test]
fn what_is_written_once_is_not_overwritten() {
    let policy = &TEMPLATE["Resources"]["ArtifactsBucketPolicy"]["Properties"]["PolicyDocument"];
    let statements = policy["Statement"].as_array().unwrap().iter();
    let mut statements = statements.map(|it| it["Fn::If"].get(1).unwrap_or(it));
    let refusing = statements.find(|it| it["Sid"] == "RefuseOverwrites");
    let refusing = refusing.unwrap();
    assert_eq!(refusing["Effect"], "Deny");
    assert_eq!(refusing["Principal"], "*");
    let condition = &refusing["Condition"];
    assert_eq!(condition["Null"]["s3:if-none-match"], "true");
    let roles: BTreeSet<_> = each(&condition["ArnEquals"]["aws:PrincipalArn"])
        .map(|role| role["Fn::GetAtt"][0].as_str().unwrap())
        .collect();
    let it = resources();
    let is_refused = |object: &str| {
        let key = object.strip_prefix(ARTIFACTS).unwrap();
        each(&refusing["Resource"]).any(|pattern| {
            let pattern = pattern["Fn::Sub"].as_str().unwrap();
            matches(pattern.strip_prefix("${ArtifactsBucket.Arn}").unwrap(), key)
        })
    };
    for object in [
        &it.request,
        &it.artifact,
        &it.manifest,
        &it.resolution,
        &it.source,
        &it.built_wheel,
    ] {
        assert!(is_refused(object), "{object}");
        // Whoever may write it at all.
        for role in ROLES
            .into_iter()
            .filter(|role| may(role, "s3:PutObject", object))
        {
            assert!(roles.contains(role), "{role}");
        }
    }
    // These are written over: the one by whoever finds it broken, the other by who repeats.
    for object in [&it.description, &it.layer_manifest] {
        assert!(!is_refused(object), "{object}");
    }
}
