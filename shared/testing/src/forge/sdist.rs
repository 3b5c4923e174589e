//! Source distributions (PEP 625 names, PEP 517 builds).

use std::path::Path;

use flate2::{Compression, GzBuilder};

use super::wheel::escape;
use super::{Wheel, sha256_hex};

/// A source distribution in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdist {
    /// The file's name, with its `.tar.gz`.
    pub filename: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The SHA-256 of the file, in lowercase hexadecimal digits.
    pub sha256: String,
}

/// Makes one source distribution, which can be built with nothing but Python: its build backend
/// lies within, so that a build that should not happen does succeed, and is noticed.
#[derive(Debug, Clone)]
pub struct SdistForge {
    name: String,
    version: String,
    pkg_info_version: &'static str,
    requires: Vec<String>,
    canary: Option<String>,
    wheel: Option<Wheel>,
    backend: Option<String>,
    legacy_setup_py: Option<String>,
    files: Vec<(String, Vec<u8>)>,
}

impl SdistForge {
    /// A source distribution whose metadata are only known by running it.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            pkg_info_version: "1.2",
            requires: Vec::new(),
            canary: None,
            wheel: None,
            backend: None,
            legacy_setup_py: None,
            files: Vec::new(),
        }
    }

    /// Lets every hook of the build append a line with its name to this file.
    #[must_use]
    pub fn canary(mut self, file: &Path) -> Self {
        self.canary = Some(file.display().to_string());
        self
    }

    /// Lets the build give out this wheel. Without one, the build fails.
    #[must_use]
    pub fn builds(mut self, wheel: &Wheel) -> Self {
        self.wheel = Some(wheel.clone());
        self
    }

    /// Has this text for a build backend: a module with the hooks of PEP 517.
    #[must_use]
    pub fn backend(mut self, text: &str) -> Self {
        self.backend = Some(text.to_owned());
        self
    }

    /// Has a `setup.py` and no `pyproject.toml`: the build wants setuptools from the index.
    #[must_use]
    pub fn setup_py(mut self, text: &str) -> Self {
        self.legacy_setup_py = Some(text.to_owned());
        self
    }

    /// Adds a requirement to PKG-INFO.
    #[must_use]
    pub fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    /// Declares that PKG-INFO tells all (metadata 2.2 without `Dynamic`): a resolver need not
    /// build to know the requirements.
    #[must_use]
    pub fn static_metadata(mut self) -> Self {
        self.pkg_info_version = "2.2";
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let file = (path.to_owned(), content.as_ref().to_vec());
        self.files.push(file);
        self
    }

    /// Forges the source distribution.
    ///
    /// # Panics
    ///
    /// If a path is too long for a tar archive.
    pub fn build(&self) -> Sdist {
        let stem = format!("{}-{}", escape(&self.name), self.version);
        let gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::new(6));
        let mut archive = tar::Builder::new(gzip);
        for (path, content) in self.all_files() {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(content.len() as u64);
            archive
                .append_data(&mut header, format!("{stem}/{path}"), content.as_slice())
                .expect("the path fits a tar archive, and memory takes it");
        }
        let bytes = archive
            .into_inner()
            .and_then(flate2::write::GzEncoder::finish)
            .expect("memory takes it");
        Sdist {
            filename: format!("{stem}.tar.gz"),
            sha256: sha256_hex(&bytes),
            bytes,
        }
    }

    fn all_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut pkg_info = format!(
            "Metadata-Version: {}\nName: {}\nVersion: {}\n",
            self.pkg_info_version, self.name, self.version
        );
        for requirement in &self.requires {
            pkg_info.extend(["Requires-Dist: ", requirement, "\n"]);
        }
        let mut files = vec![("PKG-INFO".to_owned(), pkg_info.into_bytes())];
        let mut add = |path: &str, text: &[u8]| files.push((path.to_owned(), text.to_vec()));
        if let Some(setup_py) = &self.legacy_setup_py {
            add("setup.py", setup_py.as_bytes());
        } else {
            add("pyproject.toml", PYPROJECT.as_bytes());
            let forged = || self.forged_backend();
            let backend = self.backend.clone().unwrap_or_else(forged);
            add("forged_backend.py", backend.as_bytes());
        }
        if let Some(wheel) = &self.wheel {
            add(&format!("forged/{}", wheel.filename), &wheel.bytes);
        }
        files.extend(self.files.iter().cloned());
        files
    }

    fn forged_backend(&self) -> String {
        // A JSON string is a Python string.
        let literal = |text: &str| serde_json::Value::from(text).to_string();
        let canary = self
            .canary
            .as_deref()
            .map_or_else(|| "None".to_owned(), literal);
        let wheel = self
            .wheel
            .as_ref()
            .map_or_else(|| "None".to_owned(), |it| literal(&it.filename));
        format!("CANARY = {canary}\nWHEEL = {wheel}\n{BACKEND}")
    }
}

