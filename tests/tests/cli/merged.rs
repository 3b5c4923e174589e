//! `accretion build` of layers that are merged of several runtimes.

use std::collections::BTreeMap;

use accretion_testing::forge::Wheel;
use integration_tests::{Project, snapshot};
use serde_json::{Value, json};

use crate::{index, native, project, pure};

/// `app` has a script and needs `lib` and `native`, of which each target has its own wheel.
fn app() -> Vec<Wheel> {
    let app = pure("app")
        .requires("lib")
        .requires("native")
        .entry_point("console_scripts", "app", "app:main")
        .build();
    let lib = pure("lib").build();
    [app, lib].into_iter().chain(native()).collect()
}

fn request(requirements: &str, changes: &Value) -> String {
    let mut request = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements},
        "Runtimes": ["python3.12", "python3.13"],
        "Merge": true,
    });
    for (field, value) in changes.as_object().expect("changes are an object") {
        request[field] = value.clone();
    }
    request.to_string()
}

/// The files of a layer below a folder.
fn below(project: &Project, layer: &str, folder: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
    let content = project.content(layer).into_iter();
    content
        .filter_map(|(name, file)| Some((name.strip_prefix(folder)?.to_owned(), file)))
        .collect()
}

#[test]
fn what_differs_is_there_for_each_runtime() {
    let index = index(app());
    let project = project(&index);
    project.write("request.json", request("app\n", &json!({})));
    snapshot!("table", project.run("build request.json").exits(0));
    let files = ["py-arm64.manifest", "py-arm64.zip", "py.manifest", "py.zip"];
    assert_eq!(project.outputs(), files.map(|it| format!("tools-{it}")));
    let manifest = project.manifest("tools-py-arm64");
    let manifest = serde_json::to_string_pretty(&manifest).unwrap();
    snapshot!("manifest", manifest);
    project.assert_tidy();

    // Each tree is what a layer for its runtime alone has.
    let alone = request("app\n", &json!({"Merge": false}));
    project.write("request.json", alone);
    project.run("build request.json").exits(0);
    for (runtime, one) in [("3.12", "tools-py312"), ("3.13", "tools-py313")] {
        for architecture in ["", "-arm64"] {
            let merged = format!("tools-py{architecture}");
            let folder = format!("python/lib/python{runtime}/site-packages/");
            let tree = below(&project, &merged, &folder);
            let alone = below(&project, &format!("{one}{architecture}"), "python/");
            assert!(tree.len() > 5 && tree == alone, "{merged} {runtime}");
        }
    }
    let content = project.content("tools-py");
    assert!(content.keys().all(|it| it.starts_with("python/lib/")));
}

#[test]
fn what_is_the_same_is_there_once() {
    let index = index([pure("one").build(), pure("two").requires("one").build()]);
    let project = project(&index);
    project.write("request.json", request("two\n", &json!({})));
    snapshot!("shared_table", project.run("build request.json").exits(0));
    let merged = project.manifest("tools-py");
    assert_eq!(merged["Shape"], "Shared");
    assert_eq!(merged["Runtimes"], json!(["python3.12", "python3.13"]));
    assert!(merged["Installed"][0].get("Runtimes").is_none());
    // It has the bytes of the layer for one of the runtimes, and another digest.
    let run = "build request.json --runtime python3.13 --architecture x86_64 -o alone";
    project.write("request.json", request("two\n", &json!({"Merge": false})));
    project.run(run).exits(0);
    let alone = std::fs::read(project.path("alone/tools-py313.zip")).unwrap();
    assert!(project.zip("tools-py") == alone);
    let manifest = std::fs::read(project.path("alone/tools-py313.manifest")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_ne!(merged["Digest"], manifest["Digest"]);
    assert_eq!(merged["ArtifactSha256"], manifest["ArtifactSha256"]);
}

#[test]
fn a_layer_is_the_same_one_whatever_runtimes_it_is_for() {
    let index = index(app());
    let project = project(&index);
    project.write("tools.txt", "app\n");
    let build = |runtimes: &str| {
        let command = format!(
            "build tools.txt --name tools --merge --architecture arm64 --format json {runtimes}"
        );
        let mut document = project.run(&command).exits(0).json();
        document["Layers"][0].take()
    };
    let all = build("");
    assert_eq!(all["Layer"], "tools-py-arm64");
    assert_eq!(all["Runtime"], json!(null));
    assert_eq!(all["Runtimes"].as_array().map(Vec::len), Some(4));
    assert_eq!(all["Shape"], "PerRuntime");
    assert_eq!(all["Packages"], 3);
    assert_eq!(all["Changed"], true);
    assert_eq!(build("")["Changed"], false);
    let one = build("--runtime python3.13");
    assert_eq!(one["Layer"], "tools-py-arm64");
    assert_eq!(one["Runtimes"], json!(["python3.13"]));
    assert_eq!(
        (&one["Shape"], &one["Changed"]),
        (&json!("Shared"), &json!(true))
    );
    assert_eq!(
        project.outputs(),
        ["tools-py-arm64.manifest", "tools-py-arm64.zip"]
    );
    // Which one is left out is no part of what it is called either.
    assert_eq!(build("")["Digest"], all["Digest"]);
}

#[test]
fn a_runtime_that_cannot_be_built_for_fails_the_layer() {
    let wheels = app().into_iter();
    let index = index(wheels.filter(|it| !it.filename.contains("cp313-manylinux_2_17_aarch64")));
    let project = project(&index);
    project.write("request.json", request("app\n", &json!({})));
    let run = project.run("build request.json").exits(3);
    snapshot!("failure", run);
    // The other architecture's layer is there.
    assert_eq!(project.outputs(), ["tools-py.manifest", "tools-py.zip"]);
    let run = project.run("build request.json --format json");
    let failure = &run.exits(3).json()["Failures"][0];
    assert_eq!(failure["Layer"], "tools-py-arm64");
    assert_eq!(failure["Runtime"], json!(null));
    assert_eq!(failure["Runtimes"], json!(["python3.12", "python3.13"]));
    let message = failure["Error"]["Message"].as_str().unwrap();
    assert!(message.starts_with("for python3.13: "), "{message}");
    project.assert_tidy();
}

#[test]
fn a_package_may_be_there_for_some_runtimes() {
    let index = index(app());
    let project = project(&index);
    let requirements = "app ; python_version < '3.13'\nlib\n";
    let exclude = json!({"Exclude": ["lib"], "Architectures": ["x86_64"]});
    project.write("request.json", request(requirements, &exclude));
    project.run("build request.json").exits(0);
    let manifest = project.manifest("tools-py");
    let installed = manifest["Installed"].as_array().unwrap();
    let installed: Vec<_> = installed
        .iter()
        .map(|it| (it["Name"].as_str().unwrap(), it["Runtimes"].clone()))
        .collect();
    let old = json!(["python3.12"]);
    assert_eq!(installed, [("app", old.clone()), ("native", old)]);
    assert_eq!(
        manifest["Excluded"],
        json!([{"Name": "lib", "Version": "1.0"}])
    );
    let everything = below(&project, "tools-py", "python/lib/python3.13/");
    assert_eq!(everything, BTreeMap::new());

    // But it is no layer if there is nothing for any.
    let exclude = json!({"Exclude": ["lib"], "Architectures": ["x86_64"]});
    project.write("request.json", request("lib\n", &exclude));
    project.run("build request.json").fails(3, "LayerEmpty");
}
