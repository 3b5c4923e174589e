//! The pages of the simple repository API (PEP 503, 691), read and written anew as JSON.

use html5gum::{Token, Tokenizer};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::Url;

/// The JSON form.
pub(super) const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// The media types that can be read, best first.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// Reads the page of a package, with the URLs of files spelled by `spell`; without those that it has
/// no spelling for. `None` if it is no such page.
pub(super) fn read(
    bytes: &[u8],
    is_json: bool,
    package: &str,
    base: &Url,
    spell: impl Fn(&Url) -> Option<String>,
) -> Option<Value> {
    // A hash is a field of its own.
    let spell = |url: &str, base: &Url| {
        let mut url = base.join(url).ok()?;
        let fragment = url.fragment().map(ToOwned::to_owned);
        url.set_fragment(None);
        let spelled = matches!(url.scheme(), "https" | "http").then(|| spell(&url))??;
        Some((url, fragment, spelled))
    };
    if !is_json {
        let files = of_html(bytes, base, spell);
        return Some(json!({"meta": {"api-version": "1.0"}, "name": package, "files": files}));
    }
    let mut page: Value = serde_json::from_slice(bytes).ok()?;
    let files = page.get_mut("files")?.as_array_mut()?;
    files.retain_mut(|file| {
        let spelled = file["url"].as_str().and_then(|url| spell(url, base));
        let Some((_, _, spelled)) = spelled else {
            return false;
        };
        file["url"] = Value::from(spelled);
        true
    });
    Some(page)
}

/// The files of an HTML page.
fn of_html(
    bytes: &[u8],
    base: &Url,
    spell: impl Fn(&str, &Url) -> Option<(Url, Option<String>, String)>,
) -> Vec<Value> {
    let mut page = base.clone();
    let mut files = Vec::new();
    for Ok(token) in Tokenizer::new(bytes) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let attribute = |name: &str| {
            let value = tag.attributes.get(name.as_bytes())?;
            Some(String::from_utf8_lossy(value).trim().to_owned())
        };
        match &**tag.name {
            b"base" => {
                if let Some(url) = attribute("href").and_then(|href| page.join(&href).ok()) {
                    page = url;
                }
            }
            b"a" => {
                let found = attribute("href").and_then(|href| spell(&href, &page));
                files.extend(found.and_then(|found| file(found, attribute)));
            }
            _ => {}
        }
    }
    files
}

fn file(
    (url, fragment, spelled): (Url, Option<String>, String),
    attribute: impl Fn(&str) -> Option<String>,
) -> Option<Value> {
    let last = url.path_segments()?.next_back()?;
    let filename = percent_decode_str(last).decode_utf8().ok()?;
    let hash = |text: &str| {
        let (algorithm, value) = text.split_once('=')?;
        Some(json!({ algorithm: value }))
    };
    let mut file = Map::new();
    let mut put = |name: &str, value: Value| file.insert(name.to_owned(), value);
    put("filename", Value::from(filename));
    put("url", Value::from(spelled));
    let hashes = fragment.as_deref().and_then(hash);
    put("hashes", hashes.unwrap_or_else(|| json!({})));
    if let Some(requires) = attribute("data-requires-python") {
        put("requires-python", Value::from(requires));
    }
    if let Some(yanked) = attribute("data-yanked") {
        let reason = Some(yanked).filter(|reason| !reason.is_empty());
        put("yanked", reason.map_or(Value::Bool(true), Value::from));
    }
    // PEP 714: the old name of it is still in use.
    let names = ["data-core-metadata", "data-dist-info-metadata"];
    if let Some(metadata) = names.into_iter().find_map(attribute) {
        let hash = hash(&metadata);
        put(
            "core-metadata",
            hash.unwrap_or(Value::Bool(metadata == "true")),
        );
    }
    Some(Value::Object(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, is_json: bool) -> Option<Value> {
        let base = "https://index.example.com/simple/a/".parse().unwrap();
        let spell = |url: &Url| Some(format!("[{url}]"));
        read(text.as_bytes(), is_json, "a", &base, spell)
    }

    #[test]
    fn html_says_the_same_as_json() {
        const HTML: &str = r#"<!DOCTYPE html><!-- <a href="no-1.0.tar.gz"> --><html><body>
            <a href="../../files/a-1.0-py3-none-any.whl#sha256=00ff" data-requires-python="&gt;=3.8"
               data-core-metadata='sha256=11' data-dist-info-metadata=true>a-1.0-py3-none-any.whl</a>
            <A HREF=https://files.example.com/a%2B1-1.1.tar.gz?x=1&amp;y=2 data-yanked>x</A>
            <a href="/a-1.2.zip" data-yanked="it &amp; that" data-dist-info-metadata="true"></a>
            <a href="file:///etc/passwd">a-9.0-py3-none-any.whl</a><a>nothing</a>"#;
        let expected = json!({
            "meta": {"api-version": "1.0"}, "name": "a", "files": [
                {"filename": "a-1.0-py3-none-any.whl", "hashes": {"sha256": "00ff"},
                 "url": "[https://index.example.com/files/a-1.0-py3-none-any.whl]",
                 "requires-python": ">=3.8", "core-metadata": {"sha256": "11"}},
                {"filename": "a+1-1.1.tar.gz", "hashes": {}, "yanked": true,
                 "url": "[https://files.example.com/a%2B1-1.1.tar.gz?x=1&y=2]"},
                {"filename": "a-1.2.zip", "hashes": {}, "yanked": "it & that", "core-metadata": true,
                 "url": "[https://index.example.com/a-1.2.zip]"},
            ],
        });
        assert_eq!(page(HTML, false).unwrap(), expected);
    }

    #[test]
    fn links_are_relative_to_the_base() {
        let html = r#"<base href="https://cdn.example.com/x/"><a href="a-1.0.zip">a</a>"#;
        let page = page(html, false).unwrap();
        assert_eq!(
            page["files"][0]["url"],
            "[https://cdn.example.com/x/a-1.0.zip]"
        );
    }

    #[test]
    fn json_is_kept_but_for_urls() {
        let text = json!({
            "meta": {"api-version": "1.1"}, "name": "a", "versions": ["1.0"], "files": [
                {"filename": "a-1.0.zip", "url": "../a-1.0.zip", "size": 7, "hashes": {"sha256": "0"}},
                {"filename": "a-2.0.zip", "url": "file:///a-2.0.zip", "hashes": {}},
                {"filename": "a-3.0.zip", "hashes": {}},
            ],
        });
        let mut expected = text.clone();
        expected["files"].as_array_mut().unwrap().truncate(1);
        expected["files"][0]["url"] = json!("[https://index.example.com/simple/a-1.0.zip]");
        assert_eq!(page(&text.to_string(), true).unwrap(), expected);
        for text in ["", "[]", "{}", r#"{"files": 1}"#] {
            assert_eq!(page(text, true), None, "{text}");
        }
    }
}
