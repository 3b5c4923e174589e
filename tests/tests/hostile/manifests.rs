//! Artifact manifests that no builder has written.

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_service::ports::BuildOrder;
use integration_tests::memory::cloud::Cloud;
use serde_json::{Value, json};

use crate::case::{Case, End, Forge};

/// A manifest that a build has just written, and what belongs to it, to be changed.
pub(crate) struct Forgery<'a> {
    /// The key in the event that S3 sends to the publisher.
    pub(crate) key: String,
    /// The manifest under that key.
    pub(crate) manifest: Value,
    /// The same, where it is not JSON.
    pub(crate) text: Option<Vec<u8>>,
    /// True if there is no object under that key.
    is_absent: bool,
    /// Everything else.
    pub(crate) cloud: &'a mut Cloud,
}

impl<'a> Forgery<'a> {
    pub(crate) fn new(order: &BuildOrder, cloud: &'a mut Cloud) -> Self {
        let key = keys::manifest(&order.project, &order.request.id, order.target.target());
        let text = cloud.manifests.remove(&key).unwrap();
        Self {
            key,
            manifest: serde_json::from_slice(&text).unwrap(),
            text: None,
            is_absent: false,
            cloud,
        }
    }

    /// Puts it where it is said to be; returns the key.
    pub(crate) fn finish(self) -> String {
        let text = self.text;
        let text = text.unwrap_or_else(|| self.manifest.to_string().into_bytes());
        if !self.is_absent {
            self.cloud.manifests.insert(self.key.clone(), text);
        }
        self.key
    }

    fn replace(&mut self, piece: &str, by: &str) {
        let text = self.manifest.to_string();
        assert!(text.contains(piece), "{piece}: {text}");
        self.text = Some(text.replacen(piece, by, 1).into_bytes());
    }

