//! The names of layers.

use serde::Serialize;

use crate::identity::ProjectName;
use crate::target::LayerTarget;
use crate::text::is_name;
use crate::text_types;

text_types! {
    /// The name of a layer in AWS Lambda: `<project>-<target slug>`, at most 140 characters.
    #[derive(Serialize)]
    LayerName, |text| parts(text).is_some(),
        "`{}` is not the name of a layer: a project's and a target's, such as tools-py313-arm64";
    /// The name of any layer in AWS Lambda: 1 to 140 letters, digits, `-` and `_`, all ASCII.
    ///
    /// Source: the API reference of `PublishLayerVersion`.
    #[derive(Serialize)]
    LambdaLayerName, |text| is_name(text, 140),
        "a layer's name has 1 to 140 letters, digits, `-` and `_`";
}

impl LayerName {
    /// The name of a project's layer for a target.
    pub fn new(project: &ProjectName, target: impl Into<LayerTarget>) -> Self {
        Self(format!("{project}-{}", target.into().slug()))
    }

    /// The project and the target that it is made of.
    pub fn parts(&self) -> (ProjectName, LayerTarget) {
        parts(&self.0).expect("it was made of them")
    }
}

/// No target's slug ends another one's after a hyphen, so there is one way to part a name.
fn parts(text: &str) -> Option<(ProjectName, LayerTarget)> {
    LayerTarget::all().find_map(|target| {
        let project = text.strip_suffix(&target.slug())?.strip_suffix('-')?;
        Some((project.parse().ok()?, target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_takes_longer_names_than_projects_have() {
        for text in ["a", "-", "data_Tools-9", &"x".repeat(140)] {
            assert_eq!(text.parse::<LambdaLayerName>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "a:1", "é", &"x".repeat(141)] {
            assert!(text.parse::<LambdaLayerName>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for target in LayerTarget::all() {
            for project in [
                "a",
                "data-tools",
                "tools-py312",
                "x-py313-arm64",
                "tools-py",
                "x-py-arm64",
                "-",
                "_",
            ] {
                let project = project.parse().unwrap();
                let name = LayerName::new(&project, target);
                assert_eq!(name.parts(), (project, target));
                assert_eq!(name.as_str().parse(), Ok(name));
            }
        }
        for text in [
            "",
            "tools",
            "-py313",
            "tools-py27",
            "to ols-py313",
            "tools-py313-",
            "py313",
            "py",
            "-py-arm64",
        ] {
            assert!(text.parse::<LayerName>().is_err(), "{text}");
        }
    }
}
