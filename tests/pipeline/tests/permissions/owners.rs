//! Attempts on a foreign project, on a stack whose inbox is owned: `web` is a project of one team, and
//! another team, a stranger and an operator try to reach it. All of them may do everything with S3 and SQS as
//! far as their own policies go.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use accretion_core::keys;
use accretion_core::request::{IdentityAttributes, RequestId, RequestRef, Targets};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectCannedAcl, ObjectIdentifier, Tag, Tagging};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use pipeline_tests::testbed::{STACK, Testbed};
use pipeline_tests::{
    Error, Filter, Notification, Options, Result, Stack, Subscription, http, sam,
};
use serde_json::{Value, json};

use crate::hostile::{Remains, event, settled};
use crate::redrive::{REQUESTS, request, send_with};
use crate::roles::as_user;
use crate::{Calls, PATIENCE, alone_on};

/// The account that layers may be shared with.
const PARTNER: &str = "111122223333";

const USERS: &str = "arn:aws:iam::000000000000:user";

const SECURITY: &str = include_str!("../../../../docs/security.md");

const WEB: &str = "requests/web/requirements.txt";

const SIX: &str = "six==1.17.0\n";

static OWNED: LazyLock<Result<Testbed>> = LazyLock::new(|| {
    let options = Options {
        enforce_iam: true,
        cache: None,
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions-owned");
    Testbed::start(&folder, &options)
});

/// A request that a team may write, and that the dispatcher refuses: key, text and codes.
type Rejected = (&'static str, String, &'static [&'static str]);

fn rejected() -> Vec<Rejected> {
    let key: &'static [&'static str] = &["RequestKeyInvalid"];
    let mut cases: Vec<Rejected> = [
        "requests/team-a/web/requirements.txt",
        "requests/team-a/../web/requirements.txt",
        "requests/team-a//requirements.txt",
        "requests/team-a%2F..%2Fweb/requirements.txt",
        "requests/team-a\u{2215}web/requirements.txt",
        "requests/team-a./requirements.txt",
        "requests/team-a /requirements.txt",
    ]
    .map(|it| (it, SIX.to_owned(), key))
    .into();
    let with = |member: &str, value: Value| {
        let mut request = request("team-a", SIX);
        request[member] = value;
        request.to_string()
    };
    let name: &'static [&'static str] = &["ProjectNameMismatch"];
    let files: &'static [&'static str] = &["FilesNotOwned"];
    let permission: &'static [&'static str] = &["PermissionNotAllowed"];
    let own = "requests/team-a/request.json";
    cases.extend([
        (own, with("Name", json!("web")), name),
        // The content tells that it is a request, and not the name.
        ("requests/team-a/web", with("Name", json!("web")), name),
        (
            "requests/team-a-1/web.json",
            with("Name", json!("web")),
            name,
        ),
        (own, with("Name", json!("Team-A")), name),
        (
            own,
            with("Files", json!([{"Key": "files/web/src.zip"}])),
            files,
        ),
        (own, with("Files", json!([{"Prefix": "files/web/"}])), files),
        (
            own,
            with("Files", json!([{"Prefix": "files/team-a/../web/"}])),
            files,
        ),
        (
            own,
            with("Permissions", json!([{"Principal": "*"}])),
            permission,
        ),
        (
            own,
            with("Permissions", json!([{"Principal": "111122223334"}])),
            permission,
        ),
        (
            own,
            with(
                "Permissions",
                json!([{"Principal": "*", "OrganizationId": "o-a1b2c3d4e5"}]),
            ),
            permission,
        ),
    ]);
    cases
}

