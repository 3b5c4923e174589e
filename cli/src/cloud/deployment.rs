//! The deployment file: regions and their stacks.
//!
//! Its form is that of Accretion (2019): `{"Deployments": {"<region>": {"Core": STACK,
//! "ArtifactBuilder": STACK, "LayerBuilder": STACK}}}`. Each key names the stack that holds that
//! part of the pipeline; with the one flat template of today all three name the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::args::{OneRegion, Region};

/// The content of a deployment file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Deployments {
    /// The stacks of each region.
    pub(crate) deployments: BTreeMap<Region, Stacks>,
    /// Members that other tools have added.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// The stacks of a region, by the part of the pipeline that they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Stacks {
    /// Holds the inbox, the tables and the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) core: Option<String>,
    /// Holds the builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_builder: Option<String>,
    /// Holds the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer_builder: Option<String>,
    /// Resources that deleted stacks have left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retained: Vec<Retained>,
    /// Members that other tools have added.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Stacks {
    /// One stack that holds all parts.
    pub(crate) fn all_in(stack: &str) -> Self {
        let stack = || Some(stack.to_owned());
        Self {
            core: stack(),
            artifact_builder: stack(),
            layer_builder: stack(),
            retained: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    /// The names, each once.
    pub(crate) fn names(&self) -> Vec<&str> {
        let parts = [&self.core, &self.artifact_builder, &self.layer_builder];
        let mut names: Vec<&str> = Vec::new();
        for name in parts.into_iter().flatten() {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Assigns all parts without a stack to this one.
    pub(crate) fn adopt(&mut self, stack: &str) {
        for part in [
            &mut self.core,
            &mut self.artifact_builder,
            &mut self.layer_builder,
        ] {
            part.get_or_insert_with(|| stack.to_owned());
        }
    }

    /// Removes a stack.
    pub(crate) fn forget(&mut self, stack: &str) {
        for part in [
            &mut self.core,
            &mut self.artifact_builder,
            &mut self.layer_builder,
        ] {
            part.take_if(|known| known == stack);
        }
    }

    /// Replaces the record of what a stack leaves.
    pub(crate) fn retain(&mut self, retained: Retained) {
        self.retained.retain(|known| known.stack != retained.stack);
        if !retained.is_empty() {
            self.retained.push(retained);
        }
    }
}

/// Resources that a stack leaves. Once the stack is gone, only this record names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Retained {
    /// The stack's id. Other stacks may have had its name.
    pub(crate) stack: String,
    /// The names of its buckets.
    #[serde(default)]
    pub(crate) buckets: Vec<String>,
    /// The names of its tables.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// The table that lists the layers of the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layers_table: Option<String>,
    /// The path of the parameters with the latest versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pointer_prefix: Option<String>,
}

impl Retained {
    /// Adds an earlier record of the same stack.
    pub(crate) fn add(&mut self, before: &Self) {
        for (names, known) in [
            (&mut self.buckets, &before.buckets),
            (&mut self.tables, &before.tables),
        ] {
            names.extend_from_slice(known);
            names.sort();
            names.dedup();
        }
        for (value, known) in [
            (&mut self.layers_table, &before.layers_table),
            (&mut self.pointer_prefix, &before.pointer_prefix),
        ] {
            if value.is_none() {
                value.clone_from(known);
            }
        }
    }

    /// Returns whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.tables.is_empty()
    }
}

impl OneRegion {
    /// The region's stacks. Fails if the deployment file does not name the region.
    pub(crate) fn stacks(&self) -> Result<Stacks, Error> {
        match &self.deployment_file {
            Some(file) => DeploymentFile::new(file).stacks(&self.region),
            None => Ok(Stacks::default()),
        }
    }
}

/// A deployment file.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentFile {
    path: PathBuf,
}