const PYPROJECT: &str = "\
[build-system]
requires = []
build-backend = \"forged_backend\"
backend-path = [\".\"]
";

const BACKEND: &str = r#"
import os
import shutil


def _seen(hook):
    if CANARY is not None:
        with open(CANARY, "a") as file:
            file.write(hook + "\n")


def get_requires_for_build_wheel(config_settings=None):
    _seen("get_requires_for_build_wheel")
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _seen("build_wheel")
    if WHEEL is None:
        raise RuntimeError("this source distribution does not build")
    shutil.copy(os.path.join("forged", WHEEL), wheel_directory)
    return WHEEL
"#;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Command;

    use super::*;
    use crate::forge::WheelForge;

    fn unpack(sdist: &Sdist, into: &Path) {
        let gzip = flate2::read::GzDecoder::new(sdist.bytes.as_slice());
        tar::Archive::new(gzip).unpack(into).unwrap();
    }

    #[test]
    fn build_leaves_its_mark_and_gives_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let canary = folder.path().join("ran");
        let wheel = WheelForge::new("My.Demo", "1.0").build();
        let forge = SdistForge::new("My.Demo", "1.0")
            .canary(&canary)
            .builds(&wheel);
        let sdist = forge.build();
        assert_eq!(sdist.filename, "my_demo-1.0.tar.gz");
        assert_eq!(sdist, forge.build());

        unpack(&sdist, folder.path());
        let source = folder.path().join("my_demo-1.0");
        let build =
            "import forged_backend as b; b.get_requires_for_build_wheel(); b.build_wheel('.')";
        let status = Command::new("python3")
            .args(["-c", build])
            .current_dir(&source)
            .status()
            .unwrap();
        assert!(status.success());
        let hooks = std::fs::read_to_string(canary).unwrap();
        assert_eq!(hooks, "get_requires_for_build_wheel\nbuild_wheel\n");
        assert_eq!(
            std::fs::read(source.join(wheel.filename)).unwrap(),
            wheel.bytes
        );
    }

    #[test]
    fn files_are_below_one_folder() {
        let sdist = SdistForge::new("demo", "2")
            .setup_py("raise SystemExit")
            .requires("other")
            .static_metadata()
            .file("src/demo.py", "x = 1")
            .build();
        let gzip = flate2::read::GzDecoder::new(sdist.bytes.as_slice());
        let mut found = Vec::new();
        for entry in tar::Archive::new(gzip).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        insta::assert_debug_snapshot!(found, @r#"
        [
            (
                "demo-2/PKG-INFO",
                "Metadata-Version: 2.2\nName: demo\nVersion: 2\nRequires-Dist: other\n",
            ),
            (
                "demo-2/setup.py",
                "raise SystemExit",
            ),
            (
                "demo-2/src/demo.py",
                "x = 1",
            ),
        ]
        "#);
    }
}
