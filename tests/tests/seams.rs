//! The two seams: a tiny ecosystem and a tiny output go through the use cases of the pipeline, which
//! know neither.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accretion_archive::WriteError;
use accretion_core::diagnostic::{Checked, Problem, code};
use accretion_core::digest::{Component, Digest, Sha256, Written};
use accretion_core::json::{Fields, Reader};
use accretion_core::language::Language;
use accretion_core::layer::Shape;
use accretion_core::manifest::Installed;
use accretion_core::notification::Event;
use accretion_core::request::{
    Contents, FileKind, FileSourceDocument, IdentityAttributes, Input, ProjectName, Request,
};
use accretion_core::target::{Runtime, Target};
use accretion_layer::{Data, Files, LayerZip, Output, Packer, SizeLimit};
use accretion_local::output::OutputFolder;
use accretion_service::Error;
use accretion_service::build::{self, Build, Built};
use accretion_service::dispatch::{self, Dispatch, Message, Outcome};
use accretion_service::ecosystem::{Ecosystem, Locating, Package, Packages, Requirement, Resolved};
use accretion_service::extra;
use accretion_service::ports::{PortError, StoredPackage};
use accretion_service::publish::{self, Publish};
use accretion_tree::{Installation, Layout, LayoutFile};
use integration_tests::memory::ports::{Invocation, Shared, lock};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The ecosystem of words: a request names some, and each is a package of a file or two.
struct Words;

/// The words of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WordList(Vec<String>);

impl Input for WordList {
    const LANGUAGE: Language = Language::Python;
    const FIELDS: &'static [&'static str] = &["Words"];

    type Document = Value;

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

    fn document(request: &Request<Self>) -> Value {
        let files = request.contents.files.iter().map(FileSourceDocument::from);
        json!({
            "Name": request.name.to_string(),
            "Language": "python",
            "Words": request.input.0.join(" "),
            "Runtimes": request.targets.runtimes().collect::<Vec<_>>(),
            "Architectures": request.targets.architectures().collect::<Vec<_>>(),
            "Merge": request.merge,
            "Files": files.collect::<Vec<_>>(),
        })
    }

    fn runtimes(&self) -> Vec<Runtime> {
        vec![Runtime::Python313, Runtime::Python314]
    }

    fn file_kind(filename: &str) -> FileKind {
        match filename.strip_suffix(".word") {
            Some(word) => FileKind::Package(word.to_owned()),
            None => FileKind::Other,
        }
    }
}

impl Ecosystem for Words {
    type Input = WordList;

    fn is_request(name: &str, _bytes: &[u8]) -> bool {
        name == "request.json"
    }

    fn read(_project: Option<ProjectName>, name: &str, bytes: &[u8]) -> Checked<Request<WordList>> {
        Request::from_json(name, bytes)
    }

    fn problems(request: &Request<WordList>) -> Vec<Problem> {
        let unspeakable = request.input.0.iter().filter(|word| word.contains('!'));
        unspeakable
            .map(|word| Problem::error(code::FILES_INVALID, format!("`{word}` is no word")))
            .collect()
    }

    fn check_package(
        _request: &Request<WordList>,
        filename: &str,
        archive: &[u8],
    ) -> Result<(), Problem> {
        if archive.is_empty() {
            let message = format!("`{filename}` is empty");
            return Err(Problem::error(code::FILES_INVALID, message));
        }
        Ok(())
    }
}

/// Words lie in a folder, each with a list of its files.
#[derive(Debug)]
struct Dictionary;

