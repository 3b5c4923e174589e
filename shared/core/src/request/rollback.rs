//! A rollback: a request for what an earlier version of a layer holds.

use serde::{Deserialize, Serialize};

use super::ProjectName;
use crate::diagnostic::{Checked, Problem, Report, code};
use crate::layer::LayerName;

/// A request for what an earlier version of a layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The layer.
    pub layer: LayerName,
    /// The version that holds what is wanted.
    pub version: u64,
}

/// The JSON of a rollback.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    name: String,
    rollback: VersionDocument,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct VersionDocument {
    layer: String,
    version: u64,
}

impl Rollback {
    /// The member of a JSON object that makes it a rollback.
    const MEMBER: &str = "Rollback";

    /// The project that the layer is of.
    pub fn project(&self) -> ProjectName {
        self.layer.parts().0
    }

    /// Reads a rollback; `None` if the bytes are another kind of request.
    ///
    /// `source_name` is what the report calls the text.
    pub fn from_json(source_name: &str, bytes: &[u8]) -> Option<Checked<Self>> {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        value.as_object()?.get(Self::MEMBER)?;
        let text = String::from_utf8_lossy(bytes);
        let mut report = Report::new(source_name, text);
        // Not of the value: a member that is there twice is a mistake.
        let rollback = serde_json::from_slice(bytes)
            .map_err(|error| error.to_string())
            .and_then(Self::of_document)
            .map_err(|problem| report.push(invalid(&problem)))
            .ok();
        Some(report.conclude(rollback))
    }

    fn of_document(document: Document) -> Result<Self, String> {
        let VersionDocument { layer, version } = document.rollback;
        let rollback = Self {
            layer: layer.parse().map_err(|error| format!("{error}"))?,
            version,
        };
        if rollback.project().as_str() != document.name {
            let Self { layer, .. } = rollback;
            return Err(format!(
                "`{layer}` is not a layer of the project that `Name` says"
            ));
        }
        if version == 0 {
            return Err("versions are numbered from 1 on".to_owned());
        }
        Ok(rollback)
    }

    /// The JSON that [`Self::from_json`] reads.
    pub fn to_json(&self) -> String {
        let document = Document {
            name: self.project().to_string(),
            rollback: VersionDocument {
                layer: self.layer.to_string(),
                version: self.version,
            },
        };
        serde_json::to_string(&document).expect("strings and numbers are always JSON")
    }
}

fn invalid(problem: &str) -> Problem {
    let message = format!("this names no version to roll back to: {problem}");
    Problem::error(code::ROLLBACK_INVALID, message).help(
        "a rollback is {\"Name\": PROJECT, \"Rollback\": {\"Layer\": LAYER, \"Version\": NUMBER}}, \
         and nothing else; `accretion rollback` writes it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Result<Rollback, String>> {
        let checked = Rollback::from_json("request.json", text.as_bytes())?;
        let rollback = checked.map(|(rollback, _)| rollback);
        Some(rollback.map_err(|report| {
            assert_eq!(report.problems[0].code, "RollbackInvalid");
            report.problems[0].message.clone()
        }))
    }

    #[test]
    fn a_rollback_is_read_as_it_is_written() {
        for layer in ["tools-py313", "data-tools-py-arm64"] {
            let rollback = Rollback {
                layer: layer.parse().unwrap(),
                version: 3,
            };
            assert_eq!(read(&rollback.to_json()), Some(Ok(rollback)));
        }
    }

    #[test]
    fn what_has_no_rollback_is_another_request() {
        for text in ["", "{", "[]", "\"Rollback\"", r#"{"Name": "tools"}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_rollback_names_one_version_of_a_layer_of_its_project() {
        let of = |name: &str, layer: &str, version: &str| {
            let rollback = format!(r#"{{"Layer": "{layer}", "Version": {version}}}"#);
            format!(r#"{{"Name": {name}, "Rollback": {rollback}}}"#)
        };
        let tools = "tools-py313";
        for (text, problem) in [
            (r#"{"Rollback": {}}"#, "missing field"),
            (r#"{"Name": "tools", "Rollback": 3}"#, "invalid type"),
            (&of(r#""a""#, tools, r#"3, "x": 1"#), "unknown field `x`"),
            (
                &of(r#""tools""#, "tools", "3"),
                "is not the name of a layer",
            ),
            (&of(r#""data""#, tools, "3"), "not a layer of the project"),
            (&of(r#""tools""#, tools, "0"), "from 1 on"),
            (&of(r#""tools""#, tools, "-3"), "invalid value"),
            (
                &of(r#""tools", "Language": "python""#, tools, "3"),
                "unknown field `Language`",
            ),
            (
                &of(r#""data", "Name": "tools""#, tools, "3"),
                "duplicate field `Name`",
            ),
            (
                r#"{"Name": "tools", "Rollback": {"Layer": "tools-py313"}}"#,
                "missing field `Version`",
            ),
        ] {
            let told = read(text).unwrap().unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
    }
}
