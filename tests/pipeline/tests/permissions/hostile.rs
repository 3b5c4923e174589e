//! Hostile input on the deployed stack, beside a good request: each comes to its code, and nothing
//! is there afterwards but what the good one makes. Hundreds more, without a stack, are in
//! `tests/tests/hostile/`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use accretion_core::request::{IdentityAttributes, RequestId, RequestRef};
use aws_sdk_lambda::types::InvocationType;
use pipeline_tests::testbed::wait_for;
use pipeline_tests::workspace::REGION;
use pipeline_tests::{Error, Filter, Result, Stack, Table};
use serde_json::{Value, json};

use crate::redrive::{PUBLICATIONS, REQUESTS, letters, prepare, request, send_with};
use crate::{PATIENCE, alone};

const GOOD: &str = "hostile-good";

/// Objects that are rejected: key, text, codes.
fn objects() -> Vec<(&'static str, String, &'static [&'static str])> {
    let mut endless = request("hostile-runtimes", "six==1.17.0");
    endless["Runtimes"] = vec!["x"; 100_000].into();
    let lock = "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'six'\n\
                directory = { path = '/etc' }\n";
    vec![
        (
            "requests/hostile-file/requirements.txt",
            "-r /etc/passwd\n".into(),
            &["IncludeOutside"],
        ),
        (
            "requests/hostile-index/requirements.txt",
            "--index-url https://example.com/\n".into(),
            &["OptionUnsupported"],
        ),
        (
            "requests/hostile-metadata/requirements.txt",
            "evil @ http://169.254.169.254/evil-1.0-py3-none-any.whl\n".into(),
            &["UrlUnsupported"],
        ),
        (
            "requests/hostile-lock/pylock.toml",
            lock.into(),
            &["LockedSourceUnsupported"],
        ),
        (
            "requests/%2e%2e/requirements.txt",
            "six==1.17.0\n".into(),
            &["ProjectNameInvalid"],
        ),
        (
            "requests/hostile-deep/request.json",
            "[".repeat(100_000),
            &["JsonInvalid"],
        ),
        (
            "requests/hostile-endless/request.json",
            endless.to_string(),
            &["RuntimeUnknown", "TooManyProblems"],
        ),
    ]
}

/// Lock files that lead to the builder's own addresses.
const LOCAL: [&str; 2] = ["https://127.0.0.1:9001", "https://169.254.169.254"];

#[test]
fn hostile_input_leaves_a_stack_as_it_was() {
    alone(async |stack| {
        prepare(stack).await?;
        let before = Remains::of(stack).await?;
        let good = json!({"ProjectName": [GOOD]});
        let good = stack.subscribe("hostile", &Filter::Body(good)).await?;
        let mut remains = Remains::default();

        let mut rejected = BTreeMap::new();
        for (key, text, codes) in objects() {
            let version = stack.drop_into_inbox(key, text).await?;
            let id = RequestId::of_object(stack.output("InboxBucketName"), key, &version);
            remains.items.insert(format!("{id}/request"));
            rejected.insert(id, codes);
        }
        let mut failed = Vec::new();
        for url in LOCAL {
            let message = stack.send_to_queue(&locked(url).to_string()).await?;
            let id = RequestId::of_message(&message);
            remains.accepted(&id);
            failed.push(id);
        }
        let text = request(GOOD, "six==1.17.0").to_string();
        let message = stack.send_to_queue(&text).await?;
        let id = RequestId::of_message(&message);
        remains.accepted(&id);
        let messages = poison(stack, &id).await?;
        let manifests = forge_manifests(stack, &mut remains).await?;

        let said = good.wait_for(1, PATIENCE).await?;
        assert_eq!(said[0].text("Event"), "LayerPublished", "{}", said[0].body);
        for (id, codes) in &rejected {
            let items = settled(stack, id, "request", "Rejected").await?;
            assert_eq!(items["Codes"], json!(codes), "{items}");
        }
        for id in &failed {
            let item = settled(stack, id, "py313", "Failed").await?;
            assert_eq!(item["Code"], "LocalAddressRefused", "{item}");
        }
        letters(stack, REQUESTS, messages).await?;
        letters(stack, PUBLICATIONS, manifests.len()).await?;
        let mut codes = Vec::new();
        while codes.len() < manifests.len() {
            let queue = stack.output(PUBLICATIONS);
            let record = stack.take_message(queue, PATIENCE).await?;
            let record: Value = serde_json::from_str(&record.unwrap_or_default()).unwrap();
            codes.push(record["responsePayload"]["errorType"].clone());
        }
        codes.sort_by_key(ToString::to_string);
        assert_eq!(codes, manifests);

        remains.published(&said[0].body, &id);
        let after = Remains::of(stack).await?;
        assert_eq!(after.since(&before), remains);
        assert_eq!(stack.layer_versions(&format!("{GOOD}-py313")).await?, [1]);
        // Nobody is told twice, and nothing comes late.
        assert_eq!(good.receive(Duration::from_secs(2)).await?, []);
        prepare(stack).await
    });
}

/// A request with a lock file that leads somewhere.
fn locked(url: &str) -> Value {
    let zeros = "0".repeat(64);
    let lock = format!(
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'six'\nversion = '1.17.0'\n\
         wheels = [{{ url = '{url}/six-1.17.0-py2.py3-none-any.whl', hashes = {{ sha256 = '{zeros}' }} }}]\n"
    );
    let mut request = request("hostile-local", "");
    request["Requirements"] = json!({"Type": "pylock.toml", "Requirements": lock});
    request
}

/// Sends messages that become dead letters, and returns how many; and one that is nothing new.
async fn poison(stack: &Stack, known: &RequestId) -> Result<usize> {
    let now = jiff::Timestamp::now();
    let later = now + jiff::SignedDuration::from_hours(24);
    let good = request("hostile-message", "six==1.17.0").to_string();
    let inbox = stack.output("InboxBucketName");
    let artifacts = stack.output("ArtifactsBucketName");
    let kept = format!("accretion/requests/{known}.json");
    let events = [
        event(artifacts, &kept, now),
        event("somebody-elses", "requests/tools/request.json", now),
        event(inbox, "requests/tools/request.json", later),
        json!({"Records": [{"eventSource": "aws:s3"}]}),
    ];
    for event in &events {
        stack.send_to_queue(&event.to_string()).await?;
    }
    stack.send_to_queue(&"{\"a\":".repeat(40_000)).await?;
    let reference = |received_at: jiff::Timestamp| RequestRef {
        received_at: received_at.into(),
        id: known.clone(),
    };
    send_with(stack, &good, IdentityAttributes::of(&reference(later))).await?;
    let half = IdentityAttributes {
        request_id: Some(known.to_string()),
        received_at: None,
    };
    send_with(stack, &good, half).await?;
    // Once the known one is known: it is that one.
    settled(stack, known, "request", "Received").await?;
    send_with(stack, &good, IdentityAttributes::of(&reference(now))).await?;
    Ok(events.len() + 3)
}

/// The event that S3 would send about a new object.
pub(crate) fn event(bucket: &str, key: &str, time: jiff::Timestamp) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": accretion_core::timestamp::Timestamp::from(time),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": 1, "sequencer": "00"},
        },
    }]})
}

