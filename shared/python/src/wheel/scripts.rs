//! Scripts in `python/bin`: rewritten ones (PEP 427) and those of entry points.
//!
//! A layer is unpacked wherever the runtime likes, so no script may know its own or the
//! interpreter's path.

use std::collections::HashMap;

use accretion_core::excerpt::shown;

/// The start of a script whose first line the installer has to write.
pub(super) const PLACEHOLDER: &[u8] = b"#!python";
/// The command for the interpreter that the runtime has on its `PATH`.
const INTERPRETER: &str = "/usr/bin/env python3";

/// Rewrites the first line of a script that asks the installer for it by starting with `#!python`
/// (PEP 427). `None` for every other file, which stays as it is.
///
/// As uv does, the line is replaced whole: neither arguments nor the `w` of `#!pythonw` remain.
pub(super) fn rewrite_shebang(script: &[u8]) -> Option<Vec<u8>> {
    if !script.starts_with(PLACEHOLDER) {
        return None;
    }
    let end = script
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(script.len());
    Some([b"#!", INTERPRETER.as_bytes(), &script[end..]].concat())
}

/// A script to generate: what `console_scripts` or `gui_scripts` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryPoint {
    pub(super) name: String,
    module: String,
    attribute: String,
}

impl EntryPoint {
    /// The script's text.
    pub(super) fn script(&self) -> String {
        let Self {
            module, attribute, ..
        } = self;
        let import = attribute.split('.').next().unwrap_or(attribute);
        format!(
            "#!{INTERPRETER}\n\
             import os\n\
             import sys\n\
             \n\
             # The packages lie beside the folder of this script, wherever the layer is.\n\
             sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))\n\
             \n\
             from {module} import {import}\n\
             \n\
             if __name__ == \"__main__\":\n\
             \x20   sys.exit({attribute}())\n"
        )
    }
}

/// The scripts that an `entry_points.txt` asks for, in its order.
///
/// Source: the entry points specification, "File format". The error is the rest of a sentence.
pub(super) fn parse_entry_points(text: &str) -> Result<Vec<EntryPoint>, String> {
    if text.starts_with('\u{feff}') {
        return Err("starts with a byte order mark, which hides its first section".into());
    }
    let mut scripts = Vec::new();
    let mut known = HashMap::new();
    let mut in_scripts = false;
    for line in text.split(['\n', '\r']).map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            in_scripts = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if in_scripts {
            let script = parse_entry_point(line)?;
            match known.insert(script.name.clone(), script.clone()) {
                None => scripts.push(script),
                Some(first) if first == script => {}
                Some(_) => {
                    let name = shown(&script.name);
                    return Err(format!("has two entry points `{name}` that differ"));
                }
            }
        }
    }
    Ok(scripts)
}

fn parse_entry_point(line: &str) -> Result<EntryPoint, String> {
    let error = || {
        format!(
            "has an entry point that cannot become a script: `{}`",
            shown(line)
        )
    };
    let (name, reference) = line.split_once('=').ok_or_else(error)?;
    // Extras have no meaning any more; installers ignore them.
    let object = reference.split('[').next().unwrap_or(reference);
    let (module, attribute) = object.split_once(':').ok_or_else(error)?;
    let (name, module, attribute) = (name.trim(), module.trim(), attribute.trim());
    let is_dotted = |name: &str| {
        name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    };
    // pip takes what is behind any other character for the name.
    let is_letter = |c: char| c.is_alphanumeric() || "_-.+".contains(c);
    let is_file_name = (1..=255).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.chars().all(is_letter);
    if !is_file_name || !is_dotted(module) || !is_dotted(attribute) {
        return Err(error());
    }
    Ok(EntryPoint {
        name: name.into(),
        module: module.into(),
        attribute: attribute.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_only_what_asks_for_it() {
        for (script, expected) in [
            ("#!python\nx", Some("#!/usr/bin/env python3\nx")),
            ("#!pythonw\nx", Some("#!/usr/bin/env python3\nx")),
            ("#!python\r\nx", Some("#!/usr/bin/env python3\nx")),
            ("#!python -E\nx", Some("#!/usr/bin/env python3\nx")),
            ("#!python3\nx", Some("#!/usr/bin/env python3\nx")),
            ("#!python", Some("#!/usr/bin/env python3")),
            ("#!/usr/bin/python\nx", None),
            ("#!/bin/sh\nx", None),
            ("\u{7f}ELF", None),
            ("", None),
        ] {
            let rewritten = rewrite_shebang(script.as_bytes());
            assert_eq!(
                rewritten.as_deref(),
                expected.map(str::as_bytes),
                "{script:?}"
            );
        }
    }

    #[test]
    fn reads_console_and_gui_scripts() {
        let text = "\
            # a comment\n\
            [console_scripts]\n\
            f2py = numpy.f2py.f2py2e:main\n\
            a.b-c=a:Main.run [extra]\n\
            [other]\n\
            x = nothing\n\
            [ gui_scripts ]\r\n\
            win = a.gui:go\r\n";
        let points = parse_entry_points(text).unwrap();
        let again = format!("{text}\r[console_scripts]\rwin=a.gui:go\r");
        assert_eq!(parse_entry_points(&again).unwrap(), points);
        assert!(parse_entry_points(&format!("\u{feff}{text}")).is_err());
        let names: Vec<_> = points.iter().map(|point| point.name.as_str()).collect();
        assert_eq!(names, ["f2py", "a.b-c", "win"]);
        let script = points[1].script();
        assert!(script.contains("from a import Main\n"), "{script}");
        assert!(script.ends_with("    sys.exit(Main.run())\n"), "{script}");
    }

    #[test]
    fn refuses_entry_points_that_would_write_elsewhere_or_run_something_else() {
        for line in [
            "../x = a:b",
            ".. = a:b",
            " = a:b",
            "x = a",
            "x",
            "x = a:b; import os",
            "x = a:b()",
            "x = a b:c",
            "x = 1a:b",
            "a b = a:b",
            "a@b = a:b",
            "a:b = a:b",
            "a,b = a:b",
            "x = a:b\nx = a:c",
            "x = a:b\n[gui_scripts]\nx = a:c",
        ] {
            let text = format!("[console_scripts]\n{line}\n");
            assert!(parse_entry_points(&text).is_err(), "{line}");
        }
    }
}
