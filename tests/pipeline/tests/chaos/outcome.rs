//! The expected state once all is at rest: derived from the requests alone, and compared with every
//! place that says something about it.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::digest::Sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use pipeline_tests::{Error, Notification, Result, Stack, Table};
use serde_json::{Value, json};

use crate::deliveries::Expected;

/// Calls at the same time.
const CALLS: usize = 8;

/// The order that decides which of two requests is the newer one: its time, then its id.
type Order = (String, String);

/// A target of a request, with what the tables and its manifest say.
struct Target<'a> {
    order: Order,
    request: &'a Expected,
    slug: &'static str,
    item: Value,
    manifest: Value,
}

impl Target<'_> {
    fn status(&self) -> &str {
        self.item["Status"].as_str().unwrap_or_default()
    }

    fn is_accepted(&self) -> bool {
        matches!(self.status(), "Published" | "Unchanged")
    }
}

/// Everything that differs from what it must be.
#[derive(Debug, Default)]
pub(crate) struct Differences(pub(crate) Vec<String>);

impl Differences {
    fn unless(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.0.push(what());
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: &T, must_be: &T) {
        self.unless(is == must_be, || {
            format!("{what}: is {is:?}, must be {must_be:?}")
        });
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) differences: Differences,
    /// Layer versions.
    pub(crate) versions: usize,
    /// Targets by their status.
    pub(crate) targets: BTreeMap<String, usize>,
}

/// Compares all there is with what the requests ask for.
pub(crate) async fn compare(
    stack: &Stack,
    expected: &BTreeMap<String, Expected>,
    notifications: &[Notification],
) -> Result<Outcome> {
    let mut differences = Differences::default();
    let requests = by_key(stack.all_items(Table::Requests, None).await?, "RequestId");
    differences.equal(
        "requests of the table",
        &requests.keys().collect::<Vec<_>>(),
        &expected.keys().collect(),
    );
    let mut layers: BTreeMap<String, Vec<Target<'_>>> = BTreeMap::new();
    let mut wanted = Vec::new();
    for (id, request) in expected {
        let items = requests.get(id).cloned().unwrap_or_default();
        let order = order(id, request, &items, &mut differences);
        let slugs = request.planned.targets.iter().copied();
        differences.equal(
            &format!("items of request {id}"),
            &items.keys().map(String::as_str).collect(),
            &slugs.clone().chain(["request"]).collect::<BTreeSet<_>>(),
        );
        for slug in slugs {
            let item = items.get(slug).cloned().unwrap_or_default();
            wanted.push((order.clone(), request, slug, item));
        }
    }
    let targets = stream::iter(wanted).map(async |(order, request, slug, item)| {
        let project = &request.planned.project;
        let key = format!("accretion/manifests/{project}/{}-{slug}.manifest", order.1);
        Ok::<_, Error>(Target {
            manifest: stack.artifact_json(&key).await?,
            order,
            request,
            slug,
            item,
        })
    });
    let mut targets: Vec<_> = targets.buffered(CALLS).try_collect().await?;
    targets.sort_by(|one, other| one.order.cmp(&other.order));
    contents(&targets, &mut differences);
    let mut statuses = BTreeMap::new();
    for target in targets {
        *statuses.entry(target.status().to_owned()).or_default() += 1;
        let layer = format!("{}-{}", target.request.planned.project, target.slug);
        layers.entry(layer).or_default().push(target);
    }

    let tables = by_key(stack.all_items(Table::Layers, None).await?, "LayerName");
    differences.equal(
        "layers of the table",
        &tables.keys().collect::<Vec<_>>(),
        &layers.keys().collect(),
    );
    let mut versions = 0;
    let empty = BTreeMap::new();
    for (layer, targets) in &layers {
        let items = tables.get(layer).unwrap_or(&empty);
        let layer = Layer {
            stack,
            name: layer,
            targets,
            items,
        };
        versions += layer.compare(&mut differences).await?;
    }
    told(&layers, notifications, &mut differences);
    Ok(Outcome {
        differences,
        versions,
        targets: statuses,
    })
}

/// Items by the partition key, then by the sort key.
fn by_key(items: Vec<Value>, key: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut sorted: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        sorted
            .entry(text(key))
            .or_default()
            .insert(text("Item"), item);
    }
    sorted
}

