//! The SAM template to deploy.

use std::fs;
use std::path::{Path, PathBuf};

use accretion_core::target::Architecture;

use super::StackError;
use crate::args::TemplateOption;

/// The folder in which the SAM CLI leaves what it has built.
const BUILT: &str = ".aws-sam";

/// The template of the checkout that the command was compiled from.
const OF_CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sam/template.yaml");

/// A SAM template and the files beside it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    path: PathBuf,
}

impl Template {
    /// Finds the template that an option names, or that of the checkout.
    pub(crate) fn find(option: TemplateOption) -> Result<Self, StackError> {
        let is_named = option.path.is_some();
        let path = option.path.unwrap_or_else(|| PathBuf::from(OF_CHECKOUT));
        match fs::canonicalize(&path) {
            Ok(path) if path.is_file() => Ok(Self { path }),
            _ => Err(StackError::TemplateMissing { path, is_named }),
        }
    }

    /// Its path, free of links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The working folder of the SAM CLI: that of the template, or the one it was built in.
    pub(crate) fn folder(&self) -> &Path {
        let mut folders = self.path.ancestors().skip(1);
        let is_build_folder = |folder: &&Path| folder.file_name().is_some_and(|it| it == BUILT);
        let built_in = folders.clone().find(is_build_folder).and_then(Path::parent);
        built_in
            .or_else(|| folders.next())
            .unwrap_or(Path::new("."))
    }

    /// Returns whether the SAM CLI has built it.
    pub(crate) fn is_built(&self) -> bool {
        self.path.iter().any(|name| name == BUILT)
    }

    /// The build folder for an architecture. `sam build` by hand uses another one.
    pub(crate) fn build_folder(&self, architecture: Architecture) -> PathBuf {
        self.folder()
            .join(BUILT)
            .join("accretion")
            .join(architecture.name())
    }

    /// The names of its parameters; `None` if it is in an unusual form. The SAM CLI ignores names that a
    /// template does not have.
    pub(crate) fn parameters(&self) -> Option<Vec<String>> {
        let text = fs::read_to_string(&self.path).ok()?;
        let names = parameters(&text);
        (!names.is_empty()).then_some(names)
    }

    /// The configuration of the SAM CLI beside it, if it exists.
    pub(crate) fn samconfig(&self) -> Option<PathBuf> {
        let file = self.folder().join("samconfig.toml");
        file.is_file().then_some(file)
    }
}

/// The keys of the section `Parameters`, as people and the SAM CLI write it.
fn parameters(template: &str) -> Vec<String> {
    let lines = template.lines();
    let from_section = lines.skip_while(|line| line.trim_end() != "Parameters:");
    let section = from_section
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    let names = section.filter_map(|line| {
        let (name, _) = line.strip_prefix("  ")?.split_once(':')?;
        let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric());
        is_name.then(|| name.to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_parameters() {
        let template = "Transform: x\nParameters:\n  # One\n  One:\n    Type: String\n\n  \
                        Two: {Type: Number}\nResources:\n  Three:\n    Type: x\n";
        assert_eq!(parameters(template), ["One", "Two"]);
        assert_eq!(parameters("{\"Parameters\": {\"One\": {}}}"), [""; 0]);
        let ours = Template {
            path: OF_CHECKOUT.into(),
        };
        let ours = ours.parameters().unwrap();
        assert!(
            ours.len() > 20 && ours.contains(&"RequireTls".to_owned()),
            "{ours:?}"
        );
    }

    #[test]
    fn what_is_built_belongs_to_the_folder_it_was_built_in() {
        for (path, folder, is_built) in [
            ("/src/sam/template.yaml", "/src/sam", false),
            ("/src/sam/.aws-sam/build/template.yaml", "/src/sam", true),
            (
                "/src/sam/.aws-sam/accretion/arm64/template.yaml",
                "/src/sam",
                true,
            ),
        ] {
            let template = Template { path: path.into() };
            assert_eq!(template.folder(), Path::new(folder), "{path}");
            assert_eq!(template.is_built(), is_built, "{path}");
        }
    }
}
