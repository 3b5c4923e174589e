//! The notifications of the pipeline.
//!
//! A superset of the notifications of Accretion (2019): `ProjectName`, `Layer` and `Manifest` are
//! its.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::digest::Digest;
use crate::manifest::Installed;
pub use crate::manifest::{LayerRef, ObjectRef};
use crate::request::{RequestId, RequestRef};
use crate::target::{Architecture, Compatibility, LayerTarget, Runtime};

/// The event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
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
        self.into()
    }
}

/// The cause of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
pub enum Cause {
    /// A rollback to the contents of an earlier version.
    Rollback,
}

impl Cause {
    /// The name, as in the message and in its attribute `Cause`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A notification. Delivered at least once; a repetition has the same `EventId`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Notification {
    /// The event.
    pub event: Event,
    /// The identity of the notification: the request's id, the target's short form if there is one, and
    /// the event.
    pub event_id: String,
    /// The request that it is about.
    pub request_id: RequestId,
    /// The project; absent if a rejected request does not say.
    pub project_name: Option<String>,
    /// The runtime; absent for a merged layer and for a rejected request.
    pub runtime: Option<Runtime>,
    /// The runtimes, oldest first; empty for a rejected request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<Runtime>,
    /// The architecture; absent for a rejected request.
    pub architecture: Option<Architecture>,
    /// The layer version that stands now.
    pub layer: Option<LayerRef>,
    /// The ARN of the layer version that stands now: what a function's `Layers` takes.
    pub version_arn: Option<String>,
    /// The artifact manifest of the request's layer.
    pub manifest: Option<ObjectRef>,
    /// The digest of the request's layer.
    pub digest: Option<Digest>,
    /// The reason for the request; absent if people asked for it.
    pub cause: Option<Cause>,
    /// The version whose content is wanted again, where the cause is a rollback.
    pub rolled_back_to: Option<LayerRef>,
    /// The changes in a published version.
    pub changes: Option<Changes>,
    /// Packages of the layer that their index has yanked: the first [`Notification::YANKED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yanked: Vec<YankedDistribution>,
    /// The code of what failed.
    pub code: Option<String>,
    /// The codes of the problems for which a request was rejected, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The failure, or the problem of the request.
    pub reason: Option<String>,
    /// The remedy.
    pub hint: Option<String>,
}

impl Notification {
    /// Yanked packages that are named: a message has a limit.
    pub const YANKED: usize = 50;

    /// A notification about a layer, so far without its particulars.
    pub fn of_layer(
        event: Event,
        request: &RequestRef,
        project: &str,
        layer: &Compatibility,
    ) -> Self {
        Self {
            project_name: Some(project.to_owned()),
            runtime: layer.target().runtime(),
            runtimes: layer.runtimes().collect(),
            architecture: Some(layer.architecture()),
            ..Self::new(event, &request.id, Some(layer.target()))
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

    fn new(event: Event, id: &RequestId, target: Option<LayerTarget>) -> Self {
        let slug = target.map_or_else(String::new, |target| format!("{}-", target.slug()));
        Self {
            event,
            event_id: format!("{id}-{slug}{}", event.name()),
            request_id: id.clone(),
            project_name: None,
            runtime: None,
            runtimes: Vec::new(),
            architecture: None,
            layer: None,
            version_arn: None,
            manifest: None,
            digest: None,
            cause: None,
            rolled_back_to: None,
            changes: None,
            yanked: Vec::new(),
            code: None,
            codes: Vec::new(),
            reason: None,
            hint: None,
        }
    }

    /// The same notification, about a rollback if `version` says to which version.
    #[must_use]
    pub fn of_rollback(self, version: Option<LayerRef>) -> Self {
        Self {
            cause: version.as_ref().map(|_| Cause::Rollback),
            rolled_back_to: version,
            ..self
        }
    }

    /// The message's text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists are always JSON")
    }

    /// The attributes that subscriptions filter by: names and values.
    ///
    /// `Runtime` is there for a merged layer, too: with all of its runtimes, any of which a filter
    /// may ask for.
    pub fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let text = |text: &str| Attribute::Text(text.to_owned());
        let texts: Vec<_> = self.runtimes.iter().map(ToString::to_string).collect();
        let runtimes = (!texts.is_empty()).then_some(Attribute::Texts(texts));
        let runtime = self.runtime.map(|it| text(it.identifier()));
        let attributes = [
            ("Event", Some(text(self.event.name()))),
            ("ProjectName", self.project_name.as_deref().map(text)),
            ("Runtime", runtime.or(runtimes)),
            ("Architecture", self.architecture.map(|it| text(it.name()))),
            ("Cause", self.cause.map(|it| text(it.name()))),
        ];
        let known = attributes.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// The value of a message's attribute.
///
/// Source: Amazon SNS Developer Guide, "Amazon SNS message attributes".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// Several, any of which a filter may match.
    Texts(Vec<String>),
}

impl Attribute {
    /// The type, as SNS calls it.
    pub fn data_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "String",
            Self::Texts(_) => "String.Array",
        }
    }

    /// The value, as SNS takes it.
    pub fn into_value(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Texts(texts) => serde_json::Value::from(texts).to_string(),
        }
    }
}

