//! The pages of the simple repository API.

use serde_json::{Map, Value, json};

use super::Distribution;
use crate::forge::sha256_hex;

/// The list of projects, as HTML.
pub(super) fn projects_html(projects: &[String]) -> String {
    let anchor = |name: &String| format!("<a href=\"/simple/{name}/\">{name}</a><br>\n");
    page(&projects.iter().map(anchor).collect::<String>())
}

/// The list of projects, as JSON.
pub(super) fn projects_json(projects: &[String]) -> Value {
    let names: Vec<_> = projects
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    json!({ "meta": { "api-version": "1.1" }, "projects": names })
}

/// The files of a project, as HTML.
pub(super) fn project_html(files: &[&Distribution]) -> String {
    page(&files.iter().map(|file| anchor(file)).collect::<String>())
}

/// The files of a project, as JSON.
pub(super) fn project_json(name: &str, files: &[&Distribution]) -> Value {
    // Version 1.1 requires sizes and versions.
    let complete = files.iter().all(|file| file.size.is_some());
    let files: Vec<_> = files.iter().map(|file| file_json(file)).collect();
    json!({
        "meta": { "api-version": if complete { "1.1" } else { "1.0" } },
        "name": name,
        "files": files,
    })
}

fn file_json(file: &Distribution) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("filename", json!(file.filename));
    put("url", json!(format!("/files/{}", file.filename)));
    put(
        "hashes",
        file.sha256
            .as_ref()
            .map_or_else(|| json!({}), |hash| json!({"sha256": hash})),
    );
    if let Some(size) = file.size {
        put("size", json!(size));
    }
    if let Some(specifiers) = &file.requires_python {
        put("requires-python", json!(specifiers));
    }
    if let Some(metadata) = &file.metadata {
        put("core-metadata", json!({ "sha256": sha256_hex(metadata) }));
    }
    if let Some(time) = &file.upload_time {
        put("upload-time", json!(time));
    }
    match file.yanked.as_deref() {
        None => put("yanked", json!(false)),
        Some("") => put("yanked", json!(true)),
        Some(reason) => put("yanked", json!(reason)),
    };
    Value::Object(object)
}

fn anchor(file: &Distribution) -> String {
    let name = escape(&file.filename);
    let hash = file
        .sha256
        .as_ref()
        .map_or_else(String::new, |hash| format!("#sha256={hash}"));
    let mut attributes = String::new();
    let mut add = |key: &str, value: &str| {
        attributes.extend([" ", key, "=\"", &escape(value), "\""]);
    };
    if let Some(specifiers) = &file.requires_python {
        add("data-requires-python", specifiers);
    }
    if let Some(metadata) = &file.metadata {
        add(
            "data-core-metadata",
            &format!("sha256={}", sha256_hex(metadata)),
        );
    }
    if let Some(reason) = &file.yanked {
        add("data-yanked", reason);
    }
    format!("<a href=\"/files/{name}{hash}\"{attributes}>{name}</a><br>\n")
}

fn page(body: &str) -> String {
    format!("<!DOCTYPE html>\n<html><body>\n{body}</body></html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