impl Installation for Dictionary {
    fn root(&self) -> &'static str {
        "words/"
    }

    fn runtime_folder(&self, runtime: Runtime) -> String {
        format!("for/{runtime}/")
    }

    fn package_marker(&self) -> Option<&'static str> {
        None
    }

    fn is_metadata(&self, path: &str) -> bool {
        path.strip_suffix(".list").is_some()
    }

    fn file_list(&self, _layout: &Layout, files: &[&LayoutFile]) -> Vec<u8> {
        let paths = files.iter().map(|file| format!("{}\n", file.path));
        paths.collect::<String>().into_bytes()
    }

    fn prunable(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A word that was chosen for a runtime. Words that begin with a capital differ by runtime.
#[derive(Debug)]
struct Word {
    name: String,
    version: String,
    content: String,
}

impl Word {
    fn new(word: &str, runtime: Runtime) -> Self {
        let is_capital = word.starts_with(char::is_uppercase);
        let suffix = if is_capital { runtime.identifier() } else { "" };
        Self {
            name: word.to_lowercase(),
            version: "1".to_owned(),
            content: format!("{word} {suffix}"),
        }
    }
}

impl Package for Word {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn yanked(&self) -> Option<&str> {
        None
    }

    fn component(&self) -> Component<'_> {
        Component {
            name: &self.name,
            sha256: Sha256::of(self.content.as_bytes()),
            source: false,
        }
    }

    fn installed(&self, stored: &dyn StoredPackage) -> Installed {
        Installed {
            name: self.name.clone(),
            version: "1".to_owned(),
            wheel: stored.filename().to_owned(),
            sha256: None,
            built_from: None,
            size: Some(stored.layout().compressed_size()),
            unzipped_size: Some(stored.layout().size()),
            yanked: None,
            runtimes: Vec::new(),
        }
    }
}

#[derive(Debug)]
struct StoredWord {
    filename: String,
    layout: Layout,
    path: PathBuf,
}

impl StoredPackage for StoredWord {
    fn filename(&self) -> &str {
        &self.filename
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn archive(&self) -> &Path {
        &self.path
    }

    fn layout_file(&self) -> &Path {
        &self.path
    }
}

/// The words of one request, which are stored in a folder.
struct ChosenWords<'a> {
    request: &'a Request<WordList>,
    supplied: Vec<String>,
    folder: &'a Path,
}

impl<'a> ChosenWords<'a> {
    fn new(request: &'a Request<WordList>, folder: &'a Path) -> Self {
        Self {
            request,
            supplied: Vec::new(),
            folder,
        }
    }
}

impl Packages for ChosenWords<'_> {
    type Input = WordList;
    type Package = Word;

    fn installation(&self) -> &'static dyn Installation {
        &Dictionary
    }

    async fn supply(&mut self, _: &str, _: Sha256, archive: Vec<u8>) -> Result<(), Error> {
        self.supplied.push(String::from_utf8(archive).unwrap());
        Ok(())
    }

    async fn resolve(&self, target: Target, _: Locating) -> Result<Resolved<Word>, Error> {
        let words = self.request.input.0.iter().chain(&self.supplied);
        let mut packages: Vec<_> = words.map(|word| Word::new(word, target.runtime)).collect();
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Resolved {
            packages,
            excluded: Vec::new(),
            warnings: Vec::new(),
        })
    }

    async fn fetch(
        &self,
        packages: &[Word],
        target: Target,
    ) -> Result<Vec<Arc<dyn StoredPackage>>, PortError> {
        let stored = packages.iter().map(|package| {
            let Word {
                name: word,
                content,
                ..
            } = package;
            let mut packer = Packer::new(Vec::new());
            let file = format!("{word}.txt");
            let list = format!("{word}.list");
            // All words claim the index.
            let listed = format!("{file}\nindex\n");
            for (path, content) in [("index", word), (&list, &listed), (&file, content)] {
                packer
                    .add(path.to_owned(), false, content.as_bytes())
                    .unwrap();
            }
            let (mut files, data) = packer.finish();
            files.sort_by(|one, other| one.path.cmp(&other.path));
            let path = self.folder.join(format!("{word}-{}", target.runtime));
            fs::write(&path, &data).unwrap();
            let layout = Layout {
                name: word.clone(),
                version: "1".to_owned(),
                archive_size: data.len() as u64,
                file_list: list,
                files,
            };
            let filename = format!("{word}.word");
            Arc::new(StoredWord {
                filename,
                layout,
                path,
            }) as _
        });
        Ok(stored.collect())
    }

    fn may_be_out_of_date(&self, _error: &Error) -> bool {
        false
    }

    fn requirements(&self) -> Option<Vec<Requirement>> {
        let words = self.request.input.0.iter().map(|word| Requirement {
            name: word.to_lowercase(),
            specifier: word.clone(),
        });
        Some(words.collect())
    }

    fn providable(&self) -> BTreeSet<&'static str> {
        BTreeSet::new()
    }

    fn nothing_left(&self) -> accretion_layer::Error {
        accretion_layer::Error::LayerEmpty {
            members: Vec::new(),
        }
    }

    fn lock(&self, trees: &[(Target, &[Word])]) -> String {
        let words = trees.iter().flat_map(|(_, words)| *words);
        words.map(|word| [&word.name, "\n"].concat()).collect()
    }
}

