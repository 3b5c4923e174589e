//! Permissions of the stack's roles: their policies in the template, evaluated.

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
use integration_tests::intrinsics::Intrinsics;
use integration_tests::{matches, translated_template};
use serde_json::Value;

static TEMPLATE: LazyLock<Value> = LazyLock::new(translated_template);

static INTRINSICS: LazyLock<Intrinsics<'static>> = LazyLock::new(|| Intrinsics {
    template: &TEMPLATE,
    parameters: &[
        ("IndexSecretArn", INDEX_SECRET),
        ("IndexSecretArns", SECRET),
        ("CodeArtifactDomainArn", DOMAIN),
    ],
    reference: arn_of,
    arn: arn_of,
});

/// The actions that a statement allows a role, and their resources.
struct Grant {
    actions: BTreeSet<String>,
    resources: BTreeSet<String>,
}

/// All grants of a role. Conditions of the template and of statements count as met.
fn grants(role: &str) -> Vec<Grant> {
    let properties = &TEMPLATE["Resources"][role]["Properties"];
    assert!(properties["ManagedPolicyArns"].is_null(), "{role}");
    let policies = properties["Policies"].as_array().unwrap().iter();
    let statements = policies.flat_map(|policy| {
        let statements = policy["PolicyDocument"]["Statement"].as_array();
        let statements = statements.unwrap().iter();
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
        // Each would allow all that it does not name.
        for member in ["NotAction", "NotResource"] {
            assert!(statement[member].is_null(), "{role}: {statement}");
        }
        Grant {
            actions: each(&statement["Action"]).map(text).collect(),
            resources: each(&INTRINSICS.resolve(&statement["Resource"]))
                .map(text)
                .collect(),
        }
    });
    granted.collect()
}

/// The elements of a list, or the one value.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    let one = std::slice::from_ref(value);
    value.as_array().map_or(one, Vec::as_slice).iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The ARN of a resource in a made-up account and region. Its name is its logical id.
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

/// Returns whether a role may perform an action on a resource.
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
    "ReconcilerScheduleRole",
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