/// The place of a request among all, which the table has to know.
fn order(
    id: &str,
    request: &Expected,
    items: &BTreeMap<String, Value>,
    differences: &mut Differences,
) -> Order {
    let recorded = items.get("request").unwrap_or(&Value::Null);
    let recorded = recorded["ReceivedAt"].as_str().unwrap_or_default();
    let time = match (&request.received_at, &request.between) {
        (Some(time), _) => time.as_str(),
        // Only SQS knows it; the sender knows when it sent.
        (None, Some((from, to))) if from.as_str() <= recorded && recorded <= to.as_str() => {
            recorded
        }
        (None, _) => "another time",
    };
    for (item, value) in items {
        differences.equal(
            &format!("`ReceivedAt` of {id} {item}"),
            &value["ReceivedAt"].as_str().unwrap_or_default(),
            &time,
        );
    }
    (time.to_owned(), id.to_owned())
}

/// Equal contents have equal digests for a target, others have not.
fn contents(targets: &[Target<'_>], differences: &mut Differences) {
    let mut digests: BTreeMap<(usize, &str), BTreeSet<String>> = BTreeMap::new();
    for target in targets {
        let key = (target.request.planned.content, target.slug);
        let digest = target.manifest["Digest"].to_string();
        digests.entry(key).or_default().insert(digest);
    }
    let all: BTreeSet<_> = digests.values().flatten().collect();
    let is_one_each = digests.values().all(|it| it.len() == 1) && all.len() == digests.len();
    differences.unless(is_one_each, || format!("digests of contents: {digests:?}"));
}

/// One layer.
struct Layer<'a> {
    stack: &'a Stack,
    name: &'a str,
    /// The oldest first.
    targets: &'a [Target<'a>],
    /// Its items of the table of layers.
    items: &'a BTreeMap<String, Value>,
}

