//! Source distributions on the deployed stack: what has to be built is built by the build sandbox of its
//! target, once, and whatever it tries there, nothing comes of it for anybody else.

mod sources;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accretion_core::target::{Runtime, Target};
use accretion_testing::forge::{Sdist, WheelForge};
use accretion_testing::index::{Distribution, Fault, PackageIndex};
use accretion_testing::interpreters::{python_of, untested};
use pipeline_tests::testbed::{STACK, Testbed, wait_for};
use pipeline_tests::{Error, Filter, Notification, Options, Result, Subscription, Table, sam};
use serde_json::json;

/// The time limit for anything that is bound to happen.
const PATIENCE: Duration = Duration::from_mins(2);

/// The architecture that the emulator runs natively: no other one is at hand.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "x86_64"
};

/// A deployed stack, and what is asked of it.
struct Bench<'a> {
    testbed: &'a Testbed,
    index: PackageIndex,
    said: Subscription,
    folder: PathBuf,
    /// A runtime whose interpreter is at hand.
    runtime: Runtime,
}

impl<'a> Bench<'a> {
    async fn deploy(testbed: &'a Testbed, folder: &Path, runtime: Runtime) -> Result<Self> {
        let index = PackageIndex::start(Vec::<Distribution>::new());
        for name in ["helper", "plain"] {
            let wheel = WheelForge::new(name, "1.0").file(&format!("{name}.py"), "");
            index.add(wheel.build());
        }
        let url = index.url();
        let parameters = [
            ("IndexUrl", url.as_str()),
            ("AllowSourceDistributions", "true"),
            ("MaximumSourceBuildSeconds", "10"),
        ];
        let template = sam::built().await?;
        sam::change_parameters(&testbed.server, STACK, &template, &parameters).await?;
        let said = testbed.stack.subscribe("sandboxes", &Filter::None).await?;
        let folder = folder.to_owned();
        Ok(Self {
            testbed,
            index,
            said,
            folder,
            runtime,
        })
    }

    async fn change(&self, parameter: (&str, &str)) -> Result<()> {
        let (server, template) = (&self.testbed.server, sam::built().await?);
        sam::change_parameters(server, STACK, &template, &[parameter]).await?;
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        let _ = fs::remove_file(&path);
        path
    }

    /// Has a layer made of requirements, and returns what is told of it.
    async fn ask(
        &self,
        project: &str,
        requirements: &str,
        runtime: Runtime,
        architecture: &str,
    ) -> Result<Notification> {
        let request = json!({
            "Name": project,
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": requirements},
            "Runtimes": [runtime.identifier()],
            "Architectures": [architecture],
            "AllowSourceDistributions": true,
        });
        let stack = &self.testbed.stack;
        let key = format!("{project}.json");
        stack.drop_into_inbox(&key, request.to_string()).await?;
        let mut told = self.said.wait_for(1, PATIENCE).await?;
        Ok(told.remove(0))
    }

    /// The same where it has to succeed. Returns a file of the layer.
    async fn layer(&self, project: &str, requirements: &str, file: &str) -> Result<String> {
        let told = self
            .ask(project, requirements, self.runtime, ARCHITECTURE)
            .await?;
        assert_eq!(told.text("Event"), "LayerPublished", "{}", told.body);
        let target = Target {
            runtime: self.runtime,
            architecture: ARCHITECTURE.parse().expect("Lambda has it"),
        };
        let layer = format!("{project}-{}", target.slug());
        let version = self.testbed.stack.layer_version(&layer, 1).await?;
        let mut zip = zip::ZipArchive::new(Cursor::new(version.content)).expect("layers are zips");
        let entry = zip.by_name(&format!("python/{file}"));
        let entry = entry.expect("the layer has the file");
        Ok(std::io::read_to_string(entry).expect("it is a text"))
    }

