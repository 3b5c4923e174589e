//! examples/project-wheel: a function whose own wheel is its code, with its dependencies in a
//! layer of the pipeline.

use std::fs;
use std::path::Path;
use std::process::Command;

use pipeline_tests::workspace::{root, tool};
use pipeline_tests::{Stack, sam};
use serde_json::{Value, json};

use crate::{TARGETS, exactly, listen, on_stack, testbed};

#[test]
fn a_function_imports_from_its_layer() {
    // Otherwise it would not need the layer: MiniStack runs functions with this interpreter.
    for module in ["humanize", "inflect"] {
        let import = Command::new(tool("python"))
            .args(["-c", &format!("import {module}")])
            .output();
        assert!(!import.unwrap().status.success(), "{module} is installed");
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("examples/project-wheel"), folder.path());
    on_stack(async |stack| {
        let all = listen(stack, "summary").await?;
        uv(
            folder.path(),
            &[
                "pip",
                "compile",
                "pyproject.toml",
                "--universal",
                "--quiet",
                "-o",
                "dist/requirements.txt",
            ],
        );
        let requirements = fs::read(folder.path().join("dist/requirements.txt")).unwrap();
        stack
            .drop_into_inbox("requests/summary/requirements.txt", requirements)
            .await?;
        for said in exactly(&all, TARGETS.len()).await? {
            assert_eq!(said.text("Event"), "LayerPublished", "{}", said.body);
        }

        uv(folder.path(), &["build", "--wheel", "--quiet"]);
        let server = &testbed().server;
        sam::deploy_template(server, "summary", &folder.path().join("template.yaml")).await?;
        let deployed = Stack::connect(&server.endpoint(), "summary").await?;
        let function = deployed.output("FunctionName");
        let configuration = stack
            .lambda
            .get_function_configuration()
            .function_name(function);
        let configuration = configuration.send().await.unwrap();
        let layers: Vec<_> = configuration
            .layers()
            .iter()
            .filter_map(|it| it.arn())
            .collect();
        let pointer = stack
            .parameter("/accretion/summary/python3.13/arm64")
            .await?;
        assert_eq!(layers, [pointer.unwrap()]);

        let event = json!({"Files": 3, "Bytes": 123_456}).to_string();
        let invoke = stack
            .lambda
            .invoke()
            .function_name(function)
            .payload(event.into_bytes().into());
        let answer = invoke.send().await.unwrap();
        let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        let answer: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(answer, json!({"Summary": "3 files, 123.5 kB"}));
        Ok(())
    });
}

/// Runs a command of the example's README.
fn uv(folder: &Path, arguments: &[&str]) {
    let output = Command::new(tool("uv"))
        .args(arguments)
        .args([Path::new("--python"), &tool("python")])
        .env("UV_PYTHON_DOWNLOADS", "never")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