impl Layer<'_> {
    /// Compares it, and returns how many versions it has.
    async fn compare(&self, differences: &mut Differences) -> Result<usize> {
        let (stack, layer) = (self.stack, self.name);
        let records: Vec<_> = self
            .items
            .iter()
            .filter(|(item, _)| item.starts_with("version#"))
            .map(|(_, record)| record)
            .collect();
        let numbers: Vec<_> = records
            .iter()
            .filter_map(|record| record["Version"].as_i64())
            .collect();
        differences.equal(
            &format!("versions of {layer} in Lambda, and their records"),
            &stack.layer_versions(layer).await?,
            &numbers,
        );
        let manifests = stack
            .artifact_keys(&format!("accretion/layers/{layer}/"))
            .await?;
        let must_be: BTreeSet<_> = numbers
            .iter()
            .map(|number| format!("accretion/layers/{layer}/{number}.json"))
            .collect();
        differences.equal(
            &format!("layer manifests of {layer}"),
            &manifests.into_iter().collect(),
            &must_be,
        );
        let mut others = self.items.keys();
        let is_plain = others.all(|item| item == "layer" || item.starts_with("version#"));
        let state = self.items.get("layer").unwrap_or(&Value::Null);
        // An orphan check may still follow.
        let is_free = ["Claim", "Stray"]
            .iter()
            .all(|attribute| state[*attribute].is_null());
        differences.unless(is_plain && is_free, || {
            format!(
                "{layer} has a claim, an outbox entry or an orphan: {:?}",
                self.items
            )
        });

        for pair in records.windows(2) {
            let order = |record: &Value| {
                let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
                (text("ReceivedAt"), text("RequestId"))
            };
            differences.unless(pair[0]["Digest"] != pair[1]["Digest"], || {
                format!("{layer} has one content twice in a row: {pair:?}")
            });
            differences.unless(order(pair[0]) < order(pair[1]), || {
                format!("{layer} has an older version after a newer one: {pair:?}")
            });
        }
        for record in &records {
            self.compare_version(record, differences).await?;
        }
        self.compare_newest(&records, state, differences).await?;
        self.compare_statuses(&records, differences);
        Ok(records.len())
    }

    async fn compare_version(&self, record: &Value, differences: &mut Differences) -> Result<()> {
        let (stack, layer) = (self.stack, self.name);
        let number = record["Version"].as_i64().unwrap_or(0);
        let what = format!("{layer} {number}");
        let publisher = self
            .targets
            .iter()
            .find(|target| record["RequestId"] == target.order.1.as_str());
        let Some(target) = publisher else {
            differences.unless(false, || {
                format!("{what} is of an unknown request: {record}")
            });
            return Ok(());
        };
        let manifest = &target.manifest;
        differences.equal(&what, &record["Digest"], &manifest["Digest"]);
        differences.equal(
            &what,
            &record["ArtifactSha256"],
            &manifest["ArtifactSha256"],
        );
        differences.equal(&what, &record["ReceivedAt"], &json!(target.order.0));

        let get = stack.lambda.get_layer_version().layer_name(layer);
        let version = get.version_number(number).send().await;
        let version = version.map_err(Error::aws("GetLayerVersion"))?;
        let content = version.content().and_then(|content| content.code_sha256());
        let sha256 = STANDARD.decode(content.unwrap_or_default());
        let sha256 = sha256.ok().and_then(|it| it.try_into().ok());
        let sha256 = sha256.map(|it| Sha256(it).to_string());
        differences.equal(
            &format!("content of {what}"),
            &json!(sha256),
            &manifest["ArtifactSha256"],
        );
        let arn = version.layer_version_arn().unwrap_or_default();
        differences.equal(
            &format!("ARN of {what}"),
            &record["VersionArn"],
            &json!(arn),
        );

        let key = format!("accretion/layers/{layer}/{number}.json");
        let described = stack.artifact_json(&key).await?;
        let layer_arn = arn.rsplit_once(':').map_or("", |(arn, _)| arn);
        let must_be = json!({
            "Layer": {"Arn": layer_arn, "Version": number},
            "ArtifactManifest": {
                "S3Bucket": stack.output("ArtifactsBucketName"),
                "S3Key": record["ManifestKey"],
            },
            "VersionArn": arn,
            "Digest": manifest["Digest"],
            "PublishedAt": described["PublishedAt"],
        });
        differences.equal(&key, &described, &must_be);
        self.compare_grants(number, arn, record, differences).await
    }

    /// Checks that those that were promised a version may use it, and no others except those that
    /// were about to be promised it when a newer request came.
    async fn compare_grants(
        &self,
        number: i64,
        arn: &str,
        record: &Value,
        differences: &mut Differences,
    ) -> Result<()> {
        let policy = self.stack.layer_policy(self.name, number).await?;
        let statements = policy.as_ref().and_then(|it| it["Statement"].as_array());
        let granted: BTreeSet<_> = statements.into_iter().flatten().map(grantee).collect();
        let count = statements.map_or(0, Vec::len);
        let asked = |is_meant: &dyn Fn(&Target<'_>) -> bool| -> BTreeSet<_> {
            let targets = self.targets.iter().filter(|target| is_meant(target));
            let permissions = targets.flat_map(|target| &target.request.planned.permissions);
            permissions.map(permission).collect()
        };
        let must = asked(&|target| {
            target.is_accepted() && target.item["VersionArn"] == record["VersionArn"]
        });
        let may = asked(&|target| target.manifest["Digest"] == record["Digest"]);
        let is_right =
            must.is_subset(&granted) && granted.is_subset(&may) && count == granted.len();
        differences.unless(is_right, || {
            format!("{arn} is granted to {granted:?}, must be {must:?}, may be {may:?}: {policy:?}")
        });
        Ok(())
    }

    /// Checks that the published state is what the newest request asked for.
    async fn compare_newest(
        &self,
        records: &[&Value],
        state: &Value,
        differences: &mut Differences,
    ) -> Result<()> {
        let (layer, newest) = (self.name, self.targets.last().unwrap());
        let published = &state["Published"];
        differences.equal(
            &format!("the newest request of {layer}"),
            &(&published["RequestId"], &published["ReceivedAt"]),
            &(&json!(newest.order.1), &json!(newest.order.0)),
        );
        differences.equal(
            &format!("the newest content of {layer}"),
            &published["Digest"],
            &newest.manifest["Digest"],
        );
        let last = records.last().copied().unwrap_or(&Value::Null);
        for member in ["Version", "VersionArn", "Digest", "ArtifactSha256"] {
            differences.equal(
                &format!("`{member}` of what stands of {layer}"),
                &published[member],
                &last[member],
            );
        }
        let architecture = crate::architecture(newest.slug);
        let project = &newest.request.planned.project;
        let pointer = format!("/accretion/{project}/python3.13/{architecture}");
        differences.equal(
            &format!("the pointer {pointer}"),
            &json!(self.stack.parameter(&pointer).await?),
            &last["VersionArn"],
        );
        Ok(())
    }

    /// The status of each target follows from the versions and from what is newer.
    fn compare_statuses(&self, records: &[&Value], differences: &mut Differences) {
        for target in self.targets {
            let (id, item) = (&target.order.1, &target.item);
            let own = records
                .iter()
                .find(|record| record["RequestId"] == id.as_str());
            let named = records
                .iter()
                .position(|record| record["VersionArn"] == item["VersionArn"]);
            let of = |record: &Value| -> Order {
                let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
                (text("ReceivedAt"), text("RequestId"))
            };
            let is_right = match target.status() {
                "Published" => own.is_some_and(|own| own["VersionArn"] == item["VersionArn"]),
                // The version had the content, and stood when the request was the newest one.
                "Unchanged" => named.is_some_and(|at| {
                    own.is_none()
                        && records[at]["Digest"] == target.manifest["Digest"]
                        && of(records[at]) < target.order
                        && records
                            .get(at + 1)
                            .is_none_or(|next| target.order < of(next))
                }),
                // A newer one was accepted before, by which the version stood.
                "Superseded" => {
                    let is_newer = |other: &Target<'_>| {
                        other.is_accepted()
                            && other.order > target.order
                            && other.item["VersionArn"] == item["VersionArn"]
                    };
                    own.is_none() && self.targets.iter().any(is_newer)
                }
                _ => false,
            };
            differences.unless(is_right, || {
                format!("the status of {id} {} ({}): {item}", target.slug, self.name)
            });
            let is_newest = target.order == self.targets.last().unwrap().order;
            differences.unless(!is_newest || target.is_accepted(), || {
                format!(
                    "the newest request of {} is not accepted: {item}",
                    self.name
                )
            });
        }
    }
}