/// Bytes of the JSON of [`Changes`] in a message. SNS takes 256 KiB with all that is in it.
const CHANGES_BYTES: usize = 96 << 10;

/// The differences between a layer version and the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changes {
    /// Distributions that are new, by name.
    pub added: Vec<Distribution>,
    /// Distributions that are gone, by name.
    pub removed: Vec<Distribution>,
    /// Distributions of another version, by name.
    pub updated: Vec<Update>,
    /// The number of further changes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
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

/// A distribution that its index has yanked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct YankedDistribution {
    /// The normalised name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The reason, as the index states it; may be empty.
    pub reason: String,
}

impl YankedDistribution {
    /// Those of a layer, up to [`Notification::YANKED`].
    pub fn of(installed: &[Installed]) -> Vec<Self> {
        let yanked = installed.iter().filter_map(|package| {
            Some(Self {
                name: package.name.clone(),
                version: package.version.clone(),
                reason: package.yanked.clone()?,
            })
        });
        yanked.take(Notification::YANKED).collect()
    }
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
    /// Compares the packages of one layer version to those of the next.
    ///
    /// Where a merged layer has a package in several versions, all of them are named, in the order of
    /// the packages.
    pub fn between(before: &[Installed], now: &[Installed]) -> Self {
        let (before, now) = (by_name(before), by_name(now));
        let alone = |these: &ByName<'_>, those: &ByName<'_>| {
            let alone = these.iter().filter(|(name, _)| !those.contains_key(*name));
            let distributions = alone.map(|(name, packages)| Distribution {
                name: (*name).to_owned(),
                version: versions(packages),
            });
            distributions.collect()
        };
        let content = |packages: &[&Installed]| {
            let files = packages.iter().map(|it| (it.version.clone(), it.sha256));
            files.collect::<BTreeSet<_>>()
        };
        let updated = now.iter().filter_map(|(name, packages)| {
            let replaced = before.get(name)?;
            (content(replaced) != content(packages)).then(|| Update {
                name: (*name).to_owned(),
                from: versions(replaced),
                to: versions(packages),
            })
        });
        Self {
            added: alone(&now, &before),
            removed: alone(&before, &now),
            updated: updated.collect(),
            left_out: 0,
        }
    }

