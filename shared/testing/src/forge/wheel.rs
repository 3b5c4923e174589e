//! Wheels, after the binary distribution format (PEP 427 and its successors).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use super::sha256_hex;
use super::zip::{Archive, Content, Entry, Method};

/// A wheel in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// The file's name, with its `.whl`.
    pub filename: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The SHA-256 of the file, in lowercase hexadecimal digits.
    pub sha256: String,
    /// The METADATA an index serves beside the file (PEP 658), if there is one.
    pub metadata: Option<Vec<u8>>,
    /// The Python versions an index says the file is for.
    pub requires_python: Option<String>,
}

impl Wheel {
    /// Any bytes, under the name of a wheel.
    pub fn new(filename: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            filename: filename.into(),
            sha256: sha256_hex(&bytes),
            bytes,
            metadata: None,
            requires_python: None,
        }
    }
}

/// The treatment of a file that the forge would write by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Part {
    /// It is written as it should be.
    #[default]
    Generated,
    /// It is written with CRLF line ends, as every third wheel has its RECORD.
    Crlf,
    /// It is left out.
    Missing,
    /// It has this content instead.
    Content(Vec<u8>),
}

impl Part {
    fn write(&self, generate: impl FnOnce() -> String) -> Option<Vec<u8>> {
        match self {
            Self::Generated => Some(generate().into_bytes()),
            Self::Crlf => Some(generate().replace('\n', "\r\n").into_bytes()),
            Self::Missing => None,
            Self::Content(content) => Some(content.clone()),
        }
    }
}

/// Makes one wheel: correct and pure Python unless told otherwise.
#[derive(Debug, Clone)]
pub struct WheelForge {
    name: String,
    version: String,
    build: Option<String>,
    tag: String,
    filename: Option<String>,
    dist_info: Option<String>,
    purelib: bool,
    wheel_version: String,
    metadata_fields: Vec<(String, String)>,
    requires_python: Option<String>,
    description: String,
    entry_points: Vec<(String, Vec<String>)>,
    method: Option<Method>,
    entries: Vec<Entry>,
    dist_info_files: Vec<(String, Vec<u8>)>,
    metadata: Part,
    wheel: Part,
    record: Part,
}