/// An output that lists its files with their packed content.
struct Listing;

impl Output for Listing {
    fn digest(&self, layer: Digest) -> Digest {
        layer.of_output("listing")
    }

    fn limit(&self) -> SizeLimit {
        SizeLimit {
            bytes: 100,
            of: "anybody reads",
            instead: "a book may be longer",
        }
    }

    fn write(&self, mut files: Files<'_>, out: &mut dyn Write) -> Result<Written, WriteError> {
        let mut text = Vec::new();
        while let Some((header, data)) = files.read()? {
            let mut packed = vec![0; usize::try_from(header.compressed_size).unwrap()];
            match data {
                Data::Bytes(bytes) => packed.copy_from_slice(bytes),
                Data::At(archive, offset) => archive
                    .read_exact_at(&mut packed, offset)
                    .map_err(WriteError::Write)?,
            }
            let packed = String::from_utf8_lossy(&packed).replace('\n', "|");
            let (name, size) = (header.name, header.size);
            writeln!(text, "{name} {size} {packed}").map_err(WriteError::Write)?;
        }
        out.write_all(&text).map_err(WriteError::Write)?;
        Ok(Written {
            sha256: Sha256::of(&text),
            size: text.len() as u64,
        })
    }
}

fn request(words: &str, merge: bool) -> Request<WordList> {
    let text = json!({"Name": "tools", "Language": "python", "Words": words,
        "Merge": merge, "Architectures": ["arm64"]});
    let read = Words::read(None, "request.json", text.to_string().as_bytes());
    read.unwrap().0
}

/// Builds the first layer of a request, and reads its artifact.
async fn build(
    request: &Request<WordList>,
    output: &'static dyn Output,
    folder: &TempDir,
) -> Result<(Built, Vec<u8>), Error> {
    let shared = Arc::new(Mutex::new(free()));
    let invocation = Invocation::new(shared, 1, 0);
    let layers = OutputFolder::new(folder.path().join("layers"));
    let packages = ChosenWords::new(request, folder.path());
    let ports = build::Ports {
        artifacts: &layers,
        clock: &invocation,
        progress: &invocation,
    };
    let first = &request.layers()[0];
    let built = Build::new(request, packages, output, ports)
        .layer(first)
        .await?;
    let bytes = fs::read(layers.zip(&built.layer)).unwrap();
    assert_eq!(built.manifest.artifact_sha256, Sha256::of(&bytes));
    Ok((built, bytes))
}

/// A cloud in which every call takes effect at once.
fn free() -> Shared {
    let mut shared = Shared::new("2026-11-20T10:00:00Z".parse().unwrap());
    shared.is_free = true;
    shared
}

fn unzipped(zip: &[u8]) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        files.insert(file.name().unwrap().into_owned(), content);
    }
    files
}

#[tokio::test]
async fn a_layer_of_another_ecosystem_has_its_folders_and_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (built, zip) = build(&request("b a", true), &LayerZip, &folder)
        .await
        .unwrap();
    let files = unzipped(&zip);
    let expected = [
        ("words/a.list", "a.txt\n"),
        ("words/a.txt", "a "),
        ("words/b.list", "b.txt\nindex\n"),
        ("words/b.txt", "b "),
        ("words/index", "b"),
    ];
    let expected = expected.map(|(path, content)| (path.to_owned(), content.to_owned()));
    assert_eq!(files, BTreeMap::from(expected));
    assert_eq!(built.manifest.shape, Some(Shape::Shared));
    assert_eq!(
        built.warnings,
        ["`index` comes from b.word, not from a.word"]
    );
    assert_eq!(built.manifest.requirements, ["b", "a"]);
    assert_eq!(built.manifest.publish.description, "a==1, b==1");

    let (built, zip) = build(&request("A b", true), &LayerZip, &folder)
        .await
        .unwrap();
    assert_eq!(built.manifest.shape, Some(Shape::PerRuntime));
    let files = unzipped(&zip);
    for runtime in ["python3.13", "python3.14"] {
        let content = &files[&format!("words/for/{runtime}/a.txt")];
        assert_eq!(*content, format!("A {runtime}"));
    }
}