#[test]
fn what_is_forbidden_leaves_no_trace_in_a_foreign_project() {
    alone_on(&OWNED, async |testbed| {
        let stack = &testbed.stack;
        own(testbed).await?;
        let endpoint = testbed.server.endpoint();
        let everything = json!({"Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*"});
        let user = async |name: &str| {
            let statements = vec![everything.clone()];
            as_user(stack, &endpoint, name, statements).await
        };
        let [web, team, stranger, operator] = [
            user("web-ci").await?,
            user("team-a").await?,
            user("stranger").await?,
            user("operator").await?,
        ];
        let mut told = Told {
            all: stack.subscribe("owners", &Filter::None).await?,
            waiting: VecDeque::new(),
        };

        // The project is there, and shared as far as the operator lets it be.
        let mut good = request("web", SIX);
        good["Permissions"] = json!([{"Principal": PARTNER}]);
        web.drop_into_inbox("files/web/src.zip", "no zip").await?;
        let version = web
            .drop_into_inbox("requests/web/request.json", good.to_string())
            .await?;
        assert_eq!(told.next().await?, ("LayerPublished".into(), json!("web")));
        web.drop_into_inbox(WEB, SIX).await?;
        for _ in Targets::default().iter() {
            assert_eq!(told.next().await?.1, json!("web"));
        }
        let known = RequestId::of_object(
            stack.output("InboxBucketName"),
            "requests/web/request.json",
            &version,
        );
        let before = Seen::of(stack).await?;

        let mut calls = Calls::new();
        for (who, of) in [("team-a", &team), ("the stranger", &stranger)] {
            objects(of, who, &version, &mut calls).await?;
            messages(of, who, &known, &mut calls).await?;
            artifacts(of, who, &known, &mut calls).await;
        }
        let put = |stack: &Stack, key: &str| {
            let put = stack
                .s3
                .put_object()
                .bucket(stack.output("InboxBucketName"));
            put.key(key).body(ByteStream::from_static(b"six"))
        };
        let key = "requests/team-a/requirements.txt";
        call!(calls, "web-ci writes for team-a", put(&web, key));
        call!(calls, "the stranger writes for team-a", put(&stranger, key));
        let allowed = calls.iter().filter(|(_, is_refused)| !is_refused);
        let allowed: Vec<_> = allowed.map(|(name, _)| name.as_str()).collect();
        assert_eq!(allowed, [""; 0], "of {}", calls.len());

        let mut items = Vec::new();
        for (key, text, codes) in rejected() {
            let version = team.drop_into_inbox(key, text).await?;
            let id = RequestId::of_object(stack.output("InboxBucketName"), key, &version);
            let item = settled(stack, &id, "request", "Rejected").await?;
            assert_eq!(item["Codes"], json!(codes), "{key}: {item}");
            assert_ne!(item["ProjectName"], "web", "{key}: {item}");
            let (said, project) = told.next().await?;
            assert_eq!(said, "RequestRejected", "{key}");
            assert_ne!(project, "web", "{key}");
            items.push(format!("{id}/request"));
        }
        // Operators may send, but nothing says whose a message is.
        let message = operator.send_to_queue(&good.to_string()).await?;
        let id = RequestId::of_message(&message);
        let item = settled(stack, &id, "request", "Rejected").await?;
        assert_eq!(item["Codes"], json!(["MessageRefused"]), "{item}");
        assert_eq!(item["ProjectName"], json!(null), "{item}");
        assert_eq!(told.next().await?, ("RequestRejected".into(), json!(null)));
        items.push(format!("{id}/request"));

        let attempts = format!("make {} attempts", calls.len() + items.len());
        assert!(SECURITY.contains(&attempts), "docs/security.md: {attempts}");

        let after = Seen::of(stack).await?;
        told.nothing().await?;
        let rejected = Remains {
            items: items.into_iter().collect(),
            ..Remains::default()
        };
        assert_eq!(after.remains.since(&before.remains), rejected);
        assert_eq!(after.web, before.web);

        // And what is allowed goes through: the team's own project, and the operator for any.
        let mut own = request("team-a", SIX);
        own["Permissions"] = json!([{"Principal": PARTNER}]);
        own["Files"] = json!([{"Prefix": "files/team-a/"}]);
        team.drop_into_inbox("files/team-a/own.py", "x = 1\n")
            .await?;
        let key = "requests/team-a/request.json";
        team.drop_into_inbox(key, own.to_string()).await?;
        let published = ("LayerPublished".to_owned(), json!("team-a"));
        assert_eq!(told.next().await?, published);
        let key = "requests/web/request.json";
        operator.drop_into_inbox(key, good.to_string()).await?;
        assert_eq!(told.next().await?, ("LayerUnchanged".into(), json!("web")));
        Ok(())
    });
}

