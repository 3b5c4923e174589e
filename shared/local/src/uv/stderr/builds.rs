//! The text that builds write to stderr, and what they lack by it.

use super::last_lines;
use crate::Error;

/// Returns the package that could not be built, as uv names it, and the end of what the build
/// wrote.
pub(in crate::uv) fn build_failure(stderr: &str) -> (Option<String>, String) {
    let headline = stderr.split_once("error: Failed to build `");
    let Some((before, (file, after))) =
        headline.and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
    else {
        return (None, last_lines(stderr));
    };
    // `uv build` shows the build's words as they come, `uv pip compile` below what it says itself.
    let with_hints = after
        .split_once("[stderr]\n")
        .map_or(before, |(_, words)| words);
    let words = with_hints.split("\nhint: ").next().unwrap_or_default();
    // Said by uv itself, and all that there is if uv did not like what was built.
    let own = [
        "Building wheel from source distribution...\n",
        "Building wheel...\n",
    ];
    let words = own
        .iter()
        .find_map(|own| words.strip_prefix(own))
        .unwrap_or(words);
    let indentation = words.len() - words.trim_start_matches(' ').len();
    let lines = words.lines().map(|line| {
        let (margin, rest) = line.split_at_checked(indentation).unwrap_or(("", line));
        if margin.trim().is_empty() { rest } else { line }
    });
    let words = last_lines(&lines.collect::<Vec<_>>().join("\n"));
    let said = if words.is_empty() {
        last_lines(after)
    } else {
        words
    };
    (Some(file.to_owned()), said)
}

/// Returns the reason why a package could not be built. `all` is all that was written, `output` the
/// end of what the build itself wrote.
pub(in crate::uv) fn failed(file: String, output: String, all: &str) -> Error {
    match missing_program(all) {
        Some(program) => Error::SourceNeedsCompiler {
            file,
            program,
            output,
        },
        None => Error::SourceBuildFailed { file, output },
    }
}

/// Programs that builds need, which no runtime of Lambda has.
const PROGRAMS: [&str; 23] = [
    "ar", "c++", "c99", "cargo", "cc", "clang", "clang++", "cmake", "g++", "gcc", "gfortran", "go",
    "ld", "make", "meson", "nasm", "ninja", "patchelf", "protoc", "rustc", "swig", "tar", "yasm",
];

/// The messages of build backends for want of a program that they do not name as the system does.
const WANTS: [(&str, &str); 10] = [
    ("can't find Rust compiler", "rustc"),
    ("the rust compiler, is not installed", "rustc"),
    ("the Rust package manager, is not installed", "cargo"),
    ("Unknown compiler(s)", "cc"),
    ("linker `cc` not found", "cc"),
    ("CMAKE_C_COMPILER not set", "cc"),
    ("No CMAKE_C_COMPILER could be found", "cc"),
    ("No CMAKE_CXX_COMPILER could be found", "c++"),
    ("CMake must be installed", "cmake"),
    ("Could not find CMake", "cmake"),
];

/// The program for want of which a build failed, by what it wrote.
fn missing_program(output: &str) -> Option<String> {
    let wanted = WANTS.iter().find(|(words, _)| output.contains(words));
    if let Some((_, program)) = wanted {
        return Some((*program).to_owned());
    }
    output.lines().find_map(|line| {
        let named = if let Some((_, rest)) = line.split_once("No such file or directory: '") {
            rest.split('\'').next()
        } else if let Some((_, rest)) = line.split_once("unable to execute '") {
            rest.split('\'').next()
        } else if let Some((_, rest)) = line.split_once("error: command '") {
            let (name, rest) = rest.split_once('\'')?;
            rest.contains("No such file").then_some(name)
        } else {
            // Of a shell.
            line.strip_suffix(": not found")
                .or_else(|| line.strip_suffix(": command not found"))
                .and_then(|before| before.rsplit([' ', ':']).next())
        };
        let name = named?.rsplit('/').next()?;
        // A cross compiler is named after its machine, another version after that.
        let is_program =
            name.ends_with("pkg-config") || name.split('-').any(|part| PROGRAMS.contains(&part));
        is_program.then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_lacks_a_program_says_which() {
        for (line, program) in [
            (
                "error: command 'gcc' failed: No such file or directory",
                Some("gcc"),
            ),
            (
                "  error: command '/usr/bin/x86_64-linux-gnu-g++' failed: No such file or directory: \
              '/usr/bin/x86_64-linux-gnu-g++'",
                Some("x86_64-linux-gnu-g++"),
            ),
            (
                "unable to execute 'gcc-13': No such file or directory",
                Some("gcc-13"),
            ),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: 'cmake'",
                Some("cmake"),
            ),
            (
                "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'",
                None,
            ),
            ("/bin/sh: 1: make: not found", Some("make")),
            ("/bin/sh: line 1: ninja: command not found", Some("ninja")),
            ("/bin/sh: 1: lessc: not found", None),
            (
                "../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]",
                Some("cc"),
            ),
            ("error: can't find Rust compiler", Some("rustc")),
            ("error: command 'gcc' failed with exit code 1", None),
            (
                "    error: [Errno 2] No such file or directory: 'gcc'",
                Some("gcc"),
            ),
            (
                "  Running `cc --version` gave \"[Errno 2] No such file or directory: 'cc'\"",
                Some("cc"),
            ),
            ("  error: linker `cc` not found", Some("cc")),
            (
                "  CMake Error: CMAKE_C_COMPILER not set, after EnableLanguage",
                Some("cc"),
            ),
            ("module not found", None),
        ] {
            let found = missing_program(&format!("running build_ext\n{line}\nend"));
            assert_eq!(found.as_deref(), program, "{line}");
        }
    }
}