    /// As many of them as a message has room for: updates first, then what is new.
    #[must_use]
    pub fn for_message(mut self) -> Self {
        fn length(it: &impl Serialize) -> usize {
            serde_json::to_string(it).map_or(0, |text| text.len() + 1)
        }
        let (mut room, mut left_out) = (CHANGES_BYTES, self.left_out);
        let mut fits = |length: usize| {
            let rest = room.checked_sub(length);
            // What follows would hide that something is missing before it.
            room = rest.unwrap_or_default();
            left_out += usize::from(rest.is_none());
            rest.is_some()
        };
        self.updated.retain(|it| fits(length(it)));
        self.added.retain(|it| fits(length(it)));
        self.removed.retain(|it| fits(length(it)));
        self.left_out = left_out;
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it out so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

type ByName<'a> = BTreeMap<&'a str, Vec<&'a Installed>>;

fn by_name(installed: &[Installed]) -> ByName<'_> {
    let mut packages = ByName::new();
    for package in installed {
        packages.entry(&package.name).or_default().push(package);
    }
    packages
}

/// The versions of packages, each once.
fn versions(packages: &[&Installed]) -> String {
    let mut versions: Vec<&str> = Vec::new();
    for package in packages {
        if !versions.contains(&package.version.as_str()) {
            versions.push(&package.version);
        }
    }
    versions.join(", ")
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
            yanked: None,
            runtimes: Vec::new(),
        });
        installed.collect()
    }

    fn of_layer(slug: &str, runtimes: &[Runtime]) -> Notification {
        let request = RequestRef {
            received_at: "2026-11-20T10:00:00.000Z".parse().unwrap(),
            id: RequestId::of_message("1"),
        };
        let target = LayerTarget::from_slug(slug).unwrap();
        let layer = Compatibility::new(target, runtimes.iter().copied()).unwrap();
        Notification::of_layer(Event::LayerPublished, &request, "tools", &layer)
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

    /// SNS takes 256 KiB of a message with its attributes, and DynamoDB 400 KB of the item that it is
    /// kept in until it is sent.
    #[test]
    fn the_largest_notification_fits_into_a_message() {
        let long = |at: usize, version: &str| (format!("{at:0>120}"), version.repeat(120));
        let all = |version: &str| {
            let packages: Vec<_> = (0..2_000).map(|at| long(at, version)).collect();
            let packages = packages
                .iter()
                .map(|(name, it)| (name.as_str(), it.as_str()));
            installed(&packages.collect::<Vec<_>>())
        };
        let published = of_layer("py-arm64", &[Runtime::Python312, Runtime::Python313]);
        for (before, now) in [
            (all("1"), all("2")),
            (Vec::new(), all("1")),
            (all("1"), Vec::new()),
        ] {
            let whole = Changes::between(&before, &now);
            let count = |it: &Changes| it.added.len() + it.removed.len() + it.updated.len();
            let changes = whole.clone().for_message();
            assert!(count(&changes) > 100, "{}", count(&changes));
            assert_eq!(count(&changes) + changes.left_out, count(&whole));
            let text = "\\".repeat(crate::excerpt::REASON_BYTES);
            let notification = Notification {
                changes: Some(changes),
                reason: Some(text.clone()),
                hint: Some(text),
                ..published.clone()
            };
            let attributes = notification.attributes().into_iter();
            let attributes = attributes.map(|(name, value)| name.len() + value.into_value().len());
            let bytes = notification.to_json().len() + attributes.sum::<usize>();
            assert!(bytes < 200 << 10, "{bytes}");
        }
        let few = Changes::between(&[], &installed(&[("six", "1.16")]));
        assert_eq!(few.clone().for_message(), few);
    }

    #[test]
    fn yanked_packages_are_named_up_to_a_limit() {
        let packages: Vec<_> = (0..99).map(|number| number.to_string()).collect();
        let packages: Vec<_> = packages.iter().map(|it| (&**it, "1.0")).collect();
        let mut installed = installed(&packages);
        assert_eq!(YankedDistribution::of(&installed), []);
        for package in &mut installed[10..] {
            package.yanked = Some("it breaks".to_owned());
        }
        let yanked = YankedDistribution::of(&installed);
        assert_eq!(yanked.len(), Notification::YANKED);
        assert_eq!(yanked[0].name, "10");
        let json = serde_json::to_value(&yanked[0]).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"Name": "10", "Version": "1.0", "Reason": "it breaks"})
        );
    }

    #[test]
    fn another_file_of_the_same_version_is_a_change() {
        let before = installed(&[("six", "1.16")]);
        let mut now = before.clone();
        now[0].sha256 = Some(crate::digest::Sha256::of(b"rebuilt"));
        assert_eq!(Changes::between(&before, &now).updated.len(), 1);
    }

    #[test]
    fn a_merged_layer_may_have_a_package_in_several_versions() {
        let before = installed(&[("numpy", "2.2"), ("numpy", "2.3"), ("six", "1.16")]);
        let mut now = before.clone();
        now[1].runtimes = vec![Runtime::Python313];
        assert_eq!(Changes::between(&before, &now), Changes::default());
        now.remove(0);
        let update = Update {
            name: "numpy".to_owned(),
            from: "2.2, 2.3".to_owned(),
            to: "2.3".to_owned(),
        };
        assert_eq!(Changes::between(&before, &now).updated, [update]);
        let removed = Changes::between(&before, &now[1..]).removed;
        assert_eq!(removed[0].version, "2.2, 2.3");
    }

    #[test]
    fn a_notification_of_a_merged_layer_names_its_runtimes() {
        let runtime = |notification: &Notification| {
            let attributes = notification.attributes().into_iter();
            let mut runtime = attributes.filter(|(name, _)| *name == "Runtime");
            let (_, runtime) = runtime.next().unwrap();
            (runtime.data_type(), runtime.into_value())
        };
        let merged = of_layer("py-arm64", &[Runtime::Python312, Runtime::Python313]);
        let both = r#"["python3.12","python3.13"]"#.to_owned();
        assert_eq!(runtime(&merged), ("String.Array", both));
        let json = serde_json::to_value(&merged).unwrap();
        assert_eq!(
            json["Runtimes"],
            serde_json::json!(["python3.12", "python3.13"])
        );
        assert!(json.get("Runtime").is_none());
        assert!(merged.event_id.ends_with("-py-arm64-LayerPublished"));

        let one = of_layer("py313", &[Runtime::Python313]);
        assert_eq!(runtime(&one), ("String", "python3.13".to_owned()));
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json["Runtime"], "python3.13");
        assert_eq!(json["Runtimes"], serde_json::json!(["python3.13"]));
    }

    #[test]
    fn a_notification_says_no_more_than_is_known() {
        let id = RequestId::of_message("1");
        let codes = vec!["JsonInvalid".to_owned()];
        let notification = Notification::rejected(&id, None, "error: …".to_owned(), codes);
        assert_eq!(
            notification.attributes(),
            [("Event", Attribute::Text("RequestRejected".to_owned()))]
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