/// Has the operator's rules set on the stack.
async fn own(testbed: &Testbed) -> Result<()> {
    let principals = format!(
        "team-a*=>{USERS}/team-a;web=>{USERS}/web-*|{USERS}/other;team-a-web=>{USERS}/web-*"
    );
    let template = sam::built().await?;
    let parameters = [
        ("InboxPrincipals", principals.as_str()),
        ("InboxOperators", &format!("{USERS}/operator")),
        ("AllowedPermissions", PARTNER),
    ];
    sam::change_parameters(&testbed.server, STACK, &template, &parameters).await?;
    Ok(())
}

/// The notifications of the topic, one after the other.
struct Told {
    all: Subscription,
    waiting: VecDeque<Notification>,
}

impl Told {
    /// The next notification: its event, and its project.
    async fn next(&mut self) -> Result<(String, Value)> {
        if self.waiting.is_empty() {
            self.waiting.extend(self.all.wait_for(1, PATIENCE).await?);
        }
        let said = self.waiting.pop_front();
        let said = said.ok_or_else(|| Error::Unexpected("no notification".to_owned()))?;
        let project = said.body.get("ProjectName").cloned();
        Ok((said.text("Event").to_owned(), project.unwrap_or_default()))
    }

    /// Holds that nothing else is told.
    async fn nothing(&self) -> Result<()> {
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
        assert_eq!(self.all.receive(Duration::from_secs(2)).await?, []);
        Ok(())
    }
}

/// The state of the stack, and of the project that all are after.
struct Seen {
    remains: Remains,
    web: Value,
}

impl Seen {
    async fn of(stack: &Stack) -> Result<Self> {
        let mut web = Vec::new();
        for target in Targets::default().iter() {
            let layer = format!("web-{}", target.slug());
            let versions = stack.layer_versions(&layer).await?;
            for version in &versions {
                web.push(json!(stack.layer_policy(&layer, *version).await?));
            }
            web.push(json!([&layer, versions]));
            let project = "web".parse().map_err(|_| Error::Unexpected(layer))?;
            let pointer = keys::latest_version_parameter(
                stack.output("LatestVersionPrefix"),
                &project,
                target,
            );
            web.push(json!(stack.parameter(&pointer).await?));
        }
        let inbox = stack.output("InboxBucketName");
        let list = stack.s3.list_object_versions().bucket(inbox);
        let list = list
            .send()
            .await
            .map_err(Error::aws("ListObjectVersions"))?;
        let versions = list.versions().iter();
        let versions = versions.filter(|it| it.key().is_some_and(|it| it.contains("/web/")));
        let own = versions.filter(|it| !it.key().is_some_and(|it| it.contains("team-a")));
        web.extend(own.map(|it| json!([it.key(), it.version_id(), it.size()])));
        web.push(json!(list.delete_markers().len()));
        Ok(Self {
            remains: Remains::of(stack).await?,
            web: web.into(),
        })
    }
}