impl WheelForge {
    /// A wheel without files of its own, tagged `py3-none-any`.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: None,
            tag: "py3-none-any".to_owned(),
            filename: None,
            dist_info: None,
            purelib: true,
            wheel_version: "1.0".to_owned(),
            metadata_fields: Vec::new(),
            requires_python: None,
            description: String::new(),
            entry_points: Vec::new(),
            method: None,
            entries: Vec::new(),
            dist_info_files: Vec::new(),
            metadata: Part::Generated,
            wheel: Part::Generated,
            record: Part::Generated,
        }
    }

    /// Sets the tag, compressed tag sets included: `cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64`.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Sets the build tag, which starts with a digit.
    #[must_use]
    pub fn build_tag(mut self, build: &str) -> Self {
        self.build = Some(build.to_owned());
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Content>) -> Self {
        self.entry(Entry::file(path, content))
    }

    /// Adds a file with mode 0755.
    #[must_use]
    pub fn executable(self, path: &str, content: impl Into<Content>) -> Self {
        self.entry(Entry::file(path, content).mode(0o100_755))
    }

    /// Adds a file below `*.data/<kind>/`.
    #[must_use]
    pub fn data(self, kind: &str, path: &str, content: impl Into<Content>) -> Self {
        let path = format!(
            "{}-{}.data/{kind}/{path}",
            self.escaped_name(),
            self.version
        );
        self.file(&path, content)
    }

    /// Adds an entry with all its oddities; RECORD lists it under its name. A hash of a bomb in
    /// RECORD takes its time: leave RECORD out or give its content.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds a file to the dist-info folder, such as `licenses/LICENSE` or `RECORD.jws`.
    #[must_use]
    pub fn dist_info_file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let file = (path.to_owned(), content.as_ref().to_vec());
        self.dist_info_files.push(file);
        self
    }

    /// Adds a requirement (`Requires-Dist`).
    #[must_use]
    pub fn requires(self, requirement: &str) -> Self {
        self.metadata_field("Requires-Dist", requirement)
    }

    /// Adds an extra with one requirement.
    #[must_use]
    pub fn extra(self, extra: &str, requirement: &str) -> Self {
        self.metadata_field("Provides-Extra", extra)
            .requires(&format!("{requirement} ; extra == '{extra}'"))
    }

    /// Sets the Python versions the wheel is for (`Requires-Python`).
    #[must_use]
    pub fn requires_python(mut self, specifiers: &str) -> Self {
        self.requires_python = Some(specifiers.to_owned());
        self
    }

    /// Adds a field to METADATA.
    #[must_use]
    pub fn metadata_field(mut self, field: &str, value: &str) -> Self {
        let field = (field.to_owned(), value.to_owned());
        self.metadata_fields.push(field);
        self
    }

    /// Sets the body of METADATA.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.description);
        self
    }

    /// Adds an entry point, such as `("console_scripts", "demo", "demo_pkg:main")`.
    #[must_use]
    pub fn entry_point(mut self, group: &str, name: &str, object: &str) -> Self {
        let line = format!("{name} = {object}");
        match self
            .entry_points
            .iter_mut()
            .find(|(known, _)| known == group)
        {
            Some((_, lines)) => lines.push(line),
            None => self.entry_points.push((group.to_owned(), vec![line])),
        }
        self
    }

    /// Sets `Root-Is-Purelib`.
    #[must_use]
    pub fn purelib(mut self, purelib: bool) -> Self {
        self.purelib = purelib;
        self
    }

    /// Sets `Wheel-Version`, by default 1.0.
    #[must_use]
    pub fn wheel_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.wheel_version);
        self
    }

    /// Sets the method of every entry, of the added ones too.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Says what becomes of METADATA.
    #[must_use]
    pub fn metadata(mut self, part: Part) -> Self {
        self.metadata = part;
        self
    }

    /// Says what becomes of WHEEL.
    #[must_use]
    pub fn wheel(mut self, part: Part) -> Self {
        self.wheel = part;
        self
    }

    /// Says what becomes of RECORD.
    #[must_use]
    pub fn record(mut self, part: Part) -> Self {
        self.record = part;
        self
    }

    /// Sets the file's name, whatever it should be.
    #[must_use]
    pub fn filename(mut self, filename: &str) -> Self {
        self.filename = Some(filename.to_owned());
        self
    }

    /// Sets the name of the dist-info folder, whatever it should be.
    #[must_use]
    pub fn dist_info(mut self, folder: &str) -> Self {
        self.dist_info = Some(folder.to_owned());
        self
    }

    /// The file's name.
    pub fn file_name(&self) -> String {
        self.filename.clone().unwrap_or_else(|| {
            let build = self
                .build
                .as_ref()
                .map_or_else(String::new, |build| format!("-{build}"));
            format!(
                "{}-{}{build}-{}.whl",
                self.escaped_name(),
                self.version,
                self.tag
            )
        })
    }

    /// The dist-info folder's name.
    pub fn dist_info_name(&self) -> String {
        let default = || format!("{}-{}.dist-info", self.escaped_name(), self.version);
        self.dist_info.clone().unwrap_or_else(default)
    }

    /// The METADATA that the forge generates.
    pub fn metadata_text(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n",
            self.name, self.version
        );
        if let Some(specifiers) = &self.requires_python {
            text.extend(["Requires-Python: ", specifiers, "\n"]);
        }
        for (field, value) in &self.metadata_fields {
            text.extend([field, ": ", value, "\n"]);
        }
        if !self.description.is_empty() {
            text.extend(["\n", &self.description]);
        }
        text
    }

    /// The WHEEL that the forge generates.
    pub fn wheel_text(&self) -> String {
        let mut text = format!(
            "Wheel-Version: {}\nGenerator: accretion-testing\nRoot-Is-Purelib: {}\n",
            self.wheel_version, self.purelib
        );
        for tag in expand(&self.tag) {
            text.extend(["Tag: ", &tag, "\n"]);
        }
        if let Some(build) = &self.build {
            text.extend(["Build: ", build, "\n"]);
        }
        text
    }

    /// The RECORD that the forge generates.
    pub fn record_text(&self) -> String {
        self.record_of(&self.entries_without_record())
    }

    /// The archive, for changes that the forge has no word for.
    pub fn archive(&self) -> Archive {
        let mut entries = self.entries_without_record();
        if let Some(record) = self.record.write(|| self.record_of(&entries)) {
            entries.push(self.dist_info_entry("RECORD", record));
        }
        entries.into_iter().fold(Archive::new(), Archive::entry)
    }

    /// Forges the wheel.
    pub fn build(&self) -> Wheel {
        self.build_with(|archive| archive)
    }

    /// Forges the wheel with a change of the archive that RECORD knows nothing of.
    pub fn build_with(&self, change: impl FnOnce(Archive) -> Archive) -> Wheel {
        Wheel {
            metadata: self.metadata.write(|| self.metadata_text()),
            requires_python: self.requires_python.clone(),
            ..Wheel::new(self.file_name(), change(self.archive()).build())
        }
    }

    fn entries_without_record(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        if let Some(method) = &self.method {
            entries = entries
                .into_iter()
                .map(|entry| entry.method(method.clone()))
                .collect();
        }
        let mut add = |name: &str, content: Option<Vec<u8>>| {
            entries.extend(content.map(|content| self.dist_info_entry(name, content)));
        };
        add("METADATA", self.metadata.write(|| self.metadata_text()));
        add("WHEEL", self.wheel.write(|| self.wheel_text()));
        if !self.entry_points.is_empty() {
            let section = |(group, lines): &(String, Vec<String>)| {
                format!("[{group}]\n{}\n", lines.join("\n"))
            };
            let sections: Vec<_> = self.entry_points.iter().map(section).collect();
            add("entry_points.txt", Some(sections.join("\n").into_bytes()));
        }
        for (name, content) in &self.dist_info_files {
            add(name, Some(content.clone()));
        }
        entries
    }

    fn dist_info_entry(&self, name: &str, content: Vec<u8>) -> Entry {
        Entry::file(format!("{}/{name}", self.dist_info_name()), content)
            .method(self.method.clone().unwrap_or_default())
    }

    fn record_of(&self, entries: &[Entry]) -> String {
        let record = format!("{}/RECORD", self.dist_info_name());
        let unhashed = |name: &str| {
            let signature = name.strip_prefix(&record);
            signature.is_some_and(|end| [".jws", ".p7s"].contains(&end))
        };
        let mut text = String::new();
        for entry in entries.iter().filter(|entry| !entry.is_directory()) {
            let name = String::from_utf8_lossy(entry.name_bytes());
            if unhashed(&name) {
                text.extend([&csv_field(&name), ",,\n"]);
                continue;
            }
            let mut hasher = sha2::Sha256::new();
            entry.content().for_each_piece(|piece| hasher.update(piece));
            let hash = URL_SAFE_NO_PAD.encode(hasher.finalize());
            let size = entry.content().len();
            let _ = writeln!(text, "{},sha256={hash},{size}", csv_field(&name));
        }
        text + &format!("{},,\n", csv_field(&record))
    }

    fn escaped_name(&self) -> String {
        escape(&self.name)
    }
}

