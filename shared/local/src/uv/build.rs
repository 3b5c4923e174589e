//! Building wheels of projects and source distributions, which runs their code.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accretion_core::target::Target;
use accretion_egress::EgressProxy;
use accretion_service::blocking;

use super::Uv;
use super::process::Ran;
use super::stderr::{build_failure, failed, misused, said, unreachable};
use crate::Error;
use crate::foreign;
use crate::project::ProjectCopy;

/// 1980-01-01, the first moment that a wheel's entry can have, in seconds.
const FIRST_MOMENT: &str = "315532800";

impl Uv {
    /// Builds the wheel of a project's folder, or of a source distribution, into another folder.
    /// Returns the wheel's path.
    ///
    /// It is built for the target, if this machine has its Python, from a copy below the folder
    /// `work`. `project` is free of links.
    pub async fn wheel_of(
        &self,
        project: &Path,
        target: Target,
        work: &Path,
        into: &Path,
    ) -> Result<PathBuf, Error> {
        let python = self.python_for(target, true).await?;
        let (original, work) = (project.to_owned(), work.to_owned());
        let copy = blocking(move || ProjectCopy::new(&original, &work)).await?;
        let built = self.build_with(&python, &copy.path(), into).await;
        built.map_err(|mut error| {
            if let Error::SourceBuildFailed { output, .. }
            | Error::SourceNeedsCompiler { output, .. } = &mut error
            {
                *output = copy.restore(output);
            }
            error
        })
    }

    /// Returns whether this machine can build for a target: it has its architecture and its Python.
    pub async fn is_native(&self, target: Target) -> bool {
        target.architecture.machine() == env::consts::ARCH
            && self.matching_python(target).await.is_some()
    }

    /// Builds a source distribution for a target into a folder, with the target's own interpreter.
    /// Returns the wheel's path.
    pub async fn build(
        &self,
        source: &Path,
        target: Target,
        into: &Path,
    ) -> Result<PathBuf, Error> {
        let file = file_name(source);
        let python = self.python_of(target, &file).await?;
        let wheel = self.build_with(&python, source, into).await?;
        let built = wheel.clone();
        blocking(move || foreign::check_file(&file, &built, target)).await?;
        Ok(wheel)
    }

    /// The interpreter of a target's Python, to build a source distribution with.
    pub(crate) async fn python_of(&self, target: Target, file: &str) -> Result<PathBuf, Error> {
        let matching = self.matching_python(target).await;
        matching.ok_or_else(|| Error::InterpreterMissing {
            file: file.to_owned(),
            python: target.runtime.identifier().to_owned(),
        })
    }

    /// Builds a source distribution with an interpreter into a folder, as it comes out on this
    /// machine: whether that will do is for [`foreign`] to say. Returns the wheel's path.
    pub(crate) async fn build_with(
        &self,
        python: &Path,
        source: &Path,
        into: &Path,
    ) -> Result<PathBuf, Error> {
        let file = file_name(source);
        let mut command = self.command(&["build", "--wheel"], python, &self.indexes)?;
        command
            .arg("--out-dir")
            .arg(into)
            .arg(source)
            // Backends that know it give the same wheel again.
            .env("SOURCE_DATE_EPOCH", FIRST_MOMENT)
            // Asking git for a version writes nothing into a repository.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .envs(self.settings.path.iter().map(|path| ("PATH", path)))
            .current_dir(source.parent().unwrap_or(into));
        let routes = self.routes(Arc::clone(&self.indexes)).await?;
        let Ran { output, proxy } = match self.run(&mut command, routes).await {
            Err(Error::ResolutionOverLimit { problem }) => {
                return Err(Error::SourceBuildOverLimit { file, problem });
            }
            ran => ran?,
        };
        if !output.status.success() {
            let said = said(&output.stderr, proxy.as_ref().and_then(EgressProxy::routes));
            let error = unreachable(&said)
                .or_else(|| misused(&said))
                .unwrap_or_else(|| failed(file, build_failure(&said).1, &said));
            return Err(self.blame(error).await);
        }
        let wheels = fs::read_dir(into)
            .map_err(Error::temporary("could not read", into))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension() == Some(OsStr::new("whl")));
        match wheels.collect::<Vec<_>>().as_slice() {
            [wheel] => Ok(wheel.clone()),
            wheels => Err(Error::SourceBuildFailed {
                file,
                output: format!("it gave {} wheels instead of one", wheels.len()),
            }),
        }
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
