//! The expected state once a layer is published: in every place, and the same everywhere.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::digest::Sha256;
use pipeline_tests::testbed::wait_for;
use pipeline_tests::{Notification, Result, Stack, Table};
use serde_json::{Value, json};

use crate::PATIENCE;

/// The runtimes of merged layers.
pub(crate) const MERGED_RUNTIMES: [&str; 2] = ["python3.12", "python3.13"];

/// The expected properties of each layer of a request.
pub(crate) struct Expected<'a> {
    pub(crate) project: &'a str,
    /// Short forms of the targets.
    pub(crate) targets: &'a [&'a str],
    pub(crate) version: i64,
    /// The zips by the names of their layers.
    pub(crate) zips: &'a BTreeMap<String, Vec<u8>>,
    /// `None`: any that is not empty.
    pub(crate) description: Option<&'a str>,
    pub(crate) license: Option<&'a str>,
    /// Whom it is granted to, as in the request.
    pub(crate) permissions: &'a [Value],
}

impl<'a> Expected<'a> {
    /// The first version for each of these targets, granted to nobody.
    pub(crate) fn first(
        project: &'a str,
        targets: &'a [&'a str],
        zips: &'a BTreeMap<String, Vec<u8>>,
    ) -> Self {
        Self {
            project,
            targets,
            version: 1,
            zips,
            description: None,
            license: None,
            permissions: &[],
        }
    }

    /// Holds all of it, given the notifications of a request; returns the request's id.
    pub(crate) async fn holds(
        &self,
        stack: &Stack,
        notifications: &[Notification],
    ) -> Result<String> {
        let ids: BTreeSet<_> = notifications
            .iter()
            .map(|it| it.text("RequestId"))
            .collect();
        let [id] = ids.into_iter().collect::<Vec<_>>()[..] else {
            panic!("notifications of several requests: {notifications:?}");
        };
        let items = stack.items(Table::Requests, id).await?;
        let recorded: BTreeSet<_> = items.keys().map(String::as_str).collect();
        let expected = self.targets.iter().copied().chain(["request"]);
        assert_eq!(recorded, expected.collect(), "items of the request");
        assert_eq!(items["request"]["ProjectName"], self.project);
        assert_eq!(items["request"]["Targets"], json!(self.targets));
        assert!(
            stack
                .artifact(&format!("accretion/requests/{id}.json"))
                .await?
                .is_some(),
            "the request is kept"
        );
        assert_eq!(notifications.len(), self.targets.len());
        for slug in self.targets {
            let event_id = format!("{id}-{slug}-LayerPublished");
            let said = notifications
                .iter()
                .find(|it| it.text("EventId") == event_id);
            let said = said.unwrap_or_else(|| panic!("no {event_id}: {notifications:?}"));
            self.of_target(stack, id, slug, said, &items[*slug]).await?;
        }
        Ok(id.to_owned())
    }

    #[expect(
        clippy::too_many_lines,
        reason = "all that there is of one layer, in order"
    )]
    async fn of_target(
        &self,
        stack: &Stack,
        id: &str,
        slug: &str,
        said: &Notification,
        item: &Value,
    ) -> Result<()> {
        let (python, architecture) = target(slug);
        let runtimes: Vec<_> = match python.as_str() {
            "python" => MERGED_RUNTIMES.to_vec(),
            runtime => vec![runtime],
        };
        let is_merged = python == "python";
        let runtime = (!is_merged).then_some(&python);
        let layer = format!("{}-{slug}", self.project);
        let version = stack.layer_version(&layer, self.version).await?;

        // The layer itself.
        let zip = self
            .zips
            .get(&layer)
            .unwrap_or_else(|| panic!("no layer {layer}"));
        assert!(
            version.content == *zip,
            "{layer} is not what `accretion build` makes"
        );
        assert_eq!(version.runtimes, runtimes);
        assert_eq!(version.architectures, [architecture]);
        match self.description {
            Some(_) => assert_eq!(version.description.as_deref(), self.description),
            None => assert_ne!(version.description.unwrap_or_default(), ""),
        }
        assert_eq!(
            version.license.as_deref().filter(|it| !it.is_empty()),
            self.license
        );
        let policy = stack.layer_policy(&layer, self.version).await?;
        assert_grants(policy.as_ref(), self.permissions, &version.arn);

        // Its manifests.
        let key = format!("accretion/manifests/{}/{id}-{slug}.manifest", self.project);
        let manifest = stack.artifact_json(&key).await?;
        let sha256 = Sha256::of(zip).to_string();
        let digest = manifest["Digest"].as_str().unwrap_or_default();
        let hex = digest.trim_start_matches("sha256:");
        let artifact = format!("accretion/artifacts/{}/{hex}.zip", self.project);
        assert_eq!(manifest["ProjectName"], self.project);
        assert_eq!(manifest["Runtimes"], json!(runtimes));
        assert_eq!(manifest["Shape"].is_null(), !is_merged);
        assert_eq!(manifest["Architectures"], json!([architecture]));
        assert_eq!(manifest["ArtifactSha256"], json!(sha256));
        assert_eq!(manifest["ArtifactS3Key"], json!(artifact));
        assert_eq!(manifest["Request"]["Id"], json!(id));
        assert!(
            stack.artifact(&artifact).await?.as_ref() == Some(zip),
            "{artifact}"
        );
        let lock = manifest["LockS3Key"].as_str().unwrap_or_default();
        let beside = format!("accretion/manifests/{}/pylock.{hex}.toml", self.project);
        assert_eq!(lock, beside);
        let lock = stack.artifact(lock).await?.expect("a manifest comes last");
        let lock = String::from_utf8_lossy(&lock);
        for installed in manifest["Installed"].as_array().into_iter().flatten() {
            let hash = installed["Sha256"].as_str().expect("every package has one");
            assert!(lock.contains(hash), "{installed} in {lock}");
        }
        let bucket = stack.output("ArtifactsBucketName");
        let layer_key = format!("accretion/layers/{layer}/{}.json", self.version);
        let layer_manifest = stack.artifact_json(&layer_key).await?;
        let layer_arn = version.arn.rsplit_once(':').map_or("", |(arn, _)| arn);
        let layer_ref = json!({"Arn": layer_arn, "Version": self.version});
        let manifest_ref = json!({"S3Bucket": bucket, "S3Key": key});
        assert_eq!(layer_manifest["Layer"], layer_ref);
        assert_eq!(layer_manifest["ArtifactManifest"], manifest_ref);
        assert_eq!(layer_manifest["VersionArn"], json!(version.arn));
        assert_eq!(layer_manifest["Digest"], json!(digest));

        // The records.
        assert_eq!(item["Status"], "Published", "{item}");
        assert_eq!(item["ProjectName"], self.project);
        assert_eq!(item["LayerName"], json!(layer));
        assert_eq!(item["Runtime"], json!(runtime));
        let listed = is_merged.then_some(&runtimes);
        assert_eq!(item["Runtimes"], json!(listed));
        assert_eq!(item["Architecture"], json!(architecture));
        assert_eq!(item["VersionArn"], json!(version.arn));
        assert_eq!(item["Digest"], json!(digest));
        assert_eq!(item["ManifestKey"], json!(key));
        assert!(item["ExpiresAt"].is_u64(), "{item}");
        assert_eq!(item["Open"], Value::Null);
        let layers = stack.items(Table::Layers, &layer).await?;
        let versions = layers.keys().filter(|it| it.starts_with("version#"));
        let expected = (1..=self.version).map(|version| format!("version#{version:010}"));
        assert!(versions.cloned().eq(expected), "{:?}", layers.keys());
        assert!(layers.contains_key("layer"));

        // The parameter, and the notifications.
        let pointer = format!("/accretion/{}/{python}/{architecture}", self.project);
        assert_eq!(stack.parameter(&pointer).await?, Some(version.arn.clone()));
        assert_eq!(said.body["Layer"], layer_ref);
        assert_eq!(said.body["Manifest"], manifest_ref);
        assert_eq!(said.body["VersionArn"], json!(version.arn));
        assert_eq!(said.body["Digest"], json!(digest));
        assert_eq!(said.body["ProjectName"], self.project);
        assert_eq!(said.body["Runtime"], json!(runtime));
        assert_eq!(said.body["Runtimes"], json!(runtimes));
        assert_eq!(said.body["Architecture"], json!(architecture));
        assert!(said.body["Changes"]["Added"].is_array(), "{}", said.body);
        let listed = json!(runtimes).to_string();
        let attributes = [
            ("Event", "LayerPublished"),
            ("ProjectName", self.project),
            ("Runtime", if is_merged { &listed } else { &python }),
            ("Architecture", architecture),
        ];
        assert!(
            attributes
                .iter()
                .all(|(name, value)| said.attributes[*name] == *value),
            "{:?}",
            said.attributes
        );

        // Once told, nothing is left to tell.
        let told = async || {
            let layers = stack.items(Table::Layers, &layer).await?;
            let is_open = layers.keys().any(|it| it.starts_with("outbox#"));
            Ok((!is_open).then_some(()))
        };
        wait_for("end of the outbox entry", PATIENCE, told).await
    }
}