#[tokio::test]
async fn another_output_is_written_of_the_same_files_within_its_own_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (built, text) = build(&request("a", false), &Listing, &folder)
        .await
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let expected = "words/a.list 12 a.txt|index|\nwords/a.txt 2 a \nwords/index 1 a\n";
    assert_eq!(text, expected);
    assert_eq!(built.manifest.unzipped_size, 15);

    let long = "a".repeat(40);
    let refused = build(&request(&long, false), &Listing, &folder).await;
    let error = refused.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("than the 0.1 MiB that anybody reads"),
        "{error}"
    );
    assert!(
        build(&request(&long, false), &LayerZip, &folder)
            .await
            .is_ok()
    );
}

/// Dispatches a message.
async fn dispatched(it: &Invocation, body: &str) -> Vec<Outcome> {
    let dispatch = Dispatch::<Words>::new(dispatch::Ports {
        inbox: it,
        requests: it,
        manifests: it,
        tracking: it,
        builds: it,
        topic: it,
    });
    let message = Message {
        id: format!("message {}", body.len()),
        sent_at: it.shared().now,
        attributes: IdentityAttributes::default(),
        body: body.to_owned(),
    };
    dispatch.message(&message).await.unwrap()
}

#[tokio::test]
async fn a_request_of_another_ecosystem_goes_through_the_pipeline() {
    let shared = Arc::new(Mutex::new(free()));
    let it = &Invocation::new(Arc::clone(&shared), 1, 0);
    let refused = json!({"Name": "tools", "Language": "python", "Words": "no!"});
    let outcomes = dispatched(it, &refused.to_string()).await;
    assert!(matches!(outcomes[..], [Outcome::Rejected(_)]));

    let archive = ("files/c.word".to_owned(), "v1".to_owned());
    lock(&shared).cloud.inbox.insert(archive, b"c".to_vec());
    let body = json!({"Name": "tools", "Language": "python", "Words": "a b",
        "Files": [{"Key": "files/c.word"}]});
    let outcomes = dispatched(it, &body.to_string()).await;
    assert!(matches!(outcomes[..], [Outcome::Accepted(_)]));

    let folder = tempfile::tempdir().unwrap();
    let orders: Vec<_> = lock(&shared).cloud.started.clone();
    assert_eq!(orders.len(), 4, "two runtimes on two architectures");
    for order in &orders {
        let stored = lock(&shared).cloud.stored[&order.request.id].clone();
        let read = Words::read(None, "request.json", stored.as_bytes());
        let (request, _) = read.unwrap();
        let build = async |output: &'static dyn Output| {
            let mut packages = ChosenWords::new(&request, folder.path());
            let packed = extra::supply(&request, it, &mut packages).await.unwrap();
            assert!(packed.is_none());
            let ports = build::Ports {
                artifacts: it,
                clock: it,
                progress: it,
            };
            let build = Build::new(&request, packages, output, ports);
            let build = build.with_origin(order.request.clone());
            build.layer(&order.target).await.unwrap()
        };
        let zip = build(&LayerZip).await;
        let listing = build(&Listing).await;
        assert!(listing.changed && zip.changed, "one is taken for the other");
        assert_ne!(
            listing.manifest.artifact_sha256,
            zip.manifest.artifact_sha256
        );
        assert!(!build(&Listing).await.changed);
        let again = build(&LayerZip).await;
        assert!(!again.changed);
        let names = again.manifest.installed.iter().map(|it| it.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b", "c"]);
    }
    let keys = lock(&shared).cloud.written.clone();
    for key in &keys {
        let deadline = it.shared().now.after(Duration::from_mins(1));
        let ports = publish::Ports {
            manifests: it,
            layers: it,
            versions: it,
            latest_versions: it,
            tracking: it,
            topic: it,
            timer: it,
        };
        let publish = Publish::new(ports, "an invocation".to_owned(), deadline);
        publish.manifest(key).await.unwrap();
    }
    let sent = lock(&shared).cloud.sent.clone();
    let published = sent.iter().filter(|it| it.event == Event::LayerPublished);
    assert_eq!(published.count(), 4);
}