/// Everything that changes an object of the inbox.
async fn objects(stack: &Stack, who: &str, version: &str, calls: &mut Calls) -> Result<()> {
    let (s3, inbox) = (&stack.s3, stack.output("InboxBucketName"));
    let body = || ByteStream::from_static(b"{}");
    for key in [
        WEB,
        "requests/web/request.json",
        "requests/web/new.json",
        "requests/web/",
        "requests/web/a/b.txt",
        "requests/web/../team-a/requirements.txt",
        "requests/../web/requirements.txt",
        "requests/./web/requirements.txt",
        "requests//web/requirements.txt",
        "requests/%77eb/requirements.txt",
        "requests/WEB/requirements.txt",
        "requests/webb/requirements.txt",
        "requests/w\u{435}b/requirements.txt",
        "requests/web./requirements.txt",
        "Requests/web/requirements.txt",
        "requests/team-a-web/requirements.txt",
        "web/requirements.txt",
        "web.json",
        "files/web/src.zip",
        "files/web/new.zip",
        "files/src.zip",
    ] {
        let put = s3.put_object().bucket(inbox).key(key).body(body());
        call!(calls, format!("{who} writes {key}"), put);
    }
    let source = format!("{inbox}/requests/web/request.json");
    let copy = s3.copy_object().bucket(inbox).key(WEB).copy_source(source);
    call!(calls, format!("{who} copies"), copy);
    let parts = s3.create_multipart_upload().bucket(inbox).key(WEB);
    call!(calls, format!("{who} uploads in parts"), parts);
    let acl = s3.put_object_acl().bucket(inbox).key(WEB);
    let acl = acl.acl(ObjectCannedAcl::PublicRead);
    call!(calls, format!("{who} changes the ACL"), acl);
    let tag = Tag::builder().key("a").value("b").build();
    let tagging = tag.and_then(|tag| Tagging::builder().tag_set(tag).build());
    let tagging = tagging.map_err(Error::aws("Tagging"))?;
    let tag = s3.put_object_tagging().bucket(inbox).key(WEB);
    call!(calls, format!("{who} tags"), tag.tagging(tagging));
    let delete = s3.delete_object().bucket(inbox).key(WEB);
    call!(calls, format!("{who} deletes"), delete);
    let delete = s3.delete_object().bucket(inbox);
    let delete = delete.key("requests/web/request.json").version_id(version);
    call!(calls, format!("{who} deletes a version"), delete);

    let object = ObjectIdentifier::builder().key(WEB).build();
    let objects = object.and_then(|it| Delete::builder().objects(it).build());
    let delete = s3.delete_objects().bucket(inbox);
    let delete = delete.delete(objects.map_err(Error::aws("Delete"))?);
    let is_refused = match delete.send().await {
        Ok(answer) => !answer.errors().is_empty() && answer.deleted().is_empty(),
        Err(error) => error.code() == Some("AccessDenied"),
    };
    calls.push((format!("{who} deletes several"), is_refused));

    let hour = PresigningConfig::expires_in(Duration::from_hours(1));
    let hour = hour.map_err(Error::aws("PresigningConfig"))?;
    let url = s3.put_object().bucket(inbox).key(WEB).presigned(hour).await;
    let url = url.map_err(Error::aws("PutObject"))?;
    let status = http::put(url.uri(), b"{}").await?;
    calls.push((format!("{who} has a URL signed"), status == "403"));
    Ok(())
}

/// Everything that sends a message.
async fn messages(stack: &Stack, who: &str, known: &RequestId, calls: &mut Calls) -> Result<()> {
    let now = jiff::Timestamp::now();
    let text = request("web", SIX).to_string();
    let event = event(stack.output("InboxBucketName"), WEB, now).to_string();
    for (what, queue, body) in [
        ("a request", "RequestQueueUrl", &text),
        ("an event", "RequestQueueUrl", &event),
        ("a dead request", REQUESTS, &text),
        ("a dead event", REQUESTS, &event),
    ] {
        let send = stack.sqs.send_message().queue_url(stack.output(queue));
        call!(
            calls,
            format!("{who} sends {what}"),
            send.message_body(body)
        );
    }
    let attributes = IdentityAttributes::of(&RequestRef {
        received_at: now.into(),
        id: known.clone(),
    });
    let sent = send_with(stack, &text, attributes).await;
    let is_refused = sent.is_err_and(|it| it.to_string().contains("AccessDenied"));
    calls.push((format!("{who} sends in the name of a request"), is_refused));
    let entry = SendMessageBatchRequestEntry::builder().id("a");
    let entry = entry.message_body(&text).build();
    let batch = stack.sqs.send_message_batch();
    let batch = batch.queue_url(stack.output("RequestQueueUrl"));
    let batch = batch.entries(entry.map_err(Error::aws("SendMessageBatch"))?);
    call!(calls, format!("{who} sends a batch"), batch);
    Ok(())
}

/// Everything that changes what the publisher publishes.
async fn artifacts(stack: &Stack, who: &str, known: &RequestId, calls: &mut Calls) {
    let (s3, bucket) = (&stack.s3, stack.output("ArtifactsBucketName"));
    for key in [
        format!("accretion/manifests/web/{known}-py313.manifest"),
        format!("accretion/artifacts/web/{}.zip", "0".repeat(64)),
        format!("accretion/requests/{known}.json"),
        format!("accretion/files/{}.zip", "0".repeat(64)),
        "accretion/layers/web-py313/1.json".to_owned(),
    ] {
        let put = s3.put_object().bucket(bucket).key(&key);
        let put = put.body(ByteStream::from_static(b"{}"));
        call!(calls, format!("{who} writes {key}"), put);
        let delete = s3.delete_object().bucket(bucket).key(&key);
        call!(calls, format!("{who} deletes {key}"), delete);
    }
}