    fn artifact_key(&self) -> String {
        self.manifest["ArtifactS3Key"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = unreadable();
    cases.extend(not_published());
    cases
}

fn unreadable() -> Vec<Case> {
    let other = "0".repeat(64);
    let set = |pointer: &'static str, value: Value| -> Forge {
        Box::new(move |it| {
            let place = it.manifest.pointer_mut(pointer);
            *place.unwrap_or_else(|| panic!("{pointer}")) = value.clone();
        })
    };
    let text = |text: Vec<u8>| -> Forge { Box::new(move |it| it.text = Some(text.clone())) };
    let replace =
        |piece: &'static str, by: String| -> Forge { Box::new(move |it| it.replace(piece, &by)) };
    let key =
        |change: fn(&str) -> String| -> Forge { Box::new(move |it| it.key = change(&it.key)) };
    let org = json!([{"Principal": "*", "OrganizationId": "o-*"}]);
    let cases: Vec<(&str, Forge)> = vec![
        // The text.
        ("nothing", text(Vec::new())),
        (
            "cut off",
            Box::new(|it| {
                let mut text = it.manifest.to_string().into_bytes();
                text.pop();
                it.text = Some(text);
            }),
        ),
        ("no UTF-8", text(vec![0xff; 100])),
        ("a byte order mark", replace("{", "\u{feff}{".to_owned())),
        (
            "nested a hundred thousand deep",
            text("[".repeat(100_000).into_bytes()),
        ),
        (
            "a member twice",
            replace("{", format!("{{\"ArtifactSha256\":\"{other}\",")),
        ),
        (
            "a size without end",
            replace(
                "\"ArtifactSize\":",
                format!("\"ArtifactSize\":{}", "9".repeat(1000)),
            ),
        ),
        ("a size below nothing", set("/ArtifactSize", json!(-1))),
        ("a manifest of 2019", set("/Architectures", json!([]))),
        // Whose it is.
        ("of another project", set("/ProjectName", json!("other"))),
        (
            "of a project that leads up",
            set("/ProjectName", json!("../other")),
        ),
        ("of no request", set("/Request", Value::Null)),
        (
            "of another request",
            set("/Request/Id", json!("0ce43a345624ab7be5105730f7afc664")),
        ),
        (
            "of a request that leads up",
            set("/Request/Id", json!("../../requests/0ce43a345624ab7b")),
        ),
        (
            "of another runtime",
            set("/Runtimes", json!(["python3.12"])),
        ),
        (
            "of a runtime that there is none of",
            set("/Runtimes", json!(["python9.9"])),
        ),
        (
            "of two architectures",
            set("/Architectures", json!(["x86_64", "arm64"])),
        ),
        (
            "of several runtimes",
            set("/Runtimes", json!(["python3.12", "python3.13"])),
        ),
        (
            "merged, under the key of a target",
            Box::new(|it| it.manifest["Shape"] = json!("Shared")),
        ),
        (
            "merged in a way that there is none of",
            Box::new(|it| it.manifest["Shape"] = json!("../Shared")),
        ),
        (
            "under the key of a merged layer",
            key(|key| key.replace("-py313.", "-py.")),
        ),
        (
            "under the key of another project",
            key(|key| key.replace("/tools/", "/other/")),
        ),
        (
            "under the key of another target",
            key(|key| key.replace("-py313.", "-py313-arm64.")),
        ),
        (
            "under a key that leads up",
            key(|key| key.replace("/tools/", "/other/../tools/")),
        ),
        (
            "under the key of a request",
            key(|_| "accretion/requests/x.json".to_owned()),
        ),
        // What it is published from.
        (
            "with an artifact of another project",
            Box::new(|it| {
                // Which is there, and is what the manifest says.
                let own = it.artifact_key();
                let key = own.replace("/tools/", "/other/");
                let mut artifact = it.cloud.artifacts[&own].clone();
                artifact.key.clone_from(&key);
                it.cloud.artifacts.insert(key.clone(), artifact);
                it.manifest["ArtifactS3Key"] = key.into();
            }),
        ),
        (
            "with an artifact that leads up",
            set(
                "/ArtifactS3Key",
                json!("accretion/artifacts/tools/../../requests/x.json"),
            ),
        ),
        (
            "with an artifact that is a request",
            set(
                "/ArtifactS3Key",
                json!("accretion/requests/0ce43a345624ab7be5105730f7afc664.json"),
            ),
        ),
        (
            "with an artifact at a URL",
            set("/ArtifactS3Key", json!("https://example.com/layer.zip")),
        ),
        (
            "with another digest",
            set("/Digest", json!(format!("sha256:{other}"))),
        ),
        (
            "with a digest that is none",
            set("/Digest", json!("sha256:../../x")),
        ),
        (
            "with a hash that is none",
            set("/ArtifactSha256", json!("x")),
        ),
        // Who may use it.
        (
            "for a role",
            set(
                "/Publish/Permissions",
                json!([{"Principal": "arn:aws:iam::123456789012:role/x"}]),
            ),
        ),
        ("for a wild organization", set("/Publish/Permissions", org)),
        (
            "for an account of too many digits",
            set(
                "/Publish/Permissions",
                json!([{"Principal": "1234567890123"}]),
            ),
        ),
    ];
    let cases = cases.into_iter();
    let end = End::Unreadable("ManifestInvalid");
    let mut cases: Vec<_> = cases
        .map(|(name, forge)| Case::manifest(name, forge, end))
        .collect();
    let missing = End::Unreadable("ManifestMissing");
    cases.push(Case::manifest(
        "that is not there",
        |it| it.is_absent = true,
        missing,
    ));
    cases
}

fn not_published() -> Vec<Case> {
    let differs = End::NotPublished("ArtifactDiffers");
    let missing = End::NotPublished("ArtifactMissing");
    let zeros = "0".repeat(64);
    let shared = json!([{"Principal": "111122223333"}]);
    vec![
        // No request could have asked for it: the dispatcher would have refused that.
        Case::manifest(
            "shared with an account that the operator has not named",
            move |it| it.manifest["Publish"]["Permissions"] = shared.clone(),
            End::NotPublished("PermissionNotAllowed"),
        ),
        Case::manifest(
            "with another hash",
            {
                let zeros = zeros.clone();
                move |it| it.manifest["ArtifactSha256"] = zeros.clone().into()
            },
            differs,
        ),
        Case::manifest(
            "with another size",
            |it| it.manifest["ArtifactSize"] = 1.into(),
            differs,
        ),
        Case::manifest(
            "whose artifact was exchanged",
            |it| {
                let key = it.artifact_key();
                it.cloud.artifacts.get_mut(&key).unwrap().sha256 = Some(Sha256::of(b"evil"));
            },
            differs,
        ),
        Case::manifest(
            "whose artifact nobody has verified",
            |it| {
                let key = it.artifact_key();
                it.cloud.artifacts.get_mut(&key).unwrap().sha256 = None;
            },
            differs,
        ),
        Case::manifest(
            "whose artifact is gone",
            |it| {
                let key = it.artifact_key();
                it.cloud.artifacts.remove(&key);
            },
            missing,
        ),
        Case::manifest(
            "of a digest that nobody has built",
            move |it| {
                it.manifest["Digest"] = format!("sha256:{zeros}").into();
                it.manifest["ArtifactS3Key"] =
                    format!("accretion/artifacts/tools/{zeros}.zip").into();
            },
            missing,
        ),
    ]
}