    /// The same where it has to fail, with a code.
    async fn fails(&self, source: &Sdist, code: &str) -> Result<Notification> {
        self.index.add(source);
        let name = source.filename.split('-').next().unwrap_or_default();
        let told = self
            .ask(&format!("p-{name}"), name, self.runtime, ARCHITECTURE)
            .await?;
        assert_eq!(told.text("Code"), code, "{}", told.body);
        Ok(told)
    }

    /// The wheels that are kept of a source.
    async fn kept(&self, source: &Sdist) -> Result<Vec<String>> {
        let prefix = format!("accretion/wheels/{}/", source.sha256);
        self.testbed.stack.artifact_keys(&prefix).await
    }
}

#[test]
fn what_has_to_be_built_is_built_where_nothing_comes_of_it_for_others() {
    let mut runtimes = Runtime::supported();
    let here = runtimes.find(|runtime| python_of(runtime.identifier()).is_some());
    let Some(runtime) = here else {
        return untested("source distributions are not built on the deployed stack");
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandboxes");
    // What the builder signs, its role has to allow.
    let options = Options {
        enforce_iam: true,
        ..Options::default()
    };
    let testbed = Testbed::start(&folder, &options).unwrap();
    testbed.run(async {
        let bench = Bench::deploy(&testbed, &folder, runtime).await?;
        builds(&bench).await?;
        fails(&bench).await?;
        is_contained(&bench).await?;
        waits(&bench).await
    });
}

async fn builds(bench: &Bench<'_>) -> Result<()> {
    let stack = &bench.testbed.stack;

    // Whoever allows sources and needs none gets what everybody gets.
    bench.layer("plain", "plain", "plain.py").await?;

    let canary = bench.file("built");
    let pure = sources::pure(&canary);
    bench.index.add(&pure);
    let text = bench.layer("pure", "pure", "pure/__init__.py").await?;
    assert_eq!(text, "x = 1\n");
    let manifest = stack.artifact_keys("accretion/manifests/pure/").await?;
    let manifest = stack.artifact_json(&manifest[0]).await?;
    let installed = &manifest["Installed"][0];
    assert_eq!(installed["BuiltFrom"], "pure-1.0.tar.gz");
    assert_eq!(installed["Sha256"], pure.sha256);
    assert_eq!(installed["Wheel"], "pure-1.0-py3-none-any.whl");
    let kept = bench.kept(&pure).await?;
    assert_eq!(kept.len(), 1, "{kept:?}");

    // Another project takes the same wheel, and the source is fetched no more.
    let built = || fs::read_to_string(&canary).unwrap_or_default();
    let hooks = built();
    assert_eq!(hooks.matches("build_wheel\n").count(), 2, "{hooks}");
    bench.layer("pure-too", "pure", "pure/__init__.py").await?;
    assert_eq!(built(), hooks);
    assert_eq!(bench.kept(&pure).await?, kept);

    // Another runtime has its own, where its interpreter is at hand.
    let mut wheels = 1;
    for runtime in Runtime::supported().filter(|runtime| *runtime != bench.runtime) {
        let told = bench.ask("pure", "pure", runtime, ARCHITECTURE).await?;
        if python_of(runtime.identifier()).is_some() {
            wheels += 1;
            assert_eq!(told.text("Event"), "LayerPublished", "{}", told.body);
        } else {
            assert_eq!(told.text("Code"), "InterpreterMissing", "{}", told.body);
        }
        assert_eq!(bench.kept(&pure).await?.len(), wheels, "{runtime}");
    }

    // Metadata that is known only by running it.
    bench.index.add(sources::dynamic());
    bench.layer("dynamic", "dynamic", "helper.py").await?;

    bench.index.add(sources::generated());
    let text = bench
        .layer("generated", "generated", "generated.py")
        .await?;
    let minor = bench.runtime.python_minor();
    assert_eq!(text, format!("VERSION = (3, {minor})\n"));
    Ok(())
}

/// Checks that an order waits, and is made again, if only the build sandbox needs an index that is
/// down.
async fn waits(bench: &Bench<'_>) -> Result<()> {
    // uv tries by itself for about as long as the others may take.
    bench.change(("MaximumSourceBuildSeconds", "60")).await?;
    bench.index.add(sources::needy());
    bench.index.fault("/simple/helper/", Fault::Status(503));
    let heal = async {
        let items = wait_for("a build that waits", PATIENCE, async || {
            let stack = &bench.testbed.stack;
            let items = stack.all_items(Table::Requests, Some("NextAttemptAt"));
            Ok(Some(items.await?).filter(|items| !items.is_empty()))
        });
        let items = items.await?;
        bench.index.heal("/simple/helper/");
        Ok::<_, Error>(items)
    };
    let (text, items) = tokio::join!(bench.layer("needy", "needy", "needy.py"), heal);
    assert_eq!(text?, "x = 1\n");
    let items = items?;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["Status"], "Waiting");
    assert_eq!(items[0]["Code"], "UpstreamUnavailable", "{}", items[0]);
    Ok(())
}