/// Whom a request wants a layer granted to.
fn permission(permission: &Value) -> (String, Option<String>) {
    let text = |member: &str| permission[member].as_str().map(str::to_owned);
    (
        text("Principal").unwrap_or_default(),
        text("OrganizationId"),
    )
}

/// Whom a statement of a layer's policy grants it to.
fn grantee(statement: &Value) -> (String, Option<String>) {
    let is_grant =
        statement["Effect"] == "Allow" && statement["Action"] == "lambda:GetLayerVersion";
    let principal = match &statement["Principal"] {
        Value::String(principal) => principal.clone(),
        principal => principal["AWS"].as_str().unwrap_or_default().to_owned(),
    };
    // arn:aws:iam::<account>:root
    let principal = principal.split(':').nth(4).unwrap_or(&principal).to_owned();
    let organization = &statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"];
    let principal = if is_grant {
        principal
    } else {
        statement.to_string()
    };
    (principal, organization.as_str().map(str::to_owned))
}

/// Each target was told as what it ended as, in the same words each time, and nothing else was.
fn told(
    layers: &BTreeMap<String, Vec<Target<'_>>>,
    notifications: &[Notification],
    differences: &mut Differences,
) {
    let mut said: BTreeMap<&str, Vec<&Notification>> = BTreeMap::new();
    for notification in notifications {
        said.entry(notification.text("EventId"))
            .or_default()
            .push(notification);
    }
    for (event, copies) in &said {
        let is_one = copies.iter().all(|copy| *copy == copies[0]);
        differences.unless(is_one, || {
            format!("{event} is told in two ways: {copies:?}")
        });
    }
    let mut must_be = BTreeSet::new();
    for target in layers.values().flatten() {
        let (id, status) = (&target.order.1, target.status());
        let event = format!("{id}-{}-Layer{status}", target.slug);
        if let Some(copies) = said.get(event.as_str()) {
            let body = &copies[0].body;
            for member in ["VersionArn", "ProjectName", "Runtime", "Architecture"] {
                let what = format!("`{member}` of {event}");
                differences.equal(&what, &body[member], &target.item[member]);
            }
            differences.equal(
                &format!("`Digest` of {event}"),
                &body["Digest"],
                &target.manifest["Digest"],
            );
        }
        must_be.insert(event);
    }
    let is: BTreeSet<_> = said.keys().map(|event| (*event).to_owned()).collect();
    let missing: Vec<_> = must_be.difference(&is).collect();
    let extra: Vec<_> = is.difference(&must_be).collect();
    differences.unless(missing.is_empty(), || format!("was not told: {missing:?}"));
    differences.unless(extra.is_empty(), || format!("must not be told: {extra:?}"));
}