/// Writes manifests that nobody has built, and invokes the publisher with what S3 has not sent.
/// Returns the codes that it comes to.
async fn forge_manifests(stack: &Stack, remains: &mut Remains) -> Result<Vec<Value>> {
    let bucket = stack.output("ArtifactsBucketName");
    let id = RequestId::of_message("hostile");
    let key = format!("accretion/manifests/hostile/{id}-py313.manifest");
    let put = stack.s3.put_object().bucket(bucket).key(&key);
    let put = put.body(b"{\"ProjectName\": \"hostile\"}".to_vec().into());
    put.send().await.map_err(Error::aws("PutObject"))?;
    remains.keys.insert(key);
    let now = jiff::Timestamp::now();
    for event in [
        event("somebody-elses", "accretion/manifests/x.manifest", now),
        event(bucket, "accretion/manifests/hostile/../x.manifest", now),
    ] {
        let publisher = stack.output("PublisherFunctionName");
        let invoke = stack.lambda.invoke().function_name(publisher);
        let invoke = invoke.invocation_type(InvocationType::Event);
        let invoke = invoke.payload(event.to_string().into_bytes().into());
        invoke.send().await.map_err(Error::aws("Invoke"))?;
    }
    Ok(vec![
        json!("EventInvalid"),
        json!("ManifestInvalid"),
        json!("ManifestMissing"),
    ])
}

/// Waits until an item of a request has a status.
pub(crate) async fn settled(
    stack: &Stack,
    id: &RequestId,
    item: &str,
    status: &str,
) -> Result<Value> {
    let is_there = async || {
        let items = stack.items(Table::Requests, id.as_str()).await?;
        let item = items.get(item).cloned();
        Ok(item.filter(|item| item["Status"] == status))
    };
    wait_for(&format!("{status} {item} of {id}"), PATIENCE, is_there).await
}

/// The keys, items and layers that exist, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// Keys of the artifacts bucket.
    pub(crate) keys: BTreeSet<String>,
    /// Items of both tables.
    pub(crate) items: BTreeSet<String>,
    /// Layers in Lambda.
    pub(crate) layers: BTreeSet<String>,
}

impl Remains {
    pub(crate) async fn of(stack: &Stack) -> Result<Self> {
        let mut items = BTreeSet::new();
        for (table, key) in [(Table::Requests, "RequestId"), (Table::Layers, "LayerName")] {
            for item in stack.all_items(table, None).await? {
                let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                items.insert(format!("{}/{}", text(key), text("Item")));
            }
        }
        let list = stack.lambda.list_layers().send().await;
        let list = list.map_err(Error::aws("ListLayers"))?;
        let names = list.layers().iter().filter_map(|layer| layer.layer_name());
        Ok(Self {
            keys: stack.artifact_keys("").await?.into_iter().collect(),
            items,
            layers: names.map(str::to_owned).collect(),
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        let new = |after: &BTreeSet<String>, before: &BTreeSet<String>| {
            after.difference(before).cloned().collect()
        };
        Self {
            keys: new(&self.keys, &before.keys),
            items: new(&self.items, &before.items),
            layers: new(&self.layers, &before.layers),
        }
    }

    /// Adds what an accepted request for one target leaves.
    fn accepted(&mut self, id: &RequestId) {
        self.keys.insert(format!("accretion/requests/{id}.json"));
        self.items.insert(format!("{id}/request"));
        self.items.insert(format!("{id}/py313"));
    }

    /// Adds what the published layer leaves.
    fn published(&mut self, said: &Value, id: &RequestId) {
        let digest = said["Digest"].as_str().unwrap();
        let digest = digest.trim_start_matches("sha256:");
        let layer = format!("{GOOD}-py313");
        self.keys.extend([
            format!("accretion/artifacts/{GOOD}/{digest}.zip"),
            format!("accretion/artifacts/{GOOD}/{digest}.json"),
            format!("accretion/manifests/{GOOD}/{id}-py313.manifest"),
            format!("accretion/manifests/{GOOD}/pylock.{digest}.toml"),
            format!("accretion/layers/{layer}/1.json"),
        ]);
        self.items.insert(format!("{layer}/layer"));
        self.items.insert(format!("{layer}/version#0000000001"));
        self.layers.insert(layer);
    }
}
