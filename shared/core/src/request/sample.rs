//! A tiny ecosystem, for the tests of this crate: its packages are words.

use super::{Contents, FileKind, Input, Request};
use crate::json::{Fields, Reader};
use crate::language::Language;
use crate::target::Runtime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Input for Words {
    const LANGUAGE: Language = Language::Python;
    const FIELDS: &'static [&'static str] = &["Words"];

    type Document = Vec<String>;

    fn read(
        reader: &mut Reader<'_>,
        fields: &Fields<'_, '_>,
        _contents: &Contents,
    ) -> Option<Self> {
        let words = reader.required(fields, "Words")?;
        let words = reader.string(words, "`Words`")?;
        Some(Self(
            words.value.split(' ').map(ToOwned::to_owned).collect(),
        ))
    }

    fn document(request: &Request<Self>) -> Vec<String> {
        request.input.0.clone()
    }

    fn runtimes(&self) -> Vec<Runtime> {
        Runtime::supported().collect()
    }

    fn file_kind(filename: &str) -> FileKind {
        match filename.strip_suffix(".word") {
            Some(stem) if stem.contains(' ') => FileKind::MisnamedPackage,
            Some(stem) => FileKind::Package(stem.to_owned()),
            None => FileKind::Other,
        }
    }
}

#[test]
fn a_request_has_the_fields_of_its_ecosystem() {
    let text = br#"{"Name": "tools", "Language": "Python", "Words": "a b"}"#;
    let (request, _) = Request::<Words>::from_json("request.json", text).unwrap();
    assert_eq!(request.input.0, ["a", "b"]);
    let text = br#"{"Name": "tools", "Language": "Python", "Requirements": {}}"#;
    let report = Request::<Words>::from_json("request.json", text).unwrap_err();
    let codes: Vec<_> = report.problems.iter().map(|it| it.code).collect();
    assert_eq!(codes, ["FieldMissing", "FieldUnknown"]);
}
