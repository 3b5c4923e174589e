//! What the pipeline tells the world.
//!
//! A superset of the notifications of Accretion (2019): `ProjectName`, `Layer` and `Manifest` are
//! its.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Installed;
use crate::request::{RequestId, RequestRef};
use crate::target::{Architecture, Runtime, Target};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// There is a new layer version.
    LayerPublished,
    /// The layer has that content already.
    LayerUnchanged,
    /// A newer request was published before this one.
    LayerSuperseded,
    /// A layer could not be built or published.
    BuildFailed,
    /// A request can't be used.
    RequestRejected,
}

impl Event {
    /// The name, as in the message and in its attribute `Event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LayerPublished => "LayerPublished",
            Self::LayerUnchanged => "LayerUnchanged",
            Self::LayerSuperseded => "LayerSuperseded",
            Self::BuildFailed => "BuildFailed",
            Self::RequestRejected => "RequestRejected",
        }
    }
}

/// A notification. Delivered at least once; a repetition has the same `EventId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Notification {
    /// What has happened.
    pub event: Event,
    /// Which notification it is: the request's id, the target's short form where there is one, and
    /// the event.
    pub event_id: String,
    /// The request that it is about.
    pub request_id: RequestId,
    /// The project; absent if a rejected request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The runtime; absent for a rejected request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The architecture; absent for a rejected request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The layer version that stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerRef>,
    /// The ARN of the layer version that stands now: what a function's `Layers` takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_arn: Option<String>,
    /// The artifact manifest of the request's layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ObjectRef>,
    /// The digest of the request's layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What is new in a published version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// The code of what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The codes of the problems for which a request was rejected, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// What failed, or what is wrong with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Notification {
    /// A notification about a layer, so far without its particulars.
    pub fn of_layer(event: Event, request: &RequestRef, project: &str, target: Target) -> Self {
        Self {
            project_name: Some(project.to_owned()),
            runtime: Some(target.runtime),
            architecture: Some(target.architecture),
            ..Self::new(event, &request.id, Some(target))
        }
    }

    /// The notification that a request was rejected.
    pub fn rejected(
        id: &RequestId,
        project_name: Option<String>,
        reason: String,
        codes: Vec<String>,
    ) -> Self {
        Self {
            project_name,
            reason: Some(reason),
            codes,
            ..Self::new(Event::RequestRejected, id, None)
        }
    }

    fn new(event: Event, id: &RequestId, target: Option<Target>) -> Self {
        let slug = target.map_or_else(String::new, |target| format!("{}-", target.slug()));
        Self {
            event,
            event_id: format!("{id}-{slug}{}", event.name()),
            request_id: id.clone(),
            project_name: None,
            runtime: None,
            architecture: None,
            layer: None,
            version_arn: None,
            manifest: None,
            digest: None,
            changes: None,
            code: None,
            codes: Vec::new(),
            reason: None,
            hint: None,
        }
    }

    /// The message's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists are always JSON")
    }

    /// The attributes that subscriptions filter by: names and values.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let optional = [
            ("ProjectName", self.project_name.clone()),
            ("Runtime", self.runtime.map(|runtime| runtime.to_string())),
            ("Architecture", self.architecture.map(|it| it.to_string())),
        ];
        let known = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        [("Event", self.event.name().to_owned())]
            .into_iter()
            .chain(known)
            .collect()
    }
}

/// A layer and one of its versions, as Accretion names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerRef {
    /// The ARN of the layer, without a version.
    pub arn: String,
    /// The number of the version.
    pub version: u64,
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The bucket.
    #[serde(rename = "S3Bucket")]
    pub bucket: String,
    /// The key.
    #[serde(rename = "S3Key")]
    pub key: String,
}

/// What differs between a layer version and the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changes {
    /// Distributions that are new, by name.
    pub added: Vec<Distribution>,
    /// Distributions that are gone, by name.
    pub removed: Vec<Distribution>,
    /// Distributions of another version, by name.
    pub updated: Vec<Update>,
}

/// A distribution of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Distribution {
    /// The normalised name.
    pub name: String,
    /// The version.
    pub version: String,
}

/// A distribution that has another version than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Update {
    /// The normalised name.
    pub name: String,
    /// The version before.
    pub from: String,
    /// The version now. Equal to the one before if only the file of the wheel is another.
    pub to: String,
}

impl Changes {
    /// What has changed from the packages of one layer version to those of the next.
    pub fn between(before: &[Installed], now: &[Installed]) -> Self {
        let by_name = |installed: &'_ [Installed]| -> BTreeMap<String, Installed> {
            let entries = installed
                .iter()
                .map(|package| (package.name.clone(), package.clone()));
            entries.collect()
        };
        let (before, now) = (by_name(before), by_name(now));
        let alone = |these: &BTreeMap<String, Installed>, those: &BTreeMap<String, Installed>| {
            let alone = these.iter().filter(|(name, _)| !those.contains_key(*name));
            let distributions = alone.map(|(name, package)| Distribution {
                name: name.clone(),
                version: package.version.clone(),
            });
            distributions.collect()
        };
        let updated = now.iter().filter_map(|(name, package)| {
            let before = before.get(name)?;
            let is_same = before.version == package.version && before.sha256 == package.sha256;
            (!is_same).then(|| Update {
                name: name.clone(),
                from: before.version.clone(),
                to: package.version.clone(),
            })
        });
        Self {
            added: alone(&now, &before),
            removed: alone(&before, &now),
            updated: updated.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(packages: &[(&str, &str)]) -> Vec<Installed> {
        let installed = packages.iter().map(|&(name, version)| Installed {
            name: name.to_owned(),
            version: version.to_owned(),
            wheel: String::new(),
            sha256: Some(crate::digest::Sha256::of(version.as_bytes())),
            built_from: None,
            size: None,
            unzipped_size: None,
        });
        installed.collect()
    }

    #[test]
    fn changes_name_what_differs() {
        let before = installed(&[("attrs", "25.3"), ("idna", "3.10"), ("six", "1.16")]);
        let now = installed(&[("attrs", "25.4"), ("certifi", "2026.1.1"), ("six", "1.16")]);
        let changes = Changes::between(&before, &now);
        insta::assert_json_snapshot!(changes);
        assert_eq!(Changes::between(&now, &now), Changes::default());
        assert_eq!(Changes::between(&[], &now).added.len(), 3);
    }

    #[test]
    fn another_file_of_the_same_version_is_a_change() {
        let before = installed(&[("six", "1.16")]);
        let mut now = before.clone();
        now[0].sha256 = Some(crate::digest::Sha256::of(b"rebuilt"));
        assert_eq!(Changes::between(&before, &now).updated.len(), 1);
    }

    #[test]
    fn a_notification_says_no_more_than_is_known() {
        let id = RequestId::of_message("1");
        let codes = vec!["JsonInvalid".to_owned()];
        let notification = Notification::rejected(&id, None, "error: …".to_owned(), codes);
        assert_eq!(
            notification.attributes(),
            [("Event", "RequestRejected".to_owned())]
        );
        let members = serde_json::to_value(&notification).unwrap();
        let members: Vec<_> = members.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            members,
            ["Codes", "Event", "EventId", "Reason", "RequestId"]
        );
        assert_eq!(notification.event_id, format!("{id}-RequestRejected"));
    }
}