/// One object of each kind.
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
fn patterns_match_as_in_policies() {
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

/// The snapshot holds every grant: a change of a statement has to change it, too.
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

#[test]
fn the_list_of_roles_is_complete() {
    let resources = TEMPLATE["Resources"].as_object().unwrap();
    let roles = resources
        .iter()
        .filter(|(_, it)| it["Type"] == "AWS::IAM::Role");
    let roles: BTreeSet<_> = roles.map(|(name, _)| name.as_str()).collect();
    assert_eq!(roles, BTreeSet::from(ROLES));
}

/// An evaluation that refuses everything would find all of the roles tight, one that ignores
/// resources would find them loose.
#[test]
fn each_action_is_allowed_to_these_roles_only() {
    const NONE: &[&str] = &[];
    const DISPATCHER: &[&str] = &["DispatcherRole"];
    const MACHINE: &[&str] = &["BuildStateMachineRole"];
    const BUILDER: &[&str] = &["BuilderRole"];
    const PUBLISHER: &[&str] = &["PublisherRole"];
    let [requests, layers] = ["RequestsTable", "LayersTable"].map(arn_of);
    let [pending, open] = [
        format!("{layers}/index/pending"),
        format!("{requests}/index/open"),
    ];
    let queue = arn_of("RequestQueue");
    let [dead_requests, dead_publications] =
        ["RequestDeadLetterQueue", "PublicationDeadLetterQueue"].map(arn_of);
    let (machine, topic) = (arn_of("BuildStateMachine"), arn_of("NotificationTopic"));
    let [dispatcher, builder, publisher, sandbox] = [
        "DispatcherFunction",
        "BuilderFunction",
        "PublisherFunction",
        "SandboxPy312Arm64Function",
    ]
    .map(arn_of);
    let [ours, others, utilities] = ["tools-py313", "tools", "tools-py3-utilities"].map(layer);
    let [version, others_version] = [&ours, &others].map(|layer| format!("{layer}:1"));
    for (action, resource, roles) in [
        // Requests and layers.
        ("dynamodb:GetItem", layers.as_str(), PUBLISHER),
        ("dynamodb:PutItem", &layers, PUBLISHER),
        ("dynamodb:UpdateItem", &layers, PUBLISHER),
        ("dynamodb:DeleteItem", &layers, PUBLISHER),
        ("dynamodb:Query", &pending, PUBLISHER),
        ("dynamodb:Scan", &layers, NONE),
        ("dynamodb:DeleteTable", &layers, NONE),
        ("dynamodb:UpdateTable", &layers, NONE),
        (
            "dynamodb:GetItem",
            &requests,
            &["DispatcherRole", "PublisherRole"],
        ),
        ("dynamodb:PutItem", &requests, DISPATCHER),
        (
            "dynamodb:UpdateItem",
            &requests,
            &["DispatcherRole", "BuildStateMachineRole", "PublisherRole"],
        ),
        ("dynamodb:Query", &open, PUBLISHER),
        ("dynamodb:Query", &requests, NONE),
        ("dynamodb:Scan", &requests, NONE),
        ("dynamodb:DeleteItem", &requests, NONE),
        (
            "dynamodb:GetItem",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/other",
            NONE,
        ),
        // Queues.
        ("sqs:ReceiveMessage", &queue, DISPATCHER),
        ("sqs:DeleteMessage", &queue, DISPATCHER),
        ("sqs:SendMessage", &queue, NONE),
        ("sqs:PurgeQueue", &queue, NONE),
        ("sqs:SetQueueAttributes", &queue, NONE),
        ("sqs:ReceiveMessage", &dead_requests, NONE),
        ("sqs:SendMessage", &dead_requests, NONE),
        ("sqs:ReceiveMessage", &dead_publications, NONE),
        ("sqs:SendMessage", &dead_publications, PUBLISHER),
        // Executions and functions.
        ("states:StartExecution", &machine, DISPATCHER),
        ("states:StopExecution", &machine, NONE),
        ("states:UpdateStateMachine", &machine, NONE),
        ("lambda:InvokeFunction", &builder, MACHINE),
        ("lambda:InvokeFunction", &sandbox, MACHINE),
        (
            "lambda:InvokeFunction",
            &publisher,
            &["BuildStateMachineRole", "ReconcilerScheduleRole"],
        ),
        ("lambda:InvokeFunction", &dispatcher, NONE),
        ("lambda:UpdateFunctionCode", &publisher, NONE),
        ("lambda:UpdateFunctionConfiguration", &builder, NONE),
        ("lambda:AddPermission", &publisher, NONE),
        // Layers.
        ("lambda:PublishLayerVersion", &ours, PUBLISHER),
        ("lambda:PublishLayerVersion", &others, NONE),
        ("lambda:PublishLayerVersion", &utilities, NONE),
        ("lambda:AddLayerVersionPermission", &version, PUBLISHER),
        ("lambda:AddLayerVersionPermission", &others_version, NONE),
        ("lambda:RemoveLayerVersionPermission", &version, NONE),
        ("lambda:DeleteLayerVersion", &version, NONE),
        // Notifications and latest versions.
        ("sns:Publish", &topic, &["DispatcherRole", "PublisherRole"]),
        (
            "sns:Publish",
            "arn:aws:sns:eu-west-1:123456789012:other",
            NONE,
        ),
        ("sns:Subscribe", &topic, NONE),
        (
            "ssm:PutParameter",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/accretion/x",
            PUBLISHER,
        ),
        (
            "ssm:DeleteParameter",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/accretion/x",
            NONE,
        ),
        (
            "ssm:PutParameter",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/other/x",
            NONE,
        ),
        // Buckets.
        ("s3:ListBucket", INBOX, DISPATCHER),
        ("s3:PutBucketPolicy", ARTIFACTS, NONE),
        ("s3:PutBucketNotification", INBOX, NONE),
        ("s3:DeleteBucket", ARTIFACTS, NONE),
        // Credentials.
        ("iam:PassRole", "arn:aws:iam::123456789012:role/other", NONE),
        (
            "sts:AssumeRole",
            "arn:aws:iam::123456789012:role/other",
            NONE,
        ),
        ("kms:Decrypt", "*", NONE),
        ("secretsmanager:GetSecretValue", INDEX_SECRET, BUILDER),
        ("secretsmanager:GetSecretValue", SECRET, BUILDER),
        ("secretsmanager:GetSecretValue", "*", NONE),
        (
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:internal-2",
            NONE,
        ),
        ("codeartifact:GetAuthorizationToken", DOMAIN, BUILDER),
        (
            "codeartifact:ReadFromRepository",
            "arn:aws:codeartifact:eu-west-2:123456789013:repository/corp/all",
            BUILDER,
        ),
        (
            "codeartifact:ReadFromRepository",
            "arn:aws:codeartifact:eu-west-2:123456789013:repository/corp-2/all",
            NONE,
        ),
        (
            "codeartifact:PublishPackageVersion",
            "arn:aws:codeartifact:eu-west-2:123456789013:repository/corp/all",
            NONE,
        ),
    ] {
        for role in ROLES {
            let expected = roles.contains(&role);
            assert_eq!(
                may(role, action, resource),
                expected,
                "{role} {action} {resource}"
            );
        }
    }
}

#[test]
fn the_publisher_may_publish_the_layer_of_every_target() {
    for target in LayerTarget::all() {
        let layer = layer(LayerName::new(&project(), target).as_str());
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

/// The actions that read, write or delete objects.
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
fn each_object_is_read_and_written_by_these_roles_only() {
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
    // All others are forbidden.
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

/// A compromised function must not overwrite stored objects. The emulator cannot show it: it does
/// not know the condition's key, and the statement is absent where `RequireTls` is false.
#[test]
fn stored_objects_are_not_overwritten() {
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
        // The statement names every role that may write it at all.
        for role in ROLES
            .into_iter()
            .filter(|role| may(role, "s3:PutObject", object))
        {
            assert!(roles.contains(role), "{role}");
        }
    }
    // A builder replaces a broken description, a repeated publication the layer's manifest.
    for object in [&it.description, &it.layer_manifest] {
        assert!(!is_refused(object), "{object}");
    }
}