impl DeploymentFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new file. Fails if the file exists.
    pub(crate) fn create(&self, regions: impl IntoIterator<Item = Region>) -> Result<(), Error> {
        let names = regions.into_iter();
        let deployments = Deployments {
            deployments: names.map(|it| (it, Stacks::default())).collect(),
            others: BTreeMap::new(),
        };
        match self.stage(&deployments)?.persist_noclobber(&self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::DeploymentFileExists {
                    path: self.path.clone(),
                })
            }
            Err(error) => Err(self.unwritable(error.error)),
        }
    }

    /// Reads the file.
    pub(crate) fn read(&self) -> Result<Deployments, Error> {
        let text =
            fs::read_to_string(&self.path).map_err(|error| Error::DeploymentFileUnreadable {
                path: self.path.clone(),
                error,
            })?;
        serde_json::from_str(&text).map_err(|error| Error::DeploymentFileInvalid {
            path: self.path.clone(),
            problem: error.to_string(),
        })
    }

    /// The stacks of a region. Fails if the file does not name it.
    pub(crate) fn stacks(&self, region: &Region) -> Result<Stacks, Error> {
        let mut deployments = self.read()?.deployments;
        let stacks = deployments.remove(region);
        stacks.ok_or_else(|| Error::RegionUnknown {
            path: self.path.clone(),
            region: region.clone(),
            known: deployments.into_keys().collect(),
        })
    }

    /// The stacks of these regions, or of all regions of the file. Each region appears once; fails if
    /// there are none.
    pub(crate) fn chosen(&self, regions: &[Region]) -> Result<Vec<(Region, Stacks)>, Error> {
        if regions.is_empty() {
            let all = self.read()?.deployments;
            if all.is_empty() {
                return Err(Error::RegionsMissing {
                    path: self.path.clone(),
                });
            }
            return Ok(all.into_iter().collect());
        }
        let distinct: BTreeSet<_> = regions.iter().cloned().collect();
        distinct
            .into_iter()
            .map(|region| self.stacks(&region).map(|stacks| (region, stacks)))
            .collect()
    }

    /// The stacks of the regions to search: these, or all regions of the file with a pipeline, or all
    /// regions if none has one.
    pub(crate) fn searched(&self, regions: &[Region]) -> Result<Vec<(Region, Stacks)>, Error> {
        let mut chosen = self.chosen(regions)?;
        let is_deployed = |(_, stacks): &(Region, Stacks)| !stacks.names().is_empty();
        if regions.is_empty() && chosen.iter().any(is_deployed) {
            chosen.retain(is_deployed);
        }
        Ok(chosen)
    }

    /// Changes the file as a whole or not at all, even if other processes change it, too.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Deployments) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // The change replaces the file, so the lock is on its folder.
        let folder = File::open(self.folder()).map_err(|error| self.unwritable(error))?;
        flock(&folder, FlockOperation::LockExclusive)
            .map_err(|error| self.unwritable(error.into()))?;
        let before = self.read()?;
        let mut deployments = before.clone();
        let outcome = change(&mut deployments)?;
        if deployments != before {
            let staged = self.stage(&deployments)?;
            // Replaces the target of a link, not the link.
            let path = fs::canonicalize(&self.path).map_err(|error| self.unwritable(error))?;
            let mode = fs::metadata(&path).map(|known| known.permissions());
            let kept = mode.and_then(|mode| staged.as_file().set_permissions(mode));
            kept.map_err(|error| self.unwritable(error))?;
            staged
                .persist(&path)
                .map_err(|error| self.unwritable(error.error))?;
        }
        Ok(outcome)
    }

    /// The folder of the file, or of the target if the path is a link.
    fn folder(&self) -> PathBuf {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    fn stage(&self, deployments: &Deployments) -> Result<tempfile::NamedTempFile, Error> {
        let mut text = serde_json::to_string_pretty(deployments)
            .expect("a map of texts to values is always JSON");
        text.push('\n');
        let staged = || {
            let mut file = tempfile::Builder::new()
                .prefix(".accretion-deployment-")
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .tempfile_in(self.folder())?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        staged().map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: io::Error) -> Error {
        Error::DeploymentFileUnwritable {
            path: self.path.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accretion_core::Fault as _;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn what_others_have_put_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployment.json");
        let text = r#"{"Owner": "us", "Deployments": {"eu-west-1": {"Core": "a", "Extra": [1]}}}"#;
        fs::write(&path, text).unwrap();
        let file = DeploymentFile::new(&path);
        let add = |deployments: &mut Deployments| {
            let stacks = Stacks::all_in("b");
            deployments.deployments.insert(region("us-east-1"), stacks);
            Ok(())
        };
        file.change(add).unwrap();
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "Owner": "us",
            "Deployments": {
                "eu-west-1": {"Core": "a", "Extra": [1]},
                "us-east-1": {"Core": "b", "ArtifactBuilder": "b", "LayerBuilder": "b"},
            },
        });
        assert_eq!(value, expected);
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "nothing else is left in the folder");
    }

    #[test]
    fn what_a_stack_leaves_is_known_once() {
        let retained = |stack: &str, bucket: &str| Retained {
            stack: stack.to_owned(),
            buckets: vec![bucket.to_owned()],
            ..Retained::default()
        };
        let mut stacks = Stacks::all_in("a");
        stacks.retain(retained("1", "x"));
        stacks.retain(retained("2", "y"));
        stacks.retain(retained("1", "z"));
        assert_eq!(stacks.retained, [retained("2", "y"), retained("1", "z")]);
        let nothing = Retained {
            stack: "2".to_owned(),
            ..Retained::default()
        };
        stacks.retain(nothing);
        assert_eq!(stacks.retained, [retained("1", "z")]);
        stacks.forget("b");
        assert_eq!(stacks.names(), ["a"]);
        stacks.forget("a");
        assert_eq!(stacks.names(), [""; 0]);
        let text = serde_json::to_string(&stacks).unwrap();
        assert_eq!(serde_json::from_str::<Stacks>(&text).unwrap(), stacks);
    }

    #[test]
    fn many_change_it_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = DeploymentFile::new(folder.path().join("deployment.json"));
        file.create([]).unwrap();
        std::thread::scope(|scope| {
            for number in 1..=20 {
                let file = &file;
                scope.spawn(move || {
                    let add = |deployments: &mut Deployments| {
                        let region = region(&format!("eu-west-{number}"));
                        deployments.deployments.insert(region, Stacks::default());
                        Ok(())
                    };
                    file.change(add).unwrap();
                });
            }
        });
        assert_eq!(file.read().unwrap().deployments.len(), 20);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployment.json");
        let file = DeploymentFile::new(&path);
        file.create([region("eu-west-1")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let fail = |deployments: &mut Deployments| -> Result<(), Error> {
            deployments.deployments.clear();
            Err(Error::NotDeployed {
                region: region("eu-west-1"),
            })
        };
        assert!(file.change(fail).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let again = file.create([]).unwrap_err();
        assert_eq!(again.code(), "DeploymentFileExists");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
