//! Layers that are merged of several runtimes.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use accretion_testing::interpreters::{python_of, untested};
use pipeline_tests::{Filter, Result, Stack, Table};
use serde_json::{Value, json};

use crate::outcome::{Expected, MERGED_RUNTIMES};
use crate::{command, exactly, exactly_one, listen, on_stack, request};

/// A request for two runtimes in one layer.
fn merged(project: &str, requirements: &[&str]) -> Value {
    let mut request = request(project, requirements);
    request["Runtimes"] = json!(MERGED_RUNTIMES);
    request["Merge"] = json!(true);
    request
}

/// The file that a runtime imports for a module of an unpacked layer, below `/opt`.
fn imported(python: &Path, opt: &Path, runtime: &str, module: &str) -> String {
    // As Lambda has it, in this order.
    let [shared, own] = ["python", &format!("python/lib/{runtime}/site-packages")];
    let path = [opt.join(shared), opt.join(own)];
    let code = format!("import {module}; print({module}.__file__)");
    let output = Command::new(python)
        .args(["-S", "-c", &code])
        .env("PYTHONPATH", std::env::join_paths(path).unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("PYTHONHOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{runtime}: {output:?}");
    let file = String::from_utf8(output.stdout).unwrap();
    let file = Path::new(file.trim()).strip_prefix(opt).unwrap();
    file.display().to_string()
}

#[test]
fn one_layer_serves_both_runtimes() {
    on_stack(async |stack| {
        let project = "merged";
        let text = merged(project, &["markupsafe==3.0.3", "six==1.17.0"]).to_string();
        let zips = command::build("request.json", text.as_bytes(), None);
        let all = listen(stack, project).await?;
        // Whoever asks for a runtime hears of what serves it.
        let filter = json!({"ProjectName": [project], "Runtime": ["python3.12"]});
        let filter = Filter::Attributes(filter);
        let of_runtime = stack.subscribe("merged-python312", &filter).await?;
        stack.drop_into_inbox("merged.json", text.clone()).await?;
        let notifications = exactly(&all, 2).await?;
        let expected = Expected::first(project, &["py", "py-arm64"], &zips);
        expected.holds(stack, &notifications).await?;
        exactly(&of_runtime, 2).await?;

        // What this machine can import.
        let layer = match std::env::consts::ARCH {
            "aarch64" => "merged-py-arm64",
            _ => "merged-py",
        };
        let layer = stack.layer_version(layer, 1).await?;
        let opt = tempfile::tempdir().unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(layer.content)).unwrap();
        zip.extract(opt.path()).unwrap();
        for runtime in MERGED_RUNTIMES {
            let Some(python) = python_of(runtime) else {
                untested(&format!("a merged layer is not imported by {runtime}"));
                continue;
            };
            let own = format!("python/lib/{runtime}/site-packages/");
            let imported = |module| imported(python, opt.path(), runtime, module);
            let six = imported("six");
            assert_eq!(six, format!("{own}six.py"));
            let speedups = imported("markupsafe._speedups");
            assert!(speedups.starts_with(&own), "{speedups}");
        }

        // Again, it is what there is already.
        stack.drop_into_inbox("merged.json", text).await?;
        for said in exactly(&all, 2).await? {
            assert_eq!(said.text("Event"), "LayerUnchanged");
        }
        Ok(())
    });
}

#[test]
fn a_project_goes_from_one_to_the_other() {
    on_stack(async |stack| {
        let project = "merged-later";
        let mut request = merged(project, &["six==1.17.0"]);
        request["Architectures"] = json!(["arm64"]);
        let pointers = async || pointers(stack, project).await;
        let all = listen(stack, project).await?;
        let both = request.to_string();
        request["Merge"] = json!(false);
        let each = request.to_string();
        let arn = |said: &Value| said["VersionArn"].as_str().map(ToOwned::to_owned);

        stack.drop_into_inbox("merged-later.json", each).await?;
        let said = exactly(&all, 2).await?;
        let [old, new] = [arn(&said[0].body), arn(&said[1].body)];
        assert_eq!(pointers().await?, [old.clone(), new.clone(), None]);

        stack.drop_into_inbox("merged-later.json", both).await?;
        let said = exactly_one(&all, "LayerPublished").await?;
        let merged = arn(&said.body);
        assert!(
            merged
                .as_ref()
                .unwrap()
                .ends_with(":merged-later-py-arm64:1")
        );
        // Functions that use the layers of before have them as they were.
        assert_eq!(pointers().await?, [old, new, merged.clone()]);

        // Another runtime makes another version of the same layer.
        request["Merge"] = json!(true);
        request["Runtimes"] = json!(["python3.13"]);
        let one = request.to_string();
        stack.drop_into_inbox("merged-later.json", one).await?;
        let said = exactly_one(&all, "LayerPublished").await?;
        assert_eq!(said.body["Runtimes"], json!(["python3.13"]));
        assert_eq!(pointers().await?[2], arn(&said.body));
        let version = stack.layer_version("merged-later-py-arm64", 2).await?;
        assert_eq!(version.runtimes, ["python3.13"]);
        Ok(())
    });
}

/// The values of a project's latest-version parameters for arm64: for each runtime, and for both.
async fn pointers(stack: &Stack, project: &str) -> Result<[Option<String>; 3]> {
    let pointer = async |python: &str| {
        let name = format!("/accretion/{project}/{python}/arm64");
        stack.parameter(&name).await
    };
    let [old, new] = MERGED_RUNTIMES;
    Ok([
        pointer(old).await?,
        pointer(new).await?,
        pointer("python").await?,
    ])
}

#[test]
fn a_runtime_without_a_wheel_fails_the_layer() {
    on_stack(async |stack| {
        let project = "merged-failure";
        // The last one of which there is a wheel for Python 3.12, and none for 3.13.
        let mut request = merged(project, &["numpy==1.26.4"]);
        request["Architectures"] = json!(["x86_64"]);
        let all = listen(stack, project).await?;
        let key = "merged-failure.json";
        stack.drop_into_inbox(key, request.to_string()).await?;
        let said = exactly_one(&all, "BuildFailed").await?;
        assert_eq!(said.text("Code"), "WheelNotFound");
        let reason = said.text("Reason");
        assert!(reason.starts_with("for python3.13: "), "{reason}");
        assert_eq!(said.body["Runtimes"], json!(MERGED_RUNTIMES));
        assert_eq!(said.body["Runtime"], Value::Null);
        let id = said.text("RequestId");
        assert_eq!(said.text("EventId"), format!("{id}-py-BuildFailed"));
        let items = stack.items(Table::Requests, id).await?;
        assert_eq!(items["py"]["Status"], "Failed");
        assert_eq!(items["py"]["Runtimes"], json!(MERGED_RUNTIMES));
        Ok(())
    });
}