/// The runtime and the architecture of a target's short form; `python` of a merged layer.
pub(crate) fn target(slug: &str) -> (String, &'static str) {
    let (python, architecture) = match slug.strip_suffix("-arm64") {
        Some(python) => (python, "arm64"),
        None => (slug, "x86_64"),
    };
    let runtime = match python.strip_prefix("py3") {
        Some(minor) => format!("python3.{minor}"),
        None => "python".to_owned(),
    };
    (runtime, architecture)
}

/// Holds that a layer's policy grants use to these and to nobody else.
fn assert_grants(policy: Option<&Value>, permissions: &[Value], arn: &str) {
    let empty = Vec::new();
    let statements = policy
        .and_then(|it| it["Statement"].as_array())
        .unwrap_or(&empty);
    assert_eq!(statements.len(), permissions.len(), "{statements:?}");
    for permission in permissions {
        let principal = permission["Principal"].as_str().unwrap_or_default();
        let organization = &permission["OrganizationId"];
        let is_granted = statements.iter().any(|statement| {
            let principals = statement["Principal"].to_string();
            statement["Effect"] == "Allow"
                && statement["Action"] == "lambda:GetLayerVersion"
                && statement["Resource"] == arn
                && principals.contains(principal)
                && statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] == *organization
        });
        assert!(is_granted, "{permission} is not in {statements:?}");
    }
}
