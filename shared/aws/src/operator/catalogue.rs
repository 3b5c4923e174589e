//! The layers in Lambda, of any publisher.

use accretion_core::digest::Sha256;
use accretion_core::target::Runtime;
use accretion_core::timestamp::Timestamp;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{LayerVersionContentOutput, LayerVersionsListItem};
use serde::Serialize;

use super::Publication;
use crate::Clients;
use crate::checksum;
use crate::error::{Call, Error, Outcome as _};
use crate::versions::{NOT_FOUND, found};

/// The layers or versions that Lambda lists at once at most.
const PAGE: i32 = 50;

/// The layers of a region.
#[derive(Debug, Clone)]
pub struct Catalogue {
    client: Client,
}

/// A layer and its latest version: of those that go with a runtime, if one was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedLayer {
    /// Its name.
    #[serde(rename = "Layer")]
    pub name: String,
    /// Its ARN.
    #[serde(rename = "LayerArn")]
    pub arn: String,
    /// The version.
    pub latest: ListedVersion,
}

/// A layer version, as far as lists tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedVersion {
    /// Its number.
    pub version: u64,
    /// Its ARN.
    #[serde(rename = "VersionArn")]
    pub arn: String,
    /// The time when Lambda made it.
    pub created_at: Option<Timestamp>,
    /// The runtimes that it names as compatible.
    pub runtimes: Vec<String>,
    /// The architectures that it names as compatible.
    pub architectures: Vec<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its licence.
    #[serde(rename = "LicenseInfo", skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// All that Lambda knows of a layer version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedVersion {
    /// Its entry in lists.
    pub listed: ListedVersion,
    /// Bytes of its zip.
    pub size: u64,
    /// SHA-256 of its zip.
    pub sha256: Option<Sha256>,
}

impl DescribedVersion {
    /// Checks if a publication would make an equal version.
    pub fn is(&self, publication: &Publication) -> bool {
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        let own = |names: &[String]| sorted(names.iter().map(String::as_str).collect());
        let runtimes = publication.runtimes.iter().map(|it| it.identifier());
        let architectures = publication.architectures.iter().map(|it| it.name());
        self.sha256 == Some(publication.sha256)
            && self.listed.description.as_deref() == Some(&publication.description)
            && self.listed.license == publication.license
            && own(&self.listed.runtimes) == sorted(runtimes.collect())
            && own(&self.listed.architectures) == sorted(architectures.collect())
    }
}

