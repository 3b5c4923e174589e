//! Layers from zips that `accretion build` wrote.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use accretion_aws::operator::Publication;
use accretion_core::diagnostic::Report;
use accretion_core::digest::Written;
use accretion_core::layer::{LambdaLayerName, LayerName};
use accretion_core::manifest::{Installed, Manifest};
use accretion_core::request::FileRules;
use accretion_layer::content::ContentManifest;
use accretion_layer::files;
use accretion_local::output;
use accretion_python::SitePackages;
use accretion_service::blocking;
use accretion_service::python::extra_file_secrets;
use accretion_tree::Installation as _;
use tempfile::NamedTempFile;

use super::{Layer, temporary};
use crate::args::Publish;
use crate::cloud::{self, read_manifest};
use crate::error::Error;

/// Reads zips with their manifests.
pub(super) async fn layers(args: &Publish) -> Result<Vec<Layer>, Error> {
    if args.layer.is_some() && args.zips.len() > 1 {
        let zips = args.zips.len();
        return Err(cloud::Error::LayerNameShared { zips }.into());
    }
    let rules = args.files.rules(None)?;
    let mut layers = Vec::new();
    for path in &args.zips {
        layers.push(layer(args, path, &rules).await?);
    }
    Ok(layers)
}

async fn layer(args: &Publish, path: &Path, rules: &FileRules) -> Result<Layer, Error> {
    let manifest = read_manifest(&path.with_extension("manifest"))?;
    let zip = open(path, &manifest)?;
    let invalid = |problem: String| cloud::Error::ZipInvalid {
        path: path.to_owned(),
        problem,
    };
    let found = extra_file_secrets(&zip, manifest.artifact_size)
        .map_err(|error| invalid(error.to_string()))?;
    let allowed = files::check_secrets(rules, found);
    allowed.map_err(|error| Error::Service(error.into()))?;
    let name = match &args.layer {
        Some(name) => name.clone(),
        None => name(&manifest)
            .ok_or_else(|| invalid("its manifest does not name the layer".to_owned()))?,
    };
    let content = ContentManifest::from(&manifest);
    let (zip, written) = with_content_of(zip, path, &content).await?;
    let or = |said: &Option<String>, otherwise: &String| said.as_ref().unwrap_or(otherwise).clone();
    Ok(Layer {
        publication: Publication {
            layer: name,
            description: or(&args.version, &manifest.publish.description),
            runtimes: said_or(&args.runtimes, &manifest.runtimes),
            architectures: said_or(&args.architectures, &manifest.architectures),
            license: manifest.publish.license_info.clone(),
            sha256: written.sha256,
        },
        zip,
        size: written.size,
        content,
        left_out: None,
        report: Report::new(path.display().to_string(), ""),
        warnings: manifest
            .installed
            .iter()
            .filter_map(Installed::warning)
            .collect(),
    })
}

fn said_or<T: Clone + Ord>(said: &[T], otherwise: &[T]) -> Vec<T> {
    let mut items = if said.is_empty() { otherwise } else { said }.to_vec();
    items.sort();
    items.dedup();
    items
}

/// The name of a manifest's layer.
fn name(manifest: &Manifest) -> Option<LambdaLayerName> {
    let project = manifest.project_name.parse().ok()?;
    let layer = LayerName::new(&project, manifest.compatibility()?.target());
    layer.as_str().parse().ok()
}

/// Opens the zip that a manifest describes.
fn open(path: &Path, manifest: &Manifest) -> Result<File, cloud::Error> {
    let unreadable = |error| cloud::Error::ZipUnreadable {
        path: path.to_owned(),
        error,
    };
    let zip = File::open(path).map_err(unreadable)?;
    let sha256 = output::hash(path).map_err(unreadable)?;
    if sha256 == manifest.artifact_sha256 {
        return Ok(zip);
    }
    Err(cloud::Error::ZipInvalid {
        path: path.to_owned(),
        problem: "the manifest beside it describes another zip".to_owned(),
    })
}

/// Writes a zip of this command again, with its content manifest.
pub(super) async fn with_content(
    zip: NamedTempFile,
    content: &ContentManifest,
) -> Result<(NamedTempFile, Written), Error> {
    let path = zip.path().to_owned();
    let file = zip.reopen().map_err(|error| cloud::Error::ZipUnreadable {
        path: path.clone(),
        error,
    })?;
    with_content_of(file, &path, content).await
}

async fn with_content_of(
    zip: File,
    path: &Path,
    content: &ContentManifest,
) -> Result<(NamedTempFile, Written), Error> {
    let (path, content) = (path.to_owned(), content.clone());
    let work = move || {
        let unreadable = |error| cloud::Error::ZipUnreadable {
            path: path.clone(),
            error,
        };
        let length = zip.metadata().map_err(unreadable)?.len();
        let out = temporary()?;
        let embedded = content.embed(
            SitePackages.root(),
            &zip,
            length,
            BufWriter::new(out.as_file()),
        );
        let written = embedded.map_err(|error| cloud::Error::ZipInvalid {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        Ok((out, written))
    };
    blocking(work).await
}