async fn fails(bench: &Bench<'_>) -> Result<()> {
    let told = bench
        .fails(&sources::compiled(), "SourceNeedsCompiler")
        .await?;
    let (reason, hint) = (told.text("Reason"), told.text("Hint"));
    assert!(
        reason.contains("it needs `vax-unknown-linux-gnu-gcc`"),
        "{reason}"
    );
    assert!(hint.contains("a version that has a wheel"), "{hint}");

    bench
        .fails(&sources::sleeping(), "SourceBuildOverLimit")
        .await?;
    bench
        .fails(&sources::filling(), "SourceBuildOverLimit")
        .await?;
    bench
        .fails(&sources::linking(), "SourceBuildFailed")
        .await?;
    // uv sees to that; the builder would, too.
    let told = bench
        .fails(&sources::pretending(), "SourceBuildFailed")
        .await?;
    let reason = told.text("Reason");
    assert!(reason.contains("the wheel declares name pure"), "{reason}");

    // Where the target's own machine is not at hand, what is pure will do.
    let foreign = match ARCHITECTURE {
        "arm64" => "x86_64",
        _ => "arm64",
    };
    let told = bench.ask("foreign", "pure", bench.runtime, foreign).await?;
    assert_eq!(told.text("Event"), "LayerPublished", "{}", told.body);
    bench.index.add(sources::of_this_machine());
    let told = bench
        .ask("machine", "machine", bench.runtime, foreign)
        .await?;
    assert_eq!(told.text("Code"), "ArchitectureForeign", "{}", told.body);
    // Functions of deprecated runtimes can't be made any more.
    let old = Runtime::Python310;
    let told = bench.ask("old", "pure", old, ARCHITECTURE).await?;
    assert_eq!(told.text("Code"), "SandboxMissing", "{}", told.body);
    Ok(())
}

async fn is_contained(bench: &Bench<'_>) -> Result<()> {
    let (report, pulse) = (bench.file("report"), bench.file("pulse"));
    bench.index.add(sources::nosy(&report, &pulse));
    bench.layer("nosy", "nosy", "nosy.py").await?;

    // Its environment was one of our making.
    let seen = fs::read_to_string(&report).expect("it has reported");
    for line in seen.lines() {
        let name = line.split('=').next().unwrap_or_default();
        let is_ours = !["AWS_", "_HANDLER", "LAMBDA_", "INDEX_URL"]
            .iter()
            .any(|forbidden| name.starts_with(forbidden));
        assert!(is_ours, "{name}");
    }
    assert!(seen.contains("PATH="), "{seen}");

    // What it left running has ended, all twenty of them.
    let beats = || fs::metadata(&pulse).map_or(0, |file| file.len());
    assert!(beats() > 0, "they never ran");
    wait_for("the last heartbeat", PATIENCE, async || {
        let before = beats();
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok((beats() == before).then_some(()))
    })
    .await?;
    // And the next order is carried out.
    bench.layer("after", "generated", "generated.py").await?;
    Ok(())
}