impl Catalogue {
    /// The layers of the clients' region.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: Client::new(clients.config()),
        }
    }

    /// All layers, or those with a version that goes with a runtime, in Lambda's order.
    pub async fn layers(&self, runtime: Option<Runtime>) -> Result<Vec<ListedLayer>, Error> {
        let request = self
            .client
            .list_layers()
            .max_items(PAGE)
            .set_compatible_runtime(runtime.map(|it| it.identifier().into()));
        let mut pages = request.into_paginator().send();
        let mut layers = Vec::new();
        while let Some(outcome) = pages.next().await {
            let page = outcome.of(Call::new("lambda:ListLayers", "*"))?;
            let listed = page.layers.unwrap_or_default().into_iter();
            layers.extend(listed.filter_map(|layer| {
                Some(ListedLayer {
                    name: layer.layer_name?,
                    arn: layer.layer_arn?,
                    latest: listed_version(layer.latest_matching_version?),
                })
            }));
        }
        Ok(layers)
    }

    /// The versions of a layer, or those that go with a runtime, the newest first; none if there is
    /// no such layer.
    pub async fn versions(
        &self,
        layer: &str,
        runtime: Option<Runtime>,
    ) -> Result<Vec<ListedVersion>, Error> {
        let request = self
            .client
            .list_layer_versions()
            .layer_name(layer)
            .max_items(PAGE)
            .set_compatible_runtime(runtime.map(|it| it.identifier().into()));
        let mut pages = request.into_paginator().send();
        let mut versions = Vec::new();
        while let Some(outcome) = pages.next().await {
            let call = Call::new("lambda:ListLayerVersions", layer);
            // A layer without versions is no layer.
            let Some(page) = outcome.unless(NOT_FOUND, call)? else {
                break;
            };
            let listed = page.layer_versions.unwrap_or_default();
            versions.extend(listed.into_iter().map(listed_version));
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        Ok(versions)
    }

    /// The latest version of a layer; `None` if there is none.
    pub async fn latest(&self, layer: &str) -> Result<Option<DescribedVersion>, Error> {
        match self.versions(layer, None).await?.first() {
            Some(latest) => self.describe(layer, latest.version).await,
            None => Ok(None),
        }
    }

    /// The signed URL of the zip of a version, valid for some minutes; `None` if there is
    /// no such version.
    pub async fn location(&self, layer: &str, version: u64) -> Result<Option<String>, Error> {
        let found = found(&self.client, layer, version).await?;
        Ok(found.and_then(|found| found.content?.location))
    }

    /// A version of a layer; `None` if there is none.
    pub async fn describe(
        &self,
        layer: &str,
        version: u64,
    ) -> Result<Option<DescribedVersion>, Error> {
        let Some(found) = found(&self.client, layer, version).await? else {
            return Ok(None);
        };
        let content = found.content();
        let size = content.map_or(0, LayerVersionContentOutput::code_size);
        let sha256 = content.and_then(|content| content.code_sha256());
        let (size, sha256) = (size.unsigned_abs(), sha256.and_then(checksum::decode));
        let listed = LayerVersionsListItem::builder()
            .version(found.version())
            .set_layer_version_arn(found.layer_version_arn)
            .set_description(found.description)
            .set_created_date(found.created_date)
            .set_compatible_runtimes(found.compatible_runtimes)
            .set_compatible_architectures(found.compatible_architectures)
            .set_license_info(found.license_info)
            .build();
        Ok(Some(DescribedVersion {
            listed: listed_version(listed),
            size,
            sha256,
        }))
    }
}

fn listed_version(item: LayerVersionsListItem) -> ListedVersion {
    let created_at = item.created_date().and_then(|text| text.parse().ok());
    let runtimes = item.compatible_runtimes().iter();
    let architectures = item.compatible_architectures().iter();
    ListedVersion {
        version: item.version().unsigned_abs(),
        created_at,
        runtimes: runtimes.map(|it| it.as_str().to_owned()).collect(),
        architectures: architectures.map(|it| it.as_str().to_owned()).collect(),
        arn: item.layer_version_arn.unwrap_or_default(),
        description: item.description.filter(|text| !text.is_empty()),
        license: item.license_info.filter(|text| !text.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::target::Architecture;

    use super::*;

    #[test]
    fn a_version_is_what_it_was_published_as() {
        let publication = Publication {
            layer: "tools".parse().unwrap(),
            description: "1.0".to_owned(),
            runtimes: vec![Runtime::Python312, Runtime::Python313],
            architectures: vec![Architecture::Arm64],
            license: None,
            sha256: Sha256::of(b"zip"),
        };
        let version = DescribedVersion {
            listed: ListedVersion {
                version: 1,
                arn: "arn".to_owned(),
                description: Some("1.0".to_owned()),
                created_at: None,
                runtimes: vec!["python3.13".to_owned(), "python3.12".to_owned()],
                architectures: vec!["arm64".to_owned()],
                license: None,
            },
            size: 3,
            sha256: Some(Sha256::of(b"zip")),
        };
        assert!(version.is(&publication));
        let mut others = [(); 5].map(|()| version.clone());
        others[0].listed.description = Some("1.1".to_owned());
        others[1].listed.runtimes.pop();
        others[2].listed.architectures.clear();
        others[3].sha256 = None;
        others[4].listed.license = Some("MIT".to_owned());
        for other in others {
            assert!(!other.is(&publication), "{other:?}");
        }
    }
}