/// A project's name as filenames have it: lowercase, runs of `-_.` as one underscore.
pub(crate) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if escaped.ends_with('_') => {}
            '-' | '_' | '.' => escaped.push('_'),
            letter => escaped.extend(letter.to_lowercase()),
        }
    }
    escaped
}

/// A compressed tag set as single tags: `py2.py3-none-any` stands for two.
fn expand(tag: &str) -> Vec<String> {
    let sets: Vec<&str> = tag.split('-').collect();
    let [pythons, abis, platforms] = sets.as_slice() else {
        return vec![tag.to_owned()];
    };
    let mut tags = Vec::new();
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            tags.extend(
                platforms
                    .split('.')
                    .map(|platform| format!("{python}-{abi}-{platform}")),
            );
        }
    }
    tags
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use insta::assert_snapshot;

    use super::*;

    fn demo() -> WheelForge {
        WheelForge::new("Demo.Pkg", "1.0")
            .file("demo_pkg/__init__.py", b"def main(): ...\n")
            .executable("demo_pkg/a,b.sh", "#!/bin/sh\n")
            .data("scripts", "tool", "#!python\n")
            .entry(Entry::directory("demo_pkg/empty/"))
            .requires("requests>=2")
            .extra("fast", "speedups==1")
            .requires_python(">=3.9")
            .entry_point("console_scripts", "demo", "demo_pkg:main")
            .entry_point("gui_scripts", "demo-gui", "demo_pkg:main")
            .entry_point("console_scripts", "demo2", "demo_pkg:main")
            .dist_info_file("RECORD.jws", "{}")
    }

    fn text(wheel: &Wheel, name: &str) -> Option<String> {
        let mut archive = zip::ZipArchive::new(Cursor::new(&wheel.bytes)).unwrap();
        let mut text = String::new();
        archive
            .by_name(name)
            .ok()?
            .read_to_string(&mut text)
            .unwrap();
        Some(text)
    }

    #[test]
    fn wheel_is_described_in_full() {
        let wheel = demo().build();
        assert_eq!(wheel.filename, "demo_pkg-1.0-py3-none-any.whl");
        assert_eq!(wheel.sha256, sha256_hex(&wheel.bytes));
        assert_eq!(wheel, demo().build());
        assert_snapshot!(text(&wheel, "demo_pkg-1.0.dist-info/METADATA").unwrap(), @r"
        Metadata-Version: 2.1
        Name: Demo.Pkg
        Version: 1.0
        Requires-Python: >=3.9
        Requires-Dist: requests>=2
        Provides-Extra: fast
        Requires-Dist: speedups==1 ; extra == 'fast'
        ");
        assert_snapshot!(text(&wheel, "demo_pkg-1.0.dist-info/WHEEL").unwrap(), @r"
        Wheel-Version: 1.0
        Generator: accretion-testing
        Root-Is-Purelib: true
        Tag: py3-none-any
        ");
        assert_snapshot!(text(&wheel, "demo_pkg-1.0.dist-info/entry_points.txt").unwrap(), @r"
        [console_scripts]
        demo = demo_pkg:main
        demo2 = demo_pkg:main

        [gui_scripts]
        demo-gui = demo_pkg:main
        ");
        assert_snapshot!(text(&wheel, "demo_pkg-1.0.dist-info/RECORD").unwrap(), @r#"
        demo_pkg/__init__.py,sha256=GDgtV2mvt98UfkC_pPNIzYezG5Bz-WrlfH_PiDrh664,16
        "demo_pkg/a,b.sh",sha256=qAdtPSjSHgIBKyDq99v3VAmmJ3E0Q5Al8oLjaOMwWr8,10
        demo_pkg-1.0.data/scripts/tool,sha256=NKJyCC0fONcaYytG9mysca37TZf8wBDISvRNAW-78pQ,9
        demo_pkg-1.0.dist-info/METADATA,sha256=_s9aLMsDGjwuFPIRE8ASmrVgYXSlh3vWFmc25JjCCPg,166
        demo_pkg-1.0.dist-info/WHEEL,sha256=7SGdNtn3J7jDvolrZ1--snVci47z79attJ1J3jBxT6k,88
        demo_pkg-1.0.dist-info/entry_points.txt,sha256=q0d0iNHkBi00yNWbMUxiIqb665H2TpwEhtLDh0c0Dgk,101
        demo_pkg-1.0.dist-info/RECORD.jws,,
        demo_pkg-1.0.dist-info/RECORD,,
        "#);
    }

    #[test]
    fn parts_are_replaced() {
        let record = "demo_pkg-1.0.dist-info/RECORD";
        let crlf = text(&demo().record(Part::Crlf).build(), record).unwrap();
        assert_eq!(crlf.replace("\r\n", "\n"), demo().record_text());
        assert_eq!(
            crlf.matches("\r\n").count(),
            demo().record_text().lines().count()
        );
        assert_eq!(text(&demo().record(Part::Missing).build(), record), None);
        let other = demo().record(Part::Content(b"other".to_vec())).build();
        assert_eq!(text(&other, record).as_deref(), Some("other"));

        let bare = demo().metadata(Part::Missing).wheel(Part::Missing).build();
        assert_eq!(text(&bare, "demo_pkg-1.0.dist-info/METADATA"), None);
        assert_eq!(text(&bare, "demo_pkg-1.0.dist-info/WHEEL"), None);
        assert!(!text(&bare, record).unwrap().contains("METADATA"));
    }

    #[test]
    fn names_and_tags_follow_the_format() {
        let forge = WheelForge::new("a-_.B", "2")
            .build_tag("7")
            .tag("cp39.cp310-abi3-x_y.z");
        assert_eq!(forge.file_name(), "a_b-2-7-cp39.cp310-abi3-x_y.z.whl");
        assert_snapshot!(forge.wheel_text(), @r"
        Wheel-Version: 1.0
        Generator: accretion-testing
        Root-Is-Purelib: true
        Tag: cp39-abi3-x_y
        Tag: cp39-abi3-z
        Tag: cp310-abi3-x_y
        Tag: cp310-abi3-z
        Build: 7
        ");
        let odd = forge
            .filename("odd.whl")
            .dist_info("Other-1.dist-info")
            .build();
        assert_eq!(odd.filename, "odd.whl");
        assert!(text(&odd, "Other-1.dist-info/WHEEL").is_some());
    }

    #[test]
    fn method_applies_to_every_entry() {
        let forge = demo().method(Method::Stored);
        let mut archive = zip::ZipArchive::new(Cursor::new(forge.build().bytes)).unwrap();
        for index in 0..archive.len() {
            let file = archive.by_index(index).unwrap();
            assert_eq!(file.compression(), zip::CompressionMethod::Stored);
        }
    }

    #[test]
    fn changes_behind_the_record() {
        let wheel = demo().build_with(|archive| archive.file("unrecorded", "x"));
        assert_eq!(text(&wheel, "unrecorded").as_deref(), Some("x"));
        assert!(
            !text(&wheel, "demo_pkg-1.0.dist-info/RECORD")
                .unwrap()
                .contains("unrecorded")
        );
    }
}
